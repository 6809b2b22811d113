"""Drift: whatever a rebuild can lose from a schema is found, and what is only written otherwise is not."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ptp.engine import Inventory, read_inventory
from ptp.errors import CannotFinish
from ptp.resources import folder
from ptp.verification.drift import check_marks, check_schema, differences, tokens
from ptp.workbench import structure

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
CREATE TABLE pairs (a TEXT NOT NULL, b TEXT NOT NULL, PRIMARY KEY (a, b),
  FOREIGN KEY (a) REFERENCES parents (name) ON UPDATE CASCADE) STRICT, WITHOUT ROWID;
CREATE VIRTUAL TABLE words USING fts5(body);
CREATE INDEX idx_score ON t (parent_id, score DESC) WHERE score IS NOT NULL;
CREATE INDEX idx_lower ON t (lower(name));
CREATE INDEX idx_name ON t (name COLLATE NOCASE);
CREATE UNIQUE INDEX idx_unique ON parents (name);
CREATE VIEW v AS SELECT id, name FROM t WHERE score > 0.5;
"""
TRIGGER = "CREATE TRIGGER tr AFTER INSERT ON t BEGIN UPDATE parents SET name = 'x' WHERE id = NEW.parent_id; END;"
BASE += TRIGGER


def inventory(script: str) -> Inventory:
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(script)
        return read_inventory(db)


def drift(script: str, own: tuple[str, ...] = ("ptp_",)) -> list[str]:
    return list(differences(inventory(script), inventory(BASE), own=own))


