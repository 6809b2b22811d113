"""Calls to a server that bear a bad network: reads are asked again, a write whose reply was lost is looked for first.

A write is a whole transaction in one request, so none is ever left open, and none is half done. Whether one whose reply
was lost, or that the network carried out twice, was done is read back; only then is it sent again. It has to be such
that it fails the second time, as where it enters a row under a key: then it is done once, whatever comes late.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, TypeVar

from pydantic import SecretStr

from ptp.engine.addresses import parse_address
from ptp.engine.connect import open_engine
from ptp.engine.dialects.hrana import HranaWire, Json, decoded, encoded
from ptp.engine.problems import StreamLost, Unreached, named_at
from ptp.errors import CannotFinish, Locked, UsageError
from ptp.settings import Settings

Row: TypeAlias = tuple[Any, ...]
T = TypeVar("T")
_SETUP = "PRAGMA foreign_keys = {}"
_PASSING = (Unreached, StreamLost, Locked)


class Asked(NamedTuple):
    """A statement with values for its `?`."""

    sql: str
    values: Sequence[Any] = ()


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a call is made at most, and the longest pause before it is made again, in seconds: doubled each time.

    The pause is drawn anew from zero to that, so that many clients do not come back at once.
    """

    attempts: int = 9
    first_s: float = 0.1
    longest_s: float = 5.0

    def pause(self, attempt: int) -> float:
        """Seconds to wait after so many calls in vain."""
        return random.uniform(0, min(self.longest_s, self.first_s * 2 ** (attempt - 1)))


@dataclass(slots=True)
class Spent:
    """What calls took: requests, calls made again, writes that were looked for, and rows as the server bills them.

    `counted` is whether the server told its rows at all.
    """

    requests: int = 0
    again: int = 0
    looked_for: int = 0
    rows_read: int = 0
    rows_written: int = 0
    counted: bool = False

    @property
    def words(self) -> str:
        """The same to read."""
        billed = f"{self.rows_read:,} rows read and {self.rows_written:,} written, as billed"
        tried = f"{self.again:,} tried again, {self.looked_for:,} lost replies looked for"
        return f"{self.requests:,} requests ({tried}), {billed if self.counted else 'billed rows not told'}"


class TooMuch(CannotFinish):
    """What was asked for is more than the server gives or does at once: ask for less."""


def retried(work: Callable[[], T], *, patience: Patience | None = None) -> T:
    """What `work` gives, done anew, whole, where the network failed or another held the lock.

    Only for work that reads, or that finds out by itself that it was done before, as by a key that came with it: a
    lost reply does not tell.
    """
    limits = patience or Patience()
    attempt = 1
    while True:
        try:
            return work()
        except _PASSING:
            if attempt == limits.attempts:
                raise
            time.sleep(limits.pause(attempt))
            attempt += 1


