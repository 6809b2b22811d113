"""What a database holds, read by SQL in the same way from a replica and from its primary, so that both can be compared.

A table's digest is the sum of the SHA-256 of its rows, each with its rowid and with class and bits of every value: it
does not depend on the order, and 1, 1.0 and '1' differ. Rows come in pages by rowid, so memory stays flat.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ptp.engine.replicas.statements import is_helper
from ptp.engine.sql import quoted

Reader: TypeAlias = Callable[[str, Sequence[int | str]], Iterable[Sequence[Any]]]
"""Runs one statement with its values, and gives the rows."""

PAGE = 500
_MODULUS = 2**256
_SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a schema: `kind` is table, index, view or trigger."""

    kind: str
    name: str
    table: str
    sql: str


@dataclass(frozen=True, slots=True)
class Digest:
    """What a table holds, in two numbers."""

    rows: int
    sha256: str


def read_schema(read: Reader, *, helpers: bool = False) -> list[Entry]:
    """The application's tables, indexes, views and triggers; or instead the tables of the sync engine."""
    entries = [Entry(kind, name, table, sql or "") for kind, name, table, sql in read(_SCHEMA, ())]
    if helpers:
        return [e for e in entries if e.kind == "table" and is_helper(e.name) and not e.name.startswith("sqlite_")]
    return [e for e in entries if not is_helper(e.name) and not is_helper(e.table)]


def digest(read: Reader, table: str) -> Digest:
    """The digest of a table that has a rowid."""
    total = count = 0
    for row in _rows(read, table):
        bits = hashlib.sha256(repr(tuple(row)).encode("utf-8", "surrogateescape")).digest()
        total = (total + int.from_bytes(bits, "big")) % _MODULUS
        count += 1
    return Digest(count, f"{total:064x}")


def _rows(read: Reader, table: str) -> Iterator[Sequence[Any]]:
    sql = f"SELECT rowid, * FROM {quoted(table)} WHERE rowid > ? ORDER BY rowid LIMIT {PAGE}"
    first = f"SELECT rowid, * FROM {quoted(table)} ORDER BY rowid LIMIT {PAGE}"
    page = list(read(first, ()))
    while page:
        yield from page
        page = list(read(sql, (page[-1][0],))) if len(page) == PAGE else []
