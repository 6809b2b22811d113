"""Quarantine: the table that keeps, verbatim, each source value or row that no conversion takes exactly.

One row a value. A rejected row is kept whole, one entry for each of its columns, under the kind 'row'; a value
that was rounded or replaced stands alone, under the kind 'value', beside the placeholder that the target got.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ptp.conversions import ColumnMap
from ptp.conversions.sql import problem_sql, value_sql
from ptp.engine import literal, quoted
from ptp.engine.inventory import ForeignKey
from ptp.migration.pair import Pair

TABLE = "ptp_quarantine"

_TABLE_DDL = f"""CREATE TABLE {TABLE} (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  run TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('value', 'row')),
  table_name TEXT NOT NULL,
  row_key TEXT NOT NULL,
  column_name TEXT NOT NULL,
  original ANY,
  placeholder ANY,
  reason TEXT NOT NULL
) STRICT"""

DDL = (_TABLE_DDL, f"CREATE INDEX {TABLE}_place ON {TABLE} (table_name, row_key)")


_INTO = f"INSERT INTO main.{TABLE} (run, kind, table_name, row_key, column_name, original, placeholder, reason)"


def key_text_sql(columns: Sequence[str], alias: str) -> str:
    """SQL for a row's key as text: each part as an SQL literal, joined by commas; exact for every storage class."""
    parts = (f"{alias}.{quoted(c)}" for c in columns)
    # quote() stops at a NUL, so such a text is written by its bytes.
    return " || ',' || ".join(
        f"CASE WHEN typeof({p}) = 'text' AND instr({p}, char(0)) > 0 "
        f"THEN 'CAST(X''' || hex({p}) || ''' AS TEXT)' ELSE quote({p}) END"
        for p in parts
    )


def rejected_name(pair: Pair) -> str:
    """The temporary table that holds the keys of the rows of `pair` that are rejected whole."""
    return f"temp.{quoted('rejected_' + pair.mapped.source)}"


def not_rejected(pair: Pair, *, alias: str) -> str:
    """SQL that is true for the rows that are not rejected whole."""
    return f"{alias}.{pair.row} NOT IN (SELECT key FROM {rejected_name(pair)})"


def rejection_sql(pair: Pair, pairs: Mapping[str, Pair]) -> list[str]:
    """Statements that fill `temp.rejected_<table>`; to be run in an order in which parents come first.

    Rows go whole for a value that NOT NULL forbids, a parent that does not exist or goes itself, or a unique key
    that an earlier row has. A table that refers to itself passes rejection on to all descendants.
    """
    statements = [
        f"CREATE TEMP TABLE {rejected_name(pair).removeprefix('temp.')} (key PRIMARY KEY, reason TEXT NOT NULL)"
    ]
    statements += [_values_sql(pair, column) for column in pair.mapped.columns if column.conversion.takes_row]
    statements += [_orphans_sql(pair, key, parent) for key, parent in pair.parents(pairs)]
    statements += [_duplicates_sql(pair, columns) for columns in unenforced_uniques(pair)]
    return statements + [_descendants_sql(pair, key) for key, parent in pair.parents(pairs) if parent is pair]


def unenforced_uniques(pair: Pair) -> list[tuple[str, ...]]:
    """Unique keys of the target that the source does not hold to already, by their target columns."""
    to_source = {c.target: c.source for c in pair.mapped.columns}
    held = set(pair.source.uniques)
    if pair.source.has_key:
        held.add(pair.source.key)
    # The primary key first: an INTEGER one has no index.
    wanted = dict.fromkeys((pair.mapped.key, *pair.target.uniques))
    return [columns for columns in wanted if tuple(to_source[c] for c in columns) not in held]


def _values_sql(pair: Pair, column: ColumnMap) -> str:
    problem = problem_sql(column.conversion, f"s.{quoted(column.source)}")
    return (
        f"INSERT INTO {rejected_name(pair)} SELECT key, problem || {literal(f' ({column.source})')} FROM "
        f"(SELECT s.{pair.row} AS key, {problem} AS problem FROM {pair.name} AS s "
        f"WHERE {not_rejected(pair, alias='s')}) WHERE problem LIKE 'rejected: %'"
    )


