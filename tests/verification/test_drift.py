"""Drift: whatever a rebuild can lose from a schema is found, and what is only written otherwise is not."""

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from ptp.engine import Inventory, read_inventory
from ptp.verification.drift import check_marks, check_schema, differences, tokens

BASE = """
CREATE TABLE parents (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL) STRICT;
CREATE TABLE t (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  parent_id INTEGER REFERENCES parents (id) ON DELETE CASCADE,
  name TEXT NOT NULL DEFAULT 'x' COLLATE NOCASE,
  score REAL DEFAULT 0.5,
  twice INTEGER GENERATED ALWAYS AS (score * 2) VIRTUAL,
  UNIQUE (parent_id, name),
  CONSTRAINT ck_score CHECK (score BETWEEN 0 AND 1)
) STRICT;
CREATE TABLE pairs (a TEXT NOT NULL, b TEXT NOT NULL, PRIMARY KEY (a, b)) STRICT, WITHOUT ROWID;
CREATE INDEX idx_score ON t (parent_id, score DESC) WHERE score IS NOT NULL;
CREATE INDEX idx_lower ON t (lower(name));
CREATE INDEX idx_name ON t (name COLLATE NOCASE);
CREATE UNIQUE INDEX idx_unique ON parents (name);
CREATE VIEW v AS SELECT id, name FROM t WHERE score > 0.5;
CREATE TRIGGER tr AFTER INSERT ON t BEGIN UPDATE parents SET name = 'x' WHERE id = NEW.parent_id; END;
"""


def inventory(script: str) -> Inventory:
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(script)
        return read_inventory(db)


def drift(script: str, own: tuple[str, ...] = ("ptp_",)) -> list[str]:
    return list(differences(inventory(script), inventory(BASE), own=own))


