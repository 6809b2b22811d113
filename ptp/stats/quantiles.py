"""Percentiles and their bounds, from raw samples only.

Bounds are distribution-free, by order statistics: the number of samples below the true q-quantile is binomial
(David and Nagaraja, Order Statistics, 7.1), so no shape of the latency distribution is assumed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Decision: TypeAlias = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """One-sided bounds of a quantile, each at `confidence`; infinite where n samples cannot give one."""

    low: float
    high: float


def percentile(ordered: Sequence[float], *, q: float) -> float:
    """The q-quantile of samples in ascending order, by nearest rank: a value that was measured, never a mixture."""
    if not ordered:
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


def upper_rank(n: int, *, q: float, confidence: float = 0.95) -> int | None:
    """The least k for which the k-th smallest of n samples is at or over the q-quantile with `confidence`.

    None when n is too small: p95 wants 59 samples, p99 299.
    """
    total = 0.0
    for below, mass in enumerate(_binomial(n, q)):
        total += mass
        if total >= confidence:
            return below + 1 if below + 1 <= n else None
    return None


def lower_rank(n: int, *, q: float, confidence: float = 0.95) -> int | None:
    """The greatest k for which the k-th smallest of n samples is at or under the q-quantile with `confidence`."""
    rank = None
    total = 0.0
    for below, mass in enumerate(_binomial(n, q)):
        total += mass  # P(at most `below` samples lie under the quantile)
        if total > 1 - confidence:
            break
        rank = below + 1
    return rank


def samples_needed(*, q: float, confidence: float = 0.95) -> int:
    """The least n for which an upper bound of the q-quantile exists at all."""
    return math.ceil(math.log(1 - confidence) / math.log(q))


def decide(ordered: Sequence[float], *, q: float, limit: float, confidence: float = 0.95) -> Decision:
    """pass when the quantile's upper bound is under the limit, fail when its lower is over it, else neither."""
    found = bounds(ordered, q=q, confidence=confidence)
    if found.high < limit:
        return "pass"
    return "fail" if found.low > limit else "inconclusive"


def _binomial(n: int, q: float) -> list[float]:
    """P(X = k) for k = 0 to n of a binomial with n trials of chance q, through logarithms so that no n overflows."""
    if not 0 < q < 1:
        raise ValueError(f"a quantile lies between 0 and 1, not at {q}")
    log_q, log_p, log_n = math.log(q), math.log1p(-q), math.lgamma(n + 1)
    return [
        math.exp(log_n - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * log_q + (n - k) * log_p)
        for k in range(n + 1)
    ]
