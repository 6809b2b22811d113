"""Every query beside its floor, with the work that SQLite does for it, on a copy of the target."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ptp.benchmark.floors import Excess, excess, judge_pairs, not_measured
from ptp.benchmark.pairs import TimedPairs, time_pairs
from ptp.engine import open_engine
from ptp.engine.environment import environment
from ptp.engine.meters import Counters, Statement, meter
from ptp.engine.plans import full_scans, plan_of, sorts
from ptp.errors import CannotFinish
from ptp.evidence import Stage
from ptp.results import Finding, Measurement, Result
from ptp.settings import load_settings
from ptp.stats import percentile
from ptp.workbench.benchmarking import check_benchmarkable
from ptp.workbench.progress import Progress, quiet
from ptp.workbench.scratch import copied
from ptp.workload.floors import PAIRS, WARM_UP, Measured, Prepared, measured, plain_connection
from ptp.workload.limits import WORK_LIMITS, Profile

NAME = "03_floors"
TITLE = "Floors"
TABLE = "Floors"
COUNTED = 50
"""Of how many calls of a query the work is counted; it varies with the arguments only."""

_NS_PER_MS = 1e6
_Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Work:
    """What SQLite does for a call, of `n` calls: the most statements, the median and the most VM steps.

    `full_scans` and `sorts` stand in the plans of the statements, each different one once.
    """

    n: int
    statements: int
    vm_steps: int
    vm_steps_most: int
    full_scans: int
    sorts: int


def measure_floors(
    target: Path, out: Path, *, profile: Profile = "quick", seed: int = 1, progress: Progress = quiet
) -> Stage:
    """Time each query beside its floor on a copy of `target` in `out`, removed afterwards; `target` is only read."""
    started = time.perf_counter()
    check_benchmarkable(target)
    progress(0.0, "copying the target")
    with copied(target, out) as copy:
        engine = open_engine(copy, settings=load_settings())
        try:
            found = _measure_all(engine, copy, profile=profile, seed=seed, progress=progress)
        finally:
            engine.dispose()
    findings = tuple(f for findings, _, _ in found for f in findings)
    results: tuple[Result, ...] = (*findings, *(m for _, taken, _ in found for m in taken))
    return Stage(NAME, TITLE, time.perf_counter() - started, results, {TABLE: [dict(row) for _, _, row in found]})


_Found: TypeAlias = tuple[tuple[Finding, ...], tuple[Measurement, ...], _Row]


def _measure_all(engine: Any, copy: Path, *, profile: Profile, seed: int, progress: Progress) -> list[_Found]:
    count, chance = PAIRS[profile] + WARM_UP[profile], random.Random(seed)
    with plain_connection(engine, copy) as plain:
        queries = measured(engine, plain, count=count, seed=seed)
        with meter(copy) as counted:
            found = []
            for place, query in enumerate(queries):
                progress(0.05 + 0.95 * place / len(queries), f"timing {query.name}")
                found.append(_measure(query, plain, counted, warmup=WARM_UP[profile], chance=chance))
    return found


def _measure(
    query: Measured,
    plain: sqlite3.Connection,
    counted: Callable[[Sequence[Statement]], Counters],
    *,
    warmup: int,
    chance: random.Random,
) -> _Found:
    if query.not_applicable:
        told = not_applicable(query, query.not_applicable)
        return told, (), row_of(query, TimedPairs((), ()), None, told)
    prepared, timed = prepare_and_time(query, warmup=warmup, chance=chance)
    work = work_of(prepared.recorded[:COUNTED], plain, counted)
    findings = (*judged(query, timed), *judged_work(query, work))
    return findings, samples(query, timed), row_of(query, timed, work, findings)


def prepare_and_time(query: Measured, *, warmup: int, chance: random.Random) -> tuple[Prepared, TimedPairs]:
    """The pairs of a query, timed; a call that fails as it is recorded is a finding, and the other queries go on."""
    try:
        prepared = query.prepare()
    except CannotFinish:  # a full disk, a lock: says nothing of the query
        raise
    except Exception as problem:
        return Prepared(()), TimedPairs((), (), error=f"{type(problem).__name__}: {problem}")
    return prepared, time_pairs(prepared.pairs, warmup=warmup, chance=chance)


def work_of(
    recorded: Sequence[Sequence[Statement]],
    plain: sqlite3.Connection,
    counted: Callable[[Sequence[Statement]], Counters],
) -> Work | None:
    """What SQLite does for calls whose statements were recorded; None where none was."""
    if not recorded:
        return None
    each = [counted(statements) for statements in recorded]
    steps = sorted(counters.vm_steps for counters in each)
    different = {s.sql: s for statements in recorded for s in statements}
    plans = [plan_of(plain, s.sql, s.parameters) for s in different.values()]
    return Work(
        n=len(each),
        statements=max(counters.statements for counters in each),
        vm_steps=int(percentile(steps, q=0.5)),
        vm_steps_most=steps[-1],
        full_scans=sum(len(full_scans(plan)) for plan in plans),
        sorts=sum(len(sorts(plan)) for plan in plans),
    )


def judged(query: Measured, timed: TimedPairs) -> tuple[Finding, ...]:
    """The finding on the time of a query; none where it is told only."""
    return (judge_pairs(query.name, query.what, query.bound, timed),) if query.bound else ()


def not_applicable(query: Measured, reason: str) -> tuple[Finding, ...]:
    """The finding on a query that cannot be called here."""
    return (not_measured(query.name, query.what, query.bound, reason=reason),) if query.bound else ()


def judged_work(query: Measured, work: Work | None) -> tuple[Finding, ...]:
    """The findings on the counters of a query: exact, so that the most of all calls is compared."""
    most = {"statements": work.statements, "vm_steps": work.vm_steps_most} if work else {}
    return tuple(
        Finding(
            id=f"floor.{name}.{counter}",
            claim=f"Each call of {query.what} takes at most {limit:,} {counter.replace('vm_steps', 'VM steps')}",
            verdict="pass" if most[counter] <= limit else "fail",
            value=most[counter],
            unit=counter.replace("vm_steps", "VM steps"),
            limit=limit,
            n=work.n if work else 0,
            evidence="The most of all calls counted",
        )
        for (name, counter), limit in WORK_LIMITS.items()
        if name == query.name and counter in most
    )


def samples(query: Measured, timed: TimedPairs) -> tuple[Measurement, ...]:
    """The raw samples of the calls and of their floors, in ms, pair by pair."""
    if not timed.calls:
        return ()
    both = (("call", timed.calls), ("floor", timed.floors))
    seen = environment()
    return tuple(
        Measurement(f"{query.name}.{name}", "ms", tuple(ns / _NS_PER_MS for ns in taken), seen) for name, taken in both
    )


def row_of(query: Measured, timed: TimedPairs, work: Work | None, findings: Sequence[Finding]) -> _Row:
    """The row of a query for the reader: medians of time in us; verdict of the ratio, empty where it is told only."""
    found: Excess | None = excess(timed)
    of_time = next((f.verdict for f in findings if f.id == f"floor.{query.name}"), "")
    return {
        "name": query.name,
        "n": len(timed.calls),
        "p50_us": found.call_us if found else None,
        "floor_us": found.floor_us if found else None,
        "over_us": found.over_us if found else None,
        "ratio": found.ratio if found else None,
        "statements": work.statements if work else None,
        "vm_steps": work.vm_steps if work else None,
        "vm_steps_most": work.vm_steps_most if work else None,
        "full_scans": work.full_scans if work else None,
        "sorts": work.sorts if work else None,
        "verdict": of_time,
    }
