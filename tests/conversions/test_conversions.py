"""Both forms of every conversion against every line of facts/conversions.md, and against each other."""

import math
import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ptp.conversions import Choice, Conversion, Span, Value
from ptp.conversions import declarations as words
from ptp.conversions.sql import problem_sql, value_sql
from ptp.conversions.witness import judge, judge_column

E, R, X = "exact", "rounded", "rejected"
TIME = [
    ("2025-03-01 10:00:00", 1740823200, E, ""),
    ("2025-03-01T10:00:00Z", 1740823200, E, ""),
    ("2025-03-01T10:00:00+02:00", 1740816000, E, ""),
    ("2025-03-01 10:00:00.000", 1740823200, E, ""),
    ("2025-03-01T10:00:00.123Z", 1740823200, R, words.FRACTION),
    ("2025-03-01 10:00", 1740823200, E, ""),
    ("2025-03-01", 1740787200, E, ""),
    ("2024-02-29 00:00:00", 1709164800, E, ""),
    ("2025-02-29 00:00:00", None, X, words.NO_DATE),
    ("2025-02-30 10:00:00", None, X, words.NO_DATE),
    ("2025-13-01 00:00:00", None, X, words.NO_DATE),
    ("2025-04-31 00:00:00", None, X, words.NO_DATE),
    ("2025-03-01 24:00:00", None, X, words.NO_TIME),
    ("2025-03-01 23:59:60", None, X, words.NO_TIME),
    ("10:00:00", None, X, words.NO_DAY),
    ("now", None, X, words.NOT_A_TIME),
    ("CURRENT_TIMESTAMP", None, X, words.NOT_A_TIME),
    ("", None, X, words.EMPTY),
    (" 2025-03-01 10:00:00", None, X, words.SPACE),
    ("2025-03-01 10:00:00 ", None, X, words.SPACE),
    ("2025-3-1 10:00:00", None, X, words.NOT_ISO),
    ("01/03/2025", None, X, words.NOT_ISO),
    ("1969-12-31 23:59:59", None, X, words.OUT_OF_RANGE),
    ("2100-01-01 00:00:00", None, X, words.OUT_OF_RANGE),
    (1740823200, 1740823200, E, ""),
    (0, 0, E, ""),
    (-1, None, X, words.OUT_OF_RANGE),
    (4102444800, None, X, words.OUT_OF_RANGE),
    (1740823200000, None, X, words.MILLISECONDS),
    (1740823200.0, 1740823200, E, ""),
    (1740823200.5, 1740823200, R, words.FRACTION),
    (2460736.5, None, X, words.JULIAN),
    (b"\x00", None, X, words.BLOB),
    # beyond the facts: edges of the range, zones, and what SQLite's functions would let through
    ("1970-01-01", 0, E, ""),
    ("2099-12-31 23:59:59", 4102444799, E, ""),
    ("2100-01-01T00:30:00+02:00", 4102439400, E, ""),
    ("1970-01-01T00:00:00+00:01", None, X, words.OUT_OF_RANGE),
    ("2025-03-01T10:00:00-05:30", 1740843000, E, ""),
    ("2025-03-01T10:00:00+24:00", None, X, words.NO_TIME),
    ("2025-03-01 10:00:00.9999", 1740823200, R, words.FRACTION),
    ("2025-03-01 10:00:00.", None, X, words.NOT_ISO),
    ("2025-03-01 10", None, X, words.NOT_ISO),
    ("2025-03-01 10:00:00\x00junk", None, X, words.NOT_ISO),
    ("2025-03-01\x00", None, X, words.NOT_ISO),
    ("0000-01-01 00:00:00", None, X, words.OUT_OF_RANGE),
    ("0000-02-29", None, X, words.OUT_OF_RANGE),
    ("-2025-03-01", None, X, words.NOT_ISO),
    ("2025-03-01 10:00:00\u00a0", None, X, words.NOT_ISO),
    ("٢٠٢٥-03-01", None, X, words.NOT_ISO),
    ("2025-03-01 10:60:00", None, X, words.NO_TIME),
    (4102444799.5, 4102444799, R, words.FRACTION),
    (math.inf, None, X, words.OUT_OF_RANGE),
]
MILLISECONDS = [(1740823200000, 1740823200, E, ""), (1740823200001, 1740823200, R, words.FRACTION)]
BOOLEAN = [
    (0, 0, E, ""),
    (1, 1, E, ""),
    ("true", 1, E, ""),
    ("TRUE", 1, E, ""),
    ("False", 0, E, ""),
    *[(v, None, X, words.NOT_BOOLEAN) for v in (2, -1, "t", "yes", "", b"\x01", 0.5, "true\x00")],
]
JSON = [
    *[(v, v, E, "") for v in ("[]", "{}", '{"a":1,"a":2}', '"x"', "1e400", '{"a": 1}', "[" * 1000 + "]" * 1000)],
    *[
        (v, None, X, words.NOT_JSON)
        for v in ("", '[{"id":"a",', "{'a':1}", "[1,]", "NaN", "[NaN]", "{a:1}", "// c", "{}\x00", '"a\nb"', "[01]")
    ],
    (b"\x0c", None, X, words.BLOB),
]
INTEGER = [
    *[(v, v, E, "") for v in (-(2**63), 2**63 - 1, 2**53 + 1)],
    *[(v, None, X, words.NOT_INTEGER) for v in ("12 seconds", 1.5, b"1")],
]
REAL = [
    (7, 7.0, E, ""),
    (7.0, 7.0, E, ""),
    (-0.0, -0.0, E, ""),
    (math.inf, math.inf, E, ""),
    ("high", None, X, words.NOT_NUMBER),
    (b"\x00", None, X, words.NOT_NUMBER),
    (2**53 + 1, float(2**53), R, words.PRECISION),
    (2**63 - 1, float(2**63), R, words.PRECISION),
    (-(2**63), float(-(2**63)), E, ""),
]
TEXT = [
    *[(v, v, E, "") for v in ("", "a\x00b", "‮abc", "ünïcode", "7")],
    (b"\xff\xfe\x00", None, X, words.BLOB),
]
DATE = [
    ("2025-03-01", "2025-03-01", E, ""),
    *[
        (v, None, X, words.NOT_DATE)
        for v in ("2025-02-30", "2025-03-01 10:00:00", 20250301, "", "2025-3-1", "0000-01-01")
    ],
]
LINES = [
    (kind, *line)
    for kind, lines in {
        "time": TIME, "boolean": BOOLEAN, "json": JSON, "integer": INTEGER, "real": REAL, "text": TEXT, "date": DATE
    }.items()
    for line in lines
]  # fmt: skip


