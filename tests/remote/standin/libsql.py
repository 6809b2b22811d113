"""libSQL itself, called through the C functions in the library that its Python driver brings.

Why this and not `sqlite3` or APSW: it is the engine of the real servers, so errors, SQL and row counters are theirs and
not a model of them. The quirks of the Python driver (integers beyond 32 bits bound as REAL, text cut at NUL) are in the
driver and not in these functions. It needs the package libsql on a platform where its library names its functions
(Linux); elsewhere `Library` raises NotHere, and the tests skip with that reason.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from ptp.engine.billing_symbols import functions_in

Value: TypeAlias = int | float | str | bytes | None

_P, _I, _L, _D, _S = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_double, ctypes.c_char_p
_TO_P = ctypes.POINTER(ctypes.c_void_p)
# Those that may take long let other threads run meanwhile; for the others that would cost more than they do.
_LONG: dict[str, tuple[Any, ...]] = {
    "open_v2": (_I, _S, _TO_P, _I, _S),
    "close_v2": (_I, _P),
    "prepare_v2": (_I, _P, _P, _I, _TO_P, _TO_P),
    "step": (_I, _P),
    "finalize": (_I, _P),
}
_SHORT: dict[str, tuple[Any, ...]] = {
    "initialize": (_I,),
    "libversion": (_S,),
    "errmsg": (_S, _P),
    "extended_errcode": (_I, _P),
    "error_offset": (_I, _P),
    "busy_timeout": (_I, _P, _I),
    "get_autocommit": (_I, _P),
    "changes64": (_L, _P),
    "last_insert_rowid": (_L, _P),
    "stmt_status": (_I, _P, _I, _I),
    "stmt_readonly": (_I, _P),
    "stmt_isexplain": (_I, _P),
    "bind_parameter_count": (_I, _P),
    "bind_parameter_name": (_S, _P, _I),
    "bind_null": (_I, _P, _I),
    "bind_int64": (_I, _P, _I, _L),
    "bind_double": (_I, _P, _I, _D),
    "bind_text": (_I, _P, _I, _S, _I, _P),
    "bind_blob": (_I, _P, _I, _S, _I, _P),
    "bind_zeroblob": (_I, _P, _I, _I),
    "column_count": (_I, _P),
    "column_name": (_S, _P, _I),
    "column_decltype": (_S, _P, _I),
    "column_type": (_I, _P, _I),
    "column_int64": (_L, _P, _I),
    "column_double": (_D, _P, _I),
    "column_text": (_P, _P, _I),
    "column_blob": (_P, _P, _I),
    "column_bytes": (_I, _P, _I),
}
_ENTRY = "PyInit_libsql"
_ROW, _DONE = 100, 101
_READ_WRITE_CREATE = 2 | 4
_ROWS_READ, _ROWS_WRITTEN = 1025, 1026
_COPIED = ctypes.c_void_p(-1)


class NotHere(Exception):
    """libSQL's functions cannot be called here."""


class Failed(Exception):
    """libSQL refused or failed; with its extended code and the place in the SQL, -1 where there is none."""

    def __init__(self, message: str, code: int, offset: int = -1) -> None:
        super().__init__(message)
        self.message, self.code, self.offset = message, code, offset


class Library:
    """The functions."""

    def __init__(self) -> None:
        try:
            module = importlib.import_module("libsql.libsql")
        except ImportError:
            raise NotHere("the package libsql is not installed") from None
        path = Path(str(module.__file__))
        wanted = {f"sqlite3_{name}" for name in (*_LONG, *_SHORT)}
        places = functions_in(path, {_ENTRY, *wanted})
        if missing := sorted({_ENTRY, *wanted} - places.keys()):
            raise NotHere(f"the library of the package libsql does not name {missing[0]} on this platform")
        base = (ctypes.cast(getattr(ctypes.CDLL(str(path)), _ENTRY), _P).value or 0) - places[_ENTRY]
        for kind, functions in ((ctypes.CFUNCTYPE, _LONG), (ctypes.PYFUNCTYPE, _SHORT)):
            for name, types in functions.items():
                setattr(self, name, kind(*types)(base + places[f"sqlite3_{name}"]))
        self.initialize()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise AttributeError(name)


