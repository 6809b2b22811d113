"""Statements of each route: errors by class, what they return and count, and what SQLAlchemy sees of the schema."""

from __future__ import annotations

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, inspect, select, text
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError, ProgrammingError

from ptp.engine import fetch
from tests.engine.conformance.places import ORPHAN, TABLES, Place

PARENT = Table("parent", MetaData(), Column("id", Integer, primary_key=True), Column("name", Text, nullable=False))


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("INSERT INTO child VALUES (9, 1, 'a', 1)", r"UNIQUE constraint failed: child\.code"),
        ("INSERT INTO parent VALUES (9, NULL)", r"NOT NULL constraint failed: parent\.name"),
        ("INSERT INTO child VALUES (9, 1, 'z', 100)", r"CHECK constraint failed: n_is_small"),
        ("INSERT INTO bound VALUES (9, 555)", "FOREIGN KEY constraint failed"),
        ("INSERT INTO parent VALUES ('x', 'y')", "datatype mismatch"),
        ("INSERT INTO strict_one VALUES (1, 'no number')", r"cannot store TEXT value in INTEGER column strict_one\.n"),
    ],
    ids=["unique", "not null", "check", "reference", "row id", "strict"],
)
def test_a_broken_constraint_is_an_integrity_error_with_its_name(writable: Place, sql: str, words: str) -> None:
    with pytest.raises(IntegrityError, match=words):
        writable.write(sql)
    assert writable.see("SELECT count(*) FROM parent") == [(2,)]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT * FROM nothing", "no such table: nothing"),
        ("SELECT nothing FROM parent", "no such column: nothing"),
        ("SELEC 1", "syntax error"),
        ("SELECT no_function(1)", "no_?such_?function"),
    ],
)
def test_a_wrong_statement_is_an_operational_error(place: Place, sql: str, words: str) -> None:
    if sql == "SELEC 1" and not (place.can("writes") and place.can("transactions")):
        pytest.skip("where only reads are let through, a word that is none is refused before it is sent")
    with pytest.raises(OperationalError) as raised:
        place.read(sql)
    said = str(raised.value).casefold().replace(" ", "_")
    assert any(w in said for w in (words.replace(" ", "_"), "near", "no_such_function")), said


@pytest.mark.parametrize(("sql", "values"), [("SELECT ?, ?", (1,)), ("SELECT ?", (1, 2)), ("SELECT :a", {"b": 1})])
def test_a_value_too_few_or_too_many_is_refused(place: Place, sql: str, values: object) -> None:
    with pytest.raises((ProgrammingError, OperationalError), match="suppl"):
        place.read(sql, values)  # type: ignore[arg-type]


def test_a_second_statement_is_refused_and_the_first_not_done(writable: Place) -> None:
    with pytest.raises((ProgrammingError, DatabaseError), match="one statement"):
        writable.write("INSERT INTO parent VALUES (3, 'a'); DELETE FROM parent")
    assert writable.see("SELECT count(*) FROM parent") == [(2,)]
    assert writable.read("SELECT ';' ; -- and no more;") == [(";",)]


def test_returning_gives_the_rows_that_were_written(writable: Place) -> None:
    assert writable.write("INSERT INTO parent VALUES (3, 'c'), (4, 'd') RETURNING id, name") == [(3, "c"), (4, "d")]
    assert writable.write("UPDATE parent SET name = name || '!' WHERE id > ? RETURNING name", (2,)) == [
        ("c!",),
        ("d!",),
    ]
    assert writable.write("DELETE FROM parent WHERE id = 4 RETURNING id") == [(4,)]
    assert writable.see("SELECT name FROM parent ORDER BY id") == [("one",), ("two",), ("c!",)]


def test_many_rows_with_returning(writable: Place) -> None:
    with writable.writing(writable.engine()) as db:
        found = db.execute(PARENT.insert().returning(PARENT.c.id), [{"name": f"n{n}"} for n in range(500)])
        assert len({row.id for row in found}) == 500
    assert writable.see("SELECT count(*) FROM parent") == [(502,)]


def test_changed_rows_are_counted(writable: Place) -> None:
    with writable.writing(writable.engine()) as db:
        assert db.execute(text("INSERT INTO parent VALUES (3, 'c'), (4, 'd')")).rowcount == 2
        assert db.execute(text("UPDATE parent SET name = 'x' WHERE id > 1")).rowcount == 3
        assert db.execute(text("UPDATE parent SET name = 'x' WHERE id > 100")).rowcount == 0
        assert db.execute(text("DELETE FROM parent WHERE id >= 3")).rowcount == 2


def test_the_id_of_an_inserted_row_is_told(writable: Place) -> None:
    with writable.writing(writable.engine()) as db:
        assert db.execute(PARENT.insert().values(id=77, name="x")).inserted_primary_key == (77,)
        assert db.execute(PARENT.insert().values(name="y")).inserted_primary_key == (78,)


def test_an_upsert_changes_the_row_that_is_there(writable: Place) -> None:
    wanted = insert(PARENT).values([{"id": 1, "name": "new"}, {"id": 3, "name": "three"}])
    upsert = wanted.on_conflict_do_update(index_elements=["id"], set_={"name": wanted.excluded.name})
    with writable.writing(writable.engine()) as db:
        db.execute(upsert)
        db.execute(insert(PARENT).values(id=2, name="not taken").on_conflict_do_nothing())
        assert db.execute(select(PARENT.c.name).order_by(PARENT.c.id)).scalars().all() == ["new", "two", "three"]
    assert writable.see("SELECT id, name FROM parent ORDER BY id") == [(1, "new"), (2, "two"), (3, "three")]


def test_sqlalchemy_sees_the_schema(place: Place) -> None:
    seen = inspect(place.engine())
    assert set(TABLES) <= set(seen.get_table_names())
    assert seen.get_view_names() == ["names"]
    columns = {c["name"]: c for c in seen.get_columns("child")}
    assert list(columns) == ["id", "parent_id", "code", "n"]
    assert [str(c["type"]) for c in columns.values()] == ["INTEGER", "INTEGER", "TEXT", "INTEGER"]
    assert seen.get_columns("parent")[1]["nullable"] is False
    assert seen.get_pk_constraint("child")["constrained_columns"] == ["id"]
    (reference,) = seen.get_foreign_keys("child")
    assert (reference["referred_table"], reference["constrained_columns"]) == ("parent", ["parent_id"])
    (index,) = (i for i in seen.get_indexes("child") if i["name"] == "child_of")
    assert index["column_names"] == ["parent_id", "n"]
    assert index["unique"] == 0
    (unique,) = seen.get_unique_constraints("child")
    assert (unique["name"], unique["column_names"]) == ("code_is_unique", ["code"])
    assert [c["name"] for c in seen.get_check_constraints("child")] == ["n_is_small"]


def test_foreign_keys_are_on_in_every_connection_and_what_was_broken_before_stays(writable: Place) -> None:
    assert writable.read("PRAGMA foreign_keys") == [(1,)]
    with writable.writing(writable.engine()) as db:
        fetch(db, "UPDATE child SET n = 5 WHERE id = ?", (ORPHAN,))
    assert writable.see(f"SELECT n, parent_id FROM child WHERE id = {ORPHAN}") == [(5, 999)]


def test_tables_of_the_engines_own_do_not_show(place: Place) -> None:
    names = inspect(place.engine()).get_table_names()
    assert [n for n in names if n.startswith(("turso_", "sqlite_", "__"))] == []
