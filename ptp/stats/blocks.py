"""Bounds for samples that depend on the ones before them: an effective n, and a bootstrap that draws whole blocks.

A slow call is often followed by another (a cache that was lost, a neighbour on the machine), so that a thousand samples
can tell as little as fifty. How far the dependence reaches is told by the ranks of the samples, because a percentile
knows nothing but ranks: the sum of their autocorrelations, up to where it is noise (Geyer, 1992: initial positive
sequence). White noise is left alone by a test of independence first (Ljung and Box, 1978).

The block bootstrap is Kuensch's (1989) of moving blocks. What is drawn is how many samples lie under the quantile, and
the bounds are the order statistics at those counts (Woodruff, 1952): whole resamples would give the same at 20 times
the cost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ptp.stats.quantiles import Bounds, bounds, lower_rank, percentile, upper_rank

_Values = NDArray[np.float64]

_LAGS = 10  # of the test of independence
_BY_CHANCE = 23.21  # what its statistic exceeds in 1 % of white noise: chi-squared with 10 degrees of freedom
_RESAMPLES = 2_000
_SHORT = 1.06  # by which intervals still fell short of 90 % over 1,200 seeds of an autoregression with 0.9
_LEAST_BLOCKS = 8  # fewer blocks than these tell nothing about how blocks differ


def effective_n(samples: Sequence[float]) -> float:
    """How many independent samples would tell as much as these, in the order in which they were taken; at most n."""
    return len(samples) / inertia_of(np.asarray(samples, dtype=float))


def block_length(samples: Sequence[float]) -> int:
    """The length of block that leaves least error in a bootstrapped variance, in samples; 1 for white noise.

    The formula of Kuensch for moving blocks, with the dependence of an autoregression (Politis and White, 2004).
    """
    return _length(len(samples), inertia_of(np.asarray(samples, dtype=float)))


def quantile_bounds(samples: Sequence[float], *, q: float, confidence: float = 0.95, seed: int = 1) -> Bounds:
    """One-sided bounds of the q-quantile, each at `confidence`, by moving blocks of samples in the order taken.

    Where no dependence is seen, a block is one sample, and the bootstrap is the binomial of order statistics itself.
    """
    values = np.asarray(samples, dtype=float)
    ordered: list[float] = np.sort(values).tolist()
    inertia = _inertia_at(values, ordered, q)
    if inertia == 1:
        return bounds(ordered, q=q, confidence=confidence)
    return _drawn(values, ordered, inertia, q=q, confidence=confidence, seed=seed)


def sample_bounds(samples: Sequence[float], *, q: float, confidence: float = 0.95) -> tuple[Bounds, float]:
    """One-sided bounds of the q-quantile of samples in the order taken, and the effective n they rest on.

    Order statistics where no dependence is seen in which samples lie over the quantile.
    Otherwise the wider of two: the block bootstrap, and order statistics as if there were only the effective n.
    """
    values = np.asarray(samples, dtype=float)
    ordered: list[float] = np.sort(values).tolist()
    inertia = _inertia_at(values, ordered, q)
    effective = len(values) / inertia
    if inertia == 1:
        return bounds(ordered, q=q, confidence=confidence), effective
    drawn = _drawn(values, ordered, inertia, q=q, confidence=confidence, seed=1)
    fewer = _thinned(ordered, int(effective), q, confidence)
    return Bounds(low=min(drawn.low, fewer.low), high=max(drawn.high, fewer.high)), effective


def inertia_of(values: NDArray[np.float64]) -> float:
    """By how many times the samples tell less than as many independent ones would: n over the effective n."""
    return _inertia(_ranks(values))


def _inertia_at(values: _Values, ordered: Sequence[float], q: float) -> float:
    """The inertia of lying over the quantile or not: what a bound of the quantile depends on.

    That of the ranks would count for more than it is: where the middle wanders and the slow calls come one by one, the
    slow calls are as good as independent. Looked at are the quantile itself, from both sides, since bursts of equal
    calls may be what lies at it, and one half way to its thinner end, where bursts stand out.
    """
    if len(values) == 0:
        return 1.0
    further = q / 2 if q < 0.5 else (1 + q) / 2
    sides = (_under(values, ordered, q), (values < percentile(ordered, q=q)).astype(float))
    return max(map(_inertia, (*sides, _under(values, ordered, further))))


def _under(values: _Values, ordered: Sequence[float], q: float) -> _Values:
    return (values <= percentile(ordered, q=q)).astype(float)


def _drawn(
    values: _Values, ordered: Sequence[float], inertia: float, *, q: float, confidence: float, seed: int
) -> Bounds:
    n = len(ordered)
    length = _length(n, inertia)
    drawn = _deviations(_under(values, ordered, q), length, seed) * _widening(n, length, inertia, q, confidence)
    high = math.ceil(n * q + float(np.quantile(drawn, confidence))) + 1
    low = math.floor(n * q + float(np.quantile(drawn, 1 - confidence)))
    return Bounds(
        low=ordered[low - 1] if low >= 1 else -math.inf,
        high=ordered[high - 1] if high <= n else math.inf,
    )


def _thinned(ordered: Sequence[float], effective: int, q: float, confidence: float) -> Bounds:
    """Order statistics at the ranks that `effective` samples would have, as shares of all."""
    scale = len(ordered) / max(effective, 1)
    high = upper_rank(effective, q=q, confidence=confidence)
    low = lower_rank(effective, q=q, confidence=confidence)
    return Bounds(
        low=ordered[max(math.floor((low - 1) * scale), 0)] if low else -math.inf,
        high=ordered[min(math.ceil(high * scale), len(ordered)) - 1] if high else math.inf,
    )


def _inertia(values: _Values) -> float:
    """By how many times the variance of the mean exceeds that of independent values; at least 1, and 1 for noise."""
    n = len(values)
    if n < 2:
        return 1.0
    correlation = _autocorrelation(values)
    lags = correlation[1 : _LAGS + 1]
    if n * (n + 2) * float((lags**2 / (n - np.arange(1, len(lags) + 1))).sum()) < _BY_CHANCE:
        return 1.0
    pairs = correlation[: n // 2 * 2].reshape(-1, 2).sum(axis=1)
    ends = np.flatnonzero(pairs <= 0)
    positive = pairs[: ends[0]] if len(ends) else pairs
    return max(1.0, 2 * float(np.minimum.accumulate(positive).sum()) - 1)


def _autocorrelation(values: _Values) -> _Values:
    """At lags 0 to n - 1; zeros but for the first where nothing varies."""
    n = len(values)
    centred = values - values.mean()
    size = 1 << (2 * n - 1).bit_length()
    power = np.abs(np.fft.rfft(centred, size)) ** 2
    found: _Values = np.fft.irfft(power, size)[:n]
    if found[0] <= 1e-12 * n:
        found = np.zeros(n)
        found[0] = 1.0
        return found
    found /= found[0]
    return found


def _ranks(values: _Values) -> _Values:
    """Each value's rank, equal values sharing the mean of theirs, so that a coarse clock makes no order of its own."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    found: _Values = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return found


