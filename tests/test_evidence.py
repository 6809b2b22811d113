"""A run folder is read as it was written, and one without a verdict is never a pass."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ptp.errors import UsageError
from ptp.evidence import GATE_FIELDS, Evidence, Run, Stage, read_evidence, write_run, write_stage, write_verdict
from ptp.results import Estimate, Finding, Measurement

RUN = Run(
    id="r1", source="s.db", target="t.db", profile="quick", env="dev", started="2026-01-01T00:00:00Z", seconds=1.5,
    versions={"sqlite": "3"}, facts={"rows": "12"},
)  # fmt: skip
GATE = Finding("bench.a", "a is fast", "pass", value=1.25, unit="ms", limit=50.0, low=1.0, high=1.5, n=300)
NOTE = Finding("note", "seen", "fail", severity="note")
STAGE = Stage(
    name="benchmark",
    title="Benchmark",
    seconds=0.1 + 0.2,
    results=(Measurement("a", "ms", (0.1, 0.3)), Estimate("b", "ms", 2.0, 1.0, 3.0, "line"), GATE, NOTE),
    tables={"latency": [{"name": "a", "p95_ms": 1.25, "n": 300}]},
)


def test_a_stage_and_its_run_come_back_as_they_were_written(tmp_path: Path) -> None:
    other = Stage("verify", "Verify", 0.0)
    write_run(tmp_path, RUN)
    write_stage(tmp_path, other)
    write_stage(tmp_path, STAGE)
    evidence = Evidence(RUN, (STAGE, other), "pass", reason="all gates passed", missing=("x",))
    write_verdict(tmp_path, evidence)
    assert read_evidence(tmp_path) == evidence


def test_a_stage_sorts_its_results_by_type() -> None:
    assert [len(found) for found in (STAGE.measurements, STAGE.estimates, STAGE.findings)] == [1, 1, 2]


def test_a_run_without_verdict_has_none(tmp_path: Path) -> None:
    write_run(tmp_path, RUN)
    write_stage(tmp_path, STAGE)
    assert read_evidence(tmp_path).verdict is None


def test_the_verdict_file_holds_every_gate_and_no_note(tmp_path: Path) -> None:
    write_verdict(tmp_path, Evidence(RUN, (STAGE,), "pass"))
    document = json.loads((tmp_path / "verdict.json").read_text(encoding="utf-8"))
    assert [tuple(gate) for gate in document["gates"]] == [GATE_FIELDS]
    assert document["gates"][0] == {name: getattr(GATE, name) for name in GATE_FIELDS}
    assert (document["version"], document["verdict"]) == (1, "pass")
    assert document["run"]["id"] == "r1"


def test_every_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_run(tmp_path, RUN)
    write_stage(tmp_path, STAGE)
    broken = replace(STAGE, seconds=float("nan"))
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_stage(tmp_path, broken)
    assert read_evidence(tmp_path).stages == (STAGE,)
    assert sorted(p.name for p in tmp_path.rglob("*.json*")) == ["benchmark.json", "run.json"]


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a run folder"):
        read_evidence(tmp_path)


@pytest.mark.parametrize("content", ["", "{", '{"version": 2}', "{}"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=r"run\.json"):
        read_evidence(tmp_path)
