"""Every eligible question is as likely to be drawn as every other, and every pair as every other pair.

The draws are taken where Python's choice and SQLite's answer meet (`drawing.draw`): 200,000 in all, with fixed seeds.
k different ones of N are no N independent trials: who is drawn keeps another out. `inclusion_statistic` and
`pair_statistic` are scaled for that, and `random.sample` shows that they are.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from ptp.engine import fetch
from ptp.engine.meters import recorded
from ptp.queries import drawing
from ptp.queries.drawing import Mode, Wanted, draw

NOW = 1_750_000_000
LIMIT = 5
DRAWS = 200_000
SIZES = {(0, 1): 1, (0, 3): 2, (0, None): 4, (1, 1): 7, (1, 3): 3, (1, 5): 13}
"""The eligible questions of each objective and difficulty: 30, in cells of unequal sizes."""


def chi_square_limit(freedom: int) -> float:
    """What a chi-square of so many degrees of freedom passes once in 10,000 times (Wilson and Hilferty)."""
    part = 2 / (9 * freedom)
    return float(freedom * (1 - part + 3.719 * part**0.5) ** 3)


def inclusion_statistic(drawn: Any, count: int) -> float:
    """Chi-square with `count` - 1 degrees of freedom, where each row of `drawn` are k different of 0 to count - 1."""
    draws, k = drawn.shape
    seen = np.bincount(drawn.ravel(), minlength=count)
    expected = draws * k / count
    return float(((seen - expected) ** 2).sum() / (expected * (1 - k / count)) * (count - 1) / count)


def pair_statistic(drawn: Any, count: int) -> float:
    """Chi-square with count * (count - 1) / 2 - 1 degrees of freedom, of how often each pair was drawn together.

    The counts of pairs that share a question go together more or less than those that do not. Their covariance has
    two eigenspaces beside the constant: the sums by question, and what is left. Each is scaled by its own variance.
    """
    draws, k = drawn.shape
    assert 2 <= k <= count - 2  # beyond, the pairs say nothing that the questions do not
    held = np.zeros((draws, count))
    np.put_along_axis(held, drawn, 1, axis=1)
    chance_of = [1.0]
    for taken in range(4):
        chance_of.append(chance_of[-1] * (k - taken) / (count - taken))
    _, _, two, three, four = chance_of
    apart = held.T @ held - draws * two
    np.fill_diagonal(apart, 0)
    sums = apart.sum(axis=1)
    by_question = (sums[:, None] + sums[None, :]) / (count - 2)
    np.fill_diagonal(by_question, 0)
    # Each pair stands twice in a symmetric matrix.
    of_sums = (by_question**2).sum() / 2 / (draws * (two + (count - 4) * three - (count - 3) * four))
    of_rest = ((apart - by_question) ** 2).sum() / 2 / (draws * (two - 2 * three + four))
    return float(of_sums + of_rest)


def first_statistic(drawn: Any, count: int) -> float:
    """Chi-square of who stands first: an ordinary one."""
    expected = len(drawn) / count
    return float(((np.bincount(drawn[:, 0], minlength=count) - expected) ** 2).sum() / expected)


STATISTICS: dict[str, tuple[Callable[[Any, int], float], Callable[[int], int]]] = {
    "inclusion": (inclusion_statistic, lambda count: count - 1),
    "pairs": (pair_statistic, lambda count: count * (count - 1) // 2 - 1),
    "first": (first_statistic, lambda count: count - 1),
}


def failures(drawn: Any, count: int) -> list[str]:
    """The statistics that are over what they pass once in 10,000 times."""
    return [name for name, (statistic, freedom) in STATISTICS.items()
            if statistic(drawn, count) > chi_square_limit(freedom(count))]  # fmt: skip


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize(("count", "k"), [(30, 5), (12, 5), (5, 3)])
def test_the_statistics_are_chi_square_for_random_sample(name: str, count: int, k: int) -> None:
    """Mean and variance over 300 trials: n and 2 n for n degrees of freedom, within four standard errors."""
    statistic, freedom = STATISTICS[name]
    chance, trials, n = random.Random(4), 300, freedom(count)
    found = np.array([
        statistic(np.array([chance.sample(range(count), k) for _ in range(150)]), count) for _ in range(trials)
    ])  # fmt: skip
    assert abs(found.mean() - n) < 4 * (2 * n / trials) ** 0.5
    assert 0.6 < found.var() / (2 * n) < 1.5
    assert (found > chi_square_limit(n)).sum() <= 1


@dataclass
class Exam:
    """The exam, its user and its 30 eligible questions by (objective, difficulty)."""

    head: Any
    wanted: Wanted
    by_cell: dict[tuple[int, int | None], list[int]]
    objectives: list[int]

    @property
    def keys(self) -> list[int]:
        return sorted(key for keys in self.by_cell.values() for key in keys)

    def answer(self, keys: Sequence[int]) -> None:
        for key in keys:
            self.head.add("user_answers", user_id=self.wanted.user_id, question_id=key, answered_at=NOW - 60)

    def draws(self, count: int, wanted: Wanted, *, seed: int, mode: Mode = "practice") -> Iterator[list[int]]:
        chance = random.Random(seed)
        with self.head.engine.connect() as db:
            for _ in range(count):
                rows = draw(db, wanted, mode=mode, columns="question.id", chance=chance)
                yield [key for (key,) in rows or ()]

    def drawn(self, count: int, keys: Sequence[int], wanted: Wanted, **more: Any) -> Any:
        """The draws as places in `keys`; a KeyError where one was drawn that is not among them."""
        places = {key: place for place, key in enumerate(sorted(keys))}
        return np.array([[places[key] for key in found] for found in self.draws(count, wanted, **more)])


@pytest.fixture
def exam(head: Any) -> Exam:
    exam_id, user = head.add("exams"), head.add("users")
    objectives = [head.add("objectives", exam_id=exam_id) for _ in range(2)]
    other = head.add("exams")
    stray = head.add("objectives", exam_id=other)
    by_cell: dict[tuple[int, int | None], list[int]] = {cell: [] for cell in SIZES}
    waiting = [cell for cell, size in SIZES.items() for _ in range(size)]
    random.Random(1).shuffle(waiting)
    for number, (place, level) in enumerate(waiting):
        row = {"exam_id": exam_id, "objective_id": objectives[place], "difficulty": level}
        by_cell[place, level].append(head.add("questions", **row))
        # In between those that are never drawn, so that neither ids nor ranks are without gaps.
        head.add("questions", **row, **({"is_active": 0} if number % 2 else {"review_status": "pending"}))
        head.add("questions", exam_id=other, objective_id=stray, difficulty=level)
        gone = head.add("questions", **row)
        if number % 3 == 0:
            head.change("UPDATE questions SET difficulty = 2 WHERE id = :key", key=gone)
        head.change("DELETE FROM questions WHERE id = :key", key=gone)
    wanted = Wanted(exam_id=exam_id, user_id=user, limit=LIMIT, since=NOW - 86_400)
    return Exam(head, wanted, by_cell, objectives)


def assert_uniform(drawn: Any, count: int, *, k: int = LIMIT) -> None:
    assert drawn.shape[1] == k
    assert all(len(set(row)) == k for row in drawn[:2_000].tolist())
    assert failures(drawn, count) == []


def test_a_draw_from_the_whole_exam_is_uniform(exam: Exam) -> None:
    assert_uniform(exam.drawn(DRAWS // 4, exam.keys, exam.wanted, seed=11), 30)


@pytest.mark.parametrize("mode", ["review", "custom"])
def test_the_modes_that_draw_as_practice_does_are_uniform(exam: Exam, mode: Mode) -> None:
    assert_uniform(exam.drawn(DRAWS // 40, exam.keys, exam.wanted, seed=12, mode=mode), 30)


def test_a_draw_by_objective_and_difficulty_is_uniform(exam: Exam) -> None:
    wanted = replace(exam.wanted, objectives=(exam.objectives[1],), min_difficulty=2, max_difficulty=5)
    keys = exam.by_cell[1, 3] + exam.by_cell[1, 5]
    assert_uniform(exam.drawn(DRAWS // 8, keys, wanted, seed=13), 16)


def test_a_draw_around_a_few_that_were_answered_is_uniform(exam: Exam) -> None:
    lately = [exam.by_cell[0, 1][0], *exam.by_cell[1, 1][:2], exam.by_cell[1, 5][4]]
    exam.answer(lately)
    keys = [key for key in exam.keys if key not in lately]
    assert_uniform(exam.drawn(DRAWS // 8, keys, exam.wanted, seed=14), 26)


@pytest.fixture
def mostly_answered(exam: Exam) -> tuple[Exam, list[int]]:
    """Of the 30, 19 were answered: the first choice of 10 holds 3.7 free ones on average, and 5 are wanted."""
    free = [*exam.by_cell[0, None][:3], *exam.by_cell[1, 1][3:4], *exam.by_cell[1, 3][:2], *exam.by_cell[1, 5][5:10]]
    exam.answer([key for key in exam.keys if key not in free])
    return exam, free


def test_a_draw_that_had_to_choose_more_is_uniform(mostly_answered: tuple[Exam, list[int]]) -> None:
    exam, free = mostly_answered
    with recorded(exam.head.engine) as statements:
        for _ in exam.draws(200, exam.wanted, seed=16):
            pass
    more = len(statements) - 2 * 200
    assert 20 < more < 180  # it chose more, and not always: both kinds of draw are in what follows
    assert_uniform(exam.drawn(DRAWS // 4, free, exam.wanted, seed=15), 11)


def test_the_last_of_a_speed_drill_are_drawn_uniformly_from_their_level(exam: Exam) -> None:
    """8 are of level 1 and always first, in random order; of the 5 of level 3, which are the next, 3 are taken."""
    wanted = replace(exam.wanted, limit=8 + 3)
    found = list(exam.draws(DRAWS // 8, wanted, seed=17, mode="speed_drill"))
    easiest, next_ones = exam.by_cell[0, 1] + exam.by_cell[1, 1], exam.by_cell[0, 3] + exam.by_cell[1, 3]
    assert {frozenset(keys[:8]) for keys in found} == {frozenset(easiest)}
    places = {key: place for place, key in enumerate(sorted(next_ones))}
    assert_uniform(np.array([[places[key] for key in keys[8:]] for keys in found]), 5, k=3)


def test_those_without_answers_are_drawn_uniformly_after_the_weakest(exam: Exam) -> None:
    rated = exam.by_cell[1, 5][:3]
    for right, key in enumerate(rated):
        exam.head.change("UPDATE questions SET total_attempts = 9, correct_attempts = :right WHERE id = :key",
                         right=right, key=key)  # fmt: skip
    wanted = replace(exam.wanted, limit=3 + LIMIT)
    found = list(exam.draws(DRAWS // 10, wanted, seed=18, mode="weak_areas"))
    assert all(keys[:3] == rated for keys in found)
    places = {key: place for place, key in enumerate(k for k in exam.keys if k not in rated)}
    assert_uniform(np.array([[places[key] for key in keys[3:]] for keys in found]), 27)


# Draws that are not uniform: each was a way to do it, or a likely slip.


def by_cell_first(groups: Any, choice: int, chance: random.Random) -> list[int]:
    """A cell by chance, whatever its size, then one of it."""
    cells = [cell for group in groups for cell in group]
    found: dict[int, None] = {}
    while len(found) < min(choice, sum(size for *_, size in cells)):
        cell, _, size = chance.choice(cells)
        found[(cell << 32) + chance.randrange(size)] = None
    return list(found)


def one_after_the_other(groups: Any, choice: int, chance: random.Random) -> list[int]:
    """A random beginning, and those that follow it: each is as likely as every other, but neighbours come together."""
    slots = [(cell << 32) + rank for group in groups for cell, _, size in group for rank in range(size)]
    start = chance.randrange(len(slots))
    found = (slots[start:] + slots[:start])[:choice]
    chance.shuffle(found)
    return found


def without_the_last(groups: Any, choice: int, chance: random.Random) -> list[int]:
    """The largest cell counted one too small."""
    cells = [cell for group in groups for cell in group]
    largest = max(cells, key=lambda cell: cell[2])
    short = [(cell, level, size - (cell == largest[0])) for cell, level, size in cells]
    return list(CHOOSE([short], choice, chance))


def a_little_more_for_one(groups: Any, choice: int, chance: random.Random) -> list[int]:
    """One question, where it is among those chosen, is put first in one of ten draws."""
    found = list(CHOOSE(groups, choice, chance))
    if chance.random() < 0.1:
        last = max(found, default=0)
        found.sort(key=lambda slot: slot != last)
    return found


CHOOSE = drawing._choose


@pytest.mark.parametrize(("biased", "seen_by"), [
    (by_cell_first, "inclusion"), (one_after_the_other, "pairs"), (without_the_last, "inclusion"),
    (a_little_more_for_one, "first"),
])  # fmt: skip
def test_a_draw_that_is_not_uniform_fails(
    exam: Exam, monkeypatch: pytest.MonkeyPatch, biased: Callable[..., list[int]], seen_by: str
) -> None:
    monkeypatch.setattr(drawing, "_choose", biased)
    drawn = exam.drawn(5_000, exam.keys, exam.wanted, seed=19)
    assert seen_by in failures(drawn, 30)


def filled_up(db: Any, wanted: Wanted, *, groups: Any, sql: str, limit: int, chance: random.Random) -> list[Any]:
    """What the first choice lacks, taken in order: the shortcut that the larger choice stands in for."""
    chosen = list(CHOOSE(groups, 10, chance))
    others = [(cell << 32) + rank for group in groups for cell, _, size in group for rank in range(size)]
    slots = chosen + [slot for slot in others if slot not in chosen]
    return fetch(db, sql, (json.dumps(slots), wanted.user_id, wanted.since, limit))


def test_filling_up_instead_of_choosing_anew_fails(
    mostly_answered: tuple[Exam, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    exam, free = mostly_answered
    monkeypatch.setattr(drawing, "_from_pool", filled_up)
    assert "inclusion" in failures(exam.drawn(5_000, free, exam.wanted, seed=20), len(free))
