"""Content: every row and every column of every table, against what the Python witness expects of the source.

Both files are read in key order, a range of keys at a time, so memory does not grow with the tables. Where the key is
a whole number, a range is first looked at as a whole (`ptp.verification.alike`); what is not certainly as it should be
is cut into smaller ranges, and in the end compared row by row. Nothing here knows the SQL that converted: the expected
value comes from `ptp.conversions.witness`, the reason for an absent row from the target itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ptp.conversions.witness import Judgement, judge_column
from ptp.engine import quoted
from ptp.verification.alike import Glance, glance_at
from ptp.verification.digests import RANGE, Digester, RangeDigester, TableDigest
from ptp.verification.exact import differing, key_text, shown
from ptp.verification.kept import Kept
from ptp.verification.pairing import Pairing, has_whole_keys
from ptp.verification.rows import WHOLE, Reader, Row, Span, batches
from ptp.verification.tally import Counts, Difference, Tally
from ptp.verification.texts import Database, Layout, Texts

Progress = Callable[[int], None]
BATCH = 5_000
FEW = 64
"""Rows, or keys, from which on down a range is no longer cut, but compared row by row."""
_PIECES = 8
_MANY = 4_096  # rows for which one look is meant


@dataclass(frozen=True, slots=True)
class Pair:
    """The two databases, each with a connection that reads exactly, and one that reads fast: it may be the same.

    `is_digested`: whether digests of the target are wanted.
    """

    source: sqlite3.Connection
    target: sqlite3.Connection
    old: Database
    new: Database
    is_digested: bool = True


def compare_table(dbs: Pair, pairing: Pairing, *, kept: Kept, progress: Progress) -> Tally:
    """Compare one table; `progress` is given the number of source rows looked at so far."""
    tally = compare_span(dbs, pairing, span=WHOLE, kept=kept, progress=progress)
    close_account(tally, pairing, kept)
    return tally


def compare_span(dbs: Pair, pairing: Pairing, *, span: Span, kept: Kept, progress: Progress) -> Tally:
    """Compare the rows of one table whose key lies in a span; their quarantine is not accounted for yet."""
    tally = Tally()
    sides = ((dbs.source, pairing.source, pairing.source_key), (dbs.target, pairing.target, pairing.key))
    glance = None
    if all(has_whole_keys(db, table, key) for db, table, key in sides):
        glance = glance_at(pairing, dbs.source, dbs.target, old=dbs.old, new=dbs.new)
    if glance is None or pairing.key[0] not in glance.layout.whole:
        _, right = _readers(dbs, pairing, span)
        digester = Digester(right.key)
        for rows in compare_rows(dbs, pairing, span=span, kept=kept, tally=tally):
            if dbs.is_digested:
                digester.take(rows)
            progress(tally.rows_in)
        tally.ranges, tally.layout = digester.ranges(), Layout(loose=right.columns)
    else:
        _Ranges(dbs, pairing, kept, tally, glance).compare(span, progress)
    return tally


def digest_of(pairing: Pairing, tally: Tally) -> TableDigest:
    """The digest of a table that was compared as a whole."""
    return TableDigest(pairing.key, tally.layout, tally.ranges)


def close_account(tally: Tally, pairing: Pairing, kept: Kept) -> None:
    """Compare what the whole of a table was found to owe to the quarantine with what stands there."""
    total = tally.total
    due = {"rows": tally.rows_quarantined * len(pairing.stored), "values": total.rounded + total.rejected}
    for name, what in kept.unexplained(pairing.source, **due):
        tally.differ(Difference(pairing.target, "", name, "only what the witness rejects in quarantine", what))


def _readers(dbs: Pair, pairing: Pairing, span: Span) -> tuple[Reader, Reader]:
    names, others = [c[0] for c in pairing.columns], [c[1] for c in pairing.columns]
    return (
        Reader(dbs.source, pairing.source, tuple(names), tuple(map(names.index, pairing.source_key)), span),
        Reader(dbs.target, pairing.target, tuple(others), tuple(map(others.index, pairing.key)), span),
    )


def compare_rows(dbs: Pair, pairing: Pairing, *, span: Span, kept: Kept, tally: Tally) -> Iterator[list[Row]]:
    """Compare the rows of a span one by one; gives the target's rows, a batch after the other."""
    left, right = _readers(dbs, pairing, span)
    comparison = Comparison(pairing, kept, tally, left)
    for mine, theirs in batches(left, right, size=BATCH):
        comparison.batch(mine, theirs)
        yield theirs


