"""Reading two tables side by side, against a plain sorted merge in Python."""

import itertools
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ptp.verification.rows import Reader, batches, fetch_exactly, in_order

INTEGERS = st.integers(-5, 5) | st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text("aAbé\0'\U0001f393", max_size=3)
RAW_TEXTS = st.binary(max_size=3)  # any bytes, to be stored as text
BLOBS = st.binary(max_size=3)


def rank(value: Any) -> tuple[int, Any]:
    """SQLite's order of storage classes and, within each, of values."""
    if value is None:
        return (0, 0)
    if isinstance(value, int | float):
        return (1, value)
    return (2, value.encode("utf-8", "surrogateescape")) if isinstance(value, str) else (3, value)


def table(rows: list[tuple[Any, ...]], ddl: str, mark: Callable[[Any], str] = lambda v: "?") -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.execute(f"CREATE TABLE t ({ddl})")
    for row in rows:
        db.execute(f"INSERT INTO t VALUES ({', '.join(map(mark, row))})", row)
    return db


def merged(left: list[tuple[Any, ...]], right: list[tuple[Any, ...]], keys: int) -> list[tuple[Any, Any, Any]]:
    """Every key of both lists, in order, with the rows that each has there."""
    both = sorted({tuple(map(rank, r[:keys])) for r in (*left, *right)})
    return [
        (
            key,
            [r for r in left if tuple(map(rank, r[:keys])) == key],
            [r for r in right if tuple(map(rank, r[:keys])) == key],
        )
        for key in both
    ]


def check(
    left: list[tuple[Any, ...]],
    right: list[tuple[Any, ...]],
    ddl: str,
    size: int,
    *,
    keys: int = 1,
    mark: Callable[[Any], str] = lambda v: "?",
    read: Callable[[Any], Any] = lambda v: v,
) -> None:
    """Hold that the batches are all rows of both sides, in order, and that no key is in two of them."""
    names = tuple(c.split()[0] for c in ddl.split(", ")[: keys + 1])
    with closing(table(left, ddl, mark)) as a, closing(table(right, ddl, mark)) as b:
        readers = [Reader(db, "t", names, tuple(range(keys))) for db in (a, b)]
        pairs = list(batches(*readers, size=size))
    mine, theirs = [r for m, _ in pairs for r in m], [r for _, t in pairs for r in t]
    wanted = merged(*([tuple(map(read, r)) for r in rows] for rows in (left, right)), keys)
    assert mine == [r for _, rows, _ in wanted for r in rows]
    assert theirs == [r for _, _, rows in wanted for r in rows]
    ranges = [sorted(tuple(map(rank, r[:keys])) for r in (*m, *t)) for m, t in pairs]
    for before, after in itertools.pairwise(ranges):
        assert before and after, "an empty batch"
        assert before[-1] < after[0]
    assert all(len(m) <= 2 * size and len(t) <= 2 * size for m, t in pairs)


def rows_of(keys: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[Any, int]]]:
    return st.lists(st.tuples(keys, st.integers(0, 3)), max_size=12, unique_by=lambda r: rank(r[0]))


SIZES = st.integers(1, 5)


@given(rows_of(INTEGERS), rows_of(INTEGERS), SIZES)
@example([(k, 0) for k in range(7)], [(k, 0) for k in range(3, 10)], 3)
@example([], [(1, 0)], 1)
@example([(1, 0), (2, 0)], [], 2)
@settings(deadline=None)
def test_integer_keys(left: list[Any], right: list[Any], size: int) -> None:
    check(left, right, "k INTEGER PRIMARY KEY, v INTEGER", size)


@given(rows_of(TEXTS), rows_of(TEXTS), SIZES)
@example([("a", 0), ("A", 0), ("b", 0)], [("B", 0), ("a", 0)], 1)
@settings(deadline=None)
def test_text_keys_come_by_their_bytes(left: list[Any], right: list[Any], size: int) -> None:
    check(left, right, "k TEXT PRIMARY KEY, v INTEGER", size)


@given(rows_of(TEXTS), rows_of(TEXTS), SIZES)
@settings(deadline=None)
def test_text_keys_come_by_their_bytes_whatever_collation_the_column_has(
    left: list[Any], right: list[Any], size: int
) -> None:
    check(left, right, "k TEXT COLLATE NOCASE, v INTEGER", size)


