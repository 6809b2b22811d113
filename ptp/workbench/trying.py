"""Changes of the schema tried on copies: what calls cost with and without them, side by side in one run.

Of two copies one stays as it is; on the other the change is made in a transaction, calls run, and it is rolled back,
so that no index is built again. Calls are timed in pairs, in random order within each; billed rows are counted.
"""

from __future__ import annotations

import random
import sqlite3
import statistics
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from ptp.engine import connect_file, errors_named
from ptp.engine.billing import Billed, Biller, biller
from ptp.engine.meters import Statement
from ptp.engine.plans import plan_of, reads
from ptp.migration.backup import check_space, step
from ptp.workbench.indexing import Recorded

_LEAST_PAIRS = 3
_MARK, _UNDO = Statement("SAVEPOINT ptp_query"), Statement("ROLLBACK TO ptp_query")
_COPIES = 3  # these two, and the one on which billed rows are counted


@dataclass(frozen=True, slots=True)
class Budget:
    """How many pairs of calls a change is tried with for each query, and how many seconds these may take together."""

    pairs: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Side:
    """Calls on one side: the median of their ms, and the billed rows of all `calls` together.

    `ms` is None where the change leaves every plan as it is: what is run the same way is not told to gain or lose.
    """

    ms: float | None
    billed: Billed
    calls: int

    @property
    def read(self) -> float:
        """Billed rows read of a call."""
        return self.billed.rows_read / self.calls

    @property
    def written(self) -> float:
        """Billed rows written of a call."""
        return self.billed.rows_written / self.calls


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change does to the calls of a query: `before` and `after` it; `error` where it cannot run any more."""

    query: str
    before: Side | None
    after: Side | None
    error: str | None = None


class Trial:
    """Two copies of a database, and the calls with which changes are tried."""

    def __init__(
        self,
        as_is: sqlite3.Connection,
        changed: sqlite3.Connection,
        billed: Biller,
        *,
        recorded: Mapping[str, Recorded],
        budget: Budget,
        seed: int,
    ) -> None:
        """On two connections in autocommit mode, each on a copy of its own."""
        self._as_is, self._changed, self._billed = as_is, changed, billed
        self._recorded, self._budget = recorded, budget
        self._chance = random.Random(seed)
        self._known: dict[str, Billed] = {}

    @property
    def model(self) -> str:
        """What billed rows come from."""
        return self._billed.model

    def effects(self, change: str, queries: Sequence[str]) -> tuple[Effect, ...]:
        """What one statement, such as DROP INDEX, does to the calls of these queries."""
        timed: dict[str, tuple[float | None, float | None] | str] = {}
        with _transaction(self._as_is), _transaction(self._changed):
            self._changed.execute(change)
            for query in queries:
                try:
                    timed[query] = self._timed(query) if self._is_planned_anew(query) else (None, None)
                except sqlite3.Error as problem:
                    timed[query] = str(problem)
        runs = [query for query in queries if not isinstance(timed[query], str)]
        self._known |= self._bill([], [query for query in runs if query not in self._known])
        after = self._bill([Statement(change)], runs)
        return tuple(self._effect(query, timed[query], after.get(query)) for query in queries)

    def _effect(self, query: str, timed: tuple[float | None, float | None] | str, after: Billed | None) -> Effect:
        if isinstance(timed, str) or after is None:
            return Effect(query, None, None, str(timed))
        calls = len(self._recorded[query].calls)
        return Effect(query, Side(timed[0], self._known[query], calls), Side(timed[1], after, calls))

    def _bill(self, first: Sequence[Statement], queries: Sequence[str]) -> dict[str, Billed]:
        """What the calls of each query are billed after the statements `first`, each query on the same state."""
        parts = {query: (*self._recorded[query].statements, _UNDO) for query in queries}
        billed = iter(self._billed.each([*first, _MARK, *(s for of_one in parts.values() for s in of_one)]))
        deque(islice(billed, len(first) + 1), maxlen=0)
        # Of what each query is billed, the last is for undoing it.
        return {query: sum(list(islice(billed, len(of_one)))[:-1], Billed()) for query, of_one in parts.items()}

    def _is_planned_anew(self, query: str) -> bool:
        """Whether a statement of the query is run another way on the changed side."""
        different = {s.sql: s for s in self._recorded[query].statements}.values()
        return any(_way(self._as_is, s) != _way(self._changed, s) for s in different)

    def _timed(self, query: str) -> tuple[float, float]:
        """The medians of ms on both sides."""
        sides = (self._as_is, self._changed)
        samples: tuple[list[float], list[float]] = ([], [])
        calls = self._recorded[query].calls
        # Neither side meets pages for the first time in what is timed.
        taken = sum(_call_ms(side, calls[0]) for side in sides)
        for number in range(self._budget.pairs):
            if number >= _LEAST_PAIRS and taken / 1000 > self._budget.seconds:
                break
            for place in self._chance.sample((0, 1), 2):
                samples[place].append(_call_ms(sides[place], calls[number % len(calls)]))
                taken += samples[place][-1]
        return statistics.median(samples[0]), statistics.median(samples[1])


@contextmanager
def trial(path: Path, out: Path, *, recorded: Mapping[str, Recorded], budget: Budget, seed: int) -> Iterator[Trial]:
    """A trial on copies of a database, which are made in a folder of `out` and removed with it.

    Raises DiskFull, Locked.
    """
    check_space(out, needed_bytes=_COPIES * path.stat().st_size)
    with TemporaryDirectory(prefix="trial-", dir=out) as folder, errors_named(path), biller(path) as billed:
        copies = [Path(folder, name) for name in ("as-is.db", "changed.db")]
        with connect_file(path, read_only=True) as db:
            for copy in copies:
                with connect_file(copy) as to:
                    step(db, to, path)
        with connect_file(copies[0]) as as_is, connect_file(copies[1]) as changed:
            for side in (as_is, changed):
                side.execute("PRAGMA foreign_keys = ON")
                side.execute("PRAGMA synchronous = OFF")  # nothing of it is kept
            yield Trial(as_is, changed, billed, recorded=recorded, budget=budget, seed=seed)


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN")
    try:
        yield
    finally:
        with suppress(sqlite3.Error):  # a full disk, among others, has ended it already
            db.execute("ROLLBACK")


def _call_ms(db: sqlite3.Connection, call: Sequence[Statement]) -> float:
    """The ms of one call. It is not undone alone: that would read the schema anew where it was changed, and only there.

    What it writes, it writes on both sides, and goes with the transaction.
    """
    start = time.perf_counter_ns()
    for statement in call:
        for values in statement.executions:
            db.execute(statement.sql, values).fetchall()
    return (time.perf_counter_ns() - start) / 1e6


def _way(db: sqlite3.Connection, statement: Statement) -> tuple[str, frozenset[str]]:
    """How a statement is run: its plan, and where it looks, which tells of its triggers too."""
    return plan_of(db, statement.sql, statement.parameters).hash, reads(db, statement.sql, statement.parameters)