def orphan_condition(pair: Pair, key: ForeignKey, parent: Pair, *, with_rejected: bool) -> str:
    """SQL that is true for rows `s` whose parent does not exist or, `with_rejected`, is rejected itself."""
    own = pair.values(key.columns, alias="s")
    theirs = parent.values(key.to_columns or parent.mapped.key, alias="p")
    match = " AND ".join(f"{a} = {b}" for a, b in zip(own, theirs, strict=True))
    if with_rejected and parent is not pair:
        match += f" AND {not_rejected(parent, alias='p')}"
    return (
        f"NOT {pair.some_null(key.columns, alias='s')} AND NOT EXISTS (SELECT 1 FROM {parent.name} AS p WHERE {match})"
    )


def orphan_reason(key: ForeignKey, parent: Pair) -> str:
    """The reason for an orphan, in words."""
    return f"rejected: no such row in {parent.mapped.source} ({', '.join(key.columns)})"


def _orphans_sql(pair: Pair, key: ForeignKey, parent: Pair) -> str:
    return (
        f"INSERT INTO {rejected_name(pair)} SELECT s.{pair.row}, {literal(orphan_reason(key, parent))} "
        f"FROM {pair.name} AS s WHERE {orphan_condition(pair, key, parent, with_rejected=True)} "
        f"AND {not_rejected(pair, alias='s')}"
    )


def _duplicates_sql(pair: Pair, columns: tuple[str, ...]) -> str:
    reason = f"rejected: an earlier row has the same value ({', '.join(columns)})"
    return (
        f"INSERT INTO {rejected_name(pair)} SELECT key, {literal(reason)} FROM (SELECT s.{pair.row} AS key, "
        f"row_number() OVER (PARTITION BY {', '.join(pair.values(columns, alias='s'))} ORDER BY s.{pair.row}) AS place "
        f"FROM {pair.name} AS s WHERE NOT {pair.some_null(columns, alias='s')} "
        f"AND {not_rejected(pair, alias='s')}) WHERE place > 1"
    )


def _descendants_sql(pair: Pair, key: ForeignKey) -> str:
    own = pair.values(key.columns, alias="s")[0]
    theirs = pair.values(key.to_columns or pair.mapped.key, alias="p")[0]
    reason = literal(f"rejected: its parent in {pair.mapped.source} is rejected ({', '.join(key.columns)})")
    return (
        f"INSERT INTO {rejected_name(pair)} WITH RECURSIVE gone (id) AS (SELECT key FROM {rejected_name(pair)} UNION "
        f"SELECT s.{pair.row} FROM gone JOIN {pair.name} AS p ON p.{pair.row} = gone.id "
        f"JOIN {pair.name} AS s ON {own} = {theirs}) "
        f"SELECT id, {reason} FROM gone WHERE id NOT IN (SELECT key FROM {rejected_name(pair)})"
    )


def keep_sql(pair: Pair) -> list[str]:
    """Statements that put a table's rejected rows and inexact values into quarantine; :run is bound."""
    table, key = literal(pair.mapped.source), key_text_sql(pair.mapped.source_key, "s")
    rows = [
        f"{_INTO} SELECT :run, 'row', {table}, {key}, {literal(stored)}, s.{quoted(stored)}, NULL, r.reason "
        f"FROM {rejected_name(pair)} AS r JOIN {pair.name} AS s ON s.{pair.row} = r.key"
        for stored in pair.source.stored_columns
    ]
    values = f"FROM {pair.name} AS s WHERE {not_rejected(pair, alias='s')}"
    return rows + [keep_value_sql(pair, column, values) for column in pair.mapped.columns]


def keep_value_sql(pair: Pair, column: ColumnMap, rows: str) -> str:
    """The statement that keeps the inexact values of one column; `rows` is FROM and WHERE of source rows `s`."""
    ref, key = f"s.{quoted(column.source)}", key_text_sql(pair.mapped.source_key, "s")
    return (
        f"{_INTO} SELECT :run, 'value', {literal(pair.mapped.source)}, {key}, {literal(column.source)}, ptp_original, "
        f"ptp_value, ptp_problem FROM (SELECT s.*, {ref} AS ptp_original, {value_sql(column.conversion, ref)} AS "
        f"ptp_value, {problem_sql(column.conversion, ref)} AS ptp_problem {rows}) AS s WHERE ptp_problem IS NOT NULL"
    )
