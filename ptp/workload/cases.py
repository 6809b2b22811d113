"""The queries as benchmark cases, with arguments as the application would give them (`ptp.workload.draws`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import cycle
from typing import Any

from sqlalchemy import Engine

from ptp.benchmark import Case
from ptp.benchmark.latency import nothing_wrong
from ptp.queries import (
    Actor,
    AnalyticsQueries,
    DailyMetrics,
    ProgressQueries,
    StudyQueries,
    TwitterQueries,
)
from ptp.queries.arguments import day_of
from ptp.workload.draws import BATCH, Drawn, batches_of, draw, empty, new_answer, new_generation, newest
from ptp.workload.limits import LIMITS_MS, Profile

SAMPLES: dict[Profile, int] = {"quick": 300, "full": 2_000}
WARM_UP: dict[Profile, int] = {"quick": 30, "full": 200}

_NO_ANSWERS = "The database holds no answers to draw arguments from."
_NO_ENTRIES = "The audit log holds no entry of a question, exam, user or subscription."


@dataclass(frozen=True, slots=True)
class Query:
    """One query of the application as it is called: `run` with each of `draws` in turn.

    `what` names it in a sentence; `check` says what is wrong with what `run` returned, None when nothing is.
    """

    name: str
    what: str
    run: Callable[[Drawn], object]
    draws: tuple[Drawn, ...]
    check: Callable[[Any], str | None] = nothing_wrong
    writes: bool = False
    absent: str | None = None

    @property
    def not_applicable(self) -> str | None:
        """The reason for which it cannot be called here, None when it can."""
        return self.absent or (None if self.draws else _NO_ANSWERS)


def benchmark_cases(engine: Engine, *, profile: Profile, seed: int) -> tuple[Case, ...]:
    """One case for every limit, in the order of LIMITS_MS; the same seed and database give the same calls.

    Some cases write: hand in an engine on a copy that may be thrown away. A case whose tables are empty is not
    applicable, with the reason.
    """
    queries = workload(engine, count=SAMPLES[profile] + WARM_UP[profile], seed=seed)
    return tuple(_case(query, profile=profile) for query in queries)


def workload(engine: Engine, *, count: int, seed: int) -> tuple[Query, ...]:
    """Every query, in the order of LIMITS_MS, with `count` draws."""
    draws, now = draw(engine, count=count, seed=seed), newest(engine)
    parts = [part(engine, draws, now) for part in (_study, _recording, _progress, _twitter, _analytics)]
    by_name = {query.name: query for part in parts for query in part}
    return tuple(by_name[name] for name in LIMITS_MS)


def _case(query: Query, *, profile: Profile) -> Case:
    limit, draws = LIMITS_MS[query.name], cycle(query.draws)
    return Case(
        name=query.name,
        claim=f"p95 of {query.what} is under {limit:g} ms",
        limit_ms=limit,
        call=lambda: query.run(next(draws)),
        warmup=WARM_UP[profile],
        n=SAMPLES[profile],
        not_applicable=query.not_applicable,
        check=query.check,
    )


def _study(engine: Engine, draws: tuple[Drawn, ...], now: int) -> list[Query]:
    queries = StudyQueries(engine)

    def page(mode: Any = "practice") -> Callable[[Drawn], object]:
        return lambda d: queries.study_questions(
            exam_id=d.exam_id, user_id=d.user_id, mode=mode, seed=d.number, now=now
        )

    filtered = filtered_page(queries, now=now)
    searches = tuple(d for d in draws if d.words)
    no_words = "No question drawn has a word of four letters." if draws and not searches else None
    return [
        Query("study_questions", "drawing 20 questions of an exam", page(), draws, is_a_page),
        Query("study_questions_filtered", "drawing 20 of two objectives and three levels", filtered, draws, is_a_page),
        Query("study_questions_speed_drill", "drawing the 20 easiest", page("speed_drill"), draws, is_a_page),
        Query("study_questions_weak_areas", "drawing the 20 hardest", page("weak_areas"), draws, is_a_page),
        Query(
            "search_questions",
            "searching an exam for two words",
            lambda d: queries.search_questions(d.words, exam_id=d.exam_id),
            searches,
            _has_found,
            absent=no_words,
        ),
    ]


def filtered_page(queries: StudyQueries, *, now: int) -> Callable[[Drawn], object]:
    """A draw of 20 from two objectives of the exam and the three middle levels."""
    return lambda d: queries.study_questions(
        exam_id=d.exam_id,
        user_id=d.user_id,
        objectives=d.objectives[:2] or None,
        min_difficulty=2,
        max_difficulty=4,
        seed=d.number,
        now=now,
    )


def _recording(engine: Engine, draws: tuple[Drawn, ...], now: int) -> list[Query]:
    queries = StudyQueries(engine)

    def record_batch(d: Drawn) -> object:
        return queries.record_answers(batches(d), now=now)

    batches = batches_of(engine, draws)
    sessions = tuple(d for d in draws if d.session_id is not None)
    no_session = "No answer drawn belongs to a study session." if draws and not sessions else None
    return [
        Query(
            "record_answer",
            "recording an answer",
            lambda d: queries.record_answer(new_answer(d), now=now),
            draws,
            writes=True,
        ),
        Query(
            "record_answers_50", f"recording a batch of {BATCH} answers", record_batch, draws, _is_a_batch, writes=True
        ),
        Query(
            "session_progress",
            "counting a session and writing it",
            lambda d: queries.session_progress(session_id=d.session_id or 0),
            sessions,
            writes=True,
            absent=no_session,
        ),
    ]


def _progress(engine: Engine, draws: tuple[Drawn, ...], now: int) -> list[Query]:
    queries = ProgressQueries(engine)

    def both(query: Callable[..., object], **more: Any) -> Callable[[Drawn], object]:
        return lambda d: query(user_id=d.user_id, exam_id=d.exam_id, **more)

    def update(d: Drawn) -> object:
        return queries.update_progress(
            user_id=d.user_id, exam_id=d.exam_id, questions_seen=20, correct=d.number % 21, study_minutes=15, now=now
        )

    return [
        Query("user_progress", "a user's progress in an exam", both(queries.user_progress, now=now), draws),
        Query("update_progress", "adding to a user's progress", update, draws, writes=True),
        Query("leaderboard", "an exam's 20 best", lambda d: queries.leaderboard(exam_id=d.exam_id, now=now), draws),
        Query("rank", "a user's rank in an exam", both(queries.rank), draws),
        Query("weekly_activity", "a user's week in an exam", both(queries.weekly_activity, now=now), draws),
        Query("current_streak", "a user's streak in an exam", both(queries.current_streak), draws),
        Query("recent_activity", "a user's last sessions", lambda d: queries.recent_activity(user_id=d.user_id), draws),
    ]


def _twitter(engine: Engine, draws: tuple[Drawn, ...], now: int) -> list[Query]:
    queries = TwitterQueries(engine)
    opportunities, metrics = empty(engine, "engagement_opportunities"), empty(engine, "growth_metrics")

    def record(d: Drawn) -> None:
        date = (day_of(now) - timedelta(days=d.number % 400)).isoformat()
        queries.record_daily_metrics(DailyMetrics(date=date, new_followers=d.number % 40, ai_costs=1.5), now=now)

    pending = _each_time(queries.pending_opportunities)
    growth = _each_time(lambda: queries.growth_analytics(days=400, now=now))
    months = _each_time(lambda: queries.net_followers(now=now))
    return [
        Query("pending_opportunities", "the 20 most relevant", pending, draws, absent=opportunities),
        Query("record_daily_metrics", "writing a day's metrics", record, draws, writes=True, absent=metrics),
        Query("growth_analytics", "growth over 400 days", growth, draws, absent=metrics),
        Query("net_followers", "net followers of 12 months", months, draws, absent=metrics),
    ]


def _analytics(engine: Engine, draws: tuple[Drawn, ...], now: int) -> list[Query]:
    queries = AnalyticsQueries(engine)
    no_call, no_entry = empty(engine, "ai_generation_log"), empty(engine, "audit_log")
    entries = tuple(d for d in draws if d.entry is not None)
    no_history = no_entry or (_NO_ENTRIES if draws and not entries else None)

    def history(d: Drawn) -> object:
        entity, key = d.entry or ("", 0)
        return queries.change_history(entity=entity, entity_id=key)  # type: ignore[arg-type]

    def change(d: Drawn) -> object:
        return queries.change(
            entity="question",
            action="update",
            entity_id=d.question_id,
            values={"explanation": f"Explained anew, for the {d.number}. time."},
            actor=Actor(user_id=d.user_id, request_id=f"request-{d.number}", method="PATCH", path="/questions"),
            now=now,
        )

    costs = _each_time(lambda: queries.ai_cost_summary(now=now))
    trail = _each_time(lambda: queries.audit_trail(now=now))
    hardest = _per_exam(queries.question_analytics)
    return [
        Query("ai_cost_summary", "AI costs of 30 days", costs, draws, absent=no_call),
        Query(
            "log_generation",
            "logging a call of an AI model",
            lambda d: queries.log_generation(new_generation(d), now=now),
            draws,
            writes=True,
        ),
        Query("question_analytics", "an exam's 100 hardest questions", hardest, draws),
        Query("audit_trail", "the 100 newest of 30 days' audit entries", trail, draws, absent=no_entry),
        Query("change_history", "the 100 newest audit entries of a thing", history, entries, absent=no_history),
        Query("change", "changing a question with its audit entry", change, draws, writes=True),
    ]


def _each_time(query: Callable[[], object]) -> Callable[[Drawn], object]:
    return lambda _: query()


def _per_exam(query: Callable[..., object]) -> Callable[[Drawn], object]:
    return lambda d: query(exam_id=d.exam_id)


def is_a_page(found: Sequence[Any]) -> str | None:
    """What is wrong with questions drawn, up to 20 different ones."""
    keys = {question.id for question in found}
    # None at all is right where the user answered everything lately, or nothing is approved.
    if len(found) > 20 or len(keys) < len(found):
        return f"{len(found)} questions, {len(keys)} different ones, where up to 20 were due"
    return None


def _has_found(found: Any) -> str | None:
    # The question whose words they are may not be studied any more.
    return None if len(found.questions) <= 20 else f"{len(found.questions)} questions found where up to 20 were due"


def _is_a_batch(found: Sequence[Any]) -> str | None:
    return None if len(found) == BATCH else f"{len(found)} answers recorded where {BATCH} were due"
