"""Head: the steps build what the models say, with the columns and rules that the sources have."""

import importlib.util
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ptp.migration.steps import load_steps
from ptp.resources import folder
from ptp.schema import Base
from ptp.schema.ddl import derived_statements, model_statements

ROOT = Path(__file__).parents[2]
FACTS: dict[str, dict[str, Any]] = json.loads((ROOT / "tests/facts/source-schemas.json").read_text(encoding="utf-8"))
STEPS = load_steps(folder("sql"))
HEAD = [t for t in FACTS["drizzle"] if t != "voice_profiles"]
Schema = list[tuple[str, str, str]]


def schema(db: sqlite3.Connection) -> Schema:
    rows = db.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite_s%'")
    return sorted((kind, name, re.sub(r"\s+", " ", sql)) for kind, name, sql in rows)


@pytest.fixture(scope="module")
def head() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        for step in STEPS:
            for sql in step.up:
                db.execute(sql)
        yield db


def ddl(head: sqlite3.Connection, table: str) -> str:
    text: str = head.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (table,)).fetchone()[0]
    return text


DERIVED = ("question_cells", "question_pool", "leaderboard_nodes", "ai_cost_days", "question_search")
HEAD_ONLY = {"questions": ["total_time_seconds"], "user_answers": ["request_key"]}


def test_there_are_the_14_tables_and_what_is_derived_from_them(head: sqlite3.Connection) -> None:
    tables = head.execute("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type <> 'shadow'")
    assert {name for (name,) in tables} - {"sqlite_schema", "sqlite_sequence"} == {*HEAD, *DERIVED}
    assert len(HEAD) == 14
    assert head.execute("SELECT count(*) FROM sqlite_schema WHERE type = 'view'").fetchone() == (0,)
    triggers = head.execute("SELECT name, tbl_name FROM sqlite_schema WHERE type = 'trigger'").fetchall()
    # Three for each thing that is derived, and none that would change a row of the 14 tables.
    assert len(triggers) == 12 and {table for _, table in triggers} == {
        "questions",
        "user_progress",
        "ai_generation_log",
    }


def test_the_steps_build_exactly_the_models(head: sqlite3.Connection) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        for sql in (*model_statements(), *derived_statements(STEPS)):
            db.execute(sql)
        assert schema(head) == schema(db)


def test_the_models_as_sqlalchemy_creates_them_are_head(head: sqlite3.Connection) -> None:
    """A second way to the models: the pragmas of what `create_all` makes."""
    from sqlalchemy import create_engine

    made: list[Any] = []
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        Base.metadata.create_all(connection)
        for name in HEAD:
            made.append([tuple(r) for r in connection.exec_driver_sql(f"PRAGMA table_xinfo({name})")])
            made.append(sorted(r[1] for r in connection.exec_driver_sql(f"PRAGMA index_list({name})")))
    engine.dispose()
    found: list[Any] = []
    for name in HEAD:
        found.append(head.execute(f"PRAGMA table_xinfo({name})").fetchall())
        found.append(sorted(r[1] for r in head.execute(f"PRAGMA index_list({name})")))
    assert made == found


def test_schema_sql_is_what_the_tool_writes(head: sqlite3.Connection) -> None:
    spec = importlib.util.spec_from_file_location("write_schema", ROOT / "tools" / "write_schema.py")
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    written = (ROOT / "sql" / "schema.sql").read_text(encoding="utf-8")
    assert written == tool.schema_text()
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(written)
        assert schema(db) == schema(head)


@pytest.mark.parametrize("count", range(1, len(STEPS) + 1))
def test_the_down_of_every_step_undoes_its_up(count: int) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        for step in STEPS[: count - 1]:
            for sql in step.up:
                db.execute(sql)
        before = schema(db)
        for part in (STEPS[count - 1].up, STEPS[count - 1].down):
            for sql in part:
                db.execute(sql)
        assert schema(db) == before
        for sql in STEPS[count - 1].up:  # and it can go up again
            db.execute(sql)


def test_all_downs_in_reverse_order_leave_nothing() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute("PRAGMA foreign_keys = ON")
        for step in STEPS:
            for sql in step.up:
                db.execute(sql)
        for step in reversed(STEPS):
            for sql in step.down:
                db.execute(sql)
        assert schema(db) == []


@pytest.mark.parametrize("table", HEAD)
def test_columns_have_the_names_and_order_of_the_drizzle_shape(head: sqlite3.Connection, table: str) -> None:
    found = [row[1] for row in head.execute(f"PRAGMA table_info({table})")]
    assert found == [c["name"] for c in FACTS["drizzle"][table]["columns"]] + HEAD_ONLY.get(table, [])


