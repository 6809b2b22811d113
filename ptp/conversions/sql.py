"""The SQL form of every conversion: what the migration runs, inside the engine, on every value.

Each conversion gives two expressions over a column reference: its value, and its problem (NULL where the value is
exact, else 'rounded: reason' or 'rejected: reason'). SQLite's date functions are not trusted with what they were
given: they roll 30 February over, take 24:00 and 'now', and round fractions. So a text is taken apart here, and a date
counts only when `date(d, '+0 days')` gives it back unchanged (without a modifier 3.40 returns even 30 February as is).

The reference is stripped of its column's collation (NOCASE and RTRIM would call different texts equal), and a NUL
in a text is looked for by itself, because the text functions stop at it.
"""

from __future__ import annotations

from collections.abc import Callable

from ptp.conversions import declarations as words
from ptp.conversions.declarations import JULIAN_DAYS, LAST_SECOND, MAX_JSON_DEPTH, Conversion, Kind

_DAY = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
_FLOAT_EXACT = 9_007_199_254_740_992  # 2^53: every integer up to here is exact as REAL


def value_sql(conversion: Conversion, column: str) -> str:
    """SQL for the converted value of `column` (a quoted reference); NULL, or the declared constant, when rejected."""
    value = _VALUE[conversion.kind](conversion, _bare(column))
    if conversion.rule is not None:
        value = f"CASE WHEN ({value}) {conversion.rule} THEN ({value}) END"
    if conversion.stand_in is not None:
        value = f"coalesce({value}, {_constant(conversion.stand_in)})"
    return value


def problem_sql(conversion: Conversion, column: str) -> str:
    """SQL that is NULL where the value of `column` converts exactly, else 'rounded: ...' or 'rejected: ...'."""
    x = _bare(column)
    of_null = "NULL" if conversion.nullable else f"'rejected: {words.NOT_NULL}'"
    # A value that only rounds may still break the rule, and then it is rejected; what is rejected anyway has none.
    of_rule = ""
    if conversion.rule is not None:
        broken = f"NOT (({_VALUE[conversion.kind](conversion, x)}) {conversion.rule})"
        of_rule = f" WHEN {broken} THEN {_rejected(f'{words.RULE}{conversion.rule}')}"
    return f"CASE WHEN {x} IS NULL THEN {of_null}{of_rule} ELSE {_PROBLEM[conversion.kind](conversion, x)} END"


def _bare(column: str) -> str:
    return f"(+{column} COLLATE BINARY)"


def _constant(value: float | str) -> str:
    return _text(value) if isinstance(value, str) else repr(value)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _rejected(reason: str) -> str:
    return _text(f"rejected: {reason}")


def _rounded(reason: str) -> str:
    return _text(f"rounded: {reason}")


# --- time ------------------------------------------------------------------------------------------------------------


def _time_value(conversion: Conversion, x: str) -> str:
    number = f"CAST({x} AS INTEGER)" + (" / 1000" if conversion.milliseconds else "")
    return (
        f"CASE typeof({x}) "
        f"WHEN 'integer' THEN CASE WHEN {_number_in_range(conversion, x)} THEN {number} END "
        f"WHEN 'real' THEN CASE WHEN {_real_in_range(conversion, x)} THEN {number} END "
        # The common case first: a text that datetime() gives back unchanged is canonical and a real time.
        f"WHEN 'text' THEN CASE WHEN {_is_canonical(x)} THEN "
        f"CASE WHEN {x} >= '1970' AND {x} < '2100' THEN unixepoch({x}) END "
        f"ELSE {_from_parts(x, _PARTS_VALUE)} END END"
    )


