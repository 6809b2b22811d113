"""Looks at samples that still come in: decide early where that is clear, at the price of alpha paid for beforehand.

Who looks every 100 samples and stops at the first pass is wrong far more often than 1 in 20. Here the looks are fixed
before the first sample, and the chance of a false decision is spent on them in equal shares (Lan and DeMets, 1983:
Discrete sequential boundaries for clinical trials). How much a look spends is not approximated: the number of samples
under the limit is a binomial walk, whose chance of first crossing a boundary at each look is computed step by step
(Armitage, McPherson and Rowe, 1969). What one look could not spend, because counts are whole, the next may.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ptp.stats.binomial import masses
from ptp.stats.quantiles import Decision, decide, lower_rank, samples_needed, upper_rank

_HAIR = 1e-9  # so that rounding does not put a boundary one count below its own chance
_NO_CHANCE = 1e-20
_Walk = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Look:
    """A look after `n` samples, where each bound has `confidence`.

    `spent` is the chance that the first false pass comes at this look, when the quantile lies exactly at the limit.
    """

    n: int
    confidence: float
    spent: float = 0.0


@lru_cache(maxsize=256)
def plan_looks(*, first: int, most: int, q: float = 0.95, confidence: float = 0.95) -> tuple[Look, ...]:
    """Looks from `first` to `most` samples, each at about twice the samples of the one before, fixed beforehand.

    Over all of them together at most 1 - confidence pass falsely, and at most as many fail falsely. ValueError when
    there is no sample at the first look, or less at the last than at the first.
    """
    if not 1 <= first <= most:
        raise ValueError(f"looks go from at least 1 sample upwards, not from {first} to {most}")
    sizes = _sizes(first, most)
    if len(sizes) == 1:
        return (Look(n=most, confidence=confidence, spent=1 - confidence),)
    walks = _Walks(q)
    return tuple(walks.look(n, (1 - confidence) * place / len(sizes)) for place, n in enumerate(sizes, start=1))


def decide_at(ordered: Sequence[float], *, q: float, limit: float, look: Look) -> Decision:
    """The decision of one look, on its n samples in ascending order; ValueError when they are more or fewer.

    To look at another number than was planned would be another rule, with another chance to be wrong.
    """
    if len(ordered) != look.n:
        raise ValueError(f"a look planned after {look.n} samples cannot decide on {len(ordered)}")
    return decide(ordered, q=q, limit=limit, confidence=look.confidence)


def still_needed(ordered: Sequence[float], *, limit: float, q: float, confidence: float = 0.95) -> int | None:
    """About how many samples in all would decide, if the share over the limit stayed as it is; None if none would.

    The least n for any bound, or the n at which the share's distance from 1 - q is as many standard errors as
    `confidence` asks.
    """
    least = samples_needed(q=q, confidence=confidence)
    distance = abs(sum(value >= limit for value in ordered) / len(ordered) - (1 - q)) if len(ordered) else 1.0
    if math.isclose(distance, 0, abs_tol=1e-9):
        return None
    wanted = math.ceil(NormalDist().inv_cdf(confidence) ** 2 * q * (1 - q) / distance**2)
    return max(least, wanted, len(ordered) + 1)


def _sizes(first: int, most: int) -> list[int]:
    doublings = round(math.log2(most / first))
    if doublings == 0:
        return [most]
    return [round(first * (most / first) ** (step / doublings)) for step in range(doublings + 1)]


class _Walks:
    """Samples under the quantile, counted up to the last look: the chances of each count among walks not yet stopped.

    Two walks, because a false pass and a false fail have each their own alpha; each is stopped by its own side alone,
    which leaves the chance of the other side's stopping as a margin.
    """

    def __init__(self, q: float) -> None:
        self._q = q
        self._n = 0
        self._passing: _Walk = np.ones(1)
        self._failing: _Walk = np.ones(1)
        self._passed = 0.0
        self._failed = 0.0

    def look(self, n: int, budget: float) -> Look:
        """The look at n with the least confidence for which neither side spends more than `budget` in all."""
        step = masses(n - self._n, self._q)
        self._passing, self._failing = _walked(self._passing, step), _walked(self._failing, step)
        self._n = n
        confidence = 1 - self._alpha(budget)
        before = self._passed
        high, low = (rank(n, q=self._q, confidence=confidence) for rank in (upper_rank, lower_rank))
        if high is not None:
            self._passed += float(self._passing[high:].sum())
            self._passing[high:] = 0
        if low is not None:
            self._failed += float(self._failing[:low].sum())
            self._failing[:low] = 0
        return Look(n=n, confidence=confidence, spent=self._passed - before)

    def _alpha(self, budget: float) -> float:
        """The greatest alpha that a boundary here can have, with both sides within the budget."""
        alone = np.cumsum(masses(self._n, self._q))  # for the fail side: few samples under the quantile
        alone_over = np.cumsum(masses(self._n, self._q)[::-1])  # for the pass side: few that are not
        sides = (
            (alone, self._failed + np.cumsum(self._failing)),
            (alone_over, self._passed + np.cumsum(self._passing[::-1])),
        )
        # The first count that would overspend; a boundary below it has any alpha up to its chance.
        most = min(float(chance[np.searchsorted(reached, budget, side="right")]) for chance, reached in sides)
        reachable = [float(chance[np.searchsorted(chance, most) - 1]) for chance, _ in sides if chance[0] < most]
        return max(reachable, default=most / 2) * (1 + _HAIR)


def _walked(walk: _Walk, step: _Walk) -> _Walk:
    """The chances of each count after a step, at the cost of the counts that have a chance worth the name."""
    (from_walk, to_walk), (from_step, to_step) = _range(walk), _range(step)
    moved: _Walk = np.zeros(len(walk) + len(step) - 1)
    moved[from_walk + from_step : to_walk + to_step - 1] = np.convolve(walk[from_walk:to_walk], step[from_step:to_step])
    return moved


def _range(chances: _Walk) -> tuple[int, int]:
    worth = np.flatnonzero(chances > _NO_CHANCE)
    return int(worth[0]), int(worth[-1]) + 1
