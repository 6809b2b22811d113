"""A connection of libsql that behaves like one of sqlite3: values by name, errors by class, cursors that end.

`ptp.engine.drivers` opens it, and declares what libsql lacks; nobody else does.
"""

from __future__ import annotations

import importlib
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from ptp.engine.sql import split_statements

Values: TypeAlias = Sequence[Any] | Mapping[str, Any]


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
        if ";" in sql.rstrip("; \t\r\n") and len(split_statements(sql)) > 1:
            raise sqlite3.ProgrammingError("You can only execute one statement at a time.")
        text, bound = _with_values(sql, values)
        with _errors_of_sqlite3():
            return LibsqlRows(self._db.execute(text, bound), changes=bool(_CHANGES.match(sql)))

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


_CHANGES = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(?:INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE | re.DOTALL)
_PLACES = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/|(?P<place>(?<!\w)[:@$]\w+|\?\d*)""",
    re.DOTALL,
)
_SMALL = range(-(2**31), 2**31)
_WIDE = range(-(2**63), 2**63)


def _with_values(sql: str, values: Values) -> tuple[str, tuple[Any, ...]]:
    """A statement and the values for its places by number; integers that libsql would round stand in the text."""
    if not values and "?" not in sql and ":" not in sql:
        return sql, ()
    bound: list[Any] = []
    highest = 0

    def put(match: re.Match[str]) -> str:
        nonlocal highest
        if not (place := match["place"]):
            return match[0]
        if place[0] == "?":
            number = int(place[1:] or highest + 1)
            highest = max(highest, number)
        value = _value_at(values, place[1:] if place[0] != "?" else number - 1)
        if isinstance(value, int) and value not in _SMALL:
            if value not in _WIDE:
                raise OverflowError("Python int too large to convert to SQLite INTEGER")
            return f"({value})"
        bound.append(bytes(value) if isinstance(value, bytearray | memoryview) else value)
        return f"?{len(bound)}"

    text = _PLACES.sub(put, sql)
    if not isinstance(values, Mapping) and highest != len(values):
        raise sqlite3.ProgrammingError(f"The statement uses {highest} values, and there are {len(values)} supplied.")
    return text, tuple(bound)


def _value_at(values: Values, place: str | int) -> Any:
    try:
        return values[place]  # type: ignore[index]  # by name or by number, as the place says
    except (KeyError, IndexError, TypeError):
        raise sqlite3.ProgrammingError(f"There is no value supplied for {place!r}.") from None


_NAMES = {
    " constraint failed": "SQLITE_CONSTRAINT",
    "cannot store ": "SQLITE_CONSTRAINT",
    "ptp: ": "SQLITE_CONSTRAINT_TRIGGER",
    "datatype mismatch": "SQLITE_MISMATCH",
    "database is locked": "SQLITE_BUSY",
    "table is locked": "SQLITE_LOCKED",
    "schema is locked": "SQLITE_LOCKED",
    "disk is full": "SQLITE_FULL",
    "file is not a database": "SQLITE_NOTADB",
    "disk image is malformed": "SQLITE_CORRUPT",
    "malformed database schema": "SQLITE_CORRUPT",
    "attempt to write a readonly database": "SQLITE_READONLY",
    "nable to open ": "SQLITE_CANTOPEN",
    "disk I/O error": "SQLITE_IOERR",
}
"""Words of SQLite's own messages, which are all that libsql passes on, and the error that they stand for."""
_CLASSES: Mapping[str, type[sqlite3.Error]] = {
    "SQLITE_CONSTRAINT": sqlite3.IntegrityError,
    "SQLITE_MISMATCH": sqlite3.IntegrityError,
    "SQLITE_NOTADB": sqlite3.DatabaseError,
    "SQLITE_CORRUPT": sqlite3.DatabaseError,
}


@contextmanager
def _errors_of_sqlite3(columns: str = "") -> Iterator[None]:
    try:
        yield
    except ValueError as problem:
        raise _error_of_sqlite3(str(problem)) from problem
    except BaseException as problem:  # a panic is no Exception
        if type(problem).__name__ != "PanicException":
            raise
        if "Utf8Error" in str(problem):
            raise sqlite3.OperationalError(f"Could not decode to UTF-8 column '{columns}'") from problem
        raise sqlite3.InternalError(f"libsql gave up: {problem}") from problem


def _error_of_sqlite3(text: str) -> sqlite3.Error:
    name = next((name for words, name in _NAMES.items() if words in text), "SQLITE_ERROR")
    kind = "_".join(name.split("_")[:2])
    error = _CLASSES.get(kind, sqlite3.OperationalError)(text)
    error.sqlite_errorname, error.sqlite_errorcode = name, getattr(sqlite3, name)
    return error
