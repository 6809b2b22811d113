"""How many statements each public method is made of: few, and as many on a full database as on an empty one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from ptp.engine.meters import recorded
from ptp.queries import (
    Actor,
    AnalyticsQueries,
    DailyMetrics,
    NewAnswer,
    NewGeneration,
    ProgressQueries,
    StudyQueries,
    TwitterQueries,
)

NOW = 1_750_000_000
CLASSES = (StudyQueries, ProgressQueries, AnalyticsQueries, TwitterQueries)


@pytest.fixture
def world(head: Any) -> Any:
    """One of everything that the methods ask for, and 40 questions."""
    exam, user = head.add("exams"), head.add("users")
    objective = head.add("objectives", exam_id=exam)
    head.ids = {"exam_id": exam, "user_id": user}
    head.questions = [
        head.add("questions", exam_id=exam, objective_id=objective, text="alpha", total_attempts=20, correct_attempts=3)
        for _ in range(40)
    ]
    head.session = head.add("study_sessions", **head.ids)
    head.add("user_progress", **head.ids, total_questions_seen=80, readiness_score=0.5)
    head.add(
        "user_answers", user_id=user, question_id=head.questions[0], study_session_id=head.session, answered_at=NOW
    )
    head.add("twitter_accounts", id="a", username="a")
    head.add("tweets", id="t", account_id="a", text="t")
    head.add("engagement_opportunities", id="o", tweet_id="t", account_id="a")
    head.add("growth_metrics", date="2025-06-15")
    head.add("ai_generation_log", purpose="p", model="m", created_at=NOW)
    head.add("audit_log", action="exam.update", entity_type="exam", entity_id=str(exam), created_at=NOW)
    return head


def an_answer(world: Any, place: int = 0) -> NewAnswer:
    return NewAnswer(user_id=world.ids["user_id"], question_id=world.questions[place], selected_answer="a", is_correct=True,
                     time_spent_seconds=1)  # fmt: skip


def change(world: Any, **more: Any) -> object:
    return AnalyticsQueries(world.engine).change(actor=Actor(user_id=world.ids["user_id"]), **more)


CALLS: dict[str, tuple[int, Callable[[Any], object]]] = {
    "study_questions": (2, lambda w: StudyQueries(w.engine).study_questions(**w.ids, now=NOW)),
    "study_questions, speed_drill": (2, lambda w: StudyQueries(w.engine).study_questions(**w.ids, mode="speed_drill")),
    "study_questions, weak_areas": (1, lambda w: StudyQueries(w.engine).study_questions(**w.ids, mode="weak_areas")),
    # The cells, the 39 weakest, and two choices of never answered ones: there are none, as the second shows.
    "study_questions, all of weak_areas": (
        4, lambda w: StudyQueries(w.engine).study_questions(**w.ids, mode="weak_areas", limit=50, now=NOW)),
    # Whether there is an index is asked of the driver's own connection, which is not recorded.
    "search_questions": (1, lambda w: StudyQueries(w.engine).search_questions("alpha")),
    "record_answer": (2, lambda w: StudyQueries(w.engine).record_answer(an_answer(w))),
    "record_answers": (2, lambda w: StudyQueries(w.engine).record_answers([an_answer(w, n % 40) for n in range(500)])),
    "session_progress": (1, lambda w: StudyQueries(w.engine).session_progress(session_id=w.session)),
    "user_progress": (1, lambda w: ProgressQueries(w.engine).user_progress(**w.ids)),
    "update_progress": (1, lambda w: ProgressQueries(w.engine).update_progress(**w.ids, questions_seen=2, correct=1)),
    "leaderboard": (1, lambda w: ProgressQueries(w.engine).leaderboard(exam_id=w.ids["exam_id"])),
    "rank": (1, lambda w: ProgressQueries(w.engine).rank(**w.ids)),
    "weekly_activity": (1, lambda w: ProgressQueries(w.engine).weekly_activity(**w.ids)),
    "current_streak": (1, lambda w: ProgressQueries(w.engine).current_streak(**w.ids)),
    "recent_activity": (1, lambda w: ProgressQueries(w.engine).recent_activity(user_id=w.ids["user_id"])),
    "log_generation": (1, lambda w: AnalyticsQueries(w.engine).log_generation(NewGeneration(purpose="p", model="m"))),
    "ai_cost_summary": (1, lambda w: AnalyticsQueries(w.engine).ai_cost_summary(now=NOW)),
    "change": (3, lambda w: change(w, entity="exam", action="update", entity_id=w.ids["exam_id"], values={"name": "n"})),
    "change, create": (2, lambda w: change(w, entity="user", action="create", values={"email": "e", "name": "n"})),
    "change, delete": (3, lambda w: change(w, entity="question", action="delete", entity_id=w.questions[5])),
    "audit_trail": (1, lambda w: AnalyticsQueries(w.engine).audit_trail(now=NOW)),
    "change_history": (1, lambda w: AnalyticsQueries(w.engine).change_history(entity="exam", entity_id=w.ids["exam_id"])),
    "question_analytics": (1, lambda w: AnalyticsQueries(w.engine).question_analytics(exam_id=w.ids["exam_id"])),
    "pending_opportunities": (1, lambda w: TwitterQueries(w.engine).pending_opportunities()),
    "record_daily_metrics": (1, lambda w: TwitterQueries(w.engine).record_daily_metrics(DailyMetrics(date="2025-06-15"))),
    "growth_analytics": (1, lambda w: TwitterQueries(w.engine).growth_analytics(now=NOW)),
    "net_followers": (1, lambda w: TwitterQueries(w.engine).net_followers(now=NOW)),
}  # fmt: skip


def test_every_public_method_is_counted() -> None:
    methods = {name for kind in CLASSES for name, _ in inspect.getmembers(kind, inspect.isfunction)}
    assert {name.partition(",")[0] for name in CALLS} == {name for name in methods if not name.startswith("_")}


@pytest.mark.parametrize("name", CALLS)
def test_a_method_is_made_of_so_many_statements_each_run_once(world: Any, name: str) -> None:
    expected, call = CALLS[name]
    with recorded(world.engine) as statements:
        found = call(world)
    assert found is None or found != ()  # of something there; an empty answer would ask what is unknown
    assert len(statements) == expected
    assert all(len(statement.executions) == 1 for statement in statements)


def most_statements(limit: int, recent: int) -> int:
    """One for the cells, and one for each choice: they grow fourfold from `limit`, until all answered ones fit in."""
    choices, size = 1, limit
    while size < limit + recent:
        choices, size = choices + 1, size * 4
    return 1 + choices


@pytest.mark.parametrize("mode", ["practice", "speed_drill", "weak_areas"])
@pytest.mark.parametrize(("limit", "recent"), [(1, 39), (2, 38), (5, 35), (10, 30), (10, 3), (20, 20), (39, 1)])
def test_a_draw_takes_few_statements_however_many_were_answered(world: Any, mode: Any, limit: int, recent: int) -> None:
    """The worst case: exactly `limit` are left, so that nothing less than all of them is enough."""
    if mode == "weak_areas":
        world.change("UPDATE questions SET total_attempts = 0, correct_attempts = 0")
    for key in world.questions[:recent]:
        world.add("user_answers", user_id=world.ids["user_id"], question_id=key, answered_at=NOW - 1)
    of_weakest = mode == "weak_areas"
    for seed in range(20):
        with recorded(world.engine) as statements:
            found = StudyQueries(world.engine).study_questions(**world.ids, limit=limit, mode=mode, now=NOW, seed=seed)
        assert len(found) == 40 - recent if recent >= 20 else limit
        assert 2 <= len(statements) - of_weakest <= most_statements(limit, recent)


def test_the_bound_is_what_four_times_as_many_each_time_come_to() -> None:
    """1 + ceil(log4((limit + recent) / limit)) + 1, by the powers of 4."""
    assert [most_statements(1, recent) for recent in (0, 3, 4, 15, 16, 63, 64)] == [2, 3, 4, 4, 5, 5, 6]
    assert [most_statements(20, recent) for recent in (0, 60, 61, 300, 301)] == [2, 3, 4, 4, 5]