@pytest.fixture(scope="module")
def db() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE v (x, y TEXT COLLATE NOCASE, z TEXT COLLATE RTRIM)")
    yield connection
    connection.close()


def by_sql(db: sqlite3.Connection, conversion: Conversion, value: Value, column: str = "x") -> tuple[str, Value, str]:
    """Outcome, value and reason by the SQL form, for a value stored in a table."""
    db.execute("DELETE FROM v")
    db.execute(f"INSERT INTO v ({column}) VALUES (?)", (value,))
    query = f"SELECT {value_sql(conversion, column)}, {problem_sql(conversion, column)} FROM v"
    found, problem = db.execute(query).fetchone()
    outcome, _, reason = (problem or "exact: ").partition(": ")
    return outcome, found, reason


def same(a: Value, b: Value) -> bool:
    """Equal in value and in storage class."""
    return type(a) is type(b) and a == b


@pytest.mark.parametrize(("kind", "value", "expected", "outcome", "reason"), LINES)
def test_every_line_of_the_facts_holds_in_sql_and_in_python(db, kind, value, expected, outcome, reason) -> None:
    conversion = Conversion(kind=kind)
    for found in (by_sql(db, conversion, value), tuple(judge(conversion, value))):
        if len(found) == 3 and not isinstance(found[0], str):
            raise AssertionError(found)
        outcome_found, value_found, reason_found = found
        assert outcome_found == outcome
        assert same(value_found, expected)
        assert reason_found == reason


@pytest.mark.parametrize(("value", "expected", "outcome", "reason"), MILLISECONDS)
def test_a_column_may_declare_milliseconds(db, value, expected, outcome, reason) -> None:
    conversion = Conversion(kind="time", milliseconds=True)
    assert by_sql(db, conversion, value) == (outcome, expected, reason)
    assert judge(conversion, value) == (outcome, expected, reason)


def test_json_nested_deeper_than_1000_is_rejected_by_both(db) -> None:
    for depth in (1001, 1500, 2500):
        value = "[" * depth + "]" * depth
        assert by_sql(db, Conversion(kind="json"), value)[:2] == (X, None)
        assert judge(Conversion(kind="json"), value)[:2] == (X, None)


def test_text_with_invalid_utf8_keeps_its_bytes(db) -> None:
    db.execute("DELETE FROM v")
    db.execute("INSERT INTO v (x) VALUES (CAST(X'61ff62' AS TEXT))")
    value = value_sql(Conversion(kind="text"), "x")
    assert db.execute(f"SELECT typeof({value}), hex({value}) FROM v").fetchone() == ("text", "61FF62")