@dataclass(frozen=True, slots=True)
class _Ranges:
    """Compares a table with whole-number keys, a range of them at a time."""

    dbs: Pair
    pairing: Pairing
    kept: Kept
    tally: Tally
    glance: Glance

    def compare(self, span: Span, progress: Progress) -> None:
        """Compare a span, in ranges that hold many rows each, however far apart the keys are."""
        columns, tally = self.glance.layout.columns, self.tally
        reader = Reader(self.dbs.target, self.pairing.target, columns, (columns.index(self.pairing.key[0]),))
        digester = RangeDigester(self.glance.target, reader)
        tally.layout = self.glance.layout
        width, low = 1, self._next(span.low, span.high)
        while low is not None:
            start, before = max(span.low, low // RANGE * RANGE), tally.rows_in
            stop = min(span.high, (low // RANGE + width) * RANGE - 1)
            seen = self._look(start, stop)
            if self.dbs.is_digested:
                tally.ranges |= digester.digest(start, stop, seen)
            progress(tally.rows_in)
            rows = tally.rows_in - before
            width = width * 2 if rows < _MANY // 8 else max(1, width // 2) if rows > _MANY else width
            low = self._next(stop + 1, span.high)

    def _next(self, low: int, high: int) -> int | None:
        """The first key on either side that is not before `low`."""
        if low > high:
            return None
        pairing = self.pairing
        sides = ((self.dbs.old, pairing.source, pairing.source_key[0]), (self.dbs.new, pairing.target, pairing.key[0]))
        sql = "SELECT min({0}) FROM {1} WHERE {0} BETWEEN ? AND ?"
        firsts = (
            db.execute(sql.format(quoted(key), quoted(table)), (low, high)).fetchone()[0] for db, table, key in sides
        )
        return min((first for first in firsts if first is not None), default=None)

    def _look(self, low: int, high: int) -> Texts | None:
        """Compare the rows of a range; returns the texts of those of the target."""
        mine, theirs = self.glance.source.read(low, high), self.glance.target.read(low, high)
        if mine is not None and theirs is not None:
            if self.glance.is_alike(mine, theirs):
                self._count(mine.rows)
                return theirs
            # Where one side has no rows at all, there is nothing that smaller ranges could spare.
            is_few = max(mine.rows, theirs.rows) <= FEW or not (mine.rows and theirs.rows)
        if high - low < FEW or (mine is not None and theirs is not None and is_few):
            self._one_by_one(low, high)
        else:
            size = -(-(high - low + 1) // _PIECES)
            for start in range(low, high + 1, size):
                self._look(start, min(high, start + size - 1))
        return theirs

    def _count(self, rows: int) -> None:
        if not rows:
            return
        self.tally.rows_in += rows
        self.tally.rows_out += rows
        for _, target, _ in self.pairing.columns:
            self.tally.count(target, Counts(exact=rows))

    def _one_by_one(self, low: int, high: int) -> None:
        for _ in compare_rows(self.dbs, self.pairing, span=Span(low, high), kept=self.kept, tally=self.tally):
            pass


@dataclass(frozen=True, slots=True)
class Comparison:
    """Compares rows of one table, pair by pair, into a tally."""

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
            self._count(target, problems, len(values))
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

    def _count(self, column: str, problems: Mapping[int, Judgement], values: int) -> None:
        rejected = sum(j.outcome == "rejected" for j in problems.values())
        self.tally.count(column, Counts(values - len(problems), len(problems) - rejected, rejected))

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
