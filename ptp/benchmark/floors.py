"""A call beside its floor: the least that the same outcome could cost, timed in the same run.

Milliseconds say as much of the machine as of the code. So each call is paired with a reference that has the same
arguments, both are timed one after the other in random order, and what is judged is the median of the ratios within
the pairs (`ptp.benchmark.pairs`): a slow moment of the machine falls on both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ptp.benchmark.pairs import TimedPairs
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


def _finite(value: float) -> float | None:
    # Infinite in ptp.stats where there is no bound, and absent in a finding: JSON knows no infinity.
    return value if math.isfinite(value) else None
