"""Meters: exact counters of the work that statements cause, from SQLite itself, by replay on a file.

The driver that serves exposes no counters, so the statements of the application are recorded as they reach it and
replayed with APSW, which does. APSW carries a SQLite of its own, usually a newer one: its counters do not vary from
run to run and compare with each other, but its planner may choose otherwise than the serving one (`ptp.engine.plans`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import apsw
from sqlalchemy import Engine, event

from ptp.engine.files import check_temporary_space, connect_file, errors_named, named
from ptp.errors import CannotFinish, PtpError, UsageError

Parameters: TypeAlias = tuple[Any, ...] | dict[str, Any]
"""The values bound for one execution, as the driver receives them."""

_BUSY_TIMEOUT_MS = 5_000
_OF_THE_STATEMENT = (
    *(apsw.ConstraintError, apsw.SQLError, apsw.BindingsError, apsw.AuthError),
    *(TypeError, KeyError),  # of values that cannot be bound, or are not there
)
_SHOWN = 200  # characters of a statement in an error


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as the application issued it, with one set of values for each time that it is to run.

    An ordinary one has one execution; an `executemany` is one statement with as many as it was given rows.
    """

    sql: str
    executions: tuple[Parameters, ...] = ((),)

    @property
    def parameters(self) -> Parameters:
        """The values of the first execution, with which the plan can be asked for; empty where there is none."""
        return self.executions[0] if self.executions else ()


@dataclass(frozen=True, slots=True)
class Counters:
    """Sums over statements: how many were issued and executed, and what SQLite did for them, triggers included.

    `vm_steps` are instructions of SQLite's virtual machine, `full_scan_steps` steps forward in a scan without bounds,
    `sorts` sort operations, `automatic_indexes` steps that filled an index which was made for one statement.
    """

    statements: int = 0
    executions: int = 0
    vm_steps: int = 0
    full_scan_steps: int = 0
    sorts: int = 0
    automatic_indexes: int = 0

    def __add__(self, other: Counters) -> Counters:
        """Both together."""
        return Counters(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})


@contextmanager
def recorded(engine: Engine) -> Iterator[list[Statement]]:
    """A list that fills with each statement which `engine` runs while this is open, in order.

    What begins and ends transactions is left out; savepoints are kept.
    """
    found: list[Statement] = []

    def note(_db: Any, _cursor: Any, sql: str, parameters: Any, _context: Any, many: bool) -> None:
        if not _is_transaction(sql):
            found.append(Statement(sql, tuple(map(_bound, parameters)) if many else (_bound(parameters),)))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


@contextmanager
def replica(path: Path) -> Iterator[Path]:
    """A copy of a database in a folder of its own, as it was when this was opened; it is gone afterwards.

    Whoever counts works on a copy, since two libraries of SQLite must never open one file in the same process: the
    locks of a process are one, so that either would walk through the other's and drop them when it closes.
    Raises UsageError when there is no such file, NotADatabase, Locked, DiskFull.
    """
    if not path.is_file():  # check_database would open and close the file, which drops the locks of this process too
        raise UsageError(f"There is no database file {path}.")
    check_temporary_space(path.stat().st_size)
    with TemporaryDirectory(prefix="ptp-meter-") as folder:
        copy = Path(folder) / "copy.db"
        source = connect_file(path, read_only=True, busy_timeout_ms=_BUSY_TIMEOUT_MS)
        with errors_named(path), source as original, connect_file(copy) as db:
            original.execute("BEGIN")
            # A lock is met here, and named; backup would wait for it without end.
            original.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            original.backup(db)
        yield copy


@contextmanager
def meter(path: Path) -> Iterator[Callable[[Sequence[Statement]], Counters]]:
    """A function that counts as `count` does, each time on the database as it was when this was opened.

    It works on a copy; raises what `replica` does.
    """
    with (
        replica(path) as copy,
        _errors_named(copy),
        closing(apsw.Connection(str(copy), flags=apsw.SQLITE_OPEN_READWRITE)) as db,
    ):
        db.execute("PRAGMA foreign_keys = ON")
        yield lambda statements: _count(db, statements)


