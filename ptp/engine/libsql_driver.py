"""A connection of libsql that behaves like one of sqlite3: values by name, errors by class, cursors that end.

`ptp.engine.drivers` opens it, and declares what libsql lacks; nobody else does.
"""

from __future__ import annotations

import importlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ptp.engine.bindings import Values, changes_rows, parsed, values_of
from ptp.engine.problems import error_of


class LibsqlConnection:
    """A connection in autocommit mode, with the small surface that `drivers.Connection` names."""

    def __init__(self, uri: str, timeout: float) -> None:
        """Open a `file:` URI; `timeout` is how long to wait for a lock, in seconds."""
        self._is_closed = False
        with _errors_of_sqlite3():
            self._db: Any = importlib.import_module("libsql").connect(uri, timeout=timeout, isolation_level=None)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction was begun and not ended."""
        return not self._is_closed and bool(self._db.in_transaction)

    def execute(self, sql: str, values: Values = (), /) -> LibsqlRows:
        """Run one statement with values for `?`, or for `:name` by name."""
        if self._is_closed:
            raise sqlite3.ProgrammingError("Cannot operate on a closed database.")
        text, bound = _with_values(sql, values)
        with _errors_of_sqlite3():
            return LibsqlRows(self._db.execute(text, bound), changes=changes_rows(sql))

    def close(self) -> None:
        """Close the database; its file is let go of with the last of its cursors."""
        self._is_closed = True
        self._db.close()


class LibsqlRows:
    """What a statement gave. After the last row libsql's own cursor would run the statement again: it is closed."""

    def __init__(self, cursor: Any, *, changes: bool) -> None:
        """Read a cursor of libsql; `changes` is whether the statement is one that changes rows."""
        self._cursor = cursor
        self._is_ended = False
        self.rowcount: int = cursor.rowcount if changes else -1
        self.columns: tuple[str, ...] | None = tuple(c[0] for c in cursor.description or ()) or None
        self.last_id: int | None = cursor.lastrowid

    def fetchone(self) -> Any:
        """The next row, None after the last."""
        row = None if self._is_ended else self._read("fetchone")
        if row is None:
            self.close()
        return row

    def fetchmany(self, size: int = 1, /) -> list[Any]:
        """The next rows, `size` at most."""
        rows = [] if self._is_ended else self._read("fetchmany", size) or []
        if len(rows) < size:
            self.close()
        return rows

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        rows = [] if self._is_ended else self._read("fetchall") or []
        self.close()
        return rows

    def __iter__(self) -> Iterator[Any]:
        """The rows that are left, one by one."""
        while (row := self.fetchone()) is not None:
            yield row

    def close(self) -> None:
        """Let go of the statement."""
        self._is_ended = True
        self._cursor.close()

    def _read(self, method: str, *values: int) -> Any:
        with _errors_of_sqlite3(" or ".join(c[0] for c in self._cursor.description or ())):
            return getattr(self._cursor, method)(*values)


_SMALL = range(-(2**31), 2**31)


def _with_values(sql: str, values: Values) -> tuple[str, tuple[Any, ...]]:
    """A statement and the values for its places by number; integers that libsql would round stand in the text."""
    statement = parsed(sql)
    given = values_of(statement, values)
    if not given:
        return sql, ()
    text, bound = [statement.pieces[0]], []
    for value, piece in zip(given, statement.pieces[1:], strict=True):
        if isinstance(value, int) and value not in _SMALL:
            text.append(f"({int(value)})")
        else:
            bound.append(value)
            text.append(f"?{len(bound)}")
        text.append(piece)
    return "".join(text), tuple(bound)


@contextmanager
def _errors_of_sqlite3(columns: str = "") -> Iterator[None]:
    try:
        yield
    except ValueError as problem:
        raise error_of(str(problem)) from problem
    except BaseException as problem:  # a panic is no Exception
        if type(problem).__name__ != "PanicException":
            raise
        if "Utf8Error" in str(problem):
            raise sqlite3.OperationalError(f"Could not decode to UTF-8 column '{columns}'") from problem
        raise sqlite3.InternalError(f"libsql gave up: {problem}") from problem
