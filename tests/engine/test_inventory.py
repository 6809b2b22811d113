"""The inventory of a database against what the pragmas and `sqlite_schema` say themselves."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from ptp.engine import read_inventory
from ptp.engine.inventory import Column, affinity

DDL = """
CREATE TABLE plain (id INTEGER PRIMARY KEY AUTOINCREMENT, name VARCHAR(20) NOT NULL DEFAULT 'x', twice AS (id * 2),
  kept TEXT GENERATED ALWAYS AS (name || '!') STORED, UNIQUE (name));
CREATE TABLE pair (a TEXT NOT NULL, b INT NOT NULL, c, PRIMARY KEY (b, a)) WITHOUT ROWID;
CREATE TABLE loose (key TEXT PRIMARY KEY, other BLOB);
CREATE TABLE bare (a, b);
CREATE TABLE child (id INTEGER PRIMARY KEY, plain_id INT REFERENCES plain ON DELETE CASCADE,
  b INT, a TEXT, FOREIGN KEY (b, a) REFERENCES pair (b, a) ON DELETE SET NULL);
CREATE INDEX child_low ON child (lower(a), b DESC) WHERE b > 1;
CREATE UNIQUE INDEX "odd "" name" ON bare (b);
CREATE VIEW seen AS SELECT * FROM plain;
CREATE TRIGGER watch AFTER INSERT ON bare BEGIN SELECT 1; END;
CREATE VIRTUAL TABLE words USING fts5(body);
CREATE TABLE "we""ird ]name" ("col""umn" TEXT);
INSERT INTO plain (name) VALUES ('a'), ('b');
"""


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        opened.executescript(DDL)
        yield opened


def test_every_table_is_there_with_its_text(db: sqlite3.Connection) -> None:
    told = dict(db.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"))
    assert {n: t.sql for n, t in read_inventory(db).tables.items()} == told


def test_columns_are_those_of_the_pragma(db: sqlite3.Connection) -> None:
    for name, table in read_inventory(db).tables.items():
        if name == "words":  # a virtual table is not asked: its module need not be here
            assert table.columns == ()
            continue
        escaped = name.replace('"', '""')
        told = db.execute(f'PRAGMA table_xinfo("{escaped}")').fetchall()
        assert [
            (c.name, c.declared_type, int(c.not_null), c.default, c.key_position, c.hidden) for c in table.columns
        ] == [row[1:] for row in told]


def test_generated_columns_hold_no_values_of_their_own(db: sqlite3.Connection) -> None:
    assert read_inventory(db).tables["plain"].stored_columns == ("id", "name")


def test_foreign_keys_are_whole(db: sqlite3.Connection) -> None:
    found = {(k.columns, k.table, k.to_columns, k.on_delete) for k in read_inventory(db).tables["child"].foreign_keys}
    assert found == {(("plain_id",), "plain", (), "CASCADE"), (("b", "a"), "pair", ("b", "a"), "SET NULL")}


def test_indexes_tell_unique_partial_and_expressions(db: sqlite3.Connection) -> None:
    tables = read_inventory(db).tables
    (low,) = tables["child"].indexes
    assert (low.unique, low.partial, low.columns) == (False, True, (None, "b"))
    assert low.sql == "CREATE INDEX child_low ON child (lower(a), b DESC) WHERE b > 1"
    (odd,) = tables["bare"].indexes
    assert (odd.name, odd.unique, odd.partial, odd.columns) == ('odd " name', True, False, ("b",))
    (own,) = tables["plain"].indexes
    assert (own.unique, own.columns, own.sql) == (True, ("name",), None)


@pytest.mark.parametrize(
    ("table", "key"),
    [("plain", ("id",)), ("pair", ("b", "a")), ("loose", ("rowid",)), ("bare", ("rowid",)), ("child", ("id",))],
)
def test_the_key_of_a_table_is_one_that_cannot_repeat(db: sqlite3.Connection, table: str, key: tuple[str, ...]) -> None:
    assert read_inventory(db).tables[table].key == key


def test_flags_of_tables(db: sqlite3.Connection) -> None:
    tables = read_inventory(db).tables
    assert {n for n, t in tables.items() if t.without_rowid} == {"pair", "words_config", "words_idx"}
    assert {n for n, t in tables.items() if t.autoincrement} == {"plain"}
    assert {n for n, t in tables.items() if t.is_virtual} == {n for n in tables if n.startswith("words")}


def test_views_triggers_and_marks(db: sqlite3.Connection) -> None:
    found = read_inventory(db)
    assert {(o.name, o.kind, o.table) for o in found.objects.values()} == {
        ("seen", "view", "seen"),
        ("watch", "trigger", "bare"),
    }
    assert found.sequences == {"plain": 2}


def test_an_attached_database_is_read_as_itself(db: sqlite3.Connection) -> None:
    db.execute("ATTACH ':memory:' AS other")
    db.execute("CREATE TABLE other.plain (z REAL)")
    found = read_inventory(db, schema="other")
    assert list(found.tables) == ["plain"]
    assert found.tables["plain"].columns == (Column("z", "REAL", False, None, 0, 0),)
    assert found.sequences == {}


@pytest.mark.parametrize(
    "declared",
    ["INTEGER", "int", "BIGINT", "CHARINT", "FLOATING POINT", "VARCHAR(9)", "NCHAR", "CLOB", "TEXT", "STRING", "BLOB"]
    + ["", "REAL", "DOUBLE PRECISION", "FLOAT", "NUMERIC", "DECIMAL(10,5)", "BOOLEAN", "DATE", "TIMESTAMP", "JSON"],
)
def test_affinity_is_what_sqlite_does_with_values(declared: str) -> None:
    """The class in which '1', '1.5', 1 and 1.0 are stored tells the affinity."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute(f"CREATE TABLE t (a {declared})")
        db.executemany("INSERT INTO t VALUES (?)", [("1",), ("1.5",), (1,), (1.0,)])
        stored = tuple(row[0] for row in db.execute("SELECT typeof(a) FROM t ORDER BY rowid"))
    behaviour = {
        "TEXT": ("text",) * 4,
        "REAL": ("real",) * 4,
        "BLOB": ("text", "text", "integer", "real"),
        "INTEGER": ("integer", "real", "integer", "integer"),
        "NUMERIC": ("integer", "real", "integer", "integer"),
    }
    assert behaviour[affinity(declared)] == stored
