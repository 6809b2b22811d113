"""The harness measures itself before it is believed: where one of these fails, every verdict of the run is invalid.

Each has an answer that is known beforehand: a clock that tells apart what is judged, a loop that costs next to nothing,
an empty call that is fast, a call that is as fast as itself, and a service that stands still, in simulated time.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

from ptp.benchmark.clocks import FINEST_PART, Clock, resolution_ns
from ptp.benchmark.judging import finite
from ptp.benchmark.latency import Case, take_samples, time_calls
from ptp.benchmark.openloop import constant, run_load
from ptp.benchmark.pairs import Pair, time_pairs
from ptp.benchmark.simulated import Simulated, stalling
from ptp.results import Finding, Verdict
from ptp.stats import bounds, equivalence, percentile, ratio_of

COST_US = 2.0
"""What the harness may add to the time of a loop, a call."""

SAME_WITHIN = 0.05
SAME_ALPHA = 0.001
SAME_LOOKS = (250, 1_000, 4_000)
"""After how many pairs A is compared with A; each look has its third of alpha."""

_CALLS = 1_000
_ROUNDS = 9
_NS_PER_MS = 1e6
_NS_PER_US = 1e3
_S = 1_000_000_000
_RATE, _STALL_S, _EVERY_S, _SERVICE_MS, _SECONDS = 500, 1.0, 10.0, 1.0, 20
_OFF = 0.02  # of the stall: requests come 2 ms apart


def empty() -> None:
    """The null target: a call that does nothing."""


def known_work() -> int:
    """A real call that is cheap and always takes the same path, about 10 us."""
    return sum(range(1_000))


def self_check(
    cases: Sequence[Case],
    *,
    clock: Clock = time.perf_counter_ns,
    chance: random.Random,
    work: Callable[[], object] = known_work,
) -> tuple[Finding, ...]:
    """The findings self.clock, self.cost, self.null, self.same and self.stall, for the cases that will be measured.

    pass or invalid, or not applicable where no case can be measured; self.same is inconclusive where 4,000 pairs on a
    noisy machine show neither that A is as fast as itself nor that it is not.
    """
    return (
        check_clock(cases, clock=clock),
        check_cost(clock=clock),
        check_null(cases, clock=clock),
        check_same(work, clock=clock, chance=chance),
        check_stall(),
    )


def check_clock(cases: Sequence[Case], *, clock: Clock) -> Finding:
    """Whether the clock tells apart 1/100 of the smallest limit; the value is its resolution in ms."""
    claim = "The clock tells apart 1/100 of the smallest limit"
    finest = _finest(cases)
    if finest is None:
        return _nothing("self.clock", claim)
    resolution = resolution_ns(clock)
    seen = "did not move" if resolution is None else f"moves in steps of {resolution / _NS_PER_MS:.6f} ms"
    return Finding(
        id="self.clock",
        claim=claim,
        verdict="pass" if resolution is not None and resolution / _NS_PER_MS <= finest else "invalid",
        value=None if resolution is None else resolution / _NS_PER_MS,
        unit="ms",
        limit=finest,
        evidence=f"The clock {seen}.",
    )


def check_cost(*, clock: Clock) -> Finding:
    """Whether the harness adds at most 2 us to a call in a plain loop; the value is what it adds, in us."""
    cost = cost_us(clock)
    return Finding(
        id="self.cost",
        claim="The harness adds at most 2 us to each call of a plain loop",
        verdict="pass" if cost <= COST_US else "invalid",
        value=cost,
        unit="us",
        limit=COST_US,
        n=_ROUNDS * _CALLS,
        evidence=f"An empty call in both; the least of {_ROUNDS} rounds, as noise of the machine only adds.",
    )


def cost_us(clock: Clock, call: Callable[[], object] = empty) -> float:
    """What the loop that takes samples costs a call beyond a plain loop, in us."""
    case = Case("empty", "", 1.0, call=call, warmup=0, n=_CALLS)
    plain, full = [], []
    for _ in range(_ROUNDS):
        start = clock()
        for _ in range(_CALLS):
            call()
        middle = clock()
        take_samples(case, _CALLS, [], clock=clock)
        plain.append(middle - start)
        full.append(clock() - middle)
    return (min(full) - min(plain)) / _CALLS / _NS_PER_US


def check_null(cases: Sequence[Case], *, clock: Clock) -> Finding:
    """Whether an empty call is measured as one: its p99 is under 1/100 of the smallest limit."""
    claim = "p99 of an empty call is under 1/100 of the smallest limit"
    finest = _finest(cases)
    if finest is None:
        return _nothing("self.null", claim)
    null = Case("empty", "", 1.0, call=empty, warmup=_CALLS // 10, n=_CALLS)
    ordered = time_calls(null, clock=clock).ordered_ms
    span = bounds(ordered, q=0.99)
    return Finding(
        id="self.null",
        claim=claim,
        verdict="pass" if span.high < finest else "invalid",
        value=percentile(ordered, q=0.99),
        unit="ms",
        limit=finest,
        low=finite(span.low),
        high=finite(span.high),
        n=_CALLS,
        evidence=f"Its p50 is {percentile(ordered, q=0.5):.6f} ms.",
    )


def check_same(work: Callable[[], object], *, clock: Clock, chance: random.Random) -> Finding:
    """Whether a call is as fast as itself, in pairs in random order: a test of equivalence within 5 %.

    A test of difference would call one sound run in twenty unsound.
    """
    calls: tuple[int, ...] = ()
    floors: tuple[int, ...] = ()
    verdict: Verdict = "inconclusive"
    for look in SAME_LOOKS:
        timed = time_pairs([Pair(work, work)] * (look - len(calls) + 20), warmup=20, chance=chance, clock=clock)
        calls, floors = calls + timed.calls, floors + timed.floors
        verdict = _equivalent(calls, floors)
        if verdict != "inconclusive":
            break
    ratio = ratio_of(calls, floors) if verdict != "invalid" or min(calls + floors, default=0) > 0 else None
    return Finding(
        id="self.same",
        claim=f"A call timed against itself takes the same time within {SAME_WITHIN:.0%}",
        verdict=verdict,
        value=ratio.value if ratio else None,
        unit="times",
        limit=1 + SAME_WITHIN,
        low=finite(ratio.low) if ratio else None,
        high=finite(ratio.high) if ratio else None,
        n=len(calls),
        evidence="Median of the ratios within pairs in random order; the interval is at 95 %, the test at 99.9 %."
        if ratio
        else "The clock did not see how long it takes.",
    )


def check_stall() -> Finding:
    """Whether waiting is counted: a service of 1 ms stands still for 1 s in every 10, in simulated time.

    The share of requests delayed by more than x is then (1 s - x) / 10 s; the value is the response time's p99 in ms.
    """
    world = Simulated(
        stalling(service_ns=int(_SERVICE_MS * _NS_PER_MS), stall_ns=int(_STALL_S * _S), every_ns=int(_EVERY_S * _S))
    )
    load = run_load(constant(_RATE, _SECONDS), executor=world, clock=world.clock, sleep=world.sleep, cpu=lambda: 0.0)
    ordered = sorted(load.response_ms)
    due = {q: _SERVICE_MS + max(0.0, 1_000 * (_STALL_S - (1 - q) * _EVERY_S)) for q in (0.5, 0.95, 0.99)}
    seen = {q: percentile(ordered, q=q) if ordered else 0.0 for q in due}
    is_right = len(ordered) == _RATE * _SECONDS and all(abs(seen[q] - due[q]) <= _OFF * 1_000 * _STALL_S for q in due)
    told = ", ".join(f"p{100 * q:g} {seen[q]:,.0f} where {due[q]:,.0f} is due" for q in due)
    return Finding(
        id="self.stall",
        claim="A service that stands still is seen by all who wait for it, in simulated time",
        verdict="pass" if is_right else "invalid",
        value=seen[0.99],
        unit="ms",
        limit=due[0.99],
        n=len(ordered),
        evidence=f"Response times in ms: {told}. A loop that waits for each answer would say p99 1.",
    )


def _equivalent(calls: Sequence[int], floors: Sequence[int]) -> Verdict:
    if min((*calls, *floors), default=0) <= 0:
        return "invalid"
    found = equivalence(calls, floors, within=SAME_WITHIN, alpha=SAME_ALPHA / len(SAME_LOOKS))
    return "invalid" if found == "fail" else found


def _finest(cases: Sequence[Case]) -> float | None:
    limits = [case.limit_ms for case in cases if not case.not_applicable]
    return min(limits) / FINEST_PART if limits else None


def _nothing(name: str, claim: str) -> Finding:
    return Finding(name, claim, "not applicable", unit="ms", evidence="No case can be measured here.")
