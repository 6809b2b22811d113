"""`make torture-online`: an online migration at full size under a writer, with figures; run by hand.

For each run: a copy of the full raw demo in WAL mode, a process that runs 200 transactions a second on it (each due at
its time, whatever the one before it took), first for a control period without migration, then through the migration,
until after the cut over. The witness is an offline migration of the source as it was left, to which the rows are added
that the writer put into the target; both are read with plain SQL.

    python tools/torture_online.py [--runs 5] [--rate 200] [--size full] [--keep DIR]
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ptp.engine import read_inventory
from ptp.engine.following import Follower
from ptp.migration.capture import Watched, capture_sql
from ptp.migration.watching import end_capture
from ptp.results import Measurement
from ptp.workbench.migrating import migrate
from ptp.workbench.online import migrate_online
from ptp.workload.demo import write_demo

EXCESS_MS, WAL_MB, TOTAL_S = 50.0, 64.0, 60.0
_DERIVED = ("question_cells", "question_pool")  # their slots depend on the order of the writes


def main() -> None:
    """Run the trials and print a line each, and whether all of them held the limits."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--rate", type=float, default=200)
    options.add_argument("--size", default="full", choices=["tiny", "quick", "full"])
    options.add_argument("--writer", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.writer:
        write(Path(given.writer), given.rate)
        return
    with tempfile.TemporaryDirectory(prefix="ptp-torture-") as name:
        folder = Path(name)
        demo = folder / "demo.db"
        write_demo(shape="raw", size=given.size, seed=1, out=demo)
        with closing(sqlite3.connect(demo)) as db:
            db.execute("PRAGMA journal_mode = WAL")
        capture_cost(demo, folder)
        held = [trial(demo, folder / f"run-{n}", given.rate) for n in range(given.runs)]
    print(f"{sum(held)} of {len(held)} runs held every limit.")
    sys.exit(not all(held))


def trial(demo: Path, folder: Path, rate: float) -> bool:
    """One run; prints its figures, and says whether they hold the limits."""
    folder.mkdir()
    source, target = folder / "old.db", folder / "new.db"
    shutil.copy(demo, source)
    command = [sys.executable, __file__, "--writer", str(source), "--rate", str(rate)]
    writer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert writer.stdin is not None
    with peak_of(source.with_name(source.name + "-wal")) as wal:
        time.sleep(3)  # warm
        control = time.time()
        time.sleep(12)
        begun = time.time()
        (folder / "out").mkdir()
        stage = migrate_online(source, target, folder / "out", run="torture")
        ended = time.time()
        time.sleep(3)
    writer.stdin.write("stop\n")
    told, _ = writer.communicate()
    found = json.loads(told)
    before = [r for due, r in found["responses"] if control <= due < begun]
    during = [r for due, r in found["responses"] if begun <= due < ended + 2]
    excess = max(during) - max(before), quantile(during, 0.999) - quantile(before, 0.999)
    equal = differences(source, target, found["added"], folder)
    pause = next(f.value for f in stage.findings if f.id == "migrate.pause")
    laps = [(r.what.partition(": ")[2], r.samples[0]) for r in stage.results if isinstance(r, Measurement)]
    phases = ", ".join(f"{name} {seconds:.2f}" for name, seconds in laps)
    print(
        f"migrated in {ended - begun:.1f} s ({phases}), "
        f"pause {pause} ms; {len(during)} transactions during, {len(found['failed'])} failed {found['failed'][:2]}; "
        f"response worst {max(during):.1f} ms (control {max(before):.1f}), p99.9 {quantile(during, 0.999):.1f} ms "
        f"(control {quantile(before, 0.999):.1f}); WAL peak {wal[0] / 1e6:.1f} MB; "
        f"differences from an offline run plus {len(found['added'])} writes: {equal or 'none'}",
        flush=True,
    )
    shutil.rmtree(folder)
    return (
        not found["failed"]
        and not equal
        and max(excess) < EXCESS_MS
        and wal[0] < WAL_MB * 1e6
        and ended - begun < TOTAL_S
    )


def quantile(values: list[float], share: float) -> float:
    """The value below which that share of the values lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


@contextmanager
def peak_of(path: Path) -> Iterator[list[int]]:
    """The largest size that a file had meanwhile."""
    found, stop = [0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.005):
            if path.exists():
                found[0] = max(found[0], path.stat().st_size)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def differences(source: Path, target: Path, added: list[list[Any]], folder: Path) -> list[str]:
    """Where the target is not what an offline run makes of the source as it was left, plus the rows added since."""
    twin = folder / "offline.db"
    (folder / "offline").mkdir()
    end_capture(source)
    migrate(source, twin, folder / "offline", run="offline")
    with closing(sqlite3.connect(twin)) as db:
        db.executemany("INSERT INTO audit_log (id, action, entity_type, created_at) VALUES (?, ?, 'torture', 0)", added)
        db.commit()
        db.execute("ATTACH ? AS other", (str(target),))
        names = [n for n, t in read_inventory(db).tables.items() if not t.is_virtual and n not in _DERIVED]
        return [n for n in names if not n.startswith("ptp_") and not _same(db, n)]


def _same(db: sqlite3.Connection, name: str) -> bool:
    sides = ((f"main.{name}", f"other.{name}"), (f"other.{name}", f"main.{name}"))
    return all(
        db.execute(f"SELECT count(*) FROM (SELECT * FROM {a} EXCEPT SELECT * FROM {b})").fetchone() == (0,)
        and db.execute(f"SELECT (SELECT count(*) FROM {a}) = (SELECT count(*) FROM {b})").fetchone() == (1,)
        for a, b in sides
    )


class Writes:
    """The transactions of the writer, by turns of a seeded draw."""

    def __init__(self, source: Path) -> None:
        with closing(sqlite3.connect(source)) as db:
            self.users, self.answers, self.exams = (
                db.execute(f"SELECT max(id) FROM {name}").fetchone()[0] for name in ("users", "user_answers", "exams")
            )
        self.rng = random.Random(7)
        self.number = 0
        self.added: list[tuple[int, str]] = []

    def old(self, db: Any) -> None:
        """As the old application writes: insert, update, delete, REPLACE, swapped unique values, changed keys."""
        rng, n = self.rng, self.number
        user, exam, answer = rng.randint(1, self.users - 1), rng.randint(1, self.exams), rng.randint(1, self.answers)
        some = "(SELECT min(id) FROM user_progress WHERE id > ?)"
        place = rng.randint(1, self.users // 2)
        run: Callable[..., Any] = db.exec_driver_sql
        kind = rng.random()
        if kind < 0.3:
            run("UPDATE users SET bio = ?, login_count = login_count + 1 WHERE id = ?", (f"bio {n}", user))
        elif kind < 0.5:
            run("UPDATE user_answers SET time_spent_seconds = ? WHERE id = ?", (n % 100, answer))
        elif kind < 0.65:
            run(
                "INSERT INTO user_answers (user_id, question_id, selected_answer, is_correct, answered_at) SELECT "
                "user_id, question_id, selected_answer, is_correct, '2026-01-01 10:00:00' FROM user_answers "
                "WHERE id = ?",
                (answer,),
            )
        elif kind < 0.75:
            sql = "INSERT OR REPLACE INTO user_progress (user_id, exam_id, total_questions_seen) VALUES (?, ?, ?)"
            run(sql, (user, exam, n % 200))
        elif kind < 0.83:
            run(f"UPDATE OR REPLACE user_progress SET user_id = ?, exam_id = ? WHERE id = {some}", (user, exam, place))
        elif kind < 0.88:
            new = "(SELECT max(id) + 1 FROM user_progress)"
            run(f"UPDATE user_progress SET id = {new} WHERE id = {some}", (place,))
        elif kind < 0.95:
            mails = [run("SELECT email FROM users WHERE id = ?", (u,)).scalar() for u in (user, user + 1)]
            run("UPDATE users SET email = 'between' WHERE id = ?", (user,))
            run("UPDATE users SET email = ? WHERE id = ?", (mails[0], user + 1))
            run("UPDATE users SET email = ? WHERE id = ?", (mails[1], user))
        else:
            run(f"DELETE FROM user_progress WHERE id = {some}", (place,))

    def head(self, db: Any) -> None:
        """As the new one does: rows of its own, which the witness adds as well."""
        row = (1_000_000 + self.number, f"write {self.number}")
        sql = "INSERT INTO audit_log (id, action, entity_type, created_at) VALUES (?, ?, 'torture', 0)"
        db.exec_driver_sql(sql, row)
        self.added.append(row)


def write(source: Path, rate: float) -> None:
    """Be the writer, until a line comes in; prints what each transaction took from when it was due, in ms."""
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
    writes, follower = Writes(source), Follower(source, shape="raw")
    responses: list[tuple[float, float]] = []
    failed: list[str] = []
    start, wall = time.perf_counter(), time.time()
    while not stop.is_set():
        due = start + writes.number / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        kept = len(writes.added)
        try:
            follower.transact({"raw": writes.old, "head": writes.head})
        except Exception as problem:
            del writes.added[kept:]
            failed.append(repr(problem))
        responses.append((wall + due - start, (time.perf_counter() - due) * 1e3))
        writes.number += 1
    follower.close()
    print(json.dumps({"responses": responses, "failed": failed, "added": writes.added}))


def capture_cost(demo: Path, folder: Path) -> None:
    """What the capture costs a write: the same statements on two copies by turns, one with triggers; ms and ratio."""
    plain, watched = (Path(shutil.copy(demo, folder / f"{name}.db")) for name in ("plain", "watched"))
    with closing(sqlite3.connect(watched, isolation_level=None)) as db:
        tables = [t for t in read_inventory(db).tables.values() if t.name != "sqlite_sequence"]
        for sql in capture_sql([Watched(t, t.key) for t in tables], other="new.db"):
            db.execute(sql)
        db.execute(
            "INSERT INTO ptp_move (id, state, shape, other, phase, run, plan, owner, at) "
            "VALUES (1, 'open', 'raw', 'new.db', 'capture', '', '', '', 0)"
        )
    statements = {
        "insert": "INSERT INTO user_answers (user_id, question_id, selected_answer, is_correct) VALUES (1, 1, 'a', 1)",
        "update": "UPDATE user_answers SET time_spent_seconds = ?1 % 100 WHERE id = 1 + ?1 % 2000",
        "update of a unique key": "UPDATE users SET email = 'mail ' || ?1 WHERE id = 1 + ?1 % 100",
        "delete": "DELETE FROM user_answers WHERE id = (SELECT max(id) FROM user_answers)",
        "replace": "REPLACE INTO user_progress (user_id, exam_id, total_questions_seen) VALUES (1 + ?1 % 50, 1, ?1)",
    }
    with (
        closing(sqlite3.connect(plain, isolation_level=None)) as a,
        closing(sqlite3.connect(watched, isolation_level=None)) as b,
    ):
        for db in (a, b):
            db.execute("PRAGMA synchronous = NORMAL")
        for name, sql in statements.items():
            took = [[], []]  # type: list[list[float]]
            for number in range(600):
                for side in random.sample((0, 1), 2):
                    db = (a, b)[side]
                    started = time.perf_counter()
                    db.execute(sql, (number,) if "?1" in sql else ())
                    took[side].append(time.perf_counter() - started)
            mine, theirs = (quantile(t, 0.5) * 1e6 for t in took)
            print(f"capture of one {name}: {mine:.0f} us without, {theirs:.0f} us with, ratio {theirs / mine:.2f}")
    for path in (plain, watched):
        for left in folder.glob(path.name + "*"):
            left.unlink()


if __name__ == "__main__":
    main()
