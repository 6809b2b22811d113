"""A call beside its floor: the least that the same outcome could cost, timed in the same run.

Milliseconds say as much of the machine as of the code. So each call is paired with a reference that has the same
arguments, both are timed one after the other in random order, and what is judged is the median of the ratios within
the pairs: a slow moment of the machine falls on both. Samples are kept as in `ptp.benchmark.latency`.
"""

from __future__ import annotations

import gc
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ptp.benchmark.latency import Clock
from ptp.errors import CannotFinish
from ptp.results import Finding, Verdict
from ptp.stats import Decision, bounds, decide, percentile

_MEDIAN = 0.5
_NS_PER_US = 1e3


@dataclass(frozen=True, slots=True)
class Bound:
    """At most `ratio` times the floor, or within `within_us` microseconds of it: either is enough."""

    ratio: float
    within_us: float = 0.0

    def __str__(self) -> str:
        """The bound in words."""
        near = f" or within {self.within_us:g} us of it" if self.within_us else ""
        return f"at most {self.ratio:.3g} times its floor{near}"


@dataclass(frozen=True, slots=True)
class Pair:
    """A call and its floor with the same arguments; `unlike` says how the outcomes differ that should be alike."""

    call: Callable[[], object]
    floor: Callable[[], object]
    unlike: Callable[[Any, Any], str | None] = lambda _call, _floor: None


@dataclass(frozen=True, slots=True)
class TimedPairs:
    """What the calls and the floors took, in nanoseconds, pair by pair in order; `error` ended them early, if any."""

    calls: tuple[int, ...]
    floors: tuple[int, ...]
    error: str | None = None

    @property
    def ratios(self) -> tuple[float, ...]:
        """Call / floor of each pair, ascending; infinite where the clock did not move in the floor."""
        pairs = zip(self.calls, self.floors, strict=True)
        return tuple(sorted(call / floor if floor else math.inf for call, floor in pairs))

    @property
    def differences_us(self) -> tuple[float, ...]:
        """Call - floor of each pair in microseconds, ascending."""
        return tuple(sorted((call - floor) / _NS_PER_US for call, floor in zip(self.calls, self.floors, strict=True)))


@dataclass(frozen=True, slots=True)
class Excess:
    """How far calls lie over their floors: medians in us, and that of the ratios with its bounds at 95 %.

    `over_us` is the median of the differences within the pairs.
    """

    call_us: float
    floor_us: float
    over_us: float
    ratio: float
    low: float
    high: float


def time_pairs(
    pairs: Sequence[Pair], *, warmup: int, chance: random.Random, clock: Clock = time.perf_counter_ns
) -> TimedPairs:
    """Time both of each pair, in an order that `chance` decides; the first `warmup` pairs are not counted.

    The first error, and the first pair of outcomes that are not alike, ends it.
    """
    gc.collect()
    taken: list[tuple[int, int]] = []
    for number, pair in enumerate(pairs):
        both = {"call": pair.call, "floor": pair.floor}
        outcomes: dict[str, tuple[int, object]] = {}
        try:
            for name in chance.sample(sorted(both), 2):
                work = both[name]
                start = clock()
                outcome = work()
                end = clock()
                outcomes[name] = end - start, outcome
            unlike = pair.unlike(outcomes["call"][1], outcomes["floor"][1])
        except CannotFinish:  # a full disk, a lock: says nothing of either
            raise
        except Exception as problem:
            return _timed(taken, f"{type(problem).__name__}: {problem}")
        if unlike is not None:
            return _timed(taken, f"call and floor are not alike: {unlike}")
        if number >= warmup:
            taken.append((outcomes["call"][0], outcomes["floor"][0]))
    return _timed(taken)


def excess(timed: TimedPairs) -> Excess | None:
    """The medians of pairs that were timed; None where none were."""
    if not timed.calls:
        return None
    span = bounds(timed.ratios, q=_MEDIAN)
    return Excess(
        call_us=percentile(sorted(timed.calls), q=_MEDIAN) / _NS_PER_US,
        floor_us=percentile(sorted(timed.floors), q=_MEDIAN) / _NS_PER_US,
        over_us=percentile(timed.differences_us, q=_MEDIAN),
        ratio=percentile(timed.ratios, q=_MEDIAN),
        low=span.low,
        high=span.high,
    )


def judge_pairs(name: str, what: str, bound: Bound, timed: TimedPairs) -> Finding:
    """Whether the median ratio, or else the median difference, is within the bound; a pure function.

    pass where the upper bound of either is, fail where the lower bounds of both are over, inconclusive between.
    """
    found = excess(timed)
    verdict, evidence = _verdict(bound, timed)
    return Finding(
        id=f"floor.{name}",
        claim=f"p50 of {what} is {bound}",
        verdict=verdict,
        value=_finite(found.ratio) if found else None,
        unit="times",
        limit=bound.ratio,
        low=_finite(found.low) if found else None,
        high=_finite(found.high) if found else None,
        n=len(timed.calls),
        evidence=evidence,
    )


def not_measured(name: str, what: str, bound: Bound, *, reason: str) -> Finding:
    """The finding of a call that cannot be made here."""
    claim = f"p50 of {what} is {bound}"
    return Finding(f"floor.{name}", claim, "not applicable", unit="times", limit=bound.ratio, n=0, evidence=reason)


def _verdict(bound: Bound, timed: TimedPairs) -> tuple[Verdict, str]:
    n = len(timed.calls)
    if timed.error is not None:
        return "fail", f"After {n} pairs one failed: {timed.error}"
    if not n:
        return "invalid", "No pair was timed."
    by_ratio = decide(timed.ratios, q=_MEDIAN, limit=bound.ratio)
    by_difference: Decision = "fail"
    if bound.within_us:
        by_difference = decide(timed.differences_us, q=_MEDIAN, limit=bound.within_us)
    middle = percentile(timed.differences_us, q=_MEDIAN)
    seen = f"median of {n} pairs, in each of which the call took {middle:,.1f} us more than its floor (median)"
    if "pass" in (by_ratio, by_difference):
        return "pass", seen
    if by_ratio == by_difference == "fail":
        return "fail", seen
    return "inconclusive", f"{seen}; the bound lies within what {n} pairs leave open"


def _timed(taken: Sequence[tuple[int, int]], error: str | None = None) -> TimedPairs:
    return TimedPairs(tuple(call for call, _ in taken), tuple(floor for _, floor in taken), error)


def _finite(value: float) -> float | None:
    # Infinite in ptp.stats where there is no bound, and absent in a finding: JSON knows no infinity.
    return value if math.isfinite(value) else None
