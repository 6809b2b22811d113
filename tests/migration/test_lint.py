"""Lint: what a plan destroys, what depends on the data, what cannot be taken back; and nothing of a plan without it."""

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ptp.migration.lint import Risk, lint
from ptp.migration.steps import Step, load_steps
from ptp.resources import folder
from ptp.workbench.migrating import plan_of
from ptp.workbench.previewing import without_place

STEPS = load_steps(folder("sql"))


def risks(case: Any, kind: str, *more: Step, on_dirty: Any = "stop") -> dict[str, str]:
    plan = plan_of(case.source, on_dirty=on_dirty)
    return {r.where: r.what for r in lint(plan, (*STEPS, *more)) if r.kind == kind}


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE users",
        "drop\n  index idx_users_provider",
        "DELETE FROM users WHERE id = 1",
        "REPLACE INTO users (id) VALUES (1)",
        "INSERT OR IGNORE INTO users (id) VALUES (1)",
        "ALTER TABLE users DROP COLUMN name",
    ],
)
def test_what_a_step_destroys_is_named(raw: Any, sql: str) -> None:
    step = Step("0009_away", (sql,), ("SELECT 1",), "x")
    assert list(risks(raw, "destructive", step)) == ["step 0009_away"]


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TRIGGER t AFTER INSERT ON users BEGIN DELETE FROM audit_log; END",
        "ALTER TABLE users ADD COLUMN dropped TEXT",
        "UPDATE users SET name = 'DROP TABLE users'",
    ],
)
def test_what_destroys_nothing_is_not(raw: Any, sql: str) -> None:
    assert risks(raw, "destructive", Step("0009_more", (sql,), ("SELECT 1",), "x")) == {}


def test_the_steps_themselves_destroy_nothing_and_can_be_taken_back(case: Any) -> None:
    assert risks(case, "destructive") == {}
    assert risks(case, "irreversible") == {}


def test_what_of_the_source_is_not_carried_is_destructive(raw: Any) -> None:
    raw.edit("CREATE TRIGGER touch AFTER INSERT ON users BEGIN SELECT 1; END")
    (what,) = risks(raw, "destructive").values()
    assert what.startswith("not carried over: it stands on users")
    assert list(risks(raw, "destructive")) == ["trigger touch"]


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Path]:
    """An empty source of the raw shape with other words in its DDL."""

    def make(old: str, new: str) -> Path:
        ddl = (folder("sql") / "shapes" / "raw.sql").read_text(encoding="utf-8")
        assert old in ddl
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.db"
        with closing(sqlite3.connect(path)) as db:
            db.executescript(f"PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY; {ddl.replace(old, new, 1)}")
        return path

    return make


def data_risks(path: Path, words: str) -> set[str]:
    return {r.where for r in lint(plan_of(path), STEPS) if r.kind == "data-dependent" and words in r.what}


def test_a_unique_rule_that_the_source_does_not_hold_to_depends_on_the_data(made: Callable[..., Path]) -> None:
    same = made("email TEXT NOT NULL UNIQUE", "email TEXT NOT NULL UNIQUE")
    loose = made("email TEXT NOT NULL UNIQUE", "email TEXT NOT NULL")
    assert data_risks(same, "UNIQUE") == set()
    assert data_risks(loose, "UNIQUE") == {"users (email)"}


def test_a_check_that_both_hold_to_is_no_risk_and_one_of_the_target_alone_is(made: Callable[..., Path]) -> None:
    rule = "CHECK (role IN ('user', 'admin', 'moderator'))"
    assert data_risks(made(rule, rule), "IN ('user'") == set()
    assert data_risks(made(rule, ""), "IN ('user'") == {"users (role)"}
    assert data_risks(made(rule, rule.replace("'user', ", "'user','guest',")), "IN ('user'") == {"users (role)"}


def test_not_null_of_the_target_alone_depends_on_the_data(made: Callable[..., Path]) -> None:
    assert data_risks(made("email TEXT NOT NULL", "email TEXT NOT NULL"), "NOT NULL") == set()
    assert data_risks(made("email TEXT NOT NULL", "email TEXT"), "NOT NULL") == {"users (email)"}


def test_a_reference_that_the_source_does_not_declare_depends_on_the_data(made: Callable[..., Path]) -> None:
    declared = "exam_id INTEGER NOT NULL REFERENCES exams (id) ON DELETE CASCADE"
    assert data_risks(made(declared, declared), "must name") == set()
    loose = made(declared, "exam_id INTEGER NOT NULL")
    assert data_risks(loose, "must name a row of exams") == {"objectives (exam_id)"}


def test_rounding_is_a_risk_only_where_it_would_not_stop_the_run(case: Any) -> None:
    assert risks(case, "irreversible", on_dirty="stop") == {}
    found = risks(case, "irreversible", on_dirty="quarantine")
    assert any("created_at" in where and "fraction of a second" in what for where, what in found.items())


def test_a_step_without_a_way_down_cannot_be_taken_back(raw: Any) -> None:
    step = replace(STEPS[0], name="0009_final", down=())
    assert risks(raw, "irreversible", step) == {"step 0009_final": "it has no down"}


def test_tables_that_head_alone_has_have_no_place_to_go_back_to(raw: Any) -> None:
    plan = plan_of(raw.source)
    (risk,) = [r for r in lint(plan, STEPS, without_place=without_place(plan)) if r.kind == "irreversible"]
    assert isinstance(risk, Risk)
    in_source = {name for (name,) in raw.ask_source("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    named = set(re.findall(r"table (\w+)", risk.what))
    assert "audit_log" in named
    assert not named & in_source


def test_all_tables_of_drizzle_have_a_place(drizzle: Any) -> None:
    assert without_place(plan_of(drizzle.source)) == []
