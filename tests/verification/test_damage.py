"""Damage of the subtler kinds: bytes, classes and masks that a comparison by value would let pass."""

from typing import Any

import pytest

# table, column, the damage as SQL; each goes to the row with the greatest id
BYTES = [
    ("questions", "text", "text || ' '"),
    ("questions", "text", "' ' || text"),
    ("questions", "text", "upper(text)"),
    ("questions", "text", "substr(text, 1, 3) || char(0) || substr(text, 5)"),
    ("questions", "text", "text || char(0)"),
    ("questions", "text", "substr(text, 1, length(text) - 1)"),
    ("questions", "text", "CAST(CAST(text AS BLOB) || X'FF' AS TEXT)"),
    ("questions", "answers", "replace(answers, '[', '[ ')"),
    ("questions", "created_at", "created_at - 1"),
    ("questions", "created_at", "created_at * 1000"),
    ("questions", "total_attempts", "9007199254740993"),
    ("exams", "passing_score", "passing_score + 1e-15"),
    ("exams", "passing_score", "-passing_score"),
    ("study_sessions", "status", "'Completed'"),
]


@pytest.mark.parametrize(("table", "column", "value"), BYTES)
def test_the_least_change_of_a_value_is_found_in_its_place_only(pair: Any, table: str, column: str, value: str) -> None:
    ((key,),) = pair.ask(f"SELECT max(id) FROM {table}")
    pair.edit(f"UPDATE {table} SET {column} = {value} WHERE id = {key}")
    (place,) = pair.failing()[f"verify.content.{table}"]
    assert place.startswith(f"{table}, key {key}, column {column}: expected ")
    assert "verify.rows" not in pair.failing()


CLASSES = [
    ("questions", "total_attempts", "CAST(total_attempts AS REAL)", "real"),
    ("questions", "total_attempts", "CAST(total_attempts AS TEXT)", "text"),
    ("questions", "is_active", "CAST(is_active AS REAL)", "real"),
    ("questions", "is_active", "CAST(is_active AS TEXT)", "text"),
    ("questions", "created_at", "datetime(created_at, 'unixepoch')", "text"),
    ("questions", "text", "CAST(text AS BLOB)", "blob"),
    ("questions", "difficulty", "'hard'", "text"),
    ("questions", "exam_id", "CAST(exam_id AS TEXT)", "text"),
    ("exams", "difficulty_level", "CAST(difficulty_level AS BLOB)", "blob"),
]


@pytest.mark.parametrize(("table", "column", "value", "cls"), CLASSES)
def test_the_same_value_in_another_class_is_found(pair: Any, table: str, column: str, value: str, cls: str) -> None:
    ((key,),) = pair.ask(f"SELECT max(id) FROM {table}")
    pair.force(table, column, f"UPDATE {table} SET {column} = {value} WHERE id = {key}")
    assert pair.ask(f"SELECT typeof({column}) FROM {table} WHERE id = {key}") == [(cls,)]
    (place,) = pair.failing()[f"verify.content.{table}"]
    assert place.startswith(f"{table}, key {key}, column {column}: expected ")
    assert f", seen {cls} " in place


@pytest.mark.parametrize("table", ["audit_log", "ai_generation_log"])
def test_addresses_in_the_logs_are_not_shown(drizzle: Any, table: str) -> None:
    drizzle.edit(f"UPDATE {table} SET ip_address = '203.0.113.77' WHERE id = 1")
    (place,) = drizzle.failing()[f"verify.content.{table}"]
    assert "203.0.113.77" not in place
    assert "(personal, masked)" in place


def test_a_personal_original_in_quarantine_is_not_shown(pair: Any, tmp_path: Any) -> None:
    import shutil
    import sqlite3
    from contextlib import closing

    from ptp.workbench.migrating import migrate
    from ptp.workbench.verifying import verify

    source, target = tmp_path / "source.db", tmp_path / "new.db"
    shutil.copy(pair.source, source)
    (tmp_path / "out").mkdir()
    with closing(sqlite3.connect(source, isolation_level=None)) as db:
        db.execute("UPDATE users SET bio = X'FFFE00' WHERE id = 6")
    migrate(source, target, tmp_path / "out", run="t", on_dirty="quarantine")
    for changed in ("placeholder", "original"):
        with closing(sqlite3.connect(target, isolation_level=None)) as db:
            db.execute(f"UPDATE ptp_quarantine SET {changed} = 'Secret of a person' WHERE column_name = 'bio'")
        (found,) = (f for f in verify(source, target).findings if f.id == "verify.content.users")
        (place,) = found.where
        assert place.startswith("users, key 6, column bio: ")
        assert "Secret" not in place
        assert "(personal, masked)" in place


def test_an_entry_in_quarantine_for_a_table_that_the_source_has_not_is_found(pair: Any) -> None:
    pair.edit(
        "INSERT INTO ptp_quarantine (run, kind, table_name, row_key, column_name, original, reason) "
        "VALUES ('r', 'value', 'ghosts', '1', 'name', 'boo', 'rejected: not a name')"
    )
    assert "1 entries for 'ghosts'" in pair.failing()["verify.values"][0]
