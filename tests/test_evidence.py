"""A run folder is read as it was written, and one without a verdict is never a pass."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ptp.errors import UsageError
from ptp.evidence import (
    FEW,
    GATE_FIELDS,
    Evidence,
    Run,
    Stage,
    read_evidence,
    read_stage,
    write_run,
    write_stage,
    write_verdict,
)
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
NANOSECONDS = tuple(range(1_000_003, 9_000_000, 7_919))
LONG = Measurement("a/b ü", "ms", tuple(ns / 1e6 for ns in NANOSECONDS), {"cpu": "x"})
SHARES = Measurement("share", "1", tuple(n / 7 for n in range(100)))
SAMPLED = replace(STAGE, results=(LONG, *STAGE.results, SHARES))


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


def written(folder: Path, stage: Stage = SAMPLED) -> Path:
    write_stage(folder, stage)
    return folder / "results" / "benchmark.json"


def test_raw_samples_stand_in_a_columnar_file_beside_the_json(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert read_stage(path) == SAMPLED
    document = json.loads(path.read_text(encoding="utf-8"))
    long, few, *_, shares = document["results"]
    assert (long["samples_file"], long["n"], "samples" in long) == ("benchmark.npz", len(NANOSECONDS), False)
    assert few["samples"] == [0.1, 0.3]
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as columns:  # numpy itself is the witness
        assert set(columns.files) == {long["key"], shares["key"]}
        assert (columns[long["key"]].dtype, columns[long["key"]].tolist()) == (np.int64, list(NANOSECONDS))
        assert (columns[shares["key"]].dtype, columns[shares["key"]].tolist()) == (np.float64, list(SHARES.samples))
    assert path.stat().st_size < 3_000


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60).map(lambda n: n / 1e6),
             min_size=FEW + 1, max_size=FEW + 4),
    st.sampled_from(["ms", "us"]),
)  # fmt: skip
@example([-0.0] * (FEW + 1), "ms")
def test_every_sample_comes_back_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, samples: list[float], unit: str
) -> None:
    path = written(tmp_path_factory.mktemp("run"), Stage("benchmark", "B", 0.0, (Measurement("a", unit, (*samples,)),)))
    (found,) = read_stage(path).measurements
    assert [value.hex() for value in found.samples] == [value.hex() for value in samples]


def test_samples_of_one_name_and_of_names_alike_do_not_meet(tmp_path: Path) -> None:
    several = tuple(Measurement(what, "ms", (float(n),) * 50) for n, what in enumerate(("a b", "a/b", "a b", "x" * 99)))
    stage = Stage("benchmark", "B", 0.0, several)
    assert read_stage(written(tmp_path, stage)) == stage


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one = written(tmp_path / "one")
    # Another process, another day: a date or an order that the process has chosen would show.
    code = (
        "import importlib.util as u, sys, time; from pathlib import Path; time.time = lambda: 2e9; "
        f"s = u.spec_from_file_location('t', {__file__!r}); m = u.module_from_spec(s); s.loader.exec_module(m); "
        "m.write_stage(Path(sys.argv[1]), m.SAMPLED)"
    )
    subprocess.run(
        [sys.executable, "-c", code, tmp_path / "two"], check=True, env={**os.environ, "PYTHONHASHSEED": "7"}
    )
    two = tmp_path / "two" / "results" / "benchmark.json"
    assert one.read_bytes() == two.read_bytes()
    assert one.with_suffix(".npz").read_bytes() == two.with_suffix(".npz").read_bytes()
    with zipfile.ZipFile(two.with_suffix(".npz")) as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_document_with_its_samples_inside_is_still_read(tmp_path: Path) -> None:
    path = written(tmp_path)
    document = json.loads(path.read_text(encoding="utf-8"))
    for result, samples in ((document["results"][0], LONG.samples), (document["results"][-1], SHARES.samples)):
        for key in ("samples_file", "key", "n"):
            del result[key]
        result["samples"] = list(samples)
    del document["samples_sha256"]
    path.write_text(json.dumps(document), encoding="utf-8")
    path.with_suffix(".npz").unlink()
    assert read_stage(path) == SAMPLED


@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "a byte", "of another run", "a folder"])
def test_samples_that_are_not_those_written_are_told_in_one_sentence(tmp_path: Path, damage: str) -> None:
    path = written(tmp_path)
    file = path.with_suffix(".npz")
    whole = file.read_bytes()
    if damage == "of another run":
        (tmp_path / "other").mkdir()
        changed = replace(LONG, samples=LONG.samples[::-1])
        file.write_bytes(written(tmp_path / "other", replace(SAMPLED, results=(changed, *SAMPLED.results[1:])))
                         .with_suffix(".npz").read_bytes())  # fmt: skip
    elif damage in ("missing", "a folder"):
        file.unlink()
        if damage == "a folder":
            file.mkdir()
    else:
        middle = len(whole) // 2
        changed_byte = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        file.write_bytes({"truncated": whole[:-100], "empty": b"", "a byte": changed_byte}[damage])
    with pytest.raises(UsageError, match=r"benchmark\.npz.*Copy the two together"):
        read_stage(path)


@pytest.mark.parametrize(("field", "value"), [
    ("key", "000_other"), ("n", 5), ("samples_file", "../results/benchmark.npz"), ("samples_file", "verify.npz"),
])  # fmt: skip
def test_a_document_that_does_not_fit_its_samples_is_told(tmp_path: Path, field: str, value: object) -> None:
    path = written(tmp_path)
    document = json.loads(path.read_text(encoding="utf-8"))
    document["results"][0][field] = value
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(UsageError, match=r"benchmark\.npz"):
        read_stage(path)


def test_a_stage_that_cannot_be_written_leaves_both_files_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path)
    for sample in (float("nan"), float("inf")):
        broken = Measurement("a", "ms", (sample,) * 99)
        with pytest.raises(ValueError, match="not JSON compliant"):
            write_stage(tmp_path, replace(SAMPLED, results=(broken,)))
    asked: list[int] = []

    def full(file: int) -> None:
        asked.append(file)
        if len(asked) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_stage(tmp_path, replace(SAMPLED, results=(SHARES,)))
    assert read_stage(path) == SAMPLED
    assert sorted(p.name for p in path.parent.iterdir()) == ["benchmark.json", "benchmark.npz"]


def test_a_stage_without_samples_leaves_no_file_of_an_earlier_one(tmp_path: Path) -> None:
    written(tmp_path)
    path = written(tmp_path, STAGE)
    assert ([p.name for p in path.parent.iterdir()], read_stage(path)) == (["benchmark.json"], STAGE)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a run folder"):
        read_evidence(tmp_path)


@pytest.mark.parametrize("content", ["", "{", '{"version": 2}', "{}"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=r"run\.json"):
        read_evidence(tmp_path)
