"""Each operation of the claims both ways: the old one in plain SQL on its shape, and ptp's query at head.

Arguments are drawn from head (`ptp.workload.draws`); both ways get the same. Those that read come first, since the
others add to what they read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

from sqlalchemy import Engine

from ptp.benchmark.pairs import Pair
from ptp.queries import AnalyticsQueries, ProgressQueries, StudyQueries, TwitterQueries
from ptp.queries.arguments import DAY, WEEK, day_of
from ptp.workload.claims import outreach, progress, study
from ptp.workload.claims.likeness import differing, differing_draws, differing_statistics
from ptp.workload.claims.plain import Plain
from ptp.workload.draws import Drawn, draw, empty, new_answer, newest

DAYS = 400
"""Of growth analytics, as in the claim."""

_NO_ANSWERS = "The database holds no answers to draw arguments from."


@dataclass(frozen=True, slots=True)
class Sides:
    """Both databases: head by its engine and by a plain connection for checks, the old one by a plain connection."""

    engine: Engine
    head: sqlite3.Connection
    old: sqlite3.Connection


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation both ways, with the arguments of each call; `absent` says why it cannot be called here.

    `unlike` says how the outcomes of the two ways differ for a draw, None where they do not.
    """

    name: str
    ptp: Callable[[Any], object]
    plain: Callable[[Plain, Any], object]
    unlike: Callable[[Any, Any, Any], str | None]
    draws: tuple[Any, ...]
    writes: bool = False
    absent: str | None = None

    def pairs(self, db: Plain, *, first: int, n: int) -> list[Pair]:
        """`n` pairs with the arguments from place `first` on."""
        return [self._pair(db, d) for d in islice(cycle(self.draws), first, first + n)]

    def _pair(self, db: Plain, d: Any) -> Pair:
        return Pair(
            call=lambda: self.ptp(d),
            floor=lambda: self.plain(db, d),
            unlike=lambda called, plain: self.unlike(d, called, plain),
        )


def study_operations(sides: Sides, *, count: int, seed: int) -> tuple[Operation, ...]:
    """The operations on the eight tables of the raw shape, those that read first, with `count` draws."""
    draws, now = draw(sides.engine, count=count, seed=seed), newest(sides.engine)
    return (*_reads(sides, draws, now), *_writes(sides, draws, now))


def outreach_operations(sides: Sides, *, now: int) -> tuple[Operation, ...]:
    """The operations on tables that only the drizzle shape has, at the moment `now`."""
    twitter, analytics = TwitterQueries(sides.engine), AnalyticsQueries(sides.engine)
    last = day_of(now)

    def one(name: str, table: str, ptp: Callable[[], object], plain: Callable[[Plain], object]) -> Operation:
        absent = empty(sides.engine, table)
        return Operation(name, lambda _: ptp(), lambda db, _: plain(db), _same(name), (0,), absent=absent)

    return (
        one(
            "pending_opportunities",
            "engagement_opportunities",
            twitter.pending_opportunities,
            outreach.pending_opportunities,
        ),
        one(
            "growth_analytics",
            "growth_metrics",
            lambda: twitter.growth_analytics(days=DAYS, now=now),
            lambda db: outreach.growth_analytics(db, last=last, days=DAYS),
        ),
        one(
            "ai_cost_summary",
            "ai_generation_log",
            lambda: analytics.ai_cost_summary(now=now),
            lambda db: outreach.ai_cost_summary(db, now=now),
        ),
    )


def _reads(sides: Sides, draws: tuple[Drawn, ...], now: int) -> list[Operation]:
    absent = None if draws else _NO_ANSWERS
    week, lately = now - WEEK, now - DAY
    studying, standing = StudyQueries(sides.engine), ProgressQueries(sides.engine)
    analytics = AnalyticsQueries(sides.engine)

    def unlike(d: Drawn, drawn: Sequence[Any], plain: Sequence[Any]) -> str | None:
        return differing_draws(sides.head, sides.old, drawn, plain, exam_id=d.exam_id, user_id=d.user_id, since=lately)

    return [
        Operation(
            "study_questions",
            lambda d: studying.study_questions(exam_id=d.exam_id, user_id=d.user_id, seed=d.number, now=now),
            lambda db, d: study.study_questions(db, exam_id=d.exam_id, user_id=d.user_id, since=lately),
            unlike,
            draws,
            absent=absent,
        ),
        Operation(
            "leaderboard",
            lambda d: standing.leaderboard(exam_id=d.exam_id, now=now),
            lambda db, d: progress.leaderboard(db, exam_id=d.exam_id, since=week),
            _same("leaderboard"),
            draws,
            absent=absent,
        ),
        Operation(
            "user_progress",
            lambda d: standing.user_progress(user_id=d.user_id, exam_id=d.exam_id, now=now),
            lambda db, d: progress.user_progress(db, user_id=d.user_id, exam_id=d.exam_id, since=week),
            _same("user_progress"),
            draws,
            absent=absent,
        ),
        Operation(
            "question_analytics",
            lambda d: analytics.question_analytics(exam_id=d.exam_id),
            lambda db, d: progress.question_analytics(db, exam_id=d.exam_id),
            _same("question_analytics"),
            draws,
            absent=absent,
        ),
    ]


def _writes(sides: Sides, draws: tuple[Drawn, ...], now: int) -> list[Operation]:
    queries, sittings = StudyQueries(sides.engine), tuple(d for d in draws if d.session_id is not None)

    def recorded(d: Drawn, called: Any, plain: Any) -> str | None:
        # The id of the row, and the moment that both were given, are left out.
        return differing("record_answer", called[1:6], plain) or differing_statistics(
            sides.head, sides.old, d.question_id
        )

    return [
        Operation(
            "session_progress",
            lambda d: queries.session_progress(session_id=d.session_id),
            lambda db, d: study.session_progress(db, session_id=d.session_id),
            _same("session_progress"),
            sittings,
            writes=True,
            absent=None if sittings else "No answer drawn belongs to a study session." if draws else _NO_ANSWERS,
        ),
        Operation(
            "record_answer",
            lambda d: queries.record_answer(new_answer(d), now=now),
            lambda db, d: study.record_answer(db, new_answer(d), now=now),
            recorded,
            draws,
            writes=True,
            absent=None if draws else _NO_ANSWERS,
        ),
    ]


def _same(name: str) -> Callable[[Any, Any, Any], str | None]:
    return lambda _, called, plain: differing(name, called, plain)
