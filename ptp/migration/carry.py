"""What a source has besides its shape: carried over unchanged where it can be, and always named."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ptp.conversions import ColumnMap, Shape
from ptp.engine import Inventory, literal, quoted
from ptp.engine.inventory import Index, Object, Table
from ptp.errors import UsageError
from ptp.migration import journal, quarantine
from ptp.migration.pair import Pair
from ptp.migration.touched import Touched, touched

OWN = (journal.TABLE, quarantine.TABLE)


@dataclass(frozen=True, slots=True)
class Extra:
    """One thing that the shape does not know: carried by these statements, or not, for this reason."""

    kind: str
    name: str
    statements: tuple[str, ...] = ()
    copy: str = ""
    reason: str = ""

    @property
    def carried(self) -> bool:
        """Whether it goes over to the target."""
        return not self.reason


def find_extras(source: Inventory, shape: Shape, pairs: Sequence[Pair], target: sqlite3.Connection) -> list[Extra]:
    """Everything of the source outside its shape. `target` is a scratch database with the target's schema.

    Each object is tried on the scratch database; what does not work there is not carried, for the reason it gave.
    Raises UsageError when a table of the source has the name of a table of the target that it does not map to.
    """
    mapped = {p.mapped.source for p in pairs}
    tables = [t for n, t in source.tables.items() if n not in mapped]
    taken = {name.lower() for name in (*OWN, *_names(target))}
    extras: list[Extra] = []
    for table in tables:
        if table.name.lower() in taken:
            raise UsageError(
                f"The source has a table {table.name} that its shape '{shape.name}' does not know, and the target has "
                "one of that name: rename it in the source, or drop it if it is not needed."
            )
        if not table.is_virtual and not table.has_key and not table.rowid:
            raise UsageError(
                f"The source's table {table.name} has no key of its own, and columns named rowid, _rowid_ and oid, so "
                "there is nothing to know its rows by: give it a primary key, or rename one of these columns."
            )
        extras.append(_table(table, target))
    extras += [_column(pair, name, target) for pair in pairs for name in pair.extra_columns]
    extras += [_generated(pair, c.name) for pair in pairs for c in pair.source.columns if c.hidden]
    carried = {e.name for e in extras if e.kind == "table" and e.carried}
    indexes = [i for n in source.tables for i in source.tables[n].indexes if i.sql]
    extras += [
        _index(i, target) for i in indexes if i.table in carried or (i.table in mapped and i.name not in shape.indexes)
    ]
    views = [o for o in source.objects.values() if o.kind == "view"]
    extras += [_view(o, pairs, target) for o in views]
    carried |= {e.name for e in extras if e.kind == "view" and e.carried}
    extras += [_trigger(o, pairs, target, carried) for o in source.objects.values() if o.kind == "trigger"]
    return extras


def _names(db: sqlite3.Connection) -> Iterator[str]:
    return (name for (name,) in db.execute("SELECT name FROM sqlite_schema"))


@contextmanager
def _savepoint(db: sqlite3.Connection) -> Iterator[None]:
    """What is done within is undone at its end."""
    db.execute("SAVEPOINT trial")
    try:
        yield
    finally:
        db.execute("ROLLBACK TO trial")
        db.execute("RELEASE trial")


def _try(db: sqlite3.Connection, *statements: str) -> str:
    """Run statements on the scratch database, all or none; the reason why they failed, or ''."""
    db.execute("SAVEPOINT try")
    try:
        for statement in statements:
            db.execute(statement)
    except sqlite3.Error as problem:
        db.execute("ROLLBACK TO try")
        return str(problem)
    finally:
        db.execute("RELEASE try")
    return ""


def _table(table: Table, target: sqlite3.Connection) -> Extra:
    if table.is_virtual:
        return Extra("table", table.name, reason="a virtual table, or a part of one: create it anew in the target")
    columns = [quoted(c) for c in table.stored_columns]
    if not table.has_key:
        columns.insert(0, quoted(table.rowid))
    # With an alias, as a replay joins a table of keys: there a bare "rowid" would be a text, and k0 ambiguous.
    values = ", ".join(f"s.{c}" for c in columns)
    copy = (
        f"INSERT INTO main.{quoted(table.name)} ({', '.join(columns)}) SELECT {values} "
        f"FROM source.{quoted(table.name)} AS s"
    )
    return Extra("table", table.name, (table.sql,), copy, _try(target, table.sql))


def _column(pair: Pair, name: str, target: sqlite3.Connection) -> Extra:
    full = f"{pair.mapped.source}.{name}"
    column = next(c for c in pair.source.columns if c.name == name)
    # ANY is the one type of a STRICT table that keeps every value as it is.
    add = f"ALTER TABLE {quoted(pair.mapped.target)} ADD COLUMN {quoted(name)} ANY"
    if column.default is not None and re.fullmatch(r"'([^']|'')*'|[-+]?[0-9.]+|NULL", column.default):
        add += f" DEFAULT {column.default}"
    return Extra("column", full, (add,), "", _try(target, add))


def _generated(pair: Pair, name: str) -> Extra:
    return Extra(
        "column", f"{pair.mapped.source}.{name}", reason="a generated column: its values are computed, not kept"
    )


def _index(index: Index, target: sqlite3.Connection) -> Extra:
    sql = index.sql or ""
    return Extra("index", index.name, (sql,), "", _try(target, sql))


def _view(view: Object, pairs: Sequence[Pair], target: sqlite3.Connection) -> Extra:
    with _savepoint(target):
        reason = _try(target, view.sql)
        if not reason:
            seen = touched(target, f"SELECT * FROM {quoted(view.name)}")
            reason = seen.problem or _converted(pairs, (c for c, _ in seen.columns))
    return Extra("view", view.name, (view.sql,), "", reason or _try(target, view.sql))


def _converted(pairs: Sequence[Pair], columns: Iterable[tuple[str, str]]) -> str:
    """Why SQL over these columns of the target would mean something else than in the source; '' where it would not."""
    changed = {(p.mapped.target, c.target) for p in pairs for c in p.mapped.columns if is_converted(p, c)}
    tables = sorted({table for table, column in columns if (table, column) in changed})
    return f"it reads {', '.join(tables)}, whose values are converted: write it anew" if tables else ""


def is_converted(pair: Pair, column: ColumnMap) -> bool:
    """Whether a conversion makes other values of those that such a column is meant to hold, not only of odd ones."""
    held = next(c for c in pair.source.columns if c.name == column.source).affinity
    if column.conversion.kind == "time":  # a column of DATETIME has the affinity NUMERIC, and holds texts
        return column.conversion.milliseconds or held != "INTEGER"
    return column.conversion.kind in ("boolean", "integer", "real") and held in ("TEXT", "BLOB")


def _trigger(trigger: Object, pairs: Sequence[Pair], target: sqlite3.Connection, carried: set[str]) -> Extra:
    if trigger.table not in carried:
        return Extra(
            "trigger", trigger.name, reason=f"it stands on {trigger.table}, whose values are converted: write it anew"
        )
    # CREATE TRIGGER does not look at its body; what fires it does.
    with _savepoint(target):
        before = [e.problem for e in _events(target, trigger.table)]
        reason = _try(target, trigger.sql)
        if not reason:
            after = _events(target, trigger.table)
            broken = (e.problem for e, was in zip(after, before, strict=True) if e.problem not in ("", was))
            columns = (c for e in after for c, by in e.columns if by == trigger.name)
            reason = next(broken, "") or _converted(pairs, columns)
    return Extra("trigger", trigger.name, (trigger.sql,), "", reason or _try(target, trigger.sql))


def _events(db: sqlite3.Connection, table: str) -> list[Touched]:
    """What an insert, a delete and an update of a table or view do, by compiling them."""
    name = quoted(table)
    columns = [quoted(c) for (c,) in db.execute(f"SELECT name FROM pragma_table_info({literal(table)})")]
    changes = ", ".join(f"{c} = {c}" for c in columns)
    sql = (f"INSERT INTO {name} DEFAULT VALUES", f"DELETE FROM {name}", f"UPDATE {name} SET {changes}")
    return [touched(db, s) for s in sql]


def mark_sql(source: str, target: str) -> list[str]:
    """Statements that keep a table's AUTOINCREMENT mark, so that ids of deleted rows are never used again."""
    name = literal(target)
    mark = f"SELECT seq FROM source.sqlite_sequence WHERE name = {literal(source)}"
    return [
        f"INSERT INTO main.sqlite_sequence (name, seq) SELECT {name}, 0 "
        f"WHERE NOT EXISTS (SELECT 1 FROM main.sqlite_sequence WHERE name = {name})",
        f"UPDATE main.sqlite_sequence SET seq = max(seq, coalesce(({mark}), 0)) WHERE name = {name}",
    ]
