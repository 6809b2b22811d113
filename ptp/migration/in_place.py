"""Steps in place: a database that ptp built goes some steps up or down, each in one transaction with its journal row.

Within the transaction the database is looked at before and after the step (`step_checks`): what the step did not say
that it does is refused and rolled back. Foreign keys are off meanwhile, as a table that is built anew would empty its
children otherwise, and inside of a transaction the setting does nothing: it is made before, and read back. References
are checked instead, before and after.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ptp.engine import has_module, moves, read_inventory
from ptp.engine.files import named
from ptp.engine.moves import read_move
from ptp.errors import CannotFinish, Moved, PtpError, StepRefused, UsageError
from ptp.migration import journal
from ptp.migration.capture import without_capture
from ptp.migration.step_checks import BROKEN, Differ, Direction, declared_by, keep_broken, look, newly_broken, problems
from ptp.migration.steps import Link, Step, links

Progress = Callable[[float, str], None]
_SHOWN = 3
_MARKS = "temp.ptp_marks"
_KEEP_MARKS = (f"DROP TABLE IF EXISTS {_MARKS}", f"CREATE TABLE {_MARKS} AS SELECT name, seq FROM main.sqlite_sequence")
_BRING_MARKS = (
    f"UPDATE main.sqlite_sequence SET seq = (SELECT max(m.seq, sqlite_sequence.seq) FROM {_MARKS} AS m "
    f"WHERE m.name = sqlite_sequence.name) WHERE name IN (SELECT name FROM {_MARKS})",
    f"INSERT INTO main.sqlite_sequence (name, seq) SELECT name, seq FROM {_MARKS} "
    "WHERE name NOT IN (SELECT name FROM main.sqlite_sequence) AND name IN "
    "(SELECT name FROM main.sqlite_schema WHERE type = 'table' AND sql LIKE '%AUTOINCREMENT%')",
)
"""A table that is built anew takes the mark of the old one along: ids of rows that were deleted are not used again."""


@dataclass(frozen=True, slots=True)
class Change:
    """One step that goes up or down; `left_out` is the reason why its statements do not run, only its journal row."""

    step: Step
    link: Link
    direction: Direction
    left_out: str = ""

    @property
    def rebuilds(self) -> bool:
        """Whether it builds a table anew under the name of an old one."""
        return declared_by(self.step, self.direction).rebuilds

    @property
    def settings(self) -> Mapping[str, int]:
        """The settings before its transaction.

        A table that takes another's name must not take along what others say of the old one: the legacy way of
        renaming. One that gets a new name of its own must, which is the way of today.
        """
        return {"foreign_keys": 0, "legacy_alter_table": int(self.rebuilds)}

    @property
    def body(self) -> tuple[str, ...]:
        """The step's own statements, and those that keep the marks of tables that are built anew."""
        own = () if self.left_out else self.step.up if self.direction == "up" else self.step.down
        return (*_KEEP_MARKS, *own, *_BRING_MARKS) if self.rebuilds and own else own

    @property
    def books(self) -> tuple[str, ...]:
        """The statements on the journal; into the last the run, the time and the seconds are bound."""
        if self.direction == "up":
            return (journal.done_sql(self.link, self.left_out or None),)
        return journal.undone_sql(self.link)

    @property
    def statements(self) -> tuple[str, ...]:
        """Everything that runs, in order."""
        settings = (f"PRAGMA {name} = {value}" for name, value in self.settings.items())
        return (*settings, "BEGIN IMMEDIATE", *self.body, *self.books, "COMMIT")


@dataclass(frozen=True, slots=True)
class StepPlan:
    """The steps that a database goes from where it is, in order; empty where it is there already."""

    changes: tuple[Change, ...]

    @property
    def hash(self) -> str:
        """SHA-256 over all statements."""
        return hashlib.sha256("\0".join(sql for c in self.changes for sql in c.statements).encode()).hexdigest()

    @property
    def text(self) -> str:
        """The plan as a script to read."""
        return "".join(
            f"-- step {c.step.name}, {c.direction}{f', left out: {c.left_out}' if c.left_out else ''}\n"
            + "".join(f"{sql};\n" for sql in c.statements)
            for c in self.changes
        )


@dataclass(frozen=True, slots=True)
class Done:
    """What one step did: seconds within its transaction, statements of its own, and rows of all tables around it."""

    change: Change
    seconds: float
    statements: int
    rows_before: int
    rows_after: int


def plan_steps(db: sqlite3.Connection, steps: Sequence[Step], *, to: int) -> StepPlan:
    """Plan the way of an open database to the step of the number `to`, up or down; nothing is changed.

    Raises StepRefused where the steps are not those that built it, or one on the way down is irreversible, and
    UsageError where there is no such step.
    """
    journal.check_steps(db, steps)
    if not 1 <= to <= len(steps):
        raise UsageError(
            f"There is no step {to:04} to go to: they run from 0001, which makes the database, to {len(steps):04}."
        )
    done, chain = journal.steps_done(db), links(steps)
    known = journal.steps_left_out(db)
    if to >= done:
        return StepPlan(tuple(Change(s, chain[s.number - 1], "up", _lacks(db, s)) for s in steps[done:to]))
    for step in reversed(steps[to:done]):
        if step.irreversible:
            raise StepRefused(
                f"Step {step.name} is irreversible: the way back is the backup that was taken before it went up "
                "(ptp backup list names backups)."
            )
    back = reversed(steps[to:done])
    return StepPlan(tuple(Change(s, chain[s.number - 1], "down", known.get(s.name, "")) for s in back))


