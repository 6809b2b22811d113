"""Billed rows: rows read and rows written by statements, as libSQL counts them and its server bills them.

A server tells them with each result. Here the statements are replayed on a copy: with libSQL's own counters where the
package libsql is installed, which are exact; else by a model from SQLite's counters (`ptp.engine.billing_model`), which
says by how much it errs. Both were held against the table of figures that was measured on libSQL, line by line.

What the server adds to the counters: a statement that neither reads nor writes is billed one row read. Rows that
were written and then rolled back are billed all the same.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import apsw

from ptp.engine import billing_libsql, billing_model
from ptp.engine.meters import Statement, replica
from ptp.errors import CannotFinish

Range: TypeAlias = tuple[float, float]
"""Least and most of a figure."""

_MODEL = "SQLite's counters, and how many steps of the program of each statement are billed"


@dataclass(frozen=True, slots=True)
class Billed:
    """Rows that are billed; `exact` where libSQL's own counters say so, else estimated."""

    rows_read: int = 0
    rows_written: int = 0
    exact: bool = True

    def __add__(self, other: Billed) -> Billed:
        """Both together."""
        return Billed(
            self.rows_read + other.rows_read, self.rows_written + other.rows_written, self.exact and other.exact
        )

    @property
    def read_range(self) -> Range:
        """The least and most rows read that there can be, as far as is known of the model."""
        return _around(self.rows_read, (1.0, 1.0) if self.exact else billing_model.READ_ERROR)

    @property
    def written_range(self) -> Range:
        """The least and most rows written that there can be."""
        return _around(self.rows_written, (1.0, 1.0) if self.exact else billing_model.WRITTEN_ERROR)


class Biller:
    """Counts what statements are billed, each time on the database as it was when this was opened."""

    def __init__(self, counters: _Counters | None, model: apsw.Connection, reason: str) -> None:
        """One that asks libSQL's counters where they are, else the model; `reason` is why they are not."""
        self._counters = counters
        self._model = model
        self._reason = reason

    @property
    def model(self) -> str:
        """What the figures come from, in a sentence."""
        if self._counters:
            return f"libSQL's own counters, by the package libsql (SQLite {self._counters.version})"
        return f"{_MODEL} ({self._reason})"

    def __call__(self, statements: Sequence[Statement]) -> Billed:
        """What these are billed together, run in their order in one transaction; raises CannotFinish."""
        return sum(self.each(statements), Billed())

    def each(self, statements: Sequence[Statement]) -> tuple[Billed, ...]:
        """What each is billed. One that libSQL does not run is estimated, and so are those with it."""
        rows = self._counters.ask(statements) if self._counters else None
        if rows is None:
            return self.estimated(statements)
        return tuple(
            Billed(sum(_as_read(read, written) for read, written in of_one), sum(written for _, written in of_one))
            for of_one in rows
        )

    def estimated(self, statements: Sequence[Statement]) -> tuple[Billed, ...]:
        """What each is billed by the model, whether or not libSQL's counters are at hand; raises CannotFinish."""
        return tuple(
            Billed(_as_read(e.read, e.written, e.executions), e.written, exact=False)
            for e in billing_model.estimates(self._model, statements)
        )


@contextmanager
def biller(path: Path) -> Iterator[Biller]:
    """A biller for a database, which is only read; raises what `ptp.engine.meters.replica` does."""
    with replica(path) as copy, ExitStack() as stack:
        counters, reason = None, ""
        try:
            counters = stack.enter_context(_counters_of(copy))
        except billing_libsql.NoCounters as problem:
            reason = str(problem)
        db = stack.enter_context(closing(apsw.Connection(str(copy), flags=apsw.SQLITE_OPEN_READWRITE)))
        db.execute("PRAGMA foreign_keys = ON")
        yield Biller(counters, db, reason)


def bill(path: Path, statements: Sequence[Statement]) -> Billed:
    """What statements are billed on a database in the state in which they first ran; nothing in it is changed.

    Raises what `biller` does, and CannotFinish for a statement that fails.
    """
    with biller(path) as billed:
        return billed(statements)


class _Counters:
    """libSQL in its process, with a database open."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        """Speak to a process that serves."""
        self._process = process
        self.version = ""

    def begin(self, path: Path) -> None:
        """Open a database; raises NoCounters."""
        found = self._sent(str(path))
        if isinstance(found, str):
            raise billing_libsql.NoCounters(found)
        (self.version,) = found

    def ask(self, statements: Sequence[Statement]) -> list[list[billing_libsql.Rows]] | None:
        """The rows of each execution; None where libSQL does not run one of them."""
        found = self._sent([(s.sql, s.executions) for s in statements])
        return None if isinstance(found, str) else found

    def _sent(self, asked: object) -> Any:
        to, back = self._process.stdin, self._process.stdout
        assert to is not None and back is not None
        try:
            to.write(pickle.dumps(asked))
            to.flush()
            return pickle.load(back)
        except (OSError, EOFError, pickle.UnpicklingError):
            raise CannotFinish("The process that counts billed rows ended before it was done.") from None


@contextmanager
def _counters_of(path: Path) -> Iterator[_Counters]:
    command = [sys.executable, "-c", f"from {billing_libsql.__name__} import serve; serve()"]
    # In a session of its own, so that Ctrl-C is ours alone.
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        counters = _Counters(process)
        try:
            counters.begin(path)
        except CannotFinish as problem:  # it fell over while it looked for them
            raise billing_libsql.NoCounters("the library of the package libsql cannot be called") from problem
        yield counters
    finally:
        process.kill()
        with suppress(OSError):
            process.communicate()


def _as_read(read: int, written: int, executions: int = 1) -> int:
    """The rows read that the server bills: one for each execution that does nothing."""
    return read if read or written else executions


def _around(value: int, error: Range) -> Range:
    return value * error[0], value * error[1]
