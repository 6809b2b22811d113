"""Digests of content by table and range of keys: what a run saw, so that a later look finds what changed since.

A range of whole-number keys holds RANGE of them; other keys are put together by the first characters of the first
one. A digest is over the rows of a range in the order of the key, in storage class and bits: over the texts that SQLite
writes of them (`ptp.verification.texts`) where these tell all, else over the rows one by one.
"""

from __future__ import annotations

import hashlib
import json
import marshal
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby, repeat
from pathlib import Path
from typing import Any

from ptp.conversions import Value
from ptp.engine import quoted
from ptp.errors import UsageError
from ptp.results import Finding, write_json
from ptp.verification.exact import printable
from ptp.verification.rows import WHOLE, Reader, Row, Span
from ptp.verification.texts import Layout, TextReader, Texts

RANGE = 4_096
"""Whole-number keys in a range."""

_MARSHAL = 2  # the newest version that writes equal values alike, whoever else holds them
_SIZE = 16
_BATCH = 5_000
_FEW = 64
_SHOWN = 20
_VERSION = 2


@dataclass(frozen=True, slots=True)
class TableDigest:
    """The digests of one table: its key, how its columns were read, and each range's."""

    key: tuple[str, ...]
    layout: Layout
    ranges: Mapping[str, tuple[int, str]]


class Digester:
    """Takes rows in the order of their key, and digests each range of them."""

    def __init__(self, key: Sequence[int]) -> None:
        """Digest rows whose key stands at these positions."""
        self._key = key[0]
        self._open: tuple[str, Any, int] | None = None
        self._closed: dict[str, tuple[int, str]] = {}

    def take(self, rows: Sequence[Row]) -> None:
        """Digest the next rows."""
        for label, group in groupby(rows, key=self._label):
            found = list(group)
            if self._open is None or self._open[0] != label:
                self._close()
                self._open = (label, hashlib.blake2b(digest_size=_SIZE), 0)
            _, state, count = self._open
            state.update(b"".join(map(marshal.dumps, found, repeat(_MARSHAL))))
            self._open = (label, state, count + len(found))

    def ranges(self) -> dict[str, tuple[int, str]]:
        """The number of rows and the digest of each range."""
        self._close()
        return dict(self._closed)

    def _close(self) -> None:
        if self._open is not None:
            label, state, count = self._open
            self._closed[label] = (count, state.hexdigest())
            self._open = None

    def _label(self, row: Row) -> str:
        return label_of(row[self._key])


class _State:
    """The digest of one range, which may come in several pieces: each kind of text has a digest of its own."""

    def __init__(self) -> None:
        self.rows = 0
        self._parts = [hashlib.blake2b(digest_size=32) for _ in range(4)]

    def take(self, texts: Texts) -> None:
        self.rows += texts.rows
        # Behind its first five bytes, which tell how many there are, a list is written as its rows one by one.
        loose = marshal.dumps(list(map(tuple, texts.loose)), _MARSHAL)[5:]
        for part, text in zip(self._parts, (texts.whole, texts.texts, texts.instants, loose), strict=True):
            part.update(text)

    def found(self) -> tuple[int, str]:
        together = hashlib.blake2b(b"".join(part.digest() for part in self._parts), digest_size=_SIZE)
        return self.rows, together.hexdigest()


