"""Measure `take_backup` beside SQLite's own one-step backup, alone and under a writer of 200 transactions a second.

    python tools/backup_speed.py [--answers full|quick|tiny] [--rounds 5] [--mode wal|delete]

Both copy the same file in turn, in alternating order, into the same folder, each synced to the disk. The proof is timed
apart. The ratio is that of the medians: 1.0 means as fast as the engine, and 0.8 is the least that is good enough.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ptp.migration.backup import sync, take_backup
from ptp.migration.record import read_record
from ptp.workload.demo import write_demo

WRITER = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
db.execute("PRAGMA synchronous = NORMAL")
done, failed, worst, start = 0, 0, 0.0, time.perf_counter()
print("ready", flush=True)
try:
    while True:
        due = start + done / 200
        time.sleep(max(0.0, due - time.perf_counter()))
        before = time.perf_counter()
        try:
            db.execute("INSERT INTO ptp_speed VALUES (?, ?)", (done, "x" * 200))
        except sqlite3.Error:
            failed += 1
        worst = max(worst, time.perf_counter() - before)
        done += 1
except KeyboardInterrupt:
    print(done, failed, round(worst * 1000, 1), round(done / (time.perf_counter() - start)))
"""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.5)
        yield
        process.send_signal(2)
        done, failed, worst, rate = process.stdout.readline().split()
        print(f"  writer: {done} transactions, {rate}/s, {failed} failed, the worst took {worst} ms")


def engine(source: Path, copy: Path) -> float:
    """Seconds of SQLite's backup, from when the lock of a reader is had: for that alone it would wait without end."""
    with closing(sqlite3.connect(source, timeout=60, isolation_level=None)) as db:
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        started = time.perf_counter()
        with closing(sqlite3.connect(copy)) as new:
            db.backup(new, pages=-1)
        sync(copy)
        return time.perf_counter() - started


def measure(source: Path, folder: Path, rounds: int) -> tuple[float, float, float]:
    times: dict[str, list[float]] = {"engine": [], "ptp": [], "proof": []}
    for number in range(rounds + 1):
        for name in ("engine", "ptp") if number % 2 else ("ptp", "engine"):
            copy = folder / f"{name}.db"
            if name == "engine":
                times[name].append(engine(source, copy))
            else:
                take_backup(source, copy, progress=lambda share, text: None, record=True)
                seconds = read_record(copy).seconds
                times["ptp"].append(seconds["backup"])
                times["proof"].append(seconds["proof"])
            for path in folder.iterdir():
                path.unlink()
            os.sync()
    one, other, proof = (statistics.median(times[name][1:]) for name in ("engine", "ptp", "proof"))
    return one, other, proof


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--answers", choices=("tiny", "quick", "full"), default="full")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mode", choices=("wal", "delete"), default="wal")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ptp-backup-speed-") as name:
        source, folder = Path(name, "source.db"), Path(name, "copies")
        folder.mkdir()
        made = write_demo(shape="raw", size=given.answers, seed=1, out=source)
        with closing(sqlite3.connect(source, isolation_level=None)) as db:
            db.execute(f"PRAGMA journal_mode = {given.mode}")
            db.execute("CREATE TABLE ptp_speed (n, t)")
        print(
            f"{sum(made.rows.values()):,} rows, {source.stat().st_size / 1e6:,.0f} MB, "
            f"{given.mode}, {given.rounds} rounds"
        )
        for label in ("alone", "under 200 transactions/s"):
            if label == "alone":
                found = measure(source, folder, given.rounds)
            else:
                with writing(source):
                    found = measure(source, folder, given.rounds)
            one, other, proof = found
            print(f"{label}: engine {one:.3f} s, ptp {other:.3f} s, ratio {one / other:.2f}; proof {proof:.3f} s")


if __name__ == "__main__":
    main()