def _time_problem(conversion: Conversion, x: str) -> str:
    milliseconds = f"{x} BETWEEN 315532800000 AND {LAST_SECOND}999"  # from 1980 on
    whole = f"{x} % 1000 = 0" if conversion.milliseconds else "1"
    return (
        f"CASE typeof({x}) "
        f"WHEN 'integer' THEN CASE WHEN {_number_in_range(conversion, x)} THEN "
        f"CASE WHEN {whole} THEN NULL ELSE {_rounded(words.FRACTION)} END "
        f"WHEN {milliseconds} THEN {_rejected(words.MILLISECONDS)} ELSE {_rejected(words.OUT_OF_RANGE)} END "
        f"WHEN 'real' THEN CASE WHEN {_real_in_range(conversion, x)} THEN {_real_fraction(conversion, x)} "
        f"WHEN {_looks_julian(x)} THEN {_rejected(words.JULIAN)} "
        f"ELSE {_rejected(words.OUT_OF_RANGE)} END "
        f"WHEN 'blob' THEN {_rejected(words.BLOB)} "
        f"ELSE CASE WHEN {_is_canonical(x)} THEN "
        f"CASE WHEN {x} >= '1970' AND {x} < '2100' THEN NULL ELSE {_rejected(words.OUT_OF_RANGE)} END "
        f"ELSE {_from_parts(x, _PARTS_PROBLEM)} END END"
    )


def _is_canonical(x: str) -> str:
    return f"({x} >= '0' AND datetime({x}, '+0 days') IS {x})"  # datetime() takes years before 0, too


def _number_in_range(conversion: Conversion, x: str) -> str:
    return f"{x} BETWEEN 0 AND {LAST_SECOND}{'999' if conversion.milliseconds else ''}"


def _real_in_range(conversion: Conversion, x: str) -> str:
    last = f"{LAST_SECOND + 1}{'000' if conversion.milliseconds else ''}"
    return f"({x} >= 0 AND {x} < {last} AND NOT {_looks_julian(x)})"


def _looks_julian(x: str) -> str:
    return f"({x} >= {JULIAN_DAYS[0]} AND {x} < {JULIAN_DAYS[1]})"


def _real_fraction(conversion: Conversion, x: str) -> str:
    unit = 1000 if conversion.milliseconds else 1
    return f"CASE WHEN CAST({x} AS INTEGER) / {unit} * {unit} = {x} THEN NULL ELSE {_rounded(words.FRACTION)} END"


def _from_parts(x: str, result: str) -> str:
    """`result` over the parts of the text: d date, sep, t hours and minutes, s seconds, f fraction, z zone.

    Each subquery peels one part off; what a part should not contain is judged by `result`.
    """
    return (
        f"(SELECT {result} FROM (SELECT *, "
        "CASE WHEN has_f THEN substr(r2, 2, length(r2) - 1 - length(z)) ELSE '' END AS f FROM (SELECT *, "
        "CASE WHEN has_f THEN ltrim(substr(r2, 2), '0123456789') ELSE r2 END AS z FROM (SELECT *, "
        "(has_s AND r2 GLOB '.[0-9]*') AS has_f FROM (SELECT *, "
        "CASE WHEN has_s THEN substr(r, 2, 2) ELSE '00' END AS s, CASE WHEN has_s THEN substr(r, 4) ELSE r END AS r2 "
        "FROM (SELECT *, (r GLOB ':[0-9][0-9]*') AS has_s FROM (SELECT "
        f"{x} AS x, substr({x}, 1, 10) AS d, substr({x}, 11, 1) AS sep, substr({x}, 12, 5) AS t, "
        f"substr({x}, 17) AS r)))))))"
    )


