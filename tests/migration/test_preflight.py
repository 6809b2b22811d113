"""The preflight: every kind of dirt is listed with its number and its place, and nothing is changed by looking."""

import json
from collections import Counter
from typing import Any

import pytest

from ptp.engine import connect_file
from ptp.errors import DirtySource
from ptp.migration.preflight import EXAMPLES, Preflight, inspect_source
from ptp.workbench.migrating import plan_of


def look(case: Any) -> Preflight:
    return inspect_source(case.source, plan_of(case.source).pairs, progress=lambda share, text: None)


def kinds(seen: Preflight) -> dict[tuple[str, str, str], int]:
    return {(d.table, d.column, d.problem): d.count for d in seen.dirt}


def test_a_clean_source_is_clean(case: Any) -> None:
    seen = look(case)
    assert seen.is_clean
    assert (seen.dirt, seen.rejected, seen.rejected_rows) == ((), {}, 0)


DIRT: dict[tuple[str, str], list[tuple[str, str]]] = {
    ("users", "created_at"): [
        ("'now'", "rejected: not a time"),
        ("'2025-02-30 10:00:00'", "rejected: no such date"),
        ("'2025-02-29 00:00:00'", "rejected: no such date"),
        ("'2025-03-01 24:00:00'", "rejected: no such time"),
        ("'10:00'", "rejected: no date"),
        ("''", "rejected: empty"),
        ("' '", "rejected: surrounding space"),
        ("'1.3.2025'", "rejected: not ISO 8601"),
        ("-1", "rejected: out of range"),
        ("1740823200000", "rejected: looks like milliseconds"),
        ("2460736.5", "rejected: out of range (looks like a Julian day)"),
        ("1740823200.5", "rounded: fraction of a second"),
        ("X'00'", "rejected: blob"),
    ],
    ("users", "is_active"): [("2", "rejected: not a boolean"), ("'yes'", "rejected: not a boolean")],
    ("users", "role"): [("'root'", "rejected: breaks the rule IN ('user', 'admin', 'moderator')")],
    ("users", "bio"): [("X'FFFE00'", "rejected: blob")],
    ("questions", "tags"): [
        ("'[1,]'", "rejected: not JSON"),
        ("X'0C'", "rejected: blob"),
    ],
    ("questions", "difficulty"): [("9", "rejected: breaks the rule BETWEEN 1 AND 5")],
    ("questions", "total_attempts"): [
        ("'12 seconds'", "rejected: not an integer"),
        ("1.5", "rejected: not an integer"),
    ],
    ("questions", "discrimination_index"): [("'high'", "rejected: not a number"), ("X'00'", "rejected: not a number")],
    ("user_progress", "last_study_date"): [
        ("'2025-02-30'", "rejected: not a date"),
        ("20250301", "rejected: not a date"),
        ("'2025-03-01 10:00:00'", "rejected: not a date"),
    ],
}


def soil(case: Any) -> dict[tuple[str, str, str], int]:
    """One dirty value each in as many rows; the kinds that are due, with their numbers."""
    due: Counter[tuple[str, str, str]] = Counter()
    for (table, column), values in DIRT.items():
        for place, (value, problem) in enumerate(values):
            row = f"(SELECT id FROM {table} ORDER BY id LIMIT 1 OFFSET {place})"
            case.edit(f"UPDATE {table} SET {column} = {value} WHERE id = {row}")
            if (table, column, value) == ("user_progress", "last_study_date", "20250301") and case.shape == "drizzle":
                problem = "rejected: not a date"  # a TEXT column makes '20250301' of it
            due[table, column, problem] += 1
    return dict(due)


def test_every_kind_of_dirt_is_counted_in_its_column(case: Any) -> None:
    due = soil(case)
    assert kinds(look(case)) == due


def test_the_examples_name_key_and_value(raw: Any) -> None:
    raw.edit("UPDATE user_answers SET answered_at = CAST(X'C3286E6F74' AS TEXT) WHERE id <= 7")
    first = raw.ask_source("SELECT id FROM user_answers WHERE id <= 7 ORDER BY id")
    assert len(first) == 7
    (dirt,) = look(raw).dirt
    assert (dirt.count, len(dirt.examples)) == (7, EXAMPLES)
    assert {key for key, _ in dirt.examples} <= {str(i) for (i,) in first}
    assert {value for _, value in dirt.examples} == {"�(not"}


def test_orphans_and_all_below_them_are_counted_though_every_value_is_exact(raw: Any) -> None:
    below = raw.ask_source("SELECT count(*) FROM questions WHERE objective_id = 1")[0][0]
    answers = raw.ask_source("SELECT count(*) FROM user_answers WHERE question_id IN "
                             "(SELECT id FROM questions WHERE objective_id = 1)")[0][0]  # fmt: skip
    raw.edit("UPDATE objectives SET parent_id = NULL", "UPDATE objectives SET exam_id = 99 WHERE id = 1")
    seen = look(raw)
    assert seen.dirt == ()
    assert not seen.is_clean
    assert seen.rejected == {
        "objectives": {"rejected: no such row in exams (exam_id)": 1},
        "questions": {"rejected: no such row in objectives (objective_id)": below},
        "user_answers": {"rejected: no such row in questions (question_id)": answers},
    }
    assert seen.rejected_rows == 1 + below + answers


