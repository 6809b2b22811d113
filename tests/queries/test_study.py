"""Which questions are drawn: exactly the eligible ones, uniformly, in the order that the mode asks for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ptp.engine.meters import recorded
from ptp.errors import UsageError
from ptp.queries import StudyQueries

NOW = 1_750_000_000
HOUR = 3_600
INJECTIONS = ["'; DROP TABLE questions; --", '" OR 1=1 --', "practice' OR 'a'='a", "\x00", "%", ""]


@pytest.fixture
def exam(head: Any) -> dict[str, int]:
    exam_id = head.add("exams")
    return {
        "exam_id": exam_id,
        "user_id": head.add("users"),
        "first": head.add("objectives", exam_id=exam_id),
        "second": head.add("objectives", exam_id=exam_id),
    }


def ask(head: Any, exam: dict[str, int], **more: Any) -> list[int]:
    arguments = {"exam_id": exam["exam_id"], "user_id": exam["user_id"], "now": NOW, **more}
    return [question.id for question in StudyQueries(head.engine).study_questions(**arguments)]


def add_questions(head: Any, exam: dict[str, int], count: int, **values: Any) -> list[int]:
    row = {"exam_id": exam["exam_id"], "objective_id": exam["first"], **values}
    return [head.add("questions", **row) for _ in range(count)]


def test_all_are_given_when_fewer_are_eligible_than_asked_for(head: Any, exam: dict[str, int]) -> None:
    keys = add_questions(head, exam, 5)
    assert sorted(ask(head, exam, limit=20)) == keys


def test_nothing_is_given_of_an_exam_without_questions(head: Any, exam: dict[str, int]) -> None:
    assert ask(head, exam) == []


def test_inactive_unapproved_and_foreign_questions_are_never_given(head: Any, exam: dict[str, int]) -> None:
    (good,) = add_questions(head, exam, 1)
    add_questions(head, exam, 1, is_active=0)
    add_questions(head, exam, 1, is_active=None)
    add_questions(head, exam, 1, review_status=None)
    for status in ("pending", "rejected", "needs_revision"):
        add_questions(head, exam, 1, review_status=status)
    other = head.add("exams")
    add_questions(head, exam, 1, exam_id=other, objective_id=head.add("objectives", exam_id=other))
    assert ask(head, exam) == [good]


def test_a_row_carries_the_columns_of_its_question(head: Any, exam: dict[str, int]) -> None:
    add_questions(head, exam, 1, text="Why?", answers='[{"id": "a"}]', difficulty=4, explanation="So.")
    found = StudyQueries(head.engine).study_questions(exam_id=exam["exam_id"], user_id=exam["user_id"], now=NOW)[0]
    shown = (found.text, found.answers, found.difficulty, found.explanation, found.tags)
    assert shown == ("Why?", '[{"id": "a"}]', 4, "So.", "[]")


@pytest.mark.parametrize(("age", "hours", "is_given"), [
    (24 * HOUR - 1, 24, False), (24 * HOUR, 24, True), (1, 0, True), (HOUR, 1.5, False), (2 * HOUR, 1.5, True),
])  # fmt: skip
def test_recently_is_greater_than_now_minus_the_hours(
    head: Any, exam: dict[str, int], age: int, hours: float, is_given: bool
) -> None:
    (key,) = add_questions(head, exam, 1)
    head.add("user_answers", user_id=exam["user_id"], question_id=key, answered_at=NOW - age)
    head.add("user_answers", user_id=head.add("users"), question_id=key, answered_at=NOW)
    assert ask(head, exam, exclude_answered_hours=hours) == ([key] if is_given else [])


QUESTIONS = st.lists(
    st.tuples(
        st.integers(0, 1), st.sampled_from([None, 1, 2, 3, 4, 5]), st.booleans(),
        st.sampled_from(["approved", "pending"]),
        st.sampled_from([None, 1, 23, 25, 100]),
    ),
    max_size=12,
)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=QUESTIONS,
    chosen=st.sampled_from([None, [0], [1], [0, 1]]),
    low=st.sampled_from([None, 1, 2, 3]),
    high=st.sampled_from([None, 3, 4, 5]),
    mode=st.sampled_from(["practice", "review", "speed_drill", "weak_areas", "custom"]),
    limit=st.sampled_from([1, 3, 20]),
)
def test_the_draw_agrees_with_a_plain_model(
    new_head: Callable[[], Any], rows: list[Any], chosen: Any, low: Any, high: Any, mode: str, limit: int
) -> None:
    head = new_head()
    exam_id, user = head.add("exams"), head.add("users")
    objectives = [head.add("objectives", exam_id=exam_id) for _ in range(2)]
    eligible = set()
    for objective, difficulty, active, status, hours in rows:
        key = head.add("questions", exam_id=exam_id, objective_id=objectives[objective], difficulty=difficulty,
                       is_active=int(active), review_status=status)  # fmt: skip
        if hours is not None:
            head.add("user_answers", user_id=user, question_id=key, answered_at=NOW - hours * HOUR)
        fits = difficulty is not None if low or high else True
        fits = fits and (low is None or difficulty >= low) and (high is None or difficulty <= high)
        is_free = hours is None or hours >= 24
        if active and status == "approved" and is_free and fits and (chosen is None or objective in chosen):
            eligible.add(key)
    wanted = None if chosen is None else [objectives[place] for place in chosen]
    exam = {"exam_id": exam_id, "user_id": user}
    found = ask(head, exam, objectives=wanted, min_difficulty=low, max_difficulty=high, mode=mode, limit=limit)
    assert len(found) == len(set(found)) == min(limit, len(eligible))
    assert set(found) <= eligible


def test_the_same_seed_draws_the_same_and_another_seed_another(head: Any, exam: dict[str, int]) -> None:
    add_questions(head, exam, 60)
    draws = {seed: ask(head, exam, seed=seed) for seed in range(5)}
    assert all(ask(head, exam, seed=seed) == drawn for seed, drawn in draws.items())
    assert len({tuple(drawn) for drawn in draws.values()}) == 5


def test_the_draw_and_its_order_are_uniform(head: Any, exam: dict[str, int]) -> None:
    keys, draws = add_questions(head, exam, 20), 1_500
    found = [ask(head, exam, limit=5, seed=seed) for seed in range(draws)]
    # 19 degrees of freedom: 43.8 is passed once in a thousand; each draw holds 5 of 20, without repetition.
    inclusions = Counter(key for drawn in found for key in drawn)
    assert chi_square(inclusions, keys, expected=draws * 5 / 20) * 19 / 15 < 43.8
    for place in range(5):
        assert chi_square(Counter(drawn[place] for drawn in found), keys, expected=draws / 20) < 43.8


@pytest.mark.parametrize("mode", ["speed_drill", "weak_areas"])
def test_between_equals_chance_decides_uniformly(head: Any, exam: dict[str, int], mode: str) -> None:
    """Of one level in speed_drill; of those never answered in weak_areas."""
    (first,) = add_questions(head, exam, 1, difficulty=1, total_attempts=10, correct_attempts=0)
    keys, draws = add_questions(head, exam, 10, difficulty=2), 600
    found = [ask(head, exam, limit=4, seed=seed, mode=mode) for seed in range(draws)]
    assert all(drawn[0] == first for drawn in found)
    for place in (1, 2, 3):
        assert chi_square(Counter(drawn[place] for drawn in found), keys, expected=draws / 10) < 27.9


def chi_square(seen: Counter[int], keys: list[int], *, expected: float) -> float:
    return math.fsum((seen[key] - expected) ** 2 / expected for key in keys)


def test_speed_drill_takes_the_easiest_easier_first(head: Any, exam: dict[str, int]) -> None:
    keys = {level: add_questions(head, exam, 2, difficulty=level) for level in (5, 3, 1, None, 2)}
    found = ask(head, exam, mode="speed_drill", limit=5)
    assert [set(found[:2]), set(found[2:4])] == [set(keys[1]), set(keys[2])]
    assert found[4] in keys[3]
    assert set(ask(head, exam, mode="speed_drill")[-2:]) == set(keys[None])


def test_weak_areas_takes_the_worst_success_first_and_never_answered_ones_last(head: Any, exam: dict[str, int]) -> None:
    made = {
        name: add_questions(head, exam, 1, total_attempts=total, correct_attempts=correct)[0]
        for name, total, correct in (("never", 0, 0), ("half", 4, 2), ("none", 3, 0), ("all", 9, 9), ("third", 3, 1))
    }
    assert ask(head, exam, mode="weak_areas") == [made[n] for n in ("none", "third", "half", "all", "never")]


@pytest.mark.parametrize(("arguments", "message"), [
    ({"exam_id": 999}, "There is no exam with id 999."),
    ({"user_id": 999}, "There is no user with id 999."),
    ({"limit": 0}, "limit is 0: it must be a whole number from 1 to 500."),
    ({"limit": 501}, "limit is 501"),
    ({"limit": True}, "limit is True"),
    ({"min_difficulty": 4, "max_difficulty": 2}, "min_difficulty 4 is over max_difficulty 2."),
    ({"min_difficulty": 0}, "min_difficulty is 0"),
    ({"max_difficulty": 6}, "max_difficulty is 6"),
    ({"exclude_answered_hours": -1}, "exclude_answered_hours is -1"),
    ({"exclude_answered_hours": math.nan}, "exclude_answered_hours is nan"),
    ({"objectives": []}, "objectives is empty"),
    ({"objectives": ["1; DROP TABLE questions"]}, "objectives is '1; DROP"),
    ({"now": -1}, "now is -1"),
    *(({"mode": text}, "mode is") for text in INJECTIONS),
])  # fmt: skip
def test_a_bad_argument_is_one_clear_sentence(
    head: Any, exam: dict[str, int], arguments: dict[str, Any], message: str
) -> None:
    add_questions(head, exam, 1)
    with pytest.raises(UsageError) as caught:
        ask(head, exam, **arguments)
    assert str(caught.value).startswith(message)
    assert head.rows("SELECT count(*) AS n FROM questions") == [{"n": 1}]


def test_hours_beyond_all_times_exclude_everything_answered(head: Any, exam: dict[str, int]) -> None:
    first, second = add_questions(head, exam, 2)
    head.add("user_answers", user_id=exam["user_id"], question_id=first, answered_at=0)
    assert ask(head, exam, exclude_answered_hours=1e300) == [second]


def test_a_draw_takes_two_statements_and_goes_by_the_cells(head: Any, exam: dict[str, int]) -> None:
    add_questions(head, exam, 30)
    with recorded(head.engine) as statements:
        ask(head, exam)
    assert len(statements) == 2
    with head.engine.connect() as db:
        plans = [db.exec_driver_sql("EXPLAIN QUERY PLAN " + s.sql, s.parameters).all() for s in statements]
    assert "sqlite_autoindex_question_cells_1" in str(plans[0])
    assert "idx_answers_question" in str(plans[1])
