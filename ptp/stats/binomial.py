"""The binomial distribution, exactly: all masses at once, from the ratio of each to the one before."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


@lru_cache(maxsize=16)
def masses(n: int, share: float) -> NDArray[np.float64]:
    """P(X = k) for k = 0 to n of a binomial with n trials, each of chance `share`; read-only, because it is kept.

    Through logarithms, so that no n overflows and no tail is lost before it is smaller than a float can be.
    """
    logs = _logs(n, n, share)
    found: NDArray[np.float64] = np.exp(logs - logs.max())
    found /= found.sum()
    found.setflags(write=False)
    return found


def at_most(k: int, n: int, share: float) -> float:
    """P(X <= k), at the cost of k alone."""
    return min(float(np.exp(_logs(k, n, share)).sum()), 1.0) if k >= 0 else 0.0


def _logs(most: int, n: int, share: float) -> NDArray[np.float64]:
    """The logarithms of P(X = k) for k = 0 to `most`."""
    k = np.arange(min(most, n), dtype=float)
    steps = np.log((n - k) / (k + 1)) + (np.log(share) - np.log1p(-share))
    logs: NDArray[np.float64] = n * np.log1p(-share) + np.concatenate(([0.0], np.cumsum(steps)))
    return logs
