"""The stage of the floors: on a migrated demo with few pairs, and its parts on values made by hand."""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ptp.benchmark.floors import Bound
from ptp.benchmark.pairs import TimedPairs
from ptp.cli import app
from ptp.engine.meters import Counters, Statement
from ptp.errors import DiskFull, UsageError
from ptp.evidence import Stage, read_stage, write_stage
from ptp.results import Finding, Verdict
from ptp.workbench import floors, measuring
from ptp.workbench.floors import (
    Work,
    judged,
    judged_work,
    measure_floors,
    not_applicable,
    prepare_and_time,
    row_of,
    samples,
    work_of,
)
from ptp.workbench.migrating import migrate
from ptp.workbench.terminal_tables import tables_text
from ptp.workload.demo import write_demo
from ptp.workload.floors import Measured, Prepared
from ptp.workload.limits import BATCH_TO_SINGLE, FILTERED, FILTERED_TO_PLAIN, FLOORS, LIMITS_MS, WORK_LIMITS

COLUMNS = [
    "name", "n", "p50_us", "floor_us", "over_us", "ratio", "statements", "vm_steps", "vm_steps_most", "full_scans",
    "sorts", "verdict",
]  # fmt: skip


FOURFOLD = Bound(4.0)
PAIRS = 12


def query(name: str = "work", bound: Bound | None = FOURFOLD, reason: str | None = None) -> Measured:
    return Measured(name, "the work", bound, lambda: Prepared(()), reason)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("floors")
    source = write_demo(shape="drizzle", size="tiny", seed=5, out=folder / "old.db").path
    migrate(source, folder / "new.db", folder, run="test")
    return folder / "new.db"


def measured_stage(target: Path, out: Path, **more: Any) -> Stage:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(floors, "PAIRS", {"quick": PAIRS})
        patch.setattr(floors, "WARM_UP", {"quick": 2})
        return measure_floors(target, out, seed=3, **more)


