"""The queries as benchmark cases, with arguments as the application would give them (`ptp.workload.draws`).

A case's call returns the arguments drawn with the query's outcome, so that the case's check knows what is due for them
(`ptp.workload.oracles`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from sqlalchemy import Engine

from ptp.benchmark import Case
from ptp.queries import AnalyticsQueries, ProgressQueries, StudyQueries, TwitterQueries
from ptp.workload.draws import (
    BATCH,
    Batches,
    Drawn,
    batches_of,
    changed_values,
    changer,
    draw,
    empty,
    metrics_of,
    new_answer,
    new_generation,
    newest,
    sitting,
)
from ptp.workload.limits import LIMITS_MS, Profile
from ptp.workload.oracles import Check, oracles_of

SAMPLES: dict[Profile, int] = {"quick": 300, "full": 2_000}
MOST: dict[Profile, int] = {"quick": 2_400, "full": 8_000}
"""Samples after which a query that is still undecided stays so."""
WARM_UP: dict[Profile, int] = {"quick": 30, "full": 200}
COLD: dict[Profile, int] = {"quick": 3, "full": 10}
"""Calls on connections that were just opened, so that SQLite holds no page and no prepared statement."""

_NO_ANSWERS = "The database holds no answers to draw arguments from."
_NO_ENTRIES = "The audit log holds no entry of a question, exam, user or subscription."


@dataclass(frozen=True, slots=True)
class Query:
    """One query of the application as it is called: `run` with each of `draws` in turn.

    `what` names it in a sentence; `check` says what is wrong with what `run` returned for a draw, None when nothing is.
    Of a query that writes, each call is to be checked before the next one.
    """

    name: str
    what: str
    run: Callable[[Drawn], object]
    draws: tuple[Drawn, ...]
    check: Check
    writes: bool = False
    absent: str | None = None

    @property
    def not_applicable(self) -> str | None:
        """The reason for which it cannot be called here, None when it can."""
        return self.absent or (None if self.draws else _NO_ANSWERS)


def benchmark_cases(
    engine: Engine, *, profile: Profile, seed: int, known: Engine | None = None, only_reads: bool = False
) -> tuple[Case, ...]:
    """One case for every limit, in the order of LIMITS_MS; the same seed and database give the same calls.

    Some cases write: hand in an engine on a copy that may be thrown away, or ask for those that only read. A case whose
    tables are empty is not applicable, with the reason. `known` is as for `workload`.
    """
    queries = workload(engine, count=SAMPLES[profile] + WARM_UP[profile], seed=seed, known=known)
    wanted = [query for query in queries if not (only_reads and query.writes)]
    return tuple(_case(query, profile=profile, chill=engine.dispose) for query in wanted)


def workload(engine: Engine, *, count: int, seed: int, known: Engine | None = None) -> tuple[Query, ...]:
    """Every query, in the order of LIMITS_MS, with `count` draws.

    Draws and oracles read from `known`, which has the same content: by default the engine itself.
    """
    source = known or engine
    draws, now = draw(source, count=count, seed=seed), newest(source)
    batches = batches_of(source, draws)
    checks = oracles_of(source, draws, batches, now=now)
    given = Given(engine, draws, batches, checks, now)
    by_name = {query.name: query for part in _PARTS for query in part(given)}
    return tuple(by_name[name] for name in LIMITS_MS)


@dataclass(frozen=True, slots=True)
class Given:
    """What the queries of the workload are made of; the present is `now`."""

    engine: Engine
    draws: tuple[Drawn, ...]
    batches: Batches
    checks: Mapping[str, Check]
    now: int

    def query(
        self,
        name: str,
        what: str,
        run: Callable[[Drawn], object],
        *,
        draws: tuple[Drawn, ...] | None = None,
        writes: bool = False,
        absent: str | None = None,
    ) -> Query:
        """The query of that name, with its oracle."""
        return Query(name, what, run, self.draws if draws is None else draws, self.checks[name], writes, absent)


def _case(query: Query, *, profile: Profile, chill: Callable[[], object]) -> Case:
    limit, draws, run = LIMITS_MS[query.name], cycle(query.draws), query.run

    def call() -> tuple[Drawn, object]:
        drawn = next(draws)
        return drawn, run(drawn)

    return Case(
        name=query.name,
        claim=f"p95 of {query.what} is under {limit:g} ms",
        limit_ms=limit,
        call=call,
        warmup=WARM_UP[profile],
        n=SAMPLES[profile],
        not_applicable=query.not_applicable,
        check=lambda answered: query.check(*answered),
        most=MOST[profile],
        cold=COLD[profile],
        chill=chill,
    )


def _study(given: Given) -> list[Query]:
    queries, draws, now = StudyQueries(given.engine), given.draws, given.now

    def page(mode: Any = "practice") -> Callable[[Drawn], object]:
        return lambda d: queries.study_questions(
            exam_id=d.exam_id, user_id=d.user_id, mode=mode, seed=d.number, now=now
        )

    def search(d: Drawn) -> object:
        return queries.search_questions(d.words, exam_id=d.exam_id)

    filtered = filtered_page(queries, now=now)
    searches = tuple(d for d in draws if d.words)
    no_words = "No question drawn has a word of four letters." if draws and not searches else None
    return [
        given.query("study_questions", "drawing 20 questions of an exam", page()),
        given.query("study_questions_filtered", "drawing 20 of two objectives and three levels", filtered),
        given.query("study_questions_speed_drill", "drawing the 20 easiest", page("speed_drill")),
        given.query("study_questions_weak_areas", "drawing the 20 hardest", page("weak_areas")),
        given.query("search_questions", "searching an exam for two words", search, draws=searches, absent=no_words),
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


def _recording(given: Given) -> list[Query]:
    queries, draws, now = StudyQueries(given.engine), given.draws, given.now

    def record(d: Drawn) -> object:
        return queries.record_answer(new_answer(d), now=now)

    def record_batch(d: Drawn) -> object:
        return queries.record_answers(given.batches(d), now=now)

    def count(d: Drawn) -> object:
        return queries.session_progress(session_id=d.session_id or 0)

    sessions = tuple(d for d in draws if d.session_id is not None)
    no_session = "No answer drawn belongs to a study session." if draws and not sessions else None
    counting = "counting a session and writing it"
    return [
        given.query("record_answer", "recording an answer", record, writes=True),
        given.query("record_answers_50", f"recording a batch of {BATCH} answers", record_batch, writes=True),
        given.query("session_progress", counting, count, draws=sessions, writes=True, absent=no_session),
    ]


def _progress(given: Given) -> list[Query]:
    queries, now = ProgressQueries(given.engine), given.now

    def both(query: Callable[..., object], **more: Any) -> Callable[[Drawn], object]:
        return lambda d: query(user_id=d.user_id, exam_id=d.exam_id, **more)

    def update(d: Drawn) -> object:
        return queries.update_progress(user_id=d.user_id, exam_id=d.exam_id, now=now, **sitting(d))

    def recent(d: Drawn) -> object:
        return queries.recent_activity(user_id=d.user_id)

    best = _per_exam(queries.leaderboard, now=now)
    return [
        given.query("user_progress", "a user's progress in an exam", both(queries.user_progress, now=now)),
        given.query("update_progress", "adding to a user's progress", update, writes=True),
        given.query("leaderboard", "an exam's 20 best", best),
        given.query("rank", "a user's rank in an exam", both(queries.rank)),
        given.query("weekly_activity", "a user's week in an exam", both(queries.weekly_activity, now=now)),
        given.query("current_streak", "a user's streak in an exam", both(queries.current_streak)),
        given.query("recent_activity", "a user's last sessions", recent),
    ]


def _twitter(given: Given) -> list[Query]:
    queries, now = TwitterQueries(given.engine), given.now
    opportunities, metrics = empty(given.engine, "engagement_opportunities"), empty(given.engine, "growth_metrics")

    def record(d: Drawn) -> None:
        queries.record_daily_metrics(metrics_of(d, now=now), now=now)

    pending = _each_time(queries.pending_opportunities)
    growth = _each_time(lambda: queries.growth_analytics(days=400, now=now))
    months = _each_time(lambda: queries.net_followers(now=now))
    return [
        given.query("pending_opportunities", "the 20 most relevant", pending, absent=opportunities),
        given.query("record_daily_metrics", "writing a day's metrics", record, writes=True, absent=metrics),
        given.query("growth_analytics", "growth over 400 days", growth, absent=metrics),
        given.query("net_followers", "net followers of 12 months", months, absent=metrics),
    ]


def _analytics(given: Given) -> list[Query]:
    queries, draws, now = AnalyticsQueries(given.engine), given.draws, given.now
    no_call, no_entry = empty(given.engine, "ai_generation_log"), empty(given.engine, "audit_log")
    entries = tuple(d for d in draws if d.entry is not None)
    no_history = no_entry or (_NO_ENTRIES if draws and not entries else None)

    def log(d: Drawn) -> object:
        return queries.log_generation(new_generation(d), now=now)

    def history(d: Drawn) -> object:
        entity, key = d.entry or ("", 0)
        return queries.change_history(entity=entity, entity_id=key)  # type: ignore[arg-type]

    def change(d: Drawn) -> object:
        return queries.change(
            entity="question",
            action="update",
            entity_id=d.question_id,
            values=changed_values(d),
            actor=changer(d),
            now=now,
        )

    costs = _each_time(lambda: queries.ai_cost_summary(now=now))
    trail = _each_time(lambda: queries.audit_trail(now=now))
    hardest = _per_exam(queries.question_analytics)
    newest_of_thing = "the 100 newest audit entries of a thing"
    return [
        given.query("ai_cost_summary", "AI costs of 30 days", costs, absent=no_call),
        given.query("log_generation", "logging a call of an AI model", log, writes=True),
        given.query("question_analytics", "an exam's 100 hardest questions", hardest),
        given.query("audit_trail", "the 100 newest of 30 days' audit entries", trail, absent=no_entry),
        given.query("change_history", newest_of_thing, history, draws=entries, absent=no_history),
        given.query("change", "changing a question with its audit entry", change, writes=True),
    ]


def _each_time(query: Callable[[], object]) -> Callable[[Drawn], object]:
    return lambda _: query()


def _per_exam(query: Callable[..., object], **more: Any) -> Callable[[Drawn], object]:
    return lambda d: query(exam_id=d.exam_id, **more)


_PARTS = (_study, _recording, _progress, _twitter, _analytics)
