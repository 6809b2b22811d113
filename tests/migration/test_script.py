"""What a statement of a step does to the schema, read from its text, beside what SQLite makes of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from ptp.migration.script import Effect, effects, event_of, fills, module_of, names_in, same_words

BASE = (
    "CREATE TABLE t (a, b, c)",
    "CREATE INDEX i ON t (a)",
    "CREATE VIEW v AS SELECT 1",
    "CREATE TABLE [drop me] (a, b)",
)


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("CREATE TABLE x (a)", Effect("create", "table", "x")),
        ("create table if not exists main.[X y] (a)", Effect("create", "table", "x y")),
        ("CREATE TABLE x AS SELECT 1 AS a", Effect("create", "table", "x")),
        ("CREATE VIRTUAL TABLE x USING fts5 (a)", Effect("create", "table", "x")),
        ("CREATE UNIQUE INDEX main . \"x\" ON t (b)", Effect("create", "index", "x")),
        ("CREATE /* TABLE y */ VIEW x AS SELECT 1", Effect("create", "view", "x")),
        ("CREATE TRIGGER `x` AFTER INSERT ON t BEGIN SELECT 1; END", Effect("create", "trigger", "x")),
        ("DROP TABLE IF EXISTS t", Effect("drop", "table", "t")),
        ("DROP TABLE 'drop me'", None),
        ("DROP INDEX i", Effect("drop", "index", "i")),
        ("DROP VIEW main.v", Effect("drop", "view", "v")),
        ("ALTER TABLE t RENAME TO [new t]", Effect("rename", "table", "t", to="new t")),
        ("ALTER TABLE main.t RENAME COLUMN a TO z", Effect("rename", "column", "a", "t", "z")),
        ("ALTER TABLE t RENAME a TO \"Z\"", Effect("rename", "column", "a", "t", "z")),
        ("ALTER TABLE t ADD COLUMN d TEXT DEFAULT 'x'", Effect("create", "column", "d", "t")),
        ("ALTER TABLE [drop me] ADD d", Effect("create", "column", "d", "drop me")),
        ("ALTER TABLE t DROP COLUMN b", Effect("drop", "column", "b", "t")),
        ("ALTER TABLE t DROP b", Effect("drop", "column", "b", "t")),
    ],
)  # fmt: skip
def test_an_effect_is_the_one_that_sqlite_makes(sql: str, wanted: Effect | None) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        for statement in BASE:
            db.execute(statement)
        before = names(db)
        db.execute(sql)
        gone, new = before - names(db), names(db) - before
    if wanted is None:  # a name in single quotes is not told from a text: the step is refused, as it names nothing
        assert effects(sql) != () and effects(sql)[0].name == "'drop me'"
        return
    assert effects(sql) == (wanted,)
    seen = {n.rpartition(" of ")[0] if wanted.kind == "column" else n for n in gone | new if not is_part(n, wanted)}
    assert {wanted.name, wanted.to} - {""} == seen


def names(db: sqlite3.Connection) -> set[str]:
    """Every object, and every column with its table, in lower case."""
    objects = {
        n.lower() for (n,) in db.execute("SELECT name FROM sqlite_schema WHERE name NOT LIKE 'x\\_%' ESCAPE '\\'")
    }
    sql = "SELECT c.name, t.name FROM pragma_table_list AS t, pragma_table_xinfo(t.name) AS c WHERE t.schema = 'main'"
    return objects | {f"{c} of {t}".lower() for c, t in db.execute(sql)}


def is_part(name: str, effect: Effect) -> bool:
    """Whether a name comes or goes along with what the effect names: the columns of a table, its indexes."""
    return effect.kind != "column" and (" of " in name or (effect.kind == "table" and name == "i"))


@pytest.mark.parametrize(
    "sql",
    ["SELECT 1", "INSERT INTO t VALUES ('DROP TABLE t')", "CREATE TABEL t", "ALTER TABLE t", "UPDATE t SET a = 1"],
)
def test_what_changes_no_schema_has_no_effect(sql: str) -> None:
    assert effects(sql) == ()


def test_small_readings() -> None:
    assert module_of("create virtual table a using FTS5 (b)") == "fts5" and module_of("CREATE TABLE using (a)") == ""
    assert fills("INSERT OR REPLACE INTO main.[A b] SELECT 1") == "a b" and fills("UPDATE a SET b = 1") == ""
    trigger = "CREATE TRIGGER a_delete INSTEAD OF UPDATE OF b ON c BEGIN DELETE FROM d; END"
    assert event_of(trigger) == "UPDATE"
    assert names_in("SELECT A.[b c] FROM x -- y\n WHERE z = 'q'") == {"select", "a", "b c", "from", "x", "where", "z"}
    assert same_words('CREATE  INDEX "i" on T(a) -- x', "create index i ON t (A)")
    assert names_in("SELECT a -- x /* \n /* what somebody else wrote") >= {"select", "a"}
    assert not same_words("SELECT 'a'", "SELECT 'A'") and not same_words("SELECT 'a'", "SELECT a")