CASCADE = "table t, column parent_id: REFERENCES parents (id) ON DELETE "
DUE = ", expected REFERENCES parents (id) ON DELETE CASCADE"
CHANGES = {
    "a CHECK that says less": (
        "BETWEEN 0 AND 1)",
        "BETWEEN 0 AND 2)",
        "table t: CONSTRAINT ck_score CHECK (score BETWEEN 0 AND 2), expected CONSTRAINT ck_score CHECK (score BETWEEN 0 AND 1)",
    ),
    "a CHECK that is gone": (
        ",\n  CONSTRAINT ck_score CHECK (score BETWEEN 0 AND 1)",
        "",
        "table t: CONSTRAINT ck_score CHECK (score BETWEEN 0 AND 1) is missing",
    ),
    "a CHECK more": ("score REAL", "score REAL CHECK (score <> 2)", "table t, column score: CHECK (score <> 2), expected none"),
    "the name of a CHECK": (
        "ck_score", "ck_other", "table t: CONSTRAINT ck_other CHECK (score BETWEEN 0 AND 1), expected none"
    ),
    "a WHERE that is gone": (" WHERE score IS NOT NULL", "", "index idx_score: WHERE score IS NOT NULL is missing"),
    "a WHERE that says otherwise": (
        "WHERE score IS NOT NULL", "WHERE score IS NULL", "index idx_score: WHERE score IS NULL, expected WHERE score IS NOT NULL"
    ),
    "a WHERE more": ("(lower(name))", "(lower(name)) WHERE id > 7", "index idx_lower: WHERE id > 7, expected none"),
    "a DESC that is gone": (
        "score DESC", "score", "index idx_score: keys (parent_id, score), expected (parent_id, score DESC)"
    ),
    "a DESC more": ("(lower(name))", "(lower(name) DESC)", "index idx_lower: keys (lower(name) DESC), expected (lower(name))"),
    "columns of an index in another order": (
        "(parent_id, score DESC)",
        "(score DESC, parent_id)",
        "index idx_score: keys (score DESC, parent_id), expected (parent_id, score DESC)",
    ),
    "a COLLATE of a column that is gone": ("'x' COLLATE NOCASE", "'x'", "table t, column name: COLLATE NOCASE is missing"),
    "a COLLATE of a column more": (
        "DEFAULT 0.5", "DEFAULT 0.5 COLLATE RTRIM", "table t, column score: COLLATE RTRIM, expected none"
    ),
    "a COLLATE of a column that an index goes by": (
        "'x' COLLATE NOCASE", "'x' COLLATE RTRIM", "index sqlite_autoindex_t_1, column name: collation RTRIM, expected NOCASE"
    ),
    "another COLLATE of a column": (
        "'x' COLLATE NOCASE", "'x' COLLATE RTRIM", "table t, column name: COLLATE RTRIM, expected COLLATE NOCASE"
    ),
    "a COLLATE of an index that is gone": (
        "(name COLLATE NOCASE)", "(name)", "index idx_name: keys (name), expected (name COLLATE NOCASE)"
    ),
    "a COLLATE of an index more": (
        "ON parents (name)", "ON parents (name COLLATE NOCASE)", "index idx_unique: keys (name COLLATE NOCASE), expected (name)"
    ),
    "another expression in an index": (
        "lower(name)", "upper(name)", "index idx_lower: keys (upper(name)), expected (lower(name))"
    ),
    "an index that is no longer UNIQUE": ("UNIQUE INDEX", "INDEX", "index idx_unique: not UNIQUE, expected UNIQUE"),
    "an index that is missing": ("CREATE INDEX idx_lower ON t (lower(name));", "", "index of t idx_lower is missing"),
    "an index too many": ("CREATE VIEW", "CREATE INDEX more ON t (score); CREATE VIEW", "index of t more is not expected"),
    "a UNIQUE rule that is gone": ("  UNIQUE (parent_id, name),\n", "", "table t: UNIQUE (parent_id, name) is missing"),
    "a trigger that says otherwise": (
        "SET name = 'x'",
        "SET name = 'X'",
        "trigger tr: its text differs: … SET name = 'X' WHERE id = NEW.parent_id; END, expected … SET name = 'x' WHERE id",
    ),
    "a trigger at another time": ("AFTER INSERT", "BEFORE INSERT", "trigger tr: its text differs: CREATE TRIGGER tr BEFORE"),
    "a trigger that is missing": (TRIGGER, "", "trigger tr is missing"),
    "a trigger too many": ("CREATE TRIGGER", f"{TRIGGER.replace('tr ', 'more ')} CREATE TRIGGER", "trigger more is not expected"),
    "a view that says otherwise": ("score > 0.5", "score >= 0.5", "view v: its text differs: CREATE VIEW v AS SELECT id"),
    "a view that is missing": ("CREATE VIEW v AS SELECT id, name FROM t WHERE score > 0.5;", "", "view v is missing"),
    "a view too many": ("CREATE VIEW v", "CREATE VIEW w AS SELECT 1; CREATE VIEW v", "view w is not expected"),
    "STRICT that is gone": ("AND 1)\n) STRICT", "AND 1)\n)", "table t: STRICT is missing"),
    "WITHOUT ROWID that is gone": (" STRICT, WITHOUT ROWID", " STRICT", "table pairs: WITHOUT ROWID is missing"),
    "WITHOUT ROWID more": (
        "id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL) STRICT",
        "id INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL) STRICT, WITHOUT ROWID",
        "table parents: WITHOUT ROWID, expected none",
    ),
    "AUTOINCREMENT that is gone": (
        "AUTOINCREMENT,\n", ",\n", "table t, column id: PRIMARY KEY, expected PRIMARY KEY AUTOINCREMENT"
    ),
    "a default that is another": ("DEFAULT 0.5", "DEFAULT 0.6", "table t, column score: DEFAULT 0.6, expected DEFAULT 0.5"),
    "a default in other case": ("DEFAULT 'x'", "DEFAULT 'X'", "table t, column name: DEFAULT 'X', expected DEFAULT 'x'"),
    "a default that is NULL": ("DEFAULT 0.5", "DEFAULT NULL", "table t, column score: DEFAULT NULL, expected DEFAULT 0.5"),
    "a default that is gone": ("DEFAULT 0.5", "", "table t, column score: DEFAULT 0.5 is missing"),
    "a NOT NULL that is gone": ("name TEXT NOT NULL DEFAULT", "name TEXT DEFAULT", "table t, column name: NOT NULL is missing"),
    "a NOT NULL more": ("score REAL", "score REAL NOT NULL", "table t, column score: NOT NULL, expected none"),
    "a type that is another": ("score REAL", "score ANY", "table t, column score: type ANY, expected REAL"),
    "a type in other case": ("score REAL", "score real", "table t, column score: type real, expected REAL"),
    "a foreign key that is gone": (" REFERENCES parents (id) ON DELETE CASCADE", "", f"{CASCADE}CASCADE is missing"),
    "another ON DELETE": ("ON DELETE CASCADE", "ON DELETE SET NULL", f"{CASCADE}SET NULL{DUE}"),
    "yet another ON DELETE": ("ON DELETE CASCADE", "ON DELETE SET DEFAULT", f"{CASCADE}SET DEFAULT{DUE}"),
    "an ON UPDATE more": ("ON DELETE CASCADE", "ON DELETE CASCADE ON UPDATE CASCADE", f"CASCADE ON UPDATE CASCADE{DUE}"),
    "a foreign key that waits": (
        "ON DELETE CASCADE", "ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED", f"CASCADE DEFERRABLE INITIALLY DEFERRED{DUE}"
    ),
    "a foreign key that says that it does not wait": (
        "ON DELETE CASCADE", "ON DELETE CASCADE NOT DEFERRABLE", f"{CASCADE}CASCADE NOT DEFERRABLE{DUE}"
    ),
    "a foreign key of the table": (
        "FOREIGN KEY (a) REFERENCES parents (name) ON UPDATE CASCADE",
        "FOREIGN KEY (a) REFERENCES parents (name)",
        "table pairs: FOREIGN KEY (a) REFERENCES parents (name), expected FOREIGN KEY (a) REFERENCES parents (name) ON UPDATE CASCADE",
    ),
    "a generated column of another value": (
        "score * 2", "score * 3", "table t, column twice: GENERATED ALWAYS AS (score * 3) VIRTUAL, expected GENERATED ALWAYS AS (score * 2)"
    ),
    "a generated column that is stored": (
        ") VIRTUAL", ") STORED", "table t, column twice: GENERATED ALWAYS AS (score * 2) STORED, expected"
    ),
    "a column more": ("  score REAL", "  more INTEGER,\n  score REAL", "table t, column more is not expected"),
    "a column more that is hidden": (
        "  score REAL", "  more INT AS (id + 1),\n  score REAL", "table t, column more is not expected"
    ),
    "a column that is gone": (
        "CREATE TABLE pairs (a TEXT NOT NULL, b TEXT NOT NULL, PRIMARY KEY (a, b)",
        "CREATE TABLE pairs (a TEXT NOT NULL, PRIMARY KEY (a)",
        "table pairs, column b is missing",
    ),
    "columns in another order": (
        "(a TEXT NOT NULL, b TEXT NOT NULL,",
        "(b TEXT NOT NULL, a TEXT NOT NULL,",
        "table pairs: the order of its columns is b, a, expected a, b",
    ),
    "a column of a name in other case": ("  score REAL", "  Score REAL", "table t, column score is missing"),
    "a table too many": ("CREATE VIEW", "CREATE TABLE more (x); CREATE VIEW", "table more is not expected"),
    "a primary key in another order": (
        "PRIMARY KEY (a, b)", "PRIMARY KEY (b, a)", "table pairs: PRIMARY KEY (b, a), expected PRIMARY KEY (a, b)"
    ),
    "an ON CONFLICT more": (
        "UNIQUE (parent_id, name)",
        "UNIQUE (parent_id, name) ON CONFLICT IGNORE",
        "table t: UNIQUE (parent_id, name) ON CONFLICT IGNORE, expected UNIQUE (parent_id, name)",
    ),
    "an ON CONFLICT of a column more": (
        "name TEXT NOT NULL DEFAULT",
        "name TEXT NOT NULL ON CONFLICT REPLACE DEFAULT",
        "table t, column name: NOT NULL ON CONFLICT REPLACE, expected NOT NULL",
    ),
    "rules in another order": (
        "TEXT NOT NULL DEFAULT 'x' COLLATE NOCASE",
        "TEXT COLLATE NOCASE NOT NULL DEFAULT 'x'",
        "table t: its text differs: … , name TEXT COLLATE NOCASE NOT NULL",
    ),
    "another module of a virtual table": ("fts5(body)", "fts5(body, tokenize = porter)", "table words: its text differs"),
}  # fmt: skip


