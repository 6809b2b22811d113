"""What the query classes check before they ask the database; a bad argument is a UsageError of one sentence."""

from __future__ import annotations

import math
import time
from datetime import UTC, date, datetime

from sqlalchemy import Connection, Table, exists, select

from ptp.conversions import LAST_SECOND
from ptp.errors import Unknown, UsageError
from ptp.queries.tables import EXAMS, OBJECTIVES, STUDY_SESSIONS, USERS

HOUR = 3_600
DAY = 24 * HOUR
WEEK = 7 * DAY

LARGEST_PAGE = 500
"""The most rows, or answers of a batch, in one call."""

LONGEST_PERIOD_DAYS = 3_660
"""Ten years: the longest period that one call looks back over."""


def moment(now: int | None) -> int:
    """`now` in Unix seconds, or the current time where it is None; within the years that a time column takes."""
    if now is None:
        return int(time.time())
    return whole("now", now, low=0, high=LAST_SECOND)


def day_of(moment_s: int) -> date:
    """The UTC day in which a moment, in Unix seconds, lies."""
    return datetime.fromtimestamp(moment_s, UTC).date()


def whole(name: str, value: int, *, low: int, high: int) -> int:
    """`value` when it is a whole number from `low` to `high`; raises UsageError naming the argument."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise UsageError(f"{name} is {_told(value)}: it must be a whole number from {low} to {high}.")
    return value


def finite(name: str, value: float) -> float:
    """`value` when it is a number that is neither infinite nor NaN; raises UsageError naming the argument."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return value
    except OverflowError:  # a whole number beyond all floats
        pass
    raise UsageError(f"{name} is {_told(value)}: it must be a finite number.")


def _told(value: object) -> str:
    """A value in an error's sentence; Python refuses to write out a number of more than 4,300 digits."""
    try:
        return repr(value)
    except ValueError:
        return "a number of thousands of digits"


def check_ids(**ids: int) -> None:
    """Raise UsageError naming the first of the ids that is no whole number of 64 bits."""
    for name, value in ids.items():
        whole(name, value, low=-(2**63), high=2**63 - 1)


def check_given_ids(**ids: int | None) -> None:
    """The same of ids that may be left out."""
    check_ids(**{name: value for name, value in ids.items() if value is not None})


def page(limit: int) -> int:
    """`limit` when it is from 1 to LARGEST_PAGE."""
    return whole("limit", limit, low=1, high=LARGEST_PAGE)


def count_of(name: str, value: int) -> int:
    """`value` when it is a count: 0 or more, and small enough for SQLite to add up."""
    return whole(name, value, low=0, high=2**53)


def hours_ago(name: str, hours: float, *, now: int) -> int:
    """The moment `hours` before `now`, in Unix seconds, rounded down: a whole time is greater than both or neither."""
    if not isinstance(hours, int | float) or not hours >= 0 or hours == math.inf:
        raise UsageError(f"{name} is {_told(hours)}: it must be a number of hours, 0 or more.")
    return math.floor(now - min(hours, LAST_SECOND) * HOUR)


def day_text(name: str, value: str) -> str:
    """`value` when it is a day of the calendar as YYYY-MM-DD."""
    try:
        if date.fromisoformat(value).isoformat() == value:
            return value
    except (TypeError, ValueError):
        pass
    raise UsageError(f"{name} is {value!r}: it must be a day of the calendar, as YYYY-MM-DD.")


def require_known(
    db: Connection,
    *,
    exam_id: int | None = None,
    user_id: int | None = None,
    session_id: int | None = None,
    objective_id: int | None = None,
) -> None:
    """Raise UsageError naming the first of the given ids that stands for nothing in the database."""
    asked = (
        ("exam", EXAMS, exam_id),
        ("user", USERS, user_id),
        ("study session", STUDY_SESSIONS, session_id),
        ("objective", OBJECTIVES, objective_id),
    )
    for name, table, key in asked:
        if key is not None and not _is_known(db, table, key):
            raise unknown(name, key)


def unknown(name: str, key: int) -> Unknown:
    """The error for an id that stands for nothing."""
    return Unknown(f"There is no {name} with id {key!r}.")


def _is_known(db: Connection, table: Table, key: int) -> bool:
    return bool(db.scalar(select(exists().where(table.c.id == key))))
