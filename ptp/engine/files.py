"""Database files: from a URL to a path, from a path to a connection, and the sentence for each way that it can fail."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from tempfile import gettempdir
from urllib.parse import quote

from ptp.engine.bad_files import check_file, damage, hot_journal, not_opened, truncation
from ptp.engine.headers import companion, companion_bytes, read_header
from ptp.engine.sql import quoted
from ptp.errors import CannotFinish, DiskFull, Locked, NotADatabase, UsageError

BUSY_TIMEOUT_MS = 5_000
"""How long a connection waits for a lock of another process, where nothing else is asked for."""
_PROBLEMS = 1_000
_DIRT = ("NULL value in ", "CHECK constraint failed in ", "non-")
"""How SQLite's check begins to tell of values that break a rule: non-unique, non-INT and the like in a STRICT table."""


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
            raise UsageError(f"{scheme}:// names no file, and one is wanted here: give a path, or sqlite:///path.")
    if not text:
        raise UsageError("The database URL names no file: write sqlite:///path/to/file.db.")
    return Path(text)


def check_database(path: Path) -> None:
    """Make sure that `path` is a SQLite database with at least one table, and all of it there, as far as that is cheap.

    Damage inside of its pages is found by who reads them. Nothing is changed, and no lock of this process is lost.
    Raises UsageError or NotADatabase with a sentence for each kind of file that it is not, and Locked.
    """
    check_file(path)
    with _damage_told_first(path), errors_named(path), connect_file(path, read_only=True) as db:
        db.execute("BEGIN")
        tables = db.execute("SELECT count(*) FROM sqlite_schema WHERE type = 'table'").fetchone()[0]
        # In a read transaction, so that it is not one who writes just now that has not come to the end.
        if cut := truncation(path):
            raise UsageError(cut)
        if not tables:
            raise NotADatabase(f"{path} is a SQLite database without any table.")


@contextmanager
def _damage_told_first(path: Path) -> Iterator[None]:
    """Damage that is found before any work was begun is bad input."""
    try:
        yield
    except CannotFinish as problem:
        if _is_corrupt(problem.__cause__):
            raise UsageError(str(problem)) from problem.__cause__
        raise


def check_sound(path: Path) -> None:
    """Make sure that pages and indexes of a database are sound, by PRAGMA integrity_check, which reads the whole file.

    A value that breaks a rule is dirt, not damage, and is not told here; nor is what SQLite has no means to see, such
    as a flipped bit inside a value without an index. Raises UsageError.
    """
    with errors_named(path), connect_file(path, read_only=True) as db:
        if text := _first_damage(db, "main", check="integrity_check"):
            raise UsageError(damage(path, text))


def is_wal(path: Path) -> bool:
    """Whether the file is in write-ahead-log mode, by its header."""
    try:
        return read_header(path).is_wal
    except ValueError:
        return False


def check_writable(path: Path) -> None:
    """Raise UsageError where a file is a replica, which is only pulled: what is written to it would be lost."""
    from ptp.engine.replicas.files import check_no_replica  # which needs this module

    check_no_replica(path, doing="written to")


@contextmanager
def connect_file(
    path: Path, *, read_only: bool = False, busy_timeout_ms: int | None = None
) -> Iterator[sqlite3.Connection]:
    """A plain connection in autocommit mode, closed at the end; transactions are begun and ended by SQL.

    A read-only connection never creates the file and never writes to it, and leaves nothing beside it.
    Raises UsageError for a file that must not be written to.
    """
    if not read_only:
        check_writable(path)
    timeout = (BUSY_TIMEOUT_MS if busy_timeout_ms is None else busy_timeout_ms) / 1000
    with without_traces(path) if read_only else nullcontext():
        uri = read_only_uri(path) if read_only else f"{file_uri(path)}?mode=rwc"
        with (
            closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=timeout)) as db,
            _damage_found(db, path),
        ):
            yield db


