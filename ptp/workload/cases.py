"""The queries as benchmark cases, with arguments as the application would give them.

Everything is drawn from the database by a seeded generator before the clock starts. Users come as they are active:
an argument is taken from a random answer, so who answers ten times as much is asked for ten times as often, and
user, exam and question of a call belong together; a session is left out where the data gives it to another user. The
present is the newest answer's time, so that "in the last 24 hours" means what it meant then.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import cycle
from typing import Any

from sqlalchemy import Engine, text

from ptp.benchmark import Case
from ptp.queries import AnalyticsQueries, DailyMetrics, NewAnswer, ProgressQueries, StudyQueries, TwitterQueries
from ptp.queries.arguments import day_of
from ptp.workload.limits import LIMITS_MS, Profile

SAMPLES: dict[Profile, int] = {"quick": 300, "full": 2_000}
WARM_UP: dict[Profile, int] = {"quick": 30, "full": 200}
BATCH = 50

_NO_ANSWERS = "The database holds no answers to draw arguments from."


@dataclass(frozen=True, slots=True)
class Drawn:
    """What belongs together in one random answer; `objectives` are those of its exam."""

    user_id: int
    exam_id: int
    question_id: int
    session_id: int | None
    objectives: tuple[int, ...]
    number: int


@dataclass(frozen=True, slots=True)
class _Plan:
    now: int
    draws: tuple[Drawn, ...]
    profile: Profile


def benchmark_cases(engine: Engine, *, profile: Profile, seed: int) -> tuple[Case, ...]:
    """One case for every limit, in the order of LIMITS_MS; the same seed and database give the same calls.

    Some cases write: hand in an engine on a copy that may be thrown away. A case whose tables are empty is not
    applicable, with the reason.
    """
    found = _draw(engine, count=SAMPLES[profile] + WARM_UP[profile], seed=seed)
    plan = _Plan(now=_newest(engine), draws=found, profile=profile)
    cases = (*_study(engine, plan), *_progress(engine, plan), *_operations(engine, plan))
    by_name = {case.name: case for case in cases}
    return tuple(by_name[name] for name in LIMITS_MS)


def _study(engine: Engine, plan: _Plan) -> list[Case]:
    queries, now = StudyQueries(engine), plan.now

    def draw(mode: Any = "practice") -> Callable[[Drawn], object]:
        return lambda d: queries.study_questions(
            exam_id=d.exam_id, user_id=d.user_id, mode=mode, seed=d.number, now=now
        )

    def draw_filtered(d: Drawn) -> object:
        return queries.study_questions(
            exam_id=d.exam_id,
            user_id=d.user_id,
            objectives=d.objectives[:2] or None,
            min_difficulty=2,
            max_difficulty=4,
            seed=d.number,
            now=now,
        )

    def record_batch(d: Drawn) -> object:
        turned = (plan.draws[(d.number + place) % len(plan.draws)] for place in range(BATCH))
        return queries.record_answers([_new_answer(one) for one in turned], now=now)

    return [
        _case("study_questions", "drawing 20 questions of an exam", draw(), plan, check=_is_a_page),
        _case("study_questions_filtered", "drawing 20 of two objectives and three levels", draw_filtered, plan),
        _case("study_questions_speed_drill", "drawing the 20 easiest", draw("speed_drill"), plan, check=_is_a_page),
        _case("study_questions_weak_areas", "drawing the 20 hardest", draw("weak_areas"), plan, check=_is_a_page),
        _case("record_answer", "recording an answer", lambda d: queries.record_answer(_new_answer(d), now=now), plan),
        _case("record_answers_50", f"recording a batch of {BATCH} answers", record_batch, plan, check=_is_a_batch),
        _session_case(queries, plan),
    ]


def _session_case(queries: StudyQueries, plan: _Plan) -> Case:
    sessions = tuple(d for d in plan.draws if d.session_id is not None)
    without = None if sessions else "No answer drawn belongs to a study session."
    drawn = _Plan(now=plan.now, draws=sessions, profile=plan.profile)

    def count(d: Drawn) -> object:
        return queries.session_progress(session_id=d.session_id or 0)

    return _case("session_progress", "counting a session and writing it", count, drawn, not_applicable=without)


def _progress(engine: Engine, plan: _Plan) -> list[Case]:
    queries, now = ProgressQueries(engine), plan.now

    def both(query: Callable[..., object], **more: Any) -> Callable[[Drawn], object]:
        return lambda d: query(user_id=d.user_id, exam_id=d.exam_id, **more)

    def update(d: Drawn) -> object:
        return queries.update_progress(
            user_id=d.user_id, exam_id=d.exam_id, questions_seen=20, correct=d.number % 21, study_minutes=15, now=now
        )

    return [
        _case("user_progress", "a user's progress in an exam", both(queries.user_progress, now=now), plan),
        _case("update_progress", "adding to a user's progress", update, plan),
        _case("leaderboard", "an exam's 20 best", lambda d: queries.leaderboard(exam_id=d.exam_id, now=now), plan),
        _case("rank", "a user's rank in an exam", both(queries.rank), plan),
        _case("weekly_activity", "a user's week in an exam", both(queries.weekly_activity, now=now), plan),
        _case("current_streak", "a user's streak in an exam", both(queries.current_streak), plan),
        _case("recent_activity", "a user's last sessions", lambda d: queries.recent_activity(user_id=d.user_id), plan),
    ]


def _operations(engine: Engine, plan: _Plan) -> list[Case]:
    twitter, analytics, now = TwitterQueries(engine), AnalyticsQueries(engine), plan.now
    opportunities = _empty(engine, "engagement_opportunities")
    metrics, log = _empty(engine, "growth_metrics"), _empty(engine, "ai_generation_log")

    def record(d: Drawn) -> None:
        date = (day_of(now) - timedelta(days=d.number % 400)).isoformat()
        twitter.record_daily_metrics(DailyMetrics(date=date, new_followers=d.number % 40, ai_costs=1.5), now=now)

    def each_time(query: Callable[[], object]) -> Callable[[Drawn], object]:
        return lambda _: query()

    pending = each_time(twitter.pending_opportunities)
    growth = each_time(lambda: twitter.growth_analytics(days=400, now=now))
    months = each_time(lambda: twitter.net_followers(now=now))
    costs = each_time(lambda: analytics.ai_cost_summary(now=now))
    return [
        _case("pending_opportunities", "the 20 most relevant", pending, plan, not_applicable=opportunities),
        _case("record_daily_metrics", "writing a day's metrics", record, plan, not_applicable=metrics),
        _case("growth_analytics", "growth over 400 days", growth, plan, not_applicable=metrics),
        _case("net_followers", "net followers of 12 months", months, plan, not_applicable=metrics),
        _case("ai_cost_summary", "AI costs of 30 days", costs, plan, not_applicable=log),
        _case(
            "question_analytics",
            "an exam's 100 hardest questions",
            lambda d: analytics.question_analytics(exam_id=d.exam_id),
            plan,
        ),
    ]


def _case(
    name: str,
    what: str,
    query: Callable[[Drawn], object],
    plan: _Plan,
    *,
    not_applicable: str | None = None,
    check: Callable[[Any], str | None] | None = None,
) -> Case:
    limit = LIMITS_MS[name]
    draws = cycle(plan.draws)
    reason = not_applicable or (None if plan.draws else _NO_ANSWERS)
    return Case(
        name=name,
        claim=f"p95 of {what} is under {limit:g} ms",
        limit_ms=limit,
        call=lambda: query(next(draws)),
        warmup=WARM_UP[plan.profile],
        n=SAMPLES[plan.profile],
        not_applicable=reason,
        check=check or _is_something,
    )


def _new_answer(d: Drawn) -> NewAnswer:
    return NewAnswer(
        user_id=d.user_id,
        question_id=d.question_id,
        selected_answer="a",
        is_correct=d.number % 3 > 0,
        time_spent_seconds=5 + d.number % 115,
        study_session_id=d.session_id,
    )


def _is_something(_: object) -> str | None:
    return None


def _is_a_page(found: Sequence[Any]) -> str | None:
    keys = {question.id for question in found}
    # None at all is right where the user answered everything lately, or nothing is approved.
    if len(found) > 20 or len(keys) < len(found):
        return f"{len(found)} questions, {len(keys)} different ones, where up to 20 were due"
    return None


def _is_a_batch(found: Sequence[Any]) -> str | None:
    return None if len(found) == BATCH else f"{len(found)} answers recorded where {BATCH} were due"


def _newest(engine: Engine) -> int:
    with engine.connect() as db:
        return db.scalar(text("SELECT max(answered_at) FROM user_answers")) or 0


def _empty(engine: Engine, table: str) -> str | None:
    with engine.connect() as db:
        has_rows = db.scalar(text(f"SELECT EXISTS (SELECT 1 FROM {table})"))
    return None if has_rows else f"The table {table} is empty."


def _draw(engine: Engine, *, count: int, seed: int) -> tuple[Drawn, ...]:
    """`count` random answers, with repetition; a gap in the ids falls to the next answer."""
    chance = random.Random(seed)
    with engine.connect() as db:
        first, last = db.execute(text("SELECT min(id), max(id) FROM user_answers")).one()
        if first is None:
            return ()
        keys = json.dumps([chance.randint(first, last) for _ in range(count)])
        rows = db.execute(_ANSWERS, {"keys": keys}).all()
        objectives: dict[int, list[int]] = {}
        for exam_id, objective_id in db.execute(text("SELECT exam_id, id FROM objectives ORDER BY id")):
            objectives.setdefault(exam_id, []).append(objective_id)
    return tuple(
        Drawn(row.user_id, row.exam_id, row.question_id, row.session_id, tuple(objectives.get(row.exam_id, ())), number)
        for number, row in enumerate(rows)
    )


_ANSWERS = text("""
    SELECT user_answers.user_id, questions.exam_id, questions.id AS question_id,
           study_sessions.id AS session_id
    FROM json_each(:keys) AS wanted
    JOIN user_answers
        ON user_answers.id = (SELECT id FROM user_answers AS next WHERE next.id >= wanted.value ORDER BY id LIMIT 1)
    JOIN questions ON questions.id = user_answers.question_id
    LEFT JOIN study_sessions
        ON study_sessions.id = user_answers.study_session_id AND study_sessions.user_id = user_answers.user_id
    ORDER BY wanted.key
""")
