"""Rule 16: many gates together fail by luck as seldom as one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as witness

from ptp.stats import holm


def test_rule_16_twenty_null_comparisons_seldom_reject_any() -> None:
    runs = np.random.default_rng(16).random((4_000, 20))
    any_rejected = sum(bool(holm({f"query {k}": p for k, p in enumerate(row)})) for row in runs)
    assert 140 <= any_rejected <= 250  # 5 % of 4,000, and three standard deviations
    assert (runs.min(axis=1) < 0.05).mean() > 0.6  # each on its own line would cry wolf in two runs of three


def test_rule_16_what_really_differs_is_found_among_the_null() -> None:
    p_values = {f"null {k}": 0.05 + k / 25 for k in range(18)} | {"slow": 0.002, "slower": 0.0001}
    assert holm(p_values) == {"slow", "slower"}


def test_holm_steps_down() -> None:
    # The textbook example: 0.01 and 0.005 pass 0.05/3 and 0.05/4; 0.03 misses 0.05/2, and takes 0.04 with it.
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == {"a", "d"}
    assert holm({"a": 0.01, "b": 0.04, "c": 0.024, "d": 0.005}) == {"a", "b", "c", "d"}
    assert holm({}) == frozenset()


def test_holm_finds_at_least_what_bonferroni_does_and_at_most_what_is_uncorrected() -> None:
    for row in np.random.default_rng(17).beta(0.3, 2, (200, 12)):
        found = holm({str(k): p for k, p in enumerate(row)})
        assert (
            {str(k) for k, p in enumerate(row) if p <= 0.05 / 12}
            <= found
            <= {str(k) for k, p in enumerate(row) if p <= 0.05}
        )
        hochberg = witness.false_discovery_control(row, method="bh")
        assert all(hochberg[int(k)] <= 0.05 for k in found)  # Holm's set lies within that of a weaker rule


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_a_p_value_is_a_probability(p: float) -> None:
    with pytest.raises(ValueError, match="the p-value of a lies between 0 and 1"):
        holm({"a": p})
