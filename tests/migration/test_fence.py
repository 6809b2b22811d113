"""The fence before a database that has moved: foreign readers get the name of the new one, and it leaves no trace."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ptp.engine import read_inventory
from ptp.migration.fence import fence_settings, fence_sql, is_fenced, unfence_sql
from ptp.verification.drift import differences

TABLES = """
CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE COLLATE NOCASE);
CREATE TABLE "odd ""name" (id INTEGER PRIMARY KEY, user INTEGER REFERENCES users (id) ON DELETE CASCADE);
CREATE INDEX odd_user ON "odd ""name" (user DESC);
CREATE VIEW both AS SELECT name FROM users JOIN "odd ""name" AS o ON o.user = users.id;
CREATE TRIGGER follow AFTER INSERT ON users BEGIN INSERT INTO "odd ""name" (user) VALUES (NEW.id); END;
INSERT INTO users (name) VALUES ('a'), ('b');
"""
SENTENCE = "ptp: this database has moved to /there/new db.db: open that one"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "old.db", isolation_level=None)) as found:
        found.executescript(TABLES)
        yield found


def run(db: sqlite3.Connection, statements: tuple[str, ...]) -> None:
    for sql in fence_settings():
        db.execute(sql)
    db.execute("BEGIN IMMEDIATE")
    for sql in statements:
        db.execute(sql)
    db.execute("COMMIT")


def fence(db: sqlite3.Connection) -> None:
    run(db, fence_sql(read_inventory(db).tables, other="/there/new db.db"))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM users",
        'SELECT count(*) FROM "odd ""name"',
        "SELECT * FROM both",
        "INSERT INTO users (name) VALUES ('c')",
        "UPDATE users SET name = 'c'",
        'DELETE FROM "odd ""name"',
    ],
)
def test_who_reads_or_writes_is_told_where_the_database_is(db: sqlite3.Connection, tmp_path: Path, sql: str) -> None:
    with closing(sqlite3.connect(tmp_path / "old.db", isolation_level=None)) as reader:
        reader.execute("SELECT * FROM users").fetchall()
        fence(db)
        with pytest.raises(sqlite3.Error, match=SENTENCE):
            reader.execute(sql).fetchall()


def test_taken_down_everything_is_as_it_was(db: sqlite3.Connection) -> None:
    before, rows = read_inventory(db), db.execute('SELECT * FROM users, "odd ""name" ORDER BY 1, 3').fetchall()
    fence(db)
    assert is_fenced(read_inventory(db))
    run(db, unfence_sql(read_inventory(db)))
    after = read_inventory(db)
    assert not is_fenced(after)
    assert list(differences(after, before, own=())) == []
    assert after.sequences == before.sequences
    assert db.execute('SELECT * FROM users, "odd ""name" ORDER BY 1, 3').fetchall() == rows
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("INSERT INTO users (name) VALUES ('c')")
    db.execute("DELETE FROM users WHERE name = 'C'")
    assert db.execute('SELECT user FROM "odd ""name"').fetchall() == [(1,), (2,)]
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
