"""Reverse: what was written to a target since the cut over goes back into its source, column by column.

A column of the source stays as it is wherever the target still holds the conversion of it: so what a conversion
cannot give back, a fraction of a second or an offset, is not lost by going there and back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ptp.conversions import ColumnMap
from ptp.conversions.sql import value_sql
from ptp.engine import Inventory, literal, quoted
from ptp.engine.inventory import Column, Table
from ptp.errors import CannotFinish
from ptp.migration.capture import LOG
from ptp.migration.carry import Extra
from ptp.migration.pair import Pair
from ptp.migration.quarantine import key_text_sql


@dataclass(frozen=True, slots=True)
class Back:
    """How one table goes back. The source is `main`, the target is attached as `target`; :after is a place in its log.

    `refused` finds the first row that the source's shape cannot hold, with the column; `named` are the keys of all
    rows concerned, as the source has them, of which it gives those with two numbers and all between.
    """

    source: str
    target: str
    keys: str
    rows: str
    statements: tuple[str, ...]
    refused: str
    write: tuple[str, ...]
    named: str


def backs(pairs: Mapping[str, Pair], extras: Sequence[Extra], source: Inventory) -> list[Back]:
    """How each captured table goes back."""
    found = [_mapped(number, pair, extras) for number, pair in enumerate(pairs.values())]
    carried = [source.tables[e.name] for e in extras if e.copy and e.carried]
    return found + [_carried(number, table) for number, table in enumerate(carried, start=len(found))]


def back_text(found: Sequence[Back]) -> str:
    """All statements of a way back, as a script to read."""
    return "".join(f"{sql};\n" for b in found for sql in (*b.statements, b.refused, *b.write) if sql)


def write_back(db: sqlite3.Connection, found: Sequence[Back]) -> int:
    """Within a transaction, bring everything that the target's log names back; how many rows it named.

    Raises CannotFinish, naming the first value, where the source's shape cannot hold one.
    """
    keys = 0
    for back in found:
        for sql in back.statements:
            db.execute(sql)
        keys += db.execute(f"SELECT count(*) FROM {back.keys}").fetchone()[0]
        if back.refused and (bad := db.execute(back.refused).fetchone()):
            raise CannotFinish(
                f"The old shape cannot hold what {back.target} holds now: key {bad[0]}, {bad[1]}. Nothing was rolled "
                "back. Change or remove that value, and run the command again."
            )
    # All away before anything comes in, so that unique values may have changed places.
    for step in (0, 1):
        for back in found:
            db.execute(back.write[step])
    return keys


def marks_sql(pairs: Mapping[str, Pair], extras: Sequence[Extra], source: Inventory) -> list[str]:
    """Statements that lift the source's AUTOINCREMENT marks to the target's."""
    both = [(p.mapped.source, p.mapped.target) for p in pairs.values() if p.source.autoincrement]
    both += [(e.name, e.name) for e in extras if e.copy and e.carried and source.tables[e.name].autoincrement]
    return [
        f"UPDATE main.sqlite_sequence SET seq = max(seq, coalesce((SELECT seq FROM target.sqlite_sequence "
        f"WHERE name = {literal(theirs)}), 0)) WHERE name = {literal(own)}"
        for own, theirs in both
    ]


def without_place(
    target: sqlite3.Connection, *, tables: Sequence[str], columns: Sequence[tuple[str, str]]
) -> Iterator[str]:
    """What the old shape has no place for and the target holds: rows of these tables, values of these columns."""
    for name in tables:
        if rows := target.execute(f"SELECT count(*) FROM {quoted(name)}").fetchone()[0]:
            yield f"table {name}: {rows} rows"
    for table, column in columns:
        sql = f"SELECT count(*) FROM {quoted(table)} WHERE {quoted(column)} IS NOT NULL"
        if rows := target.execute(sql).fetchone()[0]:
            yield f"column {table}.{column}: {rows} values"


def _gather(number: int, table: str, width: int) -> tuple[str, str, str]:
    keys = f"temp.ptp_back_keys_{number}"
    k, n = ([f"{letter}{i}" for i in range(width)] for letter in "kn")
    log = f"FROM target.{LOG} WHERE name = {literal(table)}"
    return (
        keys,
        f"CREATE TEMP TABLE {keys.removeprefix('temp.')} ({', '.join(k)}, UNIQUE ({', '.join(k)}))",
        f"INSERT OR IGNORE INTO {keys} SELECT {', '.join(k)} {log} UNION SELECT {', '.join(n)} {log} AND op = 'U'",
    )


def _gather_all(keys: str, table: Table) -> str:
    """A VACUUM, of either side, numbers rowids anew: where anything was logged, such a table goes back as a whole."""
    row = quoted(table.rowid)
    logged = f"EXISTS (SELECT 1 FROM target.{LOG} WHERE name = {literal(table.name)})"
    here, there = (f"SELECT {row} FROM {schema}.{quoted(table.name)} WHERE {logged}" for schema in ("main", "target"))
    return f"INSERT OR IGNORE INTO {keys} {here} UNION {there}"


def _mapped(number: int, pair: Pair, extras: Sequence[Extra]) -> Back:
    keys, create, gather = _gather(number, pair.mapped.target, len(pair.mapped.key))
    rows = f"temp.ptp_back_rows_{number}"
    maps = {c.source: c for c in pair.mapped.columns}
    carried = {e.name for e in extras if e.kind == "column" and e.carried}
    there = _equal("t", pair.mapped.key, [f"k.k{i}" for i in range(len(pair.mapped.key))])
    kept = [_inverse(maps[c], _column(pair.source, c), f"k.k{i}") for i, c in enumerate(pair.mapped.source_key)]
    here = _equal("s", pair.mapped.source_key, kept)
    values = [
        _value(pair.source, maps.get(c), c, is_carried=f"{pair.mapped.source}.{c}" in carried)
        for c in pair.source.stored_columns
    ]
    columns = list(pair.source.stored_columns)
    if pair.source.rowid and not pair.source.rowid_alias:
        columns.insert(0, pair.source.rowid)
        values.insert(0, f"s.{quoted(pair.source.rowid)}")
    build = (
        f"CREATE TEMP TABLE {rows.removeprefix('temp.')} AS SELECT "
        f"{', '.join(f'{v} AS c{i}' for i, v in enumerate(values))} FROM {keys} AS k "
        f"CROSS JOIN target.{quoted(pair.mapped.target)} AS t ON {there} "
        f"LEFT JOIN main.{quoted(pair.mapped.source)} AS s ON {here}"
    )
    return Back(
        source=pair.mapped.source,
        target=pair.mapped.target,
        keys=keys,
        rows=rows,
        statements=(create, gather, build),
        refused=_refused(pair, rows, columns),
        write=_write(pair.mapped.source, pair.mapped.source_key, kept, keys, rows, columns),
        named=f"SELECT {', '.join(kept)} FROM {keys} AS k WHERE k.rowid BETWEEN ? AND ?",
    )


def _carried(number: int, table: Table) -> Back:
    keys, create, gather = _gather(number, table.name, len(table.key))
    if not table.has_key:
        gather = _gather_all(keys, table)
    rows = f"temp.ptp_back_rows_{number}"
    names = [f"k.k{i}" for i in range(len(table.key))]
    columns = list(table.stored_columns) if table.has_key else [table.rowid, *table.stored_columns]
    listed = ", ".join(f"t.{quoted(c)} AS c{i}" for i, c in enumerate(columns))
    build = (
        f"CREATE TEMP TABLE {rows.removeprefix('temp.')} AS SELECT {listed} FROM {keys} AS k "
        f"CROSS JOIN target.{quoted(table.name)} AS t ON {_equal('t', table.key, names)}"
    )
    write = _write(table.name, table.key, names, keys, rows, columns)
    named = f"SELECT * FROM {keys} AS k WHERE k.rowid BETWEEN ? AND ?"
    return Back(table.name, table.name, keys, rows, (create, gather, build), "", write, named)


def _write(
    table: str, key: Sequence[str], values: Sequence[str], keys: str, rows: str, columns: Sequence[str]
) -> tuple[str, ...]:
    away = (
        f"DELETE FROM main.{quoted(table)} WHERE ({', '.join(map(quoted, key))}) IN "
        f"(SELECT {', '.join(values)} FROM {keys} AS k)"
    )
    listed = ", ".join(quoted(c) for c in columns)
    return away, f"INSERT INTO main.{quoted(table)} ({listed}) SELECT * FROM {rows}"


def _value(source: Table, column: ColumnMap | None, name: str, *, is_carried: bool) -> str:
    if column is None:
        return f"t.{quoted(name)}" if is_carried else f"s.{quoted(name)}"
    own, theirs = f"s.{quoted(name)}", f"t.{quoted(column.target)}"
    converted = f"({value_sql(column.conversion, own)})"
    same = f"{converted} IS {theirs} AND typeof({converted}) = typeof({theirs})"
    same = f"s.{quoted(_presence(source))} IS NOT NULL AND {same}"
    return f"CASE WHEN {same} THEN {own} ELSE {_inverse(column, _column(source, name), theirs)} END"


def _presence(source: Table) -> str:
    """A column that is NULL in no row."""
    return source.rowid or source.key[0]


def _inverse(column: ColumnMap, source: Column, value: str) -> str:
    """SQL for what the old application would have written for a converted value."""
    conversion = column.conversion
    if conversion.kind != "time":
        return value
    if source.affinity == "INTEGER":
        return f"{value} * 1000" if conversion.milliseconds else value
    return f"datetime({value}, 'unixepoch')"


def _refused(pair: Pair, rows: str, columns: Sequence[str]) -> str:
    """SQL that finds the first row whose values, converted again, are not those of the target."""
    place = {c: i for i, c in enumerate(columns)}
    parts = []
    for column in pair.mapped.columns:
        back = f"r.c{place[column.source]}"
        converted = f"({value_sql(column.conversion, back)})"
        theirs = f"t.{quoted(column.target)}"
        broken = f"({converted} IS NOT {theirs} OR typeof({converted}) <> typeof({theirs}))"
        parts.append(f"CASE WHEN {broken} THEN {literal(column.target)} END")
    key = [f"({value_sql(c.conversion, f'r.c{place[c.source]}')})" for c in _key_maps(pair)]
    match = _equal("t", pair.mapped.key, key)
    names = key_text_sql(pair.mapped.key, "t")
    return (
        f"SELECT key, place FROM (SELECT {names} AS key, coalesce({', '.join(parts)}, NULL) AS place FROM {rows} AS r "
        f"CROSS JOIN target.{quoted(pair.mapped.target)} AS t ON {match}) WHERE place IS NOT NULL LIMIT 1"
    )


def _key_maps(pair: Pair) -> list[ColumnMap]:
    by_target = {c.target: c for c in pair.mapped.columns}
    return [by_target[k] for k in pair.mapped.key]


def _equal(alias: str, columns: Sequence[str], values: Sequence[str]) -> str:
    return " AND ".join(
        f"{alias}.{quoted(c)} IS {v} AND +{alias}.{quoted(c)} COLLATE BINARY IS {v}"
        for c, v in zip(columns, values, strict=True)
    )


def _column(table: Table, name: str) -> Column:
    return next(c for c in table.columns if c.name == name)
