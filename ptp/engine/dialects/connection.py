"""One connection for all drivers but sqlite3, with the surface and the errors of sqlite3; what differs is a `Wire`.

It never begins a transaction by itself, and never goes on outside of one that it has lost: a statement after that is
refused until the loss was acknowledged by a rollback.
"""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeAlias

from ptp.engine.bindings import Statement, Values, only_reads, parsed, values_of
from ptp.engine.problems import StreamLost
from ptp.errors import CannotFinish, UsageError

Row: TypeAlias = tuple[Any, ...]


@dataclass(slots=True)
class Answer:
    """What a statement gave: columns (None where it gives no rows), rows, rows changed, and the last row id.

    `rows_read` and `rows_written` are what the server bills; None where nobody counted.
    """

    columns: tuple[str, ...] | None = None
    rows: Iterator[Row] = field(default_factory=lambda: iter(()))
    changed: int = -1
    last_id: int | None = None
    rows_read: int | None = None
    rows_written: int | None = None


class Wire(ABC):
    """A driver's own connection: statements with checked values, and transactions that are begun by SQL."""

    @property
    @abstractmethod
    def in_transaction(self) -> bool:
        """Whether a transaction was begun and not ended, as far as is known without asking."""

    @property
    def is_alive(self) -> bool:
        """Whether the connection may be used again, as far as is known without asking."""
        return True

    def begin(self, sql: str, *, state: str) -> Row | None:
        """Begin by `sql`; the row that the query `state` gives in the same transaction, None for no such table."""
        self.run(parsed(sql), ())
        try:
            return next(self.run(parsed(state), ()).rows, None)
        except sqlite3.OperationalError as problem:
            if "no such " in str(problem):
                return None
            raise

    @abstractmethod
    def run(self, statement: Statement, values: Row) -> Answer:
        """Run one statement."""

    def run_many(self, statement: Statement, rows: Iterable[Row]) -> int:
        """Run one statement for each row of values; the number of rows that were changed."""
        return sum(max(self.run(statement, values).changed, 0) for values in rows)

    def end(self, sql: str) -> None:
        """End the transaction, by COMMIT or ROLLBACK."""
        self.run(parsed(sql), ())

    @abstractmethod
    def close(self) -> None:
        """Let go of it; what was not committed is lost."""


class Connection:
    """A DB-API connection on a wire; it raises the errors of sqlite3, and ptp's where a server cannot be reached."""

    def __init__(
        self, wire: Wire, *, only_reads: str = "", has_transactions: bool = True, takes_lone_writes: bool = False
    ) -> None:
        """Take a wire.

        `only_reads` is why nothing may be written through it, if so; `takes_lone_writes` is whether a write may be made
        nonetheless where AUTOCOMMIT was asked for.
        """
        self.wire = wire
        self.autocommit = False
        self._has_transactions = has_transactions
        self._takes_lone_writes = takes_lone_writes
        self._only_reads = only_reads
        self._is_begun = False
        self._is_closed = False

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction was begun and not ended."""
        return not self._is_closed and self.wire.in_transaction

    def begin(self, *, writes: bool, state: str) -> Row | None:
        """Begin a transaction, as a writer or not; the row of the query `state`, None where there is no such table."""
        if writes and self._only_reads:
            raise UsageError(self._only_reads)
        found = self.wire.begin("BEGIN IMMEDIATE" if writes else "BEGIN", state=state)
        self._is_begun = self._has_transactions
        return found

    def execute(self, sql: str, values: Values = (), /) -> Cursor:
        """Run one statement with values for `?`, or for `:name` by name."""
        return self.cursor().execute(sql, values)

    def executemany(self, sql: str, rows: Iterable[Values], /) -> Cursor:
        """Run one statement for each row of values."""
        return self.cursor().executemany(sql, rows)

    def cursor(self) -> Cursor:
        """A cursor on this connection."""
        return Cursor(self)

    def commit(self) -> None:
        """Commit, where a transaction is open."""
        self._check_begun()
        if self.in_transaction:
            self.wire.end("COMMIT")
        self._is_begun = False

    def rollback(self) -> None:
        """Roll back, where a transaction is open; one that was lost is over then.

        A server that does not answer to it rolls back by itself, and the error that led here is the one to be told.
        """
        self._is_begun = False
        if self.in_transaction:
            with suppress(CannotFinish):
                self.wire.end("ROLLBACK")

    def close(self) -> None:
        """Close it; what was not committed is lost."""
        if not self._is_closed:
            self._is_closed = True
            self.wire.close()

    def prepared(self, sql: str) -> Statement:
        """A statement that may be run now. Raises UsageError for a write where there are none to be."""
        if self._is_closed:
            raise sqlite3.ProgrammingError("Cannot operate on a closed database.")
        self._check_begun()
        if self._only_reads and not only_reads(sql) and not (self.autocommit and self._takes_lone_writes):
            raise UsageError(self._only_reads)
        return parsed(sql)

    def _check_begun(self) -> None:
        if self._is_begun and not self.wire.in_transaction:
            raise StreamLost("The transaction is over at the server, and nothing of it was kept: run it again, whole.")


class Cursor:
    """A DB-API cursor; rows come as the driver gives them, from memory or from the file."""

    arraysize = 1

    def __init__(self, connection: Connection) -> None:
        """Belong to a connection."""
        self.connection = connection
        self._answer = Answer()

    @property
    def description(self) -> tuple[tuple[Any, ...], ...] | None:
        """The names of the columns, in tuples of seven; None where the statement gives no rows."""
        columns = self._answer.columns
        return None if columns is None else tuple((name, *(None,) * 6) for name in columns)

    @property
    def rowcount(self) -> int:
        """Rows that the statement changed; -1 for one that is not to change any."""
        return self._answer.changed

    @property
    def lastrowid(self) -> int | None:
        """The id of the row that was inserted last."""
        return self._answer.last_id

    @property
    def billed(self) -> tuple[int | None, int | None]:
        """Rows read and rows written as the server counted them; None where it does not say."""
        return self._answer.rows_read, self._answer.rows_written

    def execute(self, sql: str, values: Values = (), /) -> Cursor:
        """Run one statement."""
        statement = self.connection.prepared(sql)
        self._answer = self.connection.wire.run(statement, values_of(statement, values))
        return self

    def executemany(self, sql: str, rows: Iterable[Values], /) -> Cursor:
        """Run one statement for each row of values, in as few requests as the driver can; it gives no rows."""
        statement = self.connection.prepared(sql)
        checked = (values_of(statement, values) for values in rows)
        self._answer = Answer(changed=self.connection.wire.run_many(statement, checked))
        return self

    def fetchone(self) -> Any:
        """The next row, None after the last."""
        return next(self._answer.rows, None)

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next rows, `size` at most."""
        return list(islice(self._answer.rows, size or self.arraysize))

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        return list(self._answer.rows)

    def __iter__(self) -> Iterator[Any]:
        """The rows that are left, one by one."""
        return self._answer.rows

    def close(self) -> None:
        """Let go of the rows."""
        self._answer = Answer()

    def setinputsizes(self, *sizes: object) -> None:
        """Nothing: values carry their types."""

    def setoutputsize(self, *sizes: object) -> None:
        """Nothing: columns have no size."""
