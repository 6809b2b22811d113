"""The specification of the conversions, line by line and in its order; every line holds for both forms.

The cases stand here as values, not read from a file, so that a change of either form or of the specification shows.
"""

import json
import math
from typing import Any

import pytest

from ptp.conversions import Choice, Conversion, Kind, Span, Value
from ptp.conversions.sql import problem_sql, value_sql
from ptp.conversions.witness import judge
from ptp.schema.shapes import known_shapes

E, R, X = "exact", "rounded", "rejected"
Line = tuple[Value, Value, str, str]
KINDS: tuple[Kind, ...] = ("time", "boolean", "json", "integer", "real", "text", "date")


def refused(reason: str, *values: Value) -> list[Line]:
    return [(value, None, X, reason) for value in values]


def kept(*values: Value) -> list[Line]:
    return [(value, value, E, "") for value in values]


# what goes in, what comes out, the result, its reason
TIME: list[Line] = [
    ("2025-03-01 10:00:00", 1740823200, E, ""),
    ("2025-03-01T10:00:00Z", 1740823200, E, ""),
    ("2025-03-01T10:00:00+02:00", 1740816000, E, ""),
    ("2025-03-01 10:00:00.000", 1740823200, E, ""),
    ("2025-03-01T10:00:00.123Z", 1740823200, R, "fraction of a second"),
    ("2025-03-01 10:00", 1740823200, E, ""),
    ("2025-03-01", 1740787200, E, ""),
    ("2024-02-29 00:00:00", 1709164800, E, ""),
    *refused("no such date", "2025-02-29 00:00:00", "2025-02-30 10:00:00", "2025-13-01 00:00:00"),
    *refused("no such date", "2025-04-31 00:00:00"),
    *refused("no such time", "2025-03-01 24:00:00", "2025-03-01 23:59:60"),
    *refused("no date", "10:00:00"),
    *refused("not a time", "now", "CURRENT_TIMESTAMP"),
    *refused("empty", ""),
    *refused("surrounding space", " 2025-03-01 10:00:00", "2025-03-01 10:00:00 "),
    *refused("not ISO 8601", "2025-3-1 10:00:00", "01/03/2025"),
    *refused("out of range", "1969-12-31 23:59:59", "2100-01-01 00:00:00"),
    (1740823200, 1740823200, E, ""),
    (0, 0, E, ""),
    *refused("out of range", -1, 4102444800),
    *refused("looks like milliseconds", 1740823200000),
    (1740823200.0, 1740823200, E, ""),
    (1740823200.5, 1740823200, R, "fraction of a second"),
    *refused("out of range (looks like a Julian day)", 2460736.5),
    *refused("blob", b"\x00"),
]
MILLISECONDS: list[Line] = [
    (1740823200000, 1740823200, E, ""),
    (1740823200001, 1740823200, R, "fraction of a second"),
    (1740823200999, 1740823200, R, "fraction of a second"),
    (1740823200000.0, 1740823200, E, ""),
    (1740823199999.9998, 1740823199, R, "fraction of a second"),
    (4102444799999, 4102444799, R, "fraction of a second"),
    (1740823200, 1740823, R, "fraction of a second"),
    *refused("out of range", -1, 4102444800000, 4102444800000.0),
    ("2025-03-01 10:00:00", 1740823200, E, ""),
]
BOOLEAN: list[Line] = [
    *kept(0, 1),
    ("true", 1, E, ""),
    ("TRUE", 1, E, ""),
    ("False", 0, E, ""),
    *refused("not a boolean", 2, -1, "t", "yes", "", b"\x01", 0.5),
]
JSON: list[Line] = [
    *kept("[]", "{}", '{"a":1,"a":2}', '"x"', "1e400", '{"a": 1}', " [ 1 ,\t2 ]\r\n"),
    *refused("not JSON", "", '[{"id":"a",', "{'a':1}", "[1,]", "NaN", "[NaN]", "{a:1}", "// c"),
    *refused("JSON nested too deep", "[" * 1001 + "]" * 1001),
    *refused("blob", b"\x0c"),
]
INTEGER: list[Line] = [
    *kept(-9223372036854775808, 9223372036854775807, 2**53 + 1),
    *refused("not an integer", "12 seconds", 1.5, b"1"),
]
REAL: list[Line] = [
    (7, 7.0, E, ""),
    *kept(7.0, -0.0, math.inf),
    *refused("not a number", "high", b"\x00"),
]
TEXT: list[Line] = [
    *kept(
        "any UTF-8: ünïcode 🎓", "", "with\0NUL", "\0", "\u202eabc", "invalid \udcff\udcfe UTF-8", "\udced\udca0\udc80"
    ),
    *refused("blob", b"\xff\xfe\x00"),
]
DATE: list[Line] = [
    *kept("2025-03-01"),
    *refused("not a date", "2025-02-30", "2025-03-01 10:00:00", 20250301),
]
LINES = [
    *((Conversion(kind="time"), *line) for line in TIME),
    *((Conversion(kind="time", milliseconds=True), *line) for line in MILLISECONDS),
    *((Conversion(kind="boolean"), *line) for line in BOOLEAN),
    *((Conversion(kind="json"), *line) for line in JSON),
    *((Conversion(kind="integer"), *line) for line in INTEGER),
    *((Conversion(kind="real"), *line) for line in REAL),
    *((Conversion(kind="text"), *line) for line in TEXT),
    *((Conversion(kind="date"), *line) for line in DATE),
]