@pytest.mark.parametrize("table", HEAD)
def test_types_are_those_that_the_meaning_of_a_column_asks_for(head: sqlite3.Connection, table: str) -> None:
    found = {row[1]: row[2] for row in head.execute(f"PRAGMA table_info({table})")}
    for column in FACTS["drizzle"][table]["columns"]:
        meaning = column["meaning"]
        numbers = meaning.startswith(("integer", "boolean", "unix"))
        expected = "INTEGER" if numbers else "REAL" if meaning == "real" else "TEXT"
        assert found[column["name"]] == expected, (column["name"], meaning)
    assert ddl(head, table).endswith(") STRICT")


@pytest.mark.parametrize("table", HEAD)
def test_not_null_and_primary_keys_are_those_of_the_drizzle_shape(head: sqlite3.Connection, table: str) -> None:
    found = {r[1]: (bool(r[3]), bool(r[5])) for r in head.execute(f"PRAGMA table_info({table})")}
    expected = {c["name"]: (c["not_null"], c["primary_key"]) for c in FACTS["drizzle"][table]["columns"]}
    assert found == expected | dict.fromkeys(HEAD_ONLY.get(table, []), (False, False))


@pytest.mark.parametrize("table", HEAD)
def test_defaults_are_those_of_the_drizzle_shape(head: sqlite3.Connection, table: str) -> None:
    """Compared by the value that an INSERT gets; the current time and random ids by their form."""
    with closing(sqlite3.connect(":memory:")) as db:
        for column in FACTS["drizzle"][table]["columns"]:
            ((told,),) = head.execute(
                "SELECT dflt_value FROM pragma_table_info(?) WHERE name = ?", (table, column["name"])
            ).fetchall()
            if column["default"] == "CURRENT_TIMESTAMP":
                assert told == "unixepoch()", column["name"]
            elif column["default"] is None:
                assert told is None, column["name"]
            elif "random" in column["default"]:
                assert re.fullmatch("[0-9a-f]{32}", db.execute(f"SELECT {told}").fetchone()[0])
            else:
                # what is stored: head's REAL columns turn 0 into 0.0, which the source's REAL affinity does too
                assert db.execute(f"SELECT ({told}) = ({column['default']})").fetchone() == (1,), column["name"]


@pytest.mark.parametrize("table", HEAD)
def test_foreign_keys_keep_their_parents_and_actions(head: sqlite3.Connection, table: str) -> None:
    found = {
        (r[3], f"{r[2]}({r[4]})", r[6], r[5]) for r in head.execute(f"PRAGMA foreign_key_list({table})").fetchall()
    }
    assert found == {
        (k["column"], k["references"], k["on_delete"], "NO ACTION") for k in FACTS["drizzle"][table]["foreign_keys"]
    }


@pytest.mark.parametrize("table", HEAD)
def test_autoincrement_stands_where_the_source_has_it(head: sqlite3.Connection, table: str) -> None:
    assert ("AUTOINCREMENT" in ddl(head, table)) is FACTS["drizzle"][table]["autoincrement"]


RULES = [(table, rule) for table, facts in FACTS["raw"].items() for rule in facts["checks"]]


def test_the_raw_shape_has_13_rules() -> None:
    assert len(RULES) == 13


@pytest.mark.parametrize(("table", "rule"), RULES)
def test_the_rules_of_the_raw_shape_are_kept(head: sqlite3.Connection, table: str, rule: str) -> None:
    assert f"CHECK ({' '.join(rule.split())})" in " ".join(ddl(head, table).split())


@pytest.mark.parametrize("table", HEAD)
def test_unique_keys_of_the_source_are_kept(head: sqlite3.Connection, table: str) -> None:
    found = set()
    for _, name, unique, *_ in head.execute(f"PRAGMA index_list({table})").fetchall():
        if unique:
            found.add(tuple(r[2] for r in head.execute(f"PRAGMA index_info({name})")))
    wanted = {tuple(i["columns"]) for i in FACTS["drizzle"][table]["indexes"] if i["unique"]}
    assert wanted <= found


GOOD = {
    "questions": "INSERT INTO questions (id, exam_id, objective_id, text, answers) VALUES (1, 1, 1, 't', '[]')",
    "users": "INSERT INTO users (id, email, name) VALUES (1, 'a@b', 'a')",
    "exams": "INSERT INTO exams (id, vendor_id, code, name) VALUES (1, 'v', 'c', 'n')",
    "engagement_opportunities": (
        "INSERT INTO engagement_opportunities (id, tweet_id, account_id) VALUES ('1', 't', 'a')"
    ),
    "user_progress": "INSERT INTO user_progress (id, user_id, exam_id) VALUES (1, 1, 1)",
}