def _lacks(db: sqlite3.Connection, step: Step) -> str:
    lacking = bool(step.requires) and not has_module(db, step.requires)
    return f"this SQLite has no {step.requires}" if lacking else ""


def run_change(
    db: sqlite3.Connection,
    change: Change,
    steps: Sequence[Step],
    *,
    differ: Differ,
    run: str,
    now: int,
    progress: Progress = lambda fraction, text: None,
) -> Done:
    """Run one step of a plan on a connection in autocommit mode: all of it is committed, or nothing.

    Raises StepRefused where SQLite refuses a statement or the step does what it does not say, Moved where another
    database is the one to use, CannotFinish where the database is not as it was planned for.
    """
    started = time.perf_counter()
    with _settings(db, change), _transaction(db):
        _check_place(db, change, steps)
        declared, before = declared_by(change.step, change.direction), look(db)
        keep_broken(db)
        for number, sql in enumerate(change.body):
            progress(number / len(change.body), f"{change.step.name}: statement {number + 1} of {len(change.body)}")
            _execute(db, sql, change)
        after = look(db)
        found = [] if change.left_out else list(islice(problems(before, after, declared, differ), 10 * _SHOWN))
        if found := found or list(islice(newly_broken(db), _SHOWN + 1)):
            more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            raise _refused(change, f"{'; '.join(found[:_SHOWN])}{more}")
        progress(1.0, f"{change.step.name}: the journal")
        *before_it, entry = change.books
        for sql in before_it:
            db.execute(sql).close()
        db.execute(entry, (run, now, time.perf_counter() - started)).close()
    for table in (BROKEN, _MARKS):
        db.execute(f"DROP TABLE IF EXISTS {table}").close()
    counts = (sum(side.rows.values()) for side in (before, after))
    return Done(change, time.perf_counter() - started, len(change.body), *counts)


@contextmanager
def _settings(db: sqlite3.Connection, change: Change) -> Iterator[None]:
    """The settings for one step, each read back; afterwards they are as ptp has them everywhere."""
    always = {"recursive_triggers": 1, "ignore_check_constraints": 0, "synchronous": 2}
    try:
        for name, value in {**change.settings, **always}.items():
            db.execute(f"PRAGMA {name} = {value}").close()
            with closing(db.execute(f"PRAGMA {name}")) as cursor:
                if (seen := cursor.fetchone()) != (value,):
                    raise CannotFinish(f"This SQLite does not take PRAGMA {name} = {value}: it says {seen}.")
        yield
    finally:
        for name, value in (("legacy_alter_table", 0), ("foreign_keys", 1)):
            db.execute(f"PRAGMA {name} = {value}").close()


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE").close()
    try:
        yield
        db.execute("COMMIT").close()
    except BaseException:
        if db.in_transaction:  # some errors, such as a full disk, have SQLite end it at once
            db.execute("ROLLBACK").close()
        raise


def _check_place(db: sqlite3.Connection, change: Change, steps: Sequence[Step]) -> None:
    """The database is the one to use, nothing captures its changes, and it stands where the step begins."""
    seen = read_inventory(db)
    move = read_move(db) if moves.TABLE in seen.tables else None
    if move and move.state in ("moved", "next"):
        raise Moved(f"The database is not the one to use: {move.other} is. Name that one with --target.", to=move.other)
    if (move and move.state == "freezing") or without_capture(seen).objects.keys() != seen.objects.keys():
        raise UsageError(
            "An online migration of this database is under way, or can still be rolled back, which a step would end. "
            "Finish it first: ptp settle, or ptp rollback."
        )
    journal.check_steps(db, steps)
    stands = change.step.number - (1 if change.direction == "up" else 0)
    if (done := journal.steps_done(db)) != stands:
        raise CannotFinish(f"The database stands at step {done:04} now, not at {stands:04}: another one stepped it.")


def _execute(db: sqlite3.Connection, sql: str, change: Change) -> None:
    try:
        with closing(db.execute(sql)) as cursor:
            cursor.fetchall()
    except Exception as problem:
        if isinstance(problem, sqlite3.Error) and isinstance(named(problem, Path("it")), PtpError):
            raise  # a full disk, a lock or damage is not the step's doing
        raise _refused(change, f"SQLite refuses '{sql.splitlines()[0]}': {problem}") from problem
    if not db.in_transaction:
        raise _refused(change, f"'{sql.splitlines()[0]}' ended the transaction")


def _refused(change: Change, what: str) -> StepRefused:
    return StepRefused(f"{change.step.name}.sql, {change.direction}: {what}. Nothing of this step was kept.")
