"""Loads: schedules that replay, records that add up, and verdicts, on services whose figures are known beforehand."""

from __future__ import annotations

import hashlib
import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ptp.benchmark.load import Crowd, Phase, Records, Scenario, Schedule, Think, at_rate, by_actors, generate, shares
from ptp.benchmark.load.generator import gathered, size_of
from ptp.benchmark.load.phases import is_even, level_at
from ptp.benchmark.load.schedule import read_schedule
from ptp.benchmark.load.search import Step, find_capacity, knee_of
from ptp.benchmark.load.verdicts import judge, judge_little, judge_sums
from ptp.benchmark.load.worker import Planned, Sent
from ptp.benchmark.openloop import Done, run_load
from ptp.benchmark.simulated import Serve, Simulated, stalling
from ptp.errors import CannotFinish, UsageError
from ptp.results import Finding

MS, S = 1_000_000, 1_000_000_000
STEADY = (Phase("warm-up", "ramp", 1.0, start=0.2, measured=False), Phase("steady", "steady", 9.0))
SCENARIOS = (Scenario("look", 3, ("read", "find")), Scenario("work", 2, ("read", "write")))
LIMITS = {"read": 50.0, "find": 150.0, "write": 100.0}


def schedule(seconds: float = 9.0, **more: object) -> Schedule:
    phases = (STEADY[0], replace(STEADY[1], seconds=seconds))
    given = {"actors": 200, "think": Think(2.0), "phases": phases, "scenarios": SCENARIOS, "seed": 3, **more}
    return by_actors(given.pop("actors"), **given)  # type: ignore[arg-type]


def simulated(plan: Schedule, serve: Serve | Sequence[Serve], **more: object) -> Records:
    """The records of a load on services in simulated time, one for each process of the generator."""
    serves = serve if isinstance(serve, Sequence) else (serve,)
    sent = []
    for place, one in enumerate(serves):
        numbers = np.flatnonzero(plan.actor % len(serves) == place)
        world = Simulated(one)
        load = run_load(
            plan.due[numbers].tolist(),
            executor=world,
            clock=world.clock,
            sleep=world.sleep,
            cpu=lambda: 0.1,
            **more,  # type: ignore[arg-type]
        )
        texts = sorted({r.error for r in load.requests if r.error})
        columns = {
            name: np.array([-1 if (at := getattr(r, name)) is None else at for r in load.requests])
            for name in ("sent", "started", "ended")
        }
        error = np.array([texts.index(r.error) + 1 if r.error else 0 for r in load.requests])
        backlog = np.array(load.backlog)
        sent.append(Sent(numbers, **columns, error=error, errors=tuple(texts), backlog=backlog, cpu=0.5, loop_cpu=0.1,
                         generated=load.generated, strays=load.strays))  # fmt: skip
    return gathered(plan, sent, Crowd(len(serves), 2))


def taking(ms: float) -> Serve:
    return lambda number, now: Done(number, now, now + round(ms * MS))


def by_id(found: tuple[Finding, ...]) -> dict[str, Finding]:
    return {f.id: f for f in found}


