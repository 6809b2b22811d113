"""Rules 12 and 13: a trend along a run, and the power with which a query grows with its data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as witness

from ptp.stats import exponent, is_steady, trend
from tests.stats.noise import Values, autoregression

SEEDS = 200


def calls(n: int, *, rho: float = 0.0, seeds: int = SEEDS) -> Values:
    """Latencies around 10 ms, lognormal, each depending on the one before by rho."""
    return 10 * np.exp(0.3 * autoregression(np.random.default_rng(12), rho=rho, n=n, seeds=seeds))


def unsteady(rows: Values) -> int:
    return sum(not is_steady(row) for row in rows)


@pytest.mark.parametrize(("rho", "n"), [(0.0, 200), (0.0, 2_000), (0.9, 200), (0.9, 2_000)])
def test_rule_12_noise_is_steady_in_99_of_100_even_where_it_depends_on_itself(rho: float, n: int) -> None:
    assert unsteady(calls(n, rho=rho)) <= 0.01 * SEEDS


@pytest.mark.parametrize("rho", [0.0, 0.5])
def test_rule_12_latency_that_rises_1_ms_a_second_is_not_steady(rho: float) -> None:
    rows = calls(600, rho=rho, seeds=100)
    rising = rows + np.arange(600) / 50  # 50 calls a second for 12 s
    assert unsteady(rising) == 100
    assert unsteady(rising[:, ::-1]) == 100
    slopes = [trend(row) for row in rising]
    assert sum(found.low <= 0.02 <= found.high for found in slopes) >= 85
    assert np.median([found.slope for found in slopes]) == pytest.approx(0.02, rel=0.1)


def test_rule_12_a_rise_is_found_though_the_beginning_was_restless() -> None:
    rows = calls(1_000, seeds=100)
    rows[:, :100] = 10 * (rows[:, :100] / 10) ** 5  # no slower in the middle, but spread over ten times as much
    assert unsteady(rows + np.arange(1_000) / 200) >= 98


def test_rule_12_the_interval_of_a_slope_covers_0_in_noise() -> None:
    found = [trend(row) for row in calls(1_000)]
    assert 0.93 * SEEDS <= sum(each.low <= 0 <= each.high for each in found) <= 0.999 * SEEDS
    assert sum(abs(each.slope) * 1_000 > 1 for each in found) <= 0.05 * SEEDS


@pytest.mark.parametrize("times", [3, 10])
def test_rule_12_a_warm_up_at_the_beginning_is_not_steady(times: float) -> None:
    rows = calls(1_000, seeds=100)
    assert unsteady(rows * np.where(np.arange(1_000) < 100, times, 1)) == 100
    assert unsteady(rows * (1 + times * np.exp(-np.arange(1_000) / 100))) >= 98


def test_rule_12_a_drift_too_small_to_matter_is_steady() -> None:
    rows = np.random.default_rng(2).normal(100, 0.1, (20, 1_000)) + np.arange(1_000) / 1_000
    assert unsteady(rows) == 0
    assert sum(is_steady(row, within=0.005) for row in rows) == 0


def test_rule_12_spikes_are_no_trend() -> None:
    chance = np.random.default_rng(3)
    rows = np.where(chance.random((100, 1_000)) < 0.01, 500, calls(1_000, seeds=100))
    assert unsteady(rows) <= 1


def test_rule_12_a_backlog_that_grows_from_nothing_is_not_steady_and_an_empty_one_is() -> None:
    assert not is_steady([float(n // 3) for n in range(300)])
    assert is_steady([0.0] * 300)
    assert is_steady([1.0, 0.0] * 150)


@pytest.mark.parametrize("samples", [[], [1.0], [1.0, 2.0, 3.0], [float(n) for n in range(9)]])
def test_too_few_samples_show_no_trend(samples: list[float]) -> None:
    found = trend(samples)
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert is_steady(samples)


def test_rule_13_a_linear_query_has_exponent_1_and_a_constant_one_0() -> None:
    chance = np.random.default_rng(13)
    sizes = np.repeat([1e4, 1e5, 1e6], 5)
    noise = chance.lognormal(0, 0.1, (SEEDS, 15))
    for truth in (0.0, 1.0):
        found = [exponent(sizes, 3 * sizes**truth * row) for row in noise]
        assert sum(each.low <= truth <= each.high for each in found) >= 0.92 * SEEDS
        assert all(abs(each.value - truth) < 0.1 for each in found)
        assert all(each.high - each.low < 0.25 for each in found)


@pytest.mark.parametrize("points", [3, 4, 9, 30])
def test_the_interval_of_an_exponent_is_that_of_scipy(points: int) -> None:
    chance = np.random.default_rng(points)
    sizes, values = np.geomspace(10, 1e6, points), chance.lognormal(0, 1, points)
    known = witness.linregress(np.log(sizes), np.log(values))
    reach = witness.t.ppf(0.975, points - 2) * known.stderr
    found = exponent(sizes, values)
    assert found.value == pytest.approx(known.slope)
    assert (found.low, found.high) == pytest.approx((known.slope - reach, known.slope + reach), rel=1e-3, abs=1e-6)


def test_two_sizes_have_an_exponent_without_an_interval() -> None:
    found = exponent([10, 100], [1.0, 10.0])
    assert found.value == pytest.approx(1)
    assert (found.low, found.high) == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("sizes", "values"),
    [([10], [1.0]), ([10, 10], [1.0, 2.0]), ([10, 20], [1.0]), ([0, 10], [1.0, 1.0]), ([1, 2], [0.0, 1.0])],
)
def test_an_exponent_wants_sizes(sizes: list[float], values: list[float]) -> None:
    with pytest.raises(ValueError, match="an exponent wants"):
        exponent(sizes, values)