MORE = {
    "the name of a CHECK": "table t: CONSTRAINT ck_score CHECK (score BETWEEN 0 AND 1) is missing",
    "a COLLATE of a column that an index goes by": "table t, column name: COLLATE RTRIM, expected COLLATE NOCASE",
    "WITHOUT ROWID more": "table parents, column id: PRIMARY KEY, expected PRIMARY KEY AUTOINCREMENT",
    "a column that is gone": "table pairs: PRIMARY KEY (a), expected PRIMARY KEY (a, b)",
    "a column of a name in other case": "table t, column Score is not expected",
}
"""What a change takes with it."""


@pytest.mark.parametrize("name", CHANGES)
def test_it_finds(name: str) -> None:
    old, new, place = CHANGES[name]
    assert BASE.count(old) == 1
    found = drift(BASE.replace(old, new))
    assert any(place in text for text in found), found
    # One change, told as such: what else is said, if anything, is of indexes that go with it.
    assert [text for text in found if place not in text and not text.startswith(("index", "table words_"))] in (
        [],
        [MORE.get(name)],
    )


def test_a_table_that_is_missing_is_found() -> None:
    begin, end = BASE.index("CREATE TABLE pairs"), BASE.index("CREATE VIRTUAL")
    assert drift(BASE[:begin] + BASE[end:]) == ["table pairs is missing"]


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
        ("1.5", "1.50", False),
        ("x'AB'", "x'ab'", True),
        ("[a b]", '"A B"', True),
    ],
)
def test_only_the_words_count(a: str, b: str, equal: bool) -> None:
    assert (tokens(a) == tokens(b)) is equal


