"""Statements and their values, as every driver but sqlite3 is given them: one statement, each value checked.

Drivers differ in what they do with too few values, a name without one, or a second statement: some bind NULL, or leave
the rest undone, without a word. So it is looked at here, before a driver sees it, with the errors of sqlite3.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from ptp.engine.sql import split_statements

Values: TypeAlias = Sequence[Any] | Mapping[str, Any]

_PLACES = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/|(?P<place>(?<!\w)[:@$]\w+|\?\d*)""",
    re.DOTALL,
)
_BEFORE = r"(?:\s|;|--[^\n]*(?:\n|$)|/\*.*?\*/)*"
_FIRST_WORD = re.compile(_BEFORE + r"(\w*)", re.DOTALL)
_CHANGES = re.compile(_BEFORE + r"(?:INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE | re.DOTALL)
_WRITES = frozenset(("INSERT", "UPDATE", "DELETE", "REPLACE"))
_SKIPPED = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/""", re.DOTALL)
_TOLD = re.compile(r"\b(?:foreign_key|index|table|integrity|quick)_\w+\s*\(", re.IGNORECASE)
_WIDE = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class Statement:
    """The text of a statement between its places for values, and what stands there: a number from 0, or a name.

    `highest` is how many values it takes by number; `word` is its first word, in capitals.
    """

    pieces: tuple[str, ...]
    places: tuple[int | str, ...]
    highest: int
    word: str

    @property
    def text(self) -> str:
        """The statement with `?` at each place."""
        return "?".join(self.pieces)


@lru_cache(maxsize=1024)
def parsed(sql: str) -> Statement:
    """A statement taken apart; raises sqlite3.ProgrammingError where the text holds more than one."""
    if ";" in sql.rstrip("; \t\r\n") and len(split_statements(sql)) > 1:
        raise sqlite3.ProgrammingError("You can only execute one statement at a time.")
    pieces: list[str] = []
    places: list[int | str] = []
    at = highest = 0
    for match in _PLACES.finditer(sql):
        if place := match["place"]:
            pieces.append(sql[at : match.start()])
            at = match.end()
            if place[0] == "?":
                number = int(place[1:] or highest + 1)
                highest = max(highest, number)
                places.append(number - 1)
            else:
                places.append(place[1:])
    return Statement((*pieces, sql[at:]), tuple(places), highest, first_word(sql))


def values_of(statement: Statement, values: Values) -> tuple[Any, ...]:
    """The value for each place, in order. Raises the errors of sqlite3 for one that is missing, too many or no value.

    Raises OverflowError for an integer of more than 64 bits, UnicodeEncodeError for half a surrogate pair.
    """
    if not isinstance(values, Mapping) and statement.highest != len(values):
        raise sqlite3.ProgrammingError(
            f"The statement uses {statement.highest} values, and there are {len(values)} supplied."
        )
    return tuple(_checked(_value_at(values, place)) for place in statement.places)


def first_word(sql: str) -> str:
    """The first word of a statement in capitals, past spaces and comments; empty where there is none."""
    found = _FIRST_WORD.match(sql)
    return found[1].upper() if found else ""


def changes_rows(sql: str) -> bool:
    """Whether a statement is an INSERT, UPDATE, DELETE or REPLACE by its first word, as sqlite3 counts rows for."""
    return bool(_CHANGES.match(sql))


@lru_cache(maxsize=1024)
def only_reads(sql: str) -> bool:
    """Whether a statement surely changes nothing; one of which that cannot be told by its words is said to change."""
    word = first_word(sql)
    if word in ("SELECT", "VALUES", "EXPLAIN", ""):
        return True
    if word == "WITH":
        return not _WRITES & set(re.findall(r"\w+", _SKIPPED.sub(" ", sql).upper()))
    return word == "PRAGMA" and "=" not in sql and ("(" not in sql or bool(_TOLD.search(sql)))


def _value_at(values: Values, place: str | int) -> Any:
    try:
        return values[place]  # type: ignore[index]  # by name or by number, as the place says
    except (KeyError, IndexError, TypeError):
        raise sqlite3.ProgrammingError(f"There is no value supplied for {place!r}.") from None


def _checked(value: Any) -> Any:
    if value is None or isinstance(value, float | bytes):
        return value
    if isinstance(value, str):
        value.encode("utf-8")
        return value
    if isinstance(value, int):
        if value not in _WIDE:
            raise OverflowError("Python int too large to convert to SQLite INTEGER")
        return int(value)
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    raise sqlite3.ProgrammingError(f"A value of the type {type(value).__name__} cannot be bound.")
