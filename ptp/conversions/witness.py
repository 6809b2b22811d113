"""The Python form of every conversion: what the verification expects, written without a look at the SQL form.

It shares with `ptp.conversions.sql` only the declarations. Whole columns are judged at once: where every value is
of the one expected storage class, a column costs a few passes in C; only odd values are judged one by one.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from ptp.conversions import declarations as words
from ptp.conversions.declarations import (
    JULIAN_DAYS,
    LAST_SECOND,
    Choice,
    Conversion,
    Kind,
    Outcome,
    Span,
    Value,
)
from ptp.conversions.json_text import why_not_json


class Judgement(NamedTuple):
    """What a conversion does to one value: the outcome, the target's value, and the reason unless exact."""

    outcome: Outcome
    value: Value
    reason: str = ""


def judge(conversion: Conversion, value: Value) -> Judgement:
    """What `conversion` does to `value`, given as the driver reads it (str, bytes, int, float or None)."""
    if value is None:
        return Judgement("exact", None) if conversion.nullable else _reject(conversion, words.NOT_NULL)
    found = _JUDGES[conversion.kind](conversion, value)
    if found.outcome == "rejected":
        return _reject(conversion, found.reason)
    if conversion.rule is not None and not _obeys(conversion.rule, found.value):
        return _reject(conversion, f"{words.RULE}{conversion.rule}")
    return found


def judge_column(conversion: Conversion, values: Sequence[Value]) -> tuple[Sequence[Value], Mapping[int, Judgement]]:
    """The expected target values of a column, and the judgements that are not exact by their position."""
    expected = _all_exact(conversion, values)
    if expected is not None:
        return expected, {}
    judgements = [judge(conversion, value) for value in values]
    return [j.value for j in judgements], {i: j for i, j in enumerate(judgements) if j.outcome != "exact"}


def _reject(conversion: Conversion, reason: str) -> Judgement:
    return Judgement("rejected", conversion.stand_in, reason)


def _obeys(rule: Choice | Span, value: Value) -> bool:
    if isinstance(rule, Choice):
        return value in rule.values
    return isinstance(value, int | float) and rule.low <= value <= rule.high


# --- whole columns ---------------------------------------------------------------------------------------------------


def _all_exact(conversion: Conversion, values: Sequence[Value]) -> Sequence[Value] | None:
    """The expected values where a few passes over the column show that all are exact, else None."""
    classes = set(map(type, values))
    nulls = type(None) in classes
    if nulls and not conversion.nullable:
        return None
    classes.discard(type(None))
    if not classes:
        return values
    if conversion.kind == "time" and classes == {str}:
        return _known_times(values)
    if classes != _PLAIN[conversion.kind] or (conversion.rule and conversion.kind not in _RULED):
        return None
    present = [v for v in values if v is not None] if nulls else values
    return values if _within(conversion, present) else None


def _within(conversion: Conversion, present: Sequence[Value]) -> bool:
    if conversion.kind in ("json", "date"):
        return all(_JUDGES[conversion.kind](conversion, v).outcome == "exact" for v in present)
    if conversion.kind == "boolean":
        return set(present) <= {0, 1}
    if conversion.kind == "time":
        numbers = [v for v in present if isinstance(v, int)]
        return not conversion.milliseconds and min(numbers) >= 0 and max(numbers) <= LAST_SECOND
    if isinstance(conversion.rule, Choice):
        return set(present) <= set(conversion.rule.values)
    if isinstance(conversion.rule, Span):
        return all(_obeys(conversion.rule, v) for v in (min(present), max(present)))  # type: ignore[type-var]
    return True


_RULED: tuple[Kind, ...] = ("integer", "real", "text")  # whose rules are judged for whole columns
_PLAIN: dict[Kind, set[type]] = {
    "time": {int},
    "boolean": {int},
    "json": {str},
    "integer": {int},
    "real": {float},
    "text": {str},
    "date": {str},
}


def _known_times(values: Sequence[Value]) -> Sequence[Value] | None:
    days, clocks = _days(), _clocks()
    try:
        return [None if v is None else days[v[:10]] + clocks[v[10:]] for v in values]  # type: ignore[index]
    except KeyError:
        return None


@functools.cache
def _days() -> dict[str, int]:
    """Midnight of every day of the range, by its text."""
    first = date(1970, 1, 1)
    return {(first + timedelta(days=n)).isoformat(): n * 86_400 for n in range((LAST_SECOND + 1) // 86_400)}


@functools.cache
def _clocks() -> dict[str, int]:
    """Seconds after midnight of every ' HH:MM:SS'."""
    return {f" {s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}": s for s in range(86_400)}


# --- single values ---------------------------------------------------------------------------------------------------

_ISO = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})(?:[ T](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d+))?)?(Z|[+-]\d{2}:\d{2})?)?", re.ASCII
)


