"""What AI generation costs, and which questions are hard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import REAL, ColumnElement, Engine, bindparam, literal_column, select

from ptp.queries import administration, generations
from ptp.queries.administration import Action, Actor, AuditRecord, Entity
from ptp.queries.arguments import DAY, LONGEST_PERIOD_DAYS, check_ids, moment, page, require_known, whole
from ptp.queries.generations import AiCost, NewGeneration
from ptp.queries.tables import QUESTIONS, Prepared, rows_of
from ptp.schema.content import SUCCESS_RATE

LEAST_ATTEMPTS = 10
"""A question has analytics with more attempts than this."""


class QuestionStatistics(NamedTuple):
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

    def log_generation(self, generation: NewGeneration, *, now: int | None = None) -> int:
        """Enter one call of an AI model in the log, and return the entry's id.

        Raises UsageError for a bad count or cost, and for an unknown exam, objective or user.
        """
        return generations.log_generation(self._engine, generation, now=moment(now))

    def ai_cost_summary(self, *, days: int = 30, now: int | None = None) -> tuple[AiCost, ...]:
        """Cost, count, mean and success by purpose and model of the last `days` days, dearest first.

        Days are whole ones of UTC, up to and with today. Raises UsageError unless `days` is from 1 to 3,660.
        """
        period = whole("days", days, low=1, high=LONGEST_PERIOD_DAYS)
        return generations.cost_summary(self._engine, until=moment(now), days=period)

    def change(
        self,
        *,
        entity: Entity,
        action: Action,
        entity_id: int | None = None,
        values: Mapping[str, Any] | None = None,
        actor: Actor,
        now: int | None = None,
    ) -> AuditRecord:
        """Create, update or delete a question, exam or user, or update a user's subscription, with its audit entry.

        Both are written in one transaction. Secrets are masked in the entry. A subscription is named by its user's id.
        Raises UsageError for what is unknown, cannot be set, or breaks a rule of the database; then nothing is written.
        """
        return administration.change(
            self._engine,
            entity=entity,
            action=action,
            entity_id=entity_id,
            values=values or {},
            actor=actor,
            now=moment(now),
        )

    def audit_trail(self, *, days: int = 30, limit: int = 100, now: int | None = None) -> tuple[AuditRecord, ...]:
        """The newest entries of the audit log of the last `days` x 24 hours."""
        until = moment(now)
        since = until - DAY * whole("days", days, low=1, high=LONGEST_PERIOD_DAYS)
        return administration.trail(self._engine, since=since, until=until, limit=page(limit))

    def change_history(self, *, entity: Entity, entity_id: int, limit: int = 100) -> tuple[AuditRecord, ...]:
        """The newest entries of the audit log about one question, exam, user or subscription."""
        return administration.history(self._engine, entity=entity, entity_id=entity_id, limit=page(limit))

    def question_analytics(self, *, exam_id: int, limit: int = 100) -> tuple[QuestionStatistics, ...]:
        """The questions of an exam with more than 10 attempts, hardest first: lowest success, then id.

        Raises UsageError for an unknown exam and a bad limit.
        """
        check_ids(exam_id=exam_id)
        with self._engine.connect() as db:
            rows = _STATISTICS.rows(db, {"exam_id": exam_id, "limit": page(limit)})
            if not rows:
                require_known(db, exam_id=exam_id)
        return rows_of(QuestionStatistics, rows)


_ASKED = QUESTIONS.c
# In the words of the index: SQLAlchemy would divide by total_attempts + 0.0, which the index does not know.
_SUCCESS: ColumnElement[float] = literal_column(SUCCESS_RATE, REAL).label("success_rate")
_STATISTICS = Prepared(
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
    .where(_ASKED.exam_id == bindparam("exam_id"), _ASKED.total_attempts > literal_column(str(LEAST_ATTEMPTS)))
    .order_by(_SUCCESS, _ASKED.id)
    .limit(bindparam("limit"))
)
