"""References of a target that is built beside a living source: what the source came to break meanwhile is not moved to.

SQLite itself looks at the whole target, once. After that only what is logged is looked at: children without a parent,
and children of parents that are gone, which the log does not name. A carried table keeps what is broken in the source.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ptp.conversions.sql import value_sql
from ptp.engine import Inventory, literal, quoted
from ptp.engine.inventory import ForeignKey, Table
from ptp.errors import DirtySource
from ptp.migration.pair import Pair
from ptp.migration.quarantine import key_text_sql


@dataclass(frozen=True, slots=True)
class Reference:
    """SQL that finds the first broken reference of `table`, as its key and what it refers to; none where all hold.

    `logged` is the table whose keys, in the temporary table of its replay, it goes over; empty where it is the whole
    table. `known` finds, of a carried table, the first one that is not broken in the source as well.
    """

    table: str
    sql: str
    logged: str = ""
    known: str = ""

    @property
    def statements(self) -> tuple[str, ...]:
        """All that may be run."""
        return tuple(filter(None, (self.sql, self.known)))


def references(
    pairs: Mapping[str, Pair], keys: Mapping[str, str], target: Inventory, carried: Collection[str]
) -> Iterator[Reference]:
    """How the references of a target are checked. `keys` names the table of logged keys of each mapped table."""
    for table in target.tables.values():
        if table.foreign_keys:
            yield Reference(table.name, _broken(table), known=_broken_here(table) if table.name in carried else "")
    for name, pair in pairs.items():
        for key in pair.target.foreign_keys:
            found = target.tables.get(key.table)
            if found is None or len(key.to_columns or found.key) != len(key.columns):
                continue  # SQLite itself names such a rule, where it looks at the whole
            to = key.to_columns or found.key
            yield Reference(name, _children(pair, key, to, keys[name]), logged=name)
            if key.table in pairs and set(to) <= set(pairs[key.table].mapped.key):
                parent = pairs[key.table]
                yield Reference(name, _left_behind(pair, key, to, parent, keys[key.table]), logged=key.table)


def refuse_broken(db: sqlite3.Connection, found: Sequence[Reference]) -> Sequence[Reference]:
    """Look at all references of the target; those of carried tables are given that need a look at the source, too.

    Raises DirtySource, naming table and key, at the first that is broken.
    """
    unsure = []
    for reference in (r for r in found if not r.logged):
        row = _first(db, reference.sql)
        if row and reference.known:
            unsure.append(reference)
        elif row:
            raise _broken_one(reference, row)
    return unsure


def refuse_new(db: sqlite3.Connection, unsure: Sequence[Reference]) -> None:
    """Within a snapshot at which both databases stand: raise DirtySource where the source does not break it as well."""
    for reference in unsure:
        if row := _first(db, reference.known):
            raise _broken_one(reference, row)


def refuse_logged(db: sqlite3.Connection, found: Sequence[Reference], changed: Collection[str]) -> None:
    """Look at what was logged of these tables, whose keys are gathered; raises DirtySource at the first broken one."""
    for reference in found:
        if reference.logged in changed and (row := _first(db, reference.sql)):
            raise _broken_one(reference, row)


def _first(db: sqlite3.Connection, sql: str) -> tuple[object, ...] | None:
    try:
        row: tuple[object, ...] | None = db.execute(sql).fetchone()
    except sqlite3.OperationalError as problem:
        if "foreign key mismatch" not in str(problem):
            raise
        return None  # a carried table refers to what is no key: it did so in the source, and no row can break it
    return row


def _broken_one(reference: Reference, row: Sequence[object]) -> DirtySource:
    return DirtySource(
        f"During the migration the source came to hold a reference to a row that is not there: {reference.table}, "
        f"key {row[0]}, refers to {row[1]}. Nothing was moved. Mend it, and run the command again."
    )


def _broken(table: Table) -> str:
    checked = f"pragma_foreign_key_check({literal(table.name)}, 'main') AS f"
    if not table.rowid:
        return f"SELECT 'unknown', f.parent FROM {checked} LIMIT 1"
    named = f"main.{quoted(table.name)} AS c ON c.{quoted(table.rowid)} = f.rowid"
    return f"SELECT {key_text_sql(table.key, 'c')}, f.parent FROM {checked} LEFT JOIN {named} LIMIT 1"


def _broken_here(table: Table) -> str:
    here, there = (
        f"SELECT rowid, parent, fkid FROM pragma_foreign_key_check({literal(table.name)}, '{schema}')"
        for schema in ("main", "source")
    )
    return f"SELECT * FROM ({here} EXCEPT {there}) LIMIT 1"


def _children(pair: Pair, key: ForeignKey, to: Sequence[str], logged: str) -> str:
    """Logged rows that refer to a row that is not there."""
    given = " AND ".join(f"c.{quoted(c)} IS NOT NULL" for c in key.columns)
    same = " AND ".join(f"p.{quoted(t)} = c.{quoted(c)}" for t, c in zip(to, key.columns, strict=True))
    rows = f"{logged} AS k CROSS JOIN {_home(pair)} AS c ON {_equal('c', pair.mapped.key, pair, pair.mapped.key)}"
    return _first_of(
        pair, key, rows, f"{given} AND NOT EXISTS (SELECT 1 FROM main.{quoted(key.table)} AS p WHERE {same})"
    )


def _left_behind(pair: Pair, key: ForeignKey, to: Sequence[str], parent: Pair, logged: str) -> str:
    """Rows that refer to a logged one that is gone; of one that is still there none is read."""
    rows = f"{logged} AS k CROSS JOIN {_home(pair)} AS c ON {_equal('c', key.columns, parent, to)}"
    gone = f"NOT EXISTS (SELECT 1 FROM {_home(parent)} AS p WHERE {_equal('p', to, parent, to)})"
    return _first_of(pair, key, rows, gone)


def _first_of(pair: Pair, key: ForeignKey, rows: str, where: str) -> str:
    named = f"{key_text_sql(pair.target.key, 'c')}, {literal(key.table)}"
    return f"SELECT {named} FROM {rows} WHERE {where} LIMIT 1"


def _home(pair: Pair) -> str:
    return f"main.{quoted(pair.mapped.target)}"


def _equal(alias: str, columns: Sequence[str], logged: Pair, to: Sequence[str]) -> str:
    """Columns that hold what a logged key `k` of a mapped table becomes in its target columns `to`."""
    conversions = {c.target: c.conversion for c in logged.mapped.columns}
    places = {name: f"k.k{i}" for i, name in enumerate(logged.mapped.key)}
    return " AND ".join(
        f"{alias}.{quoted(c)} = ({value_sql(conversions[t], places[t])})" for c, t in zip(columns, to, strict=True)
    )
