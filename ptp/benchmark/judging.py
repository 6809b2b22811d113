"""What samples say of a limit at a look, and how it is told: pure functions on values in ms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ptp.benchmark.clocks import FINEST_PART, batch_for
from ptp.stats import (
    Decision,
    Look,
    decide_by,
    is_steady,
    outliers,
    percentile,
    sample_bounds,
    still_needed,
    trend,
)
from ptp.stats.binomial import at_most

QUANTILE = 0.95
_ALPHA = 0.05
_NS_PER_MS = 1e6

STEADY_SHARE = 0.05
STEADY_PART = 100
"""Latency is not steady where it drifts by more than 5 % of its median and by more than 1/100 of the limit."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What one look sees: `low` and `high` bound the p95, None where they do not; `drift` is told where not steady.

    `effective` is how many independent samples would tell as much; `confidence` that of each bound; `place` of `looks`
    in all.
    """

    ordered: tuple[float, ...]
    low: float | None
    high: float | None
    effective: float
    confidence: float
    place: int
    looks: int
    drift: float | None
    decision: Decision
    p_value: float

    @property
    def n(self) -> int:
        """The number of samples."""
        return len(self.ordered)


def look_at(samples: Sequence[float], *, limit: float, look: Look, place: int = 1, looks: int = 1) -> Sight:
    """Judge samples in ms, in the order taken, against a limit on their p95, with the confidence of a look.

    Where latency is not steady the decision is withheld: what it will be later is not what was measured.
    """
    ordered = tuple(sorted(samples))
    span, effective = sample_bounds(samples, q=QUANTILE, confidence=look.confidence)
    drift = drift_of(samples, limit=limit)
    over = sum(value >= limit for value in ordered)
    return Sight(
        ordered=ordered,
        low=finite(span.low),
        high=finite(span.high),
        effective=effective,
        confidence=look.confidence,
        place=place,
        looks=looks,
        drift=drift,
        decision=decide_by(span, limit=limit) if drift is None else "inconclusive",
        p_value=p_value(over, len(ordered), effective=effective, confidence=look.confidence),
    )


def drift_of(samples: Sequence[float], *, limit: float) -> float | None:
    """By how many ms latency drifted over the samples, where that is sure and matters; None where it is steady."""
    middle = percentile(sorted(samples), q=0.5)
    within = max(STEADY_SHARE, limit / STEADY_PART / middle if middle else math.inf)
    return None if is_steady(samples, within=within) else trend(samples).slope * len(samples)


def p_value(over: int, n: int, *, effective: float, confidence: float) -> float:
    """How rarely at most `over` of n samples would lie over the limit, were the p95 at it.

    Of the effective number, and as if there had been one look at 95 %: a look that may spend less alpha counts so
    much more.
    """
    independent = max(int(effective), 1)
    rare = at_most(min(math.ceil(over * independent / n), independent), independent, 1 - QUANTILE)
    return min(rare * _ALPHA / (1 - confidence), 1.0)


def evidence_of(sight: Sight, *, limit: float, warm_up: Sequence[float], batch: int, resolution: int | None) -> str:
    """What the verdict rests on, in a sentence."""
    parts = [_decided(sight, limit=limit, warm_up=warm_up)]
    if sight.looks > 1:
        parts.append(f"look {sight.place} of {sight.looks}, each bound at {sight.confidence:.1%}")
    if round(sight.effective) < sight.n:
        parts.append(f"they depend on each other and tell as much as {sight.effective:,.0f} independent ones")
    if batch > 1:
        parts.append(f"each is the mean of {batch:,} calls, so that this is a percentile of means")
    middle = percentile(sight.ordered, q=0.5) * batch * _NS_PER_MS
    if resolution is not None and resolution * FINEST_PART > middle:
        wanted = batch_for(middle / batch, resolution)
        parts.append(
            f"WARNING: the clock moves in steps of {resolution / _NS_PER_MS:g} ms, too coarse for such samples: "
            f"batches of {wanted:,} calls would tell them apart"
        )
    return "; ".join(parts)


def _decided(sight: Sight, *, limit: float, warm_up: Sequence[float]) -> str:
    if sight.drift is not None:
        way = "rose" if sight.drift > 0 else "fell"
        return (
            f"Withheld: latency is not steady; it {way} by about {abs(sight.drift):.3g} ms over the {sight.n} samples"
        )
    if sight.decision != "inconclusive":
        shown = f", whose p50 was {percentile(sorted(warm_up), q=0.5):.3g} ms" if warm_up else ""
        return f"p95 of {sight.n} samples after {len(warm_up)} warm-up calls{shown}"
    needed = needed_in_all(sight, limit=limit)
    if needed is None:
        return f"{sight.n} samples do not decide: 5 % of them are over the limit, exactly at the line"
    return f"{sight.n} samples do not decide; about {needed} are needed"


def needed_in_all(sight: Sight, *, limit: float) -> int | None:
    """About how many samples in all would decide, of the kind that these are: more where they depend on each other."""
    worth = min(sight.effective / sight.n, 1.0)
    independent = int(sight.effective)
    thinned = sight.ordered if worth == 1.0 else [sight.ordered[int((i + 0.5) / worth)] for i in range(independent)]
    needed = still_needed(thinned, limit=limit, q=QUANTILE, confidence=sight.confidence)
    return None if needed is None else max(math.ceil(needed / worth), sight.n + 1)


def row_of(
    name: str, sight: Sight | None, *, limit: float, cold: Sequence[float], batch: int, verdict: str
) -> dict[str, Any]:
    """The row of a case for the reader; times in ms, None where there is none. Cold calls stand apart."""
    p50, p95, p99 = (percentile(sight.ordered, q=q) if sight else None for q in (0.5, QUANTILE, 0.99))
    return {
        "name": name,
        "n": sight.n if sight else 0,
        "effective_n": round(sight.effective) if sight else 0,
        "p50_ms": p50,
        "p95_ms": p95,
        "p95_low_ms": sight.low if sight else None,
        "p95_high_ms": sight.high if sight else None,
        "p99_ms": p99,
        "limit_ms": limit,
        "outliers": outliers(sight.ordered) if sight else 0,
        "looks": sight.place if sight else 0,
        "batch": batch,
        "cold_p50_ms": percentile(sorted(cold), q=0.5) if cold else None,
        "cold_most_ms": max(cold) if cold else None,
        "verdict": verdict,
    }


def finite(value: float) -> float | None:
    """A bound as a finding has it: one that does not exist is infinite in ptp.stats, but JSON knows no infinity."""
    return value if math.isfinite(value) else None
