"""The third stage: every query against its limit, what it costs, what was claimed, and what each index is worth."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from pathlib import Path

from ptp.engine import check_database, check_sound, connect_file, errors_named, open_engine
from ptp.evidence import Stage
from ptp.settings import load_settings
from ptp.workbench import scratch
from ptp.workbench.claims import measure_claims
from ptp.workbench.counting import count_work
from ptp.workbench.economics import index_economics
from ptp.workbench.histories import CONDITIONS, conditions, history_of, history_part
from ptp.workbench.indexing import check_head, inspect_indexes
from ptp.workbench.latencies import time_queries
from ptp.workbench.parts import Part
from ptp.workbench.progress import Progress, part, quiet
from ptp.workload.limits import Measure, Profile

NAME = "03_benchmark"
TITLE = "Benchmark"

_SECONDS: dict[Profile, tuple[float, ...]] = {"quick": (9.0, 2.0, 4.0, 11.0), "full": (70.0, 6.0, 60.0, 330.0)}
"""About how long each part takes on two processors, for the time left."""


def benchmark(
    target: Path,
    out: Path,
    *,
    source: Path | None = None,
    profile: Profile = "quick",
    measure: Measure = "all",
    seed: int = 1,
    progress: Progress = quiet,
) -> Stage:
    """Measure the queries of `target` on copies in `out`, removed afterwards; `target` and `source` are only read.

    The same queries as the old application wrote them run on a copy of `source`, where it has the raw shape. With
    `measure` "times" nothing is measured but the queries against their limits.
    """
    started = time.perf_counter()
    check_benchmarkable(target)
    progress(0.0, "copying the target")
    parts: Sequence[Callable[[Progress], Part]] = (
        lambda shown: _times(target, out, profile=profile, seed=seed, progress=shown),
        lambda shown: _work(target, out, seed=seed, progress=shown),
        lambda shown: index_economics(target, out, profile=profile, seed=seed, progress=shown),
        lambda shown: measure_claims(source, target, out, profile=profile, seed=seed, progress=shown),
    )
    seconds = _SECONDS[profile] if measure == "all" else _SECONDS[profile][:1]
    ends = [end / sum(seconds) for end in accumulate(seconds, initial=0.0)]
    whole = Part((), {CONDITIONS: [conditions(target, profile=profile, seed=seed)]})
    for measured, (start, end) in zip(parts, pairwise(ends), strict=False):
        whole += measured(part(progress, start, end))
    whole += history_part(history_of(load_settings().reports_dir))
    return Stage(NAME, TITLE, time.perf_counter() - started, whole.results, whole.tables)


def check_benchmarkable(target: Path) -> None:
    """Make sure that `target` is a database that ptp built; raises UsageError."""
    check_database(target)
    with errors_named(target), connect_file(target, read_only=True) as db:
        check_head(db, target)
    check_sound(target)


def _times(target: Path, out: Path, *, profile: Profile, seed: int, progress: Progress) -> Part:
    with scratch.copied(target, out) as copy:
        found = time_queries(copy, profile=profile, seed=seed, progress=progress)
    with errors_named(target), connect_file(target, read_only=True) as db:
        indexes = inspect_indexes(db)
    return found + Part(indexes.findings, {"Indexes": indexes.rows})


def _work(target: Path, out: Path, *, seed: int, progress: Progress) -> Part:
    with scratch.copied(target, out) as copy:
        engine = open_engine(copy, settings=load_settings())
        try:
            return count_work(engine, copy, seed=seed, progress=progress)
        finally:
            engine.dispose()
