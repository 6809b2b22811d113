"""Both forms of every conversion beyond the lines of the specification, and against each other on any value."""

import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ptp.conversions import Choice, Conversion, Kind, Span, Value
from ptp.conversions import declarations as words
from ptp.conversions.json_text import why_not_json
from ptp.conversions.witness import judge, judge_column

E, R, X = "exact", "rounded", "rejected"
TIME: list[tuple[Value, Value, str, str]] = [
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
    ("-2025-03-01 10:00:00", None, X, words.NOT_ISO),  # datetime() gives this one back as it is
    ("2025-03-01 10:00:00\u00a0", None, X, words.NOT_ISO),
    ("2025-03-01\t10:00:00", None, X, words.NOT_ISO),
    ("2025-03-01 10:00:00\n", None, X, words.NOT_ISO),
    ("٢٠٢٥-03-01", None, X, words.NOT_ISO),
    ("\uff12\uff10\uff12\uff15-03-01", None, X, words.NOT_ISO),
    ("2025-03-01 10:00:0\udcff", None, X, words.NOT_ISO),
    ("2025-03-01 10:60:00", None, X, words.NO_TIME),
    ("+1740823200", None, X, words.NOT_ISO),
    ("1740823200", None, X, words.NOT_ISO),
    ("1.7408232e9", None, X, words.NOT_ISO),
    ("0x10", None, X, words.NOT_ISO),
    ("9" * 100_000, None, X, words.NOT_ISO),
    ("2025-03-01 10:00:00." + "0" * 100_000, 1740823200, E, ""),
    (4102444799.5, 4102444799, R, words.FRACTION),
    (math.inf, None, X, words.OUT_OF_RANGE),
    (-math.inf, None, X, words.OUT_OF_RANGE),
    (-0.0, 0, E, ""),
    (2**63 - 1, None, X, words.OUT_OF_RANGE),
]
BOOLEAN = [*[(v, None, X, words.NOT_BOOLEAN) for v in ("true\0", "true ", "١", "1", "fal\u017fe", 1.0, -0.0)]]
JSON = [
    *[(v, v, E, "") for v in ('"\\ud800"', "\t[]\r\n ", '{"":""}', "-0", "1E+5", '"\x7f"', '"\udcff"', "9" * 5000)],
    *[
        (v, None, X, words.NOT_JSON)
        for v in (
            *("{}\x00", '"a\nb"', "[01]", "\ufeff[]", "[]\u00a0", "+1", ".5", "1.", "0x10", "Infinity", "-Infinity"),
            *("'a'", "[1]//", "/**/1", '"\\x41"', '"\\u00g0"', "٣", "\uff13", "tru", "[\x0b1]", 7, 7.5),
        )
    ],
]
INTEGER = [*[(v, None, X, words.NOT_INTEGER) for v in ("7", "+7", "0x10", "1e3", "٣", "", 7.0, math.inf, -0.0)]]
REAL = [
    (2**53 + 1, float(2**53), R, words.PRECISION),
    (2**63 - 1, float(2**63), R, words.PRECISION),
    (-(2**63), float(-(2**63)), E, ""),
    (-math.inf, -math.inf, E, ""),
    (5e-324, 5e-324, E, ""),
    *[(v, None, X, words.NOT_NUMBER) for v in ("7", "inf", "nan", "", "\0")],
]
TEXT = [(v, v, E, "") for v in ("7", " ", "x" * 100_000)] + [(v, None, X, words.NOT_TEXT) for v in (7, 7.5)]
DATE = [
    (v, None, X, words.NOT_DATE)
    for v in ("", "2025-3-1", "0000-01-01", "2025-03-01 ", "2025-03-01\0", "٢٠٢٥-03-01", "-025-03-01", b"2025-03-01")
] + [("0001-01-01", "0001-01-01", E, ""), ("9999-12-31", "9999-12-31", E, "")]
LINES = [
    (kind, *line)
    for kind, lines in {
        "time": TIME, "boolean": BOOLEAN, "json": JSON, "integer": INTEGER, "real": REAL, "text": TEXT, "date": DATE
    }.items()
    for line in lines
]  # fmt: skip


def shortened(part: Any) -> str:
    text = ascii(part)
    return text if len(text) < 40 else text[:30] + "..."


