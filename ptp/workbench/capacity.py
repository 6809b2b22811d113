"""`ptp load --find-capacity`: the highest rate at which every operation still keeps its limit, and where the knee is.

Each step is a short load of its own, judged by bounds like a long one. All steps write to the same copy, and what they
left behind is checked once, at the end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ptp.benchmark.load import Phase, Records, at_rate, shares
from ptp.benchmark.load.search import Capacity, Step, find_capacity
from ptp.benchmark.load.verdicts import judge
from ptp.evidence import Stage
from ptp.results import Finding, worst
from ptp.stats import percentile, samples_needed
from ptp.workbench.load_ground import Ground, left_behind, loadable, prepared
from ptp.workbench.load_tables import tables_of
from ptp.workbench.load_wanted import Wanted
from ptp.workbench.loading import cache_of, facts_of, judged_by_phase, read_counters, with_cache
from ptp.workbench.progress import Progress, part, quiet
from ptp.workload.limits import LIMITS_MS

NAME = "04_capacity"
TITLE = "Capacity"
TABLE = "Capacity"
GATE = "load.capacity"

STEP_S, LONGEST_STEP_S = 5.0, 30.0
"""A step lasts at least so long, longer where the rarest operation would have too few requests, and the longest where
the first does not decide."""

START_RATE = 100.0
WARM_UP_S = 1.0

_ROOM = 1.5  # times the requests that a bound of p95 needs at least
_OPEN_S = 2.0  # so much of a step's requests may be open: what is due beyond is skipped
_ABOUT_STEPS = 9


def capacity(target: Path, out: Path, wanted: Wanted, *, progress: Progress = quiet) -> Stage:
    """Search on a copy of `target` in `out` for the highest rate that holds the limits; the target is only read.

    `wanted.rate` is where the search begins, `wanted.users` how many take part.
    """
    started = time.perf_counter()
    progress(0.0, "copying the target")
    seen: list[tuple[Step, Records, tuple[Finding, ...]]] = []
    with loadable(target, out, wanted) as database:
        with prepared(database, out, wanted) as ground:
            trier = _trier(ground, wanted, seen, progress)
            made = find_capacity(trier, start=wanted.rate or START_RATE, least=_least_rate(ground))
            read_counters(ground)
        progress(0.95, "checking what the load left behind")
        after = left_behind(target, ground)
    _, records, _ = next((s for s in seen[::-1] if s[0].rate == made.low), seen[0])
    cache = cache_of(ground, target, wanted)
    judged, findings = judged_by_phase(records, ground)
    told = tables_of(
        records,
        findings,
        facts_of(wanted, ground, records.schedule),
        judged=judged,
        seen=ground.seen[records.schedule.hash],
    )
    progress(1.0, "found")
    return Stage(
        name=NAME,
        title=TITLE,
        seconds=time.perf_counter() - started,
        results=(finding_of(made), *after, *cache.results),
        tables={TABLE: rows_of(made), **with_cache(told, cache)},
    )


def finding_of(made: Capacity) -> Finding:
    """The finding load.capacity: inconclusive where no rate held, or where the search could not end."""
    low = "no rate" if made.low is None else f"{made.low:,.0f}/s"
    high = "not found" if made.high is None else f"{made.high:,.0f}/s"
    knee = "none" if made.knee is None else f"{made.knee:,.0f}/s"
    return Finding(
        id=GATE,
        claim="The highest rate at which every operation keeps its limit is found",
        verdict="pass" if made.low is not None and made.high is not None else "inconclusive",
        value=made.low,
        unit="requests/s",
        low=made.low,
        high=made.high,
        n=len(made.steps),
        evidence=f"held: {low}; did not: {high}; the knee is at {knee}; {made.ended}",
    )


def rows_of(made: Capacity) -> list[dict[str, Any]]:
    """A row for each step, by rate."""
    marks = {"the highest that held": made.low, "the knee": made.knee}
    return [
        {
            "rate": step.rate,
            "throughput": step.throughput,
            "p50_ms": _told(step.p50_ms),
            "p95_ms": _told(step.p95_ms),
            "p99_ms": _told(step.p99_ms),
            "errors_percent": 100 * step.error_share,
            "verdict": step.verdict,
            "is": ", ".join(name for name, rate in marks.items() if rate == step.rate),
            "why": step.why,
        }
        for step in sorted(made.steps, key=lambda step: step.rate)
    ]


def step_of(rate: float, records: Records, findings: Sequence[Finding]) -> Step:
    """One step of the search: what came through, how fast all of it was, and the first gate that did not hold."""
    measured = records.schedule.measured
    times = np.sort(records.response_ms[measured]).tolist()
    seconds = sum(phase.seconds for phase in records.schedule.phases if phase.measured)
    done = int((measured & records.completed).sum())
    held = worst(findings)
    bad = next((f for f in findings if f.verdict == held), None) if held != "pass" else None
    p50, p95, p99 = (percentile(times, q=q) if times else math.inf for q in (0.5, 0.95, 0.99))
    return Step(
        rate=rate,
        throughput=_through(records, seconds),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        error_share=1 - done / len(times) if times else 0.0,
        verdict=held,
        why=f"{bad.id}: {bad.evidence}"[:200] if bad else "",
    )


def _through(records: Records, seconds: float) -> float:
    """What ended rightly within the time that is measured, a second: what came later is not throughput."""
    begin = records.schedule.seconds - seconds
    ended = records.ended[records.completed] / 1e9
    return float(((ended >= begin) & (ended < records.schedule.seconds)).sum()) / seconds


def _trier(
    ground: Ground, wanted: Wanted, seen: list[tuple[Step, Records, tuple[Finding, ...]]], progress: Progress
) -> Callable[[float], Step]:
    """Tries a rate: a schedule of its own, sent and judged."""
    scenarios = ground.cast.scenarios()

    def step(rate: float, seconds: float) -> Step:
        phases = (Phase("warm-up", "ramp", WARM_UP_S, start=0.2, measured=False), Phase("step", "steady", seconds))
        actors = len(ground.cast.people)
        schedule = at_rate(rate, actors=actors, phases=phases, scenarios=scenarios, seed=wanted.seed + len(seen))
        share = min(len(seen) / _ABOUT_STEPS, 0.95)
        shown = part(progress, 0.05 + 0.9 * share, 0.05 + 0.9 * min(share + 1 / _ABOUT_STEPS, 1.0))
        records = ground.run(schedule, most_in_flight=math.ceil(rate * _OPEN_S), progress=shown)
        findings = judge(records, limits=LIMITS_MS, inside=ground.inside)
        made = step_of(rate, records, findings)
        seen.append((made, records, findings))
        return made

    def try_rate(rate: float) -> Step:
        seconds = min(max(STEP_S, 2 * _least_rate(ground) * LONGEST_STEP_S / rate), LONGEST_STEP_S)
        made = step(rate, seconds)
        return step(rate, LONGEST_STEP_S) if made.verdict == "inconclusive" and seconds < LONGEST_STEP_S else made

    return try_rate


def _least_rate(ground: Ground) -> float:
    """The rate at which the longest step has just enough requests of the rarest operation."""
    rarest = min(shares(ground.cast.scenarios()).values())
    return _ROOM * samples_needed(q=0.95) / (rarest * LONGEST_STEP_S)


def _told(value: float) -> float | None:
    return value if math.isfinite(value) else None
