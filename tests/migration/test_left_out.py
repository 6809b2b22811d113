"""A step that needs a module which SQLite lacks is left out, journalled, and not missed by the verification."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import Engine

from ptp.engine import inventory, open_engine
from ptp.migration import plan as planning
from ptp.queries import StudyQueries
from ptp.workbench.migrating import plan_of
from ptp.workbench.verifying import SEARCH


@pytest.fixture
def without_fts5(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite as if it had been built without FTS5: a stand-in, as this Python's own has it."""

    def has(db: sqlite3.Connection, name: str) -> bool:
        return name != "fts5" and inventory.has_module(db, name)

    monkeypatch.setattr(planning, "has_module", has)


@pytest.mark.usefixtures("without_fts5")
def test_without_fts5_a_target_is_built_without_the_index_and_verified(drizzle: Any) -> None:
    drizzle.migrate()
    with closing(sqlite3.connect(drizzle.target)) as db:
        steps = dict(db.execute("SELECT name, left_out FROM ptp_journal WHERE kind = 'step'").fetchall())
        assert steps.pop("0005_question_search") == "this SQLite has no fts5"
        assert set(steps.values()) == {None}
        assert db.execute("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'question_search%'").fetchone() == (0,)
    findings = {f.id: f for f in drizzle.verify().findings}
    assert findings["verify.schema"].verdict == "pass"
    assert (findings[SEARCH].verdict, findings[SEARCH].evidence) == ("not applicable", "this SQLite has no fts5")
    assert {f.verdict for f in findings.values()} == {"pass", "not applicable"}


@pytest.mark.usefixtures("without_fts5")
def test_without_the_index_a_search_says_that_it_scans(drizzle: Any) -> None:
    drizzle.migrate()
    engine: Engine = open_engine(drizzle.target)
    try:
        found = StudyQueries(engine).search_questions("question")
        assert found.by == "scan"
    finally:
        engine.dispose()


def test_the_plan_depends_on_what_can_be_run(drizzle: Any, request: pytest.FixtureRequest) -> None:
    whole = plan_of(drizzle.source)
    request.getfixturevalue("without_fts5")
    assert plan_of(drizzle.source).hash != whole.hash
    assert "fts5 (" in whole.text and "fts5 (" not in plan_of(drizzle.source).text
