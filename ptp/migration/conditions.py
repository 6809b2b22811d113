"""The conditions under which a migration begins: room, other programs, leftovers, SQLite itself, and old damage.

Nothing here refuses: what must stop a run is refused where it is done. This is what a reader should know of it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir

from ptp.engine import attach_read_only, quoted, read_inventory
from ptp.engine.headers import companion_bytes
from ptp.engine.locks import lock_of
from ptp.migration.restore import processes_with
from ptp.settings import temporary_folders

Version = tuple[int, ...]
_WITH_PROOF = 2.0  # times the source: the backup, and what is restored from it to prove it
_TARGET = 1.2  # times the source: indexes and derived tables come on top of the rows
_SORT = 0.5  # times the source: the largest sort of an index, and temporary tables
_LOCKS = Path("/proc/locks")
_TEMPORARY_TOO = ("/var/tmp", "/usr/tmp", "/tmp")


@dataclass(frozen=True, slots=True)
class Room:
    """Room in one folder: what it is for, the bytes that it takes at its most (estimated), and those that are free."""

    purpose: str
    folder: Path
    needed: int
    free: int


@dataclass(frozen=True, slots=True)
class Flaw:
    """A known way in which versions of SQLite can corrupt: since which one, and in which ones it is mended.

    `fixed` are the first mended releases of their branches in order; every version from the last on is mended.
    """

    name: str
    since: Version
    fixed: tuple[Version, ...]

    def affects(self, version: Version) -> bool:
        """Whether a version of SQLite has the flaw."""
        if version < self.since or version >= self.fixed[-1]:
            return False
        return not any(version[:2] == mended[:2] and version >= mended for mended in self.fixed)


FLAWS = (Flaw("a reset of the write-ahead log can corrupt", (3, 7, 0), ((3, 44, 6), (3, 50, 7), (3, 51, 3))),)
"""What the vendor's release notes name."""


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule that the source breaks before anything is done: which, and how many rows; None where it is not known."""

    table: str
    rule: str
    rows: int | None


def rooms(source: Path, *, target: Path, backup: Path) -> tuple[Room, ...]:
    """The room that a migration takes, by folder; `backup` is the folder of its backup. Folders need not exist yet."""
    size = source.stat().st_size + companion_bytes(source, "-wal")
    wanted = (
        ("backup, and its proof", backup, _WITH_PROOF),
        ("target", target.parent, _TARGET),
        ("sorting", temporary_folder(), _SORT),
    )
    return tuple(
        Room(purpose, folder, int(size * times), shutil.disk_usage(_existing(folder)).free)
        for purpose, folder, times in wanted
    )


def short_of_room(found: Sequence[Room]) -> tuple[str, ...]:
    """Where the room is not enough, in words: folders on one device share what is free there."""
    devices: dict[int, list[Room]] = {}
    for room in found:
        devices.setdefault(_existing(room.folder).stat().st_dev, []).append(room)
    return tuple(
        f"{', '.join(dict.fromkeys(str(r.folder) for r in group))}: {needed / 1e6:,.0f} MB needed, "
        f"{group[0].free / 1e6:,.0f} MB free"
        for group in devices.values()
        if (needed := sum(r.needed for r in group)) > group[0].free
    )


def temporary_folder() -> Path:
    """Where SQLite sorts: the first folder that it takes, in its own order (tempfiles.html, 5)."""
    for folder in (*temporary_folders(), *_TEMPORARY_TOO):
        if Path(folder).is_dir() and os.access(folder, os.W_OK | os.X_OK):
            return Path(folder)
    return Path(gettempdir())


def _existing(folder: Path) -> Path:
    """The folder, or the first above it that is there."""
    absolute = folder.absolute()
    return next(p for p in (absolute, *absolute.parents) if p.exists())


def leftovers(*places: Path) -> tuple[Path, ...]:
    """What earlier runs that were killed left beside databases that are to be made: `NAME.partial` and the like."""
    found = [p for place in places if place.parent.is_dir() for p in place.parent.glob(f"{place.name}*.partial*")]
    return tuple(sorted(dict.fromkeys(found)))


def other_processes(path: Path) -> tuple[int, ...]:
    """Processes besides this one that have a database open, as far as this system tells."""
    return tuple(p for p in processes_with(path) if p != os.getpid())


def locking_processes(path: Path, *, locks: Path = _LOCKS) -> tuple[int, ...]:
    """Processes besides this one that hold a lock on a database or its shared memory; none where nobody tells."""
    files = {s.st_ino for p in (path, path.with_name(f"{path.name}-shm")) if p.exists() for s in (p.stat(),)}
    found = set()
    with suppress(OSError):
        for line in locks.read_text(encoding="ascii", errors="replace").splitlines():
            words = line.replace("->", "").split()
            if len(words) > 5 and words[5].rpartition(":")[2] in map(str, files):
                found.add(int(words[4]))
    return tuple(sorted(found - {os.getpid(), -1}))


def is_migrated_by_another(path: Path) -> bool:
    """Whether another ptp holds the lock of a database; the file that it stands on is not made."""
    try:
        descriptor = os.open(lock_of(path), os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def flaws_of(version: Version = sqlite3.sqlite_version_info) -> tuple[Flaw, ...]:
    """The flaws that a version of SQLite is known to have."""
    return tuple(flaw for flaw in FLAWS if flaw.affects(version))


def breaches(source: Path, checks: Mapping[str, Sequence[str]]) -> tuple[Breach, ...]:
    """The rules of its own that a source breaks before anything is done: references, and CHECK rules.

    `checks` are conditions in SQL by table, as the source's text has them: SQLite itself does not evaluate them where
    a file is only read.
    """
    with attach_read_only(source=source) as db:
        inventory = read_inventory(db, schema="source")
        referring = [t.name for t in inventory.tables.values() if t.foreign_keys]
        return (*_unreferenced(db, referring), *_unheld(db, checks))


def _unreferenced(db: sqlite3.Connection, tables: Sequence[str]) -> Iterator[Breach]:
    """Rows whose parent is not there, by table and parent."""
    for table in tables:
        try:
            counted = Counter(row[2] for row in db.execute(f"PRAGMA source.foreign_key_check({quoted(table)})"))
        except sqlite3.OperationalError as problem:  # the parent's columns are no key
            yield Breach(table, f"REFERENCES: {problem}", None)
            continue
        for parent, rows in sorted(counted.items()):
            yield Breach(table, f"REFERENCES {parent}", rows)


def _unheld(db: sqlite3.Connection, checks: Mapping[str, Sequence[str]]) -> Iterator[Breach]:
    for table, conditions in checks.items():
        for condition, rows in zip(conditions, _broken(db, table, conditions), strict=True):
            if rows != 0:
                yield Breach(table, f"CHECK {condition}", rows)


def _broken(db: sqlite3.Connection, table: str, conditions: Sequence[str]) -> Sequence[int | None]:
    """How many rows break each condition: in one pass, or one by one where a condition cannot be evaluated."""
    counts = ", ".join(f"count(CASE WHEN NOT ({c}) THEN 1 END)" for c in conditions)
    try:
        found: Sequence[int | None] = db.execute(f"SELECT {counts} FROM source.{quoted(table)}").fetchone()
        return found
    except sqlite3.OperationalError:
        if len(conditions) == 1:
            return (None,)
        return [rows for c in conditions for rows in _broken(db, table, [c])]
