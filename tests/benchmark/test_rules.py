"""Rules of a trustworthy verdict, each with the trial that shows it: synthetic services, simulated clocks.

Rules 4, 7, 8 and 16 are tested for their mathematics with `ptp.stats`; here they are seen through the harness.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from statistics import NormalDist

import pytest

from ptp.benchmark import Case, Timed, batch_for, family_note, judge, measure, resolution_ns, selfcheck, time_calls
from ptp.benchmark.load_verdict import flag_threads, judge_load
from ptp.benchmark.openloop import Done, Load, constant, poisson, run_load
from ptp.benchmark.pairs import Pair, time_pairs
from ptp.benchmark.simulated import Serve, Simulated, stalling
from ptp.benchmark.threads import Threads
from ptp.results import Finding, worst
from ptp.stats import bounds, percentile, ratio_of

US = 1_000
MS = 1_000_000
S = 1_000 * MS


class Clock:
    """A clock that moves only by what the work does to it."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def case_of(clock: Clock, durations_ms: Iterable[float], **more: object) -> Case:
    left = iter(durations_ms)

    def call() -> None:
        clock.now += round(next(left) * MS)

    values = {"warmup": 0, "n": 300, "limit_ms": 50.0, "name": "work", "claim": "p95 of work is under 50 ms", **more}
    return Case(call=call, **values)  # type: ignore[arg-type]


def measured(durations_ms: Iterable[float], **more: object):  # type: ignore[no-untyped-def]
    clock = Clock()
    return measure([case_of(clock, durations_ms, **more)], environment={}, clock=clock)[0]


def loaded(serve: Serve, schedule: tuple[int, ...], **more: object) -> Load:
    world = Simulated(serve)
    given = {"executor": world, "clock": world.clock, "sleep": world.sleep, "cpu": lambda: 0.1, **more}
    return run_load(schedule, **given)  # type: ignore[arg-type]


def verdicts(load: Load, **more: float) -> tuple[str, ...]:
    return tuple(f.verdict for f in judge_load("page", load, **{"limit_ms": 50.0, **more}))


FROZEN = stalling(service_ns=MS, stall_ns=S, every_ns=10 * S)


def test_rule_01_response_time_starts_when_the_request_was_due() -> None:
    load = loaded(FROZEN, poisson(500, 60, chance=random.Random(1)))
    response, service = sorted(load.response_ms), sorted(load.service_ms)
    assert percentile(response, q=0.5) == pytest.approx(1, abs=0.01)
    assert percentile(response, q=0.95) == pytest.approx(500, abs=50)
    assert percentile(response, q=0.99) == pytest.approx(900, abs=30)
    for x in (0.2, 0.4, 0.6, 0.8):  # the share delayed beyond x is (S - x) / T
        assert sum(ms > 1_000 * x + 1 for ms in response) / len(response) == pytest.approx((1 - x) / 10, abs=0.006)
    assert {round(ms, 9) for ms in service} == {1.0}
    assert verdicts(load)[2] != "pass"


def test_rule_01_a_closed_loop_says_1_ms_and_is_wrong() -> None:
    clock = Clock()

    def call() -> None:
        clock.now = FROZEN(0, clock.now).ended  # type: ignore[union-attr]

    closed = Case("page", "", 50.0, call=call, warmup=0, n=30_000)
    assert percentile(time_calls(closed, clock=clock).ordered_ms, q=0.99) == 1.0


@pytest.mark.parametrize(("answered", "most_in_flight"), [(0, None), (700, None), (700, 100), (995, None)])
def test_rule_02_a_service_that_hangs_is_counted_and_does_not_pass(answered: int, most_in_flight: int | None) -> None:
    asked: list[int] = []

    def serve(number: int, now: int) -> Done | None:
        asked.append(number)
        if len(asked) > answered:
            return None
        return Done(number, now, now + MS, "broken" if number % 100 == 7 else None)

    load = loaded(serve, constant(100, 10), most_in_flight=most_in_flight)
    counts = load.counts
    assert counts["completed"] + counts["error"] + counts["skipped"] + counts["in flight"] == load.scheduled == 1_000
    assert counts["completed"] + counts["error"] == answered and counts["error"] == (answered + 92) // 100
    assert counts["in flight"] == len(asked) - answered and counts["skipped"] == 1_000 - len(asked)
    assert "pass" not in verdicts(load)[1:2]
    assert worst(judge_load("page", load, limit_ms=50.0)) != "pass"


