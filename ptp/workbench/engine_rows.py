"""Rows of one engine beside those of another: the same, the same written otherwise, of another type, or wrong."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeAlias

Rows: TypeAlias = Sequence[Sequence[Any]]

_CLOSE = 1e-9  # newer versions of SQLite add floats with less error, and print them in fewer digits
_ORDERED = re.compile(r"\bORDER\s+BY\b", re.IGNORECASE)


class Likeness(IntEnum):
    """How far two values, rows or results are from each other; the worst of a row's values is that of the row."""

    SAME = 0
    WRITTEN_OTHERWISE = 1
    """JSON texts of one value."""
    OTHER_TYPE = 2
    """A whole number, once as an integer and once as a float."""
    WRONG = 3


@dataclass(frozen=True, slots=True)
class Difference:
    """How rows differ, and where, in a sentence; texts in the rows are not told, since they may be personal."""

    likeness: Likeness
    text: str = ""


SAME = Difference(Likeness.SAME)


def compare(sql: str, mine: Rows, theirs: Rows) -> Difference:
    """The worst difference between what a statement gave here and what it gave the reference.

    Floats may differ by their last digits, and rows in their order where the statement asks for none.
    """
    if len(mine) != len(theirs):
        return Difference(Likeness.WRONG, f"{len(mine)} rows where sqlite3 has {len(theirs)}")
    found = _worst(mine, theirs)
    if found.likeness is Likeness.WRONG and not _ORDERED.search(sql) and _as_set(mine) == _as_set(theirs):
        return SAME
    return found


def likeness(mine: object, theirs: object) -> Likeness:
    """How far two values are from each other."""
    numbers = (int, float)
    if type(mine) is not type(theirs):
        alike = isinstance(mine, numbers) and isinstance(theirs, numbers) and _close(mine, theirs)
        return Likeness.OTHER_TYPE if alike else Likeness.WRONG
    if mine == theirs or (isinstance(mine, float) and isinstance(theirs, float) and _close(mine, theirs)):
        return Likeness.SAME
    if isinstance(mine, str) and isinstance(theirs, str) and _same_json(mine, theirs):
        return Likeness.WRITTEN_OTHERWISE
    return Likeness.WRONG


def _worst(mine: Rows, theirs: Rows) -> Difference:
    found = SAME
    for a, b in zip(mine, theirs, strict=True):
        if a == b and list(map(type, a)) == list(map(type, b)):
            continue
        if len(a) != len(b):
            return Difference(Likeness.WRONG, f"rows of {len(a)} columns where sqlite3 has {len(b)}")
        for place, (x, y) in enumerate(zip(a, b, strict=True), start=1):
            if (how := likeness(x, y)) > found.likeness:
                found = Difference(how, f"column {place} of a row is {_shown(x)} where sqlite3 has {_shown(y)}")
    return found


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=_CLOSE, abs_tol=_CLOSE) or (math.isnan(a) and math.isnan(b))


def _as_set(rows: Rows) -> Counter[str]:
    return Counter(repr(tuple(row)) for row in rows)


def _same_json(a: str, b: str) -> bool:
    if a[:1] not in ("{", "[") or b[:1] not in ("{", "["):
        return False
    try:
        return _same_parsed(json.loads(a), json.loads(b))
    except ValueError:
        return False


def _same_parsed(a: Any, b: Any) -> bool:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same_parsed(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same_parsed, a, b))
    return likeness(a, b) in (Likeness.SAME, Likeness.OTHER_TYPE) and isinstance(a, bool) == isinstance(b, bool)


def _shown(value: object) -> str:
    """A number as it is; of anything else the type and the size."""
    if value is None or isinstance(value, int | float):
        return "NULL" if value is None else repr(value)
    size = f" of {len(value)}" if isinstance(value, str | bytes) else ""
    return f"a {type(value).__name__}{size}"
