"""Rule 7: A against A is alike, a slowdown of 5 % is found, and the check of a run seldom cries wolf."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from scipy import stats as witness

from ptp.stats import equivalence, ratio_of, sign_test
from tests.stats.noise import Values, autoregression, latencies


@pytest.fixture(scope="module")
def pairs() -> tuple[Values, Values]:
    return latencies(np.random.default_rng(77), n=300, seeds=200)


def covers_one(a: Values, b: Values) -> int:
    return sum(r.low <= 1 <= r.high for r in map(ratio_of, a, b))


def test_rule_7_the_interval_of_a_against_a_covers_1_in_180_to_199_of_200_seeds(pairs: tuple[Values, Values]) -> None:
    assert 180 <= covers_one(*pairs) <= 199


def test_rule_7_a_slowdown_of_5_percent_is_found_in_90_of_100(pairs: tuple[Values, Values]) -> None:
    a, b = pairs
    found = [ratio_of(slow, same) for slow, same in zip(a * 1.05, b, strict=True)]
    assert sum(r.low > 1 for r in found) >= 180
    assert np.median([r.value for r in found]) == pytest.approx(1.05, rel=0.005)
    assert {r.n for r in found} == {300}


def test_rule_7_without_pairs_the_drift_hides_the_same_slowdown(pairs: tuple[Values, Values]) -> None:
    a, b = pairs
    shuffled = np.random.default_rng(1).permuted(b, axis=1)
    found = [ratio_of(slow, other) for slow, other in zip(a * 1.05, shuffled, strict=True)]
    assert sum(r.low > 1 for r in found) < 140


def test_rule_7_the_interval_holds_where_pairs_depend_on_each_other() -> None:
    chance = np.random.default_rng(5)
    a, b = (np.exp(0.1 * autoregression(chance, rho=0.9, n=1_000, seeds=200)) for _ in "ab")
    assert covers_one(a, b) >= 180


def test_rule_7_a_healthy_harness_is_called_different_in_none_of_1000_runs() -> None:
    a, b = latencies(np.random.default_rng(11), n=1_000, seeds=1_000)
    found = Counter(map(equivalence, a, b))
    assert found["fail"] == 0
    assert found["pass"] >= 950


def test_rule_7_a_bias_of_10_percent_is_found_and_one_of_5_is_not_called_alike() -> None:
    a, b = latencies(np.random.default_rng(12), n=1_000, seeds=200)
    assert Counter(map(equivalence, a * 1.1, b))["fail"] >= 195
    assert Counter(map(equivalence, a / 1.1, b))["fail"] >= 195
    assert Counter(map(equivalence, a * 1.05, b))["pass"] <= 2
    assert Counter(map(equivalence, a * 1.03, b))["fail"] == 0  # within the 5 % that are allowed, however surely


def test_too_few_pairs_are_neither_alike_nor_different() -> None:
    assert equivalence([1.0] * 8, [1.0] * 8) == "inconclusive"
    few = ratio_of([1.0, 2.0], [1.0, 1.0])
    assert (few.low, few.high) == (0, math.inf)


def test_a_ratio_is_the_median_within_pairs_and_turns_with_them() -> None:
    found = ratio_of([2.0, 30.0, 8.0], [1.0, 10.0, 2.0])
    assert found.value == pytest.approx(3)
    assert ratio_of([1.0, 10.0, 2.0], [2.0, 30.0, 8.0]).value == pytest.approx(1 / 3)


def test_the_interval_of_a_ratio_is_that_of_the_sign_test_on_both_sides() -> None:
    ratios = np.random.default_rng(3).permutation(np.arange(1.0, 301))
    found = ratio_of(ratios, np.ones(300))
    # The k-th smallest is the bound where fewer than k of 300 lie under the median with chance 2.5 %.
    assert found.low == pytest.approx(witness.binom.ppf(0.025, 300, 0.5))
    assert found.high == pytest.approx(witness.binom.ppf(0.975, 300, 0.5) + 1)


def test_the_p_value_is_that_of_the_sign_test_and_uniform_when_nothing_differs(pairs: tuple[Values, Values]) -> None:
    a, b = pairs
    above = int((a[0] > b[0]).sum())
    assert sign_test(a[0], b[0]) == pytest.approx(witness.binomtest(above, 300).pvalue)
    found = [sign_test(x, y) for x, y in zip(a, b, strict=True)]
    assert 2 <= sum(p < 0.05 for p in found) <= 18
    assert 80 <= sum(p < 0.55 for p in found) <= 130
    assert max(sign_test(x * 1.2, y) for x, y in zip(a, b, strict=True)) < 1e-6
    assert sign_test([1.0] * 5, [1.0] * 5) == 1


@pytest.mark.parametrize(
    ("a", "b", "why"),
    [
        ([1.0], [1.0, 2.0], "two sides of one length, not 1 and 2"),
        ([], [], "no pairs"),
        ([1.0, 0.0], [1.0, 1.0], "time several calls as one"),
    ],
)
def test_what_is_no_pair_is_refused(a: list[float], b: list[float], why: str) -> None:
    for use in (ratio_of, equivalence, sign_test):
        with pytest.raises(ValueError, match=why):
            use(a, b)