def test_rule_03_draws_just_over_the_limit_seldom_pass_through_the_real_looks() -> None:
    chance = random.Random(3)
    passed = 0
    for _ in range(120):
        # Uniform up to 1,000: 5.1 % of the draws are over 949, so that the true p95 is 950.
        found = measured(iter(lambda: chance.uniform(0, 1_000), None), limit_ms=949.0, n=100, most=400)
        passed += found.finding.verdict == "pass"
    assert passed <= 12  # 5 % of 120 is 6; the chance of more than 12 is under 1 %


def test_rule_03_50_samples_cannot_show_a_p95() -> None:
    found = measured([1.0] * 50, n=50).finding
    assert (found.verdict, found.high) == ("inconclusive", None)
    assert found.evidence == "50 samples do not decide; about 59 are needed"
    assert measured([1.0] * 59, n=59).finding.verdict == "pass"


@pytest.mark.parametrize(("failed", "of", "verdict"), [
    (0, 299, "pass"), (1, 299, "inconclusive"), (4, 1_000, "pass"), (5, 1_000, "inconclusive"),
    (9, 1_000, "inconclusive"), (38, 5_000, "pass"), (39, 5_000, "inconclusive"), (20, 1_000, "fail"),
])  # fmt: skip
def test_rule_04_error_rates_have_bounds_too(failed: int, of: int, verdict: str) -> None:
    load = loaded(
        lambda number, now: Done(number, now, now + MS, "broken" if number < failed else None), constant(100, of / 100)
    )
    assert (load.scheduled, verdicts(load)[1]) == (of, verdict)


def test_rule_05_a_generator_beside_which_something_burns_the_processors_is_not_believed() -> None:
    schedule = constant(100, 10)
    for share, verdict in ((0.80, "pass"), (0.81, "invalid")):
        load = loaded(FROZEN, schedule, cpu=lambda share=share: share)
        assert verdicts(load, limit_ms=5_000)[0] == verdict
    assert verdicts(load, limit_ms=5_000) == ("invalid",) * 3


def test_rule_05_a_generator_that_is_late_or_slow_is_not_believed() -> None:
    def with_lag(ms: float, every: int) -> Load:
        world = Simulated(lambda number, now: Done(number, now, now + MS))
        naps = iter(range(10**9))

        def sleep(seconds: float) -> None:
            world.sleep(seconds + (ms / 1e3 if next(naps) % every == 0 else 0))

        return run_load(constant(100, 10), executor=world, clock=world.clock, sleep=sleep, cpu=lambda: 0.1)

    found = {ms: judge_load("page", with_lag(ms, 50), limit_ms=50.0)[0] for ms in (4, 8)}
    assert (found[4].verdict, found[4].value, found[4].limit) == ("pass", 4.0, 5.0)
    assert (found[8].verdict, found[8].value) == ("invalid", 8.0)
    assert judge_load("page", with_lag(8, 200), limit_ms=50.0)[0].verdict == "pass"  # one in 200 is not the p99

    class Slow(Simulated):
        def start(self, number: int) -> None:
            self.now += round(10.2 * MS)  # to hand over a request takes longer than there is until the next
            super().start(number)

    world = Slow(lambda number, now: Done(number, now, now + MS))
    load = run_load(constant(100, 10), executor=world, clock=world.clock, sleep=world.sleep, cpu=lambda: 0.1)
    generator = judge_load("page", load, limit_ms=50_000.0)[0]
    assert generator.verdict == "invalid" and "only 97.9% of the rate was achieved" in generator.evidence


def test_rule_06_8_threads_that_turn_2_ms_into_34_are_flagged() -> None:
    chance = random.Random(6)
    alone = [chance.uniform(1.0, 2.0) for _ in range(2_000)]
    together = [34.0 if chance.random() < 0.03 else ms for ms in alone]
    found = flag_threads(8, alone_ms=alone, together_ms=together)
    assert (found.verdict, found.value) == ("invalid", 34.0)
    assert "several processes" in found.evidence
    assert flag_threads(1, alone_ms=alone, together_ms=alone[::-1]).verdict == "pass"