_ZONED = "(z = '' OR z = 'Z' OR (z GLOB '[+-][0-9][0-9]:[0-9][0-9]' AND length(z) = 6))"
_IS_DATE_ONLY = f"(length(x) = 10 AND d GLOB '{_DAY}')"
_IS_ISO = (
    f"(instr(x, char(0)) = 0 AND ({_IS_DATE_ONLY} OR (d GLOB '{_DAY}' AND sep IN (' ', 'T') "
    f"AND t GLOB '[0-9][0-9]:[0-9][0-9]' AND {_ZONED})))"
)
_IS_TIME = (
    "(length(x) = 10 OR (t < '24:00' AND substr(t, 4, 2) < '60' AND s < '60' "
    "AND (length(z) < 6 OR (substr(z, 2, 5) < '24:00' AND substr(z, 5, 2) < '60'))))"
)
_IS_DAY = "(date(d, '+0 days') IS d)"
_INSTANT = (
    "(unixepoch(d) + CASE WHEN length(x) = 10 THEN 0 ELSE substr(t, 1, 2) * 3600 + substr(t, 4, 2) * 60 + s END "
    "- CASE WHEN length(x) > 10 AND length(z) = 6 THEN "
    "(substr(z, 2, 2) * 3600 + substr(z, 5, 2) * 60) * CASE substr(z, 1, 1) WHEN '-' THEN -1 ELSE 1 END ELSE 0 END)"
)
_IN_RANGE = f"({_INSTANT} BETWEEN 0 AND {LAST_SECOND})"
_PARTS_VALUE = f"CASE WHEN {_IS_ISO} AND {_IS_DAY} AND {_IS_TIME} AND {_IN_RANGE} THEN {_INSTANT} END"
_PARTS_PROBLEM = (
    f"CASE WHEN x = '' THEN {_rejected(words.EMPTY)} "
    f"WHEN trim(x) <> x THEN {_rejected(words.SPACE)} "
    f"WHEN instr(x, char(0)) > 0 THEN {_rejected(words.NOT_ISO)} "
    f"WHEN x NOT GLOB '*[0-9]*' THEN {_rejected(words.NOT_A_TIME)} "
    f"WHEN x GLOB '[0-9][0-9]:[0-9][0-9]*' THEN {_rejected(words.NO_DAY)} "
    f"WHEN NOT {_IS_ISO} THEN {_rejected(words.NOT_ISO)} "
    f"WHEN NOT {_IS_DAY} THEN {_rejected(words.NO_DATE)} "
    f"WHEN NOT {_IS_TIME} THEN {_rejected(words.NO_TIME)} "
    f"WHEN NOT {_IN_RANGE} THEN {_rejected(words.OUT_OF_RANGE)} "
    f"WHEN trim(f, '0') <> '' THEN {_rounded(words.FRACTION)} END"
)


# --- the other kinds -------------------------------------------------------------------------------------------------


def _boolean_value(_: Conversion, x: str) -> str:
    return (
        f"CASE typeof({x}) WHEN 'integer' THEN CASE WHEN {x} IN (0, 1) THEN {x} END "
        f"WHEN 'text' THEN CASE lower({x}) WHEN 'true' THEN 1 WHEN 'false' THEN 0 END END"
    )


def _boolean_problem(conversion: Conversion, x: str) -> str:
    return f"CASE WHEN ({_boolean_value(conversion, x)}) IS NULL THEN {_rejected(words.NOT_BOOLEAN)} END"


def _json_value(_: Conversion, x: str) -> str:
    return f"CASE WHEN typeof({x}) = 'text' AND {_is_json(x)} AND NOT {_too_deep(x)} THEN {x} END"


def _json_problem(_: Conversion, x: str) -> str:
    return (
        f"CASE WHEN typeof({x}) = 'blob' THEN {_rejected(words.BLOB)} WHEN typeof({x}) <> 'text' "
        f"THEN {_rejected(words.NOT_JSON)} WHEN {_too_deep(x)} THEN {_rejected(words.TOO_DEEP)} "
        f"WHEN NOT {_is_json(x)} THEN {_rejected(words.NOT_JSON)} END"
    )


def _is_json(x: str) -> str:
    return f"(instr({x}, char(0)) = 0 AND json_valid({x}))"


