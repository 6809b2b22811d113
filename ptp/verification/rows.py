"""Reading a table in the order of its key, in batches of bounded size, exactly as it is stored."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TypeAlias

from ptp.conversions import Value
from ptp.engine import quoted

Row: TypeAlias = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """A range of INTEGER PRIMARY KEYs, both ends included."""

    low: int
    high: int


WHOLE = Span(-(2**63), 2**63 - 1)
"""All of a table, whatever its key."""


@dataclass(frozen=True, slots=True)
class Reader:
    """One table to be read: its columns, and which positions among them are its key."""

    db: sqlite3.Connection
    table: str
    columns: tuple[str, ...]
    key: tuple[int, ...]
    span: Span = WHOLE

    def after(self, last: Row | None, *, limit: int) -> list[Row]:
        """Up to `limit` rows whose key follows `last`, in SQLite's own order by bytes.

        Texts come as str; where one holds bytes that are not UTF-8, they stand as surrogate escapes.
        """
        if self.span != WHOLE and last is not None and last[self.key[0]] == self.span.high:
            return []  # behind the largest number there is none to ask for
        names = [f"{quoted(self.columns[i])} COLLATE BINARY" for i in self.key]
        where, bound = self._where(names, last)
        sql = (
            f"SELECT {', '.join(quoted(c) for c in self.columns)} FROM {quoted(self.table)} "
            f"{where} ORDER BY {', '.join(names)} LIMIT {limit}"
        )
        return fetch_exactly(self.db, sql, bound)

    def keys_of(self, rows: Sequence[Row]) -> list[Value | Row]:
        """The keys of rows, to be compared with others of the same table: plain values where one column is the key."""
        return list(map(itemgetter(*self.key), rows))

    def _where(self, names: list[str], last: Row | None) -> tuple[str, Row]:
        if self.span != WHOLE:
            low = self.span.low if last is None else int(self.key_of(last)[0] or 0) + 1
            return f"WHERE {names[0]} BETWEEN ? AND ?", (low, self.span.high)
        if last is None:
            return "", ()
        key = self.key_of(last)
        if None in key:  # a comparison with NULL is never true; NULLs come first
            return f"WHERE {names[0]} IS NOT NULL", ()
        marks, bound = exactly(key)
        return f"WHERE ({', '.join(names)}) > ({', '.join(marks)})", bound

    def key_of(self, row: Row) -> Row:
        """The key of a row."""
        return tuple(row[i] for i in self.key)


def fetch_exactly(db: sqlite3.Connection, sql: str, values: Sequence[Value] = ()) -> list[Row]:
    """All rows of a query; the fast way first, and again with escapes where a text is not UTF-8."""
    try:
        return db.execute(sql, values).fetchall()
    except sqlite3.OperationalError as problem:
        if "decode" not in str(problem):
            raise
    db.text_factory = _decoded
    try:
        return db.execute(sql, values).fetchall()
    finally:
        db.text_factory = str


def exactly(values: Sequence[Value]) -> tuple[list[str], Row]:
    """Marks and values to bind; a text that is not UTF-8 goes by its bytes, as the driver cannot bind it."""
    marks = ["CAST(? AS TEXT)" if _is_escaped(v) else "?" for v in values]
    bound = (v.encode("utf-8", "surrogateescape") if isinstance(v, str) and _is_escaped(v) else v for v in values)
    return marks, tuple(bound)


def in_order(key: Row) -> tuple[tuple[int, float | int | bytes], ...]:
    """A key that Python sorts as SQLite does: NULL, then numbers, texts by bytes, blobs."""
    return tuple(_rank(v) for v in key)


def _rank(value: Value) -> tuple[int, float | int | bytes]:
    if value is None:
        return (0, 0)
    if isinstance(value, str):
        return (2, value.encode("utf-8", "surrogateescape"))
    return (3, value) if isinstance(value, bytes) else (1, value)


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _is_escaped(value: Value) -> bool:
    """Whether a text stands for bytes that are not UTF-8, which the driver cannot bind as text."""
    return isinstance(value, str) and any("\udc80" <= c <= "\udcff" for c in value)


def batches(source: Reader, target: Reader, *, size: int) -> Iterator[tuple[list[Row], list[Row]]]:
    """Both tables side by side: pairs of batches that cover the same range of keys, all of it, in order."""
    left, right = source.after(None, limit=size), target.after(None, limit=size)
    while left or right:
        ends = [
            in_order(reader.key_of(rows[-1])) for reader, rows in ((source, left), (target, right)) if len(rows) == size
        ]
        end = min(ends, default=None)
        mine, left_over = _split(source, left, end)
        theirs, right_over = _split(target, right, end)
        yield mine, theirs
        if end is None:
            return
        left = _refill(source, left, left_over, size)
        right = _refill(target, right, right_over, size)


_Key: TypeAlias = tuple[tuple[int, float | int | bytes], ...]


def _split(reader: Reader, rows: list[Row], end: _Key | None) -> tuple[list[Row], list[Row]]:
    if end is None or (rows and in_order(reader.key_of(rows[-1])) <= end):
        return rows, []
    cut = next((i for i, row in enumerate(rows) if in_order(reader.key_of(row)) > end), len(rows))
    return rows[:cut], rows[cut:]


def _refill(reader: Reader, before: list[Row], left: list[Row], size: int) -> list[Row]:
    """What was left over, and more rows behind it unless the table has ended."""
    if len(before) < size:
        return left
    return left + reader.after(before[-1], limit=size - len(left)) if len(left) < size else left
