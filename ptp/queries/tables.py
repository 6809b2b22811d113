"""The tables at head as SQLAlchemy Core sees them; queries select columns, so no identity map stands in their way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast

from sqlalchemy import REAL, ClauseElement, ColumnElement, Connection, Integer, Table, and_, literal_column, type_coerce
from sqlalchemy.dialects import sqlite

from ptp.engine import fetch
from ptp.schema import (
    AiGeneration,
    AuditEntry,
    Base,
    EngagementOpportunity,
    Exam,
    GrowthMetric,
    Objective,
    Question,
    StudySession,
    TestAttempt,
    Tweet,
    TwitterAccount,
    User,
    UserAnswer,
    UserProgress,
)

T = TypeVar("T")


def _table(model: type[Base]) -> Table:
    return cast(Table, model.__table__)


EXAMS = _table(Exam)
OBJECTIVES = _table(Objective)
QUESTIONS = _table(Question)
USERS = _table(User)
STUDY_SESSIONS = _table(StudySession)
TEST_ATTEMPTS = _table(TestAttempt)
USER_ANSWERS = _table(UserAnswer)
USER_PROGRESS = _table(UserProgress)
TWITTER_ACCOUNTS = _table(TwitterAccount)
TWEETS = _table(Tweet)
OPPORTUNITIES = _table(EngagementOpportunity)
GROWTH_METRICS = _table(GrowthMetric)
AI_GENERATIONS = _table(AiGeneration)
AUDIT_LOG = _table(AuditEntry)


class Prepared:
    """A statement that is compiled once: its SQL, and the values that stand in it; rows come back as plain tuples.

    What SQLAlchemy does for each call (the key of its cache, the types of values and rows) costs more than most of
    these statements. Booleans are given and returned as 0 and 1.
    """

    def __init__(self, statement: ClauseElement) -> None:
        """Compile the statement for SQLite."""
        compiled = statement.compile(dialect=sqlite.dialect(paramstyle="named"))
        self._sql = str(compiled)
        self._constants = dict(compiled.params)

    def rows(self, db: Connection, values: Mapping[str, Any]) -> list[Any]:
        """Run it with `values` by name, and fetch all rows."""
        return fetch(db, self._sql, {**self._constants, **values})

    def value(self, db: Connection, values: Mapping[str, Any]) -> Any:
        """The first value of the first row; None where there is no row."""
        rows = self.rows(db, values)
        return rows[0][0] if rows else None


def number(flag: ColumnElement[Any]) -> ColumnElement[int]:
    """A boolean column as the 0 or 1 that it is, so that sums and means of it come back as numbers."""
    return type_coerce(flag, Integer)


def is_true(flag: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether a boolean column is 1, written as a literal: SQLite matches a partial index only to literals."""
    return number(flag) == literal_column("1")


def is_false(flag: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether a boolean column is 0, written as a literal."""
    return number(flag) == literal_column("0")


def is_eligible() -> ColumnElement[bool]:
    """Whether a question may be drawn: active and approved, in the words of the partial index on these."""
    return and_(is_true(QUESTIONS.c.is_active), QUESTIONS.c.review_status == literal_column("'approved'"))


def ratio(part: ColumnElement[Any], total: ColumnElement[Any]) -> ColumnElement[float]:
    """part / total as REAL; NULL where the total is 0 (SQLite divides by 0 to NULL)."""
    return type_coerce((part * literal_column("1.0")) / total, REAL)


def rows_of(kind: Callable[..., T], found: Iterable[Any]) -> tuple[T, ...]:
    """Each row found as a value of `kind`, whose fields are the row's columns in order."""
    return tuple(kind(*row) for row in found)
