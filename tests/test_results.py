"""The three values go to JSON and back without loss; the verdict over them is in the declared order."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptp.errors import UsageError
from ptp.results import (
    Estimate,
    Finding,
    Measurement,
    Severity,
    Verdict,
    exit_code,
    from_json,
    missing,
    to_json,
    worst,
    write_json,
)

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.dictionaries(st.text(), st.text(), max_size=3)
VALUES = st.none() | NUMBERS | st.text()
MEASUREMENTS = st.builds(
    Measurement, what=st.text(), unit=st.text(), samples=st.lists(NUMBERS).map(tuple), environment=NAMES
)
ESTIMATES = st.builds(
    Estimate, what=st.text(), unit=st.text(), value=NUMBERS, low=NUMBERS, high=NUMBERS, model=st.text(),
    inputs=st.dictionaries(st.text(), NUMBERS | st.text(), max_size=3),
)  # fmt: skip
FINDINGS = st.builds(
    Finding, id=st.text(), claim=st.text(), verdict=st.sampled_from(get_args(Verdict)),
    severity=st.sampled_from(get_args(Severity)), value=VALUES, unit=st.text(), limit=VALUES,
    low=st.none() | NUMBERS, high=st.none() | NUMBERS, n=st.none() | st.integers(0, 10**9),
    where=st.lists(st.text(), max_size=3).map(tuple), known=st.booleans(), evidence=st.text(),
)  # fmt: skip


@given(result=MEASUREMENTS | ESTIMATES | FINDINGS)
def test_every_result_comes_back_from_json_as_it_went(result: Any) -> None:
    assert from_json(json.loads(json.dumps(to_json(result), allow_nan=False))) == result


@pytest.mark.parametrize("change", [{"version": 2}, {"version": None}, {"type": "rumour"}, {"colour": "red"}])
def test_an_unknown_type_version_or_field_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        from_json({**to_json(Measurement("time", "ms", (1.0,))), **change})


def finding(verdict: Any, *, name: str = "a", severity: Any = "gate") -> Finding:
    return Finding(name, "claim", verdict, severity)


@pytest.mark.parametrize(("verdicts", "expected"), [
    (["pass"], "pass"), (["pass", "not applicable"], "pass"), (["not applicable"], "pass"),
    (["pass", "inconclusive"], "inconclusive"), (["inconclusive", "fail", "pass"], "fail"),
    (["fail", "invalid"], "invalid"), (["inconclusive", "invalid"], "invalid"), ([], "invalid"),
])  # fmt: skip
def test_the_worst_gate_is_the_verdict(verdicts: list[str], expected: str) -> None:
    assert worst([finding(verdict) for verdict in verdicts]) == expected
    assert worst([finding(verdict) for verdict in reversed(verdicts)]) == expected


def test_lost_data_is_worse_than_an_invalid_harness() -> None:
    assert worst([finding("invalid"), finding("fail", severity="data")]) == "fail"
    assert worst([finding("fail", severity="data")], required=["absent"]) == "fail"


def test_a_required_gate_that_is_missing_makes_the_verdict_invalid() -> None:
    assert worst([finding("pass")], required=["a", "b"]) == "invalid"
    assert worst([finding("fail")], required=["b"]) == "invalid"
    assert missing([finding("pass")], required=["b", "a", "c"]) == ("b", "c")
    assert worst([finding("not applicable")], required=["a"]) == "pass"


def test_a_note_decides_nothing_and_is_no_gate() -> None:
    note = finding("fail", name="note", severity="note")
    assert worst([finding("pass"), note]) == "pass"
    assert worst([note]) == "invalid"
    assert worst([finding("pass"), note], required=["note"]) == "invalid"


@pytest.mark.parametrize(("verdict", "code"), [("pass", 0), ("fail", 1), ("inconclusive", 3), ("invalid", 4)])
def test_each_verdict_has_its_exit_code(verdict: Any, code: int) -> None:
    assert exit_code(verdict) == code


def test_results_are_frozen() -> None:
    with pytest.raises(AttributeError):
        finding("pass").verdict = "fail"  # type: ignore[misc]
    assert replace(finding("pass"), n=3).n == 3


def test_writing_replaces_the_whole_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"long": "x" * 10_000})
    write_json(path, {"é": 1})
    assert json.loads(path.read_text(encoding="utf-8")) == {"é": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("document", [{"value": float("nan")}, {"value": float("inf")}, {"value": object()}])
def test_what_is_no_json_leaves_the_old_file_whole(tmp_path: Path, document: Any) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"old": True})
    with pytest.raises((ValueError, TypeError)):
        write_json(path, document)
    assert json.loads(path.read_text(encoding="utf-8")) == {"old": True}
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_to_sync_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"old": True})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_json(path, {"new": True})
    assert json.loads(path.read_text(encoding="utf-8")) == {"old": True}
    assert list(tmp_path.iterdir()) == [path]
