"""Domain rules: what the source breaks already is told and passes, what only the target breaks fails."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ptp.schema.rules import DOMAIN
from ptp.workbench.migrating import migrate
from ptp.workbench.verifying import verify
from ptp.workload.demo import write_demo

BREACHES = {
    "question-attempts": "UPDATE questions SET correct_attempts = total_attempts + 1 WHERE id = 7",
    "question-counts": "UPDATE questions SET avg_time_seconds = -1 WHERE id = 7",
    "question-exam": "UPDATE objectives SET exam_id = 2 WHERE id = (SELECT objective_id FROM questions WHERE id = 7)",
    "session-accuracy": "UPDATE study_sessions SET accuracy = 1.5 WHERE id = 7",
    "session-counts": "UPDATE study_sessions SET correct_answers = total_questions + 1 WHERE id = 8",
    "session-totals": "UPDATE study_sessions SET status = 'completed', total_questions = 9999 WHERE id = 7",
    "session-owner": "UPDATE user_answers SET user_id = 1 + user_id % 9 WHERE id = (SELECT min(id) FROM user_answers WHERE study_session_id IS NOT NULL)",
    "attempt-score": "UPDATE test_attempts SET score = -0.5 WHERE id = 7",
    "attempt-times": "UPDATE test_attempts SET started_at = {late}, completed_at = {early} WHERE id = 7",
    "answer-time": "UPDATE user_answers SET time_spent_seconds = -5 WHERE id = 7",
    "progress-accuracy": "UPDATE user_progress SET overall_accuracy = -0.1 WHERE id = 7",
    "progress-counts": "UPDATE user_progress SET total_correct = total_questions_seen + 1 WHERE id = 7",
    "ai-costs": "UPDATE ai_generation_log SET cost_cents = -1 WHERE id = 7",
    "growth": "UPDATE growth_metrics SET new_followers = -1 WHERE id = 7",
}
NEEDS = "INSERT OR IGNORE INTO exams (id, vendor_id, code, name) VALUES (2, 'v', 'second', 'second')"


def of_name(rule: str) -> str:
    return rule.removeprefix("verify.domain.")


def breach(path: Path, name: str, shape: str) -> None:
    times = {"late": "'2025-06-01 10:00:00'", "early": "'2025-05-01 10:00:00'"} if shape == "raw" else {
        "late": "1748772000", "early": "1746093600"}  # fmt: skip
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(NEEDS)
        assert db.execute(BREACHES[name].format(**times)).rowcount == 1


def test_every_rule_has_a_breach_here() -> None:
    assert {of_name(rule.id) for rule in DOMAIN} == set(BREACHES)


@pytest.mark.parametrize("name", BREACHES)
def test_a_breach_that_only_the_target_has_fails_with_its_place(drizzle: Any, name: str) -> None:
    breach(drizzle.target, name, "head")
    finding = drizzle.findings()[f"verify.domain.{name}"]
    assert (finding.verdict, finding.known) == ("fail", False)
    assert "key " in finding.where[0]


@pytest.mark.parametrize("shape", ["raw", "drizzle"])
def test_breaches_that_the_source_has_are_known_and_pass(tmp_path: Path, shape: Any) -> None:
    source, target = tmp_path / "source.db", tmp_path / "target.db"
    write_demo(shape=shape, size="tiny", seed=8, out=source)
    names = [n for n in BREACHES if shape == "drizzle" or n not in ("ai-costs", "growth")]
    for name in names:
        breach(source, name, shape)
    migrate(source, target, tmp_path, run="t")
    findings = {of_name(f.id): f for f in verify(source, target).findings if f.id.startswith("verify.domain.")}
    assert {n: findings[n].verdict for n in names} == dict.fromkeys(names, "pass")
    assert [n for n in names if not findings[n].known] == []


def test_a_breach_by_a_value_in_quarantine_is_known(tmp_path: Path) -> None:
    source, target = tmp_path / "source.db", tmp_path / "target.db"
    write_demo(shape="raw", size="tiny", seed=8, out=source)
    with closing(sqlite3.connect(source, isolation_level=None)) as db:
        db.execute("UPDATE questions SET total_attempts = 'many', correct_attempts = 5 WHERE id = 3")
        db.execute(
            "UPDATE study_sessions SET status = 'completed' WHERE id IN (SELECT study_session_id FROM user_answers)"
        )
        db.execute("UPDATE user_answers SET question_id = 999999 WHERE id % 50 = 0")  # orphans
    migrate(source, target, tmp_path, run="t", on_dirty="quarantine")
    stage = verify(source, target)
    assert {f.id: f.where for f in stage.findings if f.verdict not in ("pass", "not applicable")} == {}


def test_a_breach_that_only_shows_once_times_are_converted_was_there_before(tmp_path: Path) -> None:
    """A number is less than any text to SQLite, so the source's own values do not show that the order is wrong."""
    source, target, out = tmp_path / "source.db", tmp_path / "target.db", tmp_path / "out"
    out.mkdir()
    write_demo(shape="raw", size="tiny", seed=5, out=source)
    with closing(sqlite3.connect(source)) as db:
        db.execute(
            "UPDATE test_attempts SET started_at = 1740823200, completed_at = '2025-03-01T09:00:00Z' WHERE id = 1"
        )
        db.commit()
    migrate(source, target, out, run="t")
    found = {f.id: f for f in verify(source, target).findings}["verify.domain.attempt-times"]
    assert (found.verdict, found.known) == ("pass", True)
