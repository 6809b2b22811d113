"""What was changed by which commit, as far as this process knows: by it a kept value is told from an outdated one.

A value is kept with the position of the database at which its reading began, and the names of what it depends on. It
is fresh while nothing that it depends on was changed by a later commit. Own writes say what they change; a commit that
nobody announced, of another process or past the cached queries, outdates everything.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias

from sqlalchemy import Connection, Engine, event

from ptp.service.caching.position import Position

Part: TypeAlias = tuple[str, int]
"""A group of tables, and the user, exam or session in it; 0 for all."""

REMEMBERED = 100_000
"""Of so many parts the last change is known; of the others, the latest of them stands for all."""
_WRITER_WAIT_S = 5.0


class Stamp(NamedTuple):
    """When a value was read: the position, in an epoch; no two epochs have anything in common."""

    epoch: str
    position: int


class View(Protocol):
    """What one reader goes by."""

    @property
    def stamp(self) -> Stamp:
        """The stamp for what is read from now on."""

    def fresh(self, stamp: Stamp, parts: Iterable[Part]) -> bool:
        """Whether what was read then, and depends on these, is so still."""


@dataclass(slots=True)
class Write:
    """A write that is under way on this thread: what it changes; None for everything."""

    parts: tuple[Part, ...] | None
    begun: bool = False
    before: int | None = None
    changes: int = 0
    changed: bool = False
    announced: str | None = None


@dataclass  # no slots: threads would share them
class _Own(threading.local):
    write: Write | None = field(default=None)


class Ledger:
    """The changes that this process made, and whether it saw others; threads may share it."""

    def __init__(self, engine: Engine, position: Position, *, remembered: int = REMEMBERED) -> None:
        """Listen to the transactions of the engine."""
        self.position = position
        self.outdated = 0
        self._engine, self._remembered = engine, remembered
        self._own = _Own()
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._known = position.read()
        self._epoch = 0
        self._last: OrderedDict[Part, int] = OrderedDict()
        self._forgotten = -1
        self._writing = False
        event.listen(engine, "begin", self._begin)
        event.listen(engine, "commit", self._commit)

    def close(self) -> None:
        """Stop to listen."""
        event.remove(self._engine, "begin", self._begin)
        event.remove(self._engine, "commit", self._commit)

    def view(self) -> View | None:
        """What may be used now; None while a commit of ours is not entered yet, or the position cannot be told."""
        now = self.position.read()
        with self._lock:
            if now is None:
                self._outdate(None)
                return None
            if now != self._known and not self._writing:
                now = self.position.read()  # a write of ours may have been entered meanwhile
            if now is None:
                return None
            if now != self._known:
                if self._writing:
                    return None
                self._outdate(now)
            return _LocalView(self, Stamp(f"own {self._epoch}", now))

    @contextmanager
    def writing(self, parts: tuple[Part, ...] | None) -> Iterator[None]:
        """A block that writes these parts in one transaction of the engine; one thread at a time, as SQLite has it."""
        write = Write(parts)
        mine = self._turn.acquire(timeout=_WRITER_WAIT_S)  # without a turn it is only taken for somebody else's
        self._own.write = write
        committed = False
        try:
            yield
            committed = True
        finally:
            self._own.write = None
            self._settle(write, committed=committed and write.changed)
            if mine:
                self._turn.release()

    def fresh(self, stamp: Stamp, parts: Iterable[Part]) -> bool:
        """Whether nothing of the parts was changed since the stamp, in this epoch."""
        last, position = self._last, stamp.position
        if stamp.epoch != f"own {self._epoch}" or position < self._forgotten:
            return False
        return all(last.get(part, -1) <= position for part in parts)

    def _announce(self, write: Write) -> None:
        """For a ledger that several processes share: within the transaction, before its commit."""

    def _withdraw(self, write: Write) -> None:
        """For a ledger that several processes share: the announced transaction was rolled back."""

    def _begin(self, db: Connection) -> None:
        write = self._own.write
        raw: Any = db.connection.dbapi_connection
        if write is None or write.begun or not db.get_execution_options().get("ptp_writes"):
            return
        # The transaction holds SQLite's write lock: from here to its commit nobody else commits.
        now = self.position.read()
        write.begun, write.before, write.changes = True, now, raw.total_changes
        with self._lock:
            if now is None or now != self._known:
                self._outdate(now)
            self._writing = True
        self._announce(write)

    def _commit(self, db: Connection) -> None:
        write = self._own.write
        if write is not None and write.begun:
            raw: Any = db.connection.dbapi_connection
            write.changed = raw.total_changes != write.changes

    def _settle(self, write: Write, *, committed: bool) -> None:
        if not write.begun:
            return
        with self._lock:
            self._writing = False
            if committed and self.position.counts and write.before is not None and self._known == write.before:
                self._known = write.before + 1
                if write.parts is None:
                    self._outdate(self._known)
                for part in write.parts or ():
                    self._enter(part, self._known)
        if not committed:
            self._withdraw(write)

    def _enter(self, part: Part, position: int) -> None:
        self._last[part] = position
        self._last.move_to_end(part)
        if len(self._last) > self._remembered:
            self._forgotten = max(self._forgotten, self._last.popitem(last=False)[1])

    def _outdate(self, now: int | None) -> None:
        self._known = now
        self._epoch += 1
        self.outdated += 1
        self._forgotten = -1
        self._last.clear()


class _LocalView:
    __slots__ = ("_ledger", "stamp")

    def __init__(self, ledger: Ledger, stamp: Stamp) -> None:
        self._ledger, self.stamp = ledger, stamp

    def fresh(self, stamp: Stamp, parts: Iterable[Part]) -> bool:
        return self._ledger.fresh(stamp, parts)
