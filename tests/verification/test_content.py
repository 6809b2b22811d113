"""Every change to a migrated database, however small, is found with its table, key and column."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from ptp.evidence import Stage, write_stage


def test_what_was_migrated_verifies_clean(pair: Any) -> None:
    assert pair.failing() == {}
    findings = pair.findings()
    assert findings["verify.rows"].n > 2_000
    assert findings["verify.content.user_answers"].n == 2_000


CHANGES = {
    "a byte more": ("text", "text = text || 'x'"),
    "a byte less": ("text", "text = substr(text, 2)"),
    "one byte": ("text", "text = 'X' || substr(text, 2)"),
    "lower case": ("text", "text = lower(text)"),
    "a trailing space": ("text", "text = text || ' '"),
    "a trailing NUL": ("text", "text = text || char(0)"),
    "a composed letter taken apart": ("text", "text = replace(text, 'é', 'e' || char(769))"),
    "bytes that are no text": ("text", "text = text || CAST(X'FF' AS TEXT)"),
    "one second": ("created_at", "created_at = created_at + 1"),
    "milliseconds": ("created_at", "created_at = created_at * 1000"),
    "one more": ("total_attempts", "total_attempts = total_attempts + 1"),
    "the other sign": ("total_attempts", "total_attempts = -total_attempts"),
    "NULL for a number": ("total_attempts", "total_attempts = NULL"),
    "NULL for a text": ("explanation", "explanation = NULL"),
    "nothing for a text": ("explanation", "explanation = ''"),
    "a number for NULL": ("reviewed_by", "reviewed_by = 1"),
    "a flag turned": ("is_beta", "is_beta = 1"),
    "a blank in JSON": ("tags", "tags = '[1 ]'"),
    "the next real": ("discrimination_index", "discrimination_index = 7.000000000000001"),
    "a duplicate of another value": ("exam_id", "exam_id = exam_id + 1"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_one_changed_value_is_named(pair: Any, change: str) -> None:
    column, sql = CHANGES[change]
    pair.edit(f"UPDATE questions SET {sql} WHERE id = 3")
    (place,) = pair.failing().pop("verify.content.questions")
    assert place.startswith(f"questions, key 3, column {column}: expected ")


CLASSES = {
    "a text for an integer": ("total_attempts", "'5'"),
    "words in an integer column": ("total_attempts", "'five'"),
    "a real for an integer": ("total_attempts", "5.0"),
    "a text for a real": ("discrimination_index", "'7.0'"),
    "a blob for a text": ("text", "CAST(text AS BLOB)"),
    "a number for a text": ("explanation", "5"),
    "a text for a time": ("created_at", "'2025-03-01 10:00:00'"),
    "a text for a flag": ("is_beta", "'0'"),
    "NULL where none may be": ("text", "NULL"),
}


@pytest.mark.parametrize("change", CLASSES)
def test_one_value_of_another_class_is_named(pair: Any, change: str) -> None:
    column, value = CLASSES[change]
    before = pair.ask(f"SELECT typeof({column}) FROM questions WHERE id = 3")
    pair.force("questions", column, f"UPDATE questions SET {column} = {value} WHERE id = 3")
    assert pair.ask(f"SELECT typeof({column}) FROM questions WHERE id = 3") != before
    failing = pair.failing()
    (place,) = failing["verify.content.questions"]
    assert place.startswith(f"questions, key 3, column {column}: expected ")
    assert "verify.schema" not in failing


def test_a_deleted_row_is_named(pair: Any) -> None:
    pair.edit("DELETE FROM user_answers WHERE id = 1234")
    failing = pair.failing()
    assert failing["verify.content.user_answers"] == (
        "user_answers, key 1234: expected a row, seen no such row, and none in quarantine",
    )
    assert failing["verify.rows"] == ("user_answers: 1 rows missing",)


def test_the_first_and_the_last_row_are_looked_at(pair: Any) -> None:
    pair.edit("DELETE FROM user_answers WHERE id IN (1, 2000)")
    keys = [p.split(":")[0] for p in pair.failing()["verify.content.user_answers"]]
    assert keys == ["user_answers, key 1", "user_answers, key 2000"]


def test_an_added_row_is_named(pair: Any) -> None:
    pair.edit("INSERT INTO users (id, email, name) VALUES (777, 'new@x', 'n')")
    failing = pair.failing()
    assert failing["verify.content.users"] == ("users, key 777: expected no such row, seen a row",)
    assert failing["verify.rows"] == ("users: 1 rows too many",)


def test_a_row_for_another_is_both_lost_and_added(pair: Any) -> None:
    pair.edit("UPDATE user_answers SET id = 999999 WHERE id = 5")
    places = pair.failing()["verify.content.user_answers"]
    assert {p.split(":")[0] for p in places} == {"user_answers, key 5", "user_answers, key 999999"}


def test_swapped_values_of_two_rows_are_named(pair: Any) -> None:
    pair.edit(
        "CREATE TEMP TABLE old AS SELECT id, text FROM questions WHERE id IN (3, 4)",
        "UPDATE questions SET text = (SELECT text FROM old WHERE old.id <> questions.id) WHERE id IN (3, 4)",
    )
    places = pair.failing()["verify.content.questions"]
    assert [p.split(":")[0] for p in places] == ["questions, key 3, column text", "questions, key 4, column text"]


def test_swapped_keys_of_two_rows_are_named(pair: Any) -> None:
    pair.edit(
        "UPDATE user_answers SET id = -1 WHERE id = 10",
        "UPDATE user_answers SET id = 10 WHERE id = 11",
        "UPDATE user_answers SET id = 11 WHERE id = -1",
    )
    keys = {p.split(",")[1] for p in pair.failing()["verify.content.user_answers"]}
    assert keys == {" key 10", " key 11"}


def test_a_table_that_is_gone_fails(pair: Any) -> None:
    pair.edit("DROP TABLE user_progress")
    failing = pair.failing()
    assert "table user_progress is missing" in failing["verify.schema"]


def test_an_emptied_table_fails_with_its_first_places(pair: Any) -> None:
    pair.edit("DELETE FROM user_answers")
    finding = pair.findings()["verify.content.user_answers"]
    assert (finding.verdict, finding.value, len(finding.where)) == ("fail", 2_000, 20)


@pytest.mark.parametrize("column", ["email", "bio", "name", "password_hash"])
def test_personal_values_are_masked(pair: Any, column: str) -> None:
    pair.edit(f"UPDATE users SET {column} = 'tampered@person' WHERE id = 3")
    (place,) = pair.failing()["verify.content.users"]
    assert place.startswith(f"users, key 3, column {column}: expected ")
    assert "tampered" not in place
    assert "private" not in place
    assert "secret" not in place
    assert "seen text of 15 (personal, masked)" in place


def test_other_values_are_shown(pair: Any) -> None:
    pair.edit("UPDATE questions SET total_attempts = 6 WHERE id = 3")
    assert pair.failing()["verify.content.questions"] == (
        "questions, key 3, column total_attempts: expected integer 5, seen integer 6",
    )


def test_a_difference_in_bytes_that_are_no_text_can_be_written_down(pair: Any, tmp_path: Any) -> None:
    pair.edit("UPDATE questions SET text = CAST(X'61FF' AS TEXT) WHERE id = 3")
    finding = pair.findings()["verify.content.questions"]
    assert "\\xff" in finding.where[0]
    write_stage(tmp_path, Stage("s", "t", 0.0, (finding,)))


def test_a_text_key_is_named_as_sql_writes_it(drizzle: Any) -> None:
    (key,) = drizzle.ask("SELECT id FROM tweets LIMIT 1")[0]
    drizzle.edit(
        f"UPDATE tweets SET text = 'x' WHERE id = '{key}'",
        "UPDATE tweets SET id = CAST(X'FF27' AS TEXT) WHERE rowid = 9",
    )
    places = drizzle.failing()["verify.content.tweets"]
    assert f"tweets, key '{key}', column text: expected" in " ".join(places)
    assert any(p.startswith("tweets, key '\\xff''': expected no such row") for p in places)


def test_a_change_in_a_carried_table_is_named(drizzle: Any) -> None:
    drizzle.edit("UPDATE voice_profiles SET name = name || ' ' WHERE id = 1", "DELETE FROM voice_profiles WHERE id = 2")
    places = drizzle.failing()["verify.content.carried"]
    assert {p.split(":")[0] for p in places} == {"voice_profiles, key 1, column name", "voice_profiles, key 2"}


def test_rows_in_a_table_that_the_source_does_not_have_fail(raw: Any) -> None:
    raw.edit("INSERT INTO twitter_accounts (id, username) VALUES ('a', 'b')")
    assert "verify.content.twitter_accounts" in raw.failing()


# --- quarantine ------------------------------------------------------------------------------------------------------

VALUE = "kind = 'value' AND table_name = 'users' AND row_key = '4' AND column_name = 'last_login'"
ROW = "kind = 'row' AND table_name = 'objectives' AND row_key = '9001'"
COPY = "(run, kind, table_name, row_key, column_name, original, placeholder, reason) SELECT run, kind, table_name"
TAMPERED = {
    "a lost value": ("users", f"DELETE FROM ptp_quarantine WHERE {VALUE}"),
    "another text": ("users", f"UPDATE ptp_quarantine SET original = 'Now' WHERE {VALUE}"),
    "another class": ("users", f"UPDATE ptp_quarantine SET original = CAST(original AS BLOB) WHERE {VALUE}"),
    "another outcome": ("users", f"UPDATE ptp_quarantine SET reason = 'rounded: x' WHERE {VALUE}"),
    "another placeholder": ("users", f"UPDATE ptp_quarantine SET placeholder = 0 WHERE {VALUE}"),
    "another key": ("users", f"UPDATE ptp_quarantine SET row_key = '6' WHERE {VALUE}"),
    "another column": ("users", f"UPDATE ptp_quarantine SET column_name = 'bio' WHERE {VALUE}"),
    "another kind": ("users", f"UPDATE ptp_quarantine SET kind = 'row' WHERE {VALUE}"),
    "a value kept twice": (
        "users",
        f"INSERT INTO ptp_quarantine {COPY}, row_key, column_name, original, placeholder, reason "
        f"FROM ptp_quarantine WHERE {VALUE}",
    ),
    "a value that was exact": (
        "users",
        f"INSERT INTO ptp_quarantine {COPY}, '3', column_name, original, placeholder, reason "
        f"FROM ptp_quarantine WHERE {VALUE}",
    ),
    "a value in the place of its placeholder": ("users", "UPDATE users SET last_login = 0 WHERE id = 4"),
    "a lost row": ("objectives", f"DELETE FROM ptp_quarantine WHERE {ROW}"),
    "a row without one column": ("objectives", f"DELETE FROM ptp_quarantine WHERE {ROW} AND column_name = 'weight'"),
    "a row with another value": (
        "objectives",
        f"UPDATE ptp_quarantine SET original = 'LOST' WHERE {ROW} AND column_name = 'name'",
    ),
    "a row with another class": (
        "objectives",
        f"UPDATE ptp_quarantine SET original = '77' WHERE {ROW} AND column_name = 'exam_id'",
    ),
    "a row kept twice": (
        "objectives",
        f"INSERT INTO ptp_quarantine {COPY}, row_key, column_name, original, placeholder, reason "
        f"FROM ptp_quarantine WHERE {ROW}",
    ),
    "a row under the key of another": ("objectives", f"UPDATE ptp_quarantine SET row_key = '9002' WHERE {ROW}"),
    "a row that the target has too": (
        "objectives",
        "INSERT INTO objectives (id, exam_id, code, name) VALUES (9001, 77, 'lost', 'lost')",
    ),
}


@pytest.mark.parametrize("change", TAMPERED)
def test_a_quarantine_that_was_tampered_with_is_named(drizzle: Any, change: str) -> None:
    table, sql = TAMPERED[change]
    drizzle.edit(sql)
    assert f"verify.content.{table}" in drizzle.failing()


def test_a_good_row_that_was_moved_to_quarantine_is_named(pair: Any) -> None:
    columns = [n for (n,) in pair.ask("SELECT name FROM pragma_table_info('questions')") if n != "total_time_seconds"]
    with closing(sqlite3.connect(pair.target, isolation_level=None)) as db:
        db.execute("ATTACH ? AS source", (str(pair.source),))
        for column in columns:
            db.execute(
                "INSERT INTO ptp_quarantine (run, kind, table_name, row_key, column_name, original, reason) "
                f"SELECT 't', 'row', 'questions', '3', '{column}', {column}, 'rejected: no such row in exams (exam_id)' "
                "FROM source.questions WHERE id = 3"
            )
        db.execute("DELETE FROM questions WHERE id = 3")
    assert pair.failing()["verify.content.questions"] == (
        "questions, key 3: expected a row, seen a row in quarantine that no rule rejects",
        "questions, column ptp_quarantine: expected only what the witness rejects in quarantine, "
        f"seen {len(columns)} entries of kind 'row', where 0 are due",
    )


def test_a_quarantine_that_is_gone_fails(pair: Any) -> None:
    pair.edit("DROP TABLE ptp_quarantine")
    failing = pair.failing()
    assert {"verify.content.users", "verify.content.objectives"} <= set(failing)
    assert (
        "users, key 4, column last_login: expected its original in quarantine, seen 0 entries"
        in failing["verify.content.users"]
    )
