"""Digests of content by table and range of keys: what a run saw, so that a later look finds what changed since.

A range of whole-number keys holds RANGE of them; other keys are put together by the first characters of the first
one. A digest is over the rows of a range in the order of the key, in storage class and bits.
"""

from __future__ import annotations

import hashlib
import json
import marshal
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, repeat
from pathlib import Path
from typing import Any

from ptp.conversions import Value
from ptp.engine import quoted
from ptp.errors import UsageError
from ptp.results import Finding, write_json
from ptp.verification.exact import printable
from ptp.verification.rows import Reader, Row

RANGE = 4_096
"""Whole-number keys in a range."""

_MARSHAL = 2  # the newest version that writes equal values alike, whoever else holds them
_SIZE = 16
_BATCH = 5_000
_SHOWN = 20
_VERSION = 1


@dataclass(frozen=True, slots=True)
class TableDigest:
    """The digests of one table: its key, its columns in the order in which they were read, and each range's."""

    key: tuple[str, ...]
    columns: tuple[str, ...]
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


def label_of(key: Value) -> str:
    """The range in which a key lies, as it is told."""
    if isinstance(key, int):
        low = key // RANGE * RANGE
        return f"keys {low} to {low + RANGE - 1}"
    if isinstance(key, str):
        return f"keys that begin with {printable(key[:2])!r}"
    return f"keys of class {type(key).__name__}"


def digest_table(db: sqlite3.Connection, table: str, *, key: tuple[str, ...], columns: tuple[str, ...]) -> TableDigest:
    """Digest a table as it stands, in bounded memory."""
    reader = Reader(db, table, columns, tuple(columns.index(name) for name in key))
    digester, last = Digester(reader.key), None
    while rows := reader.after(last, limit=_BATCH):
        digester.take(rows)
        last = rows[-1]
    return TableDigest(key, columns, digester.ranges())


def write_digests(path: Path, tables: Mapping[str, TableDigest]) -> None:
    """Write the digests of a run."""
    told = {
        name: {"key": t.key, "columns": t.columns, "ranges": {label: list(r) for label, r in t.ranges.items()}}
        for name, t in tables.items()
    }
    write_json(path, {"version": _VERSION, "tables": told})


def read_digests(path: Path) -> dict[str, TableDigest]:
    """The digests that a run wrote; raises UsageError where there are none."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: TableDigest(
                tuple(t["key"]), tuple(t["columns"]), {label: (r[0], r[1]) for label, r in t["ranges"].items()}
            )
            for name, t in told["tables"].items()
        }
    except FileNotFoundError:
        raise UsageError(f"There is no {path}: name the folder of a run whose verification passed.") from None
    except (ValueError, KeyError, TypeError, IndexError):
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
    if gone := [column for column in before.columns if column not in there]:
        yield f"column {', '.join(gone)}: no longer there"
        return
    now = digest_table(db, name, key=before.key, columns=before.columns)
    yield from _changes(before.ranges, now.ranges)


def _changes(before: Mapping[str, tuple[int, str]], now: Mapping[str, tuple[int, str]]) -> Iterator[str]:
    for label in dict.fromkeys((*before, *now)):
        (then_rows, then), (now_rows, digest) = (side.get(label, (0, "")) for side in (before, now))
        if then != digest:
            rows = (
                f"{then_rows} rows then, {now_rows} now" if then_rows != now_rows else f"{now_rows} rows, other content"
            )
            yield f"{label}: {rows}"
