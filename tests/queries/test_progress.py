"""Progress, streak, week, leaderboard and rank: against a plain Python model of the tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from ptp.errors import UsageError
from ptp.queries import ProgressQueries

NOW = 1_750_000_000  # 2025-06-15
WEEK = 7 * 86_400
PROPERTY = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def two_exams(head: Any) -> list[tuple[int, int]]:
    exams = [head.add("exams", name=name, passing_score=0.7) for name in ("First", "Second")]
    objectives = [head.add("objectives", exam_id=exam) for exam in exams]
    pairs = zip(exams, objectives, strict=True)
    return [(exam, head.add("questions", exam_id=exam, objective_id=objective)) for exam, objective in pairs]


TIMES = st.sampled_from([None, 0, NOW - WEEK - 1, NOW - WEEK, NOW - WEEK + 1, NOW - 5, NOW - 5, NOW])


@PROPERTY
@given(rows=st.lists(st.tuples(st.integers(0, 1), st.booleans(), TIMES), max_size=14))
def test_streak_and_week_agree_with_a_plain_model(new_head: Callable[[], Any], rows: list[Any]) -> None:
    head = new_head()
    exams, user, other = two_exams(head), head.add("users"), head.add("users")
    model: list[tuple[int, int, bool]] = []
    for place, correct, at in rows:
        row = {"question_id": exams[place][1], "is_correct": int(correct), "answered_at": at}
        key = head.add("user_answers", user_id=user, **row)
        if place == 0:
            model.append((-1 if at is None else at, key, correct))
    head.add("user_answers", user_id=other, question_id=exams[0][1], is_correct=0, answered_at=NOW)
    streak = 0
    for _, _, correct in sorted(model):
        streak = streak + 1 if correct else 0
    week = sum(at > NOW - WEEK for at, _, _ in model)
    queries, both = ProgressQueries(head.engine), {"user_id": user, "exam_id": exams[0][0]}
    assert queries.current_streak(**both) == streak
    assert queries.weekly_activity(**both, now=NOW) == week
    found = queries.user_progress(**both, now=NOW)
    assert (found.current_streak, found.weekly_activity) == (streak, week)


def test_progress_carries_the_stored_totals_and_the_exam(head: Any) -> None:
    (exam, _), _ = two_exams(head)
    user = head.add("users")
    head.add("user_progress", user_id=user, exam_id=exam, total_questions_seen=80, total_correct=60,
             overall_accuracy=0.75, readiness_score=0.6, last_study_date="2025-06-01", weak_topics="[3]")  # fmt: skip
    found = ProgressQueries(head.engine).user_progress(user_id=user, exam_id=exam, now=NOW)
    assert (found.exam_name, found.passing_score, found.total_questions_seen) == ("First", 0.7, 80)
    assert (found.overall_accuracy, found.readiness_score, found.weak_topics) == (0.75, 0.6, "[3]")
    assert found.last_study_date == "2025-06-01"


def test_who_has_not_begun_has_zeros(head: Any) -> None:
    (exam, _), _ = two_exams(head)
    found = ProgressQueries(head.engine).user_progress(user_id=head.add("users"), exam_id=exam, now=NOW)
    assert (found.total_questions_seen, found.tests_taken, found.current_streak) == (0, 0, 0)
    assert (found.overall_accuracy, found.last_study_date) == (None, None)


SCORES = st.sampled_from([None, 0.0, 0.5, 0.5, 0.9])


@PROPERTY
@given(rows=st.lists(st.tuples(SCORES, SCORES, st.sampled_from([None, 0, 50, 51, 300])), max_size=8),
       limit=st.sampled_from([1, 3, 20]))  # fmt: skip
def test_leaderboard_and_rank_agree_with_a_plain_model(
    new_head: Callable[[], Any], rows: list[Any], limit: int
) -> None:
    head = new_head()
    (exam, question), (other, _) = two_exams(head)
    model = []
    for number, (readiness, accuracy, seen) in enumerate(rows):
        user = head.add("users", name=f"N{number}")
        row = {"readiness_score": readiness, "overall_accuracy": accuracy, "total_questions_seen": seen}
        head.add("user_progress", user_id=user, exam_id=exam, **row)
        head.add("user_progress", user_id=user, exam_id=other, **{**row, "total_questions_seen": 500})
        for age in range(number):
            head.add("user_answers", user_id=user, question_id=question, answered_at=NOW - WEEK + 1 - age % 2)
        order = tuple(-1.0 if score is None else score for score in (readiness, accuracy))
        model.append((-order[0], -order[1], user, f"N{number}", seen or 0, (number + 1) // 2))
    best = [entry for entry in sorted(model) if entry[4] > 50]
    queries = ProgressQueries(head.engine)
    found = queries.leaderboard(exam_id=exam, limit=limit, now=NOW)
    assert [(s.rank, s.user_id, s.name, s.total_questions_seen, s.weekly_activity) for s in found] == [
        (rank, *entry[2:]) for rank, entry in enumerate(best[:limit], start=1)
    ]
    ranks = {entry[2]: rank for rank, entry in enumerate(best, start=1)}
    for _, _, user, *_ in model:
        assert queries.rank(user_id=user, exam_id=exam) == ranks.get(user)


ADDED = st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.integers(0, 90), st.integers(-2, 3))


@PROPERTY
@given(changes=st.lists(ADDED, min_size=1, max_size=8))
def test_updates_add_up(new_head: Callable[[], Any], changes: list[Any]) -> None:
    head = new_head()
    (exam, _), _ = two_exams(head)
    user, seen, right, new, minutes = head.add("users"), 0, 0, 0, 0
    last, days = -9, 0
    for wrong, correct, fresh, spent, day in changes:
        total, fresh = wrong + correct, min(fresh, wrong + correct)
        found = ProgressQueries(head.engine).update_progress(
            user_id=user, exam_id=exam, questions_seen=total, correct=correct, new_questions=fresh,
            study_minutes=spent, now=NOW + day * 86_400,
        )  # fmt: skip
        seen, right, new, minutes = seen + total, right + correct, new + fresh, minutes + spent
        days, last = (days + 1, day) if day > last else (days, last)
        assert (found.total_questions_seen, found.unique_questions_seen, found.total_correct) == (seen, new, right)
        assert (found.total_incorrect, found.total_study_minutes) == (seen - right, minutes)
        assert found.overall_accuracy == (right / seen if seen else None)
        assert (found.study_days_count, found.last_study_date) == (days, f"2025-06-{15 + last:02d}")
    assert len(head.rows("SELECT * FROM user_progress")) == 1


def test_an_update_leaves_what_it_does_not_speak_of(head: Any) -> None:
    (exam, _), _ = two_exams(head)
    user = head.add("users")
    head.add("user_progress", user_id=user, exam_id=exam, readiness_score=0.6, longest_streak=9, created_at=3)
    ProgressQueries(head.engine).update_progress(user_id=user, exam_id=exam, questions_seen=2, correct=1, now=NOW)
    (row,) = head.rows("SELECT * FROM user_progress")
    stored = (row["readiness_score"], row["longest_streak"], row["created_at"], row["updated_at"])
    assert stored == (0.6, 9, 3, NOW)


def test_recent_activity_is_the_last_sessions_of_all_exams(head: Any) -> None:
    (first, _), (second, _) = two_exams(head)
    user = head.add("users")
    made = [head.add("study_sessions", user_id=user, exam_id=exam, last_activity=at)
            for exam, at in ((first, 5), (second, 9), (first, 9), (first, None), (first, 7))]  # fmt: skip
    head.add("study_sessions", user_id=head.add("users"), exam_id=first, last_activity=99)
    found = ProgressQueries(head.engine).recent_activity(user_id=user, limit=4)
    assert [s.session_id for s in found] == [made[2], made[1], made[4], made[0]]
    assert (found[1].exam_name, found[1].mode, found[1].status) == ("Second", "practice", "active")


CALLS: dict[str, Callable[[ProgressQueries, int, int], object]] = {
    "user_progress": lambda q, u, e: q.user_progress(user_id=u, exam_id=e),
    "update_progress": lambda q, u, e: q.update_progress(user_id=u, exam_id=e, questions_seen=1, correct=1),
    "leaderboard": lambda q, u, e: q.leaderboard(exam_id=e),
    "rank": lambda q, u, e: q.rank(user_id=u, exam_id=e),
    "weekly_activity": lambda q, u, e: q.weekly_activity(user_id=u, exam_id=e),
    "current_streak": lambda q, u, e: q.current_streak(user_id=u, exam_id=e),
    "recent_activity": lambda q, u, e: q.recent_activity(user_id=u),
}


@pytest.mark.parametrize("name", CALLS)
def test_unknown_users_and_exams_are_refused(head: Any, name: str) -> None:
    (exam, _), _ = two_exams(head)
    user = head.add("users")
    if name != "leaderboard":
        with pytest.raises(UsageError, match="There is no user with id 999"):
            CALLS[name](ProgressQueries(head.engine), 999, exam)
    if name != "recent_activity":
        with pytest.raises(UsageError, match="There is no exam with id 999"):
            CALLS[name](ProgressQueries(head.engine), user, 999)
    CALLS[name](ProgressQueries(head.engine), user, exam)


@pytest.mark.parametrize("name", CALLS)
def test_each_query_is_one_statement(head: Any, name: str) -> None:
    (exam, question), _ = two_exams(head)
    user = head.add("users")
    head.add("user_progress", user_id=user, exam_id=exam, total_questions_seen=60)
    head.add("study_sessions", user_id=user, exam_id=exam)
    head.add("user_answers", user_id=user, question_id=question)
    seen: list[str] = []
    event.listen(head.engine, "before_cursor_execute", lambda *a: seen.append(a[2]))
    CALLS[name](ProgressQueries(head.engine), user, exam)
    assert len([statement for statement in seen if not statement.startswith("BEGIN")]) == 1


@pytest.mark.parametrize(("more", "message"), [
    ({"correct": 3}, "correct is 3: it cannot be more than the 2 questions seen."),
    ({"new_questions": 3}, "new_questions is 3"),
    ({"questions_seen": -1}, "questions_seen is -1"),
    ({"study_minutes": -1}, "study_minutes is -1"),
    ({"now": 2**40}, "now is 1099511627776"),
])  # fmt: skip
def test_counts_that_cannot_be_are_refused(head: Any, more: dict[str, Any], message: str) -> None:
    (exam, _), _ = two_exams(head)
    arguments = {"user_id": head.add("users"), "exam_id": exam, "questions_seen": 2, "correct": 1, **more}
    with pytest.raises(UsageError) as caught:
        ProgressQueries(head.engine).update_progress(**arguments)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("limit", [0, 501, -1])
def test_a_page_has_1_to_500_rows(head: Any, limit: int) -> None:
    (exam, _), _ = two_exams(head)
    with pytest.raises(UsageError, match=f"limit is {limit}"):
        ProgressQueries(head.engine).leaderboard(exam_id=exam, limit=limit)
