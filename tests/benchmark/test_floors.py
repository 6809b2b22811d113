"""Calls beside their floors with a clock that the test holds: what is timed, what is paired, what the verdict is."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable
from dataclasses import replace

import pytest

from ptp.benchmark.floors import Bound, excess, judge_pairs, not_measured
from ptp.benchmark.pairs import Pair, TimedPairs, time_pairs
from ptp.errors import CannotFinish
from ptp.results import Finding, from_json, to_json

US = 1_000


class Clock:
    """A clock that moves only by what the work does to it; `order` is who did it."""

    def __init__(self) -> None:
        self.now = 0
        self.order: list[str] = []

    def __call__(self) -> int:
        return self.now

    def pair(self, call_us: float, floor_us: float, **more: object) -> Pair:
        def work(name: str, us: float) -> str:
            self.now += round(us * US)
            self.order.append(name)
            return f"outcome of {name}"

        return Pair(lambda: work("call", call_us), lambda: work("floor", floor_us), **more)  # type: ignore[arg-type]


def timed(*durations: tuple[float, float], warmup: int = 0, seed: int = 1) -> TimedPairs:
    clock = Clock()
    return time_pairs([clock.pair(*both) for both in durations], warmup=warmup, chance=random.Random(seed), clock=clock)


def judged(durations: Iterable[tuple[float, float]], bound: Bound) -> Finding:
    return judge_pairs("work", "the work", bound, timed(*durations))


def test_samples_are_what_the_clock_said_pair_by_pair_whichever_came_first() -> None:
    clock = Clock()
    pairs = [clock.pair(10 + n, 3) for n in range(64)]
    found = time_pairs(pairs, warmup=0, chance=random.Random(5), clock=clock)
    assert found.calls == tuple((10 + n) * US for n in range(64))
    assert found.floors == (3 * US,) * 64
    first = clock.order[::2]
    assert clock.order[1::2] == ["floor" if name == "call" else "call" for name in first]
    assert 16 < first.count("call") < 48


def test_the_order_within_the_pairs_follows_the_seed() -> None:
    def order(seed: int) -> list[str]:
        clock = Clock()
        time_pairs([clock.pair(1, 1)] * 40, warmup=0, chance=random.Random(seed), clock=clock)
        return clock.order

    assert order(1) == order(1) != order(2)


def test_warm_up_pairs_are_made_and_not_counted() -> None:
    found = timed(*[(900, 900)] * 20, (8, 2), (9, 3), warmup=20)
    assert (found.calls, found.floors) == ((8 * US, 9 * US), (2 * US, 3 * US))


def test_what_compares_the_outcomes_is_not_timed() -> None:
    clock = Clock()

    def slow(called: str, fetched: str) -> None:
        assert (called, fetched) == ("outcome of call", "outcome of floor")
        clock.now += 10**9

    pairs = [clock.pair(4, 2, unlike=slow)] * 10
    found = time_pairs(pairs, warmup=0, chance=random.Random(1), clock=clock)
    assert (set(found.calls), set(found.floors)) == ({4 * US}, {2 * US})


def test_medians_are_within_the_pairs() -> None:
    found = excess(timed((10, 1), (20, 10), (90, 30), (40, 30), (50, 50)))
    assert found is not None
    # ratios 10, 2, 3, 1.33, 1; differences 9, 10, 60, 10, 0
    assert (found.call_us, found.floor_us, found.over_us, found.ratio) == (40.0, 30.0, 10.0, 2.0)
    assert excess(TimedPairs((), ())) is None


def test_the_bounds_are_order_statistics_of_the_ratios() -> None:
    found = judged([(float(n), 1.0) for n in range(1, 201)], Bound(ratio=300.0))
    # The k-th of 200 is over the median with 95 % where at most k - 1 tosses of 200 are heads with 95 %.
    heads = [sum(math.comb(200, n) for n in range(k)) / 2**200 for k in range(202)]
    upper = next(k for k in range(1, 201) if heads[k] >= 0.95)
    assert (found.low, found.value, found.high) == (201 - upper, 100, upper)
    assert (found.n, found.limit, found.unit, found.severity) == (200, 300.0, "times", "gate")


@pytest.mark.parametrize(("durations", "bound", "verdict"), [
    ([(39, 10)] * 20, Bound(4.0), "pass"),
    ([(41, 10)] * 20, Bound(4.0), "fail"),
    ([(39, 10), (41, 10)] * 10, Bound(4.0), "inconclusive"),
    ([(39, 10)] * 4, Bound(4.0), "inconclusive"),  # of 4 pairs no bound of a median exists
    ([(39, 10)] * 5, Bound(4.0), "pass"),
    ([(41, 10)] * 5, Bound(4.0), "fail"),
    ([(159, 10)] * 20, Bound(2.5, within_us=150), "pass"),
    ([(161, 10)] * 20, Bound(2.5, within_us=150), "fail"),
    ([(159, 10), (161, 10)] * 10, Bound(2.5, within_us=150), "inconclusive"),
    ([(2_400, 1_000)] * 20, Bound(2.5, within_us=150), "pass"),
    ([(2_400, 1_000), (2_600, 1_000)] * 10, Bound(2.5, within_us=150), "inconclusive"),
    ([(900, 1_000)] * 20, Bound(1 / 3), "fail"),
    ([(300, 1_000)] * 20, Bound(1 / 3), "pass"),
])  # fmt: skip
def test_the_verdict_follows_the_bounds_of_either(
    durations: list[tuple[float, float]], bound: Bound, verdict: str
) -> None:
    assert judged(durations, bound).verdict == verdict


def test_the_claim_names_the_bound() -> None:
    assert judged([(1, 1)] * 5, Bound(4.0)).claim == "p50 of the work is at most 4 times its floor"
    near = judged([(1, 1)] * 5, Bound(2.5, within_us=150))
    assert near.claim == "p50 of the work is at most 2.5 times its floor or within 150 us of it"
    assert near.id == "floor.work"


def test_a_floor_that_the_clock_does_not_see_leaves_no_number_in_the_finding() -> None:
    found = judged([(1, 0)] * 20, Bound(4.0))
    assert (found.verdict, found.value, found.low, found.high) == ("fail", None, None, None)
    assert from_json(json.loads(json.dumps(to_json(found), allow_nan=False))) == found


def test_outcomes_that_are_not_alike_fail_however_fast() -> None:
    clock = Clock()
    odd = clock.pair(1, 100, unlike=lambda called, fetched: f"{called}, {fetched}")
    found = time_pairs([clock.pair(1, 100)] * 7 + [odd] * 3, warmup=2, chance=random.Random(1), clock=clock)
    finding = judge_pairs("work", "the work", Bound(4.0), found)
    assert (finding.verdict, finding.n) == ("fail", 5)
    assert finding.evidence.endswith(
        "After 5 pairs one failed: call and floor are not alike: outcome of call, outcome of floor"
    )


@pytest.mark.parametrize("which", ["call", "floor"])
def test_an_error_of_either_fails_with_its_message(which: str) -> None:
    def broken() -> None:
        raise KeyError("lost")

    clock = Clock()
    bad = replace(clock.pair(1, 1), **{which: broken})
    found = time_pairs([clock.pair(1, 1), bad], warmup=0, chance=random.Random(1), clock=clock)
    assert (found.error, len(found.calls), len(found.floors)) == ("KeyError: 'lost'", 1, 1)


@pytest.mark.parametrize("error", [CannotFinish("The disk is full."), KeyboardInterrupt()])
def test_what_says_nothing_of_either_ends_it(error: BaseException) -> None:
    def stop() -> None:
        raise error

    with pytest.raises(type(error)):
        time_pairs([Pair(stop, stop)], warmup=0, chance=random.Random(1))


def test_no_pair_at_all_is_no_pass() -> None:
    assert judged([], Bound(4.0)).verdict == "invalid"
    absent = not_measured("work", "the work", Bound(4.0), reason="Its table is empty.")
    assert (absent.verdict, absent.evidence, absent.n) == ("not applicable", "Its table is empty.", 0)
    assert (absent.id, absent.claim) == (judged([], Bound(4.0)).id, judged([], Bound(4.0)).claim)