def _too_deep(x: str) -> str:
    """Whether brackets outside strings nest deeper than allowed; counted only where there are enough of them.

    The engine is not asked: each release has its own limit, and says no more than that the text is not valid. The
    text is taken apart before every quote and bracket, as the elements of an array.
    """
    brackets = f"(length({x}) - length(replace(replace({x}, '[', ''), '{{', '')))"
    pieces = f"json_quote(replace(replace({x}, '\\\\', ''), '\\\"', ''))"
    for mark in ('\\"', "[", "]", "{", "}"):
        pieces = f"replace({pieces}, '{mark}', '\",\"{mark}')"
    so_far = "OVER (ORDER BY key ROWS UNBOUNDED PRECEDING)"
    depth = (
        f"(SELECT max(depth) FROM (SELECT sum(CASE WHEN quotes % 2 THEN 0 WHEN mark IN ('[', '{{') THEN 1 "
        f"WHEN mark IN (']', '}}') THEN -1 ELSE 0 END) {so_far} AS depth FROM "
        f"(SELECT key, mark, sum(mark = '\"') {so_far} AS quotes FROM "
        f"(SELECT key, substr(value, 1, 1) AS mark FROM json_each('[' || {pieces} || ']')))))"
    )
    return (
        f"(CASE WHEN length({x}) <= {MAX_JSON_DEPTH} OR {brackets} <= {MAX_JSON_DEPTH} OR instr({x}, char(0)) > 0 "
        f"THEN 0 ELSE {depth} > {MAX_JSON_DEPTH} END)"
    )


def _integer_value(_: Conversion, x: str) -> str:
    return f"CASE WHEN typeof({x}) = 'integer' THEN {x} END"


def _integer_problem(_: Conversion, x: str) -> str:
    return f"CASE WHEN typeof({x}) <> 'integer' THEN {_rejected(words.NOT_INTEGER)} END"


def _real_value(_: Conversion, x: str) -> str:
    return f"CASE WHEN typeof({x}) IN ('real', 'integer') THEN CAST({x} AS REAL) END"


def _real_problem(_: Conversion, x: str) -> str:
    # The cast back saturates at 2^63 - 1, which is why that one is named.
    exact = (
        f"({x} BETWEEN -{_FLOAT_EXACT} AND {_FLOAT_EXACT} OR "
        f"({x} < 9223372036854775807 AND CAST(CAST({x} AS REAL) AS INTEGER) = {x}))"
    )
    return (
        f"CASE typeof({x}) WHEN 'real' THEN NULL WHEN 'integer' THEN CASE WHEN NOT {exact} "
        f"THEN {_rounded(words.PRECISION)} END ELSE {_rejected(words.NOT_NUMBER)} END"
    )


def _text_value(_: Conversion, x: str) -> str:
    return f"CASE WHEN typeof({x}) = 'text' THEN {x} END"


def _text_problem(_: Conversion, x: str) -> str:
    return (
        f"CASE typeof({x}) WHEN 'text' THEN NULL WHEN 'blob' THEN {_rejected(words.BLOB)} "
        f"ELSE {_rejected(words.NOT_TEXT)} END"
    )


def _date_value(_: Conversion, x: str) -> str:
    return f"CASE WHEN {_is_date(x)} THEN {x} END"


def _date_problem(_: Conversion, x: str) -> str:
    return f"CASE WHEN NOT {_is_date(x)} THEN {_rejected(words.NOT_DATE)} END"


def _is_date(x: str) -> str:
    return f"(typeof({x}) = 'text' AND {x} GLOB '{_DAY}' AND date({x}, '+0 days') IS {x} AND {x} >= '0001')"


_Form = Callable[[Conversion, str], str]
_VALUE: dict[Kind, _Form] = {
    "time": _time_value,
    "boolean": _boolean_value,
    "json": _json_value,
    "integer": _integer_value,
    "real": _real_value,
    "text": _text_value,
    "date": _date_value,
}
_PROBLEM: dict[Kind, _Form] = {
    "time": _time_problem,
    "boolean": _boolean_problem,
    "json": _json_problem,
    "integer": _integer_problem,
    "real": _real_problem,
    "text": _text_problem,
    "date": _date_problem,
}
