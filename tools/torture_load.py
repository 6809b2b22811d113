"""`make torture-load`: loads at full size, with figures; run by hand.

users   1,000 users make at least 250 requests/s for 60 s over HTTP: errors under 1 %, each p95 under its limit.
stall   the server is stopped for 1 s in every 10 s: the share of requests that wait longer than x is (1 s - x) / 10 s.
plain   a mixed load in process, at 0.4 of what plain sqlite3 does with the same statements without ORM and generator,
        in the same run: it comes through, and p99 is under 50 ms.
kill    10,000 acknowledged answers while the server is killed three times: none is lost, none is there twice.

    python tools/torture_load.py [users] [stall] [plain] [kill] [--target FILE] [--seconds 60] [--first]

Without a target, a full demo is made. With `--first` the server goes before other programs on the machine, where the
system allows it: for a machine that is busy with something else, told in the figures.
"""

from __future__ import annotations

import argparse
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ptp.benchmark.load import Phase, Planned, at_rate
from ptp.benchmark.load.verdicts import judge, judge_crowd
from ptp.engine.meters import Statement, recorded
from ptp.evidence import Stage
from ptp.stats import percentile
from ptp.workbench import loading
from ptp.workbench.load_checks import check_answers
from ptp.workbench.loading import Wanted, loadable, prepared
from ptp.workbench.migrating import migrate
from ptp.workbench.server_process import Server, start_server, stop_server
from ptp.workload.answer_log import acknowledged
from ptp.workload.clients import InProcess, OverHttp
from ptp.workload.demo import write_demo
from ptp.workload.limits import LIMITS_MS
from ptp.workload.scenarios import ANSWER
from ptp.workload.users import PROFILES

STALL_S, EVERY_S = 1.0, 10.0
STALL_RATE = 20.0  # low, so that what has waited is served at once when the stall ends, as the formula has it
WORKERS = 2
RATIO, P99_MS = 0.4, 50.0
ANSWERS, KILLS, SENDERS = 10_000, 3, 4
_PRIORITY = -15


def users(target: Path, out: Path, seconds: float) -> bool:
    """1,000 users over HTTP."""
    stage = loading.load(target, out, profile="heavy", driver="http", seconds=seconds, workers=WORKERS)
    (whole,) = stage.tables["Load"]
    due, done = whole["rate_scheduled"], whole["rate_completed"]
    print(f"  {whole['users']:,} users, {due:,.1f} requests/s due, {done:,.1f}/s done")
    _tell(stage)
    return whole["rate_completed"] >= 250 and all(
        f.verdict in ("pass", "not applicable") for f in stage.findings if f.severity != "note"
    )


def stall(target: Path, out: Path, seconds: float) -> bool:
    """A server that is stopped again and again."""
    with loadable(target, out, Wanted()) as database, loading.serving(database) as server:
        wanted = Wanted("light", "http", seconds, rate=STALL_RATE, url=server.url)
        with prepared(database, out, wanted) as ground:
            whole = seconds // EVERY_S * EVERY_S or EVERY_S
            plan = at_rate(
                STALL_RATE,
                actors=100,
                phases=(Phase("steady", "steady", whole),),
                scenarios=ground.cast.scenarios(),
                seed=1,
            )
            ended = threading.Event()
            stopper = threading.Thread(target=_stop_again_and_again, args=(server, ended))
            stopper.start()
            records = ground.run(plan)
            ended.set()
            stopper.join()
    times, calm = np.sort(records.response_ms), float(np.median(records.response_ms))
    print(f"  {len(times):,} requests over {whole:g} s, {dict(records.counts())}; median {calm:.1f} ms")
    held = True
    for q in (0.95, 0.99):
        due, seen = 1_000 * (STALL_S - (1 - q) * EVERY_S), percentile(times.tolist(), q=q)
        held &= abs(seen - due) <= 0.15 * due + 5 * calm
        print(f"  p{100 * q:g}: {seen:,.0f} ms, {due:,.0f} due by the formula")
    for x in (0.2, 0.5, 0.8):
        print(f"  share over {x:g} s: {(times > 1_000 * x).mean():.3f}, {(STALL_S - x) / EVERY_S:.3f} due")
    return held and records.counts()["completed"] == len(plan)