@pytest.mark.torture
def test_rule_06_8_real_threads_are_flagged_beside_one() -> None:
    def taken(threads: int) -> tuple[float, ...]:
        with Threads(lambda number: sum(range(20_000)), threads=threads) as executor:
            return run_load(
                (0,) * 4_000,
                executor=executor,
                clock=time.perf_counter_ns,
                sleep=time.sleep,
                cpu=lambda: 0.0,
                grace_s=60,
            ).service_ms

    alone = taken(1)
    assert flag_threads(8, alone_ms=alone, together_ms=taken(8)).verdict == "invalid"
    assert flag_threads(1, alone_ms=alone, together_ms=taken(1)).verdict == "pass"


def test_rule_07_a_against_a_covers_1_and_a_slowdown_of_5_percent_is_found() -> None:
    def interval(seed: int, factor: float, pairs: int) -> tuple[float, float]:
        clock, chance = Clock(), random.Random(seed)
        mood = 1.0

        def work(factor: float) -> Callable[[], None]:
            def call() -> None:
                nonlocal mood
                mood = 0.95 * mood + 0.05 * chance.uniform(0.5, 1.5)  # the machine, slow for a while
                clock.now += round(100 * US * factor * mood * chance.lognormvariate(0, 0.15))

            return call

        timed = time_pairs([Pair(work(factor), work(1.0))] * pairs, warmup=50, chance=chance, clock=clock)
        found = ratio_of(timed.calls, timed.floors)
        return found.low, found.high

    alike = [interval(seed, 1.0, 250) for seed in range(200)]
    assert 180 <= sum(low <= 1 <= high for low, high in alike) <= 199
    slower = [interval(seed, 1.05, 650) for seed in range(50)]
    assert sum(low > 1 for low, _ in slower) >= 45


def test_rule_07_as_a_self_check_it_is_a_test_of_equivalence() -> None:
    verdicts = []
    for seed in range(20):
        clock, chance = Clock(), random.Random(seed)

        def work(clock: Clock = clock, chance: random.Random = chance) -> None:
            clock.now += round(10 * US * chance.lognormvariate(0, 0.2))

        verdicts.append(selfcheck.check_same(work, clock=clock, chance=chance).verdict)
    assert verdicts == ["pass"] * 20


def autocorrelated(chance: random.Random, n: int) -> list[float]:
    """AR(1) with 0.9, in ms: of variance 1 around 10."""
    value, found = chance.gauss(0, 1), []
    for _ in range(n):
        value = 0.9 * value + math.sqrt(1 - 0.81) * chance.gauss(0, 1)
        found.append(10 + value)
    return found


def test_rule_08_the_interval_holds_where_latencies_depend_on_each_other() -> None:
    truth = 10 + NormalDist().inv_cdf(0.95)
    covered = naive = 0
    for seed in range(50):
        samples = autocorrelated(random.Random(seed), 2_000)
        row = measured(samples, n=2_000).row
        low, high = row["p95_low_ms"] or 0.0, row["p95_high_ms"] or math.inf
        assert row["effective_n"] < 500
        covered += low <= truth <= high
        span = bounds(sorted(samples), q=0.95)
        naive += span.low <= truth <= span.high
    assert covered >= 41  # of 50 at 90 %: fewer are seen once in forty times
    assert naive < 30


def test_rule_08_a_verdict_rests_on_the_effective_n() -> None:
    samples = autocorrelated(random.Random(8), 400)
    found = measured(samples, n=400, limit_ms=12.1)
    assert found.finding.verdict == "inconclusive" and found.row["effective_n"] < 200
    assert "tell as much as" in found.finding.evidence
    assert measured(random.Random(1).sample(samples, 400), n=400, limit_ms=12.1).finding.verdict == "pass"