def test_the_collation_of_a_source_column_does_not_make_different_texts_equal(db) -> None:
    assert by_sql(db, Conversion(kind="time"), "2025-03-01 10:00:00 ", "z")[0] == X
    assert by_sql(db, Conversion(kind="date"), "2025-03-01 ", "z")[0] == X
    assert by_sql(db, Conversion(kind="text", rule=Choice(("user",))), "USER", "y")[0] == X


def test_a_value_that_breaks_a_rule_is_rejected_with_the_rule_as_reason(db) -> None:
    choice = Conversion(kind="text", rule=Choice(("free", "it's")))
    span = Conversion(kind="integer", rule=Span(1, 5))
    for conversion, value in ((choice, "paid"), (span, 6)):
        expected = (X, None, f"breaks the rule {conversion.rule}")
        assert by_sql(db, conversion, value) == expected
        assert judge(conversion, value) == expected
    for conversion, value in ((choice, "it's"), (span, 5)):
        assert by_sql(db, conversion, value) == (E, value, "")
        assert judge(conversion, value) == (E, value, "")


def test_null_is_exact_where_the_target_allows_it_and_rejected_where_not(db) -> None:
    for kind in ("time", "boolean", "json", "integer", "real", "text", "date"):
        for nullable, outcome in ((True, E), (False, X)):
            conversion = Conversion(kind=kind, nullable=nullable)
            assert by_sql(db, conversion, None)[0] == outcome
            assert judge(conversion, None).outcome == outcome


def test_a_rejected_value_takes_the_declared_constant(db) -> None:
    conversion = Conversion(kind="integer", nullable=False, fallback=3)
    assert by_sql(db, conversion, "many") == (X, 3, words.NOT_INTEGER)
    assert judge(conversion, "many") == (X, 3, words.NOT_INTEGER)


digits = st.integers(min_value=0, max_value=99).map(lambda n: f"{n:02}")
timelike = st.builds(
    lambda y, mo, d, sep, h, mi, s, zone: f"{y:04}-{mo}-{d}{sep}{h}:{mi}{s}{zone}",
    st.one_of(st.integers(1968, 2102), st.integers(0, 9999)),
    st.one_of(st.sampled_from(["01", "02", "04", "12"]), digits),
    st.one_of(st.sampled_from(["01", "28", "29", "30", "31"]), digits),
    st.sampled_from([" ", "T", "t", ""]),
    st.one_of(st.sampled_from(["00", "23", "24"]), digits),
    digits,
    st.sampled_from(["", ":00", ":59", ":60", ":5", ":00.0", ":00.5", ":00.", ":59.9999"]),
    st.sampled_from(["", "Z", "z", "+00:00", "-00:30", "+14:00", "+23:59", "+24:00", "+1:00", "+01:60", " ", "\0"]),
)
values = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-2, 5),
    st.integers(1_600_000_000, 4_200_000_000),
    st.floats(allow_nan=False),
    st.floats(2_440_000, 2_490_000),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.text(st.sampled_from('[]{}",:1.e-tfn\\ '), max_size=12),
    st.dates().map(str),
    timelike,
    st.binary(max_size=4),
)


@given(values, st.sampled_from(["time", "boolean", "json", "integer", "real", "text", "date"]), st.booleans())
@example("2025-03-01T10:00:00.000+02:00", "time", False)
@settings(max_examples=1500, deadline=None)
def test_both_forms_agree_on_any_value(value, kind, milliseconds) -> None:
    conversion = Conversion(kind=kind, milliseconds=milliseconds and kind == "time")
    with sqlite3.connect(":memory:") as db:
        db.execute("CREATE TABLE v (x)")
        outcome, found, reason = by_sql(db, conversion, value)
    db.close()
    expected = judge(conversion, value)
    assert (outcome, reason) == (expected.outcome, expected.reason)
    assert same(found, expected.value)


@given(timelike)
@settings(max_examples=1500, deadline=None)
def test_both_forms_agree_on_whatever_looks_like_a_time(value) -> None:
    test_both_forms_agree_on_any_value.hypothesis.inner_test(value, "time", False)
    test_both_forms_agree_on_any_value.hypothesis.inner_test(value[:10], "date", False)


@given(st.lists(values, max_size=8), st.sampled_from(["time", "boolean", "json", "integer", "real", "text", "date"]))
@settings(max_examples=500, deadline=None)
def test_judging_a_whole_column_says_the_same_as_one_by_one(column, kind) -> None:
    conversion = Conversion(kind=kind, rule=Span(0, 3) if kind == "integer" else None)
    expected, problems = judge_column(conversion, column)
    single = [judge(conversion, v) for v in column]
    assert all(same(a, b.value) for a, b in zip(expected, single, strict=True))
    assert dict(problems) == {i: j for i, j in enumerate(single) if j.outcome != "exact"}
