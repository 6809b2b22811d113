"""Rule 4: rates of errors by the exact binomial, with scipy as the witness."""

from __future__ import annotations

import pytest
from scipy import stats as witness

from ptp.stats import decide_rate, rate_bounds


@pytest.mark.parametrize(("events", "n"), [(0, 299), (4, 1_000), (38, 5_000), (83, 10_000)])
def test_rule_4_as_many_errors_are_under_1_percent_and_one_more_is_not(events: int, n: int) -> None:
    assert decide_rate(events, n, limit=0.01) == "pass"
    assert decide_rate(events + 1, n, limit=0.01) == "inconclusive"


def test_rule_4_nine_in_1000_are_inconclusive_and_as_many_in_300_fail() -> None:
    assert decide_rate(9, 1_000, limit=0.01) == "inconclusive"
    assert decide_rate(9, 300, limit=0.01) == "fail"


def test_rule_4_298_without_an_error_do_not_decide() -> None:
    assert decide_rate(0, 298, limit=0.01) == "inconclusive"


@pytest.mark.parametrize("confidence", [0.95, 0.999])
@pytest.mark.parametrize(
    ("events", "n"), [(0, 1), (1, 1), (1, 2), (3, 50), (49, 50), (50, 50), (500, 1_000), (83, 10_000), (7, 200_000)]
)
def test_bounds_are_those_of_clopper_and_pearson(events: int, n: int, confidence: float) -> None:
    found = rate_bounds(events, n, confidence=confidence)
    known = witness.binomtest(events, n).proportion_ci(confidence_level=2 * confidence - 1, method="exact")
    # A side that is at the end of the range has no other bound, so that scipy's two sides are our one each.
    assert found.low == pytest.approx(known.low, rel=1e-6, abs=1e-12)
    assert found.high == pytest.approx(known.high, rel=1e-7)


def test_nothing_tried_tells_nothing() -> None:
    assert (rate_bounds(0, 0).low, rate_bounds(0, 0).high) == (0, 1)
    assert decide_rate(0, 0, limit=0.01) == "inconclusive"


@pytest.mark.parametrize(("events", "n"), [(2, 1), (-1, 5)])
def test_events_come_from_tries(events: int, n: int) -> None:
    with pytest.raises(ValueError, match="cannot come from"):
        rate_bounds(events, n)
