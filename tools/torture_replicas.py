"""A long trial, by hand: one writer and four replicas on the real sync server; `make torture-replicas`.

    python tools/torture_replicas.py [--seconds 60] [--writes 20] [--replicas 4] [--every 0.25]

The writer writes to the primary by SQL; each row holds the time at which it was sent. Each replica is a process that
pulls every so many seconds and reads on another thread: points of its own file, interleaved with the same points of a
plain pyturso file in the same process, so that both meet the same machine. Asked of it:

    after the last pull each replica equals the primary, by the digest of its rows as the writer's own client reads them
    no replica reads slower than 3 times a local pyturso read, by the upper end of the interval of the ratio of medians

The lag of a row is from its being sent to its being first seen in a replica: it holds the write itself, the wait for
the next pull, and the pull. All processes share one clock.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

ROWS = 2_000
LIMIT = 3.0
POINT = "SELECT id, sent, body FROM note WHERE id = ?"
DDL = "CREATE TABLE note (id INTEGER PRIMARY KEY, sent REAL, body TEXT)"


def replica_process(path: str, url: str, every_s: float) -> None:
    """Pull until told to stop on stdin, read meanwhile; print what was seen as one JSON object."""
    import turso

    from ptp.engine.replicas import create_replica, digest

    local = turso.connect(f"{path}.local", isolation_level=None)
    local.execute(DDL)
    local.executemany("INSERT INTO note VALUES (?, ?, ?)", [(n, 0.5, "x" * 100) for n in range(1, ROWS + 1)])
    stop = threading.Event()
    reads: dict[str, list[int]] = {"replica": [], "local": []}
    with create_replica(Path(path), url) as replica:
        reader = threading.Thread(target=_read, args=(replica.connect(), local, reads, stop))
        watcher = replica.connect()
        print("ready", flush=True)
        threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
        reader.start()
        lags: list[float] = []
        pulls: list[float] = []
        newest = 0
        while not stop.is_set():
            began = time.monotonic()
            pulls.append(replica.pull().seconds)
            seen = time.time()
            fresh = watcher.execute(
                "SELECT id, sent FROM note WHERE id > ? ORDER BY id", (max(newest, ROWS),)
            ).fetchall()
            lags += [seen - sent for _, sent in fresh]
            newest = max([newest, *(row[0] for row in fresh)])
            time.sleep(max(every_s - (time.monotonic() - began), 0))
        reader.join()
        while replica.pull().changed:
            pass
        rows = watcher.execute("SELECT id, sent, body FROM note ORDER BY id").fetchall()
        own = digest(lambda sql, values: watcher.execute(sql, values).fetchall(), "note")
        print(
            json.dumps(
                {"lags": lags, "pulls": pulls, "sha256": sha(rows), "own": own.sha256, "rows": len(rows), **reads}
            )
        )


def _read(replica: Any, local: Any, reads: dict[str, list[int]], stop: threading.Event) -> None:
    """The same points of both, in an order that is drawn for each pair; the processor is left to others between."""
    draw = random.Random(1)
    while not stop.is_set():
        key = draw.randrange(1, ROWS + 1)
        for name in draw.sample(("replica", "local"), 2):
            db = replica if name == "replica" else local
            started = time.perf_counter_ns()
            found = db.execute(POINT, (key,)).fetchone()
            reads[name].append(time.perf_counter_ns() - started)
            assert found is not None
        time.sleep(0.005)


def sha(rows: list[Any]) -> str:
    """A digest of rows in order, of this trial's own."""
    return hashlib.sha256(repr([tuple(row) for row in rows]).encode()).hexdigest()


def write(server: Any, *, seconds: float, rate: float) -> tuple[int, float]:
    """Write at a steady rate for so many seconds, each row by itself; how many, and the worst lateness in seconds."""
    from tests.replicas.primary import sql

    started, number, late = time.monotonic(), 0, 0.0
    while (due := number / rate) < seconds:
        ahead = started + due - time.monotonic()
        late = max(late, -ahead)
        time.sleep(max(ahead, 0))
        number += 1
        sql(server, f"INSERT INTO note VALUES ({ROWS + number}, {time.time()!r}, hex(randomblob(50)))")
    return number, late


