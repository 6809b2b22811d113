"""Restore: a backup comes back into the open database as one transaction, so whoever dies, one of both is whole.

The file is never renamed over, nor its log removed by hand: SQLite itself folds the log in and removes it before, and
the file stays the one that others may open meanwhile. Where there is no file, or an empty one, the restored one is
built beside its name and gets it when it is whole; what an older file left there (a log or a journal, which SQLite
would replay over the new one) is removed first.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ptp.engine import attach_read_only, connect_file, errors_named
from ptp.engine.files import read_only_uri
from ptp.engine.headers import MAGIC, companion, first_bytes
from ptp.errors import CannotFinish, Locked, NotADatabase, PtpError
from ptp.migration.backup import Held, copy_into, keep, step, sync
from ptp.migration.build import partial_of, remove_partial
from ptp.migration.same import Compared, compare, count_rows, same_bytes
from ptp.results import write_json
from ptp.settings import load_settings

Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Restore:
    """A restore that is under way: the backup, what it replaces, where that is kept, and the journal modes of both."""

    backup: Path
    target: Path
    aside: Path
    journal_mode: str
    started: str


def restore(todo: Restore, note: Path, *, progress: Progress) -> Mapping[str, int]:
    """Bring a backup back, compare what then stands in the target with it, and give the rows by table.

    What is replaced is kept as a backup of its own before the first change, with its record. `note` says meanwhile what
    is under way; one that is left was of a restore that was cut off, see `settle`.
    Raises Locked where anybody has the target open, DiskFull, and CannotFinish.
    """
    try:
        if _holds_something(todo.target):
            found = _into_the_open_file(todo, note, progress)
        else:
            found = _into_no_file(todo, progress)
    except sqlite3.Error as problem:
        raise CannotFinish(f"{todo.target} could not be restored: {problem}.") from problem
    if found.difference:
        raise CannotFinish(
            f"{todo.target} is not what {todo.backup} holds: {found.difference}. Is the disk failing? "
            f"What was there before is in {todo.aside}."
        )
    return found.rows


def _holds_something(target: Path) -> bool:
    """Whether there is a database; raises Locked for an empty file in use, NotADatabase for one of another kind."""
    if not target.exists():
        return False
    head = first_bytes(target, len(MAGIC))
    if not head:
        _refuse_others(target)
    elif head != MAGIC:
        raise NotADatabase(
            f"{target} is not a SQLite database, or is encrypted. To restore in its place, move it away (and what "
            "stands beside it with -wal, -shm or -journal behind its name), and run the command again."
        )
    return bool(head)


def _into_the_open_file(todo: Restore, note: Path, progress: Progress) -> Compared:
    with errors_named(todo.target), alone(todo.target) as held, connect_file(todo.backup, read_only=True) as back:
        mode = held.journal_mode
        write_json(note, _note(todo, before=mode))
        # A connection cannot read its own database any more when the encoding of that has changed.
        is_readable = len({db.execute("PRAGMA encoding").fetchone()[0] for db in (held.db, back)}) == 1
        try:
            _leave_log(held.db)
            keep(held, todo.aside, progress=_part(progress, 0, 0.5), record=True, damaged_too=True)
            progress(0.5, "restoring")
            step(back, held.db, todo.target)
            found = Compared(count_rows(back), same_bytes(held.raw, todo.backup) if held.raw else "")
            mode = todo.journal_mode
        finally:
            with suppress(sqlite3.Error):  # when the disk is full, the note says what is to be put back
                held.db.execute(f"PRAGMA main.journal_mode = {mode}")
        if is_readable and not found.difference:
            held.db.execute("PRAGMA shrink_memory")  # what is compared is to be read from the file
            held.db.execute("ATTACH ? AS backup", (read_only_uri(todo.backup),))
            found = compare(held.db, here="backup", there="main", progress=_part(progress, 0.6, 1))
    if not found.difference:
        _set_mode(todo.target, todo.journal_mode)
        note.unlink(missing_ok=True)
    return found


def _note(todo: Restore, *, before: str) -> dict[str, str]:
    places = {name: str(getattr(todo, name).absolute()) for name in ("backup", "target", "aside")}
    return {**places, "journal_mode": todo.journal_mode, "started": todo.started, "before": before}


def _set_mode(target: Path, mode: str) -> None:
    """Put a database into a journal mode, with no journal beside it that one who was killed has left, done with."""
    with errors_named(target), connect_file(target) as db:
        if (db.execute("PRAGMA journal_mode").fetchone()[0] == "wal") != (mode == "wal"):
            db.execute(f"PRAGMA journal_mode = {mode}")
        if mode != "wal":
            db.execute("PRAGMA journal_mode = PERSIST")
            db.execute("PRAGMA journal_mode = DELETE")  # coming from PERSIST, SQLite removes it under its own lock


def _into_no_file(todo: Restore, progress: Progress) -> Compared:
    partial = partial_of(todo.target)
    try:
        with errors_named(todo.target):
            remove_partial(todo.target)
            progress(0.1, "restoring")
            with connect_file(todo.backup, read_only=True) as back:
                copy_into(back, partial)
            with attach_read_only(backup=todo.backup, copy=partial) as db:
                found = compare(db, here="backup", there="copy", progress=_part(progress, 0.4, 1))
            if not found.difference:
                with connect_file(partial) as db:
                    db.execute(f"PRAGMA journal_mode = {todo.journal_mode}")
                sync(partial)
                for suffix in ("-wal", "-shm", "-journal"):
                    companion(todo.target, suffix).unlink(missing_ok=True)
                sync(todo.target.parent)
                partial.replace(todo.target)
                sync(todo.target.parent)
        return found
    finally:
        remove_partial(todo.target)


@contextmanager
def alone(target: Path) -> Iterator[Held]:
    """The database with nobody else in it: every other connection is refused until the end.

    Raises Locked, naming the processes where the system tells them. A connection that does nothing holds no lock
    unless the database is in WAL mode, so open files are looked for too.
    """
    _refuse_others(target)
    with ExitStack() as stack:
        raw = stack.enter_context(target.open("rb"))  # closed last: see Held
        timeout = load_settings().busy_timeout_ms
        db = stack.enter_context(connect_file(target, busy_timeout_ms=timeout))
        try:
            db.execute("PRAGMA main.locking_mode = EXCLUSIVE")
            mode = db.execute("PRAGMA main.journal_mode").fetchone()[0]
            db.execute("BEGIN EXCLUSIVE")  # the lock stays after the end of this transaction
            db.execute("COMMIT")
        except sqlite3.OperationalError as problem:
            if problem.sqlite_errorname.startswith("SQLITE_BUSY"):
                raise Locked(f"{target} is open in another program. End it, and run the command again.") from problem
            raise
        yield Held(target, db, raw, "wal" if mode == "wal" else "delete")


def _refuse_others(target: Path) -> None:
    if others := processes_with(target):
        raise Locked(f"{target} is open in process {', '.join(map(str, others))}. End it, and run the command again.")


def _leave_log(db: sqlite3.Connection) -> None:
    """Let SQLite fold the write-ahead log into the file and remove it: then the file alone is the database."""
    if db.execute("PRAGMA main.journal_mode = DELETE").fetchone()[0] != "delete":
        raise CannotFinish("The write-ahead log could not be folded into the database; is another program using it?")


def processes_with(path: Path) -> list[int]:
    """The processes that have a file open, as far as this system tells (Linux does, for processes of one's own)."""
    wanted = path.stat()
    found = set()
    for entry in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            seen = entry.stat()
            if (seen.st_dev, seen.st_ino) == (wanted.st_dev, wanted.st_ino):
                found.add(int(entry.parts[2]))
    return sorted(found)


def settle(note: Path) -> str:
    """Say in one sentence how a restore ended that was cut off, put its journal mode back, and forget the note.

    The comparison is with the backup and with what was kept before it. Raises Locked while the restore goes on.
    """
    try:
        document = json.loads(note.read_text(encoding="utf-8"))
        target, backup, aside = (Path(document[name]) for name in ("target", "backup", "aside"))
        before, after = document["before"], document["journal_mode"]
    except (ValueError, KeyError, TypeError):
        note.unlink(missing_ok=True)
        return f"{note} was no note of a restore, and was removed."
    told = f"A restore of {target} from {backup} was cut off on {document.get('started', '')}"
    if not target.is_file():
        note.unlink(missing_ok=True)
        return f"{told}, and {target} is no longer there."
    with errors_named(target), connect_file(target) as db:
        db.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # SQLite takes back what was half done
    if _is(target, backup):
        mode, how = after, f"{target} is the backup, whole; what was there before is in {aside}"
    elif not aside.is_file() or _is(target, aside):
        mode, how = before, f"{target} is as it was before, whole; to restore it, run the command again"
    else:
        mode, how = "", f"{target} was written to since; compare it with {backup} and {aside}"
    if mode:
        _set_mode(target, "wal" if mode == "wal" else "delete")
    note.unlink(missing_ok=True)
    return f"{told}: {how}."


def _is(target: Path, other: Path) -> bool:
    try:
        with errors_named(target), attach_read_only(other=other, target=target) as db:
            return not compare(db, here="other", there="target", progress=lambda share, text: None).difference
    except Locked:
        raise
    except (sqlite3.Error, PtpError, OSError):  # it is gone, of another encoding, or damaged
        return False


def _part(progress: Progress, start: float, end: float) -> Progress:
    return lambda share, text: progress(start + share * (end - start), text)


def is_read_only(target: Path) -> bool:
    """Whether a database, or the folder in which one is to be, cannot be written."""
    return not os.access(target if target.exists() else target.parent, os.W_OK) or not os.access(target.parent, os.W_OK)
