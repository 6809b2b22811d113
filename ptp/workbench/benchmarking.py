"""The third stage: every query of the application timed against its limit, on a copy of the target."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ptp.benchmark import check_harness, measure
from ptp.engine import check_database, check_sound, connect_file, errors_named, open_engine
from ptp.engine.environment import environment
from ptp.evidence import Stage
from ptp.migration.backup import check_space, step
from ptp.settings import load_settings
from ptp.workbench.indexing import check_head, inspect_indexes
from ptp.workbench.progress import Progress, quiet
from ptp.workload.cases import benchmark_cases
from ptp.workload.limits import Profile

NAME = "03_benchmark"
TITLE = "Benchmark"
_SCRATCH = "bench-scratch.db"
_GROWTH = 64_000_000  # bytes that the cases which write add to the copy and its log: 41 MB with profile full


def benchmark(
    target: Path, out: Path, *, profile: Profile = "quick", seed: int = 1, progress: Progress = quiet
) -> Stage:
    """Time the queries on a copy of `target` in `out`, which is removed afterwards; `target` is only read.

    Some cases write, and a database that has been verified must stay as it was.
    """
    started = time.perf_counter()
    check_benchmarkable(target)
    progress(0.0, "copying the target")
    with _copy(target, out / _SCRATCH) as copy:
        engine = open_engine(copy, settings=load_settings())
        try:
            cases = benchmark_cases(engine, profile=profile, seed=seed)
            names = [c.name for c in cases if not c.not_applicable]

            def counted(name: str, taken: int, wanted: int) -> None:
                progress(0.05 + 0.95 * (names.index(name) + taken / wanted) / len(names), f"timing {name}")

            found = measure(cases, environment=environment(), progress=counted)
        finally:
            engine.dispose()
        with connect_file(copy, read_only=True) as db:
            indexes = inspect_indexes(db)
    findings = (check_harness(cases), *(latency.finding for latency in found), *indexes.findings)
    measurements = tuple(latency.measurement for latency in found if latency.measurement.samples)
    tables = {"Latency": [dict(latency.row) for latency in found], "Indexes": indexes.rows}
    return Stage(NAME, TITLE, time.perf_counter() - started, (*findings, *measurements), tables)


def check_benchmarkable(target: Path) -> None:
    """Make sure that `target` is a database that ptp built; raises UsageError."""
    check_database(target)
    with errors_named(target), connect_file(target, read_only=True) as db:
        check_head(db, target)
    check_sound(target)


@contextmanager
def _copy(target: Path, copy: Path) -> Iterator[Path]:
    check_space(copy.parent, needed_bytes=target.stat().st_size + _GROWTH)
    try:
        with errors_named(copy), connect_file(target, read_only=True) as db, connect_file(copy) as scratch:
            step(db, scratch, target)
        with errors_named(copy):
            yield copy
    finally:
        remove_scratch(copy.parent)


def remove_scratch(out: Path) -> None:
    """Remove the copy that a benchmark in `out` works on: also of one whose kernel was killed."""
    for suffix in ("", "-journal", "-wal", "-shm"):
        (out / (_SCRATCH + suffix)).unlink(missing_ok=True)
