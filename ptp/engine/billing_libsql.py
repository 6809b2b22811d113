"""libSQL's own counters of billed rows, read from the library that its Python driver brings, in a process of its own.

The driver does not show them: the statements run on libSQL's C functions, called in the driver's library. That is
done in another process, since two libraries of SQLite must never open one file in the same process, and so that
nothing of ours ends if that library does not do as expected.
"""

from __future__ import annotations

import ctypes
import importlib
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

from ptp.engine.billing_symbols import functions_in

Rows: TypeAlias = tuple[int, int]
"""Rows read and rows written by one execution, as libSQL's counters have them."""

Asked: TypeAlias = Sequence[tuple[str, Sequence[Any]]]
"""Statements, each with the values of its executions."""

_ENTRY = "PyInit_libsql"
_ROWS_READ, _ROWS_WRITTEN = 1025, 1026  # LIBSQL_STMTSTATUS_ROWS_READ and _WRITTEN
_ROW, _DONE = 100, 101
_READ_WRITE = 2
_COPIED = ctypes.c_void_p(-1)  # SQLITE_TRANSIENT: the value is copied before the call returns
_POINTER, _INT, _TEXT = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
_TO_POINTER = ctypes.POINTER(ctypes.c_void_p)
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "sqlite3_initialize": (_INT,),
    "sqlite3_libversion": (_TEXT,),
    "sqlite3_open_v2": (_INT, _TEXT, _TO_POINTER, _INT, _TEXT),
    "sqlite3_close_v2": (_INT, _POINTER),
    "sqlite3_errmsg": (_TEXT, _POINTER),
    "sqlite3_prepare_v2": (_INT, _POINTER, _TEXT, _INT, _TO_POINTER, _POINTER),
    "sqlite3_finalize": (_INT, _POINTER),
    "sqlite3_step": (_INT, _POINTER),
    "sqlite3_reset": (_INT, _POINTER),
    "sqlite3_stmt_status": (_INT, _POINTER, _INT, _INT),
    "sqlite3_bind_parameter_count": (_INT, _POINTER),
    "sqlite3_bind_parameter_name": (_TEXT, _POINTER, _INT),
    "sqlite3_bind_null": (_INT, _POINTER, _INT),
    "sqlite3_bind_int64": (_INT, _POINTER, _INT, ctypes.c_int64),
    "sqlite3_bind_double": (_INT, _POINTER, _INT, ctypes.c_double),
    "sqlite3_bind_text": (_INT, _POINTER, _INT, _TEXT, _INT, _POINTER),
    "sqlite3_bind_blob": (_INT, _POINTER, _INT, _TEXT, _INT, _POINTER),
}


class NoCounters(Exception):
    """libSQL's counters cannot be reached here."""


class Failed(Exception):
    """libSQL does not run a statement."""


class Library:
    """libSQL's C functions."""

    def __init__(self) -> None:
        """Find them in the library of the Python driver; raises NoCounters."""
        try:
            module = importlib.import_module("libsql.libsql")
        except ImportError:
            raise NoCounters("the package libsql is not installed") from None
        path = Path(str(module.__file__))
        places = functions_in(path, {_ENTRY, *_FUNCTIONS})
        if missing := {_ENTRY, *_FUNCTIONS} - places.keys():
            raise NoCounters(f"the library of the package libsql does not name {sorted(missing)[0]}")
        entry = ctypes.cast(getattr(ctypes.CDLL(str(path)), _ENTRY), _POINTER).value or 0
        self._call: dict[str, Callable[..., Any]] = {
            name: ctypes.CFUNCTYPE(*types)(entry - places[_ENTRY] + places[name]) for name, types in _FUNCTIONS.items()
        }
        self("initialize")

    def __call__(self, name: str, *values: Any) -> Any:
        """Call `sqlite3_` and that name."""
        return self._call[f"sqlite3_{name}"](*values)