def _stop_again_and_again(server: Server, ended: threading.Event) -> None:
    due = time.monotonic() + EVERY_S / 2
    while not ended.wait(max(due - time.monotonic(), 0)):
        server.signal(signal.SIGSTOP)
        time.sleep(STALL_S)
        server.signal(signal.SIGCONT)
        due += EVERY_S


def plain(target: Path, out: Path, seconds: float) -> bool:
    """The same statements through plain sqlite3, and the load at 0.4 of that rate."""
    calls = _statements(target, out)
    with loadable(target, out, Wanted("heavy", "process")) as database:
        most = _plain_rate(database, calls, out)
    rate = 1.05 * RATIO * most  # arrivals are random: a little more, so that it is not less
    with loadable(target, out, Wanted("heavy", "process")) as database:
        wanted = Wanted("heavy", "process", seconds, rate=rate)
        with prepared(database, out, wanted) as ground:
            plan = wanted.behaviour.schedule(seconds, seed=2, scenarios=ground.cast.scenarios())
            records = ground.run(plan)
        findings = judge(records, limits=LIMITS_MS, inside=True)
    times = np.sort(records.response_ms[plan.measured]).tolist()
    through = records.completed_rate
    p99 = percentile(times, q=0.99)
    print(
        f"  plain sqlite3, 2 processes: {most:,.0f} calls/s; load: {through:,.0f}/s through, ratio {through / most:.2f}"
    )
    p50, p95 = (percentile(times, q=q) for q in (0.5, 0.95))
    print(f"  p50 {p50:.2f}, p95 {p95:.2f}, p99 {p99:.2f} ms (limit {P99_MS:g})")
    print(f"  generator: {judge_crowd(records, limit_ms=P99_MS, inside=True).evidence}")
    return through >= RATIO * most and p99 < P99_MS and findings[0].verdict == "pass"


def _statements(target: Path, out: Path, count: int = 4_000) -> list[list[Statement]]:
    """The statements of the load's first calls, as ptp makes them, on a copy that is then thrown away."""
    wanted = Wanted("heavy", "process")
    with loadable(target, out, wanted) as database, prepared(database, out, wanted) as ground:
        plan = PROFILES["heavy"].schedule(count / 200, seed=1, scenarios=ground.cast.scenarios())
        service = InProcess(database, ground.cast, ground.folder, 0)
        calls = []
        with recorded(service._engine) as seen:
            for number, place, actor in zip(range(count), plan.operation, plan.actor, strict=False):
                seen.clear()
                service.call(Planned(number, plan.operations[place], int(actor)))
                calls.append(list(seen))
        service.close()
    return calls


def _plain_rate(database: Path, calls: list[list[Statement]], out: Path) -> float:
    """Calls a second of two processes, each with half of the calls, one after the other."""
    file = out / "calls.pickle"
    file.write_bytes(pickle.dumps([[(s.sql, s.parameters) for s in call] for call in calls]))
    started = [
        subprocess.Popen(
            [sys.executable, __file__, "--plain", str(database), str(file), str(place)], stdout=subprocess.PIPE
        )
        for place in range(2)
    ]
    return sum(float(process.communicate()[0]) for process in started)


def _be_plain(database: str, file: str, place: int) -> None:
    """One process of the comparison: plain sqlite3 with ptp's pragmas, each call in one transaction."""
    calls = pickle.loads(Path(file).read_bytes())[place::2]
    with closing(sqlite3.connect(database, isolation_level=None, timeout=5, cached_statements=256)) as db:
        for pragma in ("cache_size = -65536", "mmap_size = 268435456", "synchronous = NORMAL", "foreign_keys = ON",
                       "recursive_triggers = ON"):  # fmt: skip
            db.execute(f"PRAGMA {pragma}")
        warm, begun = len(calls) // 5, 0.0
        for number, call in enumerate(calls):
            if number == warm:
                begun = time.perf_counter()
            writes = any(sql.lstrip()[:6].upper() in ("INSERT", "UPDATE", "DELETE") for sql, _ in call)
            db.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
            for sql, values in call:
                db.execute(sql, values or ()).fetchall()
            db.execute("COMMIT" if writes else "ROLLBACK")
        print((len(calls) - warm) / (time.perf_counter() - begun))


