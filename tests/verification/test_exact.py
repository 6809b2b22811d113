"""Equality that is exact in class and bits, against SQLite itself and against plain Python."""

import math
import sqlite3
import struct
from contextlib import closing
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ptp.verification.exact import differing, key_text, same, shown

INTEGERS = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, 1, -1, 2**53, 2**53 + 1])
REALS = st.floats(allow_nan=False) | st.sampled_from([0.0, -0.0, 1.0, -1.0, 9007199254740992.0])
TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ["", "1", "1.0", "a\0b", "A", "a", "a ", "'"]
)
BLOBS = st.binary() | st.sampled_from([b"", b"1", b"a"])
VALUES: st.SearchStrategy[Any] = st.none() | INTEGERS | REALS | TEXTS | BLOBS


def bits(value: Any) -> tuple[str, Any]:
    """A value as nothing but its class and its bytes."""
    if isinstance(value, float):
        return "real", struct.pack(">d", value)
    if isinstance(value, str):
        return "text", value.encode("utf-8", "surrogateescape")
    return type(value).__name__, value


@given(VALUES, VALUES)
@example(1, 1.0)
@example(0, 0.0)
@example(0.0, -0.0)
@example(2**53 + 1, 9007199254740992.0)
@example("1", 1)
@example("a", b"a")
@example("", None)
@example("é", "é")
@example("a\0b", "a\0c")
def test_two_values_are_the_same_when_class_and_bytes_are(a: Any, b: Any) -> None:
    assert same(a, b) is (bits(a) == bits(b))
    assert same(a, b) is same(b, a)
    assert same(a, a)


@given(st.lists(st.tuples(VALUES, VALUES | st.just(...)), max_size=12))
def test_the_positions_that_differ_are_those_of_a_plain_loop(pairs: list[tuple[Any, Any]]) -> None:
    expected = [a for a, _ in pairs]
    seen = [a if b is ... else b for a, b in pairs]
    assert differing(expected, seen) == [
        i for i, (a, b) in enumerate(zip(expected, seen, strict=True)) if bits(a) != bits(b)
    ]


COLUMNS = [
    ([1, 2, 3], [1, 2.0, 3], [1]),
    ([1, 1.0], [1.0, 1], [0, 1]),
    ([0.0, 1.5], [-0.0, 1.5], [0]),
    ([None, -0.0], [None, 0.0], [1]),
    ([None, 5], [None, 5], []),
    ([None, None], [None, None], []),
    ([None], [0], [0]),
    ([1, "1"], ["1", 1], [0, 1]),
    ([b"a"], ["a"], [0]),
    ([True and 1], [1], []),
    ([], [], []),
]


@pytest.mark.parametrize(("expected", "seen", "places"), COLUMNS)
def test_columns_that_python_calls_equal_are_told_apart(
    expected: list[Any], seen: list[Any], places: list[int]
) -> None:
    assert differing(expected, seen) == places
    assert differing(tuple(expected), seen) == places


@given(st.lists(INTEGERS | TEXTS | BLOBS | st.none(), min_size=1, max_size=3))
def test_a_key_as_text_is_sql_that_gives_the_key_back(key: list[Any]) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        found = db.execute(f"SELECT {key_text(key)}").fetchone() if "\0" not in key_text(key) else None
        quoted = ",".join(db.execute("SELECT quote(?)", (part,)).fetchone()[0] for part in key)
    assert found == tuple(key)
    if not any(isinstance(part, str) and "\0" in part for part in key):
        assert key_text(key) == quoted


@given(st.lists(st.lists(INTEGERS | TEXTS, min_size=2, max_size=2), min_size=2, max_size=2))
@example([["a,b", "c"], ["a", "b,c"]])
@example([["1", 1], [1, "1"]])
def test_two_keys_never_read_alike(keys: list[list[Any]]) -> None:
    a, b = keys
    assert (key_text(a) == key_text(b)) is (list(map(bits, a)) == list(map(bits, b)))


@pytest.mark.parametrize(
    ("value", "text", "masked"),
    [
        (None, "NULL", "NULL"),
        (1, "integer 1", "integer (personal, masked)"),
        (1.0, "real 1.0", "real (personal, masked)"),
        ("it's", "text 'it''s'", "text of 4 (personal, masked)"),
        (b"\xff\x00", "blob X'FF00'", "blob of 2 (personal, masked)"),
        (math.inf, "real inf", "real (personal, masked)"),
    ],
)
def test_a_value_is_shown_with_its_class_or_masked(value: Any, text: str, masked: str) -> None:
    assert shown(value) == text
    assert shown(value, personal=True) == masked


def test_a_long_value_is_shown_by_its_two_ends() -> None:
    assert len(shown("x" * 5_000)) < 70
    assert shown("a" * 100 + "END").endswith("END'")
