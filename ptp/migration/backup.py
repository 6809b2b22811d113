"""Backup: a consistent copy through SQLite's own backup, proven by comparing content, never by its size or a check.

The copy is made in one step and in one read transaction; a stepped one begins anew at every write. Then it is restored
into a scratch file, the way `restore` does it, and that is compared with the source as it was in that transaction:

- in WAL mode row by row, under the same snapshot. Writers go on; the log grows while the snapshot is held.
- in rollback-journal mode a snapshot is a lock that holds writers back, so it is held only until the copy's bytes have
  been compared with the source's, and the restored rows are compared with the copy's.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ptp.engine import attach_read_only, connect_file, errors_named, is_wal
from ptp.engine.bad_files import damage
from ptp.engine.files import read_only_uri
from ptp.errors import CannotFinish, DiskFull, Locked
from ptp.migration.build import partial_of, remove_partial
from ptp.migration.record import Record, digest_of, record_of, stamp, write_record
from ptp.migration.same import Compared, compare, same_bytes
from ptp.settings import load_settings

Progress = Callable[[float, str], None]
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Backup:
    """A proven backup: its file, its size in bytes, its rows, and the tables whose content was compared."""

    path: Path
    bytes: int
    rows: int
    tables: int


def take_backup(source: Path, copy: Path, *, progress: Progress, record: bool = False) -> Backup:
    """Copy `source` to `copy` in one step and prove the copy; with a `record` beside it, it can be proven later too.

    Raises Locked when the source cannot be read within the busy timeout, DiskFull, and CannotFinish when what comes
    back from the copy differs. The copy gets its name only when it is proven; otherwise nothing is left.
    """
    with errors_named(source), snapshot(source) as held:
        return keep(held, copy, progress=progress, record=record)


@dataclass(frozen=True, slots=True)
class Held:
    """An open database that does not change for its connection; with `raw`, its file's bytes do not change either.

    Closing any handle on a file drops all locks of the process on it, so `raw` is closed after the connection.
    """

    path: Path
    db: sqlite3.Connection
    raw: BinaryIO | None
    journal_mode: str


@contextmanager
def snapshot(source: Path) -> Iterator[Held]:
    """A database in a read transaction, with its bytes where the file alone is all of it."""
    with ExitStack() as stack:
        raw = None if is_wal(source) else stack.enter_context(source.open("rb"))
        timeout = load_settings().busy_timeout_ms
        db = stack.enter_context(connect_file(source, read_only=True, busy_timeout_ms=timeout))
        db.execute("BEGIN")
        mode = db.execute("PRAGMA journal_mode").fetchone()[0]
        db.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # takes the lock, or says that it cannot be had
        is_file_alone = raw is not None and mode != "wal"
        yield Held(source, db, raw if is_file_alone else None, "delete" if is_file_alone else "wal")


def keep(held: Held, copy: Path, *, progress: Progress, record: bool, damaged_too: bool = False) -> Backup:
    """Copy an open database and prove the copy.

    With `damaged_too` a copy that has the source's bytes is kept even where damage keeps its rows from being read; its
    record then says that it is not proven.
    """
    partial, scratch = partial_of(copy), _scratch_of(copy)
    try:
        with errors_named(copy):
            remove_partial(copy)
            remove_partial(scratch)
            facts = _facts(held)
            started = time.perf_counter()
            progress(0.0, "backing up")
            copy_into(held.db, partial)
            sync(partial)
            copied = time.perf_counter()
            found = _proven(held, partial, scratch, progress, damaged_too=damaged_too)
            seconds = {"backup": copied - started, "proof": time.perf_counter() - copied}
            if record:
                write_record(copy, _record(held.path, partial, facts, found, seconds))
            partial.replace(copy)
            sync(copy.parent)
        rows = found.rows if found else {}
        return Backup(copy, copy.stat().st_size, sum(rows.values()), len(rows))
    finally:
        remove_partial(copy)
        remove_partial(scratch)
        if record and not copy.exists():
            record_of(copy).unlink(missing_ok=True)


def copy_into(db: sqlite3.Connection, path: Path) -> None:
    """Copy the main database of a connection into a new file in one step; it is not synced."""
    with connect_file(path) as new:
        new.execute("PRAGMA journal_mode = OFF")
        new.execute("PRAGMA synchronous = OFF")
        step(db, new, path)
        # A file in WAL mode is read only with files beside it; a backup is one file.
        new.execute("PRAGMA journal_mode = DELETE")


def step(db: sqlite3.Connection, into: sqlite3.Connection, named: Path) -> None:
    """SQLite's backup in one step; raises Locked, naming `named`, where it would wait for a lock without end."""
    deadline = time.monotonic() + load_settings().busy_timeout_ms / 1000

    def watch(status: int, _remaining: int, _pages: int) -> None:
        if status & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() >= deadline:
            raise Locked(f"{named} is locked by another process. Wait for it, or end it, and run the command again.")

    db.backup(into, pages=-1, progress=watch, sleep=0.01)


