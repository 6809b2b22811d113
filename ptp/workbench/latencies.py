"""Every query of the application timed against its limit, with the self-check of what timed it."""

from __future__ import annotations

import random
from pathlib import Path

from ptp.benchmark import family_note, measure, self_check
from ptp.engine import open_engine
from ptp.engine.environment import environment
from ptp.settings import load_settings
from ptp.workbench.parts import Part
from ptp.workbench.progress import Progress, part, quiet
from ptp.workload.cases import benchmark_cases
from ptp.workload.limits import Profile

TABLE = "Latency"


def time_queries(copy: Path, *, profile: Profile = "quick", seed: int = 1, progress: Progress = quiet) -> Part:
    """Time the queries on `copy`, which may be thrown away: some of them write."""
    engine = open_engine(copy, settings=load_settings())
    try:
        cases = benchmark_cases(engine, profile=profile, seed=seed)
        progress(0.0, "checking the harness itself")
        checks = self_check(cases, chance=random.Random(seed))
        names = [c.name for c in cases if not c.not_applicable]
        rest = part(progress, 0.1, 1.0)

        def counted(name: str, taken: int, wanted: int) -> None:
            rest((names.index(name) + taken / wanted) / len(names), f"timing {name}")

        found = measure(cases, environment=environment(), progress=counted)
    finally:
        engine.dispose()
    findings = (*checks, *(latency.finding for latency in found), family_note(found))
    samples = [m for latency in found for m in (latency.measurement, *latency.apart) if m.samples]
    return Part((*findings, *samples), {TABLE: [dict(latency.row) for latency in found]})