def count(path: Path, statements: Sequence[Statement]) -> Counters:
    """Replay statements on a copy of a database in the state in which they first ran, and count.

    All of them run in one transaction with foreign keys on, which is rolled back. What a virtual table does inside
    (the tables of a full-text index) is not counted. The counters are the same each time, but for statements that
    ask for chance or the time: the first 5 rows in random order take more or fewer steps to keep.
    Raises what `meter` does, and CannotFinish for a statement that fails.
    """
    with meter(path) as counted:
        return counted(statements)


def replayed(db: apsw.Connection, statements: Sequence[Statement]) -> Generator[Counters, None, None]:
    """The work of one statement after the other, in a transaction that is rolled back at the end.

    Raises CannotFinish for a statement that fails, or that would end the transaction.
    """
    db.execute("BEGIN")
    db.authorizer = _no_transaction
    try:
        for statement in statements:
            yield _replay(db, statement)
    finally:
        db.authorizer = None
        if db.in_transaction:  # a full disk, among others, has ended it already
            db.execute("ROLLBACK")


def _count(db: apsw.Connection, statements: Sequence[Statement]) -> Counters:
    done = Counters(statements=len(statements), executions=sum(len(s.executions) for s in statements))
    return sum(replayed(db, statements), done)


def _replay(db: apsw.Connection, statement: Statement) -> Counters:
    """The work of all executions of one statement; its rows are fetched, since work not asked for is not done."""
    done = Counters()
    for parameters in statement.executions:
        events: list[dict[str, Any]] = []
        db.trace_v2(apsw.SQLITE_TRACE_PROFILE, events.append)
        try:
            db.execute(statement.sql, parameters).fetchall()
        except _OF_THE_STATEMENT as problem:
            text = " ".join(statement.sql.split())[:_SHOWN]
            raise CannotFinish(f"A recorded statement cannot be replayed: {problem} ({text}).") from problem
        finally:
            db.trace_v2(0, None)
        done += _work(events)
    return done


def _work(events: Sequence[dict[str, Any]]) -> Counters:
    # The statement itself ends last. Those that a virtual table ran for it come before; their counters go on from
    # one run to the next, so they could not be added up.
    if not events:
        return Counters()
    status = events[-1]["stmt_status"]
    return Counters(
        vm_steps=status["SQLITE_STMTSTATUS_VM_STEP"],
        full_scan_steps=status["SQLITE_STMTSTATUS_FULLSCAN_STEP"],
        sorts=status["SQLITE_STMTSTATUS_SORT"],
        automatic_indexes=status["SQLITE_STMTSTATUS_AUTOINDEX"],
    )


def _is_transaction(sql: str) -> bool:
    words = sql.upper().rstrip("; \n\t").split(maxsplit=2)
    # ROLLBACK TO goes back to a savepoint and ends nothing.
    return words[:1] in (["BEGIN"], ["COMMIT"], ["END"]) or (words[:1] == ["ROLLBACK"] and "TO" not in words[1:])


def _bound(parameters: Any) -> Parameters:
    return dict(parameters) if hasattr(parameters, "keys") else tuple(parameters)


def _no_transaction(operation: int, *_: str | None) -> int:
    """Refuse to begin or end a transaction: after a COMMIT the next would be counted on another state."""
    return apsw.SQLITE_DENY if operation == apsw.SQLITE_TRANSACTION else apsw.SQLITE_OK


@contextmanager
def _errors_named(path: Path) -> Iterator[None]:
    """Turn APSW's errors into the sentences that the serving driver's get."""
    try:
        yield
    except apsw.Error as problem:
        same = sqlite3.OperationalError(str(problem))
        same.sqlite_errorname = str(apsw.mapping_result_codes.get(getattr(problem, "result", -1), ""))
        found = named(same, path)
        raise (found if isinstance(found, PtpError) else CannotFinish(f"{path}: {problem}.")) from problem
