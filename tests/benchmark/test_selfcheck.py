"""The harness checks itself: each check says invalid for the fault that it is there for, and only then."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from ptp.benchmark import Case, batch_for, resolution_ns, self_check, selfcheck
from ptp.benchmark.openloop import run_load
from ptp.results import Finding, worst

MS = 1_000_000
US = 1_000
CASE = Case("work", "p95 of work is under 50 ms", 50.0, call=lambda: None, warmup=0, n=100)


class Ticking:
    """A clock that moves by `step` at each read, and by what the work does to it."""

    def __init__(self, step: int) -> None:
        self.now = 0
        self.step = step

    def __call__(self) -> int:
        self.now += self.step
        return self.now


def coarse(step: int, *, reads: int = 700) -> Callable[[], int]:
    """A clock that shows only each `reads`-th of its reads, in steps of `step`."""
    count = iter(range(10**9))
    return lambda: next(count) // reads * step


def by_id(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    return {f.id: f for f in findings}


def test_a_sound_harness_passes_all_five_with_the_real_clock() -> None:
    found = self_check([CASE], chance=random.Random(1))
    assert [f.id for f in found] == ["self.clock", "self.cost", "self.null", "self.same", "self.stall"]
    assert {f.verdict for f in found} == {"pass"}
    assert {f.severity for f in found} == {"gate"}


@pytest.mark.parametrize(("step", "verdict"), [(100, "pass"), (MS // 2, "pass"), (MS // 2 + 1, "invalid"),
                                               (0, "invalid")])  # fmt: skip
def test_a_clock_too_coarse_for_the_smallest_limit_is_invalid(step: int, verdict: str) -> None:
    cases = [replace(CASE, limit_ms=limit) for limit in (150.0, 50.0)]
    found = selfcheck.check_clock(cases, clock=Ticking(step))
    assert (found.id, found.verdict, found.limit) == ("self.clock", verdict, 0.5)
    assert found.value == (step / MS if step else None)


def test_a_clock_that_rarely_moves_shows_its_true_step() -> None:
    found = selfcheck.check_clock([CASE], clock=coarse(MS))
    assert (found.value, found.verdict) == (1.0, "invalid")


def test_cases_that_do_not_apply_ask_nothing_of_the_clock() -> None:
    case = replace(CASE, not_applicable="empty", limit_ms=0.001)
    assert by_id(self_check([case], chance=random.Random(1)))["self.null"].verdict == "not applicable"


@pytest.mark.parametrize(("read_ns", "verdict"), [(900, "pass"), (1_100, "invalid")])
def test_a_harness_that_costs_over_2_us_a_call_is_invalid(read_ns: int, verdict: str) -> None:
    # Each sample reads the clock twice, and in this time nothing else passes: the cost is twice that of a read.
    found = selfcheck.check_cost(clock=Ticking(read_ns))
    assert (found.verdict, found.limit) == (verdict, 2.0)
    assert found.value == pytest.approx(2 * read_ns / US, rel=0.01)


@pytest.mark.parametrize(("read_us", "verdict"), [(499, "pass"), (500, "invalid")])
def test_an_empty_call_that_is_not_fast_is_invalid(read_us: int, verdict: str) -> None:
    found = selfcheck.check_null([CASE], clock=Ticking(read_us * US))
    assert (found.verdict, found.value, found.limit) == (verdict, read_us / US, 0.5)


def test_a_few_interruptions_of_an_empty_call_are_no_fault_and_one_in_a_hundred_are() -> None:
    def interrupted(every: int) -> Finding:
        reads = iter(range(10**9))
        now = 0

        def clock() -> int:
            nonlocal now
            # An odd read ends a sample.
            now += 20 * MS if (n := next(reads)) % (2 * every) == 1 and n % 2 else 100
            return now

        return selfcheck.check_null([CASE], clock=clock)

    assert [interrupted(every).verdict for every in (250, 100, 50)] == ["pass", "invalid", "invalid"]


class Busy:
    """A clock for calls whose time is noise; the second of each pair takes `more` times as long."""

    def __init__(self, seed: int, *, more: float = 1.0, spread: float = 0.1) -> None:
        self.now = 0
        self.calls = 0
        self.more = more
        self.spread = spread
        self.chance = random.Random(seed)

    def __call__(self) -> int:
        return self.now

    def work(self) -> None:
        self.calls += 1
        noise = self.chance.lognormvariate(0, self.spread)
        if self.chance.random() < 0.02:
            noise *= 100  # the machine does something else
        self.now += round(20 * US * noise * (self.more if self.calls % 2 else 1.0))


def test_a_call_is_as_fast_as_itself_on_a_busy_machine_too() -> None:
    verdicts = []
    for seed in range(40):
        clock = Busy(seed)
        verdicts.append(selfcheck.check_same(clock.work, clock=clock, chance=random.Random(seed)).verdict)
    assert verdicts == ["pass"] * 40


def test_noise_without_end_is_inconclusive_and_never_a_fault() -> None:
    for seed in range(10):
        clock = Busy(seed, spread=2.0)
        found = selfcheck.check_same(clock.work, clock=clock, chance=random.Random(seed))
        assert (found.verdict, found.n) == ("inconclusive", 4_000)


def test_what_the_place_in_a_pair_adds_falls_on_both() -> None:
    clock = Busy(1, more=1.5)  # without the random order within pairs one side would be 1.5 times the other
    found = selfcheck.check_same(clock.work, clock=clock, chance=random.Random(1))
    assert found.verdict != "invalid" and found.value == pytest.approx(1.0, abs=0.6)


def test_a_harness_that_favours_one_side_is_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = selfcheck.time_pairs

    def biased(*given: object, **more: object) -> object:
        timed = honest(*given, **more)  # type: ignore[arg-type]
        return replace(timed, calls=tuple(round(1.1 * ns) for ns in timed.calls))

    monkeypatch.setattr(selfcheck, "time_pairs", biased)
    clock = Busy(1)
    found = selfcheck.check_same(clock.work, clock=clock, chance=random.Random(1))
    assert (found.verdict, found.limit) == ("invalid", 1.05)
    assert found.value == pytest.approx(1.1, abs=0.02)


def test_a_clock_that_does_not_see_the_call_is_invalid() -> None:
    found = selfcheck.check_same(lambda: None, clock=coarse(MS), chance=random.Random(1))
    assert (found.verdict, found.value) == ("invalid", None)


def test_a_loop_that_waits_for_each_answer_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (selfcheck.check_stall().verdict, selfcheck.check_stall().value) == ("pass", 901.0)

    def from_when_sent(*given: object, **more: object) -> object:
        load = run_load(*given, **more)  # type: ignore[arg-type]
        late = tuple(replace(r, due=r.started) for r in load.requests)
        return replace(load, requests=late)

    monkeypatch.setattr(selfcheck, "run_load", from_when_sent)
    found = selfcheck.check_stall()
    assert (found.verdict, found.value) == ("invalid", 1.0)


def test_one_that_fails_makes_the_run_invalid() -> None:
    findings = (Finding("bench.work", "fast", "pass"), *self_check([CASE], clock=coarse(MS), chance=random.Random(1)))
    assert worst(findings) == "invalid"


@pytest.mark.parametrize(("typical", "resolution", "batch"), [
    (15_000, 40, 1), (4_000, 40, 1), (3_999, 40, 2), (15_000, MS, 6_667), (100 * MS, MS, 1), (0, 40, 4_000),
])  # fmt: skip
def test_a_batch_is_long_enough_for_the_clock_to_err_by_1_percent(typical: int, resolution: int, batch: int) -> None:
    assert batch_for(typical, resolution) == batch
    assert max(typical, 1) * batch >= 100 * resolution


def test_the_resolution_is_the_smallest_step_seen() -> None:
    assert resolution_ns(coarse(640, reads=3)) == 640
    assert resolution_ns(lambda: 5) is None
