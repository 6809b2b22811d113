"""The open loop in simulated time: what is sent, what is counted, and what the verdict is."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import replace
from itertools import pairwise

import pytest

from ptp.benchmark.load_verdict import flag_threads, judge_load
from ptp.benchmark.openloop import Done, Load, Request, constant, poisson, run_load
from ptp.benchmark.processors import Processors
from ptp.benchmark.simulated import Serve, Simulated
from ptp.benchmark.threads import Threads
from ptp.results import Finding

MS = 1_000_000
S = 1_000 * MS


def steady(ms: float = 1.0) -> Serve:
    return lambda number, now: Done(number, now, now + round(ms * MS))


def loaded(serve: Serve, schedule: tuple[int, ...] = constant(100, 10), **more: object) -> Load:
    world = Simulated(serve)
    given = {"executor": world, "clock": world.clock, "sleep": world.sleep, "cpu": lambda: 0.1, **more}
    return run_load(schedule, **given)  # type: ignore[arg-type]


def judged(load: Load, **more: float) -> dict[str, Finding]:
    return {f.id.removeprefix("load.page."): f for f in judge_load("page", load, **{"limit_ms": 50.0, **more})}


def verdicts(load: Load, **more: float) -> tuple[str, ...]:
    return tuple(f.verdict for f in judged(load, **more).values())


def test_requests_are_sent_when_they_are_due_whatever_became_of_the_others() -> None:
    load = loaded(steady(700))
    assert [r.sent for r in load.requests] == [r.due for r in load.requests] == [n * 10 * MS for n in range(1000)]
    assert (set(load.response_ms), set(load.service_ms), set(load.lag_ms)) == ({700.0}, {700.0}, {0.0})
    assert max(load.backlog) == 69  # one each 10 ms, open for 700 ms: the one that ends just now is not open any more


def test_what_the_generator_is_late_counts_as_waiting() -> None:
    world = Simulated(steady(20))
    load = run_load(
        constant(100, 1), executor=world, clock=world.clock, cpu=lambda: 0.1,
        sleep=lambda seconds: world.sleep(seconds + 0.003),
    )  # fmt: skip
    assert set(load.response_ms[1:]) == {23.0} and set(load.service_ms) == {20.0} and set(load.lag_ms[1:]) == {3.0}
    assert judged(load, limit_ms=22.0)["response"].value == 23.0


def test_times_count_from_the_start_of_the_loop() -> None:
    world = Simulated(steady())
    world.now = 12_345 * S
    load = run_load((0, 5 * MS), executor=world, clock=world.clock, sleep=world.sleep, cpu=lambda: 0.1)
    assert load.requests == (Request(0, 0, 0, MS), Request(5 * MS, 5 * MS, 5 * MS, 6 * MS))


def test_a_seeded_schedule_is_the_same_again_and_independent_users_come_at_the_rate() -> None:
    one, again, other = (poisson(500, 60, chance=random.Random(seed)) for seed in (1, 1, 2))
    assert one == again != other
    assert abs(len(one) - 30_000) < 4 * 30_000**0.5
    gaps = sorted(later - earlier for earlier, later in pairwise(one))
    assert gaps[0] >= 0 and one[-1] < 60 * S
    # Of an exponential distribution the median is ln 2 of the mean: 2 ms here.
    assert gaps[len(gaps) // 2] / MS == pytest.approx(2 * 0.6931, rel=0.03)


def test_a_constant_schedule_has_one_gap() -> None:
    assert constant(4, 1) == (0, 250 * MS, 500 * MS, 750 * MS)


def test_a_sound_load_passes_with_its_figures() -> None:
    found = judged(loaded(steady(20)))
    assert {f.verdict for f in found.values()} == {"pass"}
    assert (found["response"].value, found["response"].n, found["errors"].value) == (20.0, 1000, 0.0)
    assert "1,000 scheduled = 1,000 completed, 0 error, 0 skipped, 0 in flight" in found["generator"].evidence


@pytest.mark.parametrize(("ms", "verdict"), [(49.9, "pass"), (50.1, "fail"), (50.0, "inconclusive")])
def test_response_is_held_against_the_limit(ms: float, verdict: str) -> None:
    assert judged(loaded(steady(ms)))["response"].verdict == verdict


def test_an_error_is_not_fast_however_soon_it_comes() -> None:
    def serve(number: int, now: int) -> Done:
        return Done(number, now, now + MS, "HTTP 500" if number % 10 == 3 else None)

    found = judged(loaded(serve))
    assert (found["errors"].verdict, found["errors"].value) == ("fail", 10.0)
    assert found["errors"].evidence.endswith("first error: HTTP 500")
    assert (found["response"].verdict, found["response"].value) == ("fail", None)  # a tenth has no answer at all


def test_too_many_in_flight_are_skipped_counted_and_never_sent_later() -> None:
    load = loaded(steady(1_000), most_in_flight=30)
    assert load.counts == {"completed": 300, "skipped": 700}
    assert verdicts(load, limit_ms=5_000)[1] == "fail"


def test_a_few_without_an_answer_leave_it_open() -> None:
    load = loaded(lambda number, now: None if number == 500 else Done(number, now, now + MS), constant(100, 20))
    assert load.counts == {"completed": 1999, "in flight": 1}
    assert verdicts(load) == ("pass", "inconclusive", "pass")


def test_an_executor_that_tells_a_request_twice_is_not_believed() -> None:
    class Twice(Simulated):
        def finished(self):  # type: ignore[no-untyped-def]
            for done in list(super().finished()):
                yield from (done, done)

    world = Twice(steady())
    load = run_load(constant(100, 10), executor=world, clock=world.clock, sleep=world.sleep, cpu=lambda: 0.1)
    assert load.strays > 0
    assert verdicts(load)[0] == "invalid"


def test_answers_are_waited_for_as_long_as_was_said_and_no_longer() -> None:
    late = loaded(lambda number, now: Done(number, now, now + 3 * S), (0,), grace_s=2)
    assert (late.counts, late.requests[0].ended) == ({"in flight": 1}, None)
    assert loaded(lambda number, now: Done(number, now, now + 3 * S), (0,), grace_s=4).response_ms == (3_000.0,)


def test_an_empty_schedule_is_no_pass() -> None:
    assert "pass" not in verdicts(loaded(steady(), ()))[1:]


def test_the_verdict_is_a_pure_function() -> None:
    load = loaded(steady())
    assert judge_load("page", load, limit_ms=50) == judge_load("page", replace(load), limit_ms=50)


def test_threads_make_real_requests_and_keep_their_errors() -> None:
    def call(number: int) -> None:
        if number % 3 == 0:
            raise KeyError(number)

    with Threads(call, threads=2) as executor:
        load = run_load(
            constant(2_000, 0.05), executor=executor, clock=time.perf_counter_ns, sleep=time.sleep, cpu=Processors()
        )
    assert load.counts == {"completed": 66, "error": 34}
    assert {r.error for r in load.requests if r.error} == {f"KeyError: {n}" for n in range(0, 100, 3)}
    assert all(r.due <= r.sent <= r.started <= r.ended for r in load.requests)  # type: ignore[operator]


def test_a_call_that_never_returns_does_not_hold_the_process() -> None:
    never = threading.Event()
    with Threads(lambda number: never.wait(0.3), threads=1) as executor:
        load = run_load(
            (0, 0), executor=executor, clock=time.perf_counter_ns, sleep=time.sleep, cpu=lambda: 0.0, grace_s=0.01
        )
        never.set()
    assert load.counts == {"in flight": 2}


def test_a_process_that_does_nothing_else_is_seen_to_be_busy() -> None:
    processors = Processors()
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    busy = processors()
    assert 0 < busy <= 1
    assert processors() <= 1


def test_threads_are_flagged_only_where_it_is_sure() -> None:
    few, many = [2.0] * 990 + [2.5] * 10, [34.0] * 1000
    assert flag_threads(8, alone_ms=few, together_ms=many).verdict == "invalid"
    assert flag_threads(8, alone_ms=few, together_ms=[6.0] * 1000).verdict == "pass"
    slow_at_the_line = [2.0] * 988 + [34.0] * 12
    assert flag_threads(8, alone_ms=few, together_ms=slow_at_the_line).verdict == "pass"
    assert flag_threads(8, alone_ms=few[:100], together_ms=many[:100]).verdict == "pass"  # too few for a p99