@pytest.mark.parametrize(
    ("table", "column", "good", "bad"),
    [
        ("users", "role", "'admin'", "'root'"),
        ("users", "created_at", "0", "-1"),
        ("users", "created_at", "4102444799", "4102444800"),
        ("users", "created_at", "NULL", "'2025-03-01 10:00:00'"),
        ("users", "is_active", "0", "2"),
        ("users", "permissions", "'[]'", "'[1,]'"),
        ("users", "permissions", "NULL", "''"),
        ("users", "login_count", "7", "'seven'"),
        ("exams", "passing_score", "1", "1.01"),
        ("exams", "difficulty_level", "5", "6"),
        ("questions", "type", "'hotspot'", "'essay'"),
        ("questions", "answers", "'{}'", "NULL"),
        ("questions", "review_status", "'approved'", "'Approved'"),
        ("engagement_opportunities", "opportunity_type", "'quote'", "'like'"),
        ("engagement_opportunities", "status", "'executed'", "'done'"),
        ("user_progress", "last_study_date", "'2024-02-29'", "'2025-02-29'"),
        ("user_progress", "last_study_date", "NULL", "'2025-03-01 10:00:00'"),
    ],
)
def test_head_itself_refuses_what_breaks_a_rule(
    head: sqlite3.Connection, table: str, column: str, good: str, bad: str
) -> None:
    head.execute("BEGIN")
    try:
        head.execute(GOOD[table])
        head.execute(f"UPDATE {table} SET {column} = {good}")
        with pytest.raises(sqlite3.IntegrityError):
            head.execute(f"UPDATE {table} SET {column} = {bad}")
    finally:
        head.execute("ROLLBACK")


INDEXES = [(t.name, i) for t in Base.metadata.sorted_tables for i in sorted(t.indexes, key=lambda i: str(i.name))]


@pytest.mark.parametrize("index", [i for _, i in INDEXES], ids=[str(i.name) for _, i in INDEXES])
def test_every_index_says_what_it_serves(index: Any) -> None:
    assert index.info["serves"].strip()


Keys = dict[str, tuple[list[tuple[Any, ...]], bool, str]]


def useless_indexes(db: sqlite3.Connection, table: str) -> list[tuple[str, str]]:
    """Indexes of `table` that another one, over the same rows, makes needless: (needless, the other)."""
    keys: Keys = {}
    for _, name, unique, *_ in db.execute(f"PRAGMA index_list({table})").fetchall():
        parts = db.execute(f"PRAGMA index_xinfo({name})").fetchall()
        sql = db.execute("SELECT coalesce(sql, '') FROM sqlite_schema WHERE name = ?", (name,)).fetchone()[0]
        where = " ".join(sql.upper().partition(" WHERE ")[2].split())
        keys[name] = [(p[2], p[3], p[4]) for p in parts if p[5]], bool(unique), where
    found = []
    for a, (short, unique, where) in keys.items():
        for b, (long, other_unique, other_where) in keys.items():
            begins = long[: len(short)] == short and where == other_where
            twin_of_unique = len(short) == len(long) and other_unique and a > b
            if a != b and begins and (not unique or twin_of_unique):
                found.append((a, b))
        if [p[0] for p in short] == ["id"] and not a.startswith("sqlite_autoindex"):
            found.append((a, "the primary key"))
    return found


@pytest.mark.parametrize("table", HEAD)
def test_no_index_is_a_twin_or_the_beginning_of_another(head: sqlite3.Connection, table: str) -> None:
    assert useless_indexes(head, table) == []


@pytest.mark.parametrize(
    ("made", "needless"),
    [
        ("CREATE INDEX i ON user_answers (user_id)", "i"),
        ("CREATE INDEX i ON user_answers (user_id, answered_at)", "i"),
        ("CREATE INDEX i ON user_answers (user_id, answered_at, id)", "idx_answers_user_time"),
        ("CREATE INDEX i ON user_answers (test_attempt_id) WHERE test_attempt_id  is not null", "i"),
        ("CREATE INDEX i ON users (email)", "i"),
        ("CREATE UNIQUE INDEX i ON users (email)", None),
        ("CREATE INDEX i ON users (id)", "i"),
        ("CREATE INDEX i ON user_answers (user_id DESC)", None),
        ("CREATE INDEX i ON user_answers (test_attempt_id) WHERE test_attempt_id > 5", None),
    ],
)
def test_the_check_of_indexes_sees_a_planted_one(head: sqlite3.Connection, made: str, needless: str | None) -> None:
    table = made.split(" ON ")[1].split()[0]
    head.execute("BEGIN")
    try:
        head.execute(made)
        found = {a for a, _ in useless_indexes(head, table)}
        if made.startswith("CREATE UNIQUE"):
            assert len(found) == 1, "one of two unique twins"
        else:
            assert needless in found or (needless is None and not found)
    finally:
        head.execute("ROLLBACK")


@pytest.mark.parametrize("table", HEAD)
def test_every_foreign_key_has_an_index_that_begins_with_it(head: sqlite3.Connection, table: str) -> None:
    first = set()
    for _, name, *_ in head.execute(f"PRAGMA index_list({table})").fetchall():
        first.add(head.execute(f"PRAGMA index_info({name})").fetchone()[2])
    assert {r[3] for r in head.execute(f"PRAGMA foreign_key_list({table})")} <= first