@pytest.mark.parametrize(("kind", "value", "expected", "outcome", "reason"), LINES, ids=shortened)
def test_both_forms_hold_at_the_edges(
    forms: Any, same: Any, kind: Kind, value: Value, expected: Value, outcome: str, reason: str
) -> None:
    for seen in forms.both(Conversion(kind=kind), value):
        assert (seen.outcome, seen.reason) == (outcome, reason)
        assert same(seen.value, expected)


def test_the_collation_of_a_source_column_does_not_make_different_texts_equal(forms: Any) -> None:
    assert [s.outcome for s in forms.both(Conversion("time"), "2025-03-01 10:00:00 ", "rtrim")] == [X, X]
    assert [s.outcome for s in forms.both(Conversion("date"), "2025-03-01 ", "rtrim")] == [X, X]
    assert [s.outcome for s in forms.both(Conversion("text", rule=Choice(("user",))), "USER", "nocase")] == [X, X]


# --- any value -------------------------------------------------------------------------------------------------------

digits = st.integers(min_value=0, max_value=99).map(lambda n: f"{n:02}")
timelike = st.builds(
    lambda sign, y, mo, d, sep, h, mi, s, zone: f"{sign}{y:04}-{mo}-{d}{sep}{h}:{mi}{s}{zone}",
    st.sampled_from(["", "", "", "-", "+"]),
    st.one_of(st.integers(1968, 2102), st.integers(0, 9999)),
    st.one_of(st.sampled_from(["01", "02", "04", "12"]), digits),
    st.one_of(st.sampled_from(["01", "28", "29", "30", "31"]), digits),
    st.sampled_from([" ", "T", "t", ""]),
    st.one_of(st.sampled_from(["00", "23", "24"]), digits),
    digits,
    st.sampled_from(["", ":00", ":59", ":60", ":5", ":00.0", ":00.5", ":00.", ":59.9999"]),
    st.sampled_from(["", "Z", "z", "+00:00", "-00:30", "+14:00", "+23:59", "+24:00", "+1:00", "+01:60", " ", "\0"]),
)
numberlike = st.builds(
    lambda before, sign, number, after: f"{before}{sign}{number}{after}",
    st.sampled_from(["", "", " ", "\t", "\u00a0", "\0"]),
    st.sampled_from(["", "+", "-", "- "]),
    st.one_of(
        st.integers(0, 10**22).map(str),
        st.floats(0).map(str),
        st.sampled_from(["0x10", "1e3", "1e400", "٣", "\uff13", "1_000", "9" * 400, "1.", ".5", "true", "FALSE"]),
    ),
    st.sampled_from(["", "", " ", "\n", "\u2003", "\0", "Z"]),
)
jsonlike = st.lists(
    st.sampled_from(
        [*"[]{}:,\"'0 \t\n", "1", "-", ".5", "e9", "true", "null", "NaN", '"a"', '"\\', "u00e9", "\ufeff", "//", "\0"]
    ),
    max_size=8,
).map("".join)
any_bytes = st.binary(max_size=12).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
values = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-2, 5),
    st.integers(1_600_000_000, 4_200_000_000),
    st.integers(1_600_000_000_000, 4_200_000_000_000),
    st.sampled_from([2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 2**63 - 513]),
    st.floats(),
    st.floats(2_440_000, 2_490_000),
    st.integers(10**9, 4 * 10**9).map(lambda n: math.nextafter(n * 1000.0, 0)),
    st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 4102444799.9999995, 9.3e18]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    any_bytes,
    st.tuples(st.one_of(timelike, numberlike), any_bytes, st.integers(0, 20)).map(lambda t: t[0][: t[2]] + t[1]),
    st.dates().map(str),
    timelike,
    numberlike,
    jsonlike,
    st.binary(max_size=4),
)
CONVERSIONS = [
    *(Conversion(kind) for kind in ("time", "boolean", "json", "integer", "real", "text", "date")),
    Conversion("time", milliseconds=True),
    Conversion("integer", nullable=False, fallback=3, rule=Span(1, 5)),
    Conversion("integer", fallback=3),
    Conversion("real", rule=Span(0, 1)),
    Conversion("text", nullable=False, rule=Choice(("true", "it's"))),
    Conversion("time", nullable=False, fallback=0),
    Conversion("time", milliseconds=True, rule=Span(0, 2_000_000_000)),
]


