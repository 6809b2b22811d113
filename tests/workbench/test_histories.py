"""Folders of runs as they are found: whole, of elsewhere, broken, foreign; and a run held against an earlier one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ptp.engine import connect_file
from ptp.engine.environment import environment
from ptp.errors import UsageError
from ptp.evidence import Run, Stage, write_run, write_stage
from ptp.results import Measurement, exit_code, worst
from ptp.workbench.against_runs import check_comparable, compare_runs
from ptp.workbench.histories import (
    CONDITIONS,
    HISTORY,
    TREND,
    conditions,
    history_of,
    history_part,
    is_run,
)
from ptp.workbench.migrating import plan_of
from ptp.workbench.progress import quiet
from ptp.workload.demo import write_demo

DATA = {"profile": "quick", "seed": "1", "rows": "1,000", "arguments": "abc"}
MACHINE = dict(environment())


def stage(vm_steps: int = 500, p95: float = 1.0, machine: dict[str, str] | None = None, **more: Any) -> Stage:
    """What a benchmark leaves, as far as is looked at here."""
    counters = {"query": "rank", "statements": 1, "vm_steps": vm_steps, "vm_steps_most": vm_steps, "sorts": 0}
    plan = "SEARCH a USING INDEX i (x=?)" if vm_steps <= 500 else "SCAN a"
    tables = {
        CONDITIONS: [{**DATA, **more}],
        "Latency": [{"name": "rank", "n": 300, "p50_ms": 0.5, "p95_ms": p95, "p95_low_ms": 0.9, "p95_high_ms": 1.1}],
        "Counters": [{**counters, "billed_read": vm_steps / 10, "billed": "counted"}],
        "Plans": [{"query": "rank", "statement": "SELECT 1", "plan": plan, "hash": "x"}],
    }
    return Stage("03_benchmark", "Benchmark", 1.0, (Measurement("rank", "ms", (1.0,), machine or MACHINE),), tables)


def run(folder: Path, measured: Stage, *, started: str = "2026-11-24T00:00:00+00:00") -> Path:
    folder.mkdir(parents=True)
    write_run(folder, Run(folder.name, "old.db", "new.db", "quick", "dev", started, 1.0, {"ptp": "0.0.9"}))
    write_stage(folder, measured)
    return folder


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from ptp.migration.build import build

    folder = tmp_path_factory.mktemp("data")
    source, path = folder / "old.db", folder / "new.db"
    write_demo(shape="drizzle", size="tiny", seed=1, out=source)
    build(plan_of(source), source=source, target=path, run="r", now=0, progress=quiet)
    return path


def test_rule_17_a_changed_cpu_model_in_the_baseline_is_refused_by_name(tmp_path: Path) -> None:
    baseline = run(tmp_path / "a", stage())
    written = baseline / "results" / "03_benchmark.json"
    document = json.loads(written.read_text())
    document["results"][0]["environment"]["cpu"] = "Another CPU @ 9 GHz"
    written.write_text(json.dumps(document))

    with pytest.raises(UsageError, match="another machine.*cpu was Another CPU @ 9 GHz and is ") as problem:
        compare_runs(stage(), baseline)
    assert "ptp bench --against REF" in str(problem.value)


@pytest.mark.parametrize("name", ["cores", "os", "python", "sqlite"])
def test_rule_17_so_is_any_other_field_of_the_machine(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=f"another machine, so nothing is compared: {name} was 9 and is "):
        compare_runs(stage(), run(tmp_path / "a", stage(machine={**MACHINE, name: "9"})))


def test_more_work_than_in_an_earlier_run_fails_exactly_with_the_plan_that_changed(tmp_path: Path) -> None:
    found = compare_runs(stage(vm_steps=501), run(tmp_path / "a", stage(vm_steps=500)))
    assert exit_code(worst(found.findings)) == 1
    (gate,) = (f for f in found.findings if f.severity == "gate")
    assert (gate.id, gate.value, gate.limit) == ("against.rank.counters", 501, 500)
    assert gate.where[0].startswith("VM steps: 500 before, 501 after; ")
    assert gate.where[0].endswith("billed rows read: 50.0 before, 50.1 after, a call")
    assert gate.where[1:] == ("- SEARCH a USING INDEX i (x=?)", "+ SCAN a")


def test_times_of_another_job_are_never_compared_and_the_way_on_is_named(tmp_path: Path) -> None:
    found = compare_runs(stage(p95=900.0), run(tmp_path / "a", stage(p95=1.0)))
    assert worst(found.findings) == "pass"
    (note,) = (f for f in found.findings if f.id == "against.time")
    assert (note.verdict, note.severity) == ("not applicable", "note")
    assert "26 %" in note.evidence and "ptp bench --against REF" in note.evidence


def test_another_version_of_ptp_is_told_and_not_refused(tmp_path: Path) -> None:
    found = compare_runs(stage(), run(tmp_path / "a", stage()))
    assert any("ptp 0.0.9 then" in f.evidence for f in found.findings)


@pytest.mark.parametrize("name", ["profile", "seed", "rows", "arguments"])
def test_counters_of_other_data_are_not_comparable(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=f"other data.*: {name} was 7 and is "):
        compare_runs(stage(), run(tmp_path / "a", stage(**{name: "7"})))


def test_a_run_without_counters_or_without_its_machine_is_refused(tmp_path: Path) -> None:
    bare = stage()
    without = replace(bare, tables={k: v for k, v in bare.tables.items() if k != "Counters"})
    with pytest.raises(UsageError, match="holds no counters"):
        compare_runs(bare, run(tmp_path / "a", without))
    with pytest.raises(UsageError, match="does not say on what data|no measurement in it says"):
        compare_runs(bare, run(tmp_path / "b", replace(bare, results=())))
    with pytest.raises(UsageError, match="not a run folder"):
        compare_runs(bare, tmp_path)


def test_conditions_follow_the_seed_and_the_content(target: Path, tmp_path: Path) -> None:
    with connect_file(target) as db:
        assert db.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
    there = set(target.parent.iterdir())
    first = conditions(target, profile="quick", seed=1)
    assert set(target.parent.iterdir()) == there
    assert conditions(target, profile="quick", seed=1) == first
    assert conditions(target, profile="quick", seed=2)["arguments"] != first["arguments"]
    assert int(first["rows"].replace(",", "")) > 2_000
    earlier = run(tmp_path / "a", stage(**first))
    check_comparable(earlier, target, profile="quick", seed=1)
    with pytest.raises(UsageError, match="seed was 1 and is 2; arguments was "):
        check_comparable(earlier, target, profile="quick", seed=2)


def test_a_history_of_runs_skips_and_names_what_is_none(tmp_path: Path) -> None:
    for day in range(1, 5):
        steps = 500 if day < 3 else 600
        run(tmp_path / f"r{day}", stage(vm_steps=steps), started=f"2026-11-0{day}T00:00:00+00:00")
    run(tmp_path / "elsewhere", stage(machine={**MACHINE, "cpu": "B"}), started="2026-11-01T09:00:00+00:00")
    run(tmp_path / "no queries", Stage("01_migrate", "Migration", 1.0))
    (tmp_path / "foreign").mkdir()
    broken = run(tmp_path / "broken", stage())
    (broken / "run.json").write_text('{"version": 1')
    odd = run(tmp_path / "odd", stage())
    (odd / "run.json").write_text('{"version": 1, "what": "else"}')
    newer = run(tmp_path / "newer", stage())
    (newer / "results" / "03_benchmark.json").write_text('{"version": 99}')
    (tmp_path / "latest").symlink_to("r4")
    (tmp_path / "a file").touch()

    found = history_of(tmp_path)

    points = found.points["rank"]
    assert [(p.run, p.values["vm_steps"], p.changed) for p in points] == [
        ("r1", 500, ()),
        ("r2", 500, ()),
        ("r3", 600, ("vm_steps", "vm_steps_most", "billed_read")),
        ("r4", 600, ()),
    ]
    named = {text.partition(":")[0]: text for text in found.skipped}
    assert set(named) == {"elsewhere", "no queries", "foreign", "broken", "odd", "newer"}
    assert "cpu was B" in named["elsewhere"]
    assert "run.json" in named["foreign"] and "cannot be read" in named["broken"]
    assert "not as ptp writes them" in named["odd"] and "version 99" in named["newer"]

    part = history_part(found)
    assert part.tables[HISTORY][0]["last_change"] == "r3: vm_steps, vm_steps_most, billed_read"
    assert [row["change_point"] for row in part.tables[TREND]] == [
        None,
        None,
        "vm_steps, vm_steps_most, billed_read",
        None,
    ]
    assert part.findings[0].where == found.skipped


def test_a_folder_without_runs_or_that_is_not_there_has_no_history(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        assert history_of(folder).points == {}
    assert history_part(history_of(tmp_path)).findings[0].verdict == "not applicable"
    assert not is_run(tmp_path)
