"""The proof within a verification: what is said without one, and the record of the last full one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import ptp
from ptp.evidence import Stage
from ptp.results import Finding, worst
from ptp.workbench import proofs, proving
from ptp.workbench.gates import PROOF
from ptp.workbench.proofs import last_full, told_in_short, verify_and_prove
from ptp.workbench.trials import ALARMS, RATE


@pytest.fixture(autouse=True)
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PTP_REPORTS_DIR", str(tmp_path / "reports"))
    return tmp_path / "reports"


def proved(rate: float = 100.0, alarms: int = 0) -> Stage:
    findings = (
        Finding(RATE, "Seen", "pass" if rate == 100 else "fail", value=rate, unit="%", limit=100, n=5_000),
        Finding(ALARMS, "Sound", "fail" if alarms else "pass", value=alarms, unit="false alarms", limit=0, n=12),
    )
    return Stage("prove", "Proof", 1.0, findings)


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """What a command says that has just made a full proof."""
    monkeypatch.setattr(proving, "prove", lambda **given: proved() if given["places"] == 25 else None)
    return verify_and_prove(None, "full")


def test_without_a_record_it_says_how_to_make_one(reports: Path) -> None:
    finding = last_full()
    assert (finding.severity, finding.verdict, finding.value) == ("note", "not applicable", "none")
    assert finding.evidence == "no full proof on record: ptp verify --prove full makes one"
    assert not reports.exists()


def test_a_full_proof_leaves_a_record_that_the_next_one_speaks_of(full: Stage, reports: Path) -> None:
    record = json.loads((reports / "proof.json").read_text(encoding="utf-8"))
    assert (record["version"], record["ptp"], record["rate"], record["alarms"]) == (1, ptp.__version__, 100.0, 0)
    assert (record["tried"], record["sound"], record["places"]) == (5_000, 12, 25)
    for finding in (full.findings[-1], last_full()):
        assert finding.claim == f"The last full proof of the verifier, {record['date'][:10]}"
        assert (finding.verdict, finding.severity, finding.value, finding.n) == ("pass", "note", 100.0, 5_000)
        assert "0 false alarms over 12 sound targets" in finding.evidence
    assert told_in_short(full.findings) == (
        "saw 100 % of 5000 damages tried in this run, 0 false alarms in 12; "
        f"last full proof of the verifier, {record['date'][:10]}: 100 % of 5,000"
    )


def test_a_record_of_a_proof_that_failed_says_so_and_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proving, "prove", lambda **_: proved(99.5, 1))
    assert worst(verify_and_prove(None, "full").findings) == "fail"
    finding = last_full()
    assert (finding.verdict, finding.value, finding.severity) == ("fail", 99.5, "note")
    assert worst([finding, Finding("a", "a", "pass")]) == "pass"


def test_a_quick_proof_leaves_no_record(monkeypatch: pytest.MonkeyPatch, reports: Path) -> None:
    monkeypatch.setattr(proving, "prove", lambda **_: proved())
    verify_and_prove(None, "quick")
    assert not reports.exists()


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"ptp": "0.0.9"}, "is of ptp 0.0.9"),
        ({"catalogue": "0" * 64}, "was made with another catalogue of damage"),
        ({"verifier": "0" * 64}, "is of a verifier that was changed since"),
    ],
)
def test_a_record_of_something_else_is_none(full: Stage, reports: Path, changed: dict[str, str], why: str) -> None:
    path = reports / "proof.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**record, **changed}), encoding="utf-8")
    finding = last_full()
    assert (finding.verdict, finding.value) == ("not applicable", "none")
    assert f"of {record['date'][:10]}, {why}: ptp verify --prove full makes one" in finding.evidence


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("workload/mutations/rows.py", "another catalogue"),
        ("verification/exact.py", "changed since"),
        ("workbench/structure.py", "changed since"),
    ],
)
def test_code_that_was_changed_since_is_noticed(
    full: Stage, file: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "ptp"
    shutil.copytree(Path(ptp.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__", "_files"))
    monkeypatch.setattr(proofs, "_PACKAGE", copy)
    assert last_full().verdict == "pass"
    with (copy / file).open("a", encoding="utf-8") as code:
        code.write("# more\n")
    assert why in last_full().evidence


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"version": 2}', '{"version": 1, "date": 3}', '{"version": 1, "more": 1}', "null"]
)
def test_a_record_that_cannot_be_read_is_none(reports: Path, text: str) -> None:
    reports.mkdir()
    (reports / "proof.json").write_text(text, encoding="utf-8")
    assert last_full().evidence.startswith("no full proof on record")


def test_a_number_that_became_a_text_is_no_record(full: Stage, reports: Path) -> None:
    path = reports / "proof.json"
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**record, "rate": "100"}), encoding="utf-8")
    assert last_full().value == "none"


def test_what_is_switched_off_does_not_apply_and_says_why() -> None:
    gates = proofs.switched_off()
    assert tuple(g.id for g in gates) == PROOF
    assert {g.verdict for g in gates} == {"not applicable"}
    assert all(g.evidence.startswith("switched off by --prove none") for g in gates)
    assert worst(gates, required=PROOF) == "pass"
    assert told_in_short([*gates, last_full()]).startswith("not proved in this run (--prove none); no full proof")
    assert told_in_short([]) == ""