CHANGES = {
    "a CHECK that says less": ("BETWEEN 0 AND 1)", "BETWEEN 0 AND 2)", "table t: its text"),
    "a CHECK that is gone": (",\n  CONSTRAINT ck_score CHECK (score BETWEEN 0 AND 1)", "", "table t: its text"),
    "a WHERE that is gone": (" WHERE score IS NOT NULL", "", "index idx_score: differs"),
    "a WHERE that says otherwise": ("WHERE score IS NOT NULL", "WHERE score IS NULL", "index idx_score: differs"),
    "a DESC that is gone": ("score DESC", "score", "index idx_score: differs"),
    "columns of an index in another order": ("(parent_id, score DESC)", "(score DESC, parent_id)", "index idx_score"),
    "a COLLATE of a column that is gone": ("'x' COLLATE NOCASE", "'x'", "table t: its text"),
    "a COLLATE of an index that is gone": ("(name COLLATE NOCASE)", "(name)", "index idx_name: differs"),
    "another expression in an index": ("lower(name)", "upper(name)", "index idx_lower: differs"),
    "an index that is no longer UNIQUE": ("UNIQUE INDEX", "INDEX", "index idx_unique: differs"),
    "an index that is missing": ("CREATE INDEX idx_lower ON t (lower(name));", "", "index of t idx_lower is missing"),
    "an index too many": (
        "CREATE VIEW",
        "CREATE INDEX more ON t (score); CREATE VIEW",
        "index of t more is not expected",
    ),
    "a UNIQUE rule that is gone": ("  UNIQUE (parent_id, name),\n", "", "table t: its text"),
    "a trigger that says otherwise": ("SET name = 'x'", "SET name = 'X'", "trigger tr: its text"),
    "a trigger at another time": ("AFTER INSERT", "BEFORE INSERT", "trigger tr: its text"),
    "a view that says otherwise": ("score > 0.5", "score >= 0.5", "view v: its text"),
    "a view that is missing": (
        "CREATE VIEW v AS SELECT id, name FROM t WHERE score > 0.5;",
        "",
        "view or trigger v is missing",
    ),
    "a view too many": ("CREATE VIEW v", "CREATE VIEW w AS SELECT 1; CREATE VIEW v", "view or trigger w is not exp"),
    "STRICT that is gone": ("CHECK (score BETWEEN 0 AND 1)\n) STRICT", "CHECK (score BETWEEN 0 AND 1)\n)", "table t"),
    "WITHOUT ROWID that is gone": (" STRICT, WITHOUT ROWID", " STRICT", "table pairs: its text"),
    "AUTOINCREMENT that is gone": ("AUTOINCREMENT,\n", ",\n", "table t: its text"),
    "a default that is another": ("DEFAULT 0.5", "DEFAULT 0.6", "table t: columns differ (score)"),
    "a default in other case": ("DEFAULT 'x'", "DEFAULT 'X'", "table t: columns differ (name)"),
    "a NOT NULL that is gone": ("name TEXT NOT NULL DEFAULT", "name TEXT DEFAULT", "table t: columns differ (name)"),
    "a type that is another": ("score REAL", "score ANY", "table t: columns differ (score)"),
    "a foreign key that is gone": (" REFERENCES parents (id) ON DELETE CASCADE", "", "table t: foreign keys differ"),
    "another ON DELETE": ("ON DELETE CASCADE", "ON DELETE SET NULL", "table t: foreign keys differ"),
    "an ON UPDATE more": ("ON DELETE CASCADE", "ON DELETE CASCADE ON UPDATE CASCADE", "table t: its text"),
    "a foreign key that waits": ("ON DELETE CASCADE", "ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED", "its text"),
    "a generated column of another value": ("score * 2", "score * 3", "table t: its text"),
    "a generated column that is stored": ("VIRTUAL", "STORED", "table t"),
    "a column more": ("  score REAL", "  more INTEGER,\n  score REAL", "table t: columns differ (more)"),
    "a column that is gone": (
        "CREATE TABLE pairs (a TEXT NOT NULL, b TEXT NOT NULL, PRIMARY KEY (a, b))",
        "CREATE TABLE pairs (a TEXT NOT NULL, PRIMARY KEY (a))",
        "table pairs: columns differ (b)",
    ),
    "a table too many": ("CREATE VIEW", "CREATE TABLE more (x); CREATE VIEW", "table more is not expected"),
    "a primary key in another order": ("PRIMARY KEY (a, b)", "PRIMARY KEY (b, a)", "table pairs: columns differ"),
    "an ON CONFLICT more": ("UNIQUE (parent_id, name)", "UNIQUE (parent_id, name) ON CONFLICT IGNORE", "its text"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_it_finds(name: str) -> None:
    old, new, place = CHANGES[name]
    assert BASE.count(old) == 1
    found = drift(BASE.replace(old, new))
    assert any(place in text for text in found), found


def test_two_columns_in_another_order_are_found() -> None:
    other = BASE.replace("(a TEXT NOT NULL, b TEXT NOT NULL,", "(b TEXT NOT NULL, a TEXT NOT NULL,")
    assert any(text.startswith("table pairs: columns differ") for text in drift(other))


def test_a_table_that_is_missing_is_found() -> None:
    assert "table pairs is missing" in drift("".join(p for p in BASE.splitlines(True) if "pairs" not in p))


SAME = {
    "white space": BASE.replace("  ", "\t\t\n").replace("(id", "(\n id"),
    "quotes": BASE.replace("parents (", '"parents" (').replace("(score", "([score]"),
    "other quotes": BASE.replace("(name", "(`name`").replace(" id,", " `id`,"),
    "case of keywords": BASE.replace("CREATE TABLE", "create table").replace("NOT NULL", "not null"),
    "case of names": BASE.replace("idx_score ON t", "idx_score ON T").replace("SELECT id, name", "SELECT ID, Name"),
    "comments": BASE.replace("CONSTRAINT", "-- a rule, isn't it\n  CONSTRAINT").replace(
        "score REAL", "score/* ; */REAL"
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_it_does_not_mind(name: str) -> None:
    assert SAME[name] != BASE
    assert drift(SAME[name]) == []


def test_its_own_tables_are_left_out_unless_they_are_expected() -> None:
    more = BASE + "CREATE TABLE ptp_journal (x); CREATE TABLE other (x);"
    assert drift(more) == ["table other is not expected"]
    assert drift(more, own=()) == ["table other is not expected", "table ptp_journal is not expected"]
    assert list(differences(inventory(BASE), inventory(more), own=("ptp_",))) == [
        "table other is missing",
        "table ptp_journal is missing",
    ]


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        ("SELECT 'A'", "SELECT 'a'", False),
        ("SELECT ' a'", "SELECT 'a'", False),
        ("SELECT 'it''s'", "select  'it''s'", True),
        ("SELECT '--x'", "SELECT '--y'", False),
        ("a--x\nb", "a b", True),
        ("a/*x\ny*/b", "a b", True),
        ("x < = 1", "x <= 1", True),
        ("ab", "a b", False),
        ("1.5", "1 .5", True),
    ],
)
def test_only_the_words_count(a: str, b: str, equal: bool) -> None:
    assert (tokens(a) == tokens(b)) is equal


def test_the_finding_names_every_place() -> None:
    finding = check_schema(inventory(BASE.replace("score DESC", "score")), inventory(BASE), own=())
    assert (finding.verdict, finding.value, finding.severity) == ("fail", 1, "data")
    assert finding.where == ("index idx_score: differs (columns, order, collation, WHERE or UNIQUE)",)
    assert check_schema(inventory(BASE), inventory(BASE), own=()).verdict == "pass"


# --- marks ---


def marked(mark: int | None, rows: tuple[int, ...] = (1,)) -> Inventory:
    lines = [BASE, *(f"INSERT INTO parents VALUES ({r}, 'n{r}');" for r in rows)]
    if mark is not None:
        lines.append(f"UPDATE sqlite_sequence SET seq = {mark} WHERE name = 'parents';")
    return inventory("".join(lines))


@pytest.mark.parametrize(
    ("live", "source", "verdict"),
    [(100, 100, "pass"), (101, 100, "pass"), (99, 100, "fail"), (None, 100, "fail"), (100, None, "pass")],
)
def test_a_mark_below_the_source_is_lost(live: int | None, source: int | None, verdict: str) -> None:
    finding = check_marks(marked(live), marked(source))
    assert finding.verdict == verdict
    assert bool(finding.where) is (verdict == "fail")


def test_a_mark_that_is_gone_altogether_is_named() -> None:
    assert check_marks(marked(None, rows=()), marked(100)).where == ("parents: 0, in the source 100",)


# --- on a migrated database ---

DAMAGE = [
    ("DROP INDEX idx_sessions_activity", "index of study_sessions idx_sessions_activity is missing"),
    ("CREATE INDEX mine ON users (name)", "index of users mine is not expected"),
    ("CREATE TABLE mine (x)", "table mine is not expected"),
    ("CREATE VIEW mine AS SELECT 1", "view or trigger mine is not expected"),
    ("CREATE TRIGGER mine AFTER INSERT ON users BEGIN SELECT 1; END", "view or trigger mine is not expected"),
    ("ALTER TABLE users ADD COLUMN mine ANY", "table users: columns differ (mine)"),
]


@pytest.mark.parametrize(("sql", "place"), DAMAGE)
def test_drift_of_a_migrated_database_is_found(pair: Any, sql: str, place: str) -> None:
    pair.edit(sql)
    found = pair.failing()
    assert set(found) == {"verify.schema"}
    assert place in found["verify.schema"]


@pytest.mark.parametrize(
    ("old", "new", "table"),
    [
        ("IN ('user', 'admin', 'moderator')", "IN ('user', 'admin', 'moderator', 'root')", "users"),
        (") STRICT", ")", "exams"),
        (" AUTOINCREMENT", "", "questions"),
        ("UNIQUE (email)", "UNIQUE (name)", "users"),
        ("ON DELETE CASCADE", "ON DELETE SET NULL", "objectives"),
    ],
)
def test_a_rule_that_was_rewritten_in_a_migrated_database_is_found(pair: Any, old: str, new: str, table: str) -> None:
    with closing(sqlite3.connect(pair.target, isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE name = ?", (old, new, table))
        db.execute("PRAGMA writable_schema = RESET")
    where = pair.failing()["verify.schema"]
    assert any(table in place for place in where)


def test_a_lost_mark_of_a_migrated_database_is_found(pair: Any) -> None:
    pair.edit("UPDATE sqlite_sequence SET seq = 1 WHERE name = 'user_answers'")
    assert set(pair.failing()) == {"verify.marks"}
    pair.edit("DELETE FROM sqlite_sequence")
    assert set(pair.failing()) == {"verify.marks"}
