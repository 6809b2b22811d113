"""Moves: the one row in a database that decides whether it may be written, and which database follows it.

A database that was never moved has no such row. `next`: not open yet, the database that it follows decides. `open`:
it is the one to use. `freezing`: for a moment nobody may write, until the deadline at the latest. `moved`: the other
one is to be used. The row is changed only by transactions in its own database.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ptp.engine.files import connect_file, errors_named
from ptp.engine.sql import literal

TABLE = "ptp_move"
State: TypeAlias = Literal["next", "open", "freezing", "moved"]

DDL = f"""CREATE TABLE {TABLE} (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  state TEXT NOT NULL CHECK (state IN ('next', 'open', 'freezing', 'moved')),
  shape TEXT NOT NULL,
  other TEXT NOT NULL,
  phase TEXT NOT NULL,
  run TEXT NOT NULL,
  plan TEXT NOT NULL,
  owner TEXT NOT NULL,
  at REAL NOT NULL,
  deadline REAL
) STRICT"""


@dataclass(frozen=True, slots=True)
class Move:
    """The row: the state, the shape of this database, the path of the other one, and how far who has come.

    `at` and `deadline` are Unix seconds: when the owner was last heard of, and until when a freeze may last.
    """

    state: State
    shape: str
    other: str
    phase: str
    run: str
    plan: str
    owner: str
    at: float
    deadline: float | None = None


_NAMES = tuple(f.name for f in fields(Move))


def read_move(db: sqlite3.Connection, *, schema: str = "main") -> Move | None:
    """The row of an open database, None where it was never part of a move, or the table of that name is another's."""
    try:
        row = db.execute(f"SELECT {', '.join(_NAMES)} FROM {schema}.{TABLE}").fetchone()
    except sqlite3.OperationalError as problem:
        if "no such table" in str(problem) or "no such column" in str(problem):
            return None
        raise
    return Move(*row) if row else None


def enter_move(db: sqlite3.Connection, move: Move) -> None:
    """Enter the row of a database that has none yet; its table must be there."""
    marks = ", ".join("?" for _ in _NAMES)
    values = [getattr(move, name) for name in _NAMES]
    db.execute(f"INSERT INTO main.{TABLE} (id, {', '.join(_NAMES)}) VALUES (1, {marks})", values)


def change_move(db: sqlite3.Connection, *, expected: State, held_by: str | None = None, **changes: Any) -> bool:
    """Change the row where its state is the expected one and, if given, its owner; whether it was changed.

    What is due in time stays so: a freeze whose deadline has passed is no longer anybody's.
    """
    listed = ", ".join(f"{name} = :{name}" for name in changes)
    where = "state = :expected AND (:holder IS NULL OR owner = :holder)"
    if expected == "freezing":
        where += " AND deadline > :now"
    bound = {**changes, "expected": expected, "holder": held_by, "now": time.time()}
    return db.execute(f"UPDATE main.{TABLE} SET {listed} WHERE {where}", bound).rowcount == 1


def lift_freeze(db: sqlite3.Connection, *, at_once: bool = False) -> bool:
    """Open a database whose freeze has outlived its deadline, which anyone may do; whether it was.

    Whoever holds the lock of the migration knows that nobody else is at it, and need not wait: `at_once`. To be called
    within a transaction.
    """
    if read_move(db) is None:  # whoever migrated may have taken it all away since its freeze was seen
        return False
    return db.execute(_lift_sql("main.", ":now"), {"now": float("inf") if at_once else time.time()}).rowcount == 1


def _lift_sql(schema: str, now: str) -> str:
    where = f"state = 'freezing' AND deadline <= {now}"
    return f"UPDATE {schema}{TABLE} SET state = 'open', deadline = NULL WHERE {where}"


def guard_sql(other: str) -> str:
    """SQL for the body of a trigger that refuses a write unless the database is open; it names the other one.

    A freeze that has outlived its deadline is lifted by the write itself: a client that knows nothing of ptp is kept
    out no longer than others, and the owner of the freeze finds it gone.
    """
    words = {
        "freezing": f"ptp: this database is moving to {other}: try again in a moment",
        "moved": f"ptp: this database has moved to {other}: open that one",
        "next": f"ptp: this database is not open yet: use {other} until it is",
    }
    cases = " ".join(f"WHEN '{state}' THEN RAISE(ABORT, {literal(text)})" for state, text in words.items())
    lift = _lift_sql("", "(julianday('now') - 2440587.5) * 86400.0")
    return f"{lift}; SELECT CASE state {cases} END FROM {TABLE} WHERE state <> 'open';"


@contextmanager
def writing(db: sqlite3.Connection, *, synchronous: str = "FULL") -> Iterator[None]:
    """A write transaction that is on the disk when it ends, unless told otherwise."""
    db.execute(f"PRAGMA main.synchronous = {synchronous}")
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def open_next(path: Path) -> bool:
    """Open a database that is next, if the one that it follows says that it has moved; whether it is open now.

    Anyone may do it: the migrator, a client that followed, or the next command after a crash.
    """
    if not path.is_file():
        return False
    with errors_named(path), connect_file(path) as db:
        found = read_move(db)
        if found is None or found.state != "next":
            return found is None or found.state == "open"
        if not _has_left(Path(found.other), path):
            return False
        with writing(db):
            if read_move(db) is not None:  # who rolls back clears away the row, once it is at its end
                change_move(db, expected="next", state="open", phase="settle")
        return True


def _has_left(left: Path, to: Path) -> bool:
    """Whether a database has moved to another."""
    if not left.is_file():
        return False
    with errors_named(left), connect_file(left, read_only=True) as db:
        found = read_move(db)
    return found is not None and found.state == "moved" and Path(found.other) == to
