"""Damage to references: to another row, to none, and rows that go with what hangs on them."""

from __future__ import annotations

import random
import sqlite3

from ptp.engine import quoted
from ptp.workload.mutations.kinds import NotHere
from ptp.workload.mutations.tools import ask, behind, put_in, references, shuffled

_MISSING = 987_654_321


def other_parent(db: sqlite3.Connection, rng: random.Random) -> str:
    """Let a row refer to another row, which exists."""
    for table, column, parent, _ in references(db, rng):
        parents = [key for (key,) in ask(db, f"SELECT id FROM {quoted(parent)} ORDER BY id")]
        for key, value in _children(db, rng, table, column):
            others = [p for p in parents if p != value]
            if others and put_in(db, table, column, key, rng.choice(others)):
                return f"{table} {key!r}, {column}"
    raise NotHere("no reference has a choice")


def missing_parent(db: sqlite3.Connection, rng: random.Random) -> str:
    """Let a row refer to a row that does not exist."""
    table, column, _, _ = next(references(db, rng))
    key, value = _children(db, rng, table, column)[0]
    put_in(db, table, column, key, "nobody" if isinstance(value, str) else _MISSING)
    return f"{table} {key!r}, {column}"


def no_parent(db: sqlite3.Connection, rng: random.Random) -> str:
    """Let a row refer to nothing."""
    for table, column, _, nullable in references(db, rng):
        rows = [key for key, value in _children(db, rng, table, column) if value is not None]
        if nullable and rows and put_in(db, table, column, rows[0], None):
            return f"{table} {rows[0]!r}, {column}"
    raise NotHere("no reference may be NULL")


def cascade(db: sqlite3.Connection, rng: random.Random) -> str:
    """Remove a row that others refer to, with its references and triggers in force: everything agrees afterwards."""
    parents = sorted({parent for _, _, parent, _ in references(db, rng)})
    table = rng.choice([p for p in parents if p in ("users", "exams", "objectives", "questions", "study_sessions")])
    (key,) = rng.choice(ask(db, f"SELECT id FROM {quoted(table)} ORDER BY id"))
    db.execute("PRAGMA foreign_keys = ON")
    db.execute(f"DELETE FROM {quoted(table)} WHERE id = ?", (key,))
    return f"{table} {key!r}, and what hung on it"


def lose_parent(db: sqlite3.Connection, rng: random.Random) -> str:
    """Remove a row that others refer to, and leave those."""
    table, column, parent, _ = next(r for r in references(db, rng) if _used(db, rng, r[0], r[1]))
    key = rng.choice(_used(db, rng, table, column))
    with behind(db):
        db.execute(f"DELETE FROM {quoted(parent)} WHERE id = ?", (key,))
    return f"{parent} {key!r}, to which rows of {table} refer"


def _children(db: sqlite3.Connection, rng: random.Random, table: str, column: str) -> list[tuple[int | str, object]]:
    rows = ask(db, f"SELECT id, {quoted(column)} FROM {quoted(table)} ORDER BY id")
    return [(key, value) for key, value in shuffled(rows, rng)]


def _used(db: sqlite3.Connection, rng: random.Random, table: str, column: str) -> list[object]:
    return [value for _, value in _children(db, rng, table, column) if value is not None]