# --- three witnesses ---


def test_the_finding_names_every_place() -> None:
    finding = check_schema(inventory(BASE.replace("score DESC", "score")), {"a": inventory(BASE)}, own=())
    assert (finding.verdict, finding.value, finding.severity) == ("fail", 1, "data")
    assert finding.where == ("index idx_score: keys (parent_id, score), expected (parent_id, score DESC)",)
    assert check_schema(inventory(BASE), {"a": inventory(BASE), "b": inventory(BASE)}, own=()).verdict == "pass"


VIEW = "view v: its text differs: CREATE VIEW v AS SELECT id, name FROM t WHERE score {}, expected CREATE VIEW v AS SELECT id, name FROM t WHERE score {}"


@pytest.mark.parametrize(
    ("live", "models", "file", "where"),
    [
        ("> 1", "> 0.5", "> 0.5", [VIEW.format("> 1", "> 0.5")]),
        ("> 1", "> 0.5", "> 1", ["against the models: " + VIEW.format("> 1", "> 0.5"), "the file against the models: " + VIEW.format("> 1", "> 0.5")]),
        ("> 1", "> 1", "> 0.5", ["against the file: " + VIEW.format("> 1", "> 0.5"), "the file against the models: " + VIEW.format("> 0.5", "> 1")]),
        ("> 1", "> 2", "> 3", ["against the models: " + VIEW.format("> 1", "> 2"), "against the file: " + VIEW.format("> 1", "> 3"), "the file against the models: " + VIEW.format("> 3", "> 2")]),
    ],
)  # fmt: skip
def test_each_pair_of_the_three_is_compared(live: str, models: str, file: str, where: list[str]) -> None:
    one, two, three = (inventory(BASE.replace("score > 0.5", f"score {text}")) for text in (live, models, file))
    finding = check_schema(one, {"the models": two, "the file": three}, own=())
    assert list(finding.where) == where


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("CREATE INDEX idx_sessions_exam ON study_sessions (exam_id);", "", "index of study_sessions idx_sessions_exam is "),
        ("passing_score BETWEEN 0 AND 1)", "passing_score BETWEEN 0 AND 2)", "table exams: CONSTRAINT ck_exams_passing_score"),
        ("CREATE TRIGGER ai_cost_days_insert AFTER", "CREATE TRIGGER ai_cost_days_insert BEFORE", "trigger ai_cost_days_insert"),
        ("\nCREATE TABLE exams", "\nCREATE VIEW mine AS SELECT 1;\nCREATE TABLE exams", "view mine is "),
    ],
)  # fmt: skip
def test_the_file_is_a_witness_of_a_migrated_database(
    pair: Any, old: str, new: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder("sql"), tmp_path / "sql")
    schema = tmp_path / "sql" / "schema.sql"
    text = schema.read_text(encoding="utf-8")
    assert text.count(old) == 1
    schema.write_text(text.replace(old, new), encoding="utf-8")
    monkeypatch.setattr(structure, "folder", lambda name: tmp_path / name)
    found = pair.failing()
    assert set(found) == {"verify.schema"}
    (live, models) = found["verify.schema"]
    assert live.startswith(f"against sql/schema.sql: {place}")
    assert models.startswith(f"sql/schema.sql against the models: {place}")


def test_models_that_say_otherwise_are_found(pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ddl = [sql.replace("pass_rate REAL", "pass_rate ANY") for sql in structure._model_ddl()]
    monkeypatch.setattr(structure, "_model_ddl", lambda: ddl)
    assert pair.failing()["verify.schema"] == (
        "against the models: table exams, column pass_rate: type REAL, expected ANY",
        "sql/schema.sql against the models: table exams, column pass_rate: type REAL, expected ANY",
    )


def test_a_file_that_cannot_be_run_is_told(pair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "schema.sql").write_text("CREATE TABLE exams (", encoding="utf-8")
    monkeypatch.setattr(structure, "folder", lambda name: tmp_path / name)
    with pytest.raises(CannotFinish, match="cannot be built: incomplete input, at CREATE TABLE exams"):
        pair.failing()


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
    ("CREATE VIEW mine AS SELECT 1", "view mine is not expected"),
    ("CREATE TRIGGER mine AFTER INSERT ON users BEGIN SELECT 1; END", "trigger mine is not expected"),
    ("ALTER TABLE users ADD COLUMN mine ANY", "table users, column mine is not expected"),
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
