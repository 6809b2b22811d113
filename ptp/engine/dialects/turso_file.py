"""A file by pyturso, the rewrite of SQLite in Rust: one process at a time, one connection, and nobody beside it.

What it cannot open is told before it is tried, as its own message names neither the table nor the reason.
"""

from __future__ import annotations

import importlib
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from ptp.engine.addresses import Address
from ptp.engine.bindings import Statement, changes_rows, parsed
from ptp.engine.dialects.base import RouteDialect
from ptp.engine.dialects.connection import Answer, Connection, Row, Wire
from ptp.engine.dialects.libsql_file import tune
from ptp.engine.files import connect_file
from ptp.engine.occupied import hold, is_held
from ptp.engine.problems import error_of
from ptp.engine.routes import ROUTES
from ptp.errors import CannotFinish, Locked, UsageError
from ptp.settings import Settings

_HIDDEN = "SELECT count(*) FROM pragma_table_xinfo(?) WHERE hidden IN (2, 3)"


class TursoDialect(RouteDialect):
    """SQLite by pyturso."""

    driver = "pyturso"
    supports_statement_cache = True
    route = ROUTES["turso"]


class Held(Protocol):
    """What is let go of with a connection."""

    def release(self) -> None:
        """Let go of it."""


class TursoWire(Wire):
    """A connection of pyturso, which is told its transactions by SQL and never begins one."""

    def __init__(self, db: Any, held: Held) -> None:
        """Take an open connection, of isolation level None, and its hold on the file."""
        self._db, self._held = db, held

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction was begun and not ended."""
        return self._db is not None and bool(self._db.in_transaction)

    def run(self, statement: Statement, values: Row) -> Answer:
        """Run one statement."""
        cursor = self._done("execute", statement.text, values)
        columns = tuple(c[0] for c in cursor.description) if cursor.description else None
        changed = cursor.rowcount if changes_rows(statement.text) and columns is None else -1
        return Answer(columns, _rows(cursor) if columns else iter(()), changed, cursor.lastrowid)

    def run_many(self, statement: Statement, rows: Iterable[Row]) -> int:
        """Run one statement for each row of values, prepared once."""
        return max(int(self._done("executemany", statement.text, rows).rowcount), 0)

    def close(self) -> None:
        """Close the file, which pyturso does when nothing refers to the connection any more."""
        db, self._db = self._db, None
        db.close()
        del db
        self._held.release()

    def _done(self, method: str, sql: str, values: Any) -> Any:
        """The cursor of a statement that was run; after an error nothing keeps it, or it would keep the file open."""
        cursor = self._db.cursor()
        try:
            getattr(cursor, method)(sql, values)
        except BaseException as problem:
            cursor.close()
            del cursor
            raise as_ours(problem) from None
        return cursor


def connector(address: Address, *, settings: Settings, read_only: bool) -> Callable[[], Connection]:
    """A function that opens the file of an address, which must be there: pyturso would create it."""
    path = address.path
    assert path is not None
    if not is_held(path):
        check_content(path)
    why = f"{path} was opened only to be read." if read_only else ""

    def connect() -> Connection:
        if not path.is_file():
            raise UsageError(f"There is no database file {path}.")
        held = hold(path, "pyturso", alone=True)
        try:
            wire = TursoWire(_connected(path), held)
            wire.run(parsed(f"PRAGMA busy_timeout = {settings.busy_timeout_ms}"), ())
            tune(Connection(wire), shown=address.shown)
        except BaseException:
            held.release()
            raise
        if read_only:
            wire.run(parsed("PRAGMA query_only = 1"), ())
        return Connection(wire, only_reads=why)

    return connect


def _connected(path: Path) -> Any:
    try:
        return importlib.import_module("turso").connect(str(path.absolute()), isolation_level=None)
    except BaseException as problem:
        raise as_ours(problem, path) from None


def check_content(path: Path) -> None:
    """Raise UsageError where the file holds what pyturso does not open, naming the table."""
    with connect_file(path, read_only=True, busy_timeout_ms=0) as db:
        try:
            tables = db.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table'").fetchall()
        except sqlite3.DatabaseError as problem:
            if getattr(problem, "sqlite_errorname", "") == "SQLITE_BUSY":
                raise Locked(_occupied(path)) from None
            raise CannotFinish(f"{path} could not be read: {problem}.") from problem
        for name, sql in tables:
            if re.match(r"\s*CREATE\s+VIRTUAL\s", sql or "", re.IGNORECASE):
                raise UsageError(_cannot(path, f"the virtual table {name}"))
            if db.execute(_HIDDEN, (name,)).fetchone()[0]:
                raise UsageError(_cannot(path, f"generated columns in {name}"))


def _occupied(path: Path | None) -> str:
    return f"{path} is open in another process, and pyturso lets in one at a time: end that one."


def _cannot(path: Path, what: str) -> str:
    return f"{path} has {what}, which pyturso cannot read: open it as sqlite:///{path} or libsql:{path}."


def _rows(cursor: Any) -> Iterator[Row]:
    while True:
        try:
            row = cursor.fetchone()
        except BaseException as problem:
            del cursor
            raise as_ours(problem) from None
        if row is None:
            return
        yield tuple(row)


def as_ours(problem: BaseException, path: Path | None = None) -> BaseException:
    """The error of sqlite3 for one of pyturso's, ours for its lock on the file; any other problem as it is.

    It lets go of what the frames of pyturso's error hold, which are statements, and so the file.
    """
    errors = importlib.import_module("turso")
    if not isinstance(problem, errors.Error):
        return problem
    inner: BaseException | None = problem
    while inner is not None:
        inner.__traceback__ = None
        inner = inner.__cause__ or inner.__context__
    text = str(problem).removeprefix("Parse error: ")
    if text.startswith("Locking error"):
        return Locked(_occupied(path))
    if isinstance(problem, errors.IntegrityError) and "constraint" not in text:
        text = f"{text} (a constraint failed)"
    if isinstance(problem, errors.ProgrammingError | errors.InterfaceError):
        return sqlite3.ProgrammingError(text)
    return error_of(text)