def shortened(part: Any) -> str:
    text = part.kind + " ms" * part.milliseconds if isinstance(part, Conversion) else ascii(part)
    return text if len(text) < 40 else text[:30] + "..."


@pytest.mark.parametrize(("conversion", "value", "expected", "outcome", "reason"), LINES, ids=shortened)
def test_every_line_of_the_specification_holds_in_both_forms(
    forms: Any, same: Any, conversion: Conversion, value: Value, expected: Value, outcome: str, reason: str
) -> None:
    for seen in forms.both(conversion, value):
        assert (seen.outcome, seen.reason) == (outcome, reason)
        assert same(seen.value, expected)


@pytest.mark.parametrize(("conversion", "value", "expected", "outcome", "reason"), LINES, ids=shortened)
def test_a_line_holds_with_a_constant_and_with_neither_constant_nor_null(
    forms: Any, same: Any, conversion: Conversion, value: Value, expected: Value, outcome: str, reason: str
) -> None:
    constant = "declared" if conversion.kind in ("json", "text", "date") else 3
    for fallback in (constant, None):
        stricter = Conversion(conversion.kind, nullable=False, fallback=fallback, milliseconds=conversion.milliseconds)
        for seen in forms.both(stricter, value):
            assert (seen.outcome, seen.reason) == (outcome, reason)
            assert same(seen.value, fallback if outcome == X else expected)
        assert stricter.takes_row is (fallback is None)


# --- affinity: what a column makes of a value before any conversion sees it --------------------------------------------

# kind, column, what is written, what stands there, what comes out, the result
AFFINITY: list[tuple[Kind, str, Value, Value, Value, str]] = [
    ("time", "time", "1740823200", 1740823200, 1740823200, E),
    ("time", "time", "1740823200.0", 1740823200, 1740823200, E),
    ("time", "time", "1740823200.5", 1740823200.5, 1740823200, R),
    ("time", "time", "2460736.5", 2460736.5, None, X),
    ("time", "time", " 1740823200 ", 1740823200, 1740823200, E),
    ("time", "time", "+5", 5, 5, E),
    ("time", "time", "1e3", 1000, 1000, E),
    ("time", "time", "0x10", "0x10", None, X),
    ("time", "time", "٣", "٣", None, X),
    ("time", "time", "\uff13", "\uff13", None, X),
    ("time", "time", "2025-03-01", "2025-03-01", 1740787200, E),
    ("boolean", "flag", "1", 1, 1, E),
    ("boolean", "flag", "0.0", 0, 0, E),
    ("boolean", "flag", 1.0, 1, 1, E),
    ("boolean", "flag", "true", "true", 1, E),
    ("boolean", "flag", "2", 2, None, X),
    ("date", "day", "20250301", 20250301, None, X),
    ("date", "day", "2025-03-01", "2025-03-01", "2025-03-01", E),
    ("integer", "number", 7.0, 7, 7, E),
    ("integer", "number", "7", 7, 7, E),
    ("integer", "number", "7.0", 7, 7, E),
    ("integer", "number", "7.5", 7.5, None, X),
    ("integer", "number", "9223372036854775808", 9223372036854775808.0, None, X),
    ("integer", "number", "9" * 40, 1e40, None, X),
    ("integer", "number", "0x10", "0x10", None, X),
    ("time", "number", "1740823200", 1740823200, 1740823200, E),
    ("boolean", "number", "1", 1, 1, E),
    ("real", "amount", 7, 7.0, 7.0, E),
    ("real", "amount", "7", 7.0, 7.0, E),
    ("real", "amount", "high", "high", None, X),
    ("text", "words", 7, "7", "7", E),
    ("text", "words", 7.5, "7.5", "7.5", E),
    ("text", "words", b"7", b"7", None, X),
    ("json", "words", 7, "7", "7", E),
    ("date", "words", 20250301, "20250301", None, X),
    ("boolean", "words", 1, "1", None, X),
    ("integer", "words", 7, "7", None, X),
]


