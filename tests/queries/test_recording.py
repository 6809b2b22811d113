"""What recording an answer writes, and what a session adds up to: against plain arithmetic in Python."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from ptp.errors import UsageError
from ptp.queries import NewAnswer, StudyQueries

NOW = 1_750_000_000
DAY = 86_400


@pytest.fixture
def ids(head: Any) -> dict[str, int]:
    exam_id = head.add("exams")
    objective = head.add("objectives", exam_id=exam_id)
    user = head.add("users")
    return {
        "user_id": user,
        "question_id": head.add("questions", exam_id=exam_id, objective_id=objective),
        "session": head.add("study_sessions", user_id=user, exam_id=exam_id, last_activity=5),
    }


def answer(ids: dict[str, int], **more: Any) -> NewAnswer:
    values = {"selected_answer": "a", "is_correct": True, "time_spent_seconds": 10, **more}
    return NewAnswer(**{"user_id": ids["user_id"], "question_id": ids["question_id"], **values})


def statistics(head: Any, key: int) -> tuple[int, int, int]:
    row = head.rows("SELECT * FROM questions WHERE id = :key", key=key)[0]
    return row["total_attempts"], row["correct_attempts"], row["avg_time_seconds"]


def test_an_answer_is_stored_as_given(head: Any, ids: dict[str, int]) -> None:
    given_ = answer(ids, selected_answer="b,c", is_correct=False, study_session_id=ids["session"], confidence_level=5,
                    flagged=True, changed_answer=True)  # fmt: skip
    made = StudyQueries(head.engine).record_answer(given_, now=NOW)
    (row,) = head.rows("SELECT * FROM user_answers")
    assert row == {
        "id": made.id, "user_id": ids["user_id"], "question_id": ids["question_id"], "selected_answer": "b,c",
        "study_session_id": ids["session"], "test_attempt_id": None, "is_correct": 0, "time_spent_seconds": 10,
        "confidence_level": 5, "flagged": 1, "changed_answer": 1, "attempt_number": 1,
        "days_since_last_seen": None, "answered_at": NOW, "request_key": None,
    }  # fmt: skip
    assert made.is_correct is False


def test_the_next_attempt_knows_the_one_before(head: Any, ids: dict[str, int]) -> None:
    queries = StudyQueries(head.engine)
    made = [queries.record_answer(answer(ids), now=NOW + days * DAY) for days in (0, 3, 3)]
    assert [(a.attempt_number, a.days_since_last_seen) for a in made] == [(1, None), (2, 3), (3, 0)]


def test_a_batch_counts_its_own_earlier_answers(head: Any, ids: dict[str, int]) -> None:
    made = StudyQueries(head.engine).record_answers([answer(ids, is_correct=i > 0) for i in range(3)], now=NOW)
    assert [(a.attempt_number, a.is_correct) for a in made] == [(1, False), (2, True), (3, True)]
    assert [a.id for a in made] == sorted(a.id for a in made)
    assert statistics(head, ids["question_id"]) == (3, 2, 10)


BATCHES = st.lists(st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.integers(0, 900)), min_size=1, max_size=8),
                   min_size=1, max_size=12)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=BATCHES)
def test_the_statistics_are_those_of_all_answers(new_head: Callable[[], Any], batches: list[Any]) -> None:
    head = new_head()
    exam_id, user = head.add("exams"), head.add("users")
    objective = head.add("objectives", exam_id=exam_id)
    keys = [head.add("questions", exam_id=exam_id, objective_id=objective) for _ in range(3)]
    model: dict[int, list[tuple[bool, int]]] = {key: [] for key in keys}
    for batch in batches:
        answers = [answer({"user_id": user, "question_id": keys[place]}, is_correct=correct, time_spent_seconds=spent)
                   for place, correct, spent in batch]  # fmt: skip
        StudyQueries(head.engine).record_answers(answers, now=NOW)
        for place, correct, spent in batch:
            model[keys[place]].append((correct, spent))
    for key, recorded in model.items():
        attempts, right, mean = statistics(head, key)
        assert (attempts, right) == (len(recorded), sum(correct for correct, _ in recorded))
        exact = Fraction(sum(spent for _, spent in recorded), max(len(recorded), 1))
        assert abs(mean - exact) <= Fraction(1, 2)


def test_the_mean_does_not_stick_to_its_rounded_value(head: Any, ids: dict[str, int]) -> None:
    queries = StudyQueries(head.engine)
    for _ in range(4):
        queries.record_answers([answer(ids, time_spent_seconds=10)] * 50, now=NOW)
    for _ in range(200):
        queries.record_answer(answer(ids, time_spent_seconds=60), now=NOW)
    assert statistics(head, ids["question_id"]) == (400, 400, 35)


def test_attempts_without_an_answer_at_hand_keep_their_weight_in_the_mean(head: Any, ids: dict[str, int]) -> None:
    head.change("UPDATE questions SET total_attempts = 100, correct_attempts = 40, avg_time_seconds = 30")
    StudyQueries(head.engine).record_answers([answer(ids, time_spent_seconds=60)] * 50, now=NOW)
    assert statistics(head, ids["question_id"]) == (150, 90, 40)


def test_a_recording_is_two_statements_in_one_transaction_however_large(head: Any, ids: dict[str, int]) -> None:
    seen: list[str] = []
    event.listen(head.engine, "before_cursor_execute", lambda *a: seen.append(a[2]))
    StudyQueries(head.engine).record_answers([answer(ids)] * 50, now=NOW)
    assert len(seen) == 2


@pytest.mark.parametrize(("change", "message"), [
    ({"user_id": 999}, "There is no user with id 999."),
    ({"question_id": 999}, "There is no question with id 999."),
    ({"study_session_id": 999}, "has no study session with id 999."),
    ({"test_attempt_id": 999}, "has no test attempt with id 999."),
    ({"confidence_level": 6}, "confidence_level is 6"),
    ({"time_spent_seconds": -1}, "time_spent_seconds is -1"),
    ({"is_correct": 1}, "is_correct is 1"),
    ({"selected_answer": None}, "selected_answer is None"),
    ({"selected_answer": "a\x00b"}, "it holds a character that cannot be stored."),
    ({"selected_answer": "a\ud800b"}, "it holds a character that cannot be stored."),
])  # fmt: skip
def test_a_bad_answer_is_refused_with_its_whole_batch(
    head: Any, ids: dict[str, int], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        StudyQueries(head.engine).record_answers([answer(ids), answer(ids, **change)], now=NOW)
    assert message in str(caught.value)
    assert head.rows("SELECT * FROM user_answers") == []
    assert statistics(head, ids["question_id"]) == (0, 0, 0)


def test_the_session_of_another_user_is_refused(head: Any, ids: dict[str, int]) -> None:
    other = {**ids, "user_id": head.add("users")}
    with pytest.raises(UsageError, match="has no study session with id"):
        StudyQueries(head.engine).record_answer(answer(other, study_session_id=ids["session"]))


@pytest.mark.parametrize("count", [0, 501])
def test_a_batch_is_neither_empty_nor_endless(head: Any, ids: dict[str, int], count: int) -> None:
    with pytest.raises(UsageError, match=f"A batch of {count} answers"):
        StudyQueries(head.engine).record_answers([answer(ids)] * count)


@pytest.mark.parametrize(
    "text", ["'); DROP TABLE users; --", "' OR '1'='1", ":user_id", "?", "", "né\x01", "🙂\ue000\U0010ffff", "\\u0000"]
)
def test_sql_in_a_selected_answer_is_text(head: Any, ids: dict[str, int], text: str) -> None:
    StudyQueries(head.engine).record_answer(answer(ids, selected_answer=text), now=NOW)
    assert head.rows("SELECT selected_answer FROM user_answers") == [{"selected_answer": text}]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.none() | st.integers(0, 300)), max_size=40))
def test_session_progress_agrees_with_a_plain_model(new_head: Callable[[], Any], rows: list[Any]) -> None:
    head = new_head()
    exam_id, user = head.add("exams"), head.add("users")
    objectives = [head.add("objectives", exam_id=exam_id) for _ in range(3)]
    keys = [head.add("questions", exam_id=exam_id, objective_id=objectives[n % 3]) for n in range(4)]
    session, other = (head.add("study_sessions", user_id=user, exam_id=exam_id, last_activity=7) for _ in range(2))
    scored: dict[int, list[bool]] = {}
    for number, (place, correct, spent) in enumerate(rows):
        head.add("user_answers", user_id=user, question_id=keys[place], study_session_id=session,
                 is_correct=int(correct), time_spent_seconds=spent, answered_at=NOW + number)  # fmt: skip
        scored.setdefault(objectives[place % 3], []).append(correct)
    head.add("user_answers", user_id=user, question_id=keys[0], study_session_id=other)
    right, times = sum(correct for _, correct, _ in rows), [spent for *_, spent in rows if spent is not None]
    scores = {objective: sum(found) / len(found) for objective, found in scored.items()}

    found = StudyQueries(head.engine).session_progress(session_id=session)

    assert (found.total_questions, found.correct_answers) == (len(rows), right)
    assert found.accuracy == (right / len(rows) if rows else None)
    assert found.mean_time_seconds == (sum(times) / len(times) if times else None)
    assert dict(found.objective_scores) == scores
    stored = head.rows("SELECT * FROM study_sessions WHERE id = :key", key=session)[0]
    assert {int(key): value for key, value in json.loads(stored["objective_scores"]).items()} == scores
    assert (stored["total_questions"], stored["correct_answers"], stored["accuracy"]) == (
        len(rows), right, found.accuracy)  # fmt: skip
    assert (stored["time_spent_seconds"], stored["avg_time_per_question"]) == (sum(times), found.mean_time_seconds)
    assert stored["last_activity"] == (NOW + len(rows) - 1 if rows else 7)
    assert head.rows("SELECT accuracy FROM study_sessions WHERE id = :key", key=other) == [{"accuracy": None}]


def test_an_unknown_session_is_refused(head: Any) -> None:
    with pytest.raises(UsageError, match="There is no study session with id 5"):
        StudyQueries(head.engine).session_progress(session_id=5)
