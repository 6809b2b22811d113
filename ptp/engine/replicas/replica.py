"""A local read-only replica: a file that pulls from a remote, and is read as fast as any file.

It never pushes, and no statement that writes reaches it: Turso Sync carries rows by what changed in them, not by pages,
from a file to its remote, so a table that was rebuilt there is lost on both sides, a renamed column, a view or a
trigger does not arrive, and of two rows that clash the local one is dropped at the next pull. The way down has none of
this: a pull brings the primary's pages.

How far behind it is, is told by its own clock and nothing else: what the primary had when the last pull was begun, the
replica shows. So it lacks at most what was written since (`Freshness.age_s`), and nothing need be written to measure.
"""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ptp.engine.occupied import Hold
from ptp.engine.replicas import files
from ptp.engine.replicas.files import Notes
from ptp.engine.replicas.guarded import ReplicaConnection
from ptp.engine.replicas.primary import Row, read_primary
from ptp.engine.replicas.transport import Remote, run
from ptp.engine.replicas.waiting import with_retries
from ptp.errors import CannotFinish

CHECKPOINT_BYTES = 4 * 1024 * 1024
"""From this size on, the log is written back into the file after a pull, where no reader stands in the way."""
_CLOCK_SLACK_S = 1.0


@dataclass(frozen=True, slots=True)
class Freshness:
    """How fresh a replica is: `current_at`, a Unix time, is when it last had everything that the primary had.

    `age_s` are the seconds since, None where the clock was set back since.
    """

    remote: str
    current_at: float
    age_s: float | None


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull did: whether there was anything new, seconds, attempts, and bytes that came."""

    changed: bool
    seconds: float
    attempts: int
    received: int


class Replica:
    """An open replica, from `making`; the file is this process's alone until `close`.

    Any thread may pull, one at a time; each thread reads through a connection of its own.
    """

    def __init__(self, path: Path, remote: Remote, database: Any, notes: Notes, held: Hold) -> None:
        """Take what was opened and checked, and the hold on the file."""
        self.path, self.notes = path, notes
        self._remote, self._database = remote, database
        self._held = held
        self._pulling = threading.Lock()

    def __enter__(self) -> Replica:
        """The replica itself."""
        return self

    def __exit__(self, *_problem: object) -> None:
        """Close it."""
        self.close()

    def connect(self) -> ReplicaConnection:
        """A new connection that only reads."""
        turso = importlib.import_module("turso.lib")
        result = run(self._opened(), self._opened().connect(), self._remote)
        inner = turso.Connection(result.connection, isolation_level=None)
        inner.execute("PRAGMA query_only = 1")
        if inner.execute("PRAGMA query_only").fetchone() != (1,):
            raise CannotFinish("This pyturso does not keep a connection from writing; ptp cannot read a replica by it.")
        return ReplicaConnection(inner)

    def pull(self) -> Pulled:
        """Bring the primary's newest content; all of it becomes visible at once, or none.

        Doing it twice does no more than once, so it is tried again where the network fails. Readers wait for
        the moment in which it is put in place, and for nothing else.
        Raises Unreachable when the attempts are used up: the replica stays as it was, and reads go on.
        """
        with self._pulling:
            started, before = time.perf_counter(), self._remote.received
            (changed, began), attempts = with_retries(self._pull, self._remote.patience)
            self._note(began)
            self._shorten_log()
            return Pulled(changed, time.perf_counter() - started, attempts, self._remote.received - before)

    def has_news(self) -> bool:
        """Whether the primary has what this replica does not show; asked now, and nothing is applied.

        Raises Unreachable where the primary does not answer.
        """
        with self._pulling:
            (changes, began), _attempts = with_retries(self._news, self._remote.patience)
            has_news = changes is not None and not changes.empty()
            if not has_news:
                self._note(began)
            return has_news

    def freshness(self) -> Freshness:
        """How fresh it is, without asking anybody."""
        return freshness_of(self.notes)

    def close(self) -> None:
        """Let go of the file; connections that are open still must be closed first."""
        self._database = None
        self._held.release()

    def local_changes(self) -> int:
        """Changes that another program made to this file and never pushed; a replica has none."""
        return int(run(self._opened(), self._opened().stats(), self._remote).stats.cdc_operations)

    def _opened(self) -> Any:
        if self._database is None:
            raise CannotFinish(f"The replica {self.path} was closed.")
        return self._database

    def read_primary(self, sql: str, values: Sequence[int | str] = (), /) -> list[Row]:
        """All rows that the primary itself gives for one statement that reads, which it may bill."""
        return read_primary(self._remote, sql, values)

    def _note(self, current_at: float) -> None:
        self.notes = replace(self.notes, current_at=current_at, log_bytes=files.log_bytes(self.path))
        files.write_notes(self.path, self.notes)

    def _news(self) -> tuple[Any, float]:
        began = time.time()
        return run(self._opened(), self._opened().wait_changes(), self._remote).changes, began

    def _pull(self) -> tuple[bool, float]:
        changes, began = self._news()
        if changes is None or changes.empty():
            return False, began
        run(self._opened(), self._opened().apply_changes(changes), self._remote)
        return True, began

    def _shorten_log(self) -> None:
        stats = run(self._opened(), self._opened().stats(), self._remote).stats
        if stats.main_wal_size < CHECKPOINT_BYTES:
            return
        noted = self.notes
        files.write_notes(self.path, replace(noted, log_bytes=0))  # as it may be if we are killed now
        try:
            run(self._opened(), self._opened().checkpoint(), self._remote)
        except CannotFinish as problem:  # a reader is in its transaction: the next pull tries again
            if "busy" not in str(problem):
                raise
        self._note(noted.current_at)


def freshness_of(notes: Notes) -> Freshness:
    """How fresh the replica of these notes is."""
    age = time.time() - notes.current_at
    return Freshness(notes.remote, notes.current_at, None if age < -_CLOCK_SLACK_S else max(age, 0.0))