@pytest.mark.parametrize(("kind", "column", "written", "stands", "expected", "outcome"), AFFINITY)
def test_affinity_decides_before_any_conversion_does(
    forms: Any, same: Any, kind: Kind, column: str, written: Value, stands: Value, expected: Value, outcome: str
) -> None:
    forms.store([written], column)
    ((read, *seen),) = forms.on_stored(Conversion(kind), column)
    assert same(read, stands)
    for found in seen:
        assert found.outcome == outcome
        assert same(found.value, expected)


def test_nan_is_null_to_sqlite_and_so_to_both_forms(forms: Any) -> None:
    for nullable, outcome in ((True, E), (False, X)):
        forms.store([math.nan])
        ((read, *seen),) = forms.on_stored(Conversion("real", nullable=nullable))
        assert read is None
        assert [(s.outcome, s.value) for s in seen] == [(outcome, None)] * 2


# --- NULL, rules, and what stands in ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_null_is_exact_wherever_the_target_allows_it(forms: Any, kind: Kind) -> None:
    assert forms.both(Conversion(kind), None) == [(E, None, "")] * 2
    assert forms.both(Conversion(kind, fallback=1), None) == [(E, None, "")] * 2
    assert forms.both(Conversion(kind, rule=Span(0, 1)), None) == [(E, None, "")] * 2
    assert forms.both(Conversion(kind, nullable=False), None) == [(X, None, "NULL is not allowed")] * 2
    assert forms.both(Conversion(kind, nullable=False, fallback=1), None) == [(X, 1, "NULL is not allowed")] * 2


RULES: list[tuple[Conversion, list[Value], list[Value]]] = [
    (Conversion("text", rule=Choice(("free", "it's"))), ["free", "it's"], ["paid", "FREE", "free ", "free\0", ""]),
    (Conversion("integer", rule=Span(1, 5)), [1, 5], [0, 6, -(2**63), 2**63 - 1]),
    (Conversion("real", rule=Span(0, 1)), [0.0, 0, 1, 0.5], [-0.1, 1.0000000000000002, math.inf, 2**62 + 1]),
    (Conversion("time", rule=Span(10, 20)), [10, "1970-01-01 00:00:20", 15.5], [9, "1970-01-01 00:00:21", 20.5 + 1]),
    (Conversion("boolean", rule=Span(1, 1)), [1, "true"], [0, "false"]),
    (Conversion("json", rule=Choice(("[]",))), ["[]"], ["{}", "[ ]"]),
    (Conversion("date", rule=Choice(("2025-03-01",))), ["2025-03-01"], ["2025-03-02"]),
]


@pytest.mark.parametrize(("conversion", "obey", "breach"), RULES)
def test_a_breach_of_a_rule_is_rejected_with_that_rule_as_the_reason(
    forms: Any, conversion: Conversion, obey: list[Value], breach: list[Value]
) -> None:
    for value in obey:
        assert all(seen.outcome in (E, R) and seen.value is not None for seen in forms.both(conversion, value)), value
    rule = "BETWEEN" if isinstance(conversion.rule, Span) else "IN ("
    for value in breach:
        for seen in forms.both(conversion, value):
            assert seen == (X, None, f"breaks the rule {conversion.rule}"), value
            assert rule in seen.reason


