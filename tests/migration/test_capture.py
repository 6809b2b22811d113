"""The capture: every changed or displaced row is in the log, no statement of the application notices it.

The witness is SQLite itself: the same statements on a twin without capture, and the whole table before and after each.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from ptp.engine import moves, read_inventory
from ptp.engine.sql import index_parts
from ptp.migration.capture import LOG, Watched, capture_sql, release_sql, without_capture

TABLES = """
CREATE TABLE plain (id INTEGER PRIMARY KEY, a TEXT, b TEXT COLLATE NOCASE, c INT);
CREATE TABLE rules (
  id INTEGER PRIMARY KEY, a TEXT, b TEXT COLLATE NOCASE, c INT, g INT GENERATED ALWAYS AS (c * 2) STORED);
CREATE UNIQUE INDEX rules_b ON rules (b);
CREATE UNIQUE INDEX rules_expression ON rules (lower(a) || c) WHERE c IS NOT NULL;
CREATE UNIQUE INDEX rules_generated ON rules (g DESC, a COLLATE RTRIM);
CREATE TABLE keyed (id TEXT, a TEXT NOT NULL, b TEXT, c INT, PRIMARY KEY (id, a));
CREATE UNIQUE INDEX keyed_c ON keyed (c);
CREATE TABLE loose (id, a TEXT, b TEXT, c INT);
CREATE UNIQUE INDEX loose_id ON loose (id);
CREATE TABLE bare (id INTEGER, a TEXT NOT NULL, b TEXT, c INT UNIQUE, PRIMARY KEY (id, a)) WITHOUT ROWID;
"""
NAMES = ("plain", "rules", "keyed", "loose", "bare")
CLAUSES = ("", "OR REPLACE", "OR IGNORE", "OR ABORT", "OR FAIL", "OR ROLLBACK")


@pytest.fixture(params=[False, True], ids=["plain", "recursive triggers"])
def twins(request: pytest.FixtureRequest) -> Iterator[tuple[sqlite3.Connection, sqlite3.Connection]]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as captured:
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as twin:
            for db in (captured, twin):
                db.executescript(TABLES)
                db.execute(f"PRAGMA recursive_triggers = {int(request.param)}")
            install(captured)
            if request.param:
                # With recursive triggers SQLite refuses a few REPLACEs wherever a table has a delete trigger at all.
                for name in NAMES:
                    twin.execute(f"CREATE TRIGGER on_{name} AFTER DELETE ON {name} BEGIN SELECT 1; END")
            yield captured, twin


def install(db: sqlite3.Connection) -> None:
    tables = read_inventory(db).tables
    for sql in capture_sql([Watched(t, t.key) for t in tables.values()], other="/new.db"):
        db.execute(sql)
    moves.enter_move(db, moves.Move("open", "old", "/new.db", "capture", "run", "plan", "me", 0.0))


def statement(rng: random.Random, table: str) -> tuple[str, tuple[object, ...]]:
    """One write as an application could send it."""
    key = rng.choice([None, -1, 1, 2, 3, 4, 5, "x"])
    if table in ("plain", "rules", "bare"):
        key = rng.choice([None, -1, 1, 2, 3, 4, 5])
    a, b, c = rng.choice("aAbB "), rng.choice([None, "p", "P", "q", "Q"]), rng.choice([None, 1, 2, 3])
    clause, one = rng.choice(CLAUSES), rng.choice([1, 2, 3, 4, 5])
    # Of one row, as which of several is met first is SQLite's to choose.
    where = "id IS ? AND a = 'a'" if table in ("keyed", "bare") else "id IS ?"
    return rng.choice(
        [
            (f"INSERT {clause} INTO {table} (id, a, b, c) VALUES (?, ?, ?, ?)", (key, a, b, c)),
            (f"INSERT {clause} INTO {table} (a, b, c) VALUES (?, ?, ?)", (a, b, c)),
            (
                f"INSERT {clause} INTO {table} (id, a, b, c) SELECT ?, a || 'x', b, c FROM {table} ORDER BY 1, 2, 3, 4 LIMIT 2",
                (key,),
            ),
            (f"UPDATE {clause} {table} SET a = ?, b = ? WHERE {where}", (a, b, one)),
            (f"UPDATE {clause} {table} SET c = ? WHERE {where}", (c, one)),
            (f"UPDATE {clause} {table} SET id = ? WHERE {where}", (key, one)),
            (f"UPDATE {clause} {table} SET c = c WHERE c > 1", ()),
            (f"DELETE FROM {table} WHERE id IS ? OR c = ?", (key, c)),
            (
                f"INSERT INTO {table} (id, a, b, c) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET b = 'up'",
                (key, a, b, c),
            ),
        ]
    )


def rows_of(db: sqlite3.Connection, table: str, key: tuple[str, ...]) -> dict[tuple[object, ...], tuple[object, ...]]:
    width = len(key)
    found = db.execute(f"SELECT {', '.join(key)}, * FROM {table}").fetchall()
    return {row[:width]: row[width:] for row in found}


def run(db: sqlite3.Connection, sql: str, values: tuple[object, ...]) -> tuple[str, int, int]:
    """What the application gets to see of a statement: its error, its count of rows, and the id of what it inserted.

    SQLite leaves the last id undefined after a statement that failed; nor is there one without a row.
    """
    try:
        cursor = db.execute(sql, values)
        has_id = sql.startswith("INSERT") and cursor.rowcount > 0 and "INTO bare" not in sql and "DO UPDATE" not in sql
        return "", cursor.rowcount, (cursor.lastrowid or 0) if has_id else 0
    except sqlite3.Error as problem:
        return str(problem), 0, 0


@pytest.mark.parametrize("table", NAMES)
def test_every_changed_and_every_displaced_row_is_in_the_log(
    twins: tuple[sqlite3.Connection, sqlite3.Connection], table: str
) -> None:
    db, _ = twins
    key = read_inventory(db).tables[table].key
    rng = random.Random(table)
    changed = 0
    for _ in range(700):
        before, (top,) = rows_of(db, table, key), db.execute(f"SELECT coalesce(max(id), 0) FROM {LOG}").fetchone()
        run(db, *statement(rng, table))
        after = rows_of(db, table, key)
        different = {k for k in before.keys() | after.keys() if before.get(k) != after.get(k)}
        k, n = (", ".join(f"{letter}{i}" for i in range(len(key))) for letter in "kn")
        logged = db.execute(f"SELECT {k} FROM {LOG} WHERE id > {top} AND name = '{table}'").fetchall()
        logged += db.execute(f"SELECT {n} FROM {LOG} WHERE id > {top} AND op = 'U'").fetchall()
        assert different <= set(logged)
        changed += len(different)
    assert changed > 200


@pytest.mark.parametrize("table", NAMES)
def test_no_statement_of_the_application_notices_it(
    twins: tuple[sqlite3.Connection, sqlite3.Connection], table: str
) -> None:
    db, twin = twins
    rng = random.Random(table)
    for _ in range(700):
        sql, values = statement(rng, table)
        assert run(db, sql, values) == run(twin, sql, values), sql
        assert db.in_transaction == twin.in_transaction
        found, expected = (sorted(x.execute(f"SELECT * FROM {table}"), key=repr) for x in (db, twin))
        assert found == expected, sql


def test_an_insert_or_an_update_or_a_delete_of_one_row_is_one_entry() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.executescript(TABLES)
        install(db)
        db.execute("INSERT INTO rules (id, a, b, c) VALUES (1, 'a', 'b', 1), (2, 'c', 'd', 2)")
        db.execute("UPDATE rules SET a = 'z' WHERE id = 1")
        db.execute("UPDATE rules SET id = 9 WHERE id = 1")
        db.execute("DELETE FROM rules WHERE id = 9")
        db.execute("REPLACE INTO rules (id, a, b, c) VALUES (3, 'c', 'D', 3)")  # displaces row 2
        assert db.execute(f"SELECT op, k0, n0 FROM {LOG} ORDER BY id").fetchall() == [
            ("I", 1, None), ("I", 2, None), ("U", 1, 1), ("U", 1, 9), ("D", 9, None), ("R", 2, None), ("I", 3, None),
        ]  # fmt: skip


def test_a_key_keeps_its_storage_class() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.executescript("CREATE TABLE t (id NOT NULL, v, PRIMARY KEY (id)) WITHOUT ROWID")
        install(db)
        values = [1, 1.5, "1", b"1", 2**63 - 1, "a\0b"]
        db.executemany("INSERT INTO t VALUES (?, 0)", [(v,) for v in values])
        assert [r[0] for r in db.execute(f"SELECT k0 FROM {LOG} ORDER BY id")] == values


def test_the_keys_of_two_rows_without_a_key_are_their_rowids() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.executescript("CREATE TABLE t (id TEXT PRIMARY KEY, v)")  # a text key may be NULL twice
        install(db)
        db.executescript(
            "INSERT INTO t VALUES (NULL, 1); INSERT INTO t VALUES (NULL, 2); UPDATE t SET v = 3 WHERE v = 2"
        )
        assert db.execute(f"SELECT k0 FROM {LOG} ORDER BY id").fetchall() == [(1,), (2,), (2,)]


def test_triggers_that_the_source_has_keep_firing() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.executescript(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v, touched INT DEFAULT 0);"
            "CREATE TRIGGER touch AFTER UPDATE OF v ON t BEGIN UPDATE t SET touched = touched + 1 WHERE id = NEW.id; END"
        )
        install(db)
        db.executescript("INSERT INTO t (id, v) VALUES (1, 'a'); UPDATE t SET v = 'b'")
        assert db.execute("SELECT * FROM t").fetchall() == [(1, "b", 1)]


@pytest.mark.parametrize("state", ["freezing", "moved", "next"])
def test_unless_it_is_open_every_write_is_refused_and_names_the_other(state: str) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.executescript(TABLES)
        install(db)
        db.execute("INSERT INTO rules (id, a, b, c) VALUES (1, 'a', 'b', 1)")
        db.execute("UPDATE ptp_move SET state = ?", (state,))
        before = db.execute("SELECT * FROM rules").fetchall()
        for clause in CLAUSES:
            for sql in (
                f"INSERT {clause} INTO rules (a) VALUES ('n')",
                f"INSERT {clause} INTO rules (b) VALUES ('B')",
                f"UPDATE {clause} rules SET a = 'n'",
                "DELETE FROM rules",
                "INSERT INTO rules (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET a = 'n'",
            ):
                problem = run(db, sql, ())[0]
                # Where the clause swallows the row before it is written, there is nothing to refuse.
                assert "/new.db" in problem or "constraint" in problem or "IGNORE" in sql, sql
        assert db.execute("SELECT * FROM rules").fetchall() == before


def test_what_is_released_leaves_nothing() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.executescript(TABLES)
        before = db.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name").fetchall()
        install(db)
        assert without_capture(read_inventory(db)).tables.keys() == set(NAMES)
        for sql in release_sql(read_inventory(db)):
            db.execute(sql)
        after = db.execute("SELECT type, name, sql FROM sqlite_schema WHERE name <> 'sqlite_sequence' ORDER BY name")
        assert after.fetchall() == before


def test_the_terms_of_an_index_are_read_as_sqlite_reads_them() -> None:
    sql = (
        "CREATE UNIQUE INDEX x ON t (lower(a) COLLATE NOCASE DESC, \"b,(\" asc, f(c, '),(')) -- c\n WHERE a > 'x)' OR b"
    )
    assert index_parts(sql) == (("lower(a) COLLATE NOCASE", '"b,("', "f(c, '),(')"), "a > 'x)' OR b")
