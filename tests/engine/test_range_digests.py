"""Digests that a database computes of itself: alike for copies under other engines, different for any difference."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptp.engine import read_inventory
from ptp.engine.inventory import Table
from ptp.engine.range_digests import (
    FINEST,
    Range,
    Side,
    differing,
    digest,
    draw_weights,
    local_side,
    range_condition,
    ranges,
    remote_side,
)

ALL = Range(None, None)
WEIGHTS = draw_weights(random.Random(7))
DDL = "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b)"
VALUES: list[Any] = [
    *(None, 0, 1, -1, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, -(2**63), 5.0, 0.5, 0.1, -0.1, 1e17, 2.0**61),
    *(5e-324, float("inf"), 1 / 3, 1 / 3 + 2**-54, "", "0", "5", "5.0", b"5", b"", b"\0", "\0", "a\0b", "a\0c", "é"),
    *("e\u0301", "x" * 27, "x" * 28, "x" * 29, b"x" * 29, "x" * 300, "x" * 299 + "y", b"\0" * 40, b"\0" * 41),
]

value = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(-1e17, 1e17, allow_nan=False).filter(lambda x: x == 0 or abs(x) > 1e-10),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.binary(max_size=40),
)


class Database:
    """The same rows in sqlite3 and in APSW, whose SQLite is another version."""

    def __init__(self, ddl: str = DDL) -> None:
        self.plain, self.other = sqlite3.connect(":memory:"), apsw.Connection(":memory:")
        self.run("SELECT 1")
        self.run(ddl)
        self.near, self.far = local_side(self.plain), remote_side(self._far)
        self.slow = Side(self._far, "digits")

    @property
    def table(self) -> Table:
        return read_inventory(self.plain).tables["t"]

    def run(self, sql: str, values: Sequence[Any] = ()) -> None:
        self.plain.execute(sql, values)
        self.other.execute(sql, values)

    def close(self) -> None:
        self.plain.close()
        self.other.close()

    def _far(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        return self.other.execute(sql, tuple(values)).fetchall()


@pytest.fixture
def database() -> Iterator[Database]:
    with closing(Database()) as found:
        yield found


def test_every_engine_and_every_way_to_decode_give_the_same(database: Database) -> None:
    for number, each in enumerate(VALUES):
        database.run("INSERT INTO t VALUES (?, ?, ?)", (number, each, VALUES[-number]))
    found = [digest(s, database.table, ALL, weights=WEIGHTS) for s in (database.near, database.far, database.slow)]
    assert database.far.decoder == "json"
    assert found[0].rows == len(VALUES)
    assert found[0] == found[1] == found[2]


def test_no_two_values_are_alike(database: Database) -> None:
    seen: dict[Any, Any] = {}
    for each in VALUES:
        database.run("INSERT OR REPLACE INTO t VALUES (1, ?, NULL)", (each,))
        lanes = digest(database.near, database.table, ALL, weights=WEIGHTS).lanes
        assert lanes not in seen, f"{each!r} and {seen.get(lanes)!r}"
        seen[lanes] = each


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE t SET a = a + 1 WHERE id = 700",
        "UPDATE t SET a = b, b = a WHERE id = 700",
        "UPDATE t SET a = (SELECT a FROM t AS o WHERE o.id = 1401 - t.id) WHERE id IN (700, 701)",
        "UPDATE t SET a = a + CASE id WHEN 1 THEN 3 ELSE -1 END WHERE id IN (1, 3)",
        "UPDATE t SET a = CAST(a AS TEXT) WHERE id = 700",
        "UPDATE t SET a = CAST(a AS REAL) WHERE id = 700",
        "UPDATE t SET b = b || char(0) WHERE id = 700",
        "UPDATE t SET id = 5000 WHERE id = 1000",
        "UPDATE t SET id = -5000 WHERE id = 1",
        "DELETE FROM t WHERE id = 700",
        "DELETE FROM t",
        "INSERT INTO t VALUES (0, 0, 0)",
        "INSERT INTO t VALUES (9999, NULL, NULL)",
    ],
)
def test_a_change_is_found_in_the_ranges_that_hold_it(database: Database, change: str) -> None:
    database.run("INSERT INTO t WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) "
                 "SELECT i, i * i, 'text ' || i FROM n")  # fmt: skip
    assert list(differing(database.near, database.far, database.table)) == []
    database.other.execute(change)

    found = list(differing(database.near, database.far, database.table))

    ours = set(map(repr, database.plain.execute("SELECT * FROM t")))
    wrong = ours ^ set(map(repr, database.other.execute("SELECT * FROM t")))
    assert wrong and found
    for part in found:
        inside = f"SELECT * FROM t{range_condition(database.table, part)}"
        keys = (*(part.after or ()), *(part.upto or ()))
        here = set(map(repr, database.plain.execute(inside, keys)))
        wrong_here = here ^ set(map(repr, database.other.execute(inside, keys)))
        assert wrong_here and len(here) <= FINEST
        wrong -= wrong_here
    assert not wrong


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(st.tuples(value, value), min_size=1, max_size=6), data=st.data())
def test_any_one_value_that_differs_is_seen(rows: list[tuple[Any, Any]], data: st.DataObject) -> None:
    with closing(Database()) as database:
        for number, (a, b) in enumerate(rows):
            database.run("INSERT INTO t VALUES (?, ?, ?)", (number, a, b))
        mine, theirs = (digest(s, database.table, ALL, weights=draw) for s, draw in
                        ((database.near, WEIGHTS), (database.far, WEIGHTS)))  # fmt: skip
        assert mine == theirs
        place, column, new = (
            data.draw(st.integers(0, len(rows) - 1)),
            data.draw(st.sampled_from("ab")),
            data.draw(value),
        )
        changed = database.other.execute(
            f"UPDATE t SET {column} = ?1 WHERE id = ?2 AND ({column} IS NOT ?1 OR typeof({column}) IS NOT typeof(?1)) "
            "RETURNING 1",
            (new, place),
        ).fetchall()
        assert (digest(database.far, database.table, ALL, weights=WEIGHTS) != mine) is bool(changed)


@pytest.mark.parametrize(
    ("ddl", "row"),
    [
        ("CREATE TABLE t (k TEXT NOT NULL PRIMARY KEY, v)", "printf('key %04d', i), i"),
        ("CREATE TABLE t (a INTEGER, b TEXT, v, PRIMARY KEY (a, b)) WITHOUT ROWID", "i / 7, 'part ' || (i % 7), i"),
        ("CREATE TABLE t (v, w)", "i, -i"),
        ("CREATE TABLE t (k TEXT COLLATE NOCASE NOT NULL PRIMARY KEY, v)", "char(65 + i % 2 * 32) || i, i"),
    ],
    ids=["text", "two columns", "rowid", "nocase"],
)
def test_ranges_hold_every_key_once(ddl: str, row: str) -> None:
    with closing(Database(ddl)) as database:
        numbers = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)"
        database.run(f"INSERT INTO t {numbers} SELECT {row} FROM n")
        parts = list(ranges(database.near, database.table, size=30))
        counts = [digest(database.near, database.table, part, weights=WEIGHTS).rows for part in parts]
        assert counts == [30, 30, 30, 10]
        assert list(differing(database.near, database.far, database.table)) == []
        database.other.execute("UPDATE t SET v = 'other' WHERE v = 50")
        assert len(list(differing(database.near, database.far, database.table))) == 1


def test_other_weights_give_another_digest(database: Database) -> None:
    database.run("INSERT INTO t VALUES (1, 2, 3)")
    assert digest(database.near, database.table, ALL, weights=WEIGHTS) != digest(
        database.near, database.table, ALL, weights=draw_weights()
    )