class TestSchedule:
    def test_the_same_seed_is_the_same_load_and_another_is_another(self) -> None:
        one, again, other = schedule(), schedule(), schedule(seed=4)
        assert one.hash == again.hash != other.hash
        for name in ("due", "operation", "actor"):
            assert np.array_equal(getattr(one, name), getattr(again, name))
        rates = [at_rate(50, actors=9, phases=STEADY, scenarios=SCENARIOS, seed=seed).hash for seed in (1, 1, 2)]
        assert rates[0] == rates[1] != rates[2]

    def test_one_that_is_written_is_read_back_the_same_and_the_same_bytes_again(self, tmp_path: Path) -> None:
        one = schedule()
        for name in ("a", "b"):
            one.write(tmp_path / name)
        read = read_schedule(tmp_path / "a")
        assert read.hash == one.hash and read.phases == one.phases and read.operations == one.operations
        assert np.array_equal(read.due, one.due) and np.array_equal(read.actor, one.actor)
        assert (
            hashlib.md5((tmp_path / "a").read_bytes()).digest() == hashlib.md5((tmp_path / "b").read_bytes()).digest()
        )

    def test_a_file_that_is_none_or_was_edited_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "s"
        path.write_text("no schedule")
        with pytest.raises(UsageError, match="is not a schedule"):
            read_schedule(path)
        one = schedule()
        one.write(path)
        with np.load(path) as archive:
            held = dict(archive)
        held["due"][0] += 1
        with path.open("wb") as file:
            np.savez(file, **held)
        with pytest.raises(UsageError, match="hash does not fit"):
            read_schedule(path)

    def test_actors_come_at_their_number_over_their_think_time_from_the_first_second_on(self) -> None:
        plan = by_actors(400, think=Think(4.0), phases=(Phase("all", "steady", 60.0),), scenarios=SCENARIOS, seed=1)
        each = np.bincount(plan.due // S, minlength=60)
        assert plan.rate == pytest.approx(100, rel=0.03)
        assert each[:5].mean() == pytest.approx(100, rel=0.12)

    def test_think_times_are_lognormal_with_the_mean_and_spread_that_are_told(self) -> None:
        chance = random.Random(5)
        logs = [math.log(Think(3.0, 0.6).draw(chance)) for _ in range(20_000)]
        assert statistics.fmean(map(math.exp, logs)) == pytest.approx(3.0, rel=0.03)
        assert statistics.stdev(logs) == pytest.approx(0.6, rel=0.03)

    def test_the_next_request_is_due_a_think_time_after_the_last_was_due(self) -> None:
        plan = schedule()
        own = plan.due[plan.actor == 7]
        assert (np.diff(own) > 0).all() and len(own) > 2

    def test_operations_are_as_often_as_the_weights_have_it(self) -> None:
        assert shares(SCENARIOS) == pytest.approx({"read": 0.5, "find": 0.3, "write": 0.2})
        counts = at_rate(2_000, actors=300, phases=STEADY, scenarios=SCENARIOS, seed=1).counts()
        whole = sum(counts.values())
        assert {name: n / whole for name, n in counts.items()} == pytest.approx(shares(SCENARIOS), abs=0.02)

    def test_phases_have_their_level(self) -> None:
        phases = (
            Phase("up", "ramp", 10.0, start=0.0, end=1.0, measured=False),
            Phase("calm", "steady", 10.0),
            Phase("many", "spike", 10.0, end=3.0),
        )
        assert [level_at(phases, at) for at in (0, 5, 12, 25, 31)] == [0.0, 0.5, 1.0, 3.0, 0.0]
        assert is_even(STEADY) and not is_even(phases)
        for plan in (
            by_actors(100, think=Think(1.0), phases=phases, scenarios=SCENARIOS, seed=1),
            at_rate(100, actors=10, phases=phases, scenarios=SCENARIOS, seed=1),
        ):
            up, calm, many = np.histogram(plan.due / S, [0, 10, 20, 30])[0]
            assert (up, calm, many) == (
                pytest.approx(500, rel=0.15), pytest.approx(1_000, rel=0.1), pytest.approx(3_000, rel=0.1)
            )  # fmt: skip
            assert plan.rate == pytest.approx(200, rel=0.1)

    def test_the_crowd_follows_the_rate_and_stays_small(self) -> None:
        assert [size_of(rate).threads for rate in (1, 100, 250, 5_000)] == [2, 2, 3, 4]


class TestVerdicts:
    def test_a_sound_load_passes_and_the_warm_up_does_not_count(self) -> None:
        def serve(number: int, now: int) -> Done:
            return Done(number, now, now + (900 if now < S else 20) * MS)

        records = simulated(schedule(30.0), (serve, taking(20)))
        found = by_id(judge(records, limits=LIMITS))
        assert {f.verdict for f in found.values()} == {"pass"}
        assert found["load.read.response"].value == 20.0
        assert int(records.schedule.measured.sum()) == found["load.all.errors"].n < len(records.schedule)

    def test_the_sum_holds_and_nothing_passes_where_the_service_hangs(self) -> None:
        def hangs(number: int, now: int) -> Done | None:
            return Done(number, now, now + 5 * MS) if number < 300 else None

        records = simulated(schedule(), (hangs, hangs), most_in_flight=100, grace_s=1.0)
        counts = records.counts()
        assert counts["in flight"] > 0 and counts["skipped"] > 0 and counts["completed"] > 0
        assert sum(counts.values()) == len(records.schedule)
        assert judge_sums(records).verdict == "pass"
        found = by_id(judge(records, limits=LIMITS))
        assert found["load.all.errors"].verdict == "fail"
        assert "pass" not in {f.verdict for name, f in found.items() if name.endswith(".response")}

    def test_a_request_that_no_process_tells_of_is_missed(self) -> None:
        records = simulated(schedule(), taking(5))
        assert judge_sums(replace(records, unaccounted=1)).verdict == "invalid"
        assert judge_sums(replace(records, strays=1)).verdict == "invalid"

    def test_littles_law_holds_for_a_simulated_service_and_for_one_that_stalls(self) -> None:
        for serve in (taking(80), stalling(service_ns=MS, stall_ns=S // 2, every_ns=2 * S)):
            assert judge_little(simulated(schedule(30.0), (serve, serve))).verdict == "pass"

    def test_littles_law_finds_times_that_are_not_those_that_were_waited(self) -> None:
        records = simulated(schedule(30.0), taking(80))
        wrong = replace(records, ended=records.ended - 60 * MS)  # as if response time began late: omitted waiting
        found = judge_little(wrong)
        assert (found.verdict, judge_little(records).verdict) == ("invalid", "pass")
        assert by_id(judge(wrong, limits=LIMITS))["load.little"].verdict == "invalid"

    def test_a_stall_is_seen_by_all_who_wait(self) -> None:
        plan = at_rate(300, actors=100, phases=(Phase("s", "steady", 60.0),), scenarios=SCENARIOS, seed=1)
        records = simulated(plan, stalling(service_ns=MS, stall_ns=S, every_ns=10 * S))
        seen = np.percentile(records.response_ms, [50, 95, 99])
        assert seen == pytest.approx([1, 501, 901], abs=25)  # the share that waits longer than x is (1 s - x) / 10 s
        rows = records.timeline()
        assert [row["second"] for row in rows if row["most_ms"] > 500] == [0, 10, 20, 30, 40, 50]
        assert rows[10]["in_flight"] == pytest.approx(300, abs=60) or rows[10]["done"] < 5

    def test_a_busy_or_late_generator_makes_all_of_it_invalid(self) -> None:
        records = simulated(schedule(), taking(5))
        busy = replace(records, cpu=(9.0, 0.1))
        late = replace(records, sent=records.sent + 6 * MS)
        for wrong in (busy, late):
            assert {f.verdict for f in judge(wrong, limits=LIMITS)} == {"invalid"}
        assert by_id(judge(busy, limits=LIMITS, inside=True))["load.generator"].verdict == "pass"

    def test_where_the_load_is_not_even_no_steady_state_is_asked_for(self) -> None:
        def serve(number: int, now: int) -> Done:
            return Done(number, now, now + (5 + number * 7 % 10) * MS + now // 3_000)

        phases = (Phase("calm", "steady", 15.0, end=0.5), Phase("many", "spike", 15.0))
        uneven = by_actors(200, think=Think(1.0), phases=phases, scenarios=SCENARIOS, seed=1)
        even = by_actors(200, think=Think(1.0), phases=(Phase("a", "steady", 30.0),), scenarios=SCENARIOS, seed=1)
        told = [by_id(judge(simulated(p, serve), limits=LIMITS))["load.read.response"].evidence for p in (uneven, even)]
        assert ["not steady" in text for text in told] == [False, True]

    def test_errors_are_counted_by_kind_and_are_never_fast(self) -> None:
        def serve(number: int, now: int) -> Done:
            return Done(number, now, now + MS, ("HTTP 500", "HTTP 503")[number % 2] if number % 10 < 2 else None)

        records = simulated(schedule(), serve)
        kinds = records.kinds()
        assert set(kinds) == {"HTTP 500", "HTTP 503"} and sum(kinds.values()) == records.counts()["error"]
        row = records.row("read")
        assert row["errors"] > 0 and row["n"] > row["errors"]
        assert by_id(judge(records, limits=LIMITS))["load.read.response"].value is None


class TestSearch:
    @staticmethod
    def service(capacity: float, *, seen: list[float]) -> Callable[[float], Step]:
        """A queue with one server (M/M/1): its response time is known at every rate."""

        def try_rate(rate: float) -> Step:
            seen.append(rate)
            mean = 1_000 / (capacity - rate) if rate < capacity else math.inf
            p50, p95, p99 = (-math.log(1 - q) * mean for q in (0.5, 0.95, 0.99))
            return Step(rate, min(rate, capacity), p50, p95, p99, 0.0, "pass" if p95 < 50 else "fail")

        return try_rate

    @pytest.mark.parametrize("start", [100.0, 3.0, 5_000.0])
    def test_it_finds_the_rate_that_theory_has(self, start: float) -> None:
        seen: list[float] = []
        found = find_capacity(self.service(400, seen=seen), start=start)
        holds = 400 + 1_000 * math.log(0.05) / 50  # p95 of an M/M/1 queue is ln 20 / (capacity - rate)
        assert found.low is not None and found.high is not None
        assert found.low <= holds <= found.high <= found.low * 1.12 * 1.001
        assert len(seen) <= 14 and found.ended == "found"

    def test_the_knee_is_where_kleinrock_has_it(self) -> None:
        steps = [self.service(400, seen=[])(rate) for rate in range(20, 400, 20)]
        assert knee_of(steps) == 200  # of an M/M/1 queue: half its capacity

    def test_a_generator_that_can_no_more_ends_it_and_says_so(self) -> None:
        try_rate = self.service(4_000, seen=[])

        def limited(rate: float) -> Step:
            return replace(try_rate(rate), verdict="invalid") if rate > 900 else try_rate(rate)

        found = find_capacity(limited, start=100)
        assert found.low is not None and found.low <= 900 and found.high is None
        assert "the generator itself was not sound" in found.ended

    def test_nothing_holds_ends_at_the_least_rate_and_two_invalid_end_at_once(self) -> None:
        seen: list[float] = []
        found = find_capacity(self.service(5, seen=seen), start=100, least=20)
        assert (found.low, found.ended) == (None, "no rate that was tried held") and min(seen) >= 20
        tried = find_capacity(lambda rate: Step(rate, rate, 1, 1, 1, 0.0, "invalid"), start=100)
        assert len(tried.steps) == 2 and "busy" in tried.ended


class Fake:
    """A service that is opened in the processes of the generator."""

    inside = False

    def __init__(self, folder: str, place: int) -> None:
        self.folder, self.place = folder, place
        if folder == "broken":
            raise ValueError("no such service")

    def call(self, request: Planned) -> object:
        if request.number % 50 == 0:
            raise RuntimeError("refused\nat length")
        return request.actor

    def check(self, request: Planned, answered: object) -> str | None:
        return "wrong answer" if request.number % 50 == 1 else None

    def close(self) -> None:
        pass


class TestProcesses:
    """Real processes, which import the service by its name: that of a module of the application's."""

    @pytest.fixture(autouse=True)
    def importable(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        text = Path(__file__).read_text(encoding="utf-8")
        body = (
            "from ptp.benchmark.load import Planned\n\n"
            + text[text.index("class Fake:") : text.index("class TestProcesses")]
        )
        (tmp_path / "fake_service.py").write_text(body, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    @staticmethod
    def opener(folder: str = "") -> Callable[[int], Fake]:
        import fake_service  # type: ignore[import-not-found]

        return partial(fake_service.Fake, folder)

    def test_each_request_is_made_once_and_its_error_kept(self) -> None:
        plan = at_rate(300, actors=40, phases=(Phase("s", "steady", 1.0),), scenarios=SCENARIOS, seed=1)
        records = generate(plan, self.opener())
        assert judge_sums(records).verdict == "pass"
        assert records.counts()["completed"] + records.counts()["error"] == len(plan)
        kinds = records.kinds()
        numbers = range(len(plan))
        assert kinds == {
            "RuntimeError: refused": sum(n % 50 == 0 for n in numbers),
            "wrong answer": sum(n % 50 == 1 for n in numbers),
        }
        assert (records.started >= records.sent).all() and (records.sent >= plan.due).all()

    def test_a_service_that_cannot_be_opened_is_one_sentence(self) -> None:
        with pytest.raises(CannotFinish, match=r"^The load could not be made: ValueError: no such service\.$"):
            generate(schedule(1.0), self.opener("broken"))