def test_what_no_rule_can_be_asked_of_is_rejected_for_what_it_is(forms: Any) -> None:
    for seen in forms.both(Conversion("integer", rule=Span(1, 5)), "many"):
        assert seen == (X, None, "not an integer")
    for seen in forms.both(Conversion("text", rule=Choice(("free",))), b"free"):
        assert seen == (X, None, "blob")


def test_a_rejected_value_is_null_where_it_may_be_though_a_constant_is_declared(forms: Any) -> None:
    assert forms.both(Conversion("integer", nullable=True, fallback=3), "many") == [(X, None, "not an integer")] * 2
    assert forms.both(Conversion("integer", nullable=False, fallback=3), "many") == [(X, 3, "not an integer")] * 2
    for constant in ("it's", "", 0, -1.5):
        kind: Kind = "text" if isinstance(constant, str) else "real"
        for seen in forms.both(Conversion(kind, nullable=False, fallback=constant), b"\0"):
            assert (seen.outcome, seen.value) == (X, constant)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_moving_stands_in_and_no_conversion_asks_the_clock(kind: Kind) -> None:
    conversion = Conversion(kind, nullable=False, fallback=1)
    sql = (value_sql(conversion, "x") + problem_sql(conversion, "x")).lower()
    assert not [word for word in ("'now'", "current_", "random", "changes()") if word in sql]
    assert "unixepoch()" not in sql
    declared = [c.conversion for shape in known_shapes() for table in shape.tables for c in table.columns]
    assert {type(c.fallback) for c in declared} <= {int, float, str, type(None)}
    for found in (c for c in declared if c.stand_in is not None):
        assert judge(found, found.stand_in).outcome == E


# --- json: to the byte, whatever the engine takes ----------------------------------------------------------------------


@pytest.mark.parametrize("depth", [999, 1000, 1001, 1500, 2500])
@pytest.mark.parametrize(("opening", "closing_mark"), [("[", "]"), ('{"a":', "}")])
def test_json_is_taken_to_a_depth_of_1000_and_no_further(
    forms: Any, depth: int, opening: str, closing_mark: str
) -> None:
    document = opening * depth + ("1" if opening != "[" else "") + closing_mark * depth
    due = (E, document, "") if depth <= 1000 else (X, None, "JSON nested too deep")
    assert forms.both(Conversion("json"), document) == [due, due]


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("[" * 1001, "JSON nested too deep"),  # not closed either: the depth is told first
        ("[" * 1000 + "1," + "]" * 1000, "not JSON"),
        ("\0" + "[" * 1001 + "]" * 1001, "not JSON"),
        ("[" * 1001 + "]" * 1001 + "\0", "not JSON"),
        ('["' + "[" * 3000 + '"]', ""),  # brackets in a string nest nothing
        ('["\\"' + "[" * 3000 + '\\\\"]', ""),
        ("[" + "[]," * 3000 + "1]", ""),  # wide is not deep
        ("[" + "1[]," * 300 + "1]", "not JSON"),
        ("[" + "-[]," * 300 + "1]", "not JSON"),
        ("[" + '""[],' * 300 + "1]", "not JSON"),
        ("[" * 1000, "not JSON"),
        ("[" * 600 + "x" + "]" * 600, "not JSON"),
    ],
    ids=range(12),
)
def test_large_documents_are_judged_alike(forms: Any, document: str, reason: str) -> None:
    due = (X, None, reason) if reason else (E, document, "")
    assert forms.both(Conversion("json"), document) == [due, due]


def test_json_that_is_exact_is_what_another_reader_takes(forms: Any) -> None:
    for value in (v for v, _, outcome, _ in JSON if outcome == E):
        json.loads(value)  # type: ignore[arg-type]


def test_a_text_keeps_its_bytes_to_the_target(forms: Any) -> None:
    raw = bytes(range(256)) * 2
    forms.db.execute("DELETE FROM v")
    forms.db.execute("INSERT INTO v (x) VALUES (CAST(? AS TEXT))", (raw,))
    value = value_sql(Conversion("text"), "x")
    kind, size, stored = forms.db.execute(
        f"SELECT typeof({value}), length(CAST({value} AS BLOB)), hex({value}) FROM v"
    ).fetchone()
    assert (kind, size, stored) == ("text", 512, raw.hex().upper())