def test_rule_09_percentiles_come_from_raw_samples() -> None:
    assert measured([149.6] * 300, limit_ms=150.0).finding.verdict == "pass"
    assert measured([150.4] * 300, limit_ms=150.0).finding.verdict == "fail"
    # The mean of the p95 of halves would be 75.5; of all together it is 150.
    halves = [1.0] * 1_000 + [150.0] * 1_000
    found = measured(random.Random(9).sample(halves, 2_000), n=2_000)
    assert found.row["p95_ms"] == 150.0


def test_rule_10_warm_up_is_decided_beforehand_excluded_and_shown_and_cold_runs_stand_apart() -> None:
    chance = random.Random(10)
    hot = [chance.uniform(1, 2) for _ in range(1_000)]
    slow = [10 * chance.uniform(1, 2) for _ in range(500)]
    alone = measured(hot, n=1_000)
    found = measured(slow + hot, n=1_000, warmup=500)
    assert (found.finding.value, found.finding.high) == (alone.finding.value, alone.finding.high)
    assert "after 500 warm-up calls, whose p50 was 1" in found.finding.evidence
    cold = measured(slow[:5] + hot, n=1_000, cold=5)
    assert (cold.row["p95_ms"], cold.row["cold_p50_ms"]) == (alone.row["p95_ms"], pytest.approx(sorted(slow[:5])[2]))


def test_rule_10_a_warm_up_that_was_too_short_is_seen() -> None:
    chance = random.Random(10)
    found = measured([10 * chance.uniform(1, 2) for _ in range(200)] + [chance.uniform(1, 2)] * 800, n=1_000)
    assert found.finding.verdict == "inconclusive" and found.finding.evidence.startswith("Withheld")


def test_rule_11_fast_and_wrong_is_an_error_and_the_check_is_not_timed() -> None:
    clock = Clock()
    rows = iter([1] * 200 + [2])

    def wrong(row: int) -> str | None:
        clock.now += 500 * MS
        return None if row == 1 else f"row {row} where 1 was due"

    case = replace(case_of(clock, []), call=lambda: next(rows), check=wrong)
    found = measure([case], environment={}, clock=clock)[0]
    assert found.finding.verdict == "fail"
    assert found.finding.evidence == "After 200 of 300 samples a call failed: wrong outcome: row 2 where 1 was due"
    assert set(found.measurement.samples) == {0.0}


def test_rule_12_latency_that_rises_by_1_ms_a_second_has_no_verdict() -> None:
    clock, chance = Clock(), random.Random(12)

    def call() -> None:
        clock.now += round((5 + clock.now / S) * MS * chance.lognormvariate(0, 0.1))

    case = replace(case_of(clock, []), call=call, n=1_000, limit_ms=100.0)
    found = measure([case], environment={}, clock=clock)[0].finding
    assert found.verdict == "inconclusive"
    assert found.evidence.startswith("Withheld: latency is not steady; it rose by about")
    level = measured((5 * chance.lognormvariate(0, 0.1) for _ in range(1_000)), n=1_000, limit_ms=100.0)
    assert level.finding.verdict == "pass"