class Database:
    """One connection; used by one thread at a time."""

    def __init__(self, library: Library, path: Path, *, busy_seconds: float) -> None:
        self._lib, self._db = library, _P()
        self._check(library.open_v2(str(path).encode(), ctypes.byref(self._db), _READ_WRITE_CREATE, None))
        library.busy_timeout(self._db, round(busy_seconds * 1000))
        self.run("PRAGMA synchronous = NORMAL")
        self.run("PRAGMA foreign_keys = ON")

    def close(self) -> None:
        self._lib.close_v2(self._db)

    @property
    def autocommit(self) -> bool:
        return bool(self._lib.get_autocommit(self._db))

    @property
    def changes(self) -> int:
        return int(self._lib.changes64(self._db))

    @property
    def last_insert_rowid(self) -> int:
        return int(self._lib.last_insert_rowid(self._db))

    def run(self, sql: str) -> list[tuple[Value, ...]]:
        """One statement without values, to its end."""
        statement, _ = self.prepare(sql.encode())
        assert statement
        try:
            return list(statement.rows())
        finally:
            statement.close()

    def prepare(self, sql: bytes) -> tuple[Statement | None, bytes]:
        """The first statement, None where there is none, and the SQL after it; raises Failed."""
        buffer = ctypes.create_string_buffer(sql)
        statement, tail = _P(), _P()
        at = ctypes.addressof(buffer)
        self._check(self._lib.prepare_v2(self._db, at, -1, ctypes.byref(statement), ctypes.byref(tail)))
        rest = sql[(tail.value or at) - at :]
        return (Statement(self._lib, self, statement, sql[: len(sql) - len(rest)]) if statement else None), rest

    def _check(self, code: int) -> None:
        if code not in (0, _ROW, _DONE):
            lib, db = self._lib, self._db
            raise Failed(lib.errmsg(db).decode(errors="replace"), lib.extended_errcode(db), lib.error_offset(db))


class Statement:
    """One prepared statement."""

    def __init__(self, library: Library, db: Database, handle: Any, sql: bytes) -> None:
        self._lib, self._db, self._handle = library, db, handle
        self.sql = sql.decode()

    def close(self) -> None:
        self._lib.finalize(self._handle)
        self._handle = None

    @property
    def parameters(self) -> list[str | None]:
        """Their names with the sign before them, None for those without."""
        count = self._lib.bind_parameter_count(self._handle)
        names = (self._lib.bind_parameter_name(self._handle, place) for place in range(1, count + 1))
        return [name.decode() if name else None for name in names]

    @property
    def columns(self) -> list[tuple[str, str | None]]:
        """Name and declared type of each."""
        lib, handle = self._lib, self._handle
        found = ((lib.column_name(handle, i), lib.column_decltype(handle, i)) for i in range(lib.column_count(handle)))
        return [((name or b"").decode(), declared.decode() if declared else None) for name, declared in found]

    @property
    def read_only(self) -> bool:
        return bool(self._lib.stmt_readonly(self._handle))

    @property
    def is_explain(self) -> bool:
        return bool(self._lib.stmt_isexplain(self._handle))

    @property
    def counters(self) -> tuple[int, int]:
        """Rows read and written, as libSQL counts them."""
        read, written = (self._lib.stmt_status(self._handle, which, 0) for which in (_ROWS_READ, _ROWS_WRITTEN))
        return read, written

    def bind(self, place: int, value: Value) -> None:
        lib, handle = self._lib, self._handle
        if value is None:
            code = lib.bind_null(handle, place)
        elif isinstance(value, int):
            code = lib.bind_int64(handle, place, value)
        elif isinstance(value, float):
            code = lib.bind_double(handle, place, value)
        elif isinstance(value, str):
            data = value.encode()
            code = lib.bind_text(handle, place, data, len(data), _COPIED)
        elif value:
            code = lib.bind_blob(handle, place, value, len(value), _COPIED)
        else:
            code = lib.bind_zeroblob(handle, place, 0)
        self._db._check(code)

    def rows(self) -> Iterator[tuple[Value, ...]]:
        """Run it; raises Failed."""
        count = self._lib.column_count(self._handle)
        while (code := self._lib.step(self._handle)) == _ROW:
            yield tuple(self._value(i) for i in range(count))
        self._db._check(code)

    def _value(self, i: int) -> Value:
        lib, handle = self._lib, self._handle
        kind = lib.column_type(handle, i)
        if kind == 1:
            return int(lib.column_int64(handle, i))
        if kind == 2:
            return float(lib.column_double(handle, i))
        if kind == 3:
            at = lib.column_text(handle, i)
            return ctypes.string_at(at, lib.column_bytes(handle, i)).decode()
        if kind == 4:
            at = lib.column_blob(handle, i)
            return ctypes.string_at(at, lib.column_bytes(handle, i)) if at else b""
        return None
