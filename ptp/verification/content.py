"""Content: every row and every column of every table, against what the Python witness expects of the source.

Both files are read side by side in key order, in batches, so memory does not grow with the tables. Nothing here
knows the SQL that converted: the expected value comes from `ptp.conversions.witness`, the reason for an absent row
from the target itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ptp.conversions import Conversion, TableMap
from ptp.conversions.witness import Judgement, judge_column
from ptp.engine.inventory import Table
from ptp.verification.digests import Digester, TableDigest
from ptp.verification.exact import differing, key_text, printable, shown
from ptp.verification.kept import Kept
from ptp.verification.rows import WHOLE, Reader, Row, Span, batches

Progress = Callable[[int], None]
BATCH = 5_000
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Pairing:
    """One table on both sides: the columns to compare, and how each is converted (None: carried as it is)."""

    source: str
    target: str
    key: tuple[str, ...]
    source_key: tuple[str, ...]
    columns: tuple[tuple[str, str, Conversion | None], ...]
    stored: tuple[str, ...]


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
class Tally:
    """What a comparison has counted so far; rows in = rows out + rows quarantined, values in = the three outcomes.

    `ranges` are the digests of the target's rows (`ptp.verification.digests`).
    """

    rows_in: int = 0
    rows_out: int = 0
    rows_quarantined: int = 0
    exact: int = 0
    rounded: int = 0
    rejected: int = 0
    differences: int = 0
    places: list[Difference] = field(default_factory=list)
    ranges: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        """Take in what another part of the same table has counted."""
        for name in ("rows_in", "rows_out", "rows_quarantined", "exact", "rounded", "rejected", "differences"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.places = (self.places + other.places)[:SHOWN]
        self.ranges |= other.ranges

    def differ(self, place: Difference) -> None:
        """Count a difference; the first ones are kept with their place."""
        self.differences += 1
        if len(self.places) < SHOWN:
            self.places.append(place)


def mapped_pairing(mapped: TableMap, source: Table, target: Table) -> Pairing:
    """The pairing of a table that the shape knows; columns on both sides that it does not know compare as they are."""
    known = {c.source for c in mapped.columns}
    extra = [c for c in source.stored_columns if c not in known and c in target.stored_columns]
    return Pairing(
        source=mapped.source,
        target=mapped.target,
        key=mapped.key,
        source_key=mapped.source_key,
        columns=(*((c.source, c.target, c.conversion) for c in mapped.columns), *((c, c, None) for c in extra)),
        stored=source.stored_columns,
    )


def carried_pairing(table: Table) -> Pairing:
    """The pairing of a table that was carried over as it is."""
    names = table.stored_columns if table.has_key else (table.rowid, *table.stored_columns)
    return Pairing(
        table.name, table.name, table.key, table.key, tuple((n, n, None) for n in names), table.stored_columns
    )


def compare_table(
    source: sqlite3.Connection, target: sqlite3.Connection, pairing: Pairing, *, kept: Kept, progress: Progress
) -> Tally:
    """Compare one table; `progress` is given the number of source rows looked at so far."""
    tally = compare_span(source, target, pairing, span=WHOLE, kept=kept, progress=progress)
    close_account(tally, pairing, kept)
    return tally


def compare_span(
    source: sqlite3.Connection,
    target: sqlite3.Connection,
    pairing: Pairing,
    *,
    span: Span,
    kept: Kept,
    progress: Progress,
) -> Tally:
    """Compare the rows of one table whose key lies in a span; their quarantine is not accounted for yet."""
    tally = Tally()
    left = _reader(source, pairing.source, [c[0] for c in pairing.columns], pairing.source_key, span)
    right = _reader(target, pairing.target, [c[1] for c in pairing.columns], pairing.key, span)
    comparison, digester = _Comparison(pairing, kept, tally, left), Digester(right.key)
    for mine, theirs in batches(left, right, size=BATCH):
        comparison.batch(mine, theirs)
        digester.take(theirs)
        progress(tally.rows_in)
    tally.ranges = digester.ranges()
    return tally


def digest_of(pairing: Pairing, tally: Tally) -> TableDigest:
    """The digest of a table that was compared as a whole."""
    return TableDigest(pairing.key, tuple(target for _, target, _ in pairing.columns), tally.ranges)


def close_account(tally: Tally, pairing: Pairing, kept: Kept) -> None:
    """Compare what the whole of a table was found to owe to the quarantine with what stands there."""
    due = {"rows": tally.rows_quarantined * len(pairing.stored), "values": tally.rounded + tally.rejected}
    for name, what in kept.unexplained(pairing.source, **due):
        tally.differ(Difference(pairing.target, "", name, "only what the witness rejects in quarantine", what))


def _reader(db: sqlite3.Connection, table: str, columns: list[str], key: tuple[str, ...], span: Span) -> Reader:
    return Reader(db, table, tuple(columns), tuple(columns.index(k) for k in key), span)


@dataclass(frozen=True, slots=True)
class _Comparison:
    pairing: Pairing
    kept: Kept
    tally: Tally
    reader: Reader

    def batch(self, mine: list[Row], theirs: list[Row]) -> None:
        """Compare the rows of one range of keys."""
        tally, key_of = self.tally, self.reader.key_of
        tally.rows_in += len(mine)
        tally.rows_out += len(theirs)
        if self.reader.keys_of(mine) != self.reader.keys_of(theirs):
            there = {_identity(key_of(row)): row for row in theirs}
            paired = [(row, there.pop(_identity(key_of(row)), None)) for row in mine]
            for row, other in paired:
                if other is None:
                    self._absent(row, key_of(row))
            for row in there.values():
                tally.differ(Difference(self.pairing.target, key_text(key_of(row)), "", "no such row", "a row"))
            mine = [row for row, other in paired if other is not None]
            theirs = [other for _, other in paired if other is not None]
        if mine:
            self._columns(mine, theirs)

    def _columns(self, mine: list[Row], theirs: list[Row]) -> None:
        key_of = self.reader.key_of
        for (source, target, conversion), values, seen in zip(
            self.pairing.columns, zip(*mine, strict=True), zip(*theirs, strict=True), strict=True
        ):
            expected, problems = (values, _NONE) if conversion is None else judge_column(conversion, values)
            self._count(problems, len(values))
            masked = conversion is not None and conversion.personal
            for i in differing(expected, seen):
                self._place(
                    key_of(mine[i]), target, shown(expected[i], personal=masked), shown(seen[i], personal=masked)
                )
            for i, judgement in problems.items():
                key = key_text(key_of(mine[i]))
                if why := self.kept.why_not_value(
                    self.pairing.source, key, source, values[i], judgement, personal=masked
                ):
                    self._place(key_of(mine[i]), target, "its original in quarantine", why)
                if conversion is not None and conversion.takes_row and judgement.outcome == "rejected":
                    self._place(key_of(mine[i]), target, f"no such row ({judgement.reason})", "a row")

    def _count(self, problems: Mapping[int, Judgement], values: int) -> None:
        rejected = sum(j.outcome == "rejected" for j in problems.values())
        self.tally.rejected += rejected
        self.tally.rounded += len(problems) - rejected
        self.tally.exact += values - len(problems)

    def _absent(self, row: Row, key: Row) -> None:
        """A source row that the target has not: kept in quarantine for a reason that holds, or lost."""
        if why := self.kept.why_not_row(self.pairing, row, key_text(key)):
            self._place(key, "", "a row", why)
        else:
            self.tally.rows_quarantined += 1

    def _place(self, key: Row, column: str, expected: str, seen: str) -> None:
        self.tally.differ(Difference(self.pairing.target, key_text(key), column, expected, seen))


_NONE: Mapping[int, Judgement] = {}


def _identity(key: Row) -> tuple[tuple[type, object], ...]:
    """A key that tells 1 from 1.0."""
    return tuple((type(v), v) for v in key)
