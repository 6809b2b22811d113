"""Does it change: along a run (a trend), or with the size of the data (an exponent).

A trend assumes no shape of the noise: the slope is the median of the slopes between all pairs of batches, with the
bounds that Kendall's count of rising pairs gives (Sen, 1968), wider where samples depend on the ones before them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ptp.stats.blocks import inertia_of

_Values = NDArray[np.float64]

_BATCHES = 20
_LEAST = 10  # samples: fewer show neither a trend nor a warm-up
_SURE = 0.999


@dataclass(frozen=True, slots=True)
class Trend:
    """The change per sample, in the unit of the samples, with its two-sided interval."""

    slope: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Exponent:
    """The power of the size with which a value grows, with its two-sided 95 % interval: 0 constant, 1 linear."""

    value: float
    low: float
    high: float


def trend(samples: Sequence[float], *, confidence: float = 0.95) -> Trend:
    """The slope along samples in the order taken, from the medians of consecutive batches of them.

    Infinite bounds where there are too few samples to tell: under 10.
    """
    values = np.asarray(samples, dtype=float)
    if len(values) < _LEAST:
        return Trend(slope=0.0, low=-math.inf, high=math.inf)
    return _trend(values, _inertia_without_trend(values), confidence)


def is_steady(samples: Sequence[float], *, within: float = 0.05) -> bool:
    """Whether samples in the order taken show no trend and no warm-up.

    Unsteady is what is both sure and large: a slope whose 99.9 % interval leaves out 0, or a first tenth that differs
    as surely from the second half, by more than `within` of the median over the run. Under 10 samples show nothing.
    """
    values = np.asarray(samples, dtype=float)
    if len(values) < _LEAST:
        return True
    allowed = within * abs(float(np.median(values)))
    inertia = _inertia_without_trend(values)
    found = _trend(values, inertia, _SURE)
    rises = not found.low <= 0 <= found.high and abs(found.slope) * len(values) > allowed
    return not rises and not _warms_up(values, inertia, allowed)


def exponent(sizes: Sequence[float], values: Sequence[float]) -> Exponent:
    """The slope of log value over log size, by least squares; several values of one size are told with that size each.

    Infinite bounds with only two. ValueError when there are fewer than two sizes, or one is not over 0.
    """
    if len(sizes) != len(values) or len(set(sizes)) < 2:
        raise ValueError("an exponent wants at least two sizes, and one value for each size told")
    if min(sizes) <= 0 or min(values) <= 0:
        raise ValueError("an exponent wants sizes and values over 0")
    x, y = np.log(np.asarray(sizes, dtype=float)), np.log(np.asarray(values, dtype=float))
    x, y = x - x.mean(), y - y.mean()
    spread = float((x**2).sum())
    slope = float((x * y).sum()) / spread
    free = len(x) - 2
    if free == 0:
        return Exponent(slope, -math.inf, math.inf)
    reach = _student(free) * math.sqrt(float(((y - slope * x) ** 2).sum()) / free / spread)
    return Exponent(slope, slope - reach, slope + reach)


def _trend(values: _Values, inertia: float, confidence: float) -> Trend:
    places, medians = _batches(values)
    slopes = np.sort(_slopes(places, medians))
    # Batches shorter than the dependence reaches depend on each other: the variance grows by about so much.
    inflation = math.sqrt(1 + (inertia - 1) * len(medians) / len(values))
    return Trend(float(np.median(slopes)), *_sen_bounds(slopes, len(medians), confidence, inflation))


def _batches(values: _Values) -> tuple[_Values, _Values]:
    """The places of the middles, and the medians, of consecutive batches."""
    parts = np.array_split(values, min(_BATCHES, len(values) // 2))
    sizes = np.array([len(part) for part in parts])
    return np.cumsum(sizes) - sizes / 2, np.array([float(np.median(part)) for part in parts])


def _slopes(places: _Values, medians: _Values) -> _Values:
    first, second = np.triu_indices(len(places), 1)
    found: _Values = (medians[second] - medians[first]) / (places[second] - places[first])
    return found


def _inertia_without_trend(values: _Values) -> float:
    """The inertia of the second half, which a warm-up does not reach, when a line through it is taken away.

    With what an autoregression of that many samples hides of its dependence added (Marriott and Pope, 1954).
    """
    half = values[len(values) // 2 :]
    inertia = inertia_of(half - np.arange(len(half)) * float(np.median(_slopes(*_batches(half)))))
    if inertia == 1:
        return inertia
    seen = (inertia - 1) / (inertia + 1)
    true = min(seen + (2 + 4 * seen) / len(half), 0.99)
    return (1 + true) / (1 - true)


def _sen_bounds(slopes: _Values, n: int, confidence: float, inflation: float) -> tuple[float, float]:
    z = NormalDist().inv_cdf((1 + confidence) / 2) * inflation
    reach = z * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low = math.floor((len(slopes) - reach) / 2)
    if low < 1:
        return -math.inf, math.inf
    return float(slopes[low - 1]), float(slopes[len(slopes) - low])


def _warms_up(values: _Values, inertia: float, allowed: float) -> bool:
    """Whether the first tenth differs from the second half by more than the noise of both medians (Geweke, 1992)."""
    first, last = values[: _tenth(values)], values[len(values) // 2 :]
    apart = abs(float(np.median(first) - np.median(last)))
    spread = _spread(last)
    error = math.hypot(
        _error_of_median(max(spread, _spread(first)), len(first), inertia), _error_of_median(spread, len(last), inertia)
    )
    return apart > allowed and apart > NormalDist().inv_cdf((1 + _SURE) / 2) * error


def _tenth(values: _Values) -> int:
    return max(len(values) // 10, 5)


def _spread(values: _Values) -> float:
    """The standard deviation, were the values normal: from their quartiles, which no spike moves."""
    quarters = np.quantile(values, (0.25, 0.75))
    return float(quarters[1] - quarters[0]) / 1.349


def _error_of_median(spread: float, n: int, inertia: float) -> float:
    return 1.2533 * spread * math.sqrt(min(inertia / n, 1.0))


def _student(free: int) -> float:
    """The two-sided 95 % point of Student's t: of a table for few degrees of freedom, else by Cornish and Fisher."""
    table = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
    if free <= len(table):
        return table[free - 1]
    z = 1.95996
    return z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