def interval(replica: list[int], local: list[int], *, draws: int = 400) -> tuple[float, float, float]:
    """The ratio of the medians, and a 95 % interval by resampling of blocks of 50 pairs, as neighbours are alike."""
    pairs = list(zip(replica, local, strict=False))
    blocks = [pairs[n : n + 50] for n in range(0, len(pairs) - 49, 50)]
    draw = random.Random(2)
    found = []
    for _ in range(draws):
        sample = [p for b in draw.choices(blocks, k=len(blocks)) for p in b]
        found.append(statistics.median(r for r, _ in sample) / statistics.median(each for _, each in sample))
    found.sort()
    middle = statistics.median(replica) / statistics.median(local)
    return middle, found[int(draws * 0.025)], found[int(draws * 0.975)]


def quantile(values: list[float], q: float) -> float:
    """The nearest rank."""
    ordered = sorted(values)
    return ordered[min(int(q * len(ordered)), len(ordered) - 1)]


def trial(folder: Path, given: argparse.Namespace) -> bool:
    """The whole trial; whether all of it held."""
    from tests.replicas.primary import sql
    from tests.replicas.server import SyncServer

    with SyncServer(folder / "primary.db") as server:
        sql(server, DDL, f"INSERT INTO note SELECT value, 0.5, hex(randomblob(50)) FROM generate_series(1, {ROWS})")
        me = [sys.executable, __file__, "--replica", server.url, "--every", str(given.every)]
        children = [
            subprocess.Popen(
                [*me, str(folder / f"replica{n}.db")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for n in range(given.replicas)
        ]
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        count, late = write(server, seconds=given.seconds, rate=given.writes)
        told = [json.loads(child.communicate("stop\n")[0]) for child in children]
        wanted = sql(server, "SELECT id, sent, body FROM note ORDER BY id")[0]
    print(f"{count} writes in {given.seconds:g} s, at worst {late * 1000:.0f} ms late; {len(wanted)} rows")
    held = len(wanted) == ROWS + count
    for number, each in enumerate(told):
        ratio, low, high = interval(each["replica"], each["local"])
        equal = each["sha256"] == sha(wanted) and each["own"] == told[0]["own"]
        all_seen = len(each["lags"]) >= count * 0.95
        held = held and equal and all_seen and high <= LIMIT
        print(
            f"replica {number}: {'equal' if equal else 'DIFFERS'}, {len(each['pulls'])} pulls, "
            f"pull p95 {quantile(each['pulls'], 0.95) * 1000:.0f} ms; "
            f"lag p50 {quantile(each['lags'], 0.5) * 1000:.0f} ms, p95 {quantile(each['lags'], 0.95) * 1000:.0f} ms, "
            f"max {max(each['lags']) * 1000:.0f} ms; read {statistics.median(each['replica']) / 1000:.0f} us against "
            f"{statistics.median(each['local']) / 1000:.0f} us, ratio {ratio:.2f} ({low:.2f} to {high:.2f}), "
            f"n = {len(each['replica'])}"
        )
    lags = [lag for each in told for lag in each["lags"]]
    print(f"all replicas: lag p50 {quantile(lags, 0.5) * 1000:.0f} ms, p95 {quantile(lags, 0.95) * 1000:.0f} ms")
    print("held" if held else "DID NOT HOLD")
    return held


def main() -> None:
    parser = argparse.ArgumentParser(description="A writer and replicas on the real sync server of Turso.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--writes", type=float, default=20, help="a second")
    parser.add_argument("--replicas", type=int, default=4)
    parser.add_argument("--every", type=float, default=0.25, help="seconds from pull to pull")
    parser.add_argument("--replica", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("path", nargs="?", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.replica:
        replica_process(given.path, given.replica, given.every)
        return
    with TemporaryDirectory() as folder:
        sys.exit(0 if trial(Path(folder), given) else 1)


if __name__ == "__main__":
    main()
