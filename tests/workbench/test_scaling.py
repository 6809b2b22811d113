"""The stage of scale and the bill: what it counts is what others count, its bills add up, and red ones are explained."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ptp.cli import app
from ptp.engine import open_engine
from ptp.engine.prices import load_prices
from ptp.errors import UsageError
from ptp.evidence import Stage, read_evidence, read_stage, write_stage
from ptp.queries import StudyQueries
from ptp.report.stage_pictures import pictures_of
from ptp.results import Finding, Measurement, worst
from ptp.workbench import scale_bill_tables as bills
from ptp.workbench import scale_tables as tables
from ptp.workbench.migrating import migrate
from ptp.workbench.scale_asked import Asked
from ptp.workbench.scale_bill import Month
from ptp.workbench.scale_indexes import index_rows
from ptp.workbench.scale_inputs import Observations, observe, with_times_of
from ptp.workbench.scale_latency import Variant, World
from ptp.workbench.scale_shapes import BothWays, Compared, claim_finding, verdict_of
from ptp.workbench.scale_wanted import Wanted
from ptp.workbench.scaling import modelled
from ptp.workload.calls import API_CALLS, WRITERS
from ptp.workload.demo import write_demo

PRICES = load_prices()


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scale")
    source = write_demo(shape="drizzle", size="tiny", seed=5, out=folder / "old.db").path
    migrate(source, folder / "new.db", folder, run="test")
    return folder / "new.db"


@pytest.fixture(scope="module")
def kept(target: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Stage, Path, Any]:
    """One run of the command, with the run folder and what it printed."""
    out = tmp_path_factory.mktemp("run")
    before = target.read_bytes()
    told = CliRunner().invoke(app, ["scale", "--target", str(target), "--out", str(out), "--region", "sydney",
                                    "--region", "washington"])  # fmt: skip
    assert target.read_bytes() == before
    return read_stage(out / "results" / "05_scale.json"), out, told


@pytest.fixture(scope="module")
def seen(target: Path, tmp_path_factory: pytest.TempPathFactory) -> Observations:
    copy = tmp_path_factory.mktemp("seen") / "copy.db"
    shutil.copy(target, copy)
    return observe(copy)


def row(stage: Stage, table: str, **where: Any) -> dict[str, Any]:
    return next(dict(r) for r in stage.tables[table] if all(r[name] == value for name, value in where.items()))


def by_id(stage: Stage) -> dict[str, Finding]:
    return {f.id: f for f in stage.findings}


class TestObserved:
    def test_round_trips_are_what_the_driver_is_asked(self, target: Path, tmp_path: Path, seen: Observations) -> None:
        """The witness counts calls of the driver's own methods, and not what SQLite traces."""
        copy = tmp_path / "own.db"
        shutil.copy(target, copy)
        asked: list[str] = []

        class Counting(sqlite3.Connection):
            def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:  # type: ignore[override]
                asked.append(sql)
                return super().execute(sql, *values)

            def cursor(self, *_: Any) -> sqlite3.Cursor:  # type: ignore[override]
                return super().cursor(CountingCursor)

            def commit(self) -> None:
                asked.append("COMMIT")
                super().commit()

            def rollback(self) -> None:
                if self.in_transaction:
                    asked.append("ROLLBACK")
                super().rollback()

        class CountingCursor(sqlite3.Cursor):
            def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:  # type: ignore[override]
                asked.append(sql)
                return super().execute(sql, *values)

        real = sqlite3.connect
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sqlite3, "connect", lambda *a, **k: real(*a, **{**k, "factory": Counting}))
            engine = open_engine(copy)
            study = StudyQueries(engine)
            study.study_questions(exam_id=1, user_id=1)  # connects, and reads the state row once
            asked.clear()
            study.study_questions(exam_id=1, user_id=1)
            reading = len(asked)
            engine.dispose()
        one = seen.queries["study_questions"]
        assert reading == one.trips == one.statements + one.around
        assert asked[0] == "BEGIN" and asked[-1] in ("ROLLBACK", "COMMIT")

    def test_billed_rows_are_those_of_the_benchmark(self, target: Path, tmp_path: Path, seen: Observations) -> None:
        from ptp.workbench.counting import TABLE, count_work

        copy = tmp_path / "own.db"
        shutil.copy(target, copy)
        engine = open_engine(copy)
        counted = {r["query"]: r for r in count_work(engine, copy, calls=10).tables[TABLE]}
        engine.dispose()
        for name in ("growth_analytics", "net_followers", "ai_cost_summary", "record_daily_metrics"):
            assert float(seen.queries[name].read) == pytest.approx(counted[name]["billed_read"], abs=0.01)
            assert float(seen.queries[name].written) == pytest.approx(counted[name]["billed_written"], abs=0.01)

    def test_who_writes_is_known(self, seen: Observations) -> None:
        assert {name for name, one in seen.queries.items() if one.written} == set(WRITERS)
        assert {name for name, one in seen.queries.items() if one.logged_bytes} == set(WRITERS)

    def test_an_index_adds_one_write_to_each_row_that_is_inserted(self, seen: Observations) -> None:
        rows = index_rows(seen.index_writes, Wanted().traffic(), PRICES)
        own = {r["index"]: r for r in rows}
        inserted = ["idx_answers_question", "idx_answers_session", "idx_answers_user_time"]
        assert {seen.index_writes[name]["record_answer"] for name in inserted} == {1}
        assert all(seen.index_writes[name]["record_answers_50"] == pytest.approx(50, abs=5) for name in inserted)
        calls = Wanted().traffic().rates
        # By hand: a write an answer, each at $0.80 a million.
        one = own[inserted[0]]
        answers = calls["record_answer"].calls + 50 * calls["record_answers_50"].calls
        assert one["dollars"] == pytest.approx(answers * 0.8e-6, rel=0.02)

    def test_each_route_of_the_api_that_asks_a_query_is_modelled(self) -> None:
        text = "\n".join(p.read_text() for p in Path("ptp/service/routes").glob("*.py"))
        asked = set(re.findall(r'calling\("(\w+)"\)', text))
        assert asked - {"record_answers"} <= {call.query for call in API_CALLS}

    def test_times_come_from_earlier_stages_of_the_run(self, seen: Observations, tmp_path: Path) -> None:
        write = [Measurement("study_questions", "ms", (1.5, 2.5))]
        (tmp_path / "results").mkdir()
        write_stage(tmp_path, Stage("03_benchmark", "B", 1.0, tuple(write)))
        found = with_times_of(seen, tmp_path).queries
        assert found["study_questions"].service_ms == (1.5, 2.5)
        assert found["study_questions"].times_from == "the benchmark"
        assert found["leaderboard"].times_from == "measured here"
        load = [Measurement("study_questions.service", "ms", (7.0,))]
        for driver, due in (("process", (1.5, 2.5)), ("http", (7.0,))):
            write_stage(tmp_path, Stage("04_load", "L", 1.0, tuple(load), {"Load": [{"driver": driver}]}))
            assert with_times_of(seen, tmp_path).queries["study_questions"].service_ms == due


