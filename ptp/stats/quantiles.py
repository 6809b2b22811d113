"""Percentiles and their bounds, from raw samples only.

Bounds are distribution-free, by order statistics: the number of samples below the true q-quantile is binomial
(David and Nagaraja, Order Statistics, 7.1), so no shape of the latency distribution is assumed.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ptp.stats.binomial import masses

_FAR = 3.0  # Tukey's outer fence, in interquartile ranges from the quartile

Decision: TypeAlias = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """One-sided bounds of a quantile, each at `confidence`; infinite where n samples cannot give one."""

    low: float
    high: float


def percentile(ordered: Sequence[float], *, q: float) -> float:
    """The q-quantile of samples in ascending order, by nearest rank: a value that was measured, never a mixture."""
    if len(ordered) == 0:
        raise ValueError("a percentile of no samples does not exist")
    return ordered[max(math.ceil(q * len(ordered)), 1) - 1]


def bounds(ordered: Sequence[float], *, q: float, confidence: float = 0.95) -> Bounds:
    """Lower and upper one-sided bounds of the q-quantile of what the ascending samples were drawn from."""
    high = upper_rank(len(ordered), q=q, confidence=confidence)
    low = lower_rank(len(ordered), q=q, confidence=confidence)
    return Bounds(
        low=ordered[low - 1] if low else -math.inf,
        high=ordered[high - 1] if high else math.inf,
    )


@lru_cache(maxsize=4096)
def upper_rank(n: int, *, q: float, confidence: float = 0.95) -> int | None:
    """The least k for which the k-th smallest of n samples is at or over the q-quantile with `confidence`.

    None when n is too small: p95 wants 59 samples, p99 299.
    """
    below = int(np.searchsorted(_at_most(n, q), confidence))  # the least count of samples under the quantile
    return below + 1 if below + 1 <= n else None


@lru_cache(maxsize=4096)
def lower_rank(n: int, *, q: float, confidence: float = 0.95) -> int | None:
    """The greatest k for which the k-th smallest of n samples is at or under the q-quantile with `confidence`."""
    rank = int(np.searchsorted(_at_most(n, q), 1 - confidence, side="right"))
    return rank or None


def samples_needed(*, q: float, confidence: float = 0.95) -> int:
    """The least n for which an upper bound of the q-quantile exists at all."""
    return math.ceil(math.log(1 - confidence) / math.log(q))


def decide(ordered: Sequence[float], *, q: float, limit: float, confidence: float = 0.95) -> Decision:
    """pass when the quantile's upper bound is under the limit, fail when its lower is over it, else neither."""
    return decide_by(bounds(ordered, q=q, confidence=confidence), limit=limit)


def decide_by(found: Bounds, *, limit: float) -> Decision:
    """The side of the limit on which both bounds lie, or inconclusive, whichever way the bounds were found."""
    if found.high < limit:
        return "pass"
    return "fail" if found.low > limit else "inconclusive"


def outliers(ordered: Sequence[float]) -> int:
    """How many samples lie beyond a far fence: over three interquartile ranges outside the quartiles (Tukey, 1977).

    They are counted to be shown. Nothing here or elsewhere takes them away: a slow call was met by a user.
    """
    if len(ordered) == 0:
        return 0
    first, third = percentile(ordered, q=0.25), percentile(ordered, q=0.75)
    reach = _FAR * (third - first)
    return bisect_left(ordered, first - reach) + len(ordered) - bisect_right(ordered, third + reach)


def _at_most(n: int, q: float) -> NDArray[np.float64]:
    """P(X <= k) for k = 0 to n of the number of n samples that lie under the q-quantile."""
    if not 0 < q < 1:
        raise ValueError(f"a quantile lies between 0 and 1, not at {q}")
    return np.cumsum(masses(n, q))
