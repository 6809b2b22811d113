"""References that SQLite refuses to check at all: to columns that are no key."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from ptp.verification.integrity import check_references

DDL = (
    "CREATE TABLE parent (id INTEGER PRIMARY KEY, code TEXT)",
    "CREATE TABLE child (id INTEGER PRIMARY KEY, parent_id INT REFERENCES parent (id))",
    "INSERT INTO parent VALUES (1, 'a')",
    "INSERT INTO child VALUES (1, 1)",
)
MISMATCH = "CREATE TABLE note (id INTEGER PRIMARY KEY, code TEXT REFERENCES parent (code))"


def make(*more: str) -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    for sql in (*DDL, *more):
        db.execute(sql)
    return db


@pytest.fixture
def odd() -> Iterator[sqlite3.Connection]:
    with closing(make(MISMATCH, "INSERT INTO note VALUES (1, 'a')")) as db:
        with pytest.raises(sqlite3.OperationalError, match="foreign key mismatch"):
            db.execute("PRAGMA foreign_key_check").fetchall()
        yield db


def test_one_that_the_source_has_too_is_known(odd: sqlite3.Connection) -> None:
    finding = check_references(odd, odd)
    assert finding.verdict == "pass"
    assert "1 broken in the source already" in finding.evidence


def test_one_that_is_new_is_named(odd: sqlite3.Connection) -> None:
    with closing(make()) as plain:
        finding = check_references(odd, plain)
    assert finding.verdict == "fail"
    assert finding.where == ('note: foreign key mismatch - "note" referencing "parent"',)


def test_the_other_tables_are_checked_nevertheless(odd: sqlite3.Connection) -> None:
    with closing(make(MISMATCH, "INSERT INTO note VALUES (1, 'a')", "UPDATE child SET parent_id = 7")) as broken:
        assert check_references(broken, odd).where == ("child, rowid 1: no such row in parent",)
