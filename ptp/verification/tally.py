"""What a comparison of content has counted, by column, and the places where the two sides differ."""

from __future__ import annotations

from dataclasses import dataclass, field

from ptp.verification.exact import printable
from ptp.verification.texts import Layout

SHOWN = 20


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where the target is not what it should be."""

    table: str
    key: str
    column: str
    expected: str
    seen: str

    def __str__(self) -> str:
        """The place in words: table, key, column, expected and seen."""
        key = f", key {self.key}" if self.key else ""
        column = f", column {self.column}" if self.column else ""
        return printable(f"{self.table}{key}{column}: expected {self.expected}, seen {self.seen}")


@dataclass(slots=True)
class Counts:
    """How many values of one column, or of several, were judged to be what."""

    exact: int = 0
    rounded: int = 0
    rejected: int = 0

    @property
    def judged(self) -> int:
        """All values that were looked at."""
        return self.exact + self.rounded + self.rejected

    def add(self, other: Counts) -> None:
        """Take in the counts of other values."""
        self.exact += other.exact
        self.rounded += other.rounded
        self.rejected += other.rejected


@dataclass(slots=True)
class Tally:
    """What a comparison has counted so far; rows in = rows out + rows quarantined.

    `columns` has, by the target's column, what became of the values of the rows that are on both sides. `ranges` are
    the digests of the target's rows, and `layout` is how they were made (`ptp.verification.digests`).
    """

    rows_in: int = 0
    rows_out: int = 0
    rows_quarantined: int = 0
    differences: int = 0
    columns: dict[str, Counts] = field(default_factory=dict)
    places: list[Difference] = field(default_factory=list)
    ranges: dict[str, tuple[int, str]] = field(default_factory=dict)
    layout: Layout = field(default_factory=Layout)

    @property
    def total(self) -> Counts:
        """The counts of all columns together."""
        found = Counts()
        for counts in self.columns.values():
            found.add(counts)
        return found

    def count(self, column: str, counts: Counts) -> None:
        """Take in what was found of some values of a column."""
        self.columns.setdefault(column, Counts()).add(counts)

    def add(self, other: Tally) -> None:
        """Take in what another part of the same table has counted."""
        for name in ("rows_in", "rows_out", "rows_quarantined", "differences"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for column, counts in other.columns.items():
            self.count(column, counts)
        self.places = (self.places + other.places)[:SHOWN]
        self.ranges |= other.ranges
        self.layout = other.layout

    def differ(self, place: Difference) -> None:
        """Count a difference; the first ones are kept with their place."""
        self.differences += 1
        if len(self.places) < SHOWN:
            self.places.append(place)