@dataclass(frozen=True, slots=True)
class RangeDigester:
    """Digests the ranges of one table with whole-number keys: by its texts, or by its rows where those do not tell all.

    Which of the two is decided by what a range holds, so that the same content always has the same digest.
    """

    texts: TextReader
    rows: Reader

    def digest(self, low: int, high: int, seen: Texts | None) -> dict[str, tuple[int, str]]:
        """The digests of all ranges from a key to another; `seen` are their texts, if they were read already."""
        if low // RANGE == high // RANGE:
            found = self._range(low, high, seen)
            return {label_of(low): found} if found[0] else {}
        digests = dict[str, tuple[int, str]]()
        for number in self._numbers(low, high):
            start, stop = max(low, number * RANGE), min(high, (number + 1) * RANGE - 1)
            digests[label_of(start)] = self._range(start, stop, None)
        return digests

    def _range(self, low: int, high: int, seen: Texts | None) -> tuple[int, str]:
        state = _State()
        if seen is not None and seen.is_plain:
            state.take(seen)
        elif seen is not None or not self._in_pieces(state, low, high):
            return self._by_rows(low, high)
        return state.found()

    def _in_pieces(self, state: _State, low: int, high: int) -> bool:
        """Take a range in pieces that are small enough; whether all of them told all."""
        texts = self.texts.read(low, high)
        if texts is None:
            middle = (low + high) // 2
            return low < high and all(self._in_pieces(state, a, b) for a, b in ((low, middle), (middle + 1, high)))
        if texts.is_plain:
            state.take(texts)
        return texts.is_plain

    def _by_rows(self, low: int, high: int) -> tuple[int, str]:
        state, count, last = hashlib.blake2b(b"rows", digest_size=_SIZE), 0, None
        reader = Reader(self.rows.db, self.rows.table, self.rows.columns, self.rows.key, Span(low, high))
        while found := reader.after(last, limit=_FEW):
            state.update(b"".join(map(marshal.dumps, found, repeat(_MARSHAL))))
            count, last = count + len(found), found[-1]
        return count, state.hexdigest()

    def _numbers(self, low: int, high: int) -> Iterator[int]:
        """The ranges in which there are rows."""
        key = quoted(self.rows.columns[self.rows.key[0]])
        sql = f"SELECT min({key}) FROM {quoted(self.rows.table)} WHERE {key} BETWEEN ? AND ?"
        while low <= high and (first := self.rows.db.execute(sql, (low, high)).fetchone()[0]) is not None:
            yield first // RANGE
            low = (first // RANGE + 1) * RANGE


def label_of(key: Value) -> str:
    """The range in which a key lies, as it is told."""
    if isinstance(key, int):
        low = key // RANGE * RANGE
        return f"keys {low} to {low + RANGE - 1}"
    if isinstance(key, str):
        return f"keys that begin with {printable(key[:2])!r}"
    return f"keys of class {type(key).__name__}"


def digest_table(db: sqlite3.Connection, table: str, *, key: tuple[str, ...], layout: Layout) -> TableDigest:
    """Digest a table as it stands, in bounded memory.

    A layout in which all columns are loose is that of a table that was read row by row.
    """
    rows = Reader(db, table, layout.columns, tuple(layout.columns.index(name) for name in key))
    if layout.columns == layout.loose:
        return TableDigest(key, layout, _by_rows(rows))
    digester = RangeDigester(TextReader(db, table, key[0], layout=layout), rows)
    return TableDigest(key, layout, digester.digest(WHOLE.low, WHOLE.high, None))


def _by_rows(reader: Reader) -> dict[str, tuple[int, str]]:
    digester, last = Digester(reader.key), None
    while rows := reader.after(last, limit=_BATCH):
        digester.take(rows)
        last = rows[-1]
    return digester.ranges()


def write_digests(path: Path, tables: Mapping[str, TableDigest]) -> None:
    """Write the digests of a run."""
    told = {
        name: {"key": t.key, "layout": asdict(t.layout), "ranges": {label: list(r) for label, r in t.ranges.items()}}
        for name, t in tables.items()
    }
    write_json(path, {"version": _VERSION, "tables": told})


def read_digests(path: Path) -> dict[str, TableDigest]:
    """The digests that a run wrote; raises UsageError where there are none, or those of another release."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if (version := told["version"]) != _VERSION:
            raise UsageError(
                f"{path} holds digests of version {version}, and this release of ptp reads version {_VERSION}: verify "
                "source and target again with --out, and compare with that run."
            )
        return {
            name: TableDigest(
                tuple(t["key"]),
                Layout(**{way: tuple(columns) for way, columns in t["layout"].items()}),
                {label: (r[0], r[1]) for label, r in t["ranges"].items()},
            )
            for name, t in told["tables"].items()
        }
    except FileNotFoundError:
        raise UsageError(f"There is no {path}: name the folder of a run whose verification passed.") from None
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        raise UsageError(f"{path} is not a file of digests as ptp writes it.") from None


def check_against(db: sqlite3.Connection, known: Mapping[str, TableDigest], *, tables: Iterable[str]) -> list[Finding]:
    """One finding for each table that a run saw: which ranges of keys are no longer as they were.

    `tables` are those that the database has now.
    """
    live = set(tables)
    return [_compared(db, name, before, is_there=name in live) for name, before in sorted(known.items())]


def _compared(db: sqlite3.Connection, name: str, before: TableDigest, *, is_there: bool) -> Finding:
    places = list(_since(db, name, before)) if is_there else ["the table is no longer there"]
    return Finding(
        id=f"verify.since.{name}",
        claim=f"{name} is as the run left it",
        verdict="fail" if places else "pass",
        severity="data",
        value=len(places),
        unit="ranges changed",
        limit=0,
        n=sum(count for count, _ in before.ranges.values()),
        where=tuple(f"{name}, {place}" for place in places[:_SHOWN]),
        evidence=f"digests of {len(before.ranges)} ranges of keys, stored with the run",
    )


def _since(db: sqlite3.Connection, name: str, before: TableDigest) -> Iterator[str]:
    # Asked for first: SQLite takes a quoted name that it does not know for a text.
    there = {row[1] for row in db.execute(f"PRAGMA table_xinfo({quoted(name)})")} | {"rowid", "_rowid_", "oid"}
    if gone := [column for column in before.layout.columns if column not in there]:
        yield f"column {', '.join(gone)}: no longer there"
        return
    now = digest_table(db, name, key=before.key, layout=before.layout)
    yield from _changes(before.ranges, now.ranges)


def _changes(before: Mapping[str, tuple[int, str]], now: Mapping[str, tuple[int, str]]) -> Iterator[str]:
    for label in dict.fromkeys((*before, *now)):
        (then_rows, then), (now_rows, digest) = (side.get(label, (0, "")) for side in (before, now))
        if then != digest:
            rows = (
                f"{then_rows} rows then, {now_rows} now" if then_rows != now_rows else f"{now_rows} rows, other content"
            )
            yield f"{label}: {rows}"
