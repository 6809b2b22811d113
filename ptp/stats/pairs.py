"""A against B, in pairs that were taken together: what slows both of a pair down does not move their ratio."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ptp.stats.binomial import at_most
from ptp.stats.blocks import sample_bounds
from ptp.stats.quantiles import Bounds, Decision, percentile


@dataclass(frozen=True, slots=True)
class Ratio:
    """The median of a / b over `n` pairs, with its two-sided interval; infinite where n pairs cannot give one."""

    value: float
    low: float
    high: float
    n: int


def ratio_of(a: Sequence[float], b: Sequence[float], *, confidence: float = 0.95) -> Ratio:
    """The ratio a / b within pairs, over 1 where a is slower: the median, with its bounds as of `sample_bounds`.

    ValueError when the sides differ in number, when there is no pair, or when one took no time that the clock saw.
    """
    logs = _logs(a, b)
    found, _ = _median_bounds(logs, (1 + confidence) / 2)
    return Ratio(
        value=math.exp(percentile(sorted(logs), q=0.5)), low=_exp(found.low), high=_exp(found.high), n=len(logs)
    )


def equivalence(a: Sequence[float], b: Sequence[float], *, within: float = 0.05, alpha: float = 0.001) -> Decision:
    """pass when the ratio is shown to lie within 1 / (1 + within) and 1 + within, fail when it is shown to lie outside.

    Each bound errs with chance alpha (two one-sided tests: Schuirmann, 1987). With too few pairs, or too noisy ones,
    neither is shown. ValueError as for `ratio_of`.
    """
    found, _ = _median_bounds(_logs(a, b), 1 - alpha)
    edge = math.log1p(within)
    if -edge < found.low and found.high < edge:
        return "pass"
    return "fail" if found.low > edge or found.high < -edge else "inconclusive"


def sign_test(a: Sequence[float], b: Sequence[float]) -> float:
    """The two-sided p-value of a and b being alike: how rarely so few pairs would favour one side by chance.

    Exact where pairs are independent; where they are not, as for the effective number of pairs. ValueError as for
    `ratio_of`.
    """
    logs = np.asarray(_logs(a, b))
    above, below = int((logs > 0).sum()), int((logs < 0).sum())
    if above + below == 0:
        return 1.0
    _, effective = _median_bounds(logs.tolist(), 0.975)
    scale = effective / len(logs)
    n = max(round((above + below) * scale), 1)
    return min(1.0, 2 * at_most(math.ceil(min(above, below) * scale), n, 0.5))


def _logs(a: Sequence[float], b: Sequence[float]) -> list[float]:
    if len(a) != len(b):
        raise ValueError(f"pairs have two sides of one length, not {len(a)} and {len(b)}")
    if len(a) == 0:
        raise ValueError("a ratio of no pairs does not exist")
    first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if min(first.min(), second.min()) <= 0:
        raise ValueError("a pair took no time that the clock could see: time several calls as one")
    logs: list[float] = np.log(first / second).tolist()
    return logs


def _median_bounds(logs: Sequence[float], confidence: float) -> tuple[Bounds, float]:
    return sample_bounds(logs, q=0.5, confidence=confidence)


def _exp(value: float) -> float:
    return math.inf if value == math.inf else math.exp(value)
