"""Plans: each step names the real table and index, whatever the statement calls them; APSW is the witness."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import apsw.ext
import pytest

from ptp.engine.plans import full_scans, opened, plan_of, reads, sorts

DDL = """
CREATE TABLE q (id INTEGER PRIMARY KEY, exam INT, topic TEXT);
CREATE TABLE a (id INTEGER PRIMARY KEY, u INT, q_id INT REFERENCES q (id) ON DELETE CASCADE);
CREATE TABLE w (k TEXT PRIMARY KEY, v) WITHOUT ROWID;
CREATE TABLE log (x);
CREATE TABLE "odd name" (b, c);
CREATE INDEX iq ON q (exam);
CREATE INDEX ia ON a (q_id);
CREATE INDEX wv ON w (v);
CREATE INDEX "odd (index)" ON "odd name" (b);
CREATE VIEW vq AS SELECT q.id, other.u FROM q JOIN a AS other ON other.q_id = q.id;
CREATE VIRTUAL TABLE f USING fts5 (b);
CREATE TRIGGER tr AFTER INSERT ON q BEGIN INSERT INTO log SELECT v FROM w WHERE v = new.exam; END;
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "app.db"
    with closing(sqlite3.connect(file)) as db:
        db.executescript(DDL)
    return file


@pytest.fixture
def db(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as found:
        found.execute("PRAGMA foreign_keys = ON")
        yield found


STEPS = {
    "SELECT * FROM q": [("scan", "q", None)],
    "SELECT * FROM q AS a": [("scan", "q", None)],
    "SELECT * FROM q a, a q WHERE a.topic = 1 AND q.id = a.exam": [("scan", "q", None), ("search", "a", None)],
    "SELECT * FROM q z WHERE z.id = 3": [("search", "q", None)],
    "SELECT * FROM q z WHERE z.exam = 3": [("search", "q", "iq")],
    "SELECT z.exam FROM q z": [("scan", "q", "iq")],
    "SELECT count(*) FROM q": [("scan", "q", "iq")],
    "SELECT count(*) FROM log": [("scan", "log", None)],
    "SELECT * FROM vq WHERE u = 1": [("scan", "a", None), ("search", "q", None)],
    "SELECT * FROM w x WHERE x.k = 'a'": [("search", "w", None)],
    "SELECT k FROM w x": [("scan", "w", "wv")],
    'SELECT * FROM "odd name" AS "some USING INDEX (x)"': [("scan", "odd name", None)],
    'SELECT b FROM "odd name" z WHERE b = 1': [("search", "odd name", "odd (index)")],
    "SELECT * FROM q z WHERE z.id IN (SELECT u FROM a z WHERE z.u > 3)": [("search", "q", None), ("scan", "a", None)],
    "SELECT * FROM log WHERE x NOT IN (SELECT id FROM q)": [("scan", "log", None), ("search", "q", None)],
    "SELECT * FROM a WHERE u = (SELECT count(*) FROM log)": [("scan", "a", None), ("scan", "log", None)],
    "SELECT max(exam) FROM q": [("search", "q", "iq")],
    "SELECT * FROM a x JOIN a y ON x.u = y.u": [("scan", "a", None), ("search", "a", None)],
    "SELECT * FROM q a FULL JOIN a b ON a.id = b.q_id": [
        ("scan", "q", None),
        ("search", "a", "ia"),
        ("scan", "a", None),
    ],
    "SELECT * FROM q LEFT JOIN a z ON z.q_id = q.id": [("scan", "q", None), ("search", "a", "ia")],
    "DELETE FROM q WHERE topic = 'x'": [("scan", "q", None), ("search", "a", "ia")],
    "WITH c AS MATERIALIZED (SELECT * FROM q) SELECT * FROM c a, c b WHERE a.topic = b.id": [
        ("scan", "q", None),
        ("scan", None, None),
        ("search", None, None),
    ],
    "WITH c AS MATERIALIZED (SELECT * FROM q y) SELECT * FROM c x LEFT JOIN a y ON y.u = x.topic": [
        ("scan", "q", None),
        ("scan", None, None),
        ("search", "a", None),
    ],
    "WITH a AS MATERIALIZED (SELECT * FROM q LIMIT 3) SELECT * FROM a": [("scan", "q", None), ("scan", None, None)],
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3) SELECT * FROM n": [
        ("scan", None, None),
        ("scan", None, None),
    ],
    "SELECT * FROM (VALUES (1), (2), (3))": [("scan", None, None)],
    "SELECT 1": [],
    "SELECT * FROM f WHERE f MATCH 'x'": [("scan", None, None)],
    "SELECT * FROM json_each('[1]') AS q": [("scan", None, None)],
    "SELECT * FROM json_each('[1]') j JOIN q z ON z.id = j.value": [("scan", None, None), ("search", "q", None)],
    "SELECT * FROM (SELECT u, count(*) c FROM a GROUP BY u) q JOIN q z ON z.id = q.c": [
        ("scan", "a", None),
        ("scan", None, None),
        ("search", "q", None),
    ],
    "SELECT exam FROM q WHERE exam = 1 UNION ALL SELECT u FROM a z": [("search", "q", "iq"), ("scan", "a", None)],
    "SELECT * FROM q z WHERE z.exam = 1 OR z.id = 3": [("search", "q", "iq"), ("search", "q", None)],
    "CREATE TABLE more (a)": [],
}


