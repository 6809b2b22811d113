"""Latency of one call at a time, against a limit: samples first, verdict after, by functions on plain values.

What is decided beforehand: the number of warm-up calls, which are made and not counted, and the number of samples,
which nothing that is seen on the way can change. Raw nanoseconds are kept in the order in which they were taken,
none trimmed. Python's garbage is collected before each case, so that none pays for the one before it; during the
calls the collector stays on, because a caller of the application meets its pauses too.

What is timed is `call` alone. Arguments are best drawn before; `check` looks at what came back after the clock
stopped: wrong is an error, however fast it was.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ptp.errors import CannotFinish
from ptp.results import Finding, Measurement, Verdict
from ptp.stats import bounds, decide, percentile, samples_needed

Clock: TypeAlias = Callable[[], int]
"""Gives monotonic nanoseconds."""

Progress: TypeAlias = Callable[[str, int, int], None]
"""Told the name of the case, how many of its samples are taken, and how many there will be."""

QUANTILE = 0.95
_Z_95 = 1.6449  # the 95 % point of the normal distribution
_NS_PER_MS = 1e6
_STEPS_OF_PROGRESS = 20


def nothing_wrong(_outcome: object) -> str | None:
    """The check of a case whose outcome needs none."""
    return None


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to be timed: `n` calls after `warmup` others, whose p95 shall be under `limit_ms`.

    `claim` is the sentence that the verdict is on. `not_applicable` is the reason for which the case cannot be
    measured here, None when it can. `check` says what is wrong with what `call` returned, None when nothing is.
    """

    name: str
    claim: str
    limit_ms: float
    call: Callable[[], object]
    warmup: int
    n: int
    not_applicable: str | None = None
    check: Callable[[Any], str | None] = nothing_wrong


@dataclass(frozen=True, slots=True)
class Timed:
    """What the calls of a case took, in nanoseconds and in order; `error` is what ended them early, None if nothing."""

    nanoseconds: tuple[int, ...]
    error: str | None = None

    @property
    def ordered_ms(self) -> tuple[float, ...]:
        """The samples in milliseconds, ascending."""
        return tuple(sorted(self.samples_ms))

    @property
    def samples_ms(self) -> tuple[float, ...]:
        """The samples in milliseconds, in the order in which they were taken."""
        return tuple(ns / _NS_PER_MS for ns in self.nanoseconds)


@dataclass(frozen=True, slots=True)
class Latency:
    """One case measured: its raw samples, its finding, and its row of the table for the reader."""

    measurement: Measurement
    finding: Finding
    row: Mapping[str, Any]


def measure(
    cases: Sequence[Case],
    *,
    environment: Mapping[str, str],
    clock: Clock = time.perf_counter_ns,
    progress: Progress | None = None,
) -> tuple[Latency, ...]:
    """Time all cases, one after the other, in their order; those that do not apply are told, not run."""
    found = []
    for case in cases:
        timed = Timed(()) if case.not_applicable else time_calls(case, clock=clock, progress=progress)
        found.append(judge(case, timed, environment=environment))
    return tuple(found)


def time_calls(case: Case, *, clock: Clock, progress: Progress | None = None) -> Timed:
    """Call a case `warmup` + `n` times and time the last `n`; the first error or wrong outcome ends it."""
    gc.collect()
    taken: list[int] = []
    step = max(case.n // _STEPS_OF_PROGRESS, 1)
    for number in range(case.warmup + case.n):
        try:
            start = clock()
            outcome = case.call()
            end = clock()
            wrong = case.check(outcome)
        except CannotFinish:  # a full disk, a lock: says nothing of the query
            raise
        except Exception as problem:
            return Timed(tuple(taken), error=f"{type(problem).__name__}: {problem}")
        if wrong is not None:
            return Timed(tuple(taken), error=f"wrong outcome: {wrong}")
        if number >= case.warmup:
            taken.append(end - start)
            if progress and (len(taken) % step == 0 or len(taken) == case.n):
                progress(case.name, len(taken), case.n)
    return Timed(tuple(taken))


def judge(case: Case, timed: Timed, *, environment: Mapping[str, str]) -> Latency:
    """The measurement, finding and row that follow from the samples of a case; a pure function."""
    finding = _finding(case, timed)
    return Latency(Measurement(case.name, "ms", timed.samples_ms, environment), finding, _row(case, timed, finding))


def still_needed(ordered: Sequence[float], *, limit: float, q: float = QUANTILE) -> int | None:
    """About how many samples in all would decide, if the share over the limit stayed as it is; None if none would.

    The least n for any bound, or the n at which the share's distance from 1 - q is `_Z_95` standard errors.
    """
    least = samples_needed(q=q)
    distance = abs(sum(value >= limit for value in ordered) / len(ordered) - (1 - q)) if ordered else 1.0
    if math.isclose(distance, 0, abs_tol=1e-9):
        return None
    wanted = math.ceil(_Z_95**2 * q * (1 - q) / distance**2)
    return max(least, wanted, len(ordered) + 1)


def _finding(case: Case, timed: Timed) -> Finding:
    ordered = timed.ordered_ms
    verdict, evidence = _verdict(case, timed, ordered)
    span = bounds(ordered, q=QUANTILE) if ordered else None
    return Finding(
        id=f"bench.{case.name}",
        claim=case.claim,
        verdict=verdict,
        severity="gate",
        value=percentile(ordered, q=QUANTILE) if ordered else None,
        unit="ms",
        limit=case.limit_ms,
        low=_finite(span.low) if span else None,
        high=_finite(span.high) if span else None,
        n=len(ordered),
        evidence=evidence,
    )


def _verdict(case: Case, timed: Timed, ordered: Sequence[float]) -> tuple[Verdict, str]:
    if case.not_applicable:
        return "not applicable", case.not_applicable
    if timed.error is not None:
        return "fail", f"After {len(ordered)} of {case.n} samples a call failed: {timed.error}"
    decision = decide(ordered, q=QUANTILE, limit=case.limit_ms)
    if decision != "inconclusive":
        return decision, f"p95 of {len(ordered)} samples after {case.warmup} warm-up calls"
    needed = still_needed(ordered, limit=case.limit_ms)
    if needed is None:
        return decision, f"{len(ordered)} samples do not decide: 5 % of them are over the limit, exactly at the line"
    return decision, f"{len(ordered)} samples do not decide; about {needed} are needed"


def _row(case: Case, timed: Timed, finding: Finding) -> dict[str, Any]:
    ordered = timed.ordered_ms
    p50, p95, p99 = (percentile(ordered, q=q) if ordered else None for q in (0.5, QUANTILE, 0.99))
    return {
        "name": case.name,
        "n": len(ordered),
        "p50_ms": p50,
        "p95_ms": p95,
        "p95_low_ms": finding.low,
        "p95_high_ms": finding.high,
        "p99_ms": p99,
        "limit_ms": case.limit_ms,
        "verdict": finding.verdict,
    }


def _finite(value: float) -> float | None:
    # A bound that does not exist is infinite in ptp.stats, and absent in a finding: JSON knows no infinity.
    return value if math.isfinite(value) else None
