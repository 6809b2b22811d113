"""How the tables of a source and a target pair up: what the comparison of content is told."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from ptp.conversions import Conversion, TableMap
from ptp.engine import quoted
from ptp.engine.inventory import Table, affinity


@dataclass(frozen=True, slots=True)
class Pairing:
    """One table on both sides: the columns to compare, and how each is converted (None: carried as it is)."""

    source: str
    target: str
    key: tuple[str, ...]
    source_key: tuple[str, ...]
    columns: tuple[tuple[str, str, Conversion | None], ...]
    stored: tuple[str, ...]


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


def has_whole_keys(db: sqlite3.Connection, table: str, key: tuple[str, ...]) -> bool:
    """Whether the key is an INTEGER PRIMARY KEY, which holds nothing else."""
    columns = db.execute(f"PRAGMA table_info({quoted(table)})").fetchall()
    keys = [c for c in columns if c[5]]
    is_alias = len(keys) == 1 and keys[0][2].upper() == "INTEGER" and (keys[0][1],) == key
    found = db.execute("SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?", (table,)).fetchone()
    return is_alias and found is not None and not found[0]


def affinities(db: sqlite3.Connection, table: str) -> dict[str, str]:
    """The affinity of every column of a table."""
    return {row[1]: affinity(row[2]) for row in db.execute(f"PRAGMA table_xinfo({quoted(table)})")}
