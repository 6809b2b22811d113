"""Noise as latencies have it, drawn from a seed: made here without the code that it tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def autoregression(chance: np.random.Generator, *, rho: float, n: int, seeds: int) -> Values:
    """AR(1) of unit variance, one row a seed, begun in its stationary state."""
    shocks = chance.standard_normal((seeds, n))
    shocks[:, 1:] *= np.sqrt(1 - rho**2)
    for place in range(1, n):
        shocks[:, place] += rho * shocks[:, place - 1]
    return shocks


def latencies(chance: np.random.Generator, *, n: int, seeds: int, spread: float = 0.12) -> tuple[Values, Values]:
    """Pairs in ms: each call lognormal with 2 % of spikes, and a slow drift of up to 30 % that both of a pair share."""
    turns = np.arange(n) / n * 2 * np.pi + chance.uniform(0, 2 * np.pi, (seeds, 1))
    drift = 10 * (1 + 0.3 * np.sin(turns))

    def calls() -> Values:
        spikes = np.where(chance.random((seeds, n)) < 0.02, chance.uniform(3, 20, (seeds, n)), 1)
        found: Values = drift * chance.lognormal(0, spread, (seeds, n)) * spikes
        return found

    return calls(), calls()