@given(rows_of(RAW_TEXTS), rows_of(RAW_TEXTS), SIZES)
@example([(b"\xff", 0), (b"\xfe", 0), (b"a", 0)], [(b"\xc3(", 0), (b"\xc3\xa9", 0)], 1)
@settings(deadline=None)
def test_text_keys_of_any_bytes(left: list[Any], right: list[Any], size: int) -> None:
    check(
        left,
        right,
        "k TEXT PRIMARY KEY, v INTEGER",
        size,
        mark=lambda v: "CAST(? AS TEXT)" if isinstance(v, bytes) else "?",
        read=lambda v: v.decode("utf-8", "surrogateescape") if isinstance(v, bytes) else v,
    )


@given(rows_of(BLOBS), rows_of(BLOBS), SIZES)
@settings(deadline=None)
def test_blob_keys(left: list[Any], right: list[Any], size: int) -> None:
    check(left, right, "k BLOB PRIMARY KEY, v INTEGER", size)


MIXED = st.integers(-3, 3) | st.floats(-3, 3).filter(lambda f: f != int(f)) | TEXTS | BLOBS


@given(rows_of(MIXED), rows_of(MIXED), SIZES)
@settings(deadline=None)
def test_keys_of_mixed_classes_come_in_the_order_of_sqlite(left: list[Any], right: list[Any], size: int) -> None:
    check(left, right, "k BLOB, v INTEGER", size)


@given(rows_of(MIXED | st.none()), rows_of(MIXED | st.none()), SIZES)
@example([(None, 0), (1, 0)], [(1, 0)], 1)
@example([(1, 0)], [(None, 0), (2, 0)], 1)
@settings(deadline=None)
def test_one_key_that_is_null_comes_first(left: list[Any], right: list[Any], size: int) -> None:
    check(left, right, "k BLOB, v INTEGER", size)


PARTS = st.sampled_from([0, 1, 2, "a", "A", b"a"])
COMPOSITE = st.lists(
    st.tuples(PARTS, PARTS, st.integers(0, 3)), max_size=12, unique_by=lambda r: (rank(r[0]), rank(r[1]))
)


@given(COMPOSITE, COMPOSITE, SIZES)
@settings(deadline=None)
def test_keys_of_two_columns(left: list[Any], right: list[Any], size: int) -> None:
    check(left, right, "a BLOB, b BLOB, v INTEGER, PRIMARY KEY (a, b)", size, keys=2)


@pytest.mark.parametrize("size", range(1, 9))
def test_tables_of_every_small_length_meet_at_every_batch_size(size: int) -> None:
    for n in range(6):
        for m in range(6):
            left, right = [(i, 0) for i in range(n)], [(i * 2, 0) for i in range(m)]
            check(left, right, "k INTEGER PRIMARY KEY, v INTEGER", size)


@given(st.lists(MIXED | st.none(), max_size=10))
def test_the_order_is_the_one_of_sqlite(values: list[Any]) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE t (v BLOB)")
        db.executemany("INSERT INTO t VALUES (?)", [(v,) for v in values])
        by_sqlite = [v for (v,) in db.execute("SELECT v FROM t ORDER BY v COLLATE BINARY")]
    assert [rank(v) for v in sorted(values, key=lambda v: in_order((v,)))] == [rank(v) for v in by_sqlite]


def test_texts_that_are_not_utf_8_are_read_by_their_bytes_and_the_connection_stays_as_it_was() -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        rows = fetch_exactly(db, "SELECT CAST(X'61FF62' AS TEXT), 'é', X'FF', 1, NULL")
        assert rows == [("a\udcffb", "é", b"\xff", 1, None)]
        assert db.text_factory is str


def test_an_error_of_another_kind_is_not_swallowed() -> None:
    with closing(sqlite3.connect(":memory:")) as db, pytest.raises(sqlite3.OperationalError, match="no such table"):
        fetch_exactly(db, "SELECT * FROM nowhere")


def test_no_more_than_the_limit_is_read_at_once() -> None:
    with closing(table([(i, 0) for i in range(100)], "k INTEGER PRIMARY KEY, v INTEGER")) as db:
        reader = Reader(db, "t", ("k", "v"), (0,))
        assert len(reader.after(None, limit=7)) == 7
        assert reader.after((42, 0), limit=2) == [(43, 0), (44, 0)]
        assert reader.after((99, 0), limit=2) == []
