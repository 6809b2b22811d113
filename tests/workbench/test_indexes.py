"""Indexes beside the workload: a fresh target has what it needs and no more; what was changed by hand is found."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ptp import cli
from ptp.errors import UsageError
from ptp.migration.build import build
from ptp.results import Finding
from ptp.schema import Base
from ptp.workbench.health import examine
from ptp.workbench.indexing import REASONS, inspect_indexes
from ptp.workbench.migrating import plan_of
from ptp.workbench.optimizing import optimize
from ptp.workload.demo import write_demo


@pytest.fixture(scope="session")
def _fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("indexes")
    write_demo(shape="drizzle", size="tiny", seed=3, out=place / "source.db")
    with closing(sqlite3.connect(place / "source.db", isolation_level=None)) as db:
        # More than a page of each table that a query could go over as a whole.
        db.execute(
            "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600) INSERT INTO study_sessions (user_id, exam_id) SELECT 1 + i % 9, 1 FROM n"
        )
    plan = plan_of(place / "source.db")
    build(plan, source=place / "source.db", target=place / "head.db", run="t", now=0, progress=lambda *_: None)
    return place / "head.db"


@pytest.fixture
def target(_fresh: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(_fresh, tmp_path / "head.db"))


def run_sql(target: Path, *statements: str) -> None:
    with closing(sqlite3.connect(target, isolation_level=None)) as db:
        for sql in statements:
            db.execute(sql)


def failing(target: Path) -> dict[str, Finding]:
    with closing(sqlite3.connect(target)) as db:
        return {f.id: f for f in inspect_indexes(db).findings if f.verdict != "pass"}


def test_a_fresh_target_has_no_index_too_few_or_too_many(target: Path) -> None:
    assert failing(target) == {}


def test_head_has_31_indexes_with_a_reason_beside_its_unique_keys(target: Path) -> None:
    with closing(sqlite3.connect(target)) as db:
        rows = inspect_indexes(db).rows
        tables = ", ".join(f"'{name}'" for name in Base.metadata.tables)
        named = db.execute(
            f"SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN ({tables})"
        ).fetchall()
    assert {name for (name,) in named} == set(REASONS)
    assert len(REASONS) == 31
    assert all(row["reason"] and row["bytes"] for row in rows)
    assert {row["index"] for row in rows} >= set(REASONS)


@pytest.mark.parametrize("index", sorted(REASONS))
def test_an_index_dropped_by_hand_is_found(target: Path, index: str) -> None:
    run_sql(target, f"DROP INDEX {index}")
    assert any(f"it is {index} of" in place for place in failing(target)["indexes.missing"].where)


@pytest.mark.parametrize("index", sorted(REASONS))
def test_an_index_added_twice_is_found(target: Path, index: str) -> None:
    with closing(sqlite3.connect(target)) as db:
        (sql,) = db.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (index,)).fetchone()
    run_sql(target, sql.replace(f"INDEX {index}", "INDEX second"))
    (place,) = failing(target)["indexes.redundant"].where
    assert index in place and "second" in place


def test_an_index_that_nothing_reads_is_found(target: Path) -> None:
    run_sql(target, "CREATE INDEX idle ON questions (avg_time_seconds)")
    assert list(failing(target)) == ["indexes.unused"]


@pytest.mark.parametrize(("index", "case"), [
    ("idx_answers_session", "session_progress"),
    ("idx_answers_user_time", "current_streak"),
    ("idx_questions_weak", "study_questions_weak_areas"),
    ("idx_questions_hardest", "question_analytics"),
])  # fmt: skip
def test_a_query_that_lost_its_index_goes_over_more_than_it_should(target: Path, index: str, case: str) -> None:
    run_sql(target, f"DROP INDEX {index}", "ANALYZE")
    found = failing(target)
    places = found["indexes.scans"].where if "indexes.scans" in found else ()
    with closing(sqlite3.connect(target)) as db:
        reads = {r.case: r.reads for r in inspect_indexes(db).readings}
    assert any(place.startswith(case) for place in places) or index not in reads[case]


def test_optimize_creates_what_is_missing_and_advises_to_drop_the_rest(target: Path) -> None:
    run_sql(target, "DROP INDEX idx_answers_session", "CREATE INDEX twin ON user_answers (user_id, answered_at)")
    before = target.read_bytes()
    planned = optimize(target, dry_run=True)
    assert target.read_bytes() == before
    rows = {row["index"]: row for row in planned.tables["Advice"]}
    assert rows["idx_answers_session"]["statement"].startswith(
        "CREATE INDEX idx_answers_session ON user_answers (study"
    )
    assert rows["twin"]["statement"] == 'DROP INDEX "twin"'
    gain = rows["idx_answers_session"]["gain"]
    steps = [int(word.replace(",", "")) for word in gain.split("session_progress ")[1].split(" VM")[0].split(" to ")]
    assert steps[1] * 5 < steps[0], gain
    done = optimize(target)
    assert {f.id: f.verdict for f in done.findings} == {
        "optimize.advice": "pass",
        "indexes.missing": "pass",
        "indexes.scans": "pass",
        "indexes.redundant": "fail",
        "indexes.unused": "pass",
    }
    again = optimize(target)
    assert [row["index"] for row in again.tables["Advice"]] == ["twin"]


def test_optimize_leaves_a_good_target_with_statistics(target: Path) -> None:
    run_sql(target, "DROP TABLE sqlite_stat1")
    assert health(target)["statistics"].verdict == "fail"
    assert {f.verdict for f in optimize(target).findings} == {"pass"}
    assert {f.id: f.where for f in examine(target).findings if f.verdict != "pass"} == {}


def test_an_index_of_another_definition_under_a_name_of_head_is_made_anew(target: Path) -> None:
    run_sql(target, "DROP INDEX idx_questions_exam", "CREATE INDEX idx_questions_exam ON questions (difficulty)")
    assert optimize(target).tables["Advice"][0]["statement"].startswith('DROP INDEX "idx_questions_exam"; CREATE INDEX')
    assert failing(target) == {}


def test_an_index_that_queries_are_cheaper_with_is_not_advised_away(target: Path) -> None:
    run_sql(target, "CREATE INDEX wide ON user_answers (user_id, answered_at, question_id, is_correct)", "ANALYZE")
    rows = optimize(target, dry_run=True).tables.get("Advice", [])
    assert [row for row in rows if row["index"] == "wide" and not str(row["done"]).startswith("better not")] == []


def test_what_ptp_did_not_build_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    run_sql(other, "CREATE TABLE t (a)")
    with pytest.raises(UsageError, match="was not built by ptp"):
        optimize(other)


def health(target: Path) -> dict[str, Finding]:
    return {f.id.removeprefix("health."): f for f in examine(target).findings}


def test_a_fresh_target_is_healthy_and_its_slowest_queries_are_named(target: Path) -> None:
    before = target.read_bytes()
    found = health(target)
    assert {f.verdict for f in found.values()} == {"pass"}
    assert sum(name.startswith("query.") for name in found) == 3
    assert target.read_bytes() == before


@pytest.mark.parametrize(("harm", "name", "todo"), [
    ("DROP TRIGGER question_pool_update", "drift", "build the database anew"),
    ("DROP INDEX idx_questions_weak", "drift", "ptp optimize creates it anew"),
    ("UPDATE ptp_journal SET checksum = 'x' WHERE id = 2", "head", "restore the files"),
    ("DELETE FROM ptp_journal WHERE name = '0005_question_search'", "head", "ptp step takes them up"),
    ("DELETE FROM user_answers; DELETE FROM audit_log; DELETE FROM questions", "free-pages", "VACUUM"),
    ("PRAGMA journal_mode = DELETE", "log", "PRAGMA journal_mode = WAL"),
])  # fmt: skip
def test_what_is_not_right_comes_with_what_to_do(target: Path, harm: str, name: str, todo: str) -> None:
    run_sql(target, *harm.split("; "))
    finding = health(target)[name]
    assert finding.verdict == "fail"
    assert todo in finding.where[0]


def test_damaged_pages_are_found(target: Path) -> None:
    with closing(sqlite3.connect(target)) as db:
        page, size = db.execute(
            "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_schema WHERE name = 'idx_answers_user_time'"
        ).fetchone()
    with target.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * 200)
    assert health(target)["pages"].verdict == "fail"


def test_a_long_write_ahead_log_is_found(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ptp.workbench.health.WAL_LIMIT_MB", 0.01)
    with closing(sqlite3.connect(target, isolation_level=None)) as db:
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("UPDATE questions SET explanation = 'x'")
        assert "wal_checkpoint" in health(target)["log"].where[0]


@pytest.mark.parametrize("command", [["health"], ["optimize", "--dry-run"]])
def test_the_commands_print_json_and_name_the_next_step(
    target: Path, command: list[str], capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for more in ([], ["--json"]):
        monkeypatch.setattr(sys, "argv", ["ptp", *command, "--target", str(target), *more])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 0
        printed = capsys.readouterr().out
        assert json.loads(printed)["verdict"] == "pass" if more else "Next: ptp " in printed