def disagreements(forms: Any, same: Any, column: list[Value], conversions: list[Conversion]) -> list[Any]:
    """Where the forms differ on these values, stored under every declared type in turn."""
    found = []
    for name in forms.COLUMNS:
        forms.store(column, name)
        for conversion in conversions:
            for read, by_sql, by_python in forms.on_stored(conversion, name):
                alike = (by_sql.outcome, by_sql.reason) == (by_python.outcome, by_python.reason)
                if not alike or not same(by_sql.value, by_python.value):
                    found.append((conversion, name, read, by_sql, by_python))
    return found


@given(st.lists(values, min_size=1, max_size=20))
@example(
    ["2025-03-01T10:00:00.000+02:00", "-2025-03-01 10:00:00", 2**62 + 1, 1740823199999.9998, math.nan, "\udced\udca0"]
)
@settings(max_examples=80, deadline=None)
def test_both_forms_agree_on_any_value_under_any_affinity_and_encoding(
    encoded: Any, same: Any, column: list[Value]
) -> None:
    assert disagreements(encoded, same, column, CONVERSIONS) == []


@given(st.lists(timelike, min_size=5, max_size=30))
@settings(max_examples=100, deadline=None)
def test_both_forms_agree_on_whatever_looks_like_a_time(forms: Any, same: Any, column: list[str]) -> None:
    for texts in (column, [text[:10] for text in column]):
        forms.store(texts)
        for conversion in (Conversion("time"), Conversion("date")):
            for read, by_sql, by_python in forms.on_stored(conversion):
                assert by_sql == by_python, read


@given(
    st.lists(st.sampled_from(["[", '{"a":', "[1,", '["[[",', '["\\"",', '["\\\\",']), min_size=190, max_size=210),
    st.sampled_from([1, 5]),
    st.lists(st.tuples(st.floats(0, 1), st.sampled_from(['"', "\\", "[", "}", '\\"', "x", "\0", "é", ""])), max_size=2),
)
@settings(max_examples=60, deadline=None)
def test_both_forms_agree_on_documents_that_nest(forms: Any, marks: list[str], times: int, slips: Any) -> None:
    document = "".join(marks) * times + "1" + "".join("}" if "{" in m else "]" for m in reversed(marks)) * times
    for share, slip in slips:
        place = int(share * (len(document) - 1))
        document = document[:place] + slip + document[place + (slip == "") :]
    by_sql, by_python = forms.both(Conversion("json"), document)
    assert by_sql == by_python


@pytest.mark.torture
@pytest.mark.timeout(1200)
@given(st.lists(values, min_size=10, max_size=60))
@settings(max_examples=400, deadline=None)
def test_both_forms_agree_on_any_value_for_long(encoded: Any, same: Any, column: list[Value]) -> None:
    assert disagreements(encoded, same, column, CONVERSIONS) == []


def test_a_document_of_any_size_is_judged_without_a_limit_of_python() -> None:
    assert why_not_json("[" * 300 + "x") == words.NOT_JSON
    assert why_not_json("[" * 1000) == words.NOT_JSON
    assert why_not_json("[" * 100_000) == words.TOO_DEEP
    assert why_not_json('"' + "a" * 5_000_000 + '"') == ""
    assert why_not_json("1" * 100_000) == ""


@given(st.lists(values, max_size=8), st.sampled_from(CONVERSIONS))
@example(["[]", "{}"], Conversion("json", rule=Choice(("[]",))))
@example([0, 1], Conversion("boolean", rule=Span(1, 1)))
@example([5, 50], Conversion("time", rule=Span(0, 9)))
@example(["2025-03-01", None], Conversion("time", rule=Span(0, 9)))
@settings(max_examples=500, deadline=None)
def test_judging_a_whole_column_says_the_same_as_one_by_one(same: Any, column: Any, conversion: Conversion) -> None:
    column = [None if isinstance(v, float) and math.isnan(v) else v for v in column]  # as SQLite stores it
    expected, problems = judge_column(conversion, column)
    single = [judge(conversion, v) for v in column]
    assert all(same(a, b.value) for a, b in zip(expected, single, strict=True))
    assert dict(problems) == {i: j for i, j in enumerate(single) if j.outcome != "exact"}
