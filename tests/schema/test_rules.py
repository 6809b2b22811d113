"""What `ptp verify` counts anew: each rule passes on a fresh target, and names what was tampered with."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ptp.migration.build import build
from ptp.results import Finding
from ptp.schema.rules import DERIVED, SEARCH_TABLE
from ptp.verification.rules import check_full_text, check_rules
from ptp.workbench.migrating import plan_of
from ptp.workload.demo import write_demo


@pytest.fixture(scope="session")
def _fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("rules")
    write_demo(shape="drizzle", size="tiny", seed=3, out=place / "source.db")
    plan = plan_of(place / "source.db")
    build(plan, source=place / "source.db", target=place / "head.db", run="t", now=0, progress=lambda *_: None)
    return place / "head.db"


@pytest.fixture
def target(_fresh: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(_fresh, tmp_path / "head.db"))


def tamper(target: Path, sql: str) -> None:
    """Change rows behind the back of the triggers."""
    with closing(sqlite3.connect(target, isolation_level=None)) as db:
        triggers = db.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            db.execute(f"DROP TRIGGER {name}")
        assert db.execute(sql).rowcount > 0, sql
        for _, text in triggers:
            db.execute(text)


def failing(target: Path) -> dict[str, Finding]:
    with closing(sqlite3.connect(f"file:{target}?mode=ro", uri=True)) as db:
        findings = [*check_rules(db, DERIVED), check_full_text(db, SEARCH_TABLE, name="search")]
    return {f.id.removeprefix("verify.derived."): f for f in findings if f.verdict != "pass"}


def test_a_fresh_target_keeps_every_rule(target: Path) -> None:
    assert failing(target) == {}


TAMPERED = [
    ("question-pool", "UPDATE questions SET is_active = 0 WHERE id = (SELECT question_id FROM question_pool LIMIT 1)"),
    ("question-pool", "UPDATE questions SET is_active = NULL WHERE id = (SELECT question_id FROM question_pool LIMIT 1)"),
    ("question-pool", "UPDATE questions SET review_status = 'approved', is_active = 1 WHERE id NOT IN (SELECT question_id FROM question_pool)"),
    ("question-pool", "UPDATE questions SET difficulty = NULL WHERE id = (SELECT question_id FROM question_pool LIMIT 1)"),
    ("question-pool", "DELETE FROM questions WHERE id = (SELECT question_id FROM question_pool LIMIT 1)"),
    ("question-pool", "DELETE FROM question_pool WHERE slot = (SELECT min(slot) FROM question_pool)"),
    ("question-pool", "UPDATE question_pool SET slot = slot + 100000 WHERE slot = (SELECT min(slot) FROM question_pool)"),
    ("question-pool", "UPDATE question_cells SET size = size + 1 WHERE id = 1"),
    ("question-pool", "INSERT INTO question_cells VALUES (99999, 1, 1, 1, 0) ON CONFLICT DO UPDATE SET size = 0"),
    ("leaderboard", "UPDATE user_progress SET total_questions_seen = 0 WHERE id = (SELECT id FROM user_progress WHERE total_questions_seen > 50)"),
    ("leaderboard", "UPDATE user_progress SET readiness_score = iif(readiness_score < 0.5, 0.9, 0.1) WHERE id = (SELECT id FROM user_progress WHERE total_questions_seen > 50)"),
    ("leaderboard", "DELETE FROM leaderboard_nodes WHERE node = (SELECT max(node) FROM leaderboard_nodes)"),
    ("leaderboard", "DELETE FROM leaderboard_nodes"),
    ("leaderboard", "UPDATE leaderboard_nodes SET users = users + 1 WHERE node = (SELECT max(node) FROM leaderboard_nodes)"),
    ("ai-costs", "UPDATE ai_generation_log SET cost_cents = coalesce(cost_cents, 0) + 0.001 WHERE id = 1"),
    ("ai-costs", "UPDATE ai_generation_log SET success = 1 - coalesce(success, 0) WHERE id = 1"),
    ("ai-costs", "DELETE FROM ai_generation_log WHERE id = 1"),
    ("ai-costs", "DELETE FROM ai_cost_days WHERE day = (SELECT max(day) FROM ai_cost_days)"),
    ("ai-costs", "INSERT INTO ai_cost_days VALUES (1, 'p', 'm', 1, 0, 0, 0, 0)"),
    ("times", "UPDATE questions SET total_time_seconds = (avg_time_seconds + 1) * total_attempts WHERE total_attempts > 5"),
    ("times", "UPDATE questions SET total_time_seconds = 5, avg_time_seconds = NULL"),
    ("search", "UPDATE questions SET text = 'something else altogether' WHERE id = 5"),
    ("search", "UPDATE questions SET explanation = NULL WHERE id = (SELECT id FROM questions WHERE explanation <> '')"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "sql"), TAMPERED)
def test_what_was_changed_behind_the_triggers_is_found(target: Path, rule: str, sql: str) -> None:
    tamper(target, sql)
    finding = failing(target)[rule]
    assert (finding.verdict, finding.severity) == ("fail", "data")
    assert finding.where


def test_a_mean_that_is_rounded_is_right(target: Path) -> None:
    tamper(target, "UPDATE questions SET total_attempts = 2, total_time_seconds = 21, avg_time_seconds = 11")
    assert failing(target) == {}
    tamper(target, "UPDATE questions SET avg_time_seconds = 12 WHERE id = 1")
    assert list(failing(target)) == ["times"]


def test_a_table_that_is_gone_is_a_breach(target: Path) -> None:
    with closing(sqlite3.connect(target, isolation_level=None)) as db:
        for name in ("ai_cost_days_insert", "ai_cost_days_update", "ai_cost_days_delete"):
            db.execute(f"DROP TRIGGER {name}")
        db.execute("DROP TABLE ai_cost_days")
        db.execute("DROP TABLE question_search")
    found = failing(target)
    assert found["ai-costs"].where == ("no such table: ai_cost_days",)
    assert "no such table: question_search" in found["search"].where[0]


def test_the_check_of_the_full_text_index_writes_nothing(target: Path) -> None:
    with closing(sqlite3.connect(target)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = target.read_bytes()
    failing(target)
    assert target.read_bytes() == before
    wal = target.with_name("head.db-wal")
    assert not wal.exists() or wal.stat().st_size == 0


def test_where_the_file_cannot_be_written_the_full_text_index_is_not_judged(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write anything, so the mode alone does not tell
    assert failing(target)["search"].verdict == "inconclusive"


def test_an_index_that_was_left_out_is_not_applicable(target: Path) -> None:
    with closing(sqlite3.connect(target)) as db:
        finding = check_full_text(db, SEARCH_TABLE, name="search", left_out="this SQLite has no fts5")
    assert (finding.verdict, finding.evidence) == ("not applicable", "this SQLite has no fts5")
