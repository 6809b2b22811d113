"""Rows of a range of keys as a few long texts, written by SQLite, so that a range costs one look instead of thousands.

Whole numbers and texts are written as JSON arrays, one a row, which tells a number from a text and NULL from both;
what JSON cannot hold exactly, such as reals and blobs, is read value by value. Nothing is judged here: where a value is
not of the plain class, the texts say so, and whoever reads them looks at the rows themselves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import apsw

from ptp.conversions import Value
from ptp.engine import literal, quoted

LONGEST = 16_000_000
"""Bytes of a text at most, so that memory stays bounded whatever the rows hold."""

_NUMBERS = b"0123456789-,[]nul"


class Database(Protocol):
    """A connection of either driver: both run SQL alike."""

    def execute(self, sql: str, values: tuple[int, ...], /) -> Any:
        """Run one statement."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the columns of a table are written.

    `whole` and `instants` are to hold whole numbers, `texts` texts, each or NULL; `loose` are read value by value.
    """

    whole: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    instants: tuple[str, ...] = ()
    loose: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.whole, *self.texts, *self.instants, *self.loose)


@dataclass(frozen=True, slots=True)
class Listed:
    """The values of one column, NULL left out: how many, the characters of the longest, and all of them in one text."""

    present: int
    longest: int
    joined: str


@dataclass(frozen=True, slots=True)
class Texts:
    """Some rows of one side. `is_plain`: every value is of the class that the layout names for it.

    `lists` are the columns that were asked for as lists.
    """

    low: int
    high: int
    rows: int
    is_plain: bool
    whole: bytes
    texts: bytes
    instants: bytes
    lists: tuple[Listed, ...]
    loose: Sequence[tuple[Value, ...]]


@dataclass(frozen=True, slots=True)
class List:
    """A column to be read as one text: what stands between two values, and what for NULL (None: nothing)."""

    column: str
    between: str
    absent: str | None = None

    @property
    def sql(self) -> list[str]:
        """The expressions that a `Listed` is made of."""
        name = quoted(self.column)
        value = name if self.absent is None else f"coalesce({name}, {literal(self.absent)})"
        longest = f"max(length({name}))" if self.absent is None else "0"
        return [f"count({name})", longest, f"group_concat({value}, {literal(self.between)})"]


class TextReader:
    """Reads one table that has an INTEGER PRIMARY KEY."""

    def __init__(
        self,
        db: Database,
        table: str,
        key: str,
        *,
        layout: Layout,
        lists: Sequence[List] = (),
        odd: Sequence[str] = (),
        ranged: Collection[str] = (),
    ) -> None:
        """Read by this layout, and `lists` of columns that hold texts.

        Under the conditions `odd` a row is not plain; `ranged` are columns of which these refuse all but numbers.
        """
        self._db = db
        self._has_loose = bool(layout.loose)
        numbers = [c for c in (*layout.whole, *layout.instants) if c not in (key, *ranged)]
        # No blob, which may be JSON to SQLite: a text among numbers is seen by its quotes.
        odd = (*(f"{quoted(c)} >= x''" for c in numbers), *odd)
        strings = dict.fromkeys((*layout.texts, *(each.column for each in lists)))
        odd = (*odd, *(f"{quoted(c)} NOT BETWEEN '' AND x''" for c in strings))  # neither a number nor a blob
        asked = ["count(*)", f"count(CASE WHEN {' OR '.join(odd) or 0} THEN 1 END)"]
        asked += [_arrays(columns) for columns in (layout.whole, layout.texts, layout.instants)]
        asked += [sql for each in lists for sql in each.sql]
        # Not indexed: the rows then come in the order of the key, which is that of the table itself.
        self._where = f"FROM {quoted(table)} NOT INDEXED WHERE {quoted(key)} BETWEEN ? AND ?"
        self._order = f"ORDER BY {quoted(key)}"
        self._sql = f"SELECT {', '.join(asked)} {self._where}"
        self._loose = f"SELECT {', '.join(map(quoted, layout.loose))} {self._where} {self._order}"

    def read(self, low: int, high: int) -> Texts | None:
        """The rows of a range, both ends included; None where they are too large or cannot be written as texts."""
        try:
            with _bounded(self._db):
                found = self._db.execute(self._sql, (low, high)).fetchall()[0]
                loose = self._db.execute(self._loose, (low, high)).fetchall() if self._has_loose else []
        except (sqlite3.Error, apsw.Error, UnicodeDecodeError, MemoryError):
            return None  # who then reads the rows one by one meets the error again, if it is one
        rows, odd, *texts = found
        whole, strings, instants = (text or b"" for text in texts[:3])
        lists = zip(texts[3::3], texts[4::3], texts[5::3], strict=True)
        listed = tuple(Listed(present, longest or 0, joined or "") for present, longest, joined in lists)
        is_plain = not odd and not any(text.translate(None, _NUMBERS) for text in (whole, instants))
        return Texts(low, high, rows, is_plain, whole, strings, instants, listed, loose)

    def values(self, column: str, low: int, high: int) -> list[Value]:
        """The values of one column in a range, as they are."""
        return [v for (v,) in self._db.execute(f"SELECT {quoted(column)} {self._where} {self._order}", (low, high))]


def _arrays(columns: Sequence[str]) -> str:
    return f"CAST(group_concat(json_array({', '.join(map(quoted, columns))}), '') AS BLOB)" if columns else "NULL"


@contextmanager
def _bounded(db: Database) -> Iterator[None]:
    """Keep SQLite from writing a longer text than the longest."""
    if isinstance(db, apsw.Connection):  # one that reads nothing else
        db.limit(apsw.SQLITE_LIMIT_LENGTH, LONGEST)
        yield
    elif isinstance(db, sqlite3.Connection):
        before = db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
        try:
            yield
        finally:
            db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, before)


def written(columns: Sequence[Sequence[Value]]) -> bytes:
    """Columns of whole numbers and NULL as the arrays that SQLite writes of their rows."""
    if len(columns) == 1:
        inner = repr(list(columns[0]))[1:-1].replace(", ", "][")
    else:
        inner = repr(list(zip(*columns, strict=True)))[2:-2].replace("), (", "][").replace(", ", ",")
    return f"[{inner}]".replace("None", "null").encode() if columns and columns[0] else b""
