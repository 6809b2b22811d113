"""What a load tells beside its gates: phases, errors, the service by the second, the cache; worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from ptp.benchmark.load import Crowd, Phase, Records, Schedule, at_rate
from ptp.benchmark.load.arrivals import Scenario
from ptp.benchmark.load.generator import gathered
from ptp.benchmark.load.worker import Sent
from ptp.engine.prices import load_prices
from ptp.workbench import load_scrape
from ptp.workbench.load_phases import findings_of, judge_phases, operation_rows, rows_of
from ptp.workbench.load_savings import Cost, Costs, part_of
from ptp.workbench.load_scrape import Scrape, Workers, scraped
from ptp.workbench.load_tables import _errors, timeline_of
from ptp.workbench.load_watch import Reading, Seen, seconds_of, watching

MS = 1_000_000
SPIKE = (
    Phase("warm-up", "ramp", 1.0, start=0.5, measured=False),
    Phase("before", "steady", 4.0),
    Phase("spike", "spike", 4.0, end=3.0),
    Phase("after", "steady", 4.0),
)
EVEN = (Phase("warm-up", "ramp", 1.0, measured=False), Phase("steady", "steady", 8.0))
LIMITS = {"read": 50.0, "write": 50.0}
SCENARIOS = (Scenario("only", 1, ("read", "write")),)


def plan_of(phases: tuple[Phase, ...], rate: float = 100.0) -> Schedule:
    return at_rate(rate, actors=20, phases=phases, scenarios=SCENARIOS, seed=1)


def records_of(plan: Schedule, took: np.ndarray[Any, Any], *, error: np.ndarray[Any, Any] | None = None) -> Records:
    """Requests that were sent when due and took so many ms each; below 0 is never."""
    n, due = len(plan), plan.due
    ended = np.where(took >= 0, due + took.astype(np.int64) * MS, -1)
    sent = np.where(took > -2, due, -1)
    one = Sent(np.arange(n), sent=sent, started=sent, ended=ended,
               error=np.zeros(n, dtype=int) if error is None else error, errors=("HTTP 503", "no JSON"),
               cpu=0.1, loop_cpu=0.1, backlog=np.zeros(n, dtype=int), generated=int(due[-1]), strays=0)  # fmt: skip
    return gathered(plan, [one], Crowd(1, 2))


class TestPhases:
    def judged(self, phases: tuple[Phase, ...], took: Any, *, sound: bool = True) -> tuple[Records, Any]:
        plan = plan_of(phases)
        records = records_of(plan, took(plan.due / 1e9))
        return records, judge_phases(records, limits=LIMITS, sound=sound)

    def test_a_service_that_does_not_come_back_after_a_spike_fails_that_phase_alone(self) -> None:
        records, judged = self.judged(SPIKE, lambda at: np.where(at > 9.0, 400, 5))
        found = {f.id: f for f in findings_of(records, judged)}
        assert {n.rpartition(".")[2]: (f.verdict, f.severity) for n, f in found.items()} == {
            "warm-up": ("inconclusive", "note"),
            "before": ("pass", "gate"),
            "spike": ("pass", "note"),
            "after": ("fail", "gate"),
        }
        assert found["load.phases.after"].value == 100 * 400 / 50
        assert "response" in found["load.phases.after"].evidence

    def test_where_the_whole_is_one_steady_phase_the_gates_say_it_already(self) -> None:
        records, judged = self.judged(EVEN, lambda at: np.full(len(at), 400))
        assert [(f.verdict, f.severity) for f in findings_of(records, judged)][1] == ("fail", "note")

    def test_what_a_generator_that_was_not_sound_has_sent_is_not_believed(self) -> None:
        records, judged = self.judged(SPIKE, lambda at: np.full(len(at), 5), sound=False)
        assert {f.verdict for f in findings_of(records, judged)} == {"invalid"}

    def test_the_rows_hold_every_request_once_with_their_own_figures(self) -> None:
        records, judged = self.judged(SPIKE, lambda at: np.where(at > 9.0, 400, 5))
        phases, operations = rows_of(records, judged), operation_rows(records, judged)
        assert sum(row["n"] for row in phases) == sum(row["n"] for row in operations) == len(records.schedule)
        spike = next(row for row in phases if row["phase"] == "spike")
        assert spike["n"] == int(((records.schedule.due >= 5e9) & (records.schedule.due < 9e9)).sum())
        assert spike["rate"] == spike["n"] / 4.0 and (spike["p50_ms"], spike["p99_ms"]) == (5.0, 5.0)
        after = [row for row in operations if row["phase"] == "after"]
        assert [(row["limit_ms"], row["verdict"], row["p95_low_ms"]) for row in after] == [(50.0, "fail", 400.0)] * 2


def test_errors_are_counted_by_kind_and_operation_and_what_had_no_answer_is_one() -> None:
    plan = plan_of(EVEN)
    took, error = np.full(len(plan), 5), np.zeros(len(plan), dtype=int)
    reads = np.flatnonzero(plan.operation == plan.operations.index("read"))
    writes = np.flatnonzero(plan.operation == plan.operations.index("write"))
    error[reads[:3]], error[writes[:2]], took[writes[2:6]], took[reads[3:4]] = 1, 2, -1, -2
    rows = list(_errors(records_of(plan, took, error=error)))
    assert {(row["error"], row["operation"]): row["requests"] for row in rows} == {
        ("HTTP 503", "read"): 3,
        ("no JSON", "write"): 2,
        ("no answer at the end", "write"): 4,
        ("not sent, as too many were open", "read"): 1,
    }


class TestBySecond:
    def test_hits_are_those_of_the_second_and_workers_are_added_up(self) -> None:
        seen = Seen(
            100.0,
            [
                Reading(99.5, "1", 0, 15, 0, hits=10, calls=20),
                Reading(100.5, "1", 2, 15, 1_000_000, hits=13, calls=24),
                Reading(100.6, "2", 1, 15, 1_500_000, hits=0, calls=6),
                Reading(102.2, "1", 4, 15, 2_000_000, hits=13, calls=25),
            ],
        )
        first, second, third = seconds_of(seen, 3)
        assert first == {"cache_hit_percent": 30.0, "pool_in_use": 3, "pool_size": 30, "wal_mb": 1.5}
        assert second == dict.fromkeys(first)  # nobody told anything
        assert (third["cache_hit_percent"], third["pool_in_use"]) == (0.0, 4)

    def test_it_stands_beside_what_was_due_then_with_the_phase(self) -> None:
        plan = plan_of(EVEN)
        rows = timeline_of(
            records_of(plan, np.full(len(plan), 5)), Seen(50.0, [Reading(52.5, "", wal_bytes=3_000_000)])
        )
        assert [row["phase"] for row in rows] == ["warm-up", *["steady"] * 8]
        assert [row["wal_mb"] for row in rows[:4]] == [None, None, 3.0, None]
        assert sum(row["rate"] for row in rows) == len(plan)

    def test_it_is_read_again_and_again_until_the_block_ends(self) -> None:
        seen, asked = Seen(), []

        def read() -> list[Reading]:
            asked.append(1)
            return [Reading(float(len(asked)), "1")]

        with watching(seen, read, every_s=0.001):
            while len(asked) < 3:
                pass
        assert len(seen.readings) == len(asked) >= 3


TEXT = """# TYPE ptp_pool_checked_out gauge
ptp_pool_checked_out{{worker="{worker}"}} 2.0
ptp_pool_size{{worker="{worker}"}} 15.0
ptp_wal_bytes{{worker="{worker}"}} 4096.0
# TYPE ptp_cache_calls counter
ptp_cache_calls_total{{event="hits",query="rank",worker="{worker}"}} {hits}.0
ptp_cache_calls_total{{event="misses",query="rank",worker="{worker}"}} 5.0
ptp_cache_calls_total{{event="bypasses",query="rank",worker="{worker}"}} 1.0
ptp_cache_calls_total{{event="invalidations",query="rank",worker="{worker}"}} 4.0
ptp_cache_calls_total{{event="expired",query="rank",worker="{worker}"}} 0.0
"""


class TestScrapes:
    def told(self, *what: tuple[str, int]) -> list[Scrape]:
        return [scraped(TEXT.format(worker=worker, hits=hits), at=1.0) for worker, hits in what]

    def test_the_text_of_a_worker(self) -> None:
        (one,) = self.told(("7", 9))
        assert one.reading == Reading(1.0, "7", 2, 15, 4096, hits=9, calls=15)
        with pytest.raises(KeyError):
            scraped("up 1\n", at=1.0)

    @pytest.mark.parametrize(("fresh", "hits"), [(True, 20 + 7), (False, 20 - 5 + 0)])
    def test_workers_are_added_up_and_what_a_given_server_had_before_is_taken_off(
        self, monkeypatch: pytest.MonkeyPatch, fresh: bool, hits: int
    ) -> None:
        told = iter(self.told(("1", 5), ("1", 20), ("2", 7)))
        monkeypatch.setattr(load_scrape, "scrape", lambda url: next(told))
        workers = Workers("http://there", fresh=fresh)
        workers.read()
        workers.read_all(2)
        assert workers.cache()["rank"]["hits"] == hits

    def test_who_does_not_answer_is_asked_so_often_and_no_more(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[str] = []
        monkeypatch.setattr(load_scrape, "scrape", lambda url: asked.append(url))
        workers = Workers("http://there")
        workers.read_all(2)
        assert len(asked) == load_scrape.MOST_TRIES and workers.cache() == {}


class TestSavings:
    COUNTS: Mapping[str, Mapping[str, int]] = {
        "leaderboard": {"hits": 30, "misses": 9, "bypasses": 1, "invalidations": 4, "expired": 2, "errors": 0},
        "rank": {"hits": 0, "misses": 5, "bypasses": 0, "invalidations": 0, "expired": 0, "errors": 0},
    }

    def part(self) -> Any:
        return part_of(self.COUNTS, Costs({"leaderboard": Cost(2.5, 1_000.0, 0.0, (900.0, 1_200.0), "x")}, 0.5))

    def test_what_hits_saved_is_their_number_times_a_call_less_a_hit(self) -> None:
        row, _ = self.part().tables["Cache"]
        assert (row["query"], row["calls"], row["hits"], row["hit_percent"]) == ("leaderboard", 40, 30, 75.0)
        assert (row["saved_ms_estimate"], row["saved_reads_estimate"]) == (30 * 2.0, 30_000)
        assert (row["outdated"], row["expired"]) == (4, 2)

    def test_dollars_are_those_of_a_month_at_the_declared_traffic(self) -> None:
        """20,000 users with 12 sessions, half of which end on the leaderboard; three of four are hits."""
        row, _ = self.part().tables["Cache"]
        price = next(t for t in load_prices().tariffs if t.name == "Scaler").read_per_billion or 0.0
        due = 20_000 * 12 * 0.5 * 0.75 * 1_000 / 1e9 * price
        assert row["saved_dollars_a_month_estimate"] == pytest.approx(due) and due > 0
        (estimate,) = self.part().results
        assert estimate.value == pytest.approx(due) and estimate.low < due < estimate.high

    def test_how_old_it_may_be_is_told_as_declared_and_what_was_not_costed_has_no_saving(self) -> None:
        row, other = self.part().tables["Cache"]
        assert row["kept_at_most_s"] == 60 and row["may_be_outdated"].startswith("never: a commit outdates it")
        assert row["may_be_outdated"].endswith("its window may end up to 60 s early")
        assert (other["query"], other["hits"]) == ("rank", 0) and "saved_ms_estimate" not in other
        assert "window" not in other["may_be_outdated"]
