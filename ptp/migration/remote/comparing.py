"""What differs between a file and a server, by digests that each computes of itself: no row goes over that is alike.

Few rows are compared as they are: those of a small table, which are shorter than the statement that digests them, and
those of a range whose digests differ, as versions of SQLite write some numbers in other digits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ptp.engine import quoted
from ptp.engine.range_digests import FINEST, Digest, Range, Side, Weights, digest, draw_weights, ranges, remote_side
from ptp.engine.remote_calls import Asked, Calls, Row, TooMuch
from ptp.migration.remote.reading import Reader, exactly, page_sql
from ptp.migration.remote.schema import Moved

_FIRST, _MOST = 1_024, 65_536
_FEW = 100
_SECONDS = 1.0


@dataclass(slots=True)
class Seen:
    """How much was compared: rows of the file, ranges of keys, and how many small ones differed."""

    rows: int = 0
    ranges: int = 0
    differing: int = 0


@dataclass(slots=True)
class Comparison:
    """A comparison of a file with a server under weights of its own, in ranges that take the server about a second."""

    here: Side
    calls: Calls
    seen: Seen = field(default_factory=Seen)
    weights: Weights = field(default_factory=draw_weights)
    _there: Side | None = None
    _size: int = _FIRST
    _fetched: dict[str, Sequence[Row]] = field(default_factory=dict)

    def fetch_small(self, tables: Sequence[Moved]) -> None:
        """Ask for the rows of all small tables in one request, and for each by itself where that is too much."""
        small = [t for t in tables if self._rows_at_most(t, _FEW) <= _FEW]
        asked = [Asked(*page_sql(t, Range(None, None), FINEST + 1, careful=True)) for t in small]
        with suppress(TooMuch):
            found = self.calls.read_all(asked) if asked else []
            self._fetched = {t.name: rows for t, rows in zip(small, found, strict=True)}

    def differing(self, table: Moved) -> Iterator[Range]:
        """The ranges in which the two differ, each with few rows of the file."""
        few = self._rows_at_most(table, _FEW)
        if few <= _FEW:
            self.seen.rows += few
            self.seen.ranges += 1
            yield from self._by_rows(table, Range(None, None))
            return
        after = None
        while True:
            part = next(ranges(self.here, table, within=Range(after, None), size=self._size))
            try:
                mine, theirs = self._both(table, part)
            except TooMuch:
                if self._size == 1:
                    raise
                self._size = max(1, self._size // 4)
                continue
            self._count(mine)
            if mine != theirs:
                yield from self._within(table, part, mine)
            if part.upto is None:
                return
            after = part.upto

    def _rows_at_most(self, table: Moved, most: int) -> int:
        """The rows of a table of the file, or one more than these."""
        sql = f"SELECT count(*) FROM (SELECT 1 FROM {quoted(table.name)} LIMIT {most + 1})"
        rows: int = self.here.run(sql, ())[0][0]
        return rows

    def _by_rows(self, table: Moved, part: Range) -> Iterator[Range]:
        """A range of few rows, if they differ."""
        if not self._are_alike(table, part):
            self.seen.differing += 1
            yield part

    def _are_alike(self, table: Moved, part: Range) -> bool:
        mine = self.here.run(*page_sql(table, part, FINEST + 1, careful=True))
        if part == Range(None, None) and table.name in self._fetched:
            theirs = self._fetched.pop(table.name)
            return [exactly(table, row) for row in mine] == [exactly(table, row) for row in theirs]
        at = 0
        for page in Reader(self.calls).pages(table, part, careful=True):
            theirs = [exactly(table, row) for row in page.rows]
            if theirs != [exactly(table, row) for row in mine[at : at + len(theirs)]]:
                return False
            at += len(theirs)
        return at == len(mine)

    def _count(self, mine: Digest) -> None:
        self.seen.rows += mine.rows
        self.seen.ranges += 1
        share = min(2.0, _SECONDS / max(self.calls.seconds, 1e-6))
        self._size = max(1, min(_MOST, int(self._size * share)))

    def _within(self, table: Moved, part: Range, mine: Digest) -> Iterator[Range]:
        """The smaller ranges in which one differs; it may be alike by now."""
        if mine.rows <= FINEST:
            yield from self._by_rows(table, part)
            return
        for smaller in ranges(self.here, table, within=part, size=max(FINEST, mine.rows // 8)):
            found, theirs = self._both(table, smaller)
            if found != theirs:
                yield from self._within(table, smaller, found)

    def _both(self, table: Moved, part: Range) -> tuple[Digest, Digest]:
        if self._there is None:
            self._there = remote_side(self.calls.read)
        mine = digest(self.here, table, part, weights=self.weights)
        return mine, digest(self._there, table, part, weights=self.weights)