class TestBill:
    def month(self, seen: Observations, **more: Any) -> Month:
        return Month(Wanted(**more), seen, PRICES)

    def test_a_month_is_calls_times_rows(self, seen: Observations) -> None:
        month = self.month(seen)
        rates = month.wanted.traffic().rates
        read = sum(round(rates[name].calls) * one.read for name, one in seen.queries.items())
        assert month.usage(1_000).rows_read == -(-read.numerator // read.denominator)
        assert month.usage(2_000).rows_written > month.usage(1_000).rows_written

    def test_more_people_never_use_less(self, seen: Observations) -> None:
        month = self.month(seen)
        found = [month.usage(n) for n in range(0, 400, 7)]
        for first, second in pairwise(found):
            assert first.rows_read <= second.rows_read and first.stored_bytes <= second.stored_bytes
            assert first.rows_written <= second.rows_written

    def test_replicas_sync_what_is_logged_and_read_for_nothing(self, seen: Observations) -> None:
        plain, near = self.month(seen), self.month(seen, topology="replicas", regions=("tokyo", "london"))
        assert plain.usage(1_000).synced_bytes == 0
        logged = sum(d.calls * seen.queries[d.name].logged_bytes for d in near.demands(1_000))
        assert near.usage(1_000).synced_bytes == 2 * logged > 0
        assert near.usage(1_000).rows_read < plain.usage(1_000).rows_read
        assert near.usage(1_000).rows_written == plain.usage(1_000).rows_written

    def test_a_year_of_growth_goes_over_the_budget_in_the_month_that_it_should(self, seen: Observations) -> None:
        month = self.month(seen, users=60_000, growth=10.0, plan="scaler", budget=50.0)
        rows = list(bills.growth_rows(month))
        assert [r["users"] for r in rows[:3]] == [60_000, 66_000, 72_600]
        held = [r["within_budget"] for r in rows]
        assert held == sorted(held, reverse=True) and True in held and False in held
        assert all(r["plan"] == "Scaler" for r in rows)

    def test_the_claim_of_40_percent_is_held_to_both_bills(self, seen: Observations) -> None:
        from ptp.workbench.scale_shapes import Beside

        rows = (Beside("leaderboard", (Fraction(1_000), Fraction(0)), (Fraction(100), Fraction(0))),)
        found = verdict_of(Compared(rows, "a pair", "counters"), Wanted().traffic(), PRICES)
        # 6,000 calls x 1,000 rows x $0.80 a billion.
        assert (found.raw, found.head) == (pytest.approx(0.0048), pytest.approx(0.00048))
        assert found.saved == pytest.approx(90)
        assert claim_finding(Compared(rows, "a pair", "c"), found, 1_000).verdict == "pass"
        dearer = BothWays(1.0, 1.1, [])
        assert claim_finding(Compared(rows, "a pair", "c"), dearer, 1_000).verdict == "fail"
        assert "10.0 % more" in claim_finding(Compared(rows, "a pair", "c"), dearer, 1_000).evidence


class TestLatency:
    def test_what_is_tried_moves_what_it_should(self, seen: Observations) -> None:
        wanted = Wanted(regions=("sydney",), topology="regional")
        world = World(wanted, seen, PRICES.tariff("Scaler"))
        asked = world.simulated(world.as_asked())
        one = world.simulated(replace(world.as_asked(), trips="one request"))
        # Of a write with 5 round trips and 4 to 3 others, one is left; Sydney to Washington and back is 216 ms.
        apart = asked.p95(calls=["record_answer"]) - one.p95(calls=["record_answer"])
        assert apart > 4 * 216 * 0.9
        near = world.simulated(Variant("near", "replicas", "sydney"))
        assert near.p95() < 200 < asked.p95()

    def test_opening_a_connection_a_session_follows_from_the_traffic(self, seen: Observations) -> None:
        world = World(Wanted(), seen, PRICES.tariff("Free"))
        assert world.opened == pytest.approx(12_000 / world.requests)
        assert World(Wanted(opened=0.25), seen, PRICES.tariff("Free")).opened == 0.25

    def test_estimates_as_notes_decide_nothing(self, seen: Observations) -> None:
        pair = Compared((), "nothing", "c")
        part = modelled(Wanted(regions=("sydney",), estimates="note"), seen, pair)
        told = [f for f in part.findings if f.id.startswith(("scale.p95", "scale.cost.month"))]
        assert len(told) == 2 and {f.severity for f in told} == {"note"}
        assert worst([*told, Finding("scale.model", "", "pass")]) == "pass"


class TestCommand:
    def test_says_whether_the_budget_holds_on_which_plan_and_what_breaks_it(self, kept: Any) -> None:
        _, _, told = kept
        assert "Does $50.00 a month hold with 1,000 active users?" in told.output
        assert re.search(r"Yes\. With 1,000 active users the bill is \$0\.00 on Free, within every quota", told.output)
        assert re.search(r"goes furthest on Scaler: [\d,]+ users, and then the bill is over the budget", told.output)
        assert "Next: " in told.output

    def test_far_is_red_with_what_would_help_and_the_exit_code_says_so(self, kept: Any) -> None:
        stage, _, told = kept
        found = by_id(stage)
        sydney = found["scale.p95.sydney"]
        assert sydney.verdict == "fail" and sydney.severity == "gate" and sydney.where
        assert found["scale.cost.month"].verdict == "pass" and found["scale.model"].verdict == "pass"
        assert told.exit_code == 1
        assert sydney.low <= sydney.value <= sydney.high  # type: ignore[operator]
        assert sydney.claim.startswith("Estimated: ")

    def test_the_edge_is_one_user(self, kept: Any) -> None:
        stage, _, _ = kept
        carried = row(stage, bills.BILLS, plan="Scaler")["budget_carries_users"]
        at = row(stage, bills.BY_USERS, plan="Scaler", active_users=carried)["dollars"]
        beyond = row(stage, bills.BY_USERS, plan="Scaler", active_users=carried + 1)["dollars"]
        assert at <= 50.0 < beyond
        assert row(stage, bills.BILLS, plan="Developer")["then"].startswith("no price is known for rows written")
        assert row(stage, bills.BILLS, plan="Pro")["budget_carries_users"] is None

    def test_every_input_says_whether_it_is_measured(self, kept: Any) -> None:
        stage, _, _ = kept
        kinds = {r["input"]: r["measured_or_assumed"] for r in stage.tables[tables.INPUTS]}
        assert set(kinds.values()) == {"measured", "assumed"}
        assert kinds["last mile"] == "assumed" and kinds["round trips a call"] == "measured"
        assert all(r["source"] for r in stage.tables[tables.INPUTS])

    def test_each_estimate_has_its_range_model_and_inputs(self, kept: Any) -> None:
        stage, _, _ = kept
        assert len([e for e in stage.estimates if e.what.startswith("p95 of ")]) == 3 * 3
        assert stage.estimates[-1].what == "bill of a month"
        assert all(e.low <= e.value <= e.high and e.model and e.inputs for e in stage.estimates)

    def test_the_run_folder_can_be_read_and_shows_its_charts(self, kept: Any) -> None:
        stage, out, _ = kept
        evidence = read_evidence(out)
        assert evidence.verdict == "fail" and (out / "index.html").is_file()
        drawn = pictures_of(stage)
        alts = [chart.alt for chart in drawn]
        assert any(alt.startswith("Estimated p95 by region") and "sydney" in alt for alt in alts)
        assert any(alt.startswith("The bill of a month by plan, budget $50") for alt in alts)
        assert any(alt.startswith("What each query costs") for alt in alts)
        assert sum(alt.startswith("What moves ") for alt in alts) == 2
        assert [c.svg for c in drawn] == [c.svg for c in pictures_of(stage)]

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--plan", "Gold"], "'Gold' is no plan"),
            (["--region", "mars"], "'mars' is no region"),
            (["--primary", "mars"], "'mars' is no region"),
            (["--users", "0"], "--users 0 cannot be modelled: give 1 to"),
            (["--last-mile", "-1"], "--last-mile -1 cannot be modelled"),
            (["--times", "nowhere"], "nowhere is no run folder"),
        ],
    )
    def test_what_cannot_be_modelled_is_told_in_a_sentence(
        self, target: Path, tmp_path: Path, options: list[str], said: str
    ) -> None:
        told = CliRunner().invoke(app, ["scale", "--target", str(target), "--out", str(tmp_path / "o"), *options])
        assert isinstance(told.exception, UsageError) and said in str(told.exception)
        assert not (tmp_path / "o").exists()

    def test_help_has_an_example(self) -> None:
        told = CliRunner().invoke(app, ["scale", "--help"])
        assert "Example: ptp scale --target" in told.output


def test_a_target_that_ptp_did_not_build_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db")) as db:
        db.execute("CREATE TABLE t (a)")
    with pytest.raises(UsageError, match="was not built by ptp"):
        Asked(tmp_path / "x.db", Wanted()).check()


def test_json_says_the_same(kept: tuple[Stage, Path, Any]) -> None:
    _, out, _ = kept
    document = json.loads((out / "verdict.json").read_text())
    assert {g["id"] for g in document["gates"]} >= {"scale.model", "scale.p95.sydney", "scale.cost.month"}
