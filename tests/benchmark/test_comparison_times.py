"""Times before against after, by pairs of processes; on made-up processes whose difference is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import comb
from typing import TypeAlias

import numpy as np
import pytest

from ptp.benchmark.comparison_times import (
    Rounds,
    Times,
    judge_times,
    processes_for,
    to_measure_again,
    wants_more,
)
from ptp.results import Finding, worst

THAN = "main (abc)"
Chance: TypeAlias = np.random.Generator


def process(
    ratio: float, chance: Chance, *, n: int = 100, noise: float = 0.2, carry: float = 0.0, luck: float = 0.0
) -> Times:
    """What one pair of processes takes: both share the machine's mood, each has stalls of its own.

    `noise` is that of the logarithm of the ratio, `carry` how much of it a pair passes on to the next one. `luck` is
    the chance that one of the two is 15 % slower all its life, as was seen of real processes.
    """
    fresh = chance.normal(0, noise, n)
    for place in range(1, n if carry else 0):
        fresh[place] = carry * fresh[place - 1] + (1 - carry**2) ** 0.5 * fresh[place]
    if chance.random() < luck:
        fresh += chance.choice([-1, 1]) * np.log(1.15)
    before = 100_000 * chance.lognormal(0, 0.5, n)
    after = before * ratio * np.exp(fresh)
    for side in (before, after):
        side[chance.random(n) < 0.01] *= 20
    return Times(tuple(map(int, before)), tuple(map(int, after)))


def second(ratios: Mapping[str, float], chance: Chance, **how: float) -> tuple[dict[str, list[Times]], int]:
    """The second round of these queries: new pairs of processes, as long as they could decide anything."""
    wanted = processes_for(len(ratios)) if ratios else 0
    found: dict[str, list[Times]] = {name: [] for name in ratios}
    for name, ratio in ratios.items():
        while wants_more(found[name], wanted=wanted):
            found[name].append(process(ratio, chance, **how))  # type: ignore[arg-type]
    return found, wanted


def run(ratios: Mapping[str, float], seed: int, **how: float) -> dict[str, Finding]:
    """A whole comparison, both rounds, of queries whose true ratios are these."""
    chance = np.random.default_rng(seed)
    first = {name: [process(ratio, chance, **how) for _ in range(3)] for name, ratio in ratios.items()}  # type: ignore[arg-type]
    again, wanted = second({name: ratios[name] for name in to_measure_again(first)}, chance, **how)
    return verdicts(Rounds(first, again, wanted))


def verdicts(rounds: Rounds) -> dict[str, Finding]:
    return {f.id.split(".")[1]: f for f in judge_times(rounds, than=THAN)}


def some(ratios: Sequence[float], **how: float) -> list[Times]:
    chance = np.random.default_rng(1)
    return [process(ratio, chance, **how) for ratio in ratios]  # type: ignore[arg-type]


def test_rule_16_of_20_queries_just_as_fast_none_fails_in_99_of_100_runs() -> None:
    runs, failed = 60, 0
    for seed in range(runs):
        # The worst there is that must not fail: all exactly at the limit, and all under suspicion.
        again, wanted = second({f"q{n}": 1.05 for n in range(20)}, np.random.default_rng(seed), n=31)
        failed += any(f.verdict == "fail" for f in verdicts(Rounds(again, again, wanted)).values())
    # With a chance of 1 % each, 4 or more of 60 would come three times in 1,000.
    assert failed <= 3, f"{failed} of {runs}"


@pytest.mark.parametrize(("carry", "luck"), [(0.0, 0.0), (0.6, 0.0), (0.0, 0.15)])
def test_a_change_that_slows_nothing_down_passes_20_times_of_20(carry: float, luck: float) -> None:
    names = {f"q{n}": 1.0 for n in range(25)}
    for seed in range(20):
        found = run(names, seed, carry=carry, luck=luck)
        assert worst(found.values()) == "pass", (seed, [f for f in found.values() if f.verdict != "pass"])


def test_one_query_of_25_that_is_15_percent_slower_is_found_and_no_other() -> None:
    names = {f"q{n}": 1.0 for n in range(24)} | {"slow": 1.15}
    failed = [{n for n, f in run(names, seed).items() if f.verdict == "fail"} for seed in range(20)]
    assert failed.count({"slow"}) >= 19, failed


def test_a_slow_query_never_passes_however_the_luck_of_its_processes() -> None:
    found = [run({"slow": 1.2}, seed, luck=0.15)["slow"].verdict for seed in range(40)]
    assert found.count("pass") <= 2 and found.count("fail") >= 20, found


@pytest.mark.parametrize("queries", [1, 2, 25])
def test_so_many_processes_are_wanted_that_luck_is_rare_and_one_fewer_would_not_do(queries: int) -> None:
    wanted = processes_for(queries)
    by_luck = [(comb(n, 0) + comb(n, 1)) / 2**n * queries for n in (wanted, wanted - 1)]
    assert by_luck[0] <= 0.01 < by_luck[1]


def test_a_suspicion_that_new_processes_do_not_bear_out_passes() -> None:
    first = {"q": some([1.3] * 3)}
    assert to_measure_again(first) == ("q",)
    found = verdicts(Rounds(first, {"q": some([1.0] * 6)}, 11))["q"]
    assert found.verdict == "pass" and "measured again by 6 pairs of processes" in found.evidence
    found = verdicts(Rounds(first, {"q": some([1.3] * 11)}, 11))["q"]
    assert found.verdict == "fail" and found.low is not None and found.low > 1.05
    assert found.value == pytest.approx(1.3, rel=0.05)


def test_of_all_processes_one_may_miss_and_two_may_not() -> None:
    first = {"q": some([1.3] * 3)}
    for misses, verdict in ((1, "fail"), (2, "inconclusive")):
        again = some([1.3] * (11 - misses) + [0.9] * misses)
        assert verdicts(Rounds(first, {"q": again}, 11))["q"].verdict == verdict
    assert verdicts(Rounds(first, {"q": some([1.3] * 10)}, 11))["q"].verdict != "fail", "one is still wanted"


def test_the_second_round_ends_where_nothing_more_can_be_decided() -> None:
    assert wants_more(some([1.0] * 5), wanted=11), "too few for a bound"
    assert not wants_more(some([1.0] * 6), wanted=11), "it cannot fail any more, and it passes"
    assert wants_more(some([1.3] * 6), wanted=11), "it may fail"
    assert wants_more(some([1.3] * 4 + [1.0] * 2), wanted=11), "it may pass"
    assert not wants_more(some([1.3] * 11), wanted=11)
    assert not wants_more([Times(error="ValueError: x")], wanted=11)


def test_too_few_or_too_noisy_pairs_are_inconclusive_and_never_pass() -> None:
    for first in (some([1.0], n=4), some([1.0] * 3, n=20, noise=1.5)):
        assert to_measure_again({"q": first}) == ("q",)
        assert verdicts(Rounds({"q": first}))["q"].verdict == "inconclusive"
    noisy = {"q": some([1.0] * 11, n=5, noise=1.5)}
    assert verdicts(Rounds(noisy, noisy, 11))["q"].verdict == "inconclusive"


def test_a_query_that_failed_on_counters_is_not_timed_again_and_its_time_is_told() -> None:
    first = {"q": some([3.0] * 3)}
    assert to_measure_again(first, failed={"q"}) == ()
    found = verdicts(Rounds(first, failed={"q"}))["q"]
    assert (found.verdict, found.severity) == ("fail", "note")
    assert "ms before" in found.where[0]
    noisy = {"q": some([1.0], n=4)}
    assert verdicts(Rounds(noisy, failed={"q"}))["q"].verdict == "not applicable", "nothing is left open"


def test_a_query_that_is_faster_passes() -> None:
    assert run({"q": 0.5}, 1)["q"].verdict == "pass"


def test_a_call_that_raised_fails_whatever_the_pairs_say() -> None:
    right = some([1.0] * 2)
    broken = Times(right[0].before, right[0].after, "OperationalError: no such table")
    found = verdicts(Rounds({"q": [*right, broken]}))["q"]
    assert found.verdict == "fail" and "no such table" in found.evidence
    found = verdicts(Rounds({"q": [Times(error="after, call 3: ValueError: x")]}))["q"]
    assert (found.verdict, found.n, found.value) == ("fail", 0, None)


def test_a_clock_that_did_not_move_is_no_error() -> None:
    assert verdicts(Rounds({"q": [Times((0,) * 40, (0,) * 40)]}))["q"].verdict == "pass"
