"""The factories: what they make is taken by head, in all 14 tables, and says back what was put in."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from ptp.conversions import Choice, Conversion, Span
from ptp.engine import open_engine
from ptp.migration.steps import load_steps
from ptp.resources import folder
from ptp.schema import Base, Exam, Objective, Question, User
from tests.factories import MODELS, Rows, values_of, write

ROWS = 60


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with closing(sqlite3.connect(tmp_path / "head.db", isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        for step in load_steps(folder("sql")):
            for sql in step.up:
                db.execute(sql)
    made = open_engine(tmp_path / "head.db")
    yield made
    made.dispose()


def stored(engine: Engine, table: str) -> list[dict[str, Any]]:
    with engine.connect() as db:
        return [dict(row) for row in db.exec_driver_sql(f"SELECT * FROM {table} ORDER BY rowid").mappings()]


def test_there_is_a_factory_for_each_of_the_14_models() -> None:
    assert {model.__tablename__ for model in MODELS} == set(Base.metadata.tables)
    assert len(Rows(seed=1).factories) == 14


@pytest.mark.parametrize("model", MODELS, ids=[model.__name__ for model in MODELS])
def test_head_takes_the_rows_of_every_factory_as_they_are(engine: Engine, model: type[Base]) -> None:
    rows = Rows(seed=7)
    made = [rows.new(model) for _ in range(ROWS)]
    rows.write(engine)
    # A boolean is stored as the 0 or 1 that it equals.
    assert stored(engine, model.__tablename__)[-ROWS:] == [values_of(row) for row in made]
    with engine.connect() as db:
        assert db.exec_driver_sql("PRAGMA foreign_key_check").all() == []
        assert db.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"


@pytest.mark.parametrize("model", MODELS, ids=[model.__name__ for model in MODELS])
def test_the_values_of_a_column_are_its_rule_and_more_than_one_of_them(model: type[Base]) -> None:
    """A factory that left a column alone, or always gave the same, would pass the database's rules."""
    rows = Rows(seed=3)
    made = [values_of(rows.factories[model].build()) for _ in range(200)]
    for column in model.__table__.columns:
        if column.foreign_keys:
            continue
        conversion: Conversion = column.info["conversion"]
        values = [row[column.name] for row in made]
        known = {value for value in values if value is not None}
        assert (None in values) is conversion.nullable, column.name
        if isinstance(conversion.rule, Choice):
            assert known == set(conversion.rule.values)
        elif isinstance(conversion.rule, Span):
            assert {conversion.rule.low, conversion.rule.high} <= known
        assert len(known) > 1, column.name


def test_the_same_seed_makes_the_same_rows_and_another_seed_others() -> None:
    def made(seed: int) -> list[dict[str, Any]]:
        rows = Rows(seed)
        return [values_of(rows.new(model)) for model in MODELS for _ in range(5)]

    first, other = made(11), made(12)
    assert made(11) == first
    assert other != first


def test_a_row_brings_the_rows_that_it_needs_and_takes_those_that_are_given(engine: Engine) -> None:
    rows = Rows(seed=5)
    exam = rows.new(Exam, name="Mine")
    rows.new(Question, exam_id=exam.id, review_status="approved", is_active=True)
    rows.write(engine)
    assert [row["name"] for row in stored(engine, "exams") if row["id"] == exam.id] == ["Mine"]
    assert stored(engine, "questions")[0]["exam_id"] == exam.id
    assert len(stored(engine, "objectives")) == len(stored(engine, "question_pool")) == 1
    rows.write(engine)
    assert len(stored(engine, "questions")) == 1


def test_rows_of_one_transaction_are_written_all_or_none(engine: Engine) -> None:
    rows = Rows(seed=6)
    user, exam = rows.new(User), rows.new(Exam)
    with pytest.raises(IntegrityError):
        write(engine, [exam, user, Objective(id=1, exam_id=999, code="c", name="n")])
    assert stored(engine, "exams") == stored(engine, "users") == []
