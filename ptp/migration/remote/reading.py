"""Rows read from a server by key range: a page at a time, each as large as a second and some hundred kilobytes allow.

Plain pages bring values as the protocol has them. Careful ones bring texts as their bytes and numbers as digits: they
cost more, and bear what the protocol cannot say, which are texts that are not valid and infinite numbers.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ptp.engine import quoted
from ptp.engine.range_digests import Key, Range, range_condition
from ptp.engine.remote_calls import Calls, Row, TooMuch
from ptp.errors import CannotFinish
from ptp.migration.remote.schema import Moved

_MOST_ROWS = 20_000


@dataclass(slots=True)
class PageSize:
    """How many rows are asked for at once: as many as come in `seconds` and `size` bytes, learned from each page."""

    rows: int = 500
    seconds: float = 1.0
    size: int = 600_000

    def learn(self, *, asked: int, rows: int, size: int, seconds: float) -> None:
        """Take in what a page was, in bytes and seconds; never grow by more than twice, nor for a page that ended."""
        share = min(2.0, self.size / max(size, 1), self.seconds / max(seconds, 1e-6))
        if share < 1 or rows == asked:
            self.rows = max(1, min(_MOST_ROWS, int(asked * share)))

    def halve(self, problem: TooMuch) -> None:
        """Ask for half as many; raises the problem where that is not even one."""
        if self.rows == 1:
            raise problem
        self.rows = max(1, self.rows // 2)


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in the order of their keys, the key of the last one, and whether their values are careful ones."""

    rows: Sequence[Row]
    last: Key
    careful: bool = False


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads tables of one database."""

    calls: Calls

    def pages(self, table: Moved, part: Range, *, careful: bool = False) -> Iterator[Page]:
        """All rows of a range, by pages; careful from where a plain page cannot be had."""
        after, size = part.after, PageSize()
        while True:
            asked = size.rows
            try:
                rows = self._rows(table, Range(after, part.upto), asked, careful=careful)
            except TooMuch as problem:
                size.halve(problem)
                continue
            except (CannotFinish, sqlite3.OperationalError) as problem:
                if careful or not _is_unsaid(problem):
                    raise
                careful = True
                continue
            if rows:
                size.learn(asked=asked, rows=len(rows), size=sum(map(_size, rows)), seconds=self.calls.seconds)
                after = rows[-1][: len(table.key)]
                yield Page(rows, after, careful)
            if len(rows) < asked:
                return

    def _rows(self, table: Moved, part: Range, count: int, *, careful: bool) -> Sequence[Row]:
        return self.calls.read(*page_sql(table, part, count, careful=careful))


def page_sql(table: Moved, part: Range, count: int, *, careful: bool) -> tuple[str, Row]:
    """The query for the first rows of a range, with its values; a careful one has the key before its pairs."""
    columns = [quoted(c) for c in table.moved_columns]
    keys = ", ".join(map(quoted, table.key))
    listed = f"{keys}, {', '.join(map(_careful, columns))}" if careful else ", ".join(columns)
    where = range_condition(table, part)
    sql = f"SELECT {listed} FROM {quoted(table.name)}{where} ORDER BY {keys} LIMIT ?"
    return sql, (*(part.after or ()), *(part.upto or ()), count)


def exactly(table: Moved, row: Row) -> Row:
    """A careful row as it can be compared with another: numbers as they are, whatever digits an SQLite wrote."""
    pairs = row[len(table.key) :]
    return tuple((kind, float(v) if kind == "real" else v) for kind, v in zip(pairs[::2], pairs[1::2], strict=True))


def insert(db: sqlite3.Connection, table: Moved, page: Page) -> None:
    """Put a page into the same table of a file, in place of what is there under the same keys."""
    columns = table.moved_columns
    each = "CASE WHEN ? = 'text' THEN CAST(? AS TEXT) ELSE ? END" if page.careful else "?"
    places = ", ".join(each for _ in columns)
    sql = f"INSERT OR REPLACE INTO main.{quoted(table.name)} ({', '.join(map(quoted, columns))}) VALUES ({places})"
    keys = len(table.key)
    db.executemany(sql, (_bound(row[keys:]) for row in page.rows) if page.careful else page.rows)


def _bound(row: Row) -> list[Any]:
    """The values of a careful row: kind, bytes of a text, and what is no text, three to a column."""
    found: list[Any] = []
    for kind, value in zip(row[::2], row[1::2], strict=True):
        found += (kind, value, None) if kind == "text" else (kind, None, float(value) if kind == "real" else value)
    return found


def _careful(column: str) -> str:
    return (
        f"typeof({column}), CASE typeof({column}) WHEN 'text' THEN CAST({column} AS BLOB) "
        f"WHEN 'real' THEN printf('%!.17g', {column}) ELSE {column} END"
    )


def _is_unsaid(problem: Exception) -> bool:
    """Whether a page cannot be had because the protocol has no word for one of its values."""
    return "UTF-8" in str(problem) or "infinite number" in str(problem)


def _size(row: Row) -> int:
    """About the bytes of a row on the way."""
    return sum(len(v) if isinstance(v, str | bytes) else 8 for v in row) + 24 * len(row)
