"""Candidates: other engines for the same file, each by its own driver, to be compared with sqlite3 and never to serve.

    sqlite3   SQLite as Python brings it: the reference
    libsql    the fork of SQLite that Turso's servers run
    turso     the rewrite in Rust; one process at a time
    apsw      a newer SQLite, under another driver

Each is opened in a process of its own (two SQLite libraries in one process drop each other's locks), and on a copy.
"""

from __future__ import annotations

import importlib
import importlib.util
import platform
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, cast, get_args

from ptp.engine.bindings import Values
from ptp.engine.files import file_uri
from ptp.engine.libsql_driver import LibsqlConnection
from ptp.errors import UsageError

EngineName: TypeAlias = Literal["sqlite3", "libsql", "turso", "apsw"]
REFERENCE: EngineName = "sqlite3"
Row: TypeAlias = tuple[Any, ...]

_PACKAGES: Mapping[EngineName, str] = {"libsql": "libsql", "turso": "pyturso", "apsw": "apsw"}
_INSTALL: Mapping[EngineName, str] = {"libsql": "'ptp[libsql]'", "turso": "'ptp[turso]'", "apsw": "apsw"}
_TIMEOUT_S = 5.0
_TOLD = ("journal_mode", "synchronous", "foreign_keys")


class Opened(Protocol):
    """A database that a candidate has open, in autocommit mode."""

    def run(self, sql: str, values: Values = ..., /) -> list[Any]:
        """All rows of one statement; an empty list where it gives none."""

    def close(self) -> None:
        """Let go of the file."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What an open candidate says of itself: its driver, its SQLite, and settings as it gives them back.

    `refused` are the pragmas that it did not take.
    """

    driver: str
    sqlite: str
    settings: Mapping[str, str]
    refused: tuple[str, ...]


def engine_named(name: str) -> EngineName:
    """The engine of a name; UsageError for one that ptp does not know, or whose driver is not installed."""
    if name not in get_args(EngineName):
        raise UsageError(f"There is no engine '{name}': it is one of {', '.join(get_args(EngineName))}.")
    found = cast(EngineName, name)
    if importlib.util.find_spec(found) is None:
        raise UsageError(f"The engine {found} is not installed: pip install {_INSTALL[found]}.")
    return found


def open_candidate(name: EngineName, path: Path) -> Opened:
    """Open an existing file by an engine; raises whatever its driver does, and UsageError where there is no file."""
    if not path.is_file():  # some would make one
        raise UsageError(f"There is no database file {path}.")
    if name == "libsql":
        return _Driven(LibsqlConnection(f"{file_uri(path)}?mode=rw", _TIMEOUT_S))
    if name == "turso":
        return _Driven(importlib.import_module("turso").connect(str(path), isolation_level=None))
    if name == "apsw":
        apsw = importlib.import_module("apsw")
        db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        db.set_busy_timeout(int(_TIMEOUT_S * 1000))
        return _Driven(db)
    uri = f"{file_uri(path)}?mode=rw"
    return _Driven(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_TIMEOUT_S))


def tuned(name: EngineName, db: Opened, pragmas: Sequence[tuple[str, Any]]) -> Facts:
    """Set the pragmas, and ask for what came of them."""
    refused = []
    for pragma, value in pragmas:
        if pragma == "synchronous" and name == "turso":
            value = {0: "OFF", 1: "NORMAL", 2: "FULL"}.get(value, value)  # it knows the words, not the numbers
        with suppress(Exception):
            db.run(f"PRAGMA {pragma} = {value}")
        if _asked(db, pragma) is None:
            refused.append(pragma)
    return Facts(
        driver=f"{_PACKAGES[name]} {metadata.version(_PACKAGES[name])}"
        if name in _PACKAGES
        else f"Python {platform.python_version()}",
        sqlite=_asked(db, None) or "unknown",
        settings={pragma: _asked(db, pragma) or "unknown" for pragma in _TOLD},
        refused=tuple(refused),
    )


class _Driven:
    """A connection whose `execute` gives a cursor, as all four drivers have it."""

    def __init__(self, db: Any) -> None:
        self._db = db

    def run(self, sql: str, values: Values = (), /) -> list[Any]:
        rows: list[Any] = self._db.execute(sql, values).fetchall()
        return rows

    def close(self) -> None:
        self._db.close()


def _asked(db: Opened, pragma: str | None) -> str | None:
    """The value of a pragma, or the version of SQLite; None where the engine gives none."""
    with suppress(Exception):
        rows = db.run(f"PRAGMA {pragma}" if pragma else "SELECT sqlite_version()")
        return str(rows[0][0]) if rows else None
    return None
