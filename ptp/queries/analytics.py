"""What AI generation costs, and which questions are hard."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Engine, bindparam, func, literal_column, select

from ptp.queries.arguments import DAY, LONGEST_PERIOD_DAYS, moment, page, require_known, whole
from ptp.queries.tables import AI_GENERATIONS, QUESTIONS, number, ratio, rows_of

LEAST_ATTEMPTS = 10
"""A question has analytics with more attempts than this."""


@dataclass(frozen=True, slots=True)
class AiCost:
    """What the calls of one model for one purpose cost, in dollars; `success_rate` from 0 to 1.

    The mean is over the calls whose cost is known, the rate over those whose success is; None where there are none.
    """

    purpose: str
    model: str
    calls: int
    cost_dollars: float
    mean_cost_dollars: float | None
    success_rate: float | None


@dataclass(frozen=True, slots=True)
class QuestionStatistics:
    """How a question does: `success_rate` from 0 to 1; `discrimination_index` as stored, it is not computed."""

    question_id: int
    objective_id: int
    text: str
    difficulty: int | None
    total_attempts: int
    correct_attempts: int | None
    success_rate: float | None
    avg_time_seconds: int | None
    discrimination_index: float | None


class AnalyticsQueries:
    """The queries of the back office, on an engine of `ptp.engine.open_engine`."""

    def __init__(self, engine: Engine) -> None:
        """Keep the engine; nothing is read yet."""
        self._engine = engine

    def ai_cost_summary(self, *, days: int = 30, now: int | None = None) -> tuple[AiCost, ...]:
        """Cost, count, mean and success by purpose and model of the last `days` x 24 hours, dearest first.

        Raises UsageError unless `days` is from 1 to 3,660.
        """
        until = moment(now)
        since = until - DAY * whole("days", days, low=1, high=LONGEST_PERIOD_DAYS)
        with self._engine.connect() as db:
            rows = db.execute(_COSTS, {"since": since, "until": until}).all()
        return rows_of(AiCost, rows)

    def question_analytics(self, *, exam_id: int, limit: int = 100) -> tuple[QuestionStatistics, ...]:
        """The questions of an exam with more than 10 attempts, hardest first: lowest success, then id.

        Raises UsageError for an unknown exam and a bad limit.
        """
        with self._engine.connect() as db:
            rows = db.execute(_STATISTICS, {"exam_id": exam_id, "limit": page(limit)}).all()
            if not rows:
                require_known(db, exam_id=exam_id)
        return rows_of(QuestionStatistics, rows)


_LOG = AI_GENERATIONS.c
_CENTS: ColumnElement[float] = literal_column("100.0")
_DOLLARS = (func.coalesce(func.sum(_LOG.cost_cents), 0.0) / _CENTS).label("cost_dollars")
_COSTS = (
    select(
        _LOG.purpose,
        _LOG.model,
        func.count().label("calls"),
        _DOLLARS,
        (func.avg(_LOG.cost_cents) / _CENTS).label("mean_cost_dollars"),
        func.avg(number(_LOG.success)).label("success_rate"),
    )
    .where(_LOG.created_at > bindparam("since"), _LOG.created_at <= bindparam("until"))
    .group_by(_LOG.purpose, _LOG.model)
    .order_by(_DOLLARS.desc(), _LOG.purpose, _LOG.model)
)

_ASKED = QUESTIONS.c
_SUCCESS = ratio(_ASKED.correct_attempts, _ASKED.total_attempts).label("success_rate")
_STATISTICS = (
    select(
        _ASKED.id,
        _ASKED.objective_id,
        _ASKED.text,
        _ASKED.difficulty,
        _ASKED.total_attempts,
        _ASKED.correct_attempts,
        _SUCCESS,
        _ASKED.avg_time_seconds,
        _ASKED.discrimination_index,
    )
    .where(_ASKED.exam_id == bindparam("exam_id"), _ASKED.total_attempts > LEAST_ATTEMPTS)
    # A rate that is not known (no count of correct answers) is not the hardest.
    .order_by(_SUCCESS.asc().nulls_last(), _ASKED.id)
    .limit(bindparam("limit"))
)
