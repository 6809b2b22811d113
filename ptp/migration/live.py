"""An online migration while the source is written to: capture, copy in chunks, catch up, look again at what changed.

No read of the source lasts longer than one chunk or one replay, as a snapshot that is held keeps the write-ahead log
from being reset. A replay takes everything that was logged until its snapshot: away first with all the keys, then in
with the rows that are there; so the target is the source of that moment, and unique values may have changed places.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from ptp.engine import moves
from ptp.engine.files import file_uri
from ptp.engine.moves import Move, writing
from ptp.errors import CannotFinish, DirtySource
from ptp.migration import journal
from ptp.migration.build import sync
from ptp.migration.capture import LOG
from ptp.migration.online import Chunks, OnlinePlan, Replay
from ptp.migration.plan import Statement

Progress = Callable[[float, str], None]
_FIRST, _LAST = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True)
class Pace:
    """How an online migration goes about it: rows a chunk, and in seconds the pause that a cut over may cause, the
    deadline after which anyone may lift its freeze, and how long catching up may take.
    """

    rows: int = 50_000
    pause: float = 0.05
    deadline: float = 2.0
    patience: float = 300.0


class NextDatabase:
    """The database that is built, with the live source attached, and how far it has followed it."""

    def __init__(self, path: Path, plan: OnlinePlan, bound: Mapping[str, str | int]) -> None:
        """Build in a new file; `bound` are the values that the plan's statements bind."""
        self.path = path
        self._plan = plan
        self._bound = {**bound, "phase": "build", "plan": plan.hash, "seconds": 0.0}
        self._is_armed = False
        self.replayed = 0
        self.keys = 0
        self.db = _connect(path)

    def prepare(self) -> None:
        """Create the tables, and attach the source."""
        for statement in self._plan.build:
            self._execute(statement)
        self._create_keys()

    def _create_keys(self) -> None:
        for replay in self._plan.replays:
            self.db.execute(replay.create)

    def close(self) -> None:
        """Close the file; the last one to do so folds its write-ahead log."""
        self.db.close()

    def copy(self, pace: Pace, *, between: Callable[[], None], progress: Progress) -> None:
        """Copy every table in chunks; `between` is called where no snapshot is held."""
        total = sum(c.rows for c in self._plan.chunks) or 1
        done = 0
        for chunks in self._plan.chunks:
            for copied in self._chunks(chunks, pace.rows):
                between()
                progress(min(1.0, (done + copied) / total), f"copying {chunks.name}")
            done += chunks.rows

    def _chunks(self, chunks: Chunks, rows: int) -> Iterator[int]:
        if not chunks.bound:
            with self.snapshot():
                self._copy(chunks, {})
            yield chunks.rows
            return
        low, copied = _FIRST, 0
        # What is added after the first look is in the log: a table that grows all the time would have no last row.
        (last,) = self.db.execute(chunks.last).fetchone()
        while last is not None:
            with self.snapshot():
                (high,) = self.db.execute(chunks.bound, {"low": low, "rows": rows}).fetchone()
                if high is not None:
                    self._copy(chunks, {"low": low, "high": high})
            if high is None:
                return
            low, copied = high + 1, copied + rows
            yield copied
            if high >= last:
                return

    def _copy(self, chunks: Chunks, span: Mapping[str, int]) -> None:
        with self._as_they_are() if chunks.is_carried else nullcontext():
            for sql in (chunks.sql, *chunks.keeps):
                self.db.execute(sql, {**self._bound, **span})

    @contextmanager
    def _as_they_are(self) -> Iterator[None]:
        """A carried table keeps its rows as they are, those included that break a CHECK rule added later."""
        self.db.execute("PRAGMA ignore_check_constraints = ON")
        try:
            yield
        finally:
            self.db.execute("PRAGMA ignore_check_constraints = OFF")

    def finish(self, progress: Progress) -> None:
        """Create indexes, derived tables and triggers; then the file can be written to safely."""
        started = time.perf_counter()
        with self.snapshot():
            for number, statement in enumerate(self._plan.finish):
                progress(number / len(self._plan.finish), f"building: {statement.kind}")
                self._bound["seconds"] = time.perf_counter() - started
                self._execute(statement)
        self.db.execute("PRAGMA main.journal_mode = WAL")
        self.db.execute("PRAGMA main.synchronous = NORMAL")

    @contextmanager
    def snapshot(self, *, durable: bool = False) -> Iterator[None]:
        """One transaction: the source is seen as it is at its first look. A durable one is on the disk at its end."""
        if durable:
            self.db.execute("PRAGMA main.synchronous = FULL")
        self.db.execute("BEGIN")
        try:
            yield
            self.db.execute("COMMIT")
        except sqlite3.IntegrityError as problem:
            self._roll_back()
            raise DirtySource(
                f"The source took values during the migration that its successor refuses ({problem}). Nothing was "
                "moved. Mend them, and run the command again."
            ) from problem
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        if self.db.in_transaction:
            self.db.execute("ROLLBACK")

    def replay(self) -> int:
        """Within a snapshot, follow the source to it; how many keys had changed. Their tables hold them afterwards."""
        (until,) = self.db.execute(f"SELECT coalesce(max(id), 0) FROM source.{LOG}").fetchone()
        changed = self.gather(self.replayed, until)
        with self._unguarded() if changed else nullcontext():
            for replay in changed:
                self._refuse_dirt(replay)
                self.db.execute(replay.delete)
            for replay in changed:
                with self._as_they_are() if replay.is_carried else nullcontext():
                    for sql in (replay.insert, *replay.keeps):
                        self.db.execute(sql, self._bound)
        self.replayed = until
        return self.keys

    @contextmanager
    def _unguarded(self) -> Iterator[None]:
        """Within a transaction: let this connection write past its own guard. Nobody else sees it open."""
        if self._is_armed:
            moves.change_move(self.db, expected="next", state="open")
        yield
        if self._is_armed:
            self.db.execute(f"DELETE FROM main.{LOG}")
            moves.change_move(self.db, expected="open", state="next")

    def gather(self, after: int, until: int) -> list[Replay]:
        """Put the keys that were logged after one place up to another into their tables; the replays that have any."""
        self.keys = 0
        changed = []
        for replay in self._plan.replays:
            self.db.execute(f"DELETE FROM {replay.keys}")
            found = 0 if after == until else self.db.execute(replay.gather, {"after": after, "until": until}).rowcount
            changed += [replay] if found else []
            self.keys += found
        return changed

    def changed_since(self, place: int) -> list[Replay]:
        """The replays that anything was logged for since a place, up to the one that is reached, with keys gathered."""
        return self.gather(place, self.replayed)

    def _refuse_dirt(self, replay: Replay) -> None:
        found = self.db.execute(replay.dirty).fetchone() if replay.dirty else None
        if found:
            raise DirtySource(
                f"During the migration the source came to hold a value that does not convert exactly: "
                f"{replay.source}, key {found[0]}, {found[1]}. Nothing was moved. Mend it, and run the command again."
            )

    def arm(self, move: Move, target: Path) -> None:
        """Put guard and capture into the finished file, and give it its name, which nobody can write to yet."""
        with self.snapshot():
            for sql in self._plan.reverse:
                self.db.execute(sql)
            moves.enter_move(self.db, move)
        self.db.close()
        place(self.path, target)
        self.path = target
        self.db = _connect(target)
        self.db.execute("ATTACH :source AS source", self._bound)
        self.db.execute("PRAGMA foreign_keys = OFF")
        self.db.execute("PRAGMA synchronous = NORMAL")
        self._create_keys()
        self._is_armed = True

    def complete(self, *, seconds: float) -> None:
        """Within the last snapshot: marks, the triggers that were held back, and the line in the journal."""
        with self._unguarded():
            for statement in self._plan.last:
                self._execute(statement)
        self.db.execute(journal.PHASE_SQL, {**self._bound, "phase": "cut over", "seconds": seconds})

    def open(self) -> None:
        """Let everyone write, once the source says that it has moved."""
        with writing(self.db, synchronous="NORMAL"):
            moves.change_move(self.db, expected="next", state="open", phase="settle")

    def _execute(self, statement: Statement) -> None:
        self.db.execute(statement.sql, self._bound).fetchall()


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{file_uri(path)}?mode=rwc", uri=True, isolation_level=None)


def place(partial: Path, target: Path) -> None:
    """Give a finished database its name, on the disk; nobody may have it open."""
    if target.exists():
        raise CannotFinish(f"{target} came to exist during the migration: name another target.")
    sync(partial)
    partial.rename(target)
    sync(target.parent)


def catch_up(db: NextDatabase, pace: Pace, *, between: Callable[[], None], until: float, once: bool = False) -> None:
    """Replay until a round is as short as the pause allows, or only once.

    Raises CannotFinish when `until`, by the monotonic clock, has passed.
    """
    while True:
        started = time.perf_counter()
        with db.snapshot():
            db.replay()
        took = time.perf_counter() - started
        between()
        if once or took < pace.pause / 4:
            return
        if time.monotonic() > until:
            raise CannotFinish(
                f"The source is written to faster than its successor can follow within {pace.patience:g} s (the last "
                f"round took {took:.3f} s for {db.keys} keys). Nothing was moved. Try at a quieter time."
            )