class Database:
    """A database opened by libSQL."""

    def __init__(self, library: Library, path: str) -> None:
        """Open a file; raises Failed."""
        self._call = library
        self._db = _POINTER()
        code = library("open_v2", path.encode(), ctypes.byref(self._db), _READ_WRITE, None)
        self._check(code)

    def close(self) -> None:
        """Close it."""
        self._call("close_v2", self._db)

    def rows(self, sql: str, executions: Sequence[Any] = ((),)) -> list[Rows]:
        """Run a statement with each set of values, to its end, and read the counters; raises Failed."""
        with self._prepared(sql) as statement:
            return [self._run(statement, values) for values in executions]

    @contextmanager
    def _prepared(self, sql: str) -> Iterator[Any]:
        statement = _POINTER()
        self._check(self._call("prepare_v2", self._db, sql.encode(), -1, ctypes.byref(statement), None))
        try:
            yield statement
        finally:
            self._call("finalize", statement)

    def _run(self, statement: Any, values: Any) -> Rows:
        for place in range(1, self._call("bind_parameter_count", statement) + 1):
            self._bind(statement, place, self._value(statement, place, values))
        while (code := self._call("step", statement)) == _ROW:
            pass
        self._check(code)
        # The counters begin again, for the next set of values.
        found = tuple(self._call("stmt_status", statement, which, 1) for which in (_ROWS_READ, _ROWS_WRITTEN))
        self._call("reset", statement)
        return found[0], found[1]

    def _value(self, statement: Any, place: int, values: Any) -> Any:
        if not hasattr(values, "keys"):
            return values[place - 1]
        return values[self._call("bind_parameter_name", statement, place)[1:].decode()]

    def _bind(self, statement: Any, place: int, value: Any) -> None:
        if value is None:
            code = self._call("bind_null", statement, place)
        elif isinstance(value, int):
            code = self._call("bind_int64", statement, place, value)
        elif isinstance(value, float):
            code = self._call("bind_double", statement, place, value)
        elif isinstance(value, str):
            data = value.encode()
            code = self._call("bind_text", statement, place, data, len(data), _COPIED)
        else:
            code = self._call("bind_blob", statement, place, bytes(value), len(value), _COPIED)
        self._check(code)

    def _check(self, code: int) -> None:
        if code not in (0, _DONE):
            raise Failed(self._call("errmsg", self._db).decode(errors="replace"))


def serve() -> None:
    """Answer what comes in as pickles: first a path, with the version or the reason for which it cannot be counted."""
    back, sys.stdout = sys.stdout.buffer, sys.stderr

    def answer(found: object) -> None:
        back.write(pickle.dumps(found))
        back.flush()

    path: str = pickle.load(sys.stdin.buffer)
    try:
        library = Library()
        _check_counters(library)
        db = Database(library, path)
    except (NoCounters, Failed) as problem:
        answer(str(problem))
        return
    with closing(db), suppress(EOFError, BrokenPipeError):
        db.rows("PRAGMA foreign_keys = ON")
        answer((library("libversion").decode(),))
        while True:
            answer(_answered(db, pickle.load(sys.stdin.buffer)))


def _answered(db: Database, asked: Asked) -> list[list[Rows]] | str:
    """The counters of each execution, in one transaction that is rolled back; or what libSQL says against it."""
    db.rows("BEGIN")
    try:
        return [db.rows(sql, executions) for sql, executions in asked]
    except (Failed, IndexError, KeyError, TypeError, ctypes.ArgumentError) as problem:
        return str(problem)
    finally:
        with suppress(Failed):  # a full disk, among others, has ended it already
            db.rows("ROLLBACK")


def _check_counters(library: Library) -> None:
    """Make sure that they are what they are held for, by a case that is known; raises NoCounters, Failed."""
    with closing(Database(library, ":memory:")) as db:
        db.rows("CREATE TABLE t (x)")
        counted = (*db.rows("INSERT INTO t VALUES (1), (2), (3)"), *db.rows("SELECT * FROM t"))
        if counted[0][1] != 3 or counted[1] != (3, 0):
            raise NoCounters("the counters of the package libsql are not those of billed rows")