def test_rule_12_a_load_whose_response_or_backlog_rises_has_no_verdict() -> None:
    def rising(number: int, now: int) -> Done:
        return Done(number, now, now + 5 * MS + now // 1_000)  # 1 ms more each second

    found = judge_load("page", loaded(rising, constant(100, 30)), limit_ms=100.0)[2]
    assert found.verdict == "inconclusive" and "response times rose by about 3" in found.evidence

    def forgetting(number: int, now: int) -> Done | None:
        return None if number % 25 == 3 else Done(number, now, now + 5 * MS)  # 4 % stay open for ever

    found = judge_load("page", loaded(forgetting, constant(100, 30)), limit_ms=100.0)[2]
    assert found.verdict == "inconclusive" and "the backlog grew by about 1" in found.evidence
    level = judge_load("page", loaded(lambda n, now: Done(n, now, now + 5 * MS), constant(100, 30)), limit_ms=100.0)
    assert level[2].verdict == "pass"


def test_rule_15_a_clock_of_1_ms_gets_a_warning_or_batches() -> None:
    chance = random.Random(15)
    now = 0

    def clock() -> int:
        return now // MS * MS

    def call() -> None:
        nonlocal now
        now += round(chance.uniform(20, 60) * US)

    def spinning() -> int:
        nonlocal now
        now += 10 * US
        return clock()

    assert resolution_ns(spinning) == MS
    case = Case("work", "", 50.0, call=call, warmup=0, n=300)
    assert selfcheck.check_clock([case], clock=spinning).verdict == "invalid"
    single = judge(case, time_calls(case, clock=clock), environment={}, resolution=MS)
    assert single.row["p50_ms"] == 0.0
    assert "WARNING: the clock moves in steps of 1 ms, too coarse for such samples" in single.finding.evidence
    batched = replace(case, batch=batch_for(40 * US, MS))
    found = judge(batched, time_calls(batched, clock=clock), environment={}, resolution=MS)
    assert found.row["p50_ms"] == pytest.approx(0.040, rel=0.01) and found.row["batch"] == 2_500
    assert "WARNING" not in found.finding.evidence and "percentile of means" in found.finding.evidence


def test_rule_15_resolution_and_cost_are_in_the_evidence_of_each_run() -> None:
    found = {f.id: f for f in selfcheck.self_check([case_of(Clock(), [])], chance=random.Random(1))}
    assert found["self.clock"].unit == "ms" and 0 < found["self.clock"].value < 0.01  # type: ignore[operator]
    assert found["self.cost"].unit == "us" and 0 < found["self.cost"].value < 2  # type: ignore[operator]


def test_rule_16_of_20_gates_none_passes_by_luck_as_a_family() -> None:
    chance = random.Random(16)
    lucky_alone = lucky_together = 0
    for _ in range(24):
        gates = []
        for number in range(20):
            # 5.1 % are over the limit: none of these gates should pass.
            samples = [chance.uniform(0, 1_000) for _ in range(153)]
            case = case_of(Clock(), [], name=f"q{number}", n=153, limit_ms=949.0)
            gates.append(judge(case, Timed(tuple(round(ms * MS) for ms in samples)), environment={}))
        note: Finding = family_note(gates)
        passed = sum(g.finding.verdict == "pass" for g in gates)
        assert (note.severity, note.limit, note.n, note.verdict == "inconclusive") == (
            "note", passed, 20, passed > note.value)  # fmt: skip
        lucky_alone += passed > 0
        lucky_together += note.value > 0  # type: ignore[operator]
    assert lucky_together <= 4 < lucky_alone  # at most 5 % of 24 families are expected, and up to 64 % alone


def test_rule_16_gates_far_under_their_limits_hold_as_a_family_and_doubtful_ones_are_named() -> None:
    sure = [measured([1.0] * 300, name=f"q{n}") for n in range(20)]
    note = family_note(sure)
    assert (note.id, note.verdict, note.value, note.where) == ("bench.family", "pass", 20, ())
    doubtful = measured([1.0] * 59, n=59, name="few")
    assert doubtful.finding.verdict == "pass" and doubtful.p_value == pytest.approx(0.95**59)
    note = family_note([*sure, doubtful])
    assert (note.verdict, note.value, note.where) == ("pass", 21, ())  # the last of Holm's lines is 5 %
    note = family_note([*sure, doubtful, replace(doubtful, finding=replace(doubtful.finding, id="bench.other"))])
    assert (note.verdict, note.value, note.where) == ("inconclusive", 20, ("bench.few", "bench.other"))


def test_rule_19_outliers_are_flagged_and_never_trimmed() -> None:
    chance = random.Random(19)
    plain = [chance.uniform(10, 12) for _ in range(2_000)]
    spiked = [400.0 if number % 100 == 50 else ms for number, ms in enumerate(plain)]
    found = measured(spiked, n=2_000)
    assert found.row["outliers"] == 20 and measured(plain, n=2_000).row["outliers"] == 0
    assert list(found.measurement.samples) == [round(ms * MS) / MS for ms in spiked]
    by_hand = sorted(found.measurement.samples)
    assert found.row["p99_ms"] == by_hand[1_979] and found.finding.value == by_hand[1_899]
    assert found.row["n"] == found.finding.n == 2_000
    worse = measured([400.0 if number % 10 == 5 else ms for number, ms in enumerate(plain)], n=2_000)
    assert (worse.row["p95_ms"], worse.finding.verdict) == (400.0, "fail")
