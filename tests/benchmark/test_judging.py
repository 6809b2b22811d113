"""What a look sees in samples: when latency is steady, how much a sample is worth, how lucky a pass would be."""

from __future__ import annotations

import math
import random

import pytest

from ptp.benchmark.judging import Sight, drift_of, look_at, needed_in_all, p_value
from ptp.stats import Look


def rising(by: float, *, start: float = 20.0, noise: float = 8.0, n: int = 4_000, seed: int = 1) -> list[float]:
    chance = random.Random(seed)
    return [max(start + by * i / n + chance.gauss(0, noise), 0.1) for i in range(n)]


def seen(samples: list[float], *, limit: float = 100.0, confidence: float = 0.95) -> Sight:
    return look_at(samples, limit=limit, look=Look(len(samples), confidence))


def test_a_drift_withholds_what_the_bounds_alone_would_decide() -> None:
    for by in (4.0, -4.0):
        found = seen(rising(by))
        assert found.high is not None and found.high < 100.0
        assert found.decision == "inconclusive"
        assert found.drift == pytest.approx(by, abs=1.5)
    assert seen(rising(4.0), limit=20.0).decision == "inconclusive"  # over the limit, and falling or rising further
    level = seen(rising(0.0))
    assert (level.decision, level.drift) == ("pass", None)
    assert seen(rising(0.0), limit=20.0).decision == "fail"


@pytest.mark.parametrize(("by", "limit", "is_steady"), [
    (4.0, 100.0, False),
    (4.0, 350.0, False),
    (4.0, 800.0, True),  # under 1/100 of the limit it does not matter, however sure it is
    (0.8, 10.0, True),  # and neither under 5 % of the median
])  # fmt: skip
def test_what_is_sure_but_small_is_steady(by: float, limit: float, is_steady: bool) -> None:
    assert (drift_of(rising(by, noise=0.2), limit=limit) is None) == is_steady


def test_samples_of_no_time_at_all_are_steady() -> None:
    assert drift_of([0.0] * 300, limit=50.0) is None


def test_samples_that_depend_on_each_other_are_worth_less_and_so_more_are_needed() -> None:
    alone = seen([1.0] * 50)
    assert (alone.effective, needed_in_all(alone, limit=50.0)) == (50.0, 59)
    chance, value, samples = random.Random(3), 0.0, []
    for _ in range(150):
        value = 0.9 * value + 0.4 * chance.gauss(0, 1)
        samples.append(10 + value)
    found = seen(samples)
    worth = found.effective / 150
    needed = needed_in_all(found, limit=50.0)
    assert worth < 0.5 and needed is not None
    assert needed * worth == pytest.approx(59, abs=1)


@pytest.mark.parametrize(("over", "n"), [(0, 59), (0, 300), (4, 124), (10, 300), (15, 300)])
def test_the_p_value_is_the_chance_of_so_few_over_the_limit(over: int, n: int) -> None:
    by_hand = sum(math.comb(n, k) * 0.05**k * 0.95 ** (n - k) for k in range(over + 1))
    assert p_value(over, n, effective=float(n), confidence=0.95) == pytest.approx(by_hand)
    assert p_value(over, n, effective=n / 2, confidence=0.95) > by_hand
    # A look that may spend a fifth of the alpha must be five times as sure.
    assert p_value(over, n, effective=float(n), confidence=0.99) == pytest.approx(min(5 * by_hand, 1.0))
