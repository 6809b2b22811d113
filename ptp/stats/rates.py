"""Rates of errors and their bounds: exact, from the binomial distribution (Clopper and Pearson, 1934)."""

from __future__ import annotations

from ptp.stats.binomial import at_most
from ptp.stats.quantiles import Bounds, Decision, decide_by

_HALVINGS = 50  # of the range 0 to 1: more than a limit is ever told with


def rate_bounds(events: int, n: int, *, confidence: float = 0.95) -> Bounds:
    """Lower and upper one-sided bounds of the share of which `events` of `n` were seen, as shares of 1.

    Nothing tried tells nothing: 0 to 1. ValueError when there are more events than tries.
    """
    if not 0 <= events <= n:
        raise ValueError(f"{events} events cannot come from {n} tries")
    if n == 0:
        return Bounds(low=0.0, high=1.0)
    alpha = 1 - confidence
    high = 1.0 if events == n else _crossing(events, n, alpha)
    low = 0.0 if events == 0 else _crossing(events - 1, n, 1 - alpha)
    return Bounds(low=low, high=high)


def decide_rate(events: int, n: int, *, limit: float, confidence: float = 0.95) -> Decision:
    """pass when the upper bound is under the limit (a share of 1), fail when the lower is over it, else neither."""
    return decide_by(rate_bounds(events, n, confidence=confidence), limit=limit)


def _crossing(events: int, n: int, chance: float) -> float:
    """The share at which at most `events` of n have just this chance: by halving, for the chance falls as it grows."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if at_most(events, n, middle) > chance else (low, middle)
    return (low + high) / 2
