"""An operation both ways, timed in pairs and counted: how often is fixed beforehand from a pilot of warm-up calls."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import cycle, islice
from statistics import median
from typing import TypeAlias

from ptp.benchmark.pairs import TimedPairs, time_pairs
from ptp.engine.meters import Counters, Statement, recorded
from ptp.stats import Ratio, ratio_of
from ptp.workload.claims.operations import Operation, Sides
from ptp.workload.claims.plain import Noting

Counted: TypeAlias = Callable[[Sequence[Statement]], Counters]
Meter: TypeAlias = AbstractContextManager[Counted]

PILOT = 2
"""Warm-up pairs: they are not counted, and say how many pairs fit."""
COUNTED = 2
"""Of how many calls the VM steps are counted."""
LEAST_PAIRS = 11

_NS_PER_S = 1e9
_NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True)
class Budget:
    """How many seconds the pairs of an operation may take, and how many there are at most; at least LEAST_PAIRS."""

    seconds: float
    most_pairs: int


@dataclass(frozen=True, slots=True)
class Both:
    """An operation measured both ways: samples in ms pair by pair, work call by call; `error` ended it early.

    `absent` is the reason for which it was not measured.
    """

    name: str
    plain_ms: tuple[float, ...] = ()
    ptp_ms: tuple[float, ...] = ()
    plain_work: tuple[Counters, ...] = ()
    ptp_work: tuple[Counters, ...] = ()
    error: str | None = None
    absent: str | None = None

    @property
    def gain(self) -> Ratio | None:
        """How many times as long the old way took, within pairs; None where no pair was timed."""
        return ratio_of(self.plain_ms, self.ptp_ms) if self.plain_ms else None


def measure_both(
    operation: Operation, sides: Sides, *, budget: Budget, count_plain: Counted, count_ptp: Counted, seed: int
) -> Both:
    """Count the work of some calls, then time the pairs; the first error or unlike outcome ends it."""
    if operation.absent:
        return Both(operation.name, absent=operation.absent)
    chance = random.Random(seed)
    plain, called = _counted(operation, sides, count_plain, count_ptp)
    pilot = time_pairs(operation.pairs(sides.old, first=COUNTED, n=PILOT), warmup=0, chance=chance)
    if pilot.error:
        return Both(operation.name, plain_work=plain, ptp_work=called, error=pilot.error)
    pairs = operation.pairs(sides.old, first=COUNTED + PILOT, n=pairs_that_fit(pilot, budget))
    timed = time_pairs(pairs, warmup=0, chance=chance)
    return Both(
        name=operation.name,
        plain_ms=tuple(ns / _NS_PER_MS for ns in timed.floors),
        ptp_ms=tuple(ns / _NS_PER_MS for ns in timed.calls),
        plain_work=plain,
        ptp_work=called,
        error=timed.error,
    )


def pairs_that_fit(pilot: TimedPairs, budget: Budget) -> int:
    """How many pairs to time: as many as the budget allows at the pilot's median, within its bounds."""
    each = median(call + floor for call, floor in zip(pilot.calls, pilot.floors, strict=True)) / _NS_PER_S
    return min(max(int(budget.seconds / max(each, 1e-9)), LEAST_PAIRS), budget.most_pairs)


def _counted(
    operation: Operation, sides: Sides, count_plain: Counted, count_ptp: Counted
) -> tuple[tuple[Counters, ...], tuple[Counters, ...]]:
    """The work of some calls of either way, in the state of the databases before any of them was made."""
    plain, called = [], []
    for d in islice(cycle(operation.draws), COUNTED):
        with recorded(sides.engine) as statements:
            operation.ptp(d)
        called.append(count_ptp(statements))
        plain.append(count_plain(_noted(operation, sides.old, d)))
    return tuple(plain), tuple(called)


def _noted(operation: Operation, db: sqlite3.Connection, d: object) -> list[Statement]:
    noting = Noting(db)
    operation.plain(noting, d)
    return noting.statements
