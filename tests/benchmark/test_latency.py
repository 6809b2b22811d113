"""The benchmark with a clock that the test holds: what is timed, what is counted, and what the verdict is."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ptp.benchmark import Case, Timed, judge, measure, time_calls
from ptp.engine.environment import environment
from ptp.results import from_json, to_json

MS = 1_000_000
ENVIRONMENT = {"cpu": "test"}


class Clock:
    """A clock that moves by `step` at each read, and by what the work does to it."""

    def __init__(self, step: int = 0) -> None:
        self.now = 0
        self.step = step

    def __call__(self) -> int:
        self.now += self.step
        return self.now


def case_of(clock: Clock, durations: Iterator[float], **more: object) -> Case:
    def call() -> str:
        clock.now += round(next(durations) * MS)
        return "fine"

    values = {"warmup": 0, "n": 100, "limit_ms": 50.0, "name": "work", "claim": "p95 of work is under 50 ms", **more}
    return Case(call=call, **values)  # type: ignore[arg-type]


def judged(durations: list[float], **more: object) -> object:
    clock = Clock()
    case = case_of(clock, iter(durations), n=len(durations), **more)
    return measure([case], environment=ENVIRONMENT, clock=clock)[0]


def test_samples_are_what_the_clock_said_in_order() -> None:
    found = judged([3, 1, 2])
    assert found.measurement.samples == (3.0, 1.0, 2.0)
    assert (found.measurement.unit, found.measurement.environment) == ("ms", ENVIRONMENT)


def test_warm_up_calls_are_made_and_not_counted() -> None:
    clock = Clock()
    case = case_of(clock, iter([500.0] * 50 + [1.0] * 100), warmup=50)
    found = measure([case], environment=ENVIRONMENT, clock=clock)[0]
    assert set(found.measurement.samples) == {1.0}
    assert found.finding.verdict == "pass"


def test_no_case_pays_for_the_garbage_of_the_one_before_it(collected: list[str]) -> None:
    clock = Clock()
    cases = [case_of(clock, iter([1.0] * 110), warmup=10)] * 3
    measure(cases, environment=ENVIRONMENT, clock=clock)
    assert len(collected) == 3


def test_what_the_check_takes_is_not_timed() -> None:
    clock = Clock()

    def slow_check(_: object) -> None:
        clock.now += 900 * MS

    assert time_calls(case_of(clock, iter([1.0] * 100), check=slow_check), clock=clock).samples_ms == (1.0,) * 100


def test_percentiles_are_samples_and_outliers_are_kept() -> None:
    found = judged(random.Random(1).sample([float(n) for n in range(1, 1001)], 1000))
    row = found.row
    assert (row["n"], row["p50_ms"], row["p95_ms"], row["p99_ms"]) == (1000, 500, 950, 990)
    assert (row["p95_low_ms"], row["p95_high_ms"], row["effective_n"]) == (938, 962, 1000)
    assert (row["outliers"], row["looks"], row["batch"], row["cold_p50_ms"]) == (0, 1, 1, None)
    assert list(row) == [
        "name", "n", "effective_n", "p50_ms", "p95_ms", "p95_low_ms", "p95_high_ms", "p99_ms", "limit_ms", "outliers",
        "looks", "batch", "cold_p50_ms", "cold_most_ms", "verdict"]  # fmt: skip
    assert (found.finding.value, found.finding.low, found.finding.high) == (950, 938, 962)


@pytest.mark.parametrize(("durations", "verdict"), [
    ([149.6] * 100, "pass"), ([150.4] * 100, "fail"), ([150.0] * 100, "inconclusive"),
    ([1.0] * 58, "inconclusive"), ([1.0] * 59, "pass"), ([1.0] * 93 + [200.0] * 7, "inconclusive"),
])  # fmt: skip
def test_the_verdict_follows_the_bounds(durations: list[float], verdict: str) -> None:
    assert judged(durations, limit_ms=150.0).finding.verdict == verdict


def test_samples_are_taken_until_a_planned_look_decides() -> None:
    clock = Clock()
    # 4 of the first 100 are over, so that they cannot decide; then none, and the share falls.
    durations = [1.0, 60.0, *[1.0] * 23] * 4 + [1.0] * 5_000
    case = case_of(clock, iter(durations), n=100, most=1_600)
    assert [look.n for look in case.looks] == [100, 200, 400, 800, 1600]
    found = measure([case], environment=ENVIRONMENT, clock=clock)[0]
    assert (found.finding.verdict, found.finding.n, found.row["looks"]) == ("pass", 400, 3)
    assert found.measurement.samples == tuple(durations[:400])
    assert "look 3 of 5, each bound at 9" in found.finding.evidence


def test_what_no_look_decides_ends_at_the_budget_with_the_samples_still_needed() -> None:
    clock = Clock()
    durations = [60.0 if n % 25 == 7 else 1.0 for n in range(5_000)]  # 4 % are over
    case = case_of(clock, iter(durations), n=100, most=400)
    found = measure([case], environment=ENVIRONMENT, clock=clock)[0].finding
    assert (found.verdict, found.n) == ("inconclusive", 400)
    needed = int(found.evidence.removeprefix("400 samples do not decide; about ").partition(" ")[0])
    assert 1_200 < needed < 4_000  # 1,285 at one look of 95 %, by the normal distribution; each look here is surer


def test_a_budget_below_n_is_one_look_at_n() -> None:
    assert [(look.n, look.confidence) for look in case_of(Clock(), iter([]), n=300, most=20).looks] == [(300, 0.95)]


def test_cold_calls_come_first_each_chilled_and_stand_apart() -> None:
    clock = Clock()
    order: list[str] = []

    def chill() -> None:
        order.append("chill")
        clock.now += 700 * MS

    durations = iter([80.0, 90.0, 70.0, *[9.0] * 10, *[1.0] * 100])
    case = case_of(clock, durations, warmup=10, cold=3, chill=chill)
    spy = replace(case, call=lambda: (order.append("call"), case.call())[1])
    found = measure([spy], environment=ENVIRONMENT, clock=clock)[0]
    assert order[:7] == ["chill", "call"] * 3 + ["call"] and order.count("chill") == 3
    assert (found.row["cold_p50_ms"], found.row["cold_most_ms"]) == (80.0, 90.0)
    assert set(found.measurement.samples) == {1.0} and found.row["p99_ms"] == 1.0
    assert [(m.what, m.samples) for m in found.apart] == [
        ("work.cold", (80.0, 90.0, 70.0)), ("work.warm_up", (9.0,) * 10)]  # fmt: skip
    assert found.finding.evidence == "p95 of 100 samples after 10 warm-up calls, whose p50 was 9 ms"


@pytest.mark.parametrize("fails_at", [2, 6])
def test_a_cold_or_warm_up_call_that_fails_ends_the_case(fails_at: int) -> None:
    case = case_of(Clock(), iter([1.0] * fails_at), cold=4, warmup=4)
    found = measure([case], environment=ENVIRONMENT, clock=Clock())[0]
    assert (found.finding.verdict, found.finding.n, found.row["n"]) == ("fail", 0, 0)


def test_a_batch_is_timed_as_one_and_told_as_a_mean_of_its_calls() -> None:
    clock = Clock()
    case = case_of(clock, iter([1.0, 2.0, 3.0, 6.0] * 100), n=100, batch=4)
    found = measure([case], environment=ENVIRONMENT, clock=clock)[0]
    assert found.measurement.samples == (3.0,) * 100
    assert (found.row["batch"], found.row["p95_ms"]) == (4, 3.0)
    assert "each is the mean of 4 calls, so that this is a percentile of means" in found.finding.evidence


def test_a_wrong_outcome_anywhere_in_a_batch_is_an_error() -> None:
    outcomes = iter(["fine"] * 7 + ["odd"] + ["fine"] * 99)
    case = replace(
        case_of(Clock(), iter([])), call=lambda: next(outcomes), batch=4,
        check=lambda outcome: None if outcome == "fine" else outcome,
    )  # fmt: skip
    timed = time_calls(case, clock=Clock())
    assert (timed.error, len(timed.nanoseconds)) == ("wrong outcome: odd", 1)


def test_calls_are_made_by_the_executor_and_timed_with_it() -> None:
    clock = Clock()

    def remote(call: object) -> object:
        clock.now += 5 * MS
        return call()  # type: ignore[operator]

    case = case_of(clock, iter([1.0] * 110), warmup=10, executor=remote)
    assert set(time_calls(case, clock=clock).samples_ms) == {6.0}


def test_an_inconclusive_finding_names_the_samples_still_needed() -> None:
    found = judged([1.0] * 50).finding
    assert (found.verdict, found.low, found.high) == ("inconclusive", 1.0, None)
    assert found.evidence == "50 samples do not decide; about 59 are needed"
    assert json.loads(json.dumps(to_json(found), allow_nan=False))["high"] is None


def test_an_error_fails_the_gate_with_its_message_and_keeps_what_was_taken() -> None:
    clock = Clock()
    case = case_of(clock, iter([1.0] * 30), n=100)
    found = measure([case], environment=ENVIRONMENT, clock=clock)[0]
    assert found.finding.verdict == "fail"
    assert found.finding.evidence == "After 30 of 100 samples a call failed: StopIteration: "
    assert (found.finding.n, len(found.measurement.samples)) == (30, 30)


def test_an_error_in_the_warm_up_fails_the_gate_too() -> None:
    found = measure([case_of(Clock(), iter([]), warmup=1)], environment=ENVIRONMENT, clock=Clock())[0]
    assert (found.finding.verdict, found.finding.value, found.row["p95_ms"]) == ("fail", None, None)


def test_a_fast_wrong_outcome_is_an_error() -> None:
    found = judged([0.1] * 100, check=lambda outcome: f"{outcome} was not due")
    assert found.finding.verdict == "fail"
    assert "wrong outcome: fine was not due" in found.finding.evidence


def test_an_interrupt_is_no_error_of_the_case() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    case = replace(case_of(Clock(), iter([])), call=interrupt)
    with pytest.raises(KeyboardInterrupt):
        time_calls(case, clock=Clock())


def test_a_case_that_does_not_apply_is_told_and_not_run() -> None:
    found = judged([], not_applicable="Its table is empty.")
    assert (found.finding.verdict, found.finding.evidence) == ("not applicable", "Its table is empty.")
    assert (found.finding.n, found.measurement.samples, found.row["verdict"]) == (0, (), "not applicable")


def test_findings_and_measurements_go_through_json() -> None:
    found = judged([1.5] * 60)
    for value in (found.finding, found.measurement):
        assert from_json(json.loads(json.dumps(to_json(value)))) == value
    assert (found.finding.id, found.finding.severity, found.finding.unit) == ("bench.work", "gate", "ms")


def test_progress_is_told_about_twenty_times_and_at_the_end() -> None:
    told: list[tuple[str, int, int]] = []
    clock = Clock()
    time_calls(case_of(clock, iter([1.0] * 105), n=105), clock=clock, progress=lambda *what: told.append(what))
    assert told[0] == ("work", 5, 105)
    assert told[-1] == ("work", 105, 105)
    assert 20 <= len(told) <= 22


def test_judging_is_a_pure_function() -> None:
    case, timed = case_of(Clock(), iter([])), Timed(tuple(range(0, 100 * MS, MS)))
    assert judge(case, timed, environment=ENVIRONMENT) == judge(case, timed, environment=ENVIRONMENT)


def test_the_environment_names_what_a_comparison_needs() -> None:
    found = environment()
    assert set(found) == {"python", "sqlite", "cpu", "cores", "os"}
    assert all(found.values())
    assert int(found["cores"]) >= 1