def kill(target: Path, out: Path, seconds: float) -> bool:
    """Answers that are sent until they are acknowledged, while the server is killed."""
    with loadable(target, out, Wanted()) as database:
        server = start_server(database)
        wanted = Wanted("heavy", "http", url=server.url)
        with prepared(database, out, wanted) as ground:
            senders = _Senders(ground, server.url)
            port = int(server.url.rpartition(":")[2])
            for kill_ in range(1, KILLS + 1):
                while senders.done < ANSWERS * kill_ // (KILLS + 1):
                    time.sleep(0.01)
                server.kill()
                print(f"  killed with {senders.done:,} acknowledged, {senders.repeated:,} sent again until then")
                server = start_server(database, port=port)
            senders.join()
            stop_server(server)
            sent = {ground.cast.key_of(n): ground.cast.answer(Planned(n, ANSWER, n)) for n in range(ANSWERS)}
            with closing(sqlite3.connect(database)) as db:
                found = check_answers(db, sent=sent, told=acknowledged(ground.folder), after=ground.last)
    print(f"  {senders.done:,} acknowledged, {senders.repeated:,} sent more than once")
    for finding in found:
        print(f"  {finding.verdict}: {finding.claim}; {finding.evidence} {finding.where[:3]}")
    return all(f.verdict == "pass" for f in found) and found[0].n == ANSWERS


class _Senders:
    """Threads that each send their answers, one after the other, each until it is acknowledged."""

    def __init__(self, ground: Any, url: str) -> None:
        self.done = self.repeated = 0
        self._lock = threading.Lock()
        self._services = [OverHttp(url, ground.cast, ground.folder, place) for place in range(SENDERS)]
        self._threads = [threading.Thread(target=self._send, args=(place,)) for place in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _send(self, place: int) -> None:
        service = self._services[place]
        for number in range(place, ANSWERS, SENDERS):
            request, tries = Planned(number, ANSWER, number), 0
            while True:
                tries += 1
                with suppress(Exception):
                    if service.check(request, service.call(request)) is None:
                        break
                time.sleep(0.05)
            with self._lock:
                self.done += 1
                self.repeated += tries > 1


def _tell(stage: Stage) -> None:
    for row in stage.tables["Operations"]:
        print(f"  {row['name']:<26} n {row['n']:>5} p50 {row['p50_ms']:7.1f} p95 {row['p95_ms']:7.1f}"
              f" p99 {row['p99_ms']:7.1f} limit {row['limit_ms']:g} {row['verdict']}")  # fmt: skip
    for finding in stage.findings:
        if finding.verdict != "pass":
            print(f"  {finding.verdict}: {finding.id}: {finding.evidence} {finding.where[:3]}")


@contextmanager
def _going_first(wanted: bool) -> Iterator[None]:
    """Let servers that are started from now on go before other programs."""
    before = loading.serving
    if wanted:

        @contextmanager
        def first(*given: Any, **more: Any) -> Iterator[Server]:
            with before(*given, **more) as server:
                for task in Path(f"/proc/{server.process.pid}/task").iterdir():
                    os.setpriority(os.PRIO_PROCESS, int(task.name), _PRIORITY)
                yield server

        loading.serving = first  # type: ignore[assignment]
        print(f"the server goes before other programs, at niceness {_PRIORITY}")
    try:
        yield
    finally:
        loading.serving = before


TRIALS: dict[str, Callable[[Path, Path, float], bool]] = {"users": users, "stall": stall, "plain": plain, "kill": kill}


def main() -> None:
    if sys.argv[1:2] == ["--plain"]:
        return _be_plain(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trials", nargs="*", choices=[*TRIALS, []], default=list(TRIALS))
    parser.add_argument("--target", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--first", action="store_true")
    given = parser.parse_args()
    failed = []
    with tempfile.TemporaryDirectory(prefix="torture-load-") as name, _going_first(given.first):
        target = given.target or _full_target(Path(name))
        for trial in given.trials:
            out = Path(name) / trial
            out.mkdir()
            print(f"{trial}: load of the machine {os.getloadavg()[0]:.1f}")
            if not TRIALS[trial](target, out, given.seconds):
                failed.append(trial)
            how = "did not hold" if trial in failed else "held"
            print(f"{trial}: {how}; load of the machine {os.getloadavg()[0]:.1f}")
    sys.exit(1 if failed else 0)


def _full_target(folder: Path) -> Path:
    source = write_demo(shape="drizzle", size="full", seed=1, out=folder / "old.db").path
    migrate(source, folder / "new.db", folder, run="torture")
    return folder / "new.db"


if __name__ == "__main__":
    main()
