"""A head database of hand-made rows, and plain Python lists of the same rows for the oracles."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from ptp.engine import open_engine
from ptp.migration.steps import load_steps
from ptp.resources import folder

NOW = 1_750_000_000


@dataclass
class Head:
    """An empty head database; `add` writes one row with the defaults that the test does not care for."""

    engine: Engine
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def add(self, table: str, **values: Any) -> int:
        number = next(self.numbers)
        defaults: dict[str, dict[str, Any]] = {
            "exams": {"vendor_id": "v", "code": f"E{number}", "name": f"Exam {number}"},
            "objectives": {"code": "1", "name": "one"},
            "users": {"email": f"u{number}@example.com", "name": f"User {number}"},
            "questions": {"text": f"Question {number}?", "answers": "[]", "review_status": "approved"},
            "user_answers": {"selected_answer": "a", "is_correct": 1, "time_spent_seconds": 10},
        }
        row = {**defaults.get(table, {}), **values}
        names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
        with self.engine.begin() as db:
            result = db.execute(text(f"INSERT INTO {table} ({names}) VALUES ({marks})"), row)
            return int(result.lastrowid)

    def rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        with self.engine.connect() as db:
            return [dict(row) for row in db.execute(text(query), values).mappings()]

    def change(self, statement: str, **values: Any) -> None:
        with self.engine.begin() as db:
            db.execute(text(statement), values)


@pytest.fixture(scope="session")
def _empty_head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("head") / "empty.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for step in load_steps(folder("sql")):
            for sql in step.up:
                db.execute(sql)
        db.execute("PRAGMA user_version = 1")
    return path


def _no_fsync(db: sqlite3.Connection, _record: object) -> None:
    """No test here cuts the power, and a disk that others write to makes each commit wait for them."""
    db.execute("PRAGMA synchronous = OFF")


@pytest.fixture
def new_head(_empty_head: Path, tmp_path: Path) -> Iterator[Callable[[], Head]]:
    """Makes as many empty head databases as a test wants; a property-based test wants one an example."""
    made: list[Head] = []

    def make() -> Head:
        path = tmp_path / f"head{len(made)}.db"
        path.write_bytes(_empty_head.read_bytes())
        made.append(Head(open_engine(path)))
        event.listen(made[-1].engine, "connect", _no_fsync)
        return made[-1]

    yield make
    for head in made:
        head.engine.dispose()


@pytest.fixture
def head(new_head: Callable[[], Head]) -> Head:
    return new_head()