def _length(n: int, inertia: float) -> int:
    best = math.ceil(math.cbrt(1.5 * n * _reach(inertia) ** 2))
    return max(1, min(best, n // _LEAST_BLOCKS))


def _reach(inertia: float) -> float:
    """The mean distance of the dependence, in samples, for an autoregression of this inertia."""
    return (inertia**2 - 1) / (2 * inertia)


def _deviations(under: _Values, length: int, seed: int) -> _Values:
    """How far the count under the quantile strays from its mean, in resamples made of moving blocks."""
    n = len(under)
    sums = np.concatenate(([0.0], np.cumsum(under)))
    blocks = sums[length:] - sums[:-length]
    number = max(n // length, 1)
    chance = np.random.default_rng(seed)
    drawn = blocks[chance.integers(0, len(blocks), size=(_RESAMPLES, number))].sum(axis=1)
    found: _Values = (drawn - number * blocks.mean()) * math.sqrt(n / (number * length))
    return found


def _widening(n: int, length: int, inertia: float, q: float, confidence: float) -> float:
    """What makes up for the variance that blocks cannot see: between blocks, and because there are few.

    Few of what tells: of blocks, or of effective samples on the thinner side of the quantile.
    """
    number = n / length
    unseen = min(_reach(inertia) / length, 0.75)
    z = abs(NormalDist().inv_cdf(confidence))
    free = max(min(number - 1, n * min(q, 1 - q) / inertia), 1)
    few = 1 + (1 + z**2) / (4 * free)  # Student's t over the normal, to the first order
    return _SHORT * few / math.sqrt((1 - unseen) * (1 - 1 / max(number, 2)))
