"""What the monitor costs a statement: the same loop of one short read with it and without, in turns.

.venv/bin/python tools/monitor_cost.py [--rounds 40] [--calls 5000] [--json]

Each round times both loops, in an order that changes from round to round; what counts is the median of the
differences of a round, in µs a statement, with the interval that 95 % of bootstrap medians fall in. The handlers are
timed too, called directly with nothing between: their share of it. The rest is what SQLAlchemy, and ptp's `fetch`
where anybody listens, do to tell the listeners.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import statistics
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import perf_counter

from ptp.engine import fetch, open_engine
from ptp.service.monitoring import query_name, watch

SQL = "SELECT name FROM things WHERE id = ?"
LIMIT_US = 5.0


def main() -> None:
    """Measure, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--calls", type=int, default=5_000)
    parser.add_argument("--json", action="store_true", dest="as_json")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder) / "cost.db", rounds=asked.rounds, calls=asked.calls)
    if asked.as_json:
        print(json.dumps(found))
        return
    print(f"A statement without the monitor takes {found['plain_us']:.2f} µs, with it {found['watched_us']:.2f} µs.")
    low, high = found["low_us"], found["high_us"]
    print(f"The monitor costs {found['cost_us']:.2f} µs ({low:.2f} to {high:.2f}), limit {LIMIT_US}.")
    print(f"Its handlers alone take {found['handlers_us']:.2f} µs.")


def measure(path: Path, *, rounds: int, calls: int) -> dict[str, float]:
    """The cost in µs a statement."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT)")
        db.executemany("INSERT INTO things (name) VALUES (?)", [(f"thing {n}",) for n in range(100)])
        db.commit()
    bare, watched = open_engine(path), open_engine(path)
    monitor = watch(watched)
    pairs = []
    with bare.connect() as plain, watched.connect() as told, query_name("read"):

        def loop(db: object) -> float:
            begun = perf_counter()
            for number in range(calls):
                fetch(db, SQL, (number % 100 + 1,))  # type: ignore[arg-type]
            return (perf_counter() - begun) / calls * 1e6

        def pair(plain_first: bool) -> tuple[float, float]:
            if plain_first:
                one = loop(plain)
                return one, loop(told)
            two = loop(told)
            return loop(plain), two

        pair(True)
        pairs = [pair(number % 2 == 0) for number in range(rounds)]
    handlers = min(_handlers(monitor._before, monitor._after, calls) for _ in range(rounds))
    monitor.close()
    bare.dispose()
    watched.dispose()
    costs = [two - one for one, two in pairs]
    chance = random.Random(1)
    medians = sorted(statistics.median(chance.choices(costs, k=len(costs))) for _ in range(2_000))
    return {
        "plain_us": statistics.median(one for one, _ in pairs),
        "watched_us": statistics.median(two for _, two in pairs),
        "cost_us": statistics.median(costs),
        "low_us": medians[50],
        "high_us": medians[-50],
        "handlers_us": handlers,
    }


def _handlers(before: Callable[..., None], after: Callable[..., None], calls: int) -> float:
    with query_name("read"):
        begun = perf_counter()
        for _ in range(calls):
            before(None, None, SQL, (), None, False)
            after(None, None, SQL, (), None, False)
        return (perf_counter() - begun) / calls * 1e6


if __name__ == "__main__":
    main()
