"""Rule 3: the stopping rule, with all of its looks, errs as seldom as it says."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats as witness

from ptp.stats import Look, bounds, decide, decide_at, plan_looks, still_needed
from tests.stats.noise import Values

TRIALS, FIRST, MOST = 1_000, 100, 3_200
P95 = math.log(20)  # of the exponential distribution with mean 1


@pytest.fixture(scope="module")
def draws() -> Values:
    return np.random.default_rng(20260301).exponential(size=(TRIALS, MOST))


def decisions(draws: Values, looks: tuple[Look, ...], *, limit: float) -> Counter[str]:
    """What is decided at the first look that decides, for each row of draws."""
    ordered = {look.n: np.sort(draws[:, : look.n], axis=1) for look in looks}
    found: Counter[str] = Counter()
    for row in range(len(draws)):
        at = (decide_at(ordered[look.n][row], q=0.95, limit=limit, look=look) for look in looks)
        found[next((decision for decision in at if decision != "inconclusive"), "inconclusive")] += 1
    return found


def test_rule_3_draws_just_over_the_limit_pass_at_most_7_in_100_over_all_looks(draws: Values) -> None:
    found = decisions(draws, plan_looks(first=FIRST, most=MOST), limit=P95 * 0.9999)
    assert 20 <= found["pass"] <= 70  # alpha is spent: a rule that never passes would be no rule


def test_rule_3_draws_just_under_the_limit_fail_at_most_7_in_100_over_all_looks(draws: Values) -> None:
    found = decisions(draws, plan_looks(first=FIRST, most=MOST), limit=P95 * 1.0001)
    assert 20 <= found["fail"] <= 70


def test_rule_3_looking_every_100_samples_without_paying_passes_far_more(draws: Values) -> None:
    unpaid = tuple(Look(n=n, confidence=0.95) for n in range(FIRST, MOST + 1, 100))
    assert decisions(draws[:300], unpaid, limit=P95 * 0.9999)["pass"] > 0.15 * 300


def test_rule_3_what_is_clear_is_decided_at_the_first_look(draws: Values) -> None:
    first = plan_looks(first=FIRST, most=MOST)[:1]
    assert decisions(draws, first, limit=2.5 * P95)["pass"] > 0.95 * TRIALS
    assert decisions(draws, first, limit=0.4 * P95)["fail"] > 0.95 * TRIALS


def test_rule_3_fifty_samples_are_inconclusive_for_a_p95() -> None:
    fifty = [1.0] * 50
    assert decide_at(fifty, q=0.95, limit=1e9, look=Look(n=50, confidence=0.95)) == "inconclusive"
    assert still_needed(fifty, limit=1e9, q=0.95) == 59
    first = plan_looks(first=50, most=400)[0]
    assert decide_at(fifty, q=0.95, limit=1e9, look=first) == "inconclusive"


@pytest.mark.parametrize(
    ("first", "most", "q"), [(100, 3_200, 0.95), (50, 400, 0.95), (300, 5_000, 0.99), (20, 90, 0.5)]
)
def test_no_side_spends_more_than_alpha_even_by_the_sum_of_its_walks(first: int, most: int, q: float) -> None:
    looks = plan_looks(first=first, most=most, q=q)
    passed, failed = spent(looks, q=q)
    assert sum(passed) <= 0.05 + 1e-9
    assert sum(failed) <= 0.05 + 1e-9
    assert max(sum(passed), sum(failed)) > 0.03
    assert [look.spent for look in looks] == pytest.approx(passed, abs=1e-9)


def spent(looks: tuple[Look, ...], *, q: float) -> tuple[list[float], list[float]]:
    """The chance that each look is the first at which a quantile at the limit passes, or fails: by scipy, count by count.

    A chance that `bounds` decides on is found by asking it of samples which are their own ranks.
    """
    sides: list[list[float]] = []
    for side in ("pass", "fail"):
        alive, before, out = np.ones(1), 0, []
        for look in looks:
            alive = np.convolve(alive, witness.binom.pmf(np.arange(look.n - before + 1), look.n - before, q))
            found = bounds(range(1, look.n + 1), q=q, confidence=look.confidence)
            under = np.arange(look.n + 1)  # with `under` samples below the limit, ranks up to it are under it
            stops = found.high <= under if side == "pass" else found.low > under
            out.append(float(alive[stops].sum()))
            alive, before = np.where(stops, 0, alive), look.n
        sides.append(out)
    return sides[0], sides[1]


def test_looks_about_double_and_end_at_the_budget() -> None:
    assert [look.n for look in plan_looks(first=100, most=3_200)] == [100, 200, 400, 800, 1_600, 3_200]
    uneven = [look.n for look in plan_looks(first=200, most=1_000)]
    assert (uneven[0], uneven[-1]) == (200, 1_000)
    assert all(1.4 < later / sooner < 2.9 for sooner, later in pairwise(uneven))


def test_one_look_has_all_of_alpha() -> None:
    assert plan_looks(first=1_000, most=1_000) == (Look(n=1_000, confidence=0.95, spent=pytest.approx(0.05)),)


def test_equal_shares_decide_sooner_than_the_split_of_bonferroni(draws: Values) -> None:
    ours = plan_looks(first=FIRST, most=MOST)
    split = tuple(Look(n=look.n, confidence=1 - 0.05 / len(ours)) for look in ours)
    limit = P95 * 1.15  # about 3 % of the samples are over it

    def mean_n(looks: tuple[Look, ...]) -> float:
        undecided, total = draws, 0.0
        for look in looks:
            total += look.n * len(undecided)
            ordered = np.sort(undecided[:, : look.n], axis=1)
            kept = [decide_at(row, q=0.95, limit=limit, look=look) == "inconclusive" for row in ordered]
            total -= look.n * sum(kept) if look is not looks[-1] else 0
            undecided = undecided[kept]
        return total / len(draws)

    assert mean_n(ours) < mean_n(split)


def test_a_look_decides_on_its_own_number_of_samples_only() -> None:
    with pytest.raises(ValueError, match="planned after 100 samples cannot decide on 99"):
        decide_at([1.0] * 99, q=0.95, limit=2, look=Look(n=100, confidence=0.95))


@pytest.mark.parametrize(("first", "most"), [(0, 10), (11, 10)])
def test_looks_go_upwards(first: int, most: int) -> None:
    with pytest.raises(ValueError, match="upwards"):
        plan_looks(first=first, most=most)


def test_what_is_still_needed_decides_if_the_share_stays() -> None:
    for over in (30, 70):
        ordered = [1.0] * (1_000 - over) + [3.0] * over
        needed = still_needed(ordered, limit=2, q=0.95)
        assert needed is not None
        share = over / 1_000
        more = round(needed * 1.1)
        assert (
            decide([1.0] * (more - round(more * share)) + [3.0] * round(more * share), q=0.95, limit=2)
            != "inconclusive"
        )
    assert still_needed([1.0] * 95 + [3.0] * 5, limit=2, q=0.95) is None
    assert still_needed([], limit=2, q=0.95) == 59