@pytest.mark.parametrize("sql", STEPS)
def test_each_step_names_the_real_table_and_index(db: sqlite3.Connection, sql: str) -> None:
    told = [(s.kind, s.table, s.index) for s in plan_of(db, sql).steps if s.kind in ("scan", "search")]
    assert told == STEPS[sql]


def test_the_text_and_tree_are_those_of_sqlite(db: sqlite3.Connection) -> None:
    sql = "SELECT * FROM q WHERE exam = 1 OR id = 3 ORDER BY topic"
    lines = db.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()
    plan = plan_of(db, sql)
    assert [s.text for s in plan.steps] == [line[3] for line in lines]
    assert [s.depth for s in plan.steps] == [0, 1, 2, 1, 2, 0]


def test_covering_and_automatic_indexes_are_told(db: sqlite3.Connection) -> None:
    (covering,) = plan_of(db, "SELECT exam FROM q WHERE exam = 1").steps
    assert (covering.covering, covering.automatic) == (True, False)
    (plain,) = plan_of(db, "SELECT * FROM q WHERE exam = 1").steps
    assert (plain.covering, plain.automatic) == (False, False)
    automatic = plan_of(db, "SELECT * FROM a x JOIN a y ON x.u = y.u").steps[1]
    assert (automatic.index, automatic.automatic, automatic.kind) == (None, True, "search")


@pytest.mark.parametrize(
    ("sql", "scanned", "sorted_for"),
    [
        ("SELECT * FROM q z ORDER BY topic", ["q"], ["ORDER BY"]),
        ("SELECT exam FROM q GROUP BY topic", ["q"], ["GROUP BY"]),
        ("SELECT DISTINCT topic FROM q", ["q"], ["DISTINCT"]),
        ("SELECT exam FROM q ORDER BY exam", ["q"], []),
        ("SELECT * FROM q WHERE exam = 2 ORDER BY id", [], []),
        ("SELECT * FROM q ORDER BY exam, topic", ["q"], ["RIGHT PART OF ORDER BY"]),
        ("SELECT * FROM json_each('[2, 1]') ORDER BY value", [], ["ORDER BY"]),
        ("INSERT INTO log VALUES (1)", [], []),
    ],
)
def test_full_scans_and_sorts(db: sqlite3.Connection, sql: str, scanned: list[str], sorted_for: list[str]) -> None:
    plan = plan_of(db, sql)
    assert [s.table for s in full_scans(plan)] == scanned
    assert [s.text.removeprefix("USE TEMP B-TREE FOR ") for s in sorts(plan)] == sorted_for


def test_parameters_are_bound_by_position_or_name(db: sqlite3.Connection) -> None:
    assert plan_of(db, "SELECT * FROM q WHERE exam = ?", (1,)) == plan_of(db, "SELECT * FROM q WHERE exam = ?", [2])
    assert opened(db, "SELECT * FROM q WHERE exam = :e", {"e": 1}) == {"q", "iq"}
    assert reads(db, "SELECT * FROM q WHERE exam = ?", (1,)) == {"q", "iq"}


def test_the_hash_changes_with_the_plan_only(db: sqlite3.Connection) -> None:
    sql = "SELECT * FROM a WHERE u = 1"
    before = plan_of(db, sql).hash
    assert len(before) == 16 and int(before, 16) >= 0
    assert plan_of(db, "SELECT id, u FROM a WHERE u = 7").hash == before
    db.execute("CREATE INDEX au ON a (u)")
    assert plan_of(db, sql).hash != before
    db.execute("DROP INDEX au")
    assert plan_of(db, sql).hash == before


