"""Values go in and out of each route as they are, to the last bit, or not at all."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from sqlalchemy import text

from ptp.engine import fetch
from ptp.errors import UsageError
from tests.engine.conformance.places import PLANTED, Place


def exact(value: Any) -> tuple[str, Any]:
    """A value with its type, floats by their bits: -0.0 is not 0.0, and neither is 0."""
    return type(value).__name__, struct.pack(">d", value) if isinstance(value, float) else value


def test_values_come_out_as_they_are(place: Place) -> None:
    found = place.read("SELECT id, v FROM thing WHERE id < 100 ORDER BY id")
    assert [exact(v) for _, v in found] == [exact(v) for v in PLANTED]


def test_values_go_in_as_they_are(writable: Place) -> None:
    with writable.writing(writable.engine()) as db:
        for number, value in enumerate(PLANTED):
            fetch(db, "INSERT INTO thing VALUES (?, ?)", (1_000 + number, value))
        fetch(db, "INSERT INTO thing VALUES (1100, ?)", (True,))
        fetch(db, "INSERT INTO thing VALUES (1101, ?)", (bytearray(b"\x00a"),))
        fetch(db, "INSERT INTO thing VALUES (1102, ?)", (memoryview(b"b\x00"),))
        fetch(db, "INSERT INTO thing VALUES (1103, ?)", (math.nan,))
    wanted = [*PLANTED, 1, b"\x00a", b"b\x00", None]
    assert [exact(v) for (v,) in writable.see("SELECT v FROM thing WHERE id >= 1000 ORDER BY id")] == [
        exact(v) for v in wanted
    ]


def test_many_values_go_in_as_they_are(writable: Place) -> None:
    rows = [{"id": 1_000 + number, "v": value} for number, value in enumerate(PLANTED)]
    assert writable.write_many("INSERT INTO thing VALUES (:id, :v)", rows) == len(rows)
    found = writable.see("SELECT v FROM thing WHERE id >= 1000 ORDER BY id")
    assert [exact(v) for (v,) in found] == [exact(v) for v in PLANTED]


@pytest.mark.parametrize(
    ("value", "capability", "words"),
    [("a\0b", "whole texts", "character NUL"), (math.inf, "infinite numbers", "infinite")],
    ids=["NUL", "infinite"],
)
def test_a_value_that_would_be_lost_is_refused(writable: Place, value: Any, capability: Any, words: str) -> None:
    engine = writable.engine()
    if writable.can(capability):
        writable.write("INSERT INTO thing VALUES (1000, ?)", (value,))
        writable.write_many("INSERT INTO thing VALUES (:id, :v)", [{"id": 1001, "v": value}, {"id": 1002, "v": value}])
        assert writable.see("SELECT v FROM thing WHERE id >= 1000") == [(value,)] * 3
        return
    with pytest.raises(UsageError, match=words), writable.writing(engine) as db:
        fetch(db, "INSERT INTO thing VALUES (1000, ?)", (value,))
    with pytest.raises(UsageError, match=words):
        writable.write_many("INSERT INTO thing VALUES (:id, :v)", [{"id": 1001, "v": value}, {"id": 1002, "v": 1}])
    assert writable.see("SELECT count(*) FROM thing WHERE id >= 1000") == [(0,)]


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 2**64])
def test_an_integer_of_more_than_64_bits_is_refused(writable: Place, value: int) -> None:
    with pytest.raises(UsageError, match="64 bits"):
        writable.write("INSERT INTO thing VALUES (1000, ?)", (value,))
    assert writable.see("SELECT count(*) FROM thing WHERE id = 1000") == [(0,)]


def test_half_a_surrogate_pair_is_refused(writable: Place) -> None:
    with pytest.raises(UsageError, match="surrogate"):
        writable.write("INSERT INTO thing VALUES (1000, ?)", ("\ud83d",))
    assert writable.see("SELECT count(*) FROM thing WHERE id = 1000") == [(0,)]


def test_a_wide_integer_keeps_its_value_in_any_kind_of_column(writable: Place) -> None:
    writable.write("INSERT INTO strict_one VALUES (?, ?)", (2**53 + 1, 2**62 + 1))
    assert writable.see("SELECT id, n FROM strict_one") == [(2**53 + 1, 2**62 + 1)]
    assert writable.read("SELECT n FROM strict_one WHERE id = ?", (2**53 + 1,)) == [(2**62 + 1,)]
    assert writable.read("SELECT n FROM strict_one WHERE id = ?", (2**53,)) == []


def test_values_are_bound_by_name_and_by_number(place: Place) -> None:
    assert place.read("SELECT :a, :b, :a, ':a' -- :c", {"a": 1, "b": "x", "more": None}) == [(1, "x", 1, ":a")]
    assert place.read("SELECT ?2, ?1, ?2", (1, 2)) == [(2, 1, 2)]
    with place.engine().connect() as db:
        assert db.execute(text("SELECT :a || :b"), {"a": "x", "b": "y"}).scalar_one() == "xy"


def test_names_of_columns_and_no_rows(place: Place) -> None:
    with place.engine().connect() as db:
        found = db.execute(text("SELECT id AS one, name FROM parent WHERE id = 99"))
        assert list(found.keys()) == ["one", "name"]
        assert found.all() == []


def test_rows_are_read_one_by_one(place: Place) -> None:
    with place.engine().connect() as db:
        found = db.execute(text("SELECT id FROM parent ORDER BY id"))
        assert (found.fetchone(), found.fetchone(), found.fetchone()) == ((1,), (2,), None)
        assert db.execute(text("SELECT id FROM parent ORDER BY id")).fetchmany(1) == [(1,)]
