"""Quarantine: every value and row that does not convert exactly is kept, in its class and to the byte."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from ptp.errors import DirtySource
from ptp.workbench.migrating import plan_of

NOON = 1740823200  # 2025-03-01 10:00:00
GOOD = "'2025-03-01 10:00:00'"

# column, the source's value as SQL, what the target takes (None: NULL), how the reason begins
DIRT: list[tuple[str, str, int | None, str]] = [
    ("created_at", "'2025-03-01T10:00:00.123Z'", NOON, "rounded: fraction of a second"),
    ("created_at", "1740823200.5", NOON, "rounded: fraction of a second"),
    ("created_at", "'2025-02-29 00:00:00'", None, "rejected: no such date"),
    ("created_at", "'2025-02-30 10:00:00'", None, "rejected: no such date"),
    ("created_at", "'2025-13-01 00:00:00'", None, "rejected: no such date"),
    ("updated_at", "'2025-04-31 00:00:00'", None, "rejected: no such date"),
    ("updated_at", "'2025-03-01 24:00:00'", None, "rejected: no such time"),
    ("updated_at", "'2025-03-01 23:59:60'", None, "rejected: no such time"),
    ("updated_at", "'10:00:00'", None, "rejected: no date"),
    ("last_login", "'now'", None, "rejected: not a time"),
    ("last_login", "'CURRENT_TIMESTAMP'", None, "rejected: not a time"),
    ("last_login", "''", None, "rejected: empty"),
    ("last_login", "' 2025-03-01 10:00:00'", None, "rejected: surrounding space"),
    ("last_login", "'2025-03-01 10:00:00 '", None, "rejected: surrounding space"),
    ("last_login", "'2025-3-1 10:00:00'", None, "rejected: not ISO 8601"),
    ("last_login", "'01/03/2025'", None, "rejected: not ISO 8601"),
    ("last_login", "CAST(X'323032352D30332D303120000A' AS TEXT)", None, "rejected: not ISO 8601"),
    ("last_login", "CAST(X'323032352D30332D3031FF' AS TEXT)", None, "rejected: not ISO 8601"),
    ("subscription_expires_at", "'1969-12-31 23:59:59'", None, "rejected: out of range"),
    ("subscription_expires_at", "'2100-01-01 00:00:00'", None, "rejected: out of range"),
    ("subscription_expires_at", "-1", None, "rejected: out of range"),
    ("subscription_expires_at", "4102444800", None, "rejected: out of range"),
    ("subscription_expires_at", "1740823200000", None, "rejected: looks like milliseconds"),
    ("subscription_expires_at", "2460736.5", None, "rejected: out of range (looks like a Julian day)"),
    ("subscription_expires_at", "X'00'", None, "rejected: blob"),
    ("is_active", "2", None, "rejected: not a boolean"),
    ("is_active", "-1", None, "rejected: not a boolean"),
    ("is_active", "'t'", None, "rejected: not a boolean"),
    ("is_active", "'yes'", None, "rejected: not a boolean"),
    ("email_verified", "''", None, "rejected: not a boolean"),
    ("email_verified", "X'01'", None, "rejected: not a boolean"),
    ("email_verified", "0.5", None, "rejected: not a boolean"),
    ("email_verified", "CAST(X'7472756500' AS TEXT)", None, "rejected: not a boolean"),
    ("permissions", "''", None, "rejected: not JSON"),
    ("permissions", """'[{"id":"a",'""", None, "rejected: not JSON"),
    ("permissions", """'{''a'':1}'""", None, "rejected: not JSON"),
    ("permissions", "'[1,]'", None, "rejected: not JSON"),
    ("permissions", "'NaN'", None, "rejected: not JSON"),
    ("permissions", "'[NaN]'", None, "rejected: not JSON"),
    ("permissions", "'{a:1}'", None, "rejected: not JSON"),
    ("permissions", "'// c'", None, "rejected: not JSON"),
    ("permissions", "X'0C'", None, "rejected: blob"),
    ("permissions", "CAST(X'5B5D00' AS TEXT)", None, "rejected: not JSON"),
    ("login_count", "'12 seconds'", None, "rejected: not an integer"),
    ("login_count", "1.5", None, "rejected: not an integer"),
    ("login_count", "X'31'", None, "rejected: not an integer"),
    ("login_count", "9223372036854775808", None, "rejected: not an integer"),
    ("login_count", "CAST(X'FF00FE' AS TEXT)", None, "rejected: not an integer"),
    ("bio", "X'FFFE00'", None, "rejected: blob"),
    ("timezone", "X''", None, "rejected: blob"),
    ("provider", "'GOOGLE'", None, "rejected: breaks the rule IN ('google', 'email')"),
    ("provider", "'google '", None, "rejected: breaks the rule"),
    ("provider", "CAST(X'676F6F676C6500' AS TEXT)", None, "rejected: breaks the rule"),
    ("role", "CAST(X'75736572FF' AS TEXT)", None, "rejected: breaks the rule"),
    ("role", "'root'", None, "rejected: breaks the rule IN ('user', 'admin', 'moderator')"),
    ("subscription_status", "''", None, "rejected: breaks the rule"),
    ("subscription_status", "X'66726565'", None, "rejected: blob"),
]

# These take their whole row: the column is NOT NULL and has no constant to stand in.
ROWS: list[tuple[str, str, str]] = [
    ("email", "X'6140'", "rejected: blob (email)"),
    ("name", "X''", "rejected: blob (name)"),
]

EXACT: list[tuple[str, str]] = [
    ("bio", "CAST(X'61006200' AS TEXT)"),
    ("bio", "CAST(X'FFFEC328' AS TEXT)"),
    ("bio", "'‮abc'"),
    ("name", "''"),
    ("name", "' padded '"),
    ("permissions", """'{"a":1,"a":2}'"""),
    ("permissions", "'1e400'"),
    ("permissions", "NULL"),
    ("login_count", "-9223372036854775808"),
    ("login_count", "9007199254740993"),
    ("provider", "NULL"),
    ("created_at", "NULL"),
]


def exactly(column: str) -> str:
    """SQL for a value with its class and its bytes."""
    return (
        f"typeof({column}) || ':' || CASE typeof({column}) WHEN 'null' THEN '' "
        f"WHEN 'real' THEN printf('%!.20g', {column}) WHEN 'integer' THEN {column} ELSE hex(CAST({column} AS BLOB)) END"
    )


def soiled(small: Any, shape: str, **options: Any) -> tuple[Any, dict[int, tuple[str, str]]]:
    """A source with one user for every kind of dirt, and for some exact oddities; what each holds, by id."""
    case = small(shape, {}, **options)
    held: dict[int, tuple[str, str]] = {}
    cells = [(d[0], d[1]) for d in DIRT] + [(r[0], r[1]) for r in ROWS] + EXACT
    for number, (column, value) in enumerate(cells, start=1):
        cell = {"email": f"'u{number}@x'", "name": "'n'", "created_at": GOOD, "updated_at": GOOD}
        cell[column] = value
        case.edit(f"INSERT INTO users (id, {', '.join(cell)}) VALUES ({number}, {', '.join(cell.values())})")
        held[number] = (column, value)
    return case, held


def kept_values(case: Any) -> list[tuple[Any, ...]]:
    return case.ask(
        f"SELECT table_name, row_key, column_name, {exactly('original')}, placeholder, reason "
        "FROM ptp_quarantine WHERE kind = 'value' ORDER BY table_name, CAST(row_key AS INTEGER)"
    )


def conserved(case: Any) -> dict[str, tuple[int, int, int]]:
    """Hold, by plain counting and comparing, that no row and no value is lost; rows in, out and kept by table."""
    counts = {}
    for pair in plan_of(case.source).pairs.values():
        table, columns = pair.mapped.source, [c.source for c in pair.mapped.columns]
        key = "rowid" if table == "users" else "id"
        there = dict(_by_key(case.ask(f"SELECT id, {', '.join(map(exactly, columns))} FROM {table}")))
        kept: dict[str, dict[str, str]] = {}
        replaced: dict[tuple[str, str], str] = {}
        sql = f"SELECT kind, row_key, column_name, {exactly('original')} FROM ptp_quarantine WHERE table_name = ?"
        for kind, row_key, column, original in case.ask(sql, table):
            if kind == "row":
                assert column not in kept.setdefault(row_key, {}), "kept twice"
                kept[row_key][column] = original
            else:
                assert (row_key, column) not in replaced, "kept twice"
                replaced[row_key, column] = original
        rows = dict(_by_key(case.ask_source(f"SELECT {key}, {', '.join(map(exactly, columns))} FROM {table}")))
        counts[table] = (len(rows), len(there), len(kept))
        assert len(rows) == len(there) + len(kept)
        for row_key, values in rows.items():
            before = dict(zip(columns, values, strict=True))
            written = f"'{row_key}'" if isinstance(row_key, str) else str(row_key)
            if row_key not in there:
                assert kept[written] == before
                continue
            after = dict(zip(columns, there[row_key], strict=True))
            for column in columns:
                if (written, column) in replaced:
                    assert replaced.pop((written, column)) == before[column]
                elif "date" not in column and not column.endswith(("_at", "_login", "_activity")):
                    numbers = (before[column].replace("integer:", "real:"), after[column].removesuffix(".0"))
                    assert before[column] == after[column] or numbers[0] == numbers[1]
        assert not replaced, "kept without need"
    return counts


def _by_key(rows: list[tuple[Any, ...]]) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    return ((row[0], row[1:]) for row in rows)


@pytest.mark.parametrize("shape", ["raw", "drizzle"])
def test_every_kind_of_dirt_is_kept_verbatim_beside_what_took_its_place(small: Any, shape: str) -> None:
    case, held = soiled(small, shape)
    case.migrate(on_dirty="quarantine")
    originals = {
        number: case.ask_source(f"SELECT {exactly(column)} FROM users WHERE id = {number}")[0][0]
        for number, (column, _) in held.items()
    }
    found = {int(key): rest for _, key, *rest in kept_values(case)}
    assert sorted(found) == list(range(1, len(DIRT) + 1))
    for number, (column, _, placeholder, reason) in enumerate(DIRT, start=1):
        name, original, stands, why = found[number]
        assert (name, original, stands) == (column, originals[number], placeholder)
        assert why.startswith(reason)
        assert case.ask(f"SELECT {column} FROM users WHERE id = {number}") == [(placeholder,)]
    assert conserved(case)["users"] == (len(held), len(held) - len(ROWS), len(ROWS))
    assert case.failing() == {}


@pytest.mark.parametrize("shape", ["raw", "drizzle"])
def test_a_row_that_cannot_stand_is_kept_whole_with_every_column(small: Any, shape: str) -> None:
    case, _ = soiled(small, shape)
    case.migrate(on_dirty="quarantine")
    columns = [name for (name,) in case.ask_source("SELECT name FROM pragma_table_xinfo('users')")]
    for number, (_, _, reason) in enumerate(ROWS, start=len(DIRT) + 1):
        kept = case.ask(
            f"SELECT column_name, {exactly('original')}, placeholder, reason FROM ptp_quarantine "
            "WHERE kind = 'row' AND table_name = 'users' AND row_key = ? ORDER BY id",
            str(number),
        )
        there = case.ask_source(f"SELECT {', '.join(map(exactly, columns))} FROM users WHERE id = {number}")[0]
        assert [k[0] for k in kept] == columns
        assert tuple(k[1] for k in kept) == there
        assert {k[2:] for k in kept} == {(None, reason)}


@pytest.mark.parametrize("shape", ["raw", "drizzle"])
def test_odd_values_that_are_exact_pass_with_their_bytes(small: Any, shape: str) -> None:
    case, _ = soiled(small, shape)
    case.migrate(on_dirty="quarantine")
    first = len(DIRT) + len(ROWS) + 1
    for number, (column, _) in enumerate(EXACT, start=first):
        sql = f"SELECT {exactly(column)} FROM users WHERE id = {number}"
        assert case.ask(sql) == case.ask_source(sql)


def test_dirt_in_a_database_of_utf_16_is_kept_and_verified_too(small: Any) -> None:
    case = small("raw", {}, setup=("PRAGMA encoding = 'UTF-16le'",))
    case.edit(
        "INSERT INTO users (id, email, name, created_at, bio) VALUES (1, 'é@x', 'n', 'müll', 'b')",
        "INSERT INTO users (id, email, name, created_at) VALUES (2, X'00', 'n', '2025-03-01 10:00:00')",
        "UPDATE users SET updated_at = NULL",
    )
    case.migrate(on_dirty="quarantine")
    assert case.ask("SELECT row_key, original FROM ptp_quarantine WHERE kind = 'value'") == [("1", "müll")]
    assert case.failing() == {}


def test_a_document_that_is_nested_too_deep_is_kept(small: Any) -> None:
    deep = "[" * 1001 + "]" * 1001
    user = {"id": 1, "email": "a@x", "name": "n", "permissions": deep, "created_at": None, "updated_at": None}
    case = small("raw", {"users": [user]})
    case.migrate(on_dirty="quarantine")
    assert case.ask("SELECT original, placeholder, reason FROM ptp_quarantine") == [
        (deep, None, "rejected: JSON nested too deep")
    ]
    assert case.failing() == {}


@pytest.mark.parametrize("name", ["CAST(X'FF' AS TEXT)", "'é'", "CAST(X'6100' AS TEXT)"])
def test_a_reference_of_any_bytes_to_nothing_and_twins_of_any_bytes_are_kept(drizzle: Any, name: str) -> None:
    drizzle.edit(
        f"INSERT INTO tweets (id, account_id, text, created_at) VALUES ('t', {name}, 't', 1)",
        "DROP INDEX users_email_unique",
        f"INSERT INTO users (id, email, name, created_at, updated_at) VALUES (901, {name}, 'n', 1, 1)",
        f"INSERT INTO users (id, email, name, created_at, updated_at) VALUES (902, {name}, 'n', 1, 1)",
    )
    drizzle.migrate(on_dirty="quarantine")
    assert rejected(drizzle) == {
        "tweets": {"rejected: no such row in twitter_accounts (account_id)": 1},
        "users": {"rejected: an earlier row has the same value (email)": 1},
    }
    assert drizzle.failing() == {}


def rejected(case: Any) -> dict[str, Counter[str]]:
    rows = case.ask("SELECT DISTINCT table_name, row_key, reason FROM ptp_quarantine WHERE kind = 'row'")
    found: dict[str, Counter[str]] = {}
    for table, _, reason in rows:
        found.setdefault(table, Counter())[reason] += 1
    return found


def test_an_orphan_goes_whole_and_so_do_its_children_and_their_children(raw: Any) -> None:
    raw.edit(
        "INSERT INTO objectives (id, exam_id, code, name, created_at) VALUES (900, 999, 'c', 'n', NULL)",
        "INSERT INTO questions (id, exam_id, objective_id, text, answers, created_at, updated_at) "
        "VALUES (900, 1, 900, 't', '[]', NULL, NULL)",
        "INSERT INTO user_answers (id, user_id, question_id, selected_answer, is_correct, answered_at) "
        "VALUES (9000, (SELECT min(id) FROM users), 900, 'a', 1, NULL)",
    )
    raw.migrate(on_dirty="quarantine")
    assert rejected(raw) == {
        "objectives": {"rejected: no such row in exams (exam_id)": 1},
        "questions": {"rejected: no such row in objectives (objective_id)": 1},
        "user_answers": {"rejected: no such row in questions (question_id)": 1},
    }
    conserved(raw)
    assert raw.failing() == {}


def test_all_that_hangs_on_a_user_who_is_gone_goes_with_him(case: Any) -> None:
    user = case.ask_source("SELECT user_id FROM user_answers GROUP BY 1 ORDER BY count(*) DESC LIMIT 1")[0][0]
    case.edit(f"UPDATE users SET name = X'00' WHERE id = {user}")
    case.migrate(on_dirty="quarantine")
    found = rejected(case)
    assert found["users"] == {"rejected: blob (name)": 1}
    for table in ("user_answers", "study_sessions", "test_attempts", "user_progress"):
        due = case.ask_source(f"SELECT count(*) FROM {table} WHERE user_id = {user}")[0][0]
        assert sum(found.get(table, {}).values()) >= due
        assert case.ask(f"SELECT count(*) FROM {table} WHERE user_id = {user}") == [(0,)]
    assert case.ask("PRAGMA foreign_key_check") == []
    conserved(case)
    assert case.failing() == {}


def test_an_objective_passes_its_rejection_on_to_all_below_it(raw: Any) -> None:
    raw.edit(
        "INSERT INTO objectives (id, exam_id, code, name, parent_id, created_at) VALUES "
        "(900, 1, 'a', 'n', 901, NULL), (901, 1, 'b', 'n', 902, NULL), (902, 1, 'c', 'n', 999, NULL), "
        "(903, 1, 'd', 'n', 903, NULL), (904, 1, 'e', 'n', 905, NULL), (905, 1, 'f', 'n', 904, NULL), "
        "(906, 1, X'00', 'n', NULL, NULL), (907, 1, 'g', 'n', 906, NULL)",
        "INSERT INTO questions (id, exam_id, objective_id, text, answers, created_at, updated_at) "
        "VALUES (900, 1, 900, 't', '[]', NULL, NULL)",
    )
    raw.migrate(on_dirty="quarantine")
    assert rejected(raw) == {
        "objectives": {
            "rejected: no such row in objectives (parent_id)": 1,
            "rejected: blob (code)": 1,
            "rejected: its parent in objectives is rejected (parent_id)": 3,
        },
        "questions": {"rejected: no such row in objectives (objective_id)": 1},
    }
    # One that is its own parent, and two that are each other's, have all their rows.
    assert raw.ask("SELECT id FROM objectives WHERE id >= 900 ORDER BY id") == [(903,), (904,), (905,)]
    conserved(raw)
    assert raw.failing() == {}


def test_a_reference_that_is_no_integer_and_may_be_null_is_emptied_not_orphaned(raw: Any) -> None:
    raw.edit("UPDATE questions SET reviewed_by = 'nobody' WHERE id = (SELECT min(id) FROM questions)")
    raw.migrate(on_dirty="quarantine")
    assert rejected(raw) == {}
    assert [(r[2], r[4]) for r in kept_values(raw)] == [("reviewed_by", None)]
    assert raw.failing() == {}


def test_a_second_row_with_the_same_email_goes_where_the_source_has_no_unique_index(drizzle: Any) -> None:
    drizzle.edit(
        "DROP INDEX users_email_unique",
        "INSERT INTO users (id, email, name, created_at, updated_at) VALUES (901, 'Twin@x', 'n', 1, 1), "
        "(902, 'Twin@x', 'n', 1, 1), (903, 'twin@x', 'n', 1, 1), (904, 'Twin@x', 'n', 1, 1), (905, X'00', 'n', 1, 1), "
        "(906, X'00', 'n', 1, 1)",
        "INSERT INTO audit_log (id, user_id, action, created_at) VALUES (9001, 902, 'a', 1), (9002, 901, 'a', 1)",
    )
    drizzle.migrate(on_dirty="quarantine")
    assert rejected(drizzle) == {
        "users": {"rejected: an earlier row has the same value (email)": 2, "rejected: blob (email)": 2},
        "audit_log": {"rejected: no such row in users (user_id)": 1},
    }
    assert drizzle.ask("SELECT id FROM users WHERE id > 900 ORDER BY id") == [(901,), (903,)]
    conserved(drizzle)
    assert drizzle.failing() == {}


def test_twins_of_a_key_of_two_columns_are_found(drizzle: Any) -> None:
    drizzle.edit(
        "DROP INDEX idx_user_progress_user_exam",
        "INSERT INTO user_progress (id, user_id, exam_id, created_at, updated_at) "
        "SELECT id + 900, user_id, exam_id, 1, 1 FROM user_progress WHERE id = (SELECT min(id) FROM user_progress)",
    )
    drizzle.migrate(on_dirty="quarantine")
    assert rejected(drizzle) == {"user_progress": {"rejected: an earlier row has the same value (user_id, exam_id)": 1}}
    assert drizzle.failing() == {}


KEYS = ["'it''s'", "CAST(X'610062' AS TEXT)", "CAST(X'FF61' AS TEXT)", "''", "'1'", "'ü,''x'''"]


@pytest.mark.parametrize("key", KEYS)
def test_a_text_key_of_any_bytes_leads_to_its_entries(drizzle: Any, key: str) -> None:
    account = drizzle.ask_source("SELECT min(id) FROM twitter_accounts")[0][0]
    drizzle.edit(
        f"INSERT INTO tweets (id, account_id, text, created_at) VALUES ({key}, '{account}', 't', 'now')",
        f"INSERT INTO engagement_opportunities (id, tweet_id, account_id, created_at) "
        f"VALUES ({key}, {key}, 'no such account', 1)",
    )
    drizzle.migrate(on_dirty="quarantine")
    assert len(kept_values(drizzle)) == 1
    assert rejected(drizzle) == {
        "engagement_opportunities": {"rejected: no such row in twitter_accounts (account_id)": 1}
    }
    assert drizzle.failing() == {}


def test_every_shape_of_dirt_at_once_conserves_every_table(case: Any) -> None:
    case.edit(
        "UPDATE users SET created_at = 'now' WHERE id % 7 = 0",
        "UPDATE questions SET answers = '[1,]' WHERE id % 50 = 0",
        "UPDATE questions SET tags = '{a:1}', difficulty = 9 WHERE id % 49 = 0",
        "UPDATE user_answers SET is_correct = 2 WHERE id % 101 = 0",
        "UPDATE user_answers SET question_id = 77777 WHERE id % 103 = 0",
        "UPDATE user_answers SET answered_at = '2025-03-01T10:00:00.5Z' WHERE id % 107 = 0",
        "UPDATE study_sessions SET exam_id = 5 WHERE id % 20 = 0",
        "UPDATE test_attempts SET question_ids = X'00' WHERE id % 5 = 0",
        "UPDATE user_progress SET last_study_date = '2025-02-30', last_test_date = 20250301 WHERE id % 4 = 0",
        "UPDATE exams SET passing_score = 'high', difficulty_level = 0",
    )
    case.migrate(on_dirty="quarantine")
    kept = {table: numbers[2] for table, numbers in conserved(case).items()}
    assert all(kept[t] for t in ("questions", "user_answers", "study_sessions", "test_attempts"))
    assert {r[2] for r in kept_values(case)} >= {
        "created_at", "tags", "difficulty", "answered_at", "last_study_date", "last_test_date", "passing_score"
    }  # fmt: skip
    assert case.ask("PRAGMA foreign_key_check") == []
    assert case.failing() == {}


def test_a_clean_source_leaves_the_quarantine_empty(case: Any) -> None:
    case.migrate(on_dirty="quarantine")
    assert case.ask("SELECT count(*) FROM ptp_quarantine") == [(0,)]
    assert case.failing() == {}


def test_stop_names_what_it_found_and_leaves_no_trace(case: Any) -> None:
    case.edit("UPDATE users SET created_at = 'now' WHERE id = (SELECT min(id) FROM users)")
    before = case.source.read_bytes()
    with pytest.raises(DirtySource, match=r"users\.created_at: 1 rejected: not a time"):
        case.migrate()
    assert case.files() == {"source.db"}
    assert case.source.read_bytes() == before
    assert not (case.out / "backup").exists()