@contextmanager
def attach_read_only(**databases: Path) -> Iterator[sqlite3.Connection]:
    """An in-memory database with files attached under the given names, each only read, in one read transaction."""
    with ExitStack() as stack:
        for path in databases.values():
            stack.enter_context(without_traces(path))
        db = stack.enter_context(closing(sqlite3.connect(":memory:", uri=True, isolation_level=None)))
        # Attached databases must share one encoding, which the main one takes before it is first used.
        with connect_file(next(iter(databases.values())), read_only=True) as first:
            encoding = first.execute("PRAGMA encoding").fetchone()[0]
        db.execute(f"PRAGMA encoding = '{encoding}'")
        db.execute("PRAGMA temp_store = FILE")
        for name, path in databases.items():
            db.execute(f"ATTACH ? AS {name}", (read_only_uri(path),))
        with _damage_found(db, *databases.values()):
            db.execute("BEGIN")
            yield db


@contextmanager
def _damage_found(db: sqlite3.Connection, *given: Path) -> Iterator[None]:
    """Say which of the files of a connection is damaged, and where, when SQLite says only that one is.

    An error about damage may come from another connection: then this one's files are found whole, and it passes on.
    The search reads the files, and is made only when there is nothing left to do but to tell.
    """
    try:
        yield
    except (sqlite3.DatabaseError, CannotFinish) as problem:  # the latter where it was named after the file written to
        if not _is_corrupt(problem) and not _is_corrupt(problem.__cause__):
            raise
        for _, name, file in db.execute("PRAGMA database_list").fetchall():
            if file and (text := _first_damage(db, name)):
                path = next((p for p in given if p.exists() and p.samefile(file)), Path(file))
                raise CannotFinish(damage(path, text)) from problem.__cause__ or problem
        raise


def _first_damage(db: sqlite3.Connection, name: str, *, check: str = "quick_check") -> str:
    """The first damage that SQLite's own check finds; empty where there is none, or the check cannot be made."""
    try:
        # One line first: looking for more can fail on the damage itself, and then the driver loses the line it had.
        for limit in (1, _PROBLEMS):
            lines = [str(row[0]) for row in db.execute(f"PRAGMA {quoted(name)}.{check}({limit})")]
            if found := [line for line in lines if line != "ok" and not line.startswith(_DIRT)]:
                return found[0].splitlines()[-1]
            if lines == ["ok"]:
                break
    except sqlite3.DatabaseError as problem:
        return str(problem) if _is_corrupt(problem) else ""
    return ""


def _is_corrupt(problem: BaseException | None) -> bool:
    return (getattr(problem, "sqlite_errorname", None) or "").startswith("SQLITE_CORRUPT")


@contextmanager
def without_traces(path: Path) -> Iterator[None]:
    """Remove the empty log, and its index, that SQLite leaves where a database in WAL mode was only read.

    Only where there was none before and the log is empty still; and SQLite itself does it, by a connection that could
    write: it removes them under its own exclusive lock, so never under another who has the file open. Where the file
    may not be written they stay: nothing but such a connection could know that nobody else uses them.
    """
    had_none = not companion(path, "-wal").exists()
    try:
        yield
    finally:
        if had_none and companion(path, "-wal").exists() and not companion_bytes(path, "-wal"):
            _let_sqlite_tidy(path)


def _let_sqlite_tidy(path: Path) -> None:
    if not os.access(path, os.W_OK):
        return
    with (
        suppress(sqlite3.Error),  # another one has it: then it is that one's
        closing(sqlite3.connect(f"{file_uri(path)}?mode=rw", uri=True, isolation_level=None, timeout=0)) as db,
    ):
        db.execute("SELECT count(*) FROM sqlite_schema").fetchone()


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
    log = companion(path, "-wal")
    frozen = not os.access(log.parent, os.W_OK) and path.is_file() and is_wal(path)
    frozen = frozen and not companion_bytes(path, "-wal")
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
        return CannotFinish(damage(path, text))
    if text.startswith("Could not decode to UTF-8"):  # of which the rest is the text itself
        column = "".join(text.split("'")[1:2])
        return CannotFinish(f"{path} holds a text that is not UTF-8, in a column {column}. Mend it, and try again.")
    if code == "SQLITE_READONLY_ROLLBACK":
        return UsageError(hot_journal(path))
    if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return UsageError(not_opened(path, text))
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