def _time(conversion: Conversion, value: Value) -> Judgement:
    if isinstance(value, str):
        return _time_of_text(value)
    if isinstance(value, bytes) or value is None:
        return Judgement("rejected", None, words.BLOB)
    unit = 1000 if conversion.milliseconds else 1
    if isinstance(value, float) and JULIAN_DAYS[0] <= value < JULIAN_DAYS[1]:
        return Judgement("rejected", None, words.JULIAN)
    if not 0 <= value < (LAST_SECOND + 1) * unit:
        looks = isinstance(value, int) and 315_532_800_000 <= value < (LAST_SECOND + 1) * 1000
        return Judgement("rejected", None, words.MILLISECONDS if looks else words.OUT_OF_RANGE)
    seconds = int(value // unit)
    if seconds * unit == value:
        return Judgement("exact", seconds)
    return Judgement("rounded", seconds, words.FRACTION)


def _time_of_text(text: str) -> Judgement:
    if reason := _not_iso(text):
        return Judgement("rejected", None, reason)
    parts = _ISO.fullmatch(text)
    assert parts is not None  # _not_iso has seen to it
    year, month, day = (int(p) for p in parts.group(1, 2, 3))
    hour, minute, second = (int(p or 0) for p in parts.group(4, 5, 6))
    zone = parts.group(8) or "Z"
    try:
        # Python's calendar has no year 0; 2000 is a leap year as it is, and both are judged by the range.
        days = date(year or 2000, month, day).toordinal() - date(1970, 1, 1).toordinal()
    except ValueError:
        return Judgement("rejected", None, words.NO_DATE)
    ahead = 0 if zone == "Z" else int(zone[0] + "1") * (int(zone[1:3]) * 60 + int(zone[4:6]))
    zone_is_time = zone == "Z" or (int(zone[1:3]) < 24 and int(zone[4:6]) < 60)
    if hour > 23 or minute > 59 or second > 59 or not zone_is_time:
        return Judgement("rejected", None, words.NO_TIME)
    instant = days * 86_400 + hour * 3600 + minute * 60 + second - ahead * 60
    if year == 0 or not 0 <= instant <= LAST_SECOND:
        return Judgement("rejected", None, words.OUT_OF_RANGE)
    if (parts.group(7) or "").strip("0"):
        return Judgement("rounded", instant, words.FRACTION)
    return Judgement("exact", instant)


def _not_iso(text: str) -> str:
    """Why `text` is not written as a time in ISO 8601; empty when it is."""
    if not text:
        return words.EMPTY
    if text != text.strip(" "):
        return words.SPACE
    if "\0" in text:
        return words.NOT_ISO
    if not re.search("[0-9]", text):
        return words.NOT_A_TIME
    if re.match("[0-9]{2}:[0-9]{2}", text):
        return words.NO_DAY
    return "" if _ISO.fullmatch(text) else words.NOT_ISO


def _boolean(_: Conversion, value: Value) -> Judgement:
    if isinstance(value, int) and value in (0, 1):
        return Judgement("exact", value)
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return Judgement("exact", int(value.lower() == "true"))
    return Judgement("rejected", None, words.NOT_BOOLEAN)


def _json(_: Conversion, value: Value) -> Judgement:
    if isinstance(value, bytes):
        return Judgement("rejected", None, words.BLOB)
    if not isinstance(value, str):
        return Judgement("rejected", None, words.NOT_JSON)
    reason = why_not_json(value)
    return Judgement("rejected", None, reason) if reason else Judgement("exact", value)


def _integer(_: Conversion, value: Value) -> Judgement:
    if isinstance(value, int):
        return Judgement("exact", value)
    return Judgement("rejected", None, words.NOT_INTEGER)


def _real(_: Conversion, value: Value) -> Judgement:
    if isinstance(value, float):
        return Judgement("exact", value)
    if isinstance(value, int):
        if float(value) == value:
            return Judgement("exact", float(value))
        return Judgement("rounded", float(value), words.PRECISION)
    return Judgement("rejected", None, words.NOT_NUMBER)


def _text(_: Conversion, value: Value) -> Judgement:
    if isinstance(value, str):
        return Judgement("exact", value)
    return Judgement("rejected", None, words.BLOB if isinstance(value, bytes) else words.NOT_TEXT)


def _date(_: Conversion, value: Value) -> Judgement:
    try:
        if isinstance(value, str) and re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
            date.fromisoformat(value)
            return Judgement("exact", value)
    except ValueError:
        pass
    return Judgement("rejected", None, words.NOT_DATE)


_JUDGES: dict[Kind, Callable[[Conversion, Value], Judgement]] = {
    "time": _time,
    "boolean": _boolean,
    "json": _json,
    "integer": _integer,
    "real": _real,
    "text": _text,
    "date": _date,
}
