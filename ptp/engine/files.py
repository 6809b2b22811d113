"""Database files: from a URL to a path, from a path to a connection, and the sentence for each way that it can fail."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import gettempdir
from urllib.parse import quote

from ptp.errors import CannotFinish, DiskFull, Locked, NotADatabase, UsageError

MAGIC = b"SQLite format 3\x00"
_WAL_VERSION = 2  # bytes 18 and 19 of the header: 2 means write-ahead log


def database_path(url: str | Path) -> Path:
    """The file that a URL names: `sqlite:///f`, `file:f` or a plain path.

    Raises UsageError for a URL that names no file.
    """
    text = str(url)
    for prefix in ("sqlite:///", "file://", "file:"):
        if text.startswith(prefix):
            text = text.removeprefix(prefix).split("?")[0]
            break
    else:
        if "://" in text:
            scheme = text.split("://")[0]
            raise UsageError(f"{scheme}:// cannot be opened yet: give a database file, as a path or sqlite:///path.")
    if not text:
        raise UsageError("The database URL names no file: write sqlite:///path/to/file.db.")
    return Path(text)


def check_database(path: Path) -> None:
    """Make sure that `path` is a SQLite database with at least one table; raises UsageError or NotADatabase."""
    if not path.exists():
        raise UsageError(f"There is no file {path}.")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name the database file in it.")
    try:
        with path.open("rb") as file:
            head = file.read(100)
    except PermissionError:
        raise UsageError(f"{path} cannot be read: permission denied.") from None
    if not head:
        raise NotADatabase(f"{path} is empty (0 bytes): it holds no database.")
    if not head.startswith(MAGIC):
        raise NotADatabase(f"{path} is not a SQLite database (its first bytes are not those of one; is it encrypted?).")
    with errors_named(path), connect_file(path, read_only=True) as db:
        if not db.execute("SELECT count(*) FROM sqlite_schema WHERE type = 'table'").fetchone()[0]:
            raise NotADatabase(f"{path} is a SQLite database without any table.")


def is_wal(path: Path) -> bool:
    """Whether the file is in write-ahead-log mode, by its header."""
    with path.open("rb") as file:
        return file.read(20)[18:20] == bytes((_WAL_VERSION, _WAL_VERSION))


@contextmanager
def connect_file(path: Path, *, read_only: bool = False, busy_timeout_ms: int = 5_000) -> Iterator[sqlite3.Connection]:
    """A plain connection in autocommit mode, closed at the end; transactions are begun and ended by SQL.

    A read-only connection never creates the file and never writes to it.
    """
    uri = read_only_uri(path) if read_only else f"{file_uri(path)}?mode=rwc"
    db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=busy_timeout_ms / 1000)
    try:
        yield db
    finally:
        db.close()


@contextmanager
def attach_read_only(**databases: Path) -> Iterator[sqlite3.Connection]:
    """An in-memory database with files attached under the given names, each only read, in one read transaction."""
    with closing(sqlite3.connect(":memory:", uri=True, isolation_level=None)) as db:
        # Attached databases must share one encoding, which the main one takes before it is first used.
        with connect_file(next(iter(databases.values())), read_only=True) as first:
            encoding = first.execute("PRAGMA encoding").fetchone()[0]
        db.execute(f"PRAGMA encoding = '{encoding}'")
        db.execute("PRAGMA temp_store = FILE")
        for name, path in databases.items():
            db.execute(f"ATTACH ? AS {name}", (read_only_uri(path),))
        db.execute("BEGIN")
        yield db


def settle_log(path: Path) -> None:
    """Let SQLite fold the write-ahead log of a database of ours into the file, and remove what readers left of it."""
    if path.is_file() and os.access(path, os.W_OK):
        with errors_named(path), connect_file(path) as db:
            db.execute("SELECT count(*) FROM sqlite_schema").fetchone()


def read_only_uri(path: Path) -> str:
    """The URI under which `path` is only read.

    A database in WAL mode on a medium that cannot be written needs `immutable`, which is safe where there is no
    log: nobody can be writing to it.
    """
    log = path.with_name(path.name + "-wal")
    frozen = not os.access(path.parent, os.W_OK) and path.is_file() and is_wal(path)
    frozen = frozen and not (log.exists() and log.stat().st_size)
    return f"{file_uri(path)}?mode=ro{'&immutable=1' if frozen else ''}"


def file_uri(path: Path) -> str:
    """`path` as a `file:` URI, in which '?', '#' and '%' of the name are escaped."""
    return "file:" + quote(str(path.absolute()))


@contextmanager
def errors_named(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system raise about `path` into ptp's errors, one sentence each."""
    try:
        yield
    except sqlite3.Error as problem:
        raise named(problem, path) from problem
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"The disk is full: {problem.filename or path} could not be written.") from problem
        raise


def named(problem: sqlite3.Error, path: Path) -> Exception:
    """The error of ours that says what SQLite raised about `path`; the problem itself where none does."""
    code = getattr(problem, "sqlite_errorname", "") or ""
    text = str(problem)
    if code.startswith("SQLITE_FULL") or "disk is full" in text:
        return DiskFull(f"The disk is full: {path} could not be written. Free some space and run the command again.")
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return Locked(f"{path} is locked by another process. Wait for it, or end it, and run the command again.")
    if code.startswith("SQLITE_NOTADB"):
        return NotADatabase(f"{path} is not a SQLite database, or is encrypted.")
    if code.startswith("SQLITE_CORRUPT"):
        return CannotFinish(f"{path} is damaged: {text}. Restore a backup, or recover it with sqlite3's .recover.")
    if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return UsageError(f"{path} cannot be opened or written: {text}. Check the path and its permissions.")
    if code.startswith("SQLITE_IOERR"):
        return CannotFinish(f"{path} could not be read or written: {text} (is the disk full or failing?).")
    return problem


def check_temporary_space(needed_bytes: int) -> None:
    """Raise DiskFull before a copy is made in the folder for temporary files, when that has not the room."""
    folder = gettempdir()
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise DiskFull(
            f"The folder for temporary files, {folder}, has {free / 1e6:,.0f} MB free, and a copy needs about "
            f"{needed_bytes / 1e6:,.0f} MB: free some space, or name another folder in the variable TMPDIR."
        )
