"""What a shape declares: which source column goes to which target column, and by which conversion.

These are words, not logic. The SQL that converts (`ptp.conversions.sql`) and the Python that witnesses
(`ptp.conversions.witness`) both read them and share nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["time", "boolean", "json", "integer", "real", "text", "date"]
Outcome: TypeAlias = Literal["exact", "rounded", "rejected"]
Value: TypeAlias = int | float | str | bytes | None

LAST_SECOND = 4_102_444_799
"""2099-12-31 23:59:59 UTC in Unix seconds: the latest time that a time column takes; the earliest is 0."""

MAX_JSON_DEPTH = 1_000
"""The nesting that SQLite's JSON functions accept at most (JSON_MAX_DEPTH of current releases)."""

JULIAN_DAYS = (2_440_587.5, 2_488_069.5)
"""1970-01-01 and 2100-01-01 as Julian days: a REAL in between is one of those, not Unix seconds."""

# The reasons, as they stand in quarantine and in reports; both forms use the same words.
BLOB = "blob"
NOT_NULL = "NULL is not allowed"
FRACTION = "fraction of a second"
NOT_A_TIME = "not a time"
NO_DAY = "no date"
NO_DATE = "no such date"
NO_TIME = "no such time"
NOT_ISO = "not ISO 8601"
EMPTY = "empty"
SPACE = "surrounding space"
OUT_OF_RANGE = "out of range"
MILLISECONDS = "looks like milliseconds"
JULIAN = "out of range (looks like a Julian day)"
NOT_BOOLEAN = "not a boolean"
NOT_JSON = "not JSON"
TOO_DEEP = "JSON nested too deep"
NOT_INTEGER = "not an integer"
NOT_NUMBER = "not a number"
PRECISION = "integer beyond the precision of REAL"
NOT_TEXT = "not text"
NOT_DATE = "not a date"
RULE = "breaks the rule "


@dataclass(frozen=True, slots=True)
class Choice:
    """The converted value must be one of these texts."""

    values: tuple[str, ...]

    def __str__(self) -> str:
        """The rule as SQL and people write it."""
        return "IN (" + ", ".join("'" + v.replace("'", "''") + "'" for v in self.values) + ")"


@dataclass(frozen=True, slots=True)
class Span:
    """The converted value must lie between these two, both included."""

    low: int
    high: int

    def __str__(self) -> str:
        """The rule as SQL and people write it."""
        return f"BETWEEN {self.low} AND {self.high}"


Rule: TypeAlias = Choice | Span


@dataclass(frozen=True, slots=True)
class Conversion:
    """How one source value becomes one target value.

    `nullable`: the target takes NULL. `fallback`: the constant that stands in for a rejected value where NULL
    is not allowed; where there is neither, the whole row is rejected. `milliseconds`: numbers of this time
    column are milliseconds. `personal`: the value is masked wherever it would be shown.
    """

    kind: Kind
    nullable: bool = True
    fallback: int | float | str | None = None
    rule: Rule | None = None
    milliseconds: bool = False
    personal: bool = False

    @property
    def stand_in(self) -> int | float | str | None:
        """What the target takes in place of a rejected value: NULL where it may, else the declared constant."""
        return None if self.nullable else self.fallback

    @property
    def takes_row(self) -> bool:
        """Whether a rejected value of this column rejects its whole row."""
        return not self.nullable and self.fallback is None


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """One column of the source and the column of the target that it goes to."""

    source: str
    target: str
    conversion: Conversion


@dataclass(frozen=True, slots=True)
class TableMap:
    """One table of the source, the table of the target that it goes to, and its columns in order.

    `key` names the target's primary key columns; each of them is among `columns`.
    """

    source: str
    target: str
    key: tuple[str, ...]
    columns: tuple[ColumnMap, ...]

    @property
    def source_key(self) -> tuple[str, ...]:
        """The source columns that the key comes from."""
        names = {c.target: c.source for c in self.columns}
        return tuple(names[k] for k in self.key)


@dataclass(frozen=True, slots=True)
class Shape:
    """A known schema of a source database.

    `required` gives the declared type of every column that a source of this shape must have, by table and
    column; `indexes` names the indexes that the shape knows and that the target replaces by its own.
    """

    name: str
    required: Mapping[str, Mapping[str, str]]
    tables: tuple[TableMap, ...]
    indexes: frozenset[str] = field(default_factory=frozenset)
