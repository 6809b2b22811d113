"""Percentiles and bounds against golden values, and against what they promise."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as witness

from ptp.stats import bounds, decide, lower_rank, outliers, percentile, samples_needed, upper_rank


def test_the_upper_rank_of_p95_at_1000_is_962() -> None:
    assert upper_rank(1_000, q=0.95) == 962


@pytest.mark.parametrize(("q", "least"), [(0.5, 5), (0.95, 59), (0.99, 299), (0.999, 2_995)])
def test_the_least_n_for_a_bound(q: float, least: int) -> None:
    assert samples_needed(q=q) == least
    assert upper_rank(least, q=q) == least
    assert upper_rank(least - 1, q=q) is None


@given(n=st.integers(1, 400), q=st.floats(0.05, 0.995))
def test_ranks_are_the_binomial_quantiles(n: int, q: float) -> None:
    def at_most(k: int) -> float:
        return math.fsum(math.comb(n, i) * q**i * (1 - q) ** (n - i) for i in range(k + 1))

    high, low = upper_rank(n, q=q), lower_rank(n, q=q)
    if high is None:
        assert at_most(n - 1) < 0.95 + 1e-9
    else:
        assert at_most(high - 1) >= 0.95 - 1e-9
        assert high == 1 or at_most(high - 2) < 0.95 + 1e-9
    # The k-th smallest is over the quantile when fewer than k samples are under it.
    assert at_most((low or 0) - 1) <= 0.05 + 1e-9 if low else at_most(0) > 0.05 - 1e-9


@given(samples=st.lists(st.floats(0, 1e6), min_size=1, max_size=60), q=st.floats(0.01, 0.99))
def test_a_percentile_is_a_sample_with_its_share_at_or_under_it(samples: list[float], q: float) -> None:
    found = percentile(sorted(samples), q=q)
    assert found in samples
    assert sum(value <= found for value in samples) >= q * len(samples) * (1 - 1e-12)
    assert sum(value < found for value in samples) < q * len(samples) + 1e-9


def test_percentiles_by_nearest_rank() -> None:
    ordered = [float(n) for n in range(1, 11)]
    assert [percentile(ordered, q=q) for q in (0.01, 0.5, 0.51, 0.95, 1.0)] == [1, 5, 6, 10, 10]


def test_no_samples_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="does not exist"):
        percentile([], q=0.5)


@pytest.mark.parametrize("q", [0.0, 1.0, -0.1, 1.1])
def test_a_quantile_lies_between_0_and_1(q: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        upper_rank(10, q=q)


def test_too_few_samples_have_no_upper_bound_and_are_inconclusive() -> None:
    found = bounds([1.0] * 50, q=0.95)
    assert (found.low, found.high) == (1.0, math.inf)
    assert decide([1.0] * 50, q=0.95, limit=100) == "inconclusive"
    assert decide([1.0] * 50, q=0.95, limit=0.5) == "fail"


def test_many_samples_neither_overflow_nor_vanish() -> None:
    rank = upper_rank(100_000, q=0.95)
    assert rank is not None
    assert 95_100 < rank < 95_130


@pytest.mark.parametrize("q", [0.5, 0.95])
def test_each_bound_covers_the_quantile_as_often_as_it_says(q: float) -> None:
    chance = random.Random(20260101)
    truth, trials = -math.log(1 - q), 2_000
    found = [bounds(sorted(chance.expovariate(1) for _ in range(200)), q=q) for _ in range(trials)]
    for missed in (sum(b.high < truth for b in found), sum(b.low > truth for b in found)):
        # 5 % of 2,000 at most; 130 is three standard deviations more.
        assert missed <= 130
    assert sum(math.isfinite(b.high) for b in found) == trials


def test_draws_just_over_the_limit_pass_at_most_7_in_100() -> None:
    chance = random.Random(7)
    over = -math.log(0.05) * 0.999  # the p95 of what is drawn is 0.1 % over this limit
    passed = sum(
        decide(sorted(chance.expovariate(1) for _ in range(300)), q=0.95, limit=over) == "pass" for _ in range(1_000)
    )
    assert passed <= 70


@given(samples=st.lists(st.floats(0, 100), min_size=59, max_size=120), limit=st.floats(0, 100))
def test_a_decision_is_the_side_of_the_limit_on_which_both_bounds_lie(samples: list[float], limit: float) -> None:
    ordered = sorted(samples)
    found = bounds(ordered, q=0.95)
    assert found.low <= percentile(ordered, q=0.95) <= found.high
    decision = decide(ordered, q=0.95, limit=limit)
    assert (decision == "pass") == (found.high < limit)
    assert (decision == "fail") == (found.low > limit)


@pytest.mark.parametrize(("p95", "decision"), [(149.6, "pass"), (150.4, "fail")])
def test_rule_9_half_a_millisecond_falls_on_its_side_of_150(p95: float, decision: str) -> None:
    ordered = [p95 - 0.3 + n * 0.6 / 9_999 for n in range(10_000)]
    assert percentile(ordered, q=0.5) == pytest.approx(p95, abs=0.001)
    assert decide(ordered, q=0.5, limit=150) == decision


def test_rule_9_a_percentile_is_of_all_samples_and_no_mean_of_percentiles() -> None:
    quiet, busy = [1.0] * 900, [1.0] * 60 + [200.0] * 40
    assert percentile(sorted(quiet + busy), q=0.95) == 1.0
    assert (percentile(quiet, q=0.95) + percentile(busy, q=0.95)) / 2 > 100


def test_rule_19_outliers_are_counted_and_stay_in_every_percentile() -> None:
    chance = random.Random(19)
    calls = [chance.gauss(10, 0.5) for _ in range(9_900)]
    spikes = [chance.uniform(100, 200) for _ in range(100 + 1)]  # 1 % and one more, so that p99 is a spike
    ordered = sorted(calls + spikes)
    assert outliers(ordered) == 101
    assert len(ordered) == 10_001
    assert percentile(ordered, q=0.99) > 12
    assert bounds(ordered, q=0.99).high >= 100
    assert percentile(ordered, q=0.95) < 12


def test_rule_19_a_fence_is_three_interquartile_ranges_away() -> None:
    ordered = [float(n) for n in range(1, 101)]  # quartiles 25 and 75: fences at -125 and 225
    assert outliers(ordered) == 0
    assert outliers([-126.0, *ordered[1:-1], 226.0]) == 2
    assert outliers([-120.0, *ordered[1:-1], 220.0]) == 0
    assert outliers([]) == 0
    assert outliers([5.0] * 99 + [6.0]) == 1


@pytest.mark.parametrize("n", [59, 1_000, 30_000])
@pytest.mark.parametrize("q", [0.5, 0.95, 0.999])
def test_ranks_are_those_of_scipy(n: int, q: float) -> None:
    high, low = upper_rank(n, q=q, confidence=0.99), lower_rank(n, q=q, confidence=0.99)
    known = int(witness.binom.ppf(0.99, n, q)) + 1
    assert high == (known if known <= n else None)
    assert low == int(witness.binom.ppf(0.01, n, q))
