"""The time of a query before and after, only by pairs that were taken in one job.

Two processes that run the same code are not equally fast: of one query here, one process in seven was 15 % slower for
all its life, by where its memory came to lie. So pairs of one pair of processes say little, however many they are, and
what is counted in the end is pairs of processes.

Times are judged in two rounds that are decided beforehand. The first looks at every query, and fails none. What it
leaves open, or finds slower, is measured again by so many new pairs of processes (`processes_for`) that all but one of
them are slower by luck with the chance `FALSE_ALARMS`, over all queries that are measured again (Bonferroni). Only
these fail a query, so that this is the chance that a change which slows nothing down fails.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from ptp.results import Finding, Verdict
from ptp.stats import Ratio, bounds, percentile, ratio_of

SLOWER = 1.05
"""The ratio of medians over which a query has become slower."""

EXCLUDED = 1.15
"""The ratio that must be excluded before a query passes: what is less than this may stay unseen."""

FALSE_ALARMS = 0.01
"""The chance that any query fails of which none has become slower."""

_MISSES = 1  # pairs of processes that need not be slower
_LEAST = 6  # pairs of processes that give an upper bound at all
_EACH_SIDE = 0.975  # of the interval; a query passes at one of two looks


@dataclass(frozen=True, slots=True)
class Times:
    """What one pair of processes took, in nanoseconds, pair by pair in order; `error` ended it early, None if none."""

    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    error: str | None = None

    @property
    def ratio(self) -> float:
        """The median of after / before."""
        pairs = zip(self.before, self.after, strict=True)
        return percentile(sorted(max(after, 1) / max(before, 1) for before, after in pairs), q=0.5)


@dataclass(frozen=True, slots=True)
class Rounds:
    """Both rounds, by the name of the query, one `Times` for each pair of processes.

    The second holds those that it measured again, and how many pairs of processes were `wanted` for each. Of the
    queries that `failed` on their counters, time is told and decides nothing more.
    """

    first: Mapping[str, Sequence[Times]]
    second: Mapping[str, Sequence[Times]] = field(default_factory=dict)
    wanted: int = 0
    failed: Collection[str] = ()

    def last(self, name: str) -> Sequence[Times]:
        """What the verdict on a query is by."""
        return self.second.get(name) or self.first.get(name, ())

    def ratio(self, name: str) -> Ratio | None:
        """The ratio of a query with its interval at 95 %, None where no pair was timed.

        Of all pairs in the first round; of the medians of the pairs of processes in the second.
        """
        timed = tuple(one for one in self.last(name) if one.after)
        if not timed:
            return None
        return _of_processes(timed) if self.second.get(name) else _of_pairs(timed)


def to_measure_again(first: Mapping[str, Sequence[Times]], *, failed: Collection[str] = ()) -> tuple[str, ...]:
    """What the second round is for: the queries that seem slower, and those of which too little is known."""
    rounds = Rounds(first)
    seen = {name: rounds.ratio(name) for name in first if name not in failed}
    return tuple(name for name, found in seen.items() if found and (found.low > SLOWER or not found.high < EXCLUDED))


def processes_for(queries: int) -> int:
    """How many pairs of processes measure again so many queries."""
    count = _LEAST
    while sum(math.comb(count, n) for n in range(_MISSES + 1)) / 2**count > FALSE_ALARMS / queries:
        count += 1
    return count


def wants_more(times: Sequence[Times], *, wanted: int) -> bool:
    """Whether another pair of processes could decide what these leave open.

    What can fail no more may take up to twice as many as `wanted` to pass: so it makes no false alarm likelier.
    """
    if any(one.error for one in times):
        return False
    if len(times) < _LEAST or _misses(times) <= _MISSES:
        return len(times) < wanted
    return len(times) < 2 * wanted and not _of_processes(times).high < EXCLUDED


def judge_times(rounds: Rounds, *, than: str) -> tuple[Finding, ...]:
    """A gate for each query on its time, from both rounds; a pure function.

    fail where all but one of the pairs of processes that were wanted are slower by more than `SLOWER`, pass where
    `EXCLUDED` is excluded, else inconclusive.
    """
    return tuple(_judged(name, rounds, than=than) for name in rounds.first)


def _judged(name: str, rounds: Rounds, *, than: str) -> Finding:
    found, again = rounds.ratio(name), bool(rounds.second.get(name))
    error = next((one.error for one in (*rounds.first[name], *rounds.second.get(name, ())) if one.error), None)
    verdict: Verdict = "fail" if error or _is_slower(name, rounds, found) else "inconclusive"
    if verdict != "fail" and found and found.high < EXCLUDED:
        verdict = "pass"
    elif verdict == "inconclusive" and name in rounds.failed:
        verdict = "not applicable"
    return Finding(
        id=f"against.{name}.time",
        claim=f"p50 of {name} is at most {SLOWER:g} times that of {than}, in pairs",
        verdict=verdict,
        severity="note" if name in rounds.failed else "gate",
        value=found.value if found else None,
        unit="times",
        limit=SLOWER,
        low=_finite(found.low) if found else None,
        high=_finite(found.high) if found else None,
        n=sum(len(one.after) for one in rounds.last(name)),
        where=(_medians(rounds.last(name)),) if verdict in ("fail", "inconclusive") and found else (),
        evidence=error or _evidence(verdict, len(rounds.last(name)), again=again),
    )


def _is_slower(name: str, rounds: Rounds, found: Ratio | None) -> bool:
    if name in rounds.failed:  # its counters say so; time only how much
        return found is not None and found.low > SLOWER
    times = rounds.second.get(name, ())
    return 0 < rounds.wanted <= len(times) and _misses(times) <= _MISSES


def _evidence(verdict: Verdict, processes: int, *, again: bool) -> str:
    measured = f"measured again by {processes} pairs of processes, which alone decide" if again else "measured once"
    if verdict == "fail":
        return f"{measured}; over all queries a false alarm has a chance of {FALSE_ALARMS:.0%}" if again else measured
    if verdict == "pass":
        return f"{measured}; {EXCLUDED:g} times is excluded, and more than {SLOWER:g} times is not shown"
    if verdict == "not applicable":
        return f"{measured}, and not again: its counters have decided"
    return f"{measured}; {EXCLUDED:g} times is neither shown nor excluded: more pairs, or a quieter machine"


def _misses(times: Sequence[Times]) -> int:
    return sum(not one.after or one.ratio <= SLOWER for one in times)


@lru_cache(maxsize=256)
def _of_pairs(times: tuple[Times, ...]) -> Ratio:
    # A clock that did not move says less than its resolution, of which it knows no less than a nanosecond.
    after, before = ([float(max(ns, 1)) for one in times for ns in side(one)] for side in (_after, _before))
    return ratio_of(after, before, confidence=2 * _EACH_SIDE - 1)


def _of_processes(times: Sequence[Times]) -> Ratio:
    ordered = sorted(one.ratio for one in times)
    span = bounds(ordered, q=0.5, confidence=_EACH_SIDE)
    return Ratio(percentile(ordered, q=0.5), span.low, span.high, len(ordered))


def _after(times: Times) -> tuple[int, ...]:
    return times.after


def _before(times: Times) -> tuple[int, ...]:
    return times.before


def _medians(times: Sequence[Times]) -> str:
    sides = ([ns for one in times for ns in side(one)] for side in (_before, _after))
    before, after = (percentile(sorted(side), q=0.5) / 1e6 for side in sides)
    return f"p50 {before:,.3g} ms before, {after:,.3g} ms after"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
