"""Measure an offline migration beside its floor: the same copies and indexes as plain INSERT..SELECT, in the same run.

    python tools/migration_speed.py [--size full|quick|tiny] [--times 1] [--rounds 3]

`--times 10` multiplies the answers of the demo. The floor is the least that could do the work: the target's tables,
`INSERT … SELECT` through the conversions, the indexes, no journal, one sync at the end. Beside it: the whole build
(which also fills what is derived: the pool, totals, full text) and the whole of `ptp migrate` (with preflight and
proven backup), by parts, with the most memory that the process ever had.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sqlite3
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path

from ptp.engine.files import read_only_uri
from ptp.migration.build import build
from ptp.migration.plan import Plan
from ptp.workbench.migrating import migrate, plan_of
from ptp.workload.demo import SizeName, write_demo

_FLOOR = ("setting", "table", "copy", "index")


def main() -> None:
    """Run the rounds in turn and print medians and ratios."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--size", default="full", choices=["tiny", "quick", "full"])
    options.add_argument("--times", type=int, default=1)
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="ptp-speed-") as name:
        folder = Path(name)
        source = folder / "source.db"
        with ProcessPoolExecutor(1) as other:  # its memory is not that of the migration
            other.submit(make_source, source, given.size, given.times).result()
        plan = plan_of(source)
        took: dict[str, list[float]] = {"floor": [], "build": [], "migrate": []}
        for _ in range(given.rounds):
            took["floor"].append(floor(source, folder, plan))
            took["build"].append(built(source, folder, plan))
            took["migrate"].append(migrated(source, folder))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        middle = {name: statistics.median(values) for name, values in took.items()}
        print(
            f"{sum(plan.rows.values()):,} rows, {source.stat().st_size / 1e6:,.0f} MB: floor {middle['floor']:.2f} s, "
            f"build {middle['build']:.2f} s (ratio {middle['build'] / middle['floor']:.2f}), whole migration "
            f"{middle['migrate']:.2f} s (ratio {middle['migrate'] / middle['floor']:.2f}); peak memory {peak:,.0f} MB"
        )


def make_source(source: Path, size: SizeName, times: int) -> None:
    """A demo source with so many times its answers."""
    write_demo(shape="raw", size=size, seed=1, out=source)
    multiply(source, times)


def multiply(source: Path, times: int) -> None:
    """Give a source so many times its answers."""
    with closing(sqlite3.connect(source, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA journal_mode = OFF")
        columns = [r[1] for r in db.execute("PRAGMA table_info(user_answers)") if r[1] != "id"]
        names = ", ".join(columns)
        (rows,) = db.execute("SELECT max(id) FROM user_answers").fetchone()
        for _ in range(times - 1):
            db.execute(f"INSERT INTO user_answers ({names}) SELECT {names} FROM user_answers WHERE id <= {rows}")
        db.execute("PRAGMA journal_mode = DELETE")


def floor(source: Path, folder: Path, plan: Plan) -> float:
    """The seconds of the copies and the indexes alone."""
    target = folder / "floor.db"
    started = time.perf_counter()
    with closing(sqlite3.connect(target, uri=True, isolation_level=None)) as db:
        for statement in plan.statements:
            if statement.kind in _FLOOR:
                db.execute(statement.sql, {"source": read_only_uri(source)}).fetchall()
        db.execute("COMMIT")
    os.sync()
    took = time.perf_counter() - started
    target.unlink()
    return took


def built(source: Path, folder: Path, plan: Plan) -> float:
    """The seconds of the build."""
    target = folder / "built.db"
    started = time.perf_counter()
    build(plan, source=source, target=target, run="speed", now=0, progress=lambda fraction, text: None)
    took = time.perf_counter() - started
    target.unlink()
    return took


def migrated(source: Path, folder: Path) -> float:
    """The seconds of the whole first stage."""
    out, target = folder / "out", folder / "migrated.db"
    out.mkdir()
    started = time.perf_counter()
    migrate(source, target, out, run="speed")
    took = time.perf_counter() - started
    target.unlink()
    shutil.rmtree(out)
    return took


if __name__ == "__main__":
    main()
