"""Names, literals, and where a statement ends."""

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptp.engine import literal, quoted, split_statements

TRIGGER = """CREATE TRIGGER log AFTER INSERT ON t WHEN new.a > 0 BEGIN
  INSERT INTO u VALUES (new.a); -- first; then
  UPDATE u SET a = CASE WHEN a = 1 THEN ';' END;
END"""


@pytest.mark.parametrize(
    ("script", "statements"),
    [
        ("", []),
        (" \n\t", []),
        (";;; ;", []),
        ("-- only a remark; with a semicolon", []),
        ("/* a; b */", []),
        ("/* never closed; ", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;", ["SELECT 1"]),
        ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
        ("-- one; two\nSELECT 1;\n/* three; */ SELECT 2; -- four", ["SELECT 1", "SELECT 2"]),
        ("SELECT 1 -- five; six\n, 2;", ["SELECT 1 -- five; six\n, 2"]),
        ("SELECT ';', \"a;b\", [c;d], `e;f`;SELECT 2;", ["SELECT ';', \"a;b\", [c;d], `e;f`", "SELECT 2"]),
        ("SELECT 'it''s; here'; SELECT 2;", ["SELECT 'it''s; here'", "SELECT 2"]),
        (f"{TRIGGER};\nSELECT 1;", [TRIGGER, "SELECT 1"]),
        (f"CREATE TABLE t (a);\n\n-- why\n{TRIGGER};", ["CREATE TABLE t (a)", TRIGGER]),
        ("SELECT 'never closed; SELECT 2;", ["SELECT 'never closed; SELECT 2;"]),
    ],
)
def test_a_script_is_split_where_sqlite_ends_a_statement(script: str, statements: list[str]) -> None:
    assert split_statements(script) == statements


def test_the_statements_of_a_script_do_what_the_script_does() -> None:
    script = f"CREATE TABLE t (a);CREATE TABLE u (a);{TRIGGER};INSERT INTO t VALUES (1), (';'), (2); -- end"
    dumps = []
    for whole in (True, False):
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
            if whole:
                db.executescript(script)
            for statement in () if whole else split_statements(script):
                db.execute(statement)
            dumps.append(list(db.iterdump()))
    assert dumps[0] == dumps[1]


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1))
def test_a_quoted_name_is_that_name_to_sqlite(name: str) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        cursor = db.execute(f"SELECT 1 AS {quoted(name)}")
        assert cursor.description[0][0] == name


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")))
def test_a_literal_is_that_text_to_sqlite(text: str) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        assert db.execute(f"SELECT {literal(text)}").fetchone() == (text,)
