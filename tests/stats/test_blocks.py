"""Rule 8: samples that depend on each other tell less, and their bounds say so."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as witness

from ptp.stats import block_length, bounds, effective_n, quantile_bounds, sample_bounds
from tests.stats.noise import Values, autoregression

SEEDS, N = 600, 2_000


@pytest.fixture(scope="module")
def dependent() -> Values:
    """AR(1) with 0.9, made skew as latencies are."""
    return np.exp(0.5 * autoregression(np.random.default_rng(8), rho=0.9, n=N, seeds=SEEDS))


@pytest.fixture(scope="module")
def independent() -> Values:
    return np.random.default_rng(9).lognormal(0, 0.5, (SEEDS, N))


@pytest.mark.parametrize("q", [0.5, 0.95])
def test_rule_8_the_block_interval_covers_the_percentile_of_ar1_in_90_of_100(dependent: Values, q: float) -> None:
    truth = math.exp(0.5 * witness.norm.ppf(q))
    found = [quantile_bounds(row, q=q) for row in dependent]
    # Each side is missed by 5 %, so both hold in 90 %; 40 is two standard deviations of 600 seeds more.
    assert sum(b.high < truth for b in found) <= 40
    assert sum(b.low > truth for b in found) <= 40
    assert sum(b.low <= truth <= b.high for b in found) >= 0.9 * SEEDS
    assert np.median([b.high / b.low for b in found]) < 2


@pytest.mark.parametrize("q", [0.5, 0.95])
def test_rule_8_the_bounds_of_a_verdict_cover_ar1_where_order_statistics_alone_do_not(
    dependent: Values, q: float
) -> None:
    truth = math.exp(0.5 * witness.norm.ppf(q))
    chosen = [sample_bounds(row, q=q)[0] for row in dependent]
    naive = [bounds(np.sort(row), q=q) for row in dependent]
    assert sum(b.low <= truth <= b.high for b in chosen) >= 0.9 * SEEDS
    assert sum(b.low <= truth <= b.high for b in naive) <= 0.6 * SEEDS


@pytest.mark.parametrize("rho", [0.5, 0.9])
def test_rule_8_effective_n_is_that_of_theory(rho: float) -> None:
    rows = autoregression(np.random.default_rng(3), rho=rho, n=N, seeds=100)
    found = np.array([effective_n(row) for row in rows])
    assert np.median(found) == pytest.approx(N * (1 - rho) / (1 + rho), rel=0.15)
    assert np.quantile(found, 0.9) < 2 * np.quantile(found, 0.1)


@pytest.mark.parametrize("n", [59, 300, 2_000])
def test_rule_8_independent_samples_count_in_full_and_keep_their_order_statistics(independent: Values, n: int) -> None:
    found = [sample_bounds(row[:n], q=0.95) for row in independent]
    whole = [effective == n for _, effective in found]
    assert sum(whole) >= 0.95 * SEEDS
    for row, (span, _) in zip(
        independent[whole], [f for f, kept in zip(found, whole, strict=True) if kept], strict=True
    ):
        assert span == bounds(sorted(row[:n]), q=0.95)


def test_effective_n_does_not_see_the_shape_of_the_distribution(dependent: Values) -> None:
    assert effective_n(dependent[0]) == pytest.approx(effective_n(np.log(dependent[0])))


def test_rule_8_a_burst_of_slow_calls_is_seen_though_most_calls_are_independent() -> None:
    chance = np.random.default_rng(4)
    truth, passed = [], 0
    for _ in range(60):
        # A stall hits 40 calls in a row; 4.5 to 5.5 % of the calls are in one, as they fall.
        calls = chance.lognormal(0, 0.1, 2_000)
        starts = np.flatnonzero(chance.random(2_000) < 0.00131)
        for start in starts:
            calls[start : start + 40] = 50.0
        truth.append((calls == 50).mean())
        span, effective = sample_bounds(calls, q=0.95)
        passed += span.high < 10
        assert len(starts) == 0 or effective < 500
    assert 0.04 < np.mean(truth) < 0.062
    naive = sum(share < 0.042 for share in truth)  # what order statistics of 2,000 would pass
    assert passed <= 9 < naive


def test_blocks_are_longer_the_further_the_dependence_reaches(dependent: Values, independent: Values) -> None:
    assert block_length(independent[0]) == 1
    # Politis and White for AR(1) with 0.9 and 2,000 samples: (1.5 n (2 rho / (1 - rho^2))^2)^(1/3) = 65.
    assert np.median([block_length(row) for row in dependent]) == pytest.approx(65, rel=0.15)
    assert block_length(dependent[0][:80]) <= 10


def test_the_same_samples_have_the_same_bounds(dependent: Values) -> None:
    assert quantile_bounds(dependent[0], q=0.95) == quantile_bounds(dependent[0], q=0.95)
    assert quantile_bounds(dependent[0], q=0.95, seed=2) != quantile_bounds(dependent[0], q=0.95, seed=3)


def test_more_confidence_is_wider(dependent: Values) -> None:
    usual, sure = (sample_bounds(dependent[1], q=0.5, confidence=c)[0] for c in (0.95, 0.999))
    assert sure.low < usual.low < usual.high < sure.high


def test_too_few_effective_samples_have_no_upper_bound(dependent: Values) -> None:
    span, effective = sample_bounds(dependent[0][:300], q=0.95)
    assert effective < 59
    assert span.high == math.inf


@pytest.mark.parametrize("samples", [[], [1.0], [1.0, 2.0], [5.0] * 200])
def test_few_or_equal_samples_neither_divide_by_zero_nor_depend(samples: list[float]) -> None:
    span, effective = sample_bounds(samples, q=0.95)
    assert effective == effective_n(samples) == len(samples)
    assert span == bounds(samples, q=0.95)
    assert quantile_bounds(samples, q=0.95) == span
    assert block_length(samples) == 1
