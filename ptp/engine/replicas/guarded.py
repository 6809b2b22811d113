"""A DB-API connection to a replica that takes nothing but reads."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any, NoReturn
from weakref import WeakSet

from ptp.engine.replicas.statements import check_read_only
from ptp.errors import CannotFinish, UsageError

_NONE = object()
_PASSING = ("database is locked", "database is busy", "schema changed")
"""What pyturso says to a statement that begins while a pull is put in place; in SQLite a reader would not notice."""
_PATIENCE_S = 5.0
_PAUSE_S = 0.002


class _Closed:
    """In the place of pyturso's own, which keeps the file open for as long as it is known to anybody."""

    in_transaction = False

    def close(self) -> None:
        """Nothing more."""

    commit = rollback = close

    def __getattr__(self, name: str) -> Any:
        raise CannotFinish("The connection to the replica was closed.")


_CLOSED = _Closed()


class ReplicaCursor:
    """A cursor of pyturso's, but for statements, which are looked at first; its errors are pyturso's.

    A statement that meets a pull as it is put in place waits for it, some milliseconds, rather than to fail.
    """

    def __init__(self, inner: Any) -> None:
        """Take pyturso's cursor."""
        self._inner = inner
        self._first: Any = _NONE

    def execute(self, sql: str, parameters: Any = (), /) -> ReplicaCursor:
        """Run one statement that reads; raises UsageError, saying why, for any other."""
        check_read_only(sql)
        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                self._first = _NONE
                self._inner.execute(sql, parameters)
                if self._inner.description:  # with its first row it holds its snapshot, and nothing can pass any more
                    self._first = self._inner.fetchone()
                return self
            except Exception as problem:
                if time.monotonic() > until or not any(told in str(problem).lower() for told in _PASSING):
                    raise
            time.sleep(_PAUSE_S)

    def fetchone(self) -> Any:
        """The next row, None after the last."""
        if self._first is _NONE:
            return self._inner.fetchone()
        row, self._first = self._first, _NONE
        return row

    def fetchmany(self, size: int = 1, /) -> list[Any]:
        """The next rows, `size` at most."""
        return list(islice(self, size))

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        row = self.fetchone()
        return [] if row is None else [row, *self._inner.fetchall()]

    def executemany(self, sql: str, _parameters: Any, /) -> NoReturn:
        """Refuse, as what is run many times writes."""
        _refuse(sql)

    def executescript(self, sql: str, /) -> NoReturn:
        """Refuse, as a script writes."""
        _refuse(sql)

    def close(self) -> None:
        """Let go of what was not read."""
        self._inner.close()
        self._inner, self._first = _CLOSED, _NONE

    def __getattr__(self, name: str) -> Any:
        """All else as the driver has it: description, rowcount."""
        return getattr(self._inner, name)

    def __iter__(self) -> Iterator[Any]:
        """The rows that are left."""
        while (row := self.fetchone()) is not None:
            yield row


class ReplicaConnection:
    """A connection to a replica in autocommit mode, for one thread at a time; rows are read as of the last pull.

    Within a transaction they stay as they were when it first read, whatever is pulled meanwhile.
    """

    def __init__(self, inner: Any) -> None:
        """Take pyturso's connection."""
        self._inner = inner
        self._cursors: WeakSet[ReplicaCursor] = WeakSet()

    def cursor(self, *_factory: Any) -> ReplicaCursor:
        """A new cursor."""
        made = ReplicaCursor(self._inner.cursor())
        self._cursors.add(made)
        return made

    def execute(self, sql: str, parameters: Any = (), /) -> ReplicaCursor:
        """Run one statement that reads, on a cursor of its own; raises UsageError, saying why, for any other."""
        return self.cursor().execute(sql, parameters)

    def executemany(self, sql: str, _parameters: Any, /) -> NoReturn:
        """Refuse, as what is run many times writes."""
        _refuse(sql)

    def executescript(self, sql: str, /) -> NoReturn:
        """Refuse, as a script writes."""
        _refuse(sql)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction was begun and not ended."""
        return bool(self._inner.in_transaction)

    def commit(self) -> None:
        """End the transaction, if one was begun."""
        self._inner.commit()

    def rollback(self) -> None:
        """End the transaction, if one was begun."""
        self._inner.rollback()

    def close(self) -> None:
        """Let go of it, and of rows that were not read to the last; the replica stays open."""
        for each in list(self._cursors):
            each.close()
        self._inner.close()
        self._inner = _CLOSED


def _refuse(sql: str) -> NoReturn:
    check_read_only(sql)
    raise UsageError("Several statements at once cannot be run on a replica: run them one by one.")
