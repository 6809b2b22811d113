"""The benchmark with a clock that the test holds: what is timed, what is counted, and what the verdict is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from ptp.benchmark import Case, Timed, check_harness, judge, measure, still_needed, time_calls
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


def test_what_the_check_takes_is_not_timed() -> None:
    clock = Clock()

    def slow_check(_: object) -> None:
        clock.now += 900 * MS

    assert time_calls(case_of(clock, iter([1.0] * 100), check=slow_check), clock=clock).samples_ms == (1.0,) * 100


def test_percentiles_are_samples_and_outliers_are_kept() -> None:
    found = judged([float(n) for n in range(1, 1001)])
    row = found.row
    assert (row["n"], row["p50_ms"], row["p95_ms"], row["p99_ms"]) == (1000, 500, 950, 990)
    assert (row["p95_low_ms"], row["p95_high_ms"]) == (938, 962)
    assert list(row) == [
        "name", "n", "p50_ms", "p95_ms", "p95_low_ms", "p95_high_ms", "p99_ms", "limit_ms", "verdict"]  # fmt: skip
    assert (found.finding.value, found.finding.low, found.finding.high) == (950, 938, 962)


@pytest.mark.parametrize(("durations", "verdict"), [
    ([149.6] * 100, "pass"), ([150.4] * 100, "fail"), ([150.0] * 100, "inconclusive"),
    ([1.0] * 58, "inconclusive"), ([1.0] * 59, "pass"), ([1.0] * 93 + [200.0] * 7, "inconclusive"),
])  # fmt: skip
def test_the_verdict_follows_the_bounds(durations: list[float], verdict: str) -> None:
    assert judged(durations, limit_ms=150.0).finding.verdict == verdict


def test_an_inconclusive_finding_names_the_samples_still_needed() -> None:
    found = judged([1.0] * 50).finding
    assert (found.verdict, found.low, found.high) == ("inconclusive", 1.0, None)
    assert found.evidence == "50 samples do not decide; about 59 are needed"
    assert json.loads(json.dumps(to_json(found), allow_nan=False))["high"] is None


def test_more_samples_are_needed_the_nearer_the_share_is_to_the_line() -> None:
    near, far = sorted([1.0] * 96 + [9.0] * 4), sorted([1.0] * 98 + [9.0] * 2)
    needed = [still_needed(samples, limit=5.0) for samples in (near, far)]
    assert needed == [1286, 143]
    assert still_needed(sorted([1.0] * 95 + [9.0] * 5), limit=5.0) is None


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


@pytest.mark.parametrize(("step", "verdict"), [(100, "pass"), (MS // 2, "pass"), (MS // 2 + 1, "invalid"),
                                               (0, "invalid")])  # fmt: skip
def test_a_clock_too_coarse_for_the_smallest_limit_is_invalid(step: int, verdict: str) -> None:
    cases = [case_of(Clock(), iter([]), limit_ms=limit) for limit in (150.0, 50.0)]
    found = check_harness(cases, clock=Clock(step))
    assert (found.id, found.verdict, found.limit) == ("bench.harness", verdict, 0.5)
    assert found.value == (step / MS if step else None)


def test_a_clock_that_rarely_moves_shows_its_true_step() -> None:
    def coarse() -> Callable[[], int]:
        reads = iter(range(10**9))
        return lambda: next(reads) // 700 * MS

    found = check_harness([case_of(Clock(), iter([]))], clock=coarse())
    assert (found.value, found.verdict) == (1.0, "invalid")


def test_cases_that_do_not_apply_ask_nothing_of_the_clock() -> None:
    case = case_of(Clock(), iter([]), not_applicable="empty", limit_ms=0.001)
    assert check_harness([case]).verdict == "not applicable"


def test_the_environment_names_what_a_comparison_needs() -> None:
    found = environment()
    assert set(found) == {"python", "sqlite", "cpu", "cores", "os"}
    assert all(found.values())
    assert int(found["cores"]) >= 1
