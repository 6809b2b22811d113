"""What a statement would touch, as SQLite tells it while it compiles it; nothing is run."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

_COLUMN_ACTIONS = (sqlite3.SQLITE_READ, sqlite3.SQLITE_UPDATE)


@dataclass(frozen=True, slots=True)
class Touched:
    """The columns that a statement reads or updates, each as (table, column) with the trigger or view that does it.

    `problem` is why it does not compile; empty where it does.
    """

    columns: frozenset[tuple[tuple[str, str], str | None]]
    problem: str = ""


def touched(db: sqlite3.Connection, sql: str) -> Touched:
    """Compile a statement, with all the views and triggers that it brings about."""
    found: set[tuple[tuple[str, str], str | None]] = set()

    def note(action: int, table: str | None, column: str | None, schema: str | None, by: str | None) -> int:
        if action in _COLUMN_ACTIONS and table and column:
            found.add(((table, column), by))
        return sqlite3.SQLITE_OK

    db.set_authorizer(note)
    try:
        db.execute(f"EXPLAIN {sql}").fetchall()
    except sqlite3.Error as problem:
        return Touched(frozenset(found), str(problem))
    finally:
        db.set_authorizer(None)
    return Touched(frozenset(found))
