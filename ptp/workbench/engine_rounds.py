"""One query on several engines: in rounds, in each of which they make the same call one after the other.

How often is fixed before a sample counts: of the calls that warm an engine up, the quickest says how many more fit
into its share of the time. An engine too slow for every round takes part in some, spread over all. Where a query
writes, each makes every call, since what a call finds depends on those before it.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice

from sqlalchemy import Engine

from ptp.engine.candidates import REFERENCE, EngineName
from ptp.engine.meters import Statement, recorded
from ptp.errors import CannotFinish
from ptp.workbench.engine_rows import SAME, Difference, Likeness, compare
from ptp.workbench.engine_worker import Answer, Call, EngineGone, EngineProcess
from ptp.workload.cases import Query
from ptp.workload.limits import Profile

LEAST = 6
"""Rounds that every engine takes part in: with fewer pairs a median has no interval at 95 %."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured: rounds at most, warm-up calls, and ns of each engine for one query."""

    rounds: int
    warmup: int
    share_ns: int


EFFORTS: Mapping[Profile, Effort] = {
    "quick": Effort(rounds=60, warmup=5, share_ns=40_000_000),
    "full": Effort(rounds=400, warmup=20, share_ns=1_000_000_000),
}


@dataclass(frozen=True, slots=True)
class Recorded:
    """The calls of a query as statements; `error` is why there are none."""

    name: str
    writes: bool
    calls: tuple[Call, ...] = ()
    statements: tuple[Statement, ...] = ()
    error: str = ""


@dataclass(slots=True)
class Taken:
    """What one engine did in one query: samples in ns by their round, and what ended it, if anything did.

    `wrong` says how its rows were not those of the reference, `error` what it raised, `gone` whether it died;
    `difference` is one that is no wrong value. `tables` are those that the query writes to.
    """

    samples: dict[int, int] = field(default_factory=dict)
    difference: Difference = SAME
    wrong: str = ""
    error: str = ""
    gone: bool = False
    tables: frozenset[str] = frozenset()

    @property
    def is_over(self) -> bool:
        """Whether the engine makes no more calls of this query."""
        return bool(self.wrong or self.error)

    def note(self, difference: Difference) -> None:
        """Keep a difference from the reference, where it is worse than those before."""
        if difference.likeness is Likeness.WRONG:
            self.wrong = difference.text
        elif difference.likeness > self.difference.likeness:
            self.difference = difference


def record(engine: Engine, query: Query, *, count: int) -> Recorded:
    """The statements of `count` calls of a query, as ptp's own engine issues them; those that write do write."""
    if query.not_applicable:
        return Recorded(query.name, query.writes, error=query.not_applicable)
    calls, statements = [], []
    try:
        for drawn in islice(cycle(query.draws), count):
            with recorded(engine) as found:
                query.run(drawn)
            # One text for all calls: the messages to the engines hold it once then.
            flat = tuple((sys.intern(s.sql), values) for s in found for values in s.executions)
            calls.append(Call(query.writes, flat))
            statements += found
    except CannotFinish:  # a full disk, a lock: says nothing of the query
        raise
    except Exception as problem:
        return Recorded(query.name, query.writes, error=f"{type(problem).__name__}: {problem}")
    return Recorded(query.name, query.writes, tuple(calls), tuple(statements))


def take_rounds(
    engines: Sequence[EngineProcess], query: Recorded, *, effort: Effort, chance: random.Random
) -> dict[EngineName, Taken]:
    """Make the calls of a query on all engines, the reference among them, and compare the rows of each with its.

    An engine that fails, dies or gives other rows makes no more of them.
    """
    found = {engine.name: Taken() for engine in engines}
    for engine in engines:
        _guarded(engine, found[engine.name], partial(engine.load, query.calls))
    costs, warmed = _warm_up(engines, query, found, effort)
    wanted = rounds_of(costs, writes=query.writes, effort=effort)
    total = min(wanted.get(REFERENCE, 0), len(query.calls) - warmed)
    for number in range(total):
        taking = [e for e in engines if not found[e.name].is_over and _takes_part(number, wanted[e.name], total)]
        answers = _one_round(chance.sample(taking, len(taking)), warmed + number, found, query)
        for name, answer in answers.items():
            found[name].samples[number] = answer.nanoseconds
        if found[REFERENCE].is_over:
            break
    if found[REFERENCE].is_over:
        for taken in found.values():
            taken.error = taken.error or f"{REFERENCE} itself could not run it: {found[REFERENCE].error}"
    return found


def rounds_of(costs: Mapping[EngineName, int], *, writes: bool, effort: Effort) -> dict[EngineName, int]:
    """In how many rounds each engine takes part, by what a call took it in ns; those that write in as many each."""
    fits = {name: max(LEAST, min(effort.rounds, effort.share_ns // max(ns, 1))) for name, ns in costs.items()}
    if writes and fits:
        return dict.fromkeys(fits, min(fits.values()))
    if REFERENCE in fits:
        fits[REFERENCE] = max(fits.values())  # every ratio needs it
    return fits


def worst_difference(rows: Answer, reference: Answer, query: Recorded, *, place: int) -> Difference:
    """The worst difference from the rows of the reference, in any statement of a call."""
    statements = query.calls[place].statements
    found = (compare(sql, a, b) for (sql, _), a, b in zip(statements, rows.rows, reference.rows, strict=True))
    return max(found, key=lambda one: one.likeness, default=SAME)


def _warm_up(
    engines: Sequence[EngineProcess], query: Recorded, found: Mapping[EngineName, Taken], effort: Effort
) -> tuple[dict[EngineName, int], int]:
    """The least ns of a warm-up call of each engine, and how many there were; an engine that is slow twice ends it."""
    costs: dict[EngineName, int] = {}
    number = 0
    while number < min(effort.warmup, len(query.calls)):
        taking = [e for e in engines if not found[e.name].is_over]
        answers = _one_round(taking, number, found, query)
        # The least: one stall must not leave an engine with the fewest rounds there are.
        costs = {name: min(answer.nanoseconds, costs.get(name, answer.nanoseconds)) for name, answer in answers.items()}
        number += 1
        if found[REFERENCE].is_over or (max(costs.values(), default=0) > effort.share_ns // LEAST and number > 1):
            break
    return costs, number


def _one_round(
    engines: Sequence[EngineProcess], place: int, found: Mapping[EngineName, Taken], query: Recorded
) -> dict[EngineName, Answer]:
    """The answers of those that made the call, and made it right."""
    answers: dict[EngineName, Answer] = {}
    for engine in engines:
        answer = _guarded(engine, found[engine.name], partial(engine.run, place))
        if answer is not None:
            found[engine.name].error = answer.error
            if not answer.error:
                answers[engine.name] = answer
    if (reference := answers.get(REFERENCE)) is None:
        return {}
    for name in [name for name in answers if name != REFERENCE]:
        difference = worst_difference(answers[name], reference, query, place=place)
        found[name].note(difference)
        if found[name].wrong:
            del answers[name]
    return answers


def _guarded(engine: EngineProcess, taken: Taken, work: Callable[[], Answer | None]) -> Answer | None:
    if taken.gone:
        return None
    try:
        return work()
    except EngineGone as problem:
        taken.error, taken.gone = str(problem), True
        return None


def _takes_part(number: int, wanted: int, total: int) -> bool:
    """Whether an engine is in this round, when its rounds are spread evenly."""
    return total > 0 and (number + 1) * wanted // total > number * wanted // total