OPENED = {
    "SELECT * FROM q": ({"q"}, {"q"}),
    "SELECT exam FROM q z": ({"iq"}, {"iq"}),
    "SELECT * FROM vq": ({"q", "a"}, {"q", "a"}),
    "INSERT INTO q VALUES (1, 2, 'x')": ({"q", "iq", "log", "wv", "ia"}, {"q", "wv", "ia"}),
    "INSERT INTO a VALUES (1, 2, 3)": ({"a", "ia", "q"}, {"a", "q"}),
    "UPDATE q SET topic = 'x' WHERE id = 1": ({"q"}, {"q"}),
    "UPDATE q SET exam = 3 WHERE id = 1": ({"q", "iq"}, {"q"}),
    "UPDATE q SET exam = 3 WHERE exam = 1": ({"q", "iq"}, {"q", "iq"}),
    "DELETE FROM q WHERE id = 1": ({"q", "iq", "a", "ia"}, {"q", "a", "ia"}),
    "DELETE FROM log": ({"log"}, set()),
    "DELETE FROM w WHERE k = 'a'": ({"w", "wv"}, {"w"}),
    "SELECT 1": (set(), set()),
    "SELECT * FROM f": (set(), set()),
}


@pytest.mark.parametrize("sql", OPENED)
def test_what_is_opened_and_of_it_read(db: sqlite3.Connection, sql: str) -> None:
    """An index that a write maintains is opened and not read; of a trigger and a reference, both are told."""
    to_open, to_read = OPENED[sql]
    assert opened(db, sql) - reads(db, sql) == to_open - to_read
    assert reads(db, sql) == to_read


@pytest.mark.parametrize("sql", [s for s in [*STEPS, *OPENED] if "CREATE" not in s and "FROM f" not in s])
def test_apsw_sees_the_same_tables(db: sqlite3.Connection, path: Path, sql: str) -> None:
    """SQLite's authorizer tells the tables that a statement touches when it is prepared, in a SQLite of another version."""
    real = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    of_index = dict(db.execute("SELECT name, tbl_name FROM sqlite_schema WHERE type = 'index'").fetchall())
    with closing(apsw.Connection(str(path))) as other:
        other.execute("PRAGMA foreign_keys = ON")
        actions = apsw.ext.query_info(other, sql, actions=True).actions or []
    touched = {a.table_name for a in actions if a.table_name} & real
    assert {of_index.get(n, n) for n in opened(db, sql)} == touched


def test_a_partial_index_serves_a_reference(db: sqlite3.Connection) -> None:
    db.execute("DROP INDEX ia")
    assert "ia" not in reads(db, "DELETE FROM q WHERE id = 1")
    db.execute("CREATE INDEX ia ON a (q_id) WHERE q_id IS NOT NULL")
    assert "ia" in reads(db, "DELETE FROM q WHERE id = 1")


def test_names_of_an_attached_and_a_temporary_database_are_found(db: sqlite3.Connection) -> None:
    db.execute("ATTACH ':memory:' AS other")
    db.execute("CREATE TABLE other.far (a)")
    db.execute("CREATE TEMP TABLE near (a)")
    assert opened(db, "SELECT * FROM far, near") == {"far", "near"}
    assert [s.table for s in full_scans(plan_of(db, "SELECT * FROM other.far x, near y"))] == ["far", "near"]


def test_nothing_is_run(db: sqlite3.Connection) -> None:
    db.execute("INSERT INTO log VALUES (1)")
    plan_of(db, "DELETE FROM log")
    opened(db, "DELETE FROM log")
    reads(db, "DELETE FROM log")
    assert db.execute("SELECT count(*) FROM log").fetchone() == (1,)


def test_a_bloom_filter_is_a_scan_of_what_fills_it() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute("CREATE TABLE few (id INTEGER PRIMARY KEY, y)")
        db.execute("CREATE TABLE many (x)")
        db.execute(
            "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) INSERT INTO few SELECT i, i % 9 FROM n"
        )
        db.execute(
            "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000) INSERT INTO many SELECT i % 100 FROM n"
        )
        db.execute("ANALYZE")
        plan = plan_of(db, "SELECT * FROM many CROSS JOIN few AS f ON f.id = many.x WHERE f.y > 5")
        assert any(s.text.startswith("BLOOM FILTER") for s in plan.steps), "this SQLite fills none; take the test away"
        assert [s.table for s in full_scans(plan)] == ["many", "few"]


def test_the_queue_of_a_recursive_query_is_no_table() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute("CREATE TABLE node (id INTEGER PRIMARY KEY, parent)")
        plan = plan_of(
            db,
            """WITH RECURSIVE up (id) AS (
            SELECT ? UNION ALL SELECT node.parent FROM up CROSS JOIN node ON node.id = up.id) SELECT * FROM up""",
            (1,),
        )
        assert full_scans(plan) == ()
        assert [s.table for s in plan.steps if s.kind == "search"] == ["node"]


def test_a_materialized_subquery_is_no_table_though_its_cursor_becomes_one() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a)")
        sql = "INSERT INTO t (a) WITH g AS MATERIALIZED (SELECT value AS v FROM json_each(?)) SELECT v + (SELECT count(*) FROM t AS u WHERE u.id = v) FROM g RETURNING id"
        assert full_scans(plan_of(db, sql, ("[1]",))) == ()
