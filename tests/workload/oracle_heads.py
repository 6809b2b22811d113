"""Small databases at head for the tests of the oracles, and what makes an outcome wrong."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from ptp.engine import open_engine
from ptp.migration.build import build
from ptp.workbench.migrating import plan_of as plan_of_migration
from ptp.workbench.progress import quiet
from ptp.workload.cases import Query, workload
from ptp.workload.draws import Batches, Drawn, batches_of, newest
from ptp.workload.oracles import Check, oracles_of

#: Ties, gaps and other exams, so that no rule of an oracle is without a row to which it matters.
VARIED = """
    INSERT INTO exams (id, vendor_id, code, name) VALUES (90, 'v', 'E90', 'Other');
    INSERT INTO objectives (id, exam_id, code, name) VALUES (90, 90, '1', 'one');
    INSERT INTO questions (id, exam_id, objective_id, text, answers, review_status, difficulty)
        VALUES (9001, 90, 90, 'Of another exam', '[]', 'approved', 1);
    UPDATE questions SET difficulty = 2 WHERE difficulty = 1 AND id % 3 > 0;
    UPDATE user_progress SET total_questions_seen = 60 + id % 5, readiness_score = id % 4 / 4.0,
        overall_accuracy = id % 3 / 3.0;
    UPDATE engagement_opportunities SET status = 'pending', relevance_score = 0.5 WHERE rowid % 2;
    UPDATE growth_metrics SET date = date(date, '-3 days') WHERE date = (SELECT min(date) FROM growth_metrics);
    UPDATE questions SET total_attempts = 30, correct_attempts = 15 WHERE id % 5 = 0;
    UPDATE study_sessions SET total_questions = 0, correct_answers = 0, objective_scores = '{}';
    DELETE FROM audit_log WHERE id % 7 = 0
"""

#: What the schema allows and the demo does not hold: no time, no score, no count.
ODD = """
    UPDATE user_answers SET answered_at = NULL WHERE id % 11 = 0;
    UPDATE user_answers SET time_spent_seconds = NULL WHERE id % 5 = 0;
    UPDATE questions SET difficulty = NULL WHERE id % 6 = 0;
    UPDATE questions SET correct_attempts = NULL WHERE id % 13 = 0;
    UPDATE questions SET total_attempts = NULL, avg_time_seconds = NULL WHERE id % 17 = 0;
    UPDATE questions SET total_attempts = 0, correct_attempts = 0 WHERE id % 4 > 0;
    UPDATE questions SET explanation = NULL, reference = NULL WHERE id % 9 = 0;
    UPDATE user_progress SET readiness_score = NULL WHERE id % 3 = 0;
    UPDATE user_progress SET overall_accuracy = NULL, last_study_date = NULL, total_correct = NULL WHERE id % 4 = 0;
    DELETE FROM user_progress WHERE id % 5 = 0;
    UPDATE study_sessions SET last_activity = NULL WHERE id % 3 = 0;
    UPDATE ai_generation_log SET cost_cents = NULL WHERE purpose = 'explanation' OR id % 4 = 0;
    UPDATE ai_generation_log SET success = NULL WHERE id % 5 = 0;
    UPDATE ai_generation_log SET created_at = NULL WHERE id % 6 = 0;
    UPDATE audit_log SET success = NULL, new_values = NULL WHERE id % 3 = 0;
    UPDATE growth_metrics SET new_followers = 0, ai_costs = NULL WHERE id % 3 = 0;
    UPDATE growth_metrics SET impressions = NULL, new_followers = NULL, lost_followers = NULL WHERE id % 7 < 3;
    UPDATE engagement_opportunities SET relevance_score = NULL WHERE rowid % 3 = 0
"""


def migrated(source: Path, target: Path) -> Path:
    """A target at head, built of a demo source."""
    build(plan_of_migration(source), source=source, target=target, run="oracles", now=0, progress=quiet)
    return target


def run_script(path: Path, script: str) -> None:
    """Change a database, past the rules that would refuse it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        for statement in script.split(";"):
            db.execute(statement)


class Bench:
    """The workload on a database that goes back to what it was by `restart`, which forgets what oracles knew."""

    def __init__(self, path: Path, *, count: int = 30) -> None:
        self.path, self._bytes = path, path.read_bytes()
        self.engine: Engine = open_engine(path)
        self.queries: Mapping[str, Query] = {q.name: q for q in workload(self.engine, count=count, seed=1)}
        self.now = newest(self.engine)
        self._draws: tuple[Drawn, ...] = self.queries["study_questions"].draws
        self._batches: Batches = batches_of(self.engine, self._draws)
        self._checks: Mapping[str, Check] = {name: query.check for name, query in self.queries.items()}

    def restart(self) -> None:
        self.engine.dispose()
        self.path.write_bytes(self._bytes)
        self._checks = oracles_of(self.engine, self._draws, self._batches, now=self.now)

    def draws(self, name: str) -> tuple[Drawn, ...]:
        return self.queries[name].draws

    def run(self, name: str, drawn: Drawn) -> Any:
        return self.queries[name].run(drawn)

    def check(self, name: str, drawn: Drawn, outcome: Any) -> str | None:
        return self._checks[name](drawn, outcome)


def bumped(value: Any) -> Any:
    """The value, off by one, or another."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, dict):
        return {key: bumped(one) for key, one in value.items()} or {1: 0.5}
    if isinstance(value, str):
        return value + "x"
    return 1 if value is None else value + (1 if isinstance(value, int) else max(abs(value), 1.0) / 1e6)


def off_by_one_field(row: Any) -> Iterator[tuple[str, Any]]:
    """The row once for each field, with that field bumped."""
    for name in row._fields:
        yield f"{name} bumped", row._replace(**{name: bumped(getattr(row, name))})


def wrong_rows(rows: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    """What is wrong with rows in whatever order and of whatever kind."""
    middle = len(rows) // 2
    yield "no rows", ()
    yield "a row dropped", rows[:middle] + rows[middle + 1 :]
    yield "the last dropped", rows[:-1]
    yield "one too many", (*rows, rows[0])
    yield "one twice", (*rows[:-1], rows[0])
    yield "a list", list(rows)
    yield "nothing", None
    for what, row in off_by_one_field(rows[middle]):
        yield what, (*rows[:middle], row, *rows[middle + 1 :])


def wrong_order(rows: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    yield "backwards", rows[::-1]
    yield "two swapped", (rows[1], rows[0], *rows[2:])