def test_a_chain_of_parents_within_one_table_is_followed_to_its_end(raw: Any) -> None:
    raw.edit(
        "INSERT INTO objectives (id, exam_id, code, name, parent_id, created_at) VALUES "
        "(901, 1, 'a', 'n', 999, NULL), (902, 1, 'b', 'n', 901, NULL), (903, 1, 'c', 'n', 902, NULL)"
    )
    assert look(raw).rejected == {
        "objectives": {
            "rejected: its parent in objectives is rejected (parent_id)": 2,
            "rejected: no such row in objectives (parent_id)": 1,
        }
    }


def test_twins_are_counted_where_the_source_has_no_unique_index(drizzle: Any) -> None:
    drizzle.edit("DROP INDEX users_email_unique", "UPDATE users SET email = 'twin@x' WHERE id IN (2, 3, 4)")
    seen = look(drizzle)
    assert seen.rejected["users"] == {"rejected: an earlier row has the same value (email)": 2}


def test_a_unique_rule_that_calls_different_texts_equal_is_not_taken_for_ours(drizzle: Any) -> None:
    # Only by bytes is one value one value: under NOCASE the two cannot both stand, and neither is lost.
    drizzle.edit(
        "DROP INDEX users_email_unique",
        "CREATE UNIQUE INDEX users_email_unique ON users (email COLLATE NOCASE)",
    )
    assert look(drizzle).is_clean


@pytest.mark.parametrize("where", ["id > 3", "email IS NOT NULL"])
def test_a_partial_unique_index_holds_nothing_for_the_rows_outside_it(drizzle: Any, where: str) -> None:
    drizzle.edit(
        "DROP INDEX users_email_unique",
        f"CREATE UNIQUE INDEX users_email_unique ON users (email) WHERE {where}",
    )
    assert look(drizzle).is_clean
    if where == "id > 3":
        drizzle.edit("UPDATE users SET email = 'twin@x' WHERE id IN (2, 3)")
        assert look(drizzle).rejected["users"] == {"rejected: an earlier row has the same value (email)": 1}


def test_stop_lists_every_kind_and_changes_nothing(case: Any) -> None:
    due = soil(case)
    case.edit(
        "INSERT INTO objectives (id, exam_id, code, name, parent_id, created_at) VALUES "
        "(901, 99, 'a', 'n', NULL, NULL), (902, 1, 'b', 'n', 901, NULL)"
    )
    before = case.source.read_bytes()
    with pytest.raises(DirtySource) as refused:
        case.migrate(on_dirty="stop")
    assert "more kinds" in str(refused.value)
    assert "Nothing was changed" in str(refused.value)
    assert case.source.read_bytes() == before
    assert case.files() == {"source.db"}
    assert not (case.out / "backup").exists()
    (written,) = case.out.rglob("*.json")
    stage = json.loads(written.read_text(encoding="utf-8"))
    rows = {(r["table"], r["column"], r["problem"]): r["count"] for r in stage["tables"]["Dirt"]}
    assert {k: n for k, n in rows.items() if k[1] != "(whole row)"} == due
    assert rows["objectives", "(whole row)", "rejected: no such row in exams (exam_id)"] == 1
    assert rows["objectives", "(whole row)", "rejected: its parent in objectives is rejected (parent_id)"] == 1


def test_personal_values_are_masked_in_the_examples(raw: Any) -> None:
    raw.edit("UPDATE users SET email = CAST('secret@x' AS BLOB), bio = X'00' WHERE id = 2")
    with pytest.raises(DirtySource) as refused:
        raw.migrate()
    (written,) = raw.out.rglob("*.json")
    assert "secret" not in written.read_text(encoding="utf-8")
    assert "secret" not in str(refused.value)
    assert b"secret".hex() not in written.read_text(encoding="utf-8").lower()
    assert "personal, masked" in written.read_text(encoding="utf-8")


def test_looking_leaves_the_source_to_the_byte_and_makes_no_file(raw: Any) -> None:
    soil(raw)
    before = raw.source.read_bytes()
    look(raw)
    assert raw.source.read_bytes() == before
    assert raw.files() == {"source.db"}


def test_a_source_in_log_mode_is_seen_with_what_stands_only_in_the_log(raw: Any) -> None:
    with connect_file(raw.source) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("UPDATE users SET created_at = 'now' WHERE id = 2")
        assert kinds(look(raw)) == {("users", "created_at", "rejected: not a time"): 1}


def test_progress_runs_from_nothing_to_all(raw: Any) -> None:
    shares: list[float] = []
    inspect_source(raw.source, plan_of(raw.source).pairs, progress=lambda share, text: shares.append(share))
    assert (shares[0], shares[-1]) == (0, 1.0)
    assert shares == sorted(shares)