class Calls:
    """Calls to one server, by whatever route its URL says; a context manager that lets go of its connections."""

    def __init__(
        self,
        url: str,
        *,
        token: SecretStr | None = None,
        settings: Settings | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Ask nothing yet. Raises UsageError for a URL that names no server."""
        address = parse_address(url)
        if not address.is_remote:
            raise UsageError(f"{address.shown} is no server: write libsql://HOST, https://HOST or http://HOST:PORT.")
        self.shown = address.shown
        self.spent = Spent()
        self.seconds = 0.0
        """What the last request took."""
        self._patience = patience or Patience()
        self._engine = open_engine(url, settings=settings, token=token)

    def __enter__(self) -> Calls:
        """The calls themselves."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """All rows of one statement that reads."""
        return self.read_all([Asked(sql, values)])[0]

    def read_all(self, asked: Sequence[Asked]) -> list[list[Row]]:
        """The rows of each statement, of one moment. Raises sqlite3's errors, TooMuch, and ptp's for the server."""
        texts = asked if len(asked) == 1 else [Asked("BEGIN"), *asked, Asked("COMMIT")]
        steps = [_step(a, after=n - 1, wants_rows=True) for n, a in enumerate(texts)]
        for attempt in self._attempts():
            try:
                found = self._sent(steps, count=len(steps))
                break
            except _PASSING as problem:
                self._wait_after(attempt, problem)
        own = found if len(asked) == 1 else found[1:-1]
        return [[decoded(row) for row in result["rows"]] for result in own]

    def write(self, asked: Sequence[Asked], *, is_done: Callable[[], bool], keeps_references: bool = False) -> None:
        """Carry out statements in one transaction, once. Raises sqlite3's errors where nothing of it was done.

        `is_done` reads back whether it was. `keeps_references` has the server check foreign keys.
        """
        steps = _transaction(asked, keeps_references=keeps_references)
        for attempt in self._attempts():
            try:
                self._sent(steps, count=len(steps), spared=len(steps) - 1)
                return
            except sqlite3.Error:
                # It may be that of a second time: the network, or an attempt thought lost, was before.
                if self._is_done(is_done):
                    return
                raise
            except _PASSING as problem:
                self._wait_after(attempt, problem)
                if self._is_done(is_done):
                    return

    def _is_done(self, is_done: Callable[[], bool]) -> bool:
        self.spent.looked_for += 1
        return is_done()

    def _attempts(self) -> Iterator[int]:
        """The number of each attempt; whoever runs out of them has raised before."""
        for attempt in range(1, self._patience.attempts + 1):
            self.spent.again += attempt > 1
            yield attempt

    def _wait_after(self, attempt: int, problem: CannotFinish) -> None:
        """Wait before the next attempt; raises the problem where there is none."""
        if attempt == self._patience.attempts:
            raise type(problem)(f"{problem} It was tried {attempt} times.") from problem
        time.sleep(self._patience.pause(attempt))

    def _sent(self, steps: Sequence[Json], *, count: int, spared: int | None = None) -> list[Any]:
        """The results of a batch. Raises the error of the first step that failed, but for the spared one."""
        self.spent.requests += 1
        started = time.perf_counter()
        raw = self._engine.raw_connection()
        try:
            wire: Any = raw.dbapi_connection
            try:
                found = wire.wire.send(steps, keeps=False)
            except sqlite3.Error as problem:
                raise self._named(problem) from problem
            return self._results(wire.wire, found, count=count, spared=spared)
        finally:
            raw.close()
            self.seconds = time.perf_counter() - started

    def _results(self, wire: HranaWire, found: Json, *, count: int, spared: int | None) -> list[Any]:
        results, errors = list(found.get("step_results") or ()), list(found.get("step_errors") or ())
        if len(results) != count or len(errors) != count:
            raise CannotFinish(f"{self.shown} answered {len(results)} of {count} statements: it speaks otherwise.")
        for result in filter(None, results):
            self.spent.counted |= result.get("rows_read") is not None
            self.spent.rows_read += result.get("rows_read") or 0
            self.spent.rows_written += result.get("rows_written") or 0
        for number, (result, error) in enumerate(zip(results, errors, strict=True)):
            if number != spared and (error is not None or result is None):
                raise self._problem(wire, error or {"message": "a statement was left out without an error"})
        return results

    def _problem(self, wire: HranaWire, error: Json) -> Exception:
        problem = wire.failed(error)
        return self._named(problem) if isinstance(problem, sqlite3.Error) else problem

    def _named(self, problem: sqlite3.Error) -> Exception:
        text = str(problem).casefold()
        if "too large" in text:
            return TooMuch(f"{self.shown} does not give so much at once: {problem}.")
        if "transaction timed out" in text:
            return TooMuch(f"{self.shown} ended a transaction for the time that it took: {problem}.")
        return named_at(problem, self.shown)


def _transaction(asked: Sequence[Asked], *, keeps_references: bool) -> list[Json]:
    """The steps of a whole transaction, which is rolled back where one of them fails."""
    setup = _SETUP.format("ON" if keeps_references else "OFF")
    texts = [Asked(setup), Asked("BEGIN IMMEDIATE"), *asked, Asked("COMMIT")]
    steps = [_step(a, after=n - 1, wants_rows=False) for n, a in enumerate(texts)]
    failed = {"type": "not", "cond": {"type": "ok", "step": len(steps) - 1}}
    undo = _step(Asked("ROLLBACK"), after=-1, wants_rows=False)
    return [*steps, {**undo, "condition": {"type": "and", "conds": [{"type": "ok", "step": 1}, failed]}}]


def _step(asked: Asked, *, after: int, wants_rows: bool) -> Json:
    """A step of a batch, run where the one before it was done."""
    stmt = {"sql": asked.sql, "args": [encoded(v) for v in asked.values], "named_args": [], "want_rows": wants_rows}
    return {"stmt": stmt, "condition": {"type": "ok", "step": after}} if after >= 0 else {"stmt": stmt}
