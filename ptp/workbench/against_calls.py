"""What is asked of both sides of a comparison: the same calls, counted beforehand, then timed in pairs."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

from ptp.benchmark.comparison import Work
from ptp.benchmark.comparison_times import Times
from ptp.engine.billing import biller
from ptp.engine.meters import Statement, meter
from ptp.engine.plans import plan_of
from ptp.errors import CannotFinish
from ptp.workbench.against_sides import Called, Worker
from ptp.workload.limits import Profile

Count: TypeAlias = Callable[[Sequence[Statement]], Mapping[str, int]]
"""Gives the counters of statements by name, each time on the database as it was at first."""

_LEAST_PAIRS = 15
_TRANSACTIONS = ("BEGIN", "COMMIT", "END")


@dataclass(frozen=True, slots=True)
class Effort:
    """What is done for a query: `counted` calls; and in the first round so many pairs of processes.

    Each of these makes `warmup` pairs of calls, and then at most `pairs`, for about `seconds`.
    """

    counted: int
    warmup: int
    pairs: int
    seconds: float
    processes: int

    @property
    def timed(self) -> int:
        """Arguments that the timing by one pair of processes takes, each call its own."""
        return self.warmup + self.pairs


EFFORT: Mapping[Profile, Effort] = {
    "quick": Effort(counted=50, warmup=10, pairs=100, seconds=0.4, processes=3),
    "full": Effort(counted=100, warmup=20, pairs=300, seconds=2.0, processes=4),
}


@dataclass(frozen=True, slots=True)
class Recorded:
    """Some calls of a query on one side: what they cost, digests of their answers, and the first that was wrong."""

    work: Work | None
    answers: tuple[str | None, ...]
    wrong: str | None
    uncounted: str = ""

    @property
    def raised(self) -> bool:
        """Whether a call ended early, so that its counters say nothing."""
        return None in self.answers


def why_not(before: Called, after: Called) -> str | None:
    """The reason for which a query of both sides cannot be compared, None where it can."""
    if reason := after.not_applicable or before.not_applicable:
        return reason
    both = before.draws.keys() & after.draws.keys()
    apart = sorted(name for name in both if before.draws[name] != after.draws[name])
    if apart or not both:
        return f"both sides draw other arguments ({', '.join(apart) or 'no field in common'}), so the calls differ"
    return None


@contextmanager
def counting(head: Path) -> Iterator[Count]:
    """A function that counts statements on `head` as it is now: SQLite's work, and billed rows where they are exact."""
    with meter(head) as counted, biller(head) as billed:

        def count(statements: Sequence[Statement]) -> Mapping[str, int]:
            work, rows = asdict(counted(statements)), billed(statements)
            del work["executions"]  # of one statement for many rows: no more work than its VM steps say
            exact = {"rows_read": rows.rows_read, "rows_written": rows.rows_written} if rows.exact else {}
            return {**work, **exact}

        yield count


def record(side: Worker, name: str, *, calls: int, count: Count, db: sqlite3.Connection) -> Recorded:
    """Make and count the first calls of a query; `count` replays on the database as it was before any of them."""
    made = side.record(name, range(calls))
    statements = [tuple(_statements(one["statements"])) for one in made]
    answers = tuple(one["answer"] for one in made)
    wrong = next((str(one["wrong"]) for one in made if one["wrong"]), None)
    try:
        total = Counter[str]()
        for one in statements:
            total.update(count(one))
        plans = _plans(db, statements)
    except (CannotFinish, sqlite3.Error) as problem:
        return Recorded(None, answers, wrong, str(problem))
    return Recorded(Work(dict(total), len(made), plans), answers, wrong)


def time_in_pairs(before: Worker, after: Worker, name: str, *, effort: Effort, chance: random.Random) -> Times:
    """Time a query on both sides, in random order within each pair.

    How many pairs there are is fixed after the warm-up, by how long its pairs took; those are not counted. The first
    call that fails ends it.
    """
    before.begin(name)
    after.begin(name)
    taken: list[tuple[int, int]] = []
    wanted = effort.warmup
    number = 0
    while len(taken) < wanted:
        pair = _pair(before, after, name, number, chance)
        if isinstance(pair, str):
            return _times(taken, pair)
        taken.append(pair)
        number += 1
        if number == effort.warmup:
            wanted, taken = _pairs_for(effort, taken), []
    return _times(taken)


def _pair(before: Worker, after: Worker, name: str, number: int, chance: random.Random) -> tuple[int, int] | str:
    found: dict[Worker, int] = {}
    for side in chance.sample((before, after), 2):
        answer = side.call(name, number)
        if isinstance(answer, str):
            return f"{'after' if side is after else 'before'}, call {number}: {answer}"
        found[side] = answer
    return found[before], found[after]


def _pairs_for(effort: Effort, warmup: Sequence[tuple[int, int]]) -> int:
    usual = median(sum(pair) for pair in warmup) / 1e9
    return max(_LEAST_PAIRS, min(effort.pairs, int(effort.seconds / max(usual, 1e-9))))


def _times(taken: Sequence[tuple[int, int]], error: str | None = None) -> Times:
    return Times(tuple(before for before, _ in taken), tuple(after for _, after in taken), error)


def _statements(recorded: Sequence[tuple[str, list[Any]]]) -> list[Statement]:
    # A transaction cannot be replayed within the one that is rolled back.
    return [Statement(sql, tuple(values)) for sql, values in recorded if not sql.upper().startswith(_TRANSACTIONS)]


def _plans(db: sqlite3.Connection, calls: Sequence[Sequence[Statement]]) -> tuple[str, ...]:
    """The lines of the plans, each different statement once, in the order in which they were issued."""
    different = {s.sql: s for statements in calls for s in statements}
    plans = [plan_of(db, s.sql, s.parameters) for s in different.values()]
    return tuple("  " * step.depth + step.text for plan in plans for step in plan.steps)
