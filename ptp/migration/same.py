"""Whether two databases hold the same: every row in storage class, the schema's text, and what the header says."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ptp.engine import Table, literal, quoted, read_inventory

Progress = Callable[[float, str], None]
_HEADER = ("encoding", "page_size", "auto_vacuum", "application_id", "user_version")
_CHUNK = 1 << 20
_LOCK_PAGE = 1 << 30
"""The page at this byte is used for locks only: SQLite neither reads nor copies it."""
_SET_BY_COPYING = (*range(18, 20), *range(24, 28), *range(40, 44), *range(92, 100))
"""Bytes of the header that a backup sets anew: log or journal, change counter, schema cookie, SQLite's version."""
_OBJECTS = "SELECT type, name, tbl_name, sql FROM {}.sqlite_schema"


@dataclass(frozen=True, slots=True)
class Compared:
    """The rows by table of the one database, and the first difference of the other; empty where there is none."""

    rows: Mapping[str, int]
    difference: str


def compare(db: sqlite3.Connection, *, here: str, there: str, progress: Progress) -> Compared:
    """Compare all that two databases attached to one connection hold, inside the engine.

    Virtual tables are compared by the tables in which they keep their content; tables of SQLite itself (marks of
    AUTOINCREMENT, statistics) are compared too, and are not among the rows that are told.
    """
    tables = {t.name: t for t in read_inventory(db, schema=here).tables.values() if t.columns}
    rows: dict[str, int] = {}
    if lost := tables.keys() - read_inventory(db, schema=there).tables.keys():
        return Compared(rows, f"it has no table {min(lost)}")
    for done, table in enumerate(tables.values()):
        progress(done / len(tables), f"comparing {table.name}")
        key = (table.rowid,) if table.rowid else table.key
        rows[table.name], difference = _compared(db, (here, there), table.name, key, table.stored_columns)
        if difference:
            return Compared(rows, difference)
    return Compared(rows, next(_elsewhere(db, here, there), ""))


def count_rows(db: sqlite3.Connection, *, schema: str = "main") -> dict[str, int]:
    """The rows of every table that has some of its own, virtual tables by those that keep their content."""
    return {t.name: _count(db, schema, t) for t in read_inventory(db, schema=schema).tables.values() if t.columns}


def _count(db: sqlite3.Connection, schema: str, table: Table) -> int:
    found: int = db.execute(f"SELECT count(*) FROM {quoted(schema)}.{quoted(table.name)}").fetchone()[0]
    return found


def _compared(
    db: sqlite3.Connection, schemas: tuple[str, str], table: str, key: tuple[str, ...], columns: tuple[str, ...]
) -> tuple[int, str]:
    """The rows of a table, and in what the other's differ."""
    with closing(db.execute(_same_sql(*schemas, table, key, columns))) as cursor:
        same, rows, others = cursor.fetchone()
    if same == rows == others:
        return rows, ""
    return rows, f"table {table} has {rows:,} rows, the copy {others:,}, of which {same:,} are equal"


def _same_sql(here: str, there: str, table: str, key: tuple[str, ...], columns: tuple[str, ...]) -> str:
    one, other = f"{quoted(here)}.{quoted(table)}", f"{quoted(there)}.{quoted(table)}"
    match = " AND ".join(f"s.{q} = c.{q}" for q in map(quoted, key))
    equal = _all([f"s.{q} IS c.{q} COLLATE BINARY AND typeof(s.{q}) = typeof(c.{q})" for q in map(quoted, columns)])
    return (
        f"SELECT (SELECT count(*) FROM {one} AS s JOIN {other} AS c ON {match} WHERE {equal or 1}), "
        f"(SELECT count(*) FROM {one}), (SELECT count(*) FROM {other})"
    )


def _all(terms: list[str]) -> str:
    """The terms joined by AND as a balanced tree: a chain would be as deep as it is long, and SQLite stops at 1,000."""
    while len(terms) > 1:
        terms = [f"({' AND '.join(terms[n : n + 2])})" for n in range(0, len(terms), 2)]
    return terms[0] if terms else ""


def _elsewhere(db: sqlite3.Connection, here: str, there: str) -> Iterator[str]:
    """What differs outside of the tables: objects, the header's settings, SQLite's own tables."""
    for one, other in ((here, there), (there, here)):
        objects = f"{_OBJECTS.format(quoted(one))} EXCEPT {_OBJECTS.format(quoted(other))}"
        for kind, name, _, _ in db.execute(f"{objects} LIMIT 1").fetchall():
            yield f"{kind} {name} is not the same in both"
    for name in _HEADER:
        values = [db.execute(f"PRAGMA {quoted(schema)}.{name}").fetchone()[0] for schema in (here, there)]
        if values[0] != values[1]:
            yield f"its {name} is {values[1]}, not {values[0]}"
    own = f"SELECT name FROM {quoted(here)}.sqlite_schema WHERE type = 'table' AND name LIKE 'sqlite\\_%' ESCAPE '\\'"
    for (name,) in db.execute(own).fetchall():
        info = f"SELECT name FROM pragma_table_xinfo({literal(name)}, {literal(here)})"
        columns = tuple(row[0] for row in db.execute(info).fetchall())
        _, difference = _compared(db, (here, there), name, ("rowid",), columns)
        if difference:
            yield difference


def same_bytes(raw: BinaryIO, copy: Path) -> str:
    """In what the pages of a copy differ from the bytes of the file that it is a copy of; empty where in nothing."""
    raw.seek(0)
    size = copy.stat().st_size  # the other file may have pages of a change that was cut off behind its last one
    with copy.open("rb") as other:
        page_size = int.from_bytes(other.read(18)[16:], "big")
        other.seek(0)
        for start in range(0, size, _CHUNK):
            length = min(_CHUNK, size - start)
            here, there = (_blank(file.read(length), start, page_size) for file in (raw, other))
            if here != there:
                return f"its bytes differ after byte {start:,}"
    return ""


def _blank(chunk: bytes, start: int, page_size: int) -> bytes:
    """The bytes without those that a copy need not share; a page size of 65,536 is written as 1."""
    if start not in (0, _LOCK_PAGE):
        return chunk
    found = bytearray(chunk)
    lock_page = range(min(65_536 if page_size == 1 else page_size, len(found)))
    for place in _SET_BY_COPYING if start == 0 else lock_page:
        found[place] = 0
    return bytes(found)
