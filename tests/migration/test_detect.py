"""Which shape a source has, and what is said of one that has none."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ptp.errors import UnknownShape, UsageError
from ptp.workbench.migrating import plan_of


def refusal(path: Path) -> str:
    with pytest.raises(UnknownShape) as caught:
        plan_of(path)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_both_shapes_are_known(case: Any) -> None:
    assert plan_of(case.source).shape == case.shape


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ("DROP TABLE user_progress", "no table user_progress"),
        ("ALTER TABLE users DROP COLUMN bio", "no column users.bio"),
        ("ALTER TABLE exams RENAME COLUMN code TO exam_code", "no column exams.code"),
    ],
)
def test_a_missing_table_or_column_is_named(case: Any, change: str, difference: str) -> None:
    for (name,) in case.ask_source("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"):
        case.edit(f"DROP INDEX {name}")
    case.edit(change)
    message = refusal(case.source)
    assert message.startswith(f"The database fits no known shape; the nearest is '{case.shape}'")
    assert "differs in 1 place(s)" in message
    assert difference in message


def test_a_column_of_another_type_is_named(raw: Any) -> None:
    raw.edit("DROP TABLE user_progress", "CREATE TABLE user_progress (id INTEGER PRIMARY KEY, user_id TEXT)")
    message = refusal(raw.source)
    assert "user_progress.user_id is TEXT, not INTEGER" in message
    assert " more." in message  # a long list is cut, with its length told


def test_a_column_without_a_type_is_named(raw: Any) -> None:
    raw.rewrite("bio TEXT", "bio")
    assert "users.bio is no type, not TEXT" in refusal(raw.source)


def test_a_type_of_the_same_affinity_is_the_same_type(raw: Any) -> None:
    raw.rewrite("email TEXT", "email VARCHAR(255)")
    raw.rewrite(" TIMESTAMP", " DATETIME")
    assert plan_of(raw.source).shape == "raw"


def test_a_timestamp_is_no_integer(drizzle: Any) -> None:
    drizzle.rewrite("answered_at INTEGER", "answered_at TIMESTAMP")
    assert "user_answers.answered_at is TIMESTAMP, not INTEGER" in refusal(drizzle.source)


def test_what_a_source_has_besides_its_shape_is_tolerated(case: Any) -> None:
    case.edit(
        "CREATE TABLE extra (a)",
        "ALTER TABLE users ADD COLUMN more",
        "CREATE INDEX extra_index ON users (more)",
        "CREATE VIEW extra_view AS SELECT * FROM users",
        "CREATE TRIGGER extra_trigger AFTER INSERT ON users BEGIN SELECT 1; END",
        "DROP INDEX idx_users_provider",
    )
    assert plan_of(case.source).shape == case.shape


def test_a_table_that_is_never_required_may_be_missing(drizzle: Any) -> None:
    drizzle.edit("DROP TABLE voice_profiles")
    assert plan_of(drizzle.source).shape == "drizzle"


def test_a_strange_database_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as db:
        db.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    message = refusal(tmp_path / "shop.db")
    assert "differs in 8 place(s)" in message
    assert "no table users" in message


def test_head_is_refused(case: Any) -> None:
    case.migrate()
    with pytest.raises(UsageError, match="is at head already") as caught:
        plan_of(case.target)
    assert not isinstance(caught.value, UnknownShape)
