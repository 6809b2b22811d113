"""A step in place on a server: what went well on a file that equals it, in one transaction with its journal row.

The transaction begins with a statement that fails where the database stands at another step, so that it is done once,
and a lost reply is told by the step at which the journal stands then.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from ptp.engine.remote_calls import Asked, Calls, Row, TooMuch
from ptp.errors import CannotFinish, StepRefused, UsageError
from ptp.migration import journal
from ptp.migration.in_place import Change

_STANDS = f"SELECT count(*) FROM {journal.TABLE} WHERE kind = 'step'"
_ROWS = f"SELECT run, at, seconds FROM {journal.TABLE} ORDER BY id DESC LIMIT ?"


@dataclass(frozen=True, slots=True)
class Entry:
    """What the journal of the file says of a step that went well there: the same goes into the server's."""

    run: str
    at: int
    seconds: float


def entries(db: sqlite3.Connection, count: int) -> list[Entry]:
    """The last so many entries of a journal, in the order of the steps."""
    return [Entry(*row) for row in reversed(db.execute(_ROWS, (count,)).fetchall())]


def check_small(change: Change, shown: str) -> None:
    """Raise UsageError for a step that no server takes in place."""
    if change.rebuilds:
        raise UsageError(
            f"Step {change.step.name} builds a table anew, for which {shown} does not let the way of renaming be set: "
            "migrate into an empty database with ptp migrate instead."
        )


def run_there(calls: Calls, change: Change, entry: Entry) -> None:
    """Run one step on a server: all of it, or nothing. Raises StepRefused, and CannotFinish for what lasts too long."""
    after = change.step.number - (0 if change.direction == "up" else 1)
    before = after - 1 if change.direction == "up" else after + 1
    # SQLite has no statement that raises an error but within a trigger; this sum of no whole number is one.
    guard = f"SELECT CASE ({_STANDS}) WHEN {before} THEN 0 ELSE abs(-9223372036854775807 - 1) END"
    *first, last = change.books
    asked = [Asked(sql) for sql in (guard, *change.body, *first)]
    asked.append(Asked(last, (entry.run, entry.at, entry.seconds)))

    def is_done() -> bool:
        found: list[list[Row]] = calls.read_all([Asked(_STANDS), Asked(_ROWS, (1,))])
        return found[0] == [(after,)] and found[1] == [(entry.run, entry.at, entry.seconds)]

    try:
        calls.write(asked, is_done=is_done)
    except TooMuch as problem:
        raise CannotFinish(
            f"{problem} Nothing of step {change.step.name} was kept: it is too long for a transaction there; migrate "
            "into an empty database with ptp migrate instead."
        ) from problem
    except sqlite3.Error as problem:
        if "integer overflow" in str(problem):
            raise CannotFinish(f"{calls.shown} does not stand at step {before:04} any more: run it again.") from problem
        raise StepRefused(
            f"{change.step.name}.sql, {change.direction}: {calls.shown} refuses it: {problem}. Nothing of it was kept."
        ) from problem
