"""Whole columns judged at once, in Python and without SQLite: the commonest forms of a time and of JSON.

Each function either knows for certain what the witness (`ptp.conversions.witness`) would say of every value, or says
that it does not know; then the witness is asked. The calendar is that of numpy, the parser that of `json`.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

import numpy as np
import numpy.typing as npt

from ptp.conversions import LAST_SECOND

ABSENT = "0000-00-00 00:00:00"
"""Stands for NULL in a list of times: as long as a time, and none."""

_WIDTH = len(ABSENT) + 1
_MARKS = {4: "-", 7: "-", 10: " ", 13: ":", 16: ":", 19: ","}
_DIGITS = [place for place in range(_WIDTH) if place not in _MARKS]


def seconds_of(joined: str, *, rows: int, present: int) -> list[int | None] | None:
    """Unix seconds of times that are all written as YYYY-MM-DD HH:MM:SS, with a comma in between and ABSENT for NULL.

    `present` says how many are not NULL. None where one is written otherwise, or is no time of the range.
    """
    if len(joined) + 1 != rows * _WIDTH or not joined.isascii():
        return [] if not rows else None
    table = np.frombuffer(joined.encode() + b",", dtype=np.uint8).reshape(rows, _WIDTH)
    # All of the places are looked at, so a comma inside a value, which would shift what follows, cannot be missed.
    if any((table[:, place] != ord(mark)).any() for place, mark in _MARKS.items()):
        return None
    digits = table[:, _DIGITS] - np.uint8(ord("0"))  # what is below '0' wraps to a large number
    if (digits > 9).any():
        return None
    found = _instants(digits.astype(np.int64))
    absent = ~digits.any(axis=1)
    if int(absent.sum()) != rows - present or bool(((found < 0) & ~absent).any()):
        return None
    values: list[int | None] = found.tolist()
    return [None if v == _NONE else v for v in values] if present < rows else values


_NONE = -1


def _instants(digits: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Unix seconds of rows of fourteen digits; _NONE where there is no such time, or it is out of range."""
    pairs = digits[:, 0::2] * 10 + digits[:, 1::2]
    year, (month, day, hour, minute, second) = pairs[:, 0] * 100 + pairs[:, 1], pairs[:, 2:].T
    months = (year - 1970) * 12 + month - 1
    first, after = _midnights(months), _midnights(months + 1)
    midnight = first + day - 1
    found: npt.NDArray[np.int64] = midnight * 86_400 + hour * 3_600 + minute * 60 + second
    known = (month >= 1) & (month <= 12) & (day >= 1) & (midnight < after) & (hour < 24) & (minute < 60) & (second < 60)
    return np.where(known & (found >= 0) & (found <= LAST_SECOND), found, _NONE)


def _midnights(months: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Days since 1970 of the first of each month, which is given as months since then."""
    days = months.astype("datetime64[M]").astype("datetime64[D]")
    return days.astype(np.int64)


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER: Any = json.JSONDecoder(parse_constant=_refuse, parse_float=str, parse_int=str)


BETWEEN = f"\n{secrets.token_hex(16)}\n"
"""What stands between two documents in a list of them: nobody can have foreseen it."""

SHORT = 1_000
"""Characters up to which a document cannot be nested too deep."""


def are_json(joined: str, *, count: int) -> bool:
    """Whether texts of which none is longer than SHORT are for certain all JSON; False also where that is not known."""
    if not count:
        return True
    texts = joined.split(BETWEEN)
    if len(texts) != count:
        return False
    try:
        for text in dict.fromkeys(texts):
            # The scanner stops behind the first document that it finds, and takes none with a space before it.
            if _DECODER.scan_once(text, 0)[1] != len(text):
                return False
    except (StopIteration, ValueError, RecursionError):
        return False
    return True
