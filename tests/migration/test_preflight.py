"""The preflight: every kind of dirt is listed with its number and its place, and nothing is changed by looking."""

import json
from collections import Counter
from html import unescape
from typing import Any

import pytest

from ptp.engine import connect_file
from ptp.errors import DirtySource
from ptp.evidence import Evidence, Run, write_run
from ptp.migration.preflight import EXAMPLES, Preflight, inspect_source
from ptp.report.page import write_report
from ptp.workbench.migrating import plan_of, stopped


def look(case: Any) -> Preflight:
    return inspect_source(case.source, plan_of(case.source).pairs, progress=lambda share, text: None)


def kinds(seen: Preflight) -> dict[tuple[str, str, str], int]:
    return {(d.table, d.column, d.problem): d.count for d in seen.dirt}


def test_a_clean_source_is_clean(case: Any) -> None:
    seen = look(case)
    assert seen.is_clean
    assert (seen.dirt, seen.gone, seen.rejected, seen.rejected_rows) == ((), (), {}, 0)


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
    assert seen.rows_with_parents == below + answers
    assert [(g.table, g.with_parent, g.count) for g in seen.gone] == [
        ("objectives", False, 1),
        ("questions", True, below),
        ("user_answers", True, answers),
    ]
    assert seen.gone[0].examples == (("1", {"exam_id": 99}),)
    assert all(values == {"objective_id": 1} for _, values in seen.gone[1].examples)
    assert len(seen.gone[2].examples) == min(EXAMPLES, answers)


def test_rows_that_go_of_themselves_are_told_from_those_that_go_with_their_parents(raw: Any) -> None:
    # One reason, two causes: no such question at all, and a question that goes for a value of its own.
    answer = "INSERT INTO user_answers (id, user_id, question_id, selected_answer, is_correct, answered_at) VALUES "
    raw.edit(
        "INSERT INTO questions (id, exam_id, objective_id, text, answers, created_at, updated_at) "
        "VALUES (900, 1, 1, X'00', '[]', NULL, NULL)",
        answer + "(9001, 1, 900, 'a', 1, NULL), (9002, 1, 900, 'a', 1, NULL), (9003, 1, 901, 'a', 1, NULL)",
        answer + "(9004, 1, 900, X'00', 1, NULL)",
    )
    seen = look(raw)
    reason = "rejected: no such row in questions (question_id)"
    assert {(g.table, g.reason, g.with_parent): g.examples for g in seen.gone} == {
        ("questions", "rejected: blob (text)", False): (("900", {"text": b"\0"}),),
        ("user_answers", "rejected: blob (selected_answer)", False): (("9004", {"selected_answer": b"\0"}),),
        ("user_answers", reason, True): (("9001", {"question_id": 900}), ("9002", {"question_id": 900})),
        ("user_answers", reason, False): (("9003", {"question_id": 901}),),
    }
    assert seen.rejected["user_answers"] == {reason: 3, "rejected: blob (selected_answer)": 1}
    assert (seen.rejected_rows, seen.rows_with_parents) == (5, 2)


def test_a_chain_of_parents_within_one_table_is_followed_to_its_end(raw: Any) -> None:
    raw.edit(
        "INSERT INTO objectives (id, exam_id, code, name, parent_id, created_at) VALUES "
        "(901, 1, 'a', 'n', 999, NULL), (902, 1, 'b', 'n', 901, NULL), (903, 1, 'c', 'n', 902, NULL)"
    )
    seen = look(raw)
    assert seen.rejected == {
        "objectives": {
            "rejected: its parent in objectives is rejected (parent_id)": 2,
            "rejected: no such row in objectives (parent_id)": 1,
        }
    }
    assert {g.with_parent: g.examples for g in seen.gone} == {
        True: (("902", {"parent_id": 901}), ("903", {"parent_id": 902})),
        False: (("901", {"parent_id": 999}),),
    }


def test_a_source_column_of_any_name_does_not_come_between(raw: Any) -> None:
    for name in ("reason", "with_parent", "kind", "row", "place", "number", "key", "problem", "ptp_reason"):
        raw.edit(f"ALTER TABLE objectives ADD COLUMN {name} TEXT DEFAULT 'x'")
    raw.edit(
        "UPDATE objectives SET parent_id = NULL",
        "INSERT INTO objectives (id, exam_id, code, name, is_active, created_at) VALUES (901, 99, 'a', 'n', 7, NULL)",
    )
    seen = look(raw)
    assert kinds(seen) == {("objectives", "is_active", "rejected: not a boolean"): 1}
    assert [(g.reason, g.examples) for g in seen.gone] == [
        ("rejected: no such row in exams (exam_id)", (("901", {"exam_id": 99}),))
    ]


