"""What a reviewer asks first: each answer follows from the results, and says so where they do not tell."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ptp.evidence import Evidence, Run, Stage, read_evidence, write_run, write_stage, write_verdict
from ptp.report.answers import answers_of
from ptp.report.changes import changes_of
from ptp.report.commands import command_of, command_of_run
from ptp.report.gates import findings_of
from ptp.report.page import render
from ptp.report.trust import trust_of
from ptp.results import Estimate, Finding, Measurement, Result, Verdict
from ptp.workbench.outputs import OUTPUTS, write_outputs

RUN = Run("r2", "old data.db", "new.db", "quick", "dev", "2025-01-02T03:04:05+00:00", 1.0)
BACKUP = Finding("migrate.backup", "A backup was compared", "pass", "data", 9, "rows equal", n=9)
UNTOUCHED = Finding("migrate.source-unchanged", "The source was only read", "pass", "data", 0, "changes", 0)
DIRTY = Finding("migrate.conversions", "Every source value converts", "fail", "data", 3, "values", 0)
NEAR = Finding("bench.near", "p95 of near is under 10 ms", "pass", "gate", 9.0, "ms", 10.0, 8.0, 9.5, 300)
FAR = Finding("bench.far", "p95 of far is under 100 ms", "pass", "gate", 50.0, "ms", 100.0, 40.0, 60.0, 300)
CLOCK = Finding("self.same", "A call beside itself takes the same time", "pass", "gate", 1.0, "times", 1.05, n=250)
TIMES = (Measurement("near", "ms", (9.0, 8.0)), Measurement("far", "ms", (50.0, 40.0)))
BILL = Estimate("bill of a month", "$ a month", 12.0, 10.0, 15.0, "rows x prices", {"users": 1000.0, "tariff": "Large"})
ONCE = Estimate("cost if it ran there", "$", 0.0123, 0.006, 0.0147, "rows x prices")
MOVED = {"rows in": 40, "rows quarantined": 0, "values rounded": 0, "values rejected": 0}


def evidence(*results: Result, tables: dict[str, list[dict[str, object]]] | None = None) -> Evidence:
    return Evidence(RUN, (Stage("01_migrate", "Migration", 1.0, results, tables or {}),), "pass")


def short(given: Evidence) -> list[str]:
    return [one.short.replace("\N{NO-BREAK SPACE}", " ") for one in answers_of(given, findings_of(given))]


def test_the_slowest_query_is_the_one_nearest_to_its_own_limit_and_a_time() -> None:
    given = evidence(CLOCK, FAR, NEAR, *TIMES)
    slowest = answers_of(given, findings_of(given))[0]
    assert short(given)[0] == "near: 9 ms of 10 ms"
    assert slowest.more == "90 % of its limit; pass; 95 % interval 8 – 9.50; n 300"
    over = replace(FAR, value=120.0, verdict="fail")
    assert short(evidence(NEAR, over, *TIMES))[0] == "far: 120 ms of 100 ms"
    assert short(evidence(CLOCK, NEAR))[0] == "Not measured"  # nothing says of what it is


@pytest.mark.parametrize(
    ("changed", "said", "style"),
    [
        ({}, "None of 80", "pass"),
        ({"rows quarantined": 3}, "3 of 80", "inconclusive"),
        ({"values rounded": 1}, "None of 80", "inconclusive"),
    ],
)
def test_quarantine_is_summed_over_all_tables(changed: dict[str, int], said: str, style: str) -> None:
    given = evidence(BACKUP, tables={"T": [{"table": "a", **MOVED}, {"table": "b", **MOVED, **changed}]})
    answer = answers_of(given, findings_of(given))[1]
    assert (answer.short, answer.state.style) == (said, style)


def test_a_run_that_dirt_stopped_says_that_nothing_was_moved() -> None:
    assert short(evidence(DIRTY))[1] == "Stopped by 3 values"
    assert short(evidence(BACKUP))[1] == "Not known"


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ((BACKUP, UNTOUCHED), "Yes: the source is untouched"),
        ((BACKUP, Finding("migrate.live-content", "x", "pass", "data")), "Yes: ptp rollback"),
        ((BACKUP,), "Yes, from the backup"),
        ((replace(BACKUP, verdict="fail"), UNTOUCHED), "Not proven"),
        ((replace(BACKUP, verdict="not applicable"), UNTOUCHED), "Not proven"),
        ((UNTOUCHED,), "Not shown"),
        ((Finding("rollback.undone", "x", "pass", "data"),), "Yes: it was done"),
        ((Finding("rollback.undone", "x", "fail", "data"),), "It was tried: fail"),
    ],
)
def test_the_way_back_is_only_promised_where_it_was_proven(results: tuple[Result, ...], said: str) -> None:
    assert short(evidence(*results))[2] == said


def test_the_cost_of_a_month_goes_before_that_of_the_migration_and_is_called_estimated() -> None:
    given = evidence(ONCE, BILL, ONCE)
    cost = answers_of(given, findings_of(given))[3]
    assert (cost.short, cost.state.style) == ("$12.00 a month", "idle")
    assert cost.more == "Estimated, $10.00 – $15.00, users 1,000, tariff Large."
    assert short(evidence(ONCE))[3] == "$0.012 once"
    assert short(evidence(BACKUP))[3] == "Not estimated"


def test_trust_names_what_was_not_done_as_well_as_what_was() -> None:
    kills = Finding("prove.kill-rate", "x", "pass", "gate", 100.0, "%", 100, n=114)
    alarms = Finding("prove.false-alarms", "x", "fail", "gate", 2, "false alarms", 0, n=6)
    given = evidence(CLOCK, replace(CLOCK, id="self.cost", verdict="invalid"), kills, alarms, BACKUP)
    assert [(one.text, one.state.style) for one in trust_of(given, findings_of(given))] == [
        ("1 of 2 checks passed", "invalid"),
        ("saw 100% of 114 damages", "fail"),
        ("restored and compared: 9\N{NO-BREAK SPACE}rows equal", "pass"),
        ("not in this run: ptp migrate --rehearse makes one", "idle"),
    ]
    none = evidence()
    assert {one.state.style for one in trust_of(none, findings_of(none))} == {"idle"}


def test_a_command_can_be_pasted_whatever_the_paths_are() -> None:
    bench = Stage("03_benchmark", "B", 1.0, (), {"Conditions": [{"seed": "7"}]})
    load = Stage(
        "04_load", "L", 1.0, (), {"Load": [{"profile": "heavy", "driver": "http", "seconds": 60.0, "seed": 3}]}
    )
    assert command_of_run(RUN) == "ptp run --source 'old data.db' --profile quick"
    assert command_of(bench, RUN) == "ptp bench --target new.db --source 'old data.db' --profile quick --seed 7"
    assert command_of(load, RUN) == "ptp load --target new.db --profile heavy --driver http --seconds 60 --seed 3"
    assert command_of(Stage("any", "A", 1.0), RUN) == ""
    assert command_of_run(replace(RUN, source="$(rm -rf x)")) == "ptp run --source '$(rm -rf x)' --profile quick"


class Texts(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.told = ""
        self.feed(text)

    def handle_data(self, data: str) -> None:
        self.told += data


def kept(
    folder: Path, started: str, *results: Result, name: str = "03_benchmark", verdict: Verdict = "pass"
) -> Evidence:
    run = replace(RUN, id=folder.name, started=started, facts={"rows": "9"})
    given = Evidence(run, (Stage(name, "Stage", 1.0, results),), verdict)
    folder.mkdir(parents=True)
    write_run(folder, run)
    write_stage(folder, given.stages[0])
    write_outputs(folder, given)
    write_verdict(folder, given)
    return given


HERE = {"cpu": "one"}


def near(p95: float, low: float, high: float, *, cpu: str = "one") -> tuple[Result, ...]:
    judged = replace(NEAR, value=p95, low=low, high=high)
    return (judged, FAR, Measurement("near", "ms", (p95, low), {"cpu": cpu}))


def test_what_changed_since_the_last_run_is_noted_and_told_again_from_the_file(tmp_path: Path) -> None:
    kept(tmp_path / "r0", "2025-01-01T00:00:00+00:00", *near(1.0, 0.9, 1.1), verdict="fail")
    kept(tmp_path / "r1", "2025-01-02T00:00:00+00:00", *near(2.0, 1.9, 2.1))
    kept(tmp_path / "other", "2025-01-02T12:00:00+00:00", BACKUP, name="01_migrate")
    kept(tmp_path / "later", "2025-01-09T00:00:00+00:00", *near(9.0, 8.9, 9.1))
    kept(tmp_path / "r2", "2025-01-03T00:00:00+00:00", *near(3.0, 2.9, 3.1), replace(CLOCK, verdict="pass"))
    kept(tmp_path / "r3", "2025-01-04T00:00:00+00:00", *near(3.0, 2.8, 3.2), replace(CLOCK, verdict="fail"))

    assert changes_of(read_evidence(tmp_path / "r0")).verdict is None
    second = changes_of(read_evidence(tmp_path / "r2"))
    assert second.words.startswith("2 gates compared with run r1: 2 changes.")
    assert [(c.what, c.before, c.now, c.state.word) for c in second.shown] == [
        ("bench.near", "2\N{NO-BREAK SPACE}ms", "3\N{NO-BREAK SPACE}ms", "Worse"),
        ("self.same", "not there", "pass", "Other"),
    ]
    third = changes_of(read_evidence(tmp_path / "r3"))  # its interval overlaps: nothing to tell of its time
    assert third.words.startswith("3 gates compared with run r2: 1 change.")
    assert [(c.what, c.before, c.now, c.state.word) for c in third.shown] == [("self.same", "pass", "fail", "Worse")]
    (tmp_path / "r3" / "verdict.json").write_text("{", encoding="utf-8")  # what cannot be read is no earlier run
    kept(tmp_path / "r4", "2025-01-05T00:00:00+00:00", *near(3.0, 2.9, 3.1))
    assert "compared with run r2" in changes_of(read_evidence(tmp_path / "r4")).words
    page = (tmp_path / "r3" / "index.html").read_text(encoding="utf-8")
    assert "compared with run r2" in Texts(page).told
    assert render(read_evidence(tmp_path / "r4")).count("compared with run r2") == 1


def test_times_of_another_machine_are_not_compared_and_that_is_said(tmp_path: Path) -> None:
    kept(tmp_path / "r0", "2025-01-01T00:00:00+00:00", *near(1.0, 0.9, 1.1, cpu="two"))
    kept(tmp_path / "r1", "2025-01-02T00:00:00+00:00", *near(2.0, 1.9, 2.1))
    told = changes_of(read_evidence(tmp_path / "r1"))
    assert told.shown == () and "Times are not compared: another machine." in told.words


def test_a_first_run_and_one_that_was_interrupted_have_nothing_to_compare_with(tmp_path: Path) -> None:
    kept(tmp_path / "r0", "2025-01-01T00:00:00+00:00", *near(1.0, 0.9, 1.1))
    assert not (tmp_path / "r0" / "results" / "previous.json").exists()
    assert "No earlier run" in changes_of(read_evidence(tmp_path / "r0")).words
    assert "did not end" in changes_of(replace(evidence(BACKUP), verdict=None)).words
    assert {p.name for p in (tmp_path / "r0").glob("*.*")} <= {*OUTPUTS, "run.json", "verdict.json"}
