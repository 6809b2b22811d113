"""Databases behind the stand-in, and what they hold as sqlite3 reads it from their files."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ptp.engine import attach_read_only
from ptp.engine.remote_calls import Patience
from ptp.migration.same import compare

SWIFT = Patience(attempts=12, first_s=0.001, longest_s=0.01)
EVERYTHING = (
    "CREATE TABLE plain (id INTEGER PRIMARY KEY AUTOINCREMENT, a, b REAL, c TEXT COLLATE NOCASE UNIQUE, CHECK (a <> 9))",
    "CREATE TABLE pair (k TEXT, n INTEGER, v BLOB, PRIMARY KEY (k, n DESC)) WITHOUT ROWID",
    "CREATE TABLE keyless (a, b)",
    "CREATE TABLE named (name TEXT PRIMARY KEY, double GENERATED ALWAYS AS (name || name) VIRTUAL, up INT REFERENCES plain)",
    "CREATE TABLE log (what)",
    "CREATE VIRTUAL TABLE words USING fts5(name, content='named', content_rowid='rowid')",
    "CREATE TRIGGER named_in AFTER INSERT ON named BEGIN INSERT INTO words (rowid, name) VALUES (new.rowid, new.name); "
    "INSERT INTO log VALUES ('named ' || new.name); END",
    "CREATE UNIQUE INDEX keyless_a ON keyless (a) WHERE b IS NOT NULL",
    "CREATE INDEX plain_b ON plain (b DESC, length(c))",
    "CREATE VIEW seen AS SELECT p.id, k.v FROM plain p JOIN pair k ON k.n = p.id",
)


def filled(path: Path, *, rows: int = 300) -> Path:
    """A database with every kind of object and value, but for those that the protocol has no word for."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA application_id = 77")
        db.execute("BEGIN")
        for sql in EVERYTHING:
            db.execute(sql)
        odd: Sequence[Any] = (None, 1, 1.0, "1", b"1", 2**53 + 1, -(2**63), "a\0b", "é", "", b"", 0.1, 1e300, -0.0)
        for n in range(rows):
            value = odd[n % len(odd)]
            db.execute("INSERT INTO plain VALUES (?, ?, ?, ?)", (n * 3 + 1, value, n / 7, f"text {n}"))
            db.execute("INSERT INTO pair VALUES (?, ?, ?)", (f"k{n % 10}", n, value))
            db.execute("INSERT INTO keyless (rowid, a, b) VALUES (?, ?, ?)", (n * 2 + 5, n, value))
            db.execute("INSERT INTO named (name, up) VALUES (?, ?)", (f"name {n}", n * 3 + 1))
        db.execute("INSERT INTO plain VALUES (9000, 1, 1, 'gone')")
        db.execute("DELETE FROM plain WHERE id = 9000")
        db.execute("COMMIT")
    return path


def difference(one: Path, other: Path) -> str:
    """The first difference of two files in schema text, header, rows and storage class; empty where there is none."""
    with attach_read_only(one=one, other=other) as db:
        return compare(db, here="one", there="other", progress=lambda *_: None).difference


def run_sql(path: Path, *statements: str, values: Sequence[Any] = ()) -> list[Any]:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=20)) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        return [row for sql in statements for row in db.execute(sql, values).fetchall()]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return filled(tmp_path / "there.db")
