"""Drivers: what `sqlite3` and `libsql` do differently on a database file, declared in one place and evened out here.

Whoever migrates sees one small surface, and the errors of `sqlite3`, under either. What cannot be evened out is told by
`Driver.require` before anything is begun. Rows are moved inside the engine (INSERT .. SELECT), never through a driver:
values that pass through one, for a witness or an example, pass through `sqlite3`.

Two SQLite libraries in one process drop each other's locks when they close a file that both have open, as the system
takes a process's locks from a file with the first handle on it that is closed. So a file that is open here already is
not opened by `libsql`, and while one is open by it, nothing else in the process may touch that file.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from ptp.engine.bindings import Values
from ptp.engine.files import BUSY_TIMEOUT_MS, check_writable, connect_file, file_uri, read_only_uri, without_traces
from ptp.engine.headers import descriptors
from ptp.engine.libsql_driver import LibsqlConnection
from ptp.errors import CannotFinish, UsageError
from ptp.settings import DriverName

Capability: TypeAlias = Literal[
    "named values",
    "checked counts",
    "one statement",
    "wide integers",
    "bytes alike",
    "whole texts",
    "undecodable texts",
    "error codes",
    "own row counts",
    "iteration",
    "rows always",
    "one run",
    "references off",
    "committing scripts",
    "backup",
    "functions",
    "trace",
    "text factory",
    "read-only files",
    "read-only attach",
    "busy timeout",
    "write-ahead log",
    "full text",
    "shared process",
]
CAPABILITIES: Mapping[Capability, str] = {
    "named values": "binds values by name",
    "checked counts": "refuses too few or too many values",
    "one statement": "refuses a text of more than one statement, rather than to run the first alone",
    "wide integers": "binds integers of more than 32 bits as they are, and refuses those of more than 64",
    "bytes alike": "binds bytearray and memoryview",
    "whole texts": "reads a text to its end, past a character NUL",
    "undecodable texts": "raises an error for a text that is not UTF-8, rather than to panic",
    "error codes": "tells errors apart by class and by SQLite's name for them",
    "own row counts": "counts changed rows for statements that change any, and says -1 for others",
    "iteration": "has cursors to iterate over",
    "rows always": "gives an empty list for a statement without columns",
    "one run": "runs a statement once, however often it is asked for rows after the last",
    "references off": "begins with foreign keys off",
    "committing scripts": "commits what is pending before a script of statements (which ptp never runs)",
    "backup": "has SQLite's online backup",
    "functions": "takes SQL functions written in Python",
    "trace": "tells each statement that it runs",
    "text factory": "lets the caller decode texts",
    "read-only files": "opens a file only to read it",
    "read-only attach": "attaches a file only to read it",
    "busy timeout": "waits for another process's lock as long as it is told to",
    "write-ahead log": "keeps a database in WAL mode",
    "full text": "has FTS5",
    "shared process": "may open a file in a process in which sqlite3 has it open too",
}
"""What a driver can do by itself, in words that complete 'a driver that ...'."""

_ALSO_LIBSQL: frozenset[Capability] = frozenset(
    ("read-only files", "read-only attach", "busy timeout", "write-ahead log", "full text")
)


class Rows(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int:
        """Rows that the statement changed; -1 for one that is not to change any."""

    def fetchone(self) -> Any:
        """The next row, None after the last."""

    def fetchmany(self, size: int = ..., /) -> list[Any]:
        """The next rows, `size` at most."""

    def fetchall(self) -> list[Any]:
        """All rows that are left."""

    def __iter__(self) -> Iterator[Any]:
        """The rows that are left, one by one."""

    def close(self) -> object:
        """Let go of the statement."""


class Connection(Protocol):
    """An open database under either driver, in autocommit mode; it raises the errors of sqlite3."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction was begun and not ended."""

    def execute(self, sql: str, values: Values = ..., /) -> Rows:
        """Run one statement with values for `?`, or for `:name` by name."""

    def close(self) -> object:
        """Close the database and let go of its file."""


@dataclass(frozen=True, slots=True)
class Driver:
    """A Python package that opens database files, and what it can do by itself."""

    name: DriverName
    can: frozenset[Capability]

    def require(self, capability: Capability, *, what: str) -> None:
        """Raise UsageError, naming the driver to use, where this one lacks what `what` needs."""
        if capability not in self.can:
            needed = CAPABILITIES[capability]
            raise UsageError(f"{what} needs a driver that {needed}, and {self.name} is none: use --driver sqlite3.")

    def check_alone(self, path: Path) -> None:
        """Raise CannotFinish where this process has the file open already, by a library that this one would unlock."""
        if "shared process" not in self.can and is_open_here(path):
            raise CannotFinish(
                f"{path} is open in this process already, and {self.name} would drop the locks on it: use --driver "
                "sqlite3."
            )

    def version(self, db: Connection) -> str:
        """The package with its version, and the SQLite in it."""
        package = "sqlite3" if self.name == "sqlite3" else f"{self.name} {metadata.version(self.name)}"
        return f"{package}, SQLite {db.execute('SELECT sqlite_version()').fetchone()[0]}"


_DRIVERS = {d.name: d for d in (Driver("sqlite3", frozenset(CAPABILITIES)), Driver("libsql", _ALSO_LIBSQL))}


def driver_of(name: str) -> Driver:
    """The driver of a name; raises UsageError for one that ptp does not know, or that is not installed."""
    found = next((d for d in _DRIVERS.values() if d.name == name), None)
    if found is None:
        raise UsageError(f"There is no driver '{name}': it is one of {', '.join(_DRIVERS)}.")
    try:
        importlib.import_module(found.name)
    except ImportError as problem:
        raise UsageError(
            f"The driver {name} is not installed ({problem}): pip install 'ptp[{name}]', or use --driver sqlite3."
        ) from None
    return found


@contextmanager
def connect(
    path: Path, *, driver: str = "sqlite3", read_only: bool = False, busy_timeout_ms: int | None = None
) -> Iterator[Connection]:
    """A connection in autocommit mode by a driver, closed at the end; foreign keys are off, as SQLite has them.

    A read-only connection never creates the file and never writes to it, and leaves nothing beside it.
    Raises UsageError for a driver that is not there, CannotFinish for a file that is open here already.
    """
    chosen = driver_of(driver)
    chosen.check_alone(path)
    if not read_only:
        check_writable(path)
    if chosen.name == "sqlite3":
        with connect_file(path, read_only=read_only, busy_timeout_ms=busy_timeout_ms) as plain:
            yield plain
        return
    timeout = (BUSY_TIMEOUT_MS if busy_timeout_ms is None else busy_timeout_ms) / 1000
    uri = read_only_uri(path) if read_only else f"{file_uri(path)}?mode=rwc"
    with without_traces(path) if read_only else nullcontext(), closing(LibsqlConnection(uri, timeout)) as db:
        db.execute("PRAGMA foreign_keys = OFF")
        yield db


def is_open_here(path: Path) -> bool:
    """Whether this process has the file open, by whatever library."""
    with suppress(OSError):
        wanted = path.stat()
        for descriptor in descriptors():
            with suppress(OSError):
                if os.path.samestat(os.fstat(descriptor), wanted):
                    return True
    return False
