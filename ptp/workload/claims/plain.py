"""What the old application's functions take: a connection of the driver's own, or one that notes what it runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

from ptp.engine.meters import Statement

_TRANSACTION = ("BEGIN IMMEDIATE", "COMMIT", "ROLLBACK")


class Plain(Protocol):
    """All that plain SQL needs."""

    def execute(self, sql: str, parameters: Any = ..., /) -> sqlite3.Cursor:
        """Run one statement with its values bound."""


class Noting:
    """A connection that notes each statement but those that begin and end transactions, as `meters.recorded` does."""

    def __init__(self, db: sqlite3.Connection) -> None:
        """Note what runs on `db`."""
        self._db = db
        self.statements: list[Statement] = []

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Run one statement, and keep it with its values."""
        if sql not in _TRANSACTION:
            self.statements.append(Statement(sql, (tuple(parameters),)))
        return self._db.execute(sql, parameters)


@contextmanager
def transaction(db: Plain) -> Iterator[None]:
    """All of it or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def as_text(moment_s: int) -> str:
    """Unix seconds as the raw shape stores a time: YYYY-MM-DD HH:MM:SS in UTC."""
    return datetime.fromtimestamp(moment_s, UTC).strftime("%Y-%m-%d %H:%M:%S")


def as_seconds(stored: str) -> int:
    """A time of the raw shape in Unix seconds."""
    return int(datetime.fromisoformat(stored).replace(tzinfo=UTC).timestamp())