def test_twins_are_counted_where_the_source_has_no_unique_index(drizzle: Any) -> None:
    drizzle.edit("DROP INDEX users_email_unique", "UPDATE users SET email = 'twin@x' WHERE id IN (2, 3, 4)")
    seen = look(drizzle)
    assert seen.rejected["users"] == {"rejected: an earlier row has the same value (email)": 2}
    (twins,) = (g for g in seen.gone if g.table == "users")
    assert twins.examples == (("3", {"email": "twin@x"}), ("4", {"email": "twin@x"}))
    assert not twins.with_parent
    assert seen.rows_with_parents == seen.rejected_rows - 2


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
    assert {k: n for k, n in rows.items() if not k[1].startswith("(whole row")} == due
    below = ("objectives", "(whole row, with its parent)", "rejected: its parent in objectives is rejected (parent_id)")
    assert rows["objectives", "(whole row)", "rejected: no such row in exams (exam_id)"] == 1
    assert rows[below] == 1
    assert len(rows) == len(due) + 2
    assert "; 1 rows would go whole, and 1 more with their parents. Nothing was changed." in str(refused.value)
    assert str(written) in str(refused.value)
    assert stopped(case.out).tables["Dirt"] == stage["tables"]["Dirt"]
    examples = {(r["table"], r["column"], r["problem"]): r["examples"] for r in stage["tables"]["Dirt"]}
    assert examples["objectives", "(whole row)", "rejected: no such row in exams (exam_id)"] == (
        "key 901: exam_id integer 99"
    )
    assert examples[below] == "key 902: parent_id integer 901"
    (finding,) = (r for r in stage["results"] if r["id"] == "migrate.conversions")
    assert len(finding["where"]) == len(rows)
    assert (finding["verdict"], finding["value"]) == ("fail", sum(due.values()) + 2)


def test_personal_values_are_masked_in_the_examples(drizzle: Any) -> None:
    drizzle.edit(
        "DROP INDEX users_email_unique",
        "UPDATE users SET email = CAST('secret@x' AS BLOB), bio = X'00' WHERE id = 2",
        "UPDATE users SET email = 'secret@y', provider = 'shown' WHERE id IN (3, 4)",
        "UPDATE audit_log SET old_values = '{secret' WHERE id = 1",
    )
    with pytest.raises(DirtySource) as refused:
        drizzle.migrate()
    (written,) = drizzle.out.rglob("*.json")
    text = written.read_text(encoding="utf-8")
    assert "secret" not in text + str(refused.value)
    assert b"secret".hex() not in text.lower()
    examples = {(r["table"], r["column"], r["problem"]): r["examples"] for r in stopped(drizzle.out).tables["Dirt"]}
    assert examples["users", "email", "rejected: blob"] == "key 2: blob of 8 (personal, masked)"
    twins = ("users", "(whole row)", "rejected: an earlier row has the same value (email)")
    assert examples[twins] == "key 4: email text of 8 (personal, masked)"
    assert "text 'shown'" in "".join(v for k, v in examples.items() if k[:2] == ("users", "provider"))


def test_the_report_and_the_results_list_the_dirt_of_a_run_that_it_stopped(raw: Any, tmp_path: Any) -> None:
    raw.edit("UPDATE users SET created_at = 'now' WHERE id = 2", "UPDATE objectives SET exam_id = 99 WHERE id = 1")
    with pytest.raises(DirtySource) as refused:
        raw.migrate()
    stage = stopped(raw.out)
    run = Run("r", "source.db", "target.db", "quick", "dev", "2025-03-01T10:00:00+00:00", 1.0)
    write_run(raw.out, run)
    write_report(raw.out, Evidence(run, (stage,), "fail", str(refused.value)))
    page = unescape((raw.out / "migration.html").read_text(encoding="utf-8"))
    for row in stage.tables["Dirt"]:
        for name in ("table", "column", "problem", "examples"):
            assert row[name] in page


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