@pytest.fixture(scope="module")
def stage(target: Path, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return measured_stage(target, tmp_path_factory.mktemp("out"))


def test_the_target_stays_as_it_was_and_no_copy_is_left(target: Path, tmp_path: Path, stage: Stage) -> None:
    before = hashlib.sha256(target.read_bytes()).hexdigest()
    told: list[float] = []
    again = measured_stage(target, tmp_path, progress=lambda fraction, _: told.append(fraction))

    assert hashlib.sha256(target.read_bytes()).hexdigest() == before
    assert list(tmp_path.iterdir()) == []
    assert told == sorted(told)
    assert (told[0], told[-1] <= 1) == (0.0, True)
    counters = ("name", "statements", "vm_steps", "vm_steps_most", "full_scans", "sorts")
    one, two = ([[row[name] for name in counters] for row in s.tables["Floors"]] for s in (stage, again))
    assert one == two  # counters do not vary from run to run


def test_the_stage_holds_every_query_with_its_samples(stage: Stage) -> None:
    assert (stage.name, list(stage.tables)) == ("03_floors", ["Floors"])
    rows = {row["name"]: row for row in stage.tables["Floors"]}
    assert set(rows) == {*LIMITS_MS, FILTERED_TO_PLAIN, BATCH_TO_SINGLE}
    assert all(list(row) == COLUMNS and row["n"] == PAIRS for row in rows.values())
    assert {f.id for f in stage.findings} == {
        *(f"floor.{name}" for name, bound in FLOORS.items() if bound),
        *(f"floor.{name}.{counter}" for name, counter in WORK_LIMITS),
    }
    assert [f.evidence for f in stage.findings if "failed" in f.evidence] == []
    assert {m.what for m in stage.measurements} == {f"{name}.{which}" for name in FLOORS for which in ("call", "floor")}
    assert {(m.unit, len(m.samples)) for m in stage.measurements} == {("ms", PAIRS)}
    assert all(row["p50_us"] > 0 and row["floor_us"] > 0 for row in rows.values())


def test_the_stage_goes_to_a_file_and_back(stage: Stage, tmp_path: Path) -> None:
    write_stage(tmp_path, stage)
    assert read_stage(tmp_path / "results" / "03_floors.json") == stage


def test_a_source_has_no_floors(tmp_path: Path) -> None:
    source = write_demo(shape="raw", size="tiny", seed=5, out=tmp_path / "old.db").path
    with pytest.raises(UsageError, match="was not built by ptp"):
        measure_floors(source, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["old.db"]


@pytest.mark.parametrize(("verdict", "code"), [("pass", 0), ("fail", 1), ("inconclusive", 3)])
def test_the_command_prints_the_table_or_json_and_exits_by_its_findings(
    target: Path, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdict: Verdict, code: int
) -> None:
    finding = Finding("floor.work", "the work is quick", verdict, value=2.0, unit="times", limit=2.5)
    made = replace(stage, results=(finding,))
    monkeypatch.setattr(measuring, "measure_floors", lambda *_, **__: made)
    for arguments in ([], ["--json"]):
        out = tmp_path / f"run{len(arguments)}"
        done = CliRunner().invoke(app, ["bench", "--floors", "--target", str(target), "--out", str(out), *arguments])
        assert (done.exit_code, read_stage(out / "results" / "03_floors.json")) == (code, made)
        if arguments:
            document = json.loads(done.stdout)
            assert (document["verdict"], document["tables"]) == (verdict, made.tables)
        else:
            assert done.stdout.startswith(tables_text(made))


def test_work_is_counted_call_by_call_and_each_statement_is_planned_once() -> None:
    calls = [
        [Statement("SELECT x FROM t WHERE id = ?", ((n,),)), Statement("SELECT x FROM t ORDER BY x")] for n in (1, 2, 3)
    ]
    calls[2].insert(0, Statement("SELECT count(*) FROM t, t AS other"))
    steps = iter([700, 100, 400])

    def counted(statements: object) -> Counters:
        return Counters(statements=len(statements), vm_steps=next(steps))  # type: ignore[arg-type]

    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x)")
        found = work_of(calls, db, counted)
        assert work_of((), db, counted) is None
    # One scan and the sort of the ordered one, two scans of the third call's own.
    assert found == Work(n=3, statements=3, vm_steps=400, vm_steps_most=700, full_scans=3, sorts=1)


@pytest.mark.parametrize(("most", "verdict"), [(1_499, "pass"), (1_500, "pass"), (1_501, "fail")])
def test_the_most_vm_steps_of_a_call_are_compared_with_the_limit(most: int, verdict: str) -> None:
    work = Work(n=50, statements=9, vm_steps=700, vm_steps_most=most, full_scans=0, sorts=0)
    (found,) = judged_work(query("study_questions"), work)
    assert (found.id, found.verdict) == ("floor.study_questions.vm_steps", verdict)
    assert (found.value, found.limit, found.unit, found.n) == (most, 1_500, "VM steps", 50)
    assert found.claim == "Each call of the work takes at most 1,500 VM steps"


@pytest.mark.parametrize(("statements", "verdict"), [(4, "pass"), (5, "fail")])
def test_recording_an_answer_takes_at_most_four_statements(statements: int, verdict: str) -> None:
    work = Work(n=50, statements=statements, vm_steps=1, vm_steps_most=9_999, full_scans=0, sorts=0)
    (found,) = judged_work(query("record_answer"), work)
    assert (found.id, found.verdict, found.limit) == ("floor.record_answer.statements", verdict, 4)


def test_other_work_and_work_not_counted_is_not_judged() -> None:
    work = Work(n=1, statements=99, vm_steps=1, vm_steps_most=10**6, full_scans=9, sorts=9)
    assert judged_work(query("rank"), work) == judged_work(query("study_questions"), None) == ()


def test_a_call_that_fails_as_it_is_recorded_fails_and_a_full_disk_ends_it() -> None:
    def broken(error: Exception) -> Measured:
        def prepare() -> Prepared:
            raise error

        return replace(query(), prepare=prepare)

    _, timed = prepare_and_time(broken(ValueError("no such column")), warmup=0, chance=random.Random(1))
    (found,) = judged(query(), timed)
    assert (found.verdict, found.n) == ("fail", 0)
    assert found.evidence == "After 0 pairs one failed: ValueError: no such column"
    with pytest.raises(DiskFull):
        prepare_and_time(broken(DiskFull("The disk is full.")), warmup=0, chance=random.Random(1))


def test_what_is_told_only_has_a_row_and_samples_and_no_finding() -> None:
    timed = TimedPairs((40_000,) * 9, (10_000,) * 9)
    told = query(bound=None)
    assert judged(told, timed) == not_applicable(told, "Its table is empty.") == ()
    row = row_of(told, timed, None, ())
    assert (row["p50_us"], row["floor_us"], row["over_us"], row["ratio"], row["verdict"]) == (40.0, 10.0, 30.0, 4.0, "")
    assert [(m.what, m.samples) for m in samples(told, timed)] == [
        ("work.call", (0.04,) * 9),
        ("work.floor", (0.01,) * 9),
    ]


def test_the_verdict_of_a_row_is_that_of_the_ratio() -> None:
    timed = TimedPairs((50_000,) * 9, (10_000,) * 9)
    findings = (
        *judged_work(query("study_questions"), Work(1, 1, 1, 1, 0, 0)),
        *judged(query("study_questions"), timed),
    )
    assert [f.verdict for f in findings] == ["pass", "fail"]
    assert row_of(query("study_questions"), timed, None, findings)["verdict"] == "fail"


def test_the_limits_are_those_agreed() -> None:
    assert (FLOORS["study_questions"], FLOORS[FILTERED_TO_PLAIN]) == (Bound(4.0), Bound(3.0))
    assert FLOORS[BATCH_TO_SINGLE] == Bound(1 / 3)
    others = set(FLOORS) - {"study_questions", FILTERED, FILTERED_TO_PLAIN, BATCH_TO_SINGLE}
    assert {FLOORS[name] for name in others} == {Bound(2.5, within_us=150.0)}


def test_the_table_shows_a_line_for_each_row() -> None:
    row = row_of(query(), TimedPairs((41_250,) * 9, (10_000,) * 9), Work(9, 2, 1_010, 1_045, 0, 1), ())
    absent = row_of(query("other", reason="empty"), TimedPairs((), ()), None, not_applicable(query("other"), "empty"))
    stage = Stage("03_floors", "Floors", 1.0, (), {"Floors": [row, absent]})
    assert tables_text(stage).splitlines() == [
        "name   p50 us  floor us  over us  ratio  statements  VM steps   most  full scans  sorts  verdict",
        "work     41.2      10.0     31.2   4.12           2     1,010  1,045           0      1",
        "other       -         -        -      -           -         -      -           -      -  not applicable",
    ]
