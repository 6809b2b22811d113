"""What the harness costs a call beside a plain loop, and its p50 of a known query beside that of pyperf.

    python tools/harness_cost.py [--rounds 7]

The known query is a point read by key through sqlite3 in memory, the same function for both. pyperf runs it in loops of
64, in a process of its own, and tells the mean of each; the harness times single calls. What is compared is the median
of the loops and that of the calls, each round both in turn, in the median of the rounds. The targets: under 2 us a
call, and within 5 %.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ptp.benchmark import Case, resolution_ns, time_calls
from ptp.benchmark.selfcheck import COST_US, cost_us, empty
from ptp.stats import percentile

ROWS = 10_000
WITHIN = 0.05
LOOPS = ("-l", "64", "-n", "2000", "-w", "100")
"""Short loops and many: in a long one the machine does something else meanwhile, and the mean has it too."""


def known_query() -> Callable[[], object]:
    """A point read by key, with keys that come round in an order drawn once."""
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE point (id INTEGER PRIMARY KEY, body TEXT NOT NULL)")
    db.executemany("INSERT INTO point VALUES (?, ?)", ((key, f"row {key}" * 8) for key in range(ROWS)))
    keys = list(range(ROWS))
    random.Random(1).shuffle(keys)
    place = 0

    def read() -> object:
        nonlocal place
        place = (place + 1) % ROWS
        return db.execute("SELECT id, body FROM point WHERE id = ?", (keys[place],)).fetchone()

    return read


def by_harness() -> float:
    """The p50 in us."""
    case = Case("point", "", 1.0, call=known_query(), warmup=2_000, n=20_000)
    return percentile(time_calls(case, clock=time.perf_counter_ns).ordered_ms, q=0.5) * 1e3


def by_pyperf(folder: Path) -> float:
    """The median of its values in us, each the mean of a loop."""
    out = folder / "pyperf.json"
    out.unlink(missing_ok=True)
    command = [sys.executable, __file__, "--as-pyperf", "--quiet", "-p", "1", *LOOPS, "-o", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    document = json.loads(out.read_text(encoding="utf-8"))
    values = [value for run in document["benchmarks"][0]["runs"] for value in run.get("values", ())]
    return statistics.median(values) * 1e6


def as_pyperf() -> None:
    import pyperf

    sys.argv.remove("--as-pyperf")
    runner = pyperf.Runner(program_args=(__file__, "--as-pyperf"))
    runner.bench_func("point", known_query())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    clock = time.perf_counter_ns
    costs = {"an empty call": empty, "a point read": known_query()}
    print(f"clock: moves in steps of {resolution_ns(clock)} ns")
    for what, call in costs.items():
        print(f"cost of the harness beside a plain loop of {what}: {cost_us(clock, call):.3f} us (target {COST_US:g})")
    ours, theirs = [], []
    with tempfile.TemporaryDirectory(prefix="ptp-harness-") as name:
        for number in range(rounds):
            for which in ("ours", "theirs") if number % 2 else ("theirs", "ours"):
                if which == "ours":
                    ours.append(by_harness())
                else:
                    theirs.append(by_pyperf(Path(name)))
            print(f"  round {number + 1}: harness p50 {ours[-1]:.3f} us, pyperf {theirs[-1]:.3f} us")
    one, other = statistics.median(ours), statistics.median(theirs)
    print(
        f"median of {rounds} rounds: harness {one:.3f} us, pyperf {other:.3f} us, ratio {one / other:.3f} "
        f"(target within {WITHIN:.0%})"
    )


if __name__ == "__main__":
    as_pyperf() if "--as-pyperf" in sys.argv else main()
