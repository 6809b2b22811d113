"""Change points of a history of runs."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from ptp.stats import change_points

RUNS = np.arange(30)


@pytest.mark.parametrize("at", [8, 15, 25])
def test_a_shift_of_10_percent_is_found_where_it_is(at: int) -> None:
    chance = np.random.default_rng(at)
    found = Counter(change_points(np.where(at > RUNS, 100, 110) + chance.normal(0, 2, 30)) for _ in range(60))
    assert found[(at,)] >= 50
    near = sum(count for places, count in found.items() if len(places) == 1 and abs(places[0] - at) <= 1)
    assert near >= 56


def test_noise_has_no_change_points_in_95_of_100() -> None:
    chance = np.random.default_rng(1)
    found = [change_points(100 * chance.lognormal(0, 0.05, 30)) for _ in range(200)]
    assert sum(places == () for places in found) >= 190


def test_one_run_far_outside_is_no_change() -> None:
    chance = np.random.default_rng(2)
    for at in (0, 12, 29):
        history = 100 + chance.normal(0, 2, 30)
        history[at] = 1_000
        assert change_points(history) == ()


def test_one_run_far_outside_hides_no_change() -> None:
    chance = np.random.default_rng(4)
    for at in (2, 12, 22, 29):
        history = np.repeat([100, 110], 15) + chance.normal(0, 1, 30)
        history[at] = 1_000
        assert change_points(history) == (15,)


def test_up_and_down_again_are_two_changes() -> None:
    chance = np.random.default_rng(3)
    history = np.repeat([100, 120, 100], 12) + chance.normal(0, 2, 36)
    assert change_points(history) == (12, 24)


def test_any_change_of_a_counter_is_one() -> None:
    assert change_points([7] * 9 + [8]) == (9,)
    assert change_points([7, 7, 7, 9, 9, 7, 7]) == (3, 5)
    assert change_points([7] * 10) == ()
    assert change_points([1, 2], exact=True) == (1,)
    assert change_points([1, 2]) == ()


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0, 3.0]])
def test_a_short_history_has_none(values: list[float]) -> None:
    assert change_points(values) == ()


def test_no_level_is_shorter_than_asked() -> None:
    history = [100.0, 101, 99, 100.5, 99.5, 100.2, 99.8, 100.1, 150, 151]
    assert all(place <= 5 for place in change_points(history))
    assert all(place >= 3 and place <= 7 for place in change_points(history, min_size=3))