def prove_copy(source: Path, copy: Path, *, progress: Progress) -> Backup:
    """Compare all that `copy` holds with `source`, which nobody may be writing to.

    Raises CannotFinish naming the first table that differs.
    """
    with errors_named(copy), attach_read_only(source=source, copy=copy) as db:
        found = _equal(compare(db, here="source", there="copy", progress=progress), copy)
        return Backup(copy, copy.stat().st_size, sum(found.rows.values()), len(found.rows))


def restored_rows(backup: Path, scratch: Path, *, progress: Progress) -> Mapping[str, int]:
    """Restore a backup into a new scratch file, compare both, and give the rows by table; the file is removed.

    Raises CannotFinish where something else comes back.
    """
    try:
        with errors_named(backup):
            remove_partial(scratch)
            return _back_and_forth(backup, scratch, progress).rows
    finally:
        remove_partial(scratch)


def _proven(held: Held, copy: Path, scratch: Path, progress: Progress, *, damaged_too: bool) -> Compared | None:
    """Compare what comes back from `copy` with the source; None where damage in both keeps it from being read."""
    if held.raw is None:
        restored = _restored(copy, scratch, progress)
        held.db.execute("ATTACH ? AS restored", (read_only_uri(restored),))
        found = compare(held.db, here="main", there="restored", progress=_part(progress))
        held.db.execute("COMMIT")
        return _equal(found, copy)
    progress(0.2, "comparing bytes")
    _equal(Compared({}, same_bytes(held.raw, copy)), copy)
    if held.db.in_transaction:
        held.db.execute("COMMIT")  # the writers' turn
    try:
        return _back_and_forth(copy, scratch, progress)
    except (sqlite3.DatabaseError, CannotFinish) as problem:
        cause = problem.__cause__ or problem
        if "CORRUPT" not in getattr(cause, "sqlite_errorname", ""):
            raise
        if damaged_too:
            return None
        raise CannotFinish(damage(held.path, str(cause))) from problem  # its bytes are the copy's


def _back_and_forth(copy: Path, scratch: Path, progress: Progress) -> Compared:
    """Restore `copy` into a scratch file and compare that with it, row by row."""
    with attach_read_only(backup=copy, restored=_restored(copy, scratch, progress)) as db:
        return _equal(compare(db, here="backup", there="restored", progress=_part(progress)), copy)


def _restored(copy: Path, scratch: Path, progress: Progress) -> Path:
    progress(0.3, "restoring into a scratch file")
    with connect_file(copy, read_only=True) as db:
        copy_into(db, partial_of(scratch))
    return partial_of(scratch)


def _part(progress: Progress) -> Progress:
    """Progress of the comparison, the second part of the work."""
    return lambda share, text: progress(0.4 + 0.6 * share, f"proving the backup: {text}")


def _equal(found: Compared, copy: Path) -> Compared:
    if found.difference:
        raise CannotFinish(f"The backup {copy} is not the source: {found.difference}. Is the disk failing?")
    return found


def _facts(held: Held) -> dict[str, Any]:
    """What the record tells of the source's header."""
    names = ("page_size", "encoding", "application_id", "user_version")
    found = {name: held.db.execute(f"PRAGMA main.{name}").fetchone()[0] for name in names}
    return {**found, "journal_mode": held.journal_mode, "taken": stamp()}


def _record(
    source: Path, copy: Path, facts: Mapping[str, Any], found: Compared | None, seconds: Mapping[str, float]
) -> Record:
    return Record(
        source=str(source),
        bytes=copy.stat().st_size,
        blake2b=digest_of(copy),
        rows=found.rows if found else {},
        sqlite=sqlite3.sqlite_version,
        seconds={name: round(value, 3) for name, value in seconds.items()},
        proven=stamp() if found else "",
        **facts,
    )


def _scratch_of(copy: Path) -> Path:
    return copy.with_name(copy.name + ".scratch")


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fingerprint(path: Path) -> str:
    """A hash of the database's bytes, its write-ahead log included: equal before and after, nobody wrote to it."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (path, path.with_name(path.name + "-wal")):
        for chunk in _chunks(part):
            digest.update(chunk)
    return digest.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    if path.is_file():
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk


def check_space(folder: Path, *, needed_bytes: int) -> None:
    """Raise DiskFull before anything is written when `folder` has not the room."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise DiskFull(
            f"{folder} has {free / 1e6:,.0f} MB free, and this needs about {needed_bytes / 1e6:,.0f} MB: "
            "free some space, or name another folder with --out and --target."
        )
