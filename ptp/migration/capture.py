"""Capture: triggers that log the key of every row that is changed in a database while its successor is built.

A log row holds the operation, the table, and the key as it was (`k0`, ...) and as it is after an update (`n0`, ...),
in their storage classes. The log has no rule that could conflict: a conflict clause of the application's statement
would override the one in a trigger, and its write would fail.

REPLACE deletes rows without firing delete triggers, unless `recursive_triggers` is on. So before an insert or update
the keys of those rows are logged that a unique index will displace, whether or not they will be: the log says where to
look, never what is there. A row of the same primary key needs no such entry, as its key is logged anyway.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ptp.engine import Inventory, literal, moves, quoted
from ptp.engine.inventory import Index, Table
from ptp.engine.sql import index_parts
from ptp.errors import UsageError

LOG = "ptp_log"
_TRIGGER = "ptp_capture_"
_ROW = "ptp_row"
"""The alias of a captured table in its own triggers: there a table named new or old would be taken for the row."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A table to be captured, and the columns by which its rows are known in both databases."""

    table: Table
    key: tuple[str, ...]

    @property
    def is_rowid(self) -> bool:
        """Whether the key is the rowid itself, under whatever name."""
        return bool(self.table.rowid) and self.key in ((self.table.rowid,), (self.table.rowid_alias,))


def capture_sql(tables: Sequence[Watched], *, other: str) -> tuple[str, ...]:
    """Statements that create the state row's table, the log and the triggers of each table, for one transaction.

    While the state is not `open`, the triggers refuse every write with a sentence that names `other`.
    """
    width = max((len(t.key) for t in tables), default=1)
    columns = ", ".join(f"{letter}{i}" for letter in "kn" for i in range(width))
    log = f"CREATE TABLE {LOG} (id INTEGER PRIMARY KEY AUTOINCREMENT, op TEXT, name TEXT, {columns})"
    return (moves.DDL, log, *(sql for table in tables for sql in _triggers(table, other)))


def release_sql(inventory: Inventory) -> tuple[str, ...]:
    """Statements that take away whatever stands of a capture; none where there is none."""
    if not _is_captured(inventory):
        return ()
    triggers = [f"DROP TRIGGER {quoted(n)}" for n in inventory.objects if is_capture(n)]
    return (*triggers, *(f"DROP TABLE {name}" for name in (LOG, moves.TABLE) if name in inventory.tables))


def refuse_names(inventory: Inventory) -> None:
    """Raise UsageError where a source without a capture has a name that a capture gives: it would count as a part."""
    if _is_captured(inventory):
        return
    for name in _names_of_ours(inventory):
        kind = "table" if name in inventory.tables else inventory.objects[name].kind
        raise UsageError(
            f"The source has a {kind} {name}, a name that ptp gives to what it puts into a database: rename it there, "
            "or drop it if it is not needed."
        )


def _names_of_ours(inventory: Inventory) -> Iterator[str]:
    yield from (n for n in (*inventory.tables, *inventory.objects) if n.lower() in (LOG, moves.TABLE))
    yield from (n for n, o in inventory.objects.items() if o.kind == "trigger" and is_capture(n.lower()))


def _is_captured(inventory: Inventory) -> bool:
    """Whether the state row's table is there, and is ptp's own."""
    found = inventory.tables.get(moves.TABLE)
    return found is not None and found.sql == moves.DDL


def without_capture(inventory: Inventory) -> Inventory:
    """An inventory as it is apart from a capture; what only has the name of a part of one is left in it."""
    if not _is_captured(inventory):
        return inventory
    return replace(
        inventory,
        tables={n: t for n, t in inventory.tables.items() if n not in (LOG, moves.TABLE)},
        objects={n: o for n, o in inventory.objects.items() if not is_capture(n)},
        sequences={n: s for n, s in inventory.sequences.items() if n != LOG},
    )


def is_capture(trigger: str) -> bool:
    """Whether a trigger of this name belongs to a capture."""
    return trigger.startswith(_TRIGGER)


def _triggers(watched: Watched, other: str) -> Iterator[str]:
    new, old = (_key(watched, row) for row in ("NEW", "OLD"))
    k, n = ([f"{letter}{i}" for i in range(len(watched.key))] for letter in "kn")
    guard, table = moves.guard_sql(other), watched.table
    yield _trigger(table, "insert", "AFTER INSERT", guard, _log(table, "I", k, new))
    yield _trigger(table, "update", "AFTER UPDATE", guard, _log(table, "U", k + n, old + new))
    yield _trigger(table, "delete", "AFTER DELETE", guard, _log(table, "D", k, old))
    displacing = [i for i in table.indexes if i.unique and i.columns != watched.key]
    found = [_match(table, i) for i in displacing]
    # A rowid that an insert leaves open is -1 here, and finds nothing.
    found += [] if watched.is_rowid or not table.rowid else [f"{_own(table.rowid)} = NEW.{quoted(table.rowid)}"]
    if found:
        # One statement for all of them, so that a row is logged once by whichever indexes it is found; and a row of
        # the same key is logged anyway. Each part is still found by its own index.
        any_of = " OR ".join(f"({match})" for match in found)
        for name, event, row in (("insert", "BEFORE INSERT", new), ("update", _update_of(displacing, watched), old)):
            same = " AND ".join(f"{a} IS {b}" for a, b in zip(_key(watched), row, strict=True))
            yield _trigger(table, f"before_{name}", event, _displaced(watched, f"({any_of}) AND NOT ({same})"))


def _trigger(table: Table, name: str, event: str, *body: str) -> str:
    lines = "".join(f"  {sql}\n" for sql in body)
    full = quoted(f"{_TRIGGER}{name}_{table.name}")
    return f"CREATE TRIGGER main.{full} {event} ON {quoted(table.name)}\nBEGIN\n{lines}END"


def _update_of(indexes: Sequence[Index], watched: Watched) -> str:
    """An update that changes no column of a unique index displaces nothing; of an expression any column may count."""
    columns = [c for i in indexes for c in i.columns]
    if None in columns or any(i.partial for i in indexes) or not watched.is_rowid:
        return "BEFORE UPDATE"
    return "BEFORE UPDATE OF " + ", ".join(quoted(c) for c in dict.fromkeys(columns) if c)


def _own(column: str) -> str:
    return f"{_ROW}.{quoted(column)}"


def _key(watched: Watched, row: str = "") -> list[str]:
    return [f"{row or _ROW}.{quoted(name)}" for name in watched.key]


def _log(table: Table, op: str, names: Sequence[str], values: Sequence[str]) -> str:
    listed = ", ".join(values)
    return f"INSERT INTO {LOG} (op, name, {', '.join(names)}) VALUES ('{op}', {literal(table.name)}, {listed});"


def _displaced(watched: Watched, match: str) -> str:
    """Log the rows that the new row may displace."""
    names = ", ".join(f"k{i}" for i in range(len(watched.key)))
    table = watched.table.name
    return (
        f"INSERT INTO {LOG} (op, name, {names}) SELECT 'R', {literal(table)}, {', '.join(_key(watched))} "
        f"FROM {quoted(table)} AS {_ROW} WHERE {match};"
    )


def _match(table: Table, index: Index) -> str:
    """SQL that finds, by an index, the rows that hold the new row's values in it."""
    terms, where = index_parts(index.sql) if index.sql else ((), "")
    if None in index.columns:
        # The terms are the application's text: they are read once over the table, and once over the new row alone.
        new = ", ".join(f"NEW.{quoted(c.name)} AS {quoted(c.name)}" for c in table.columns if c.hidden != 1)
        match = " AND ".join(f"({term}) = (SELECT {term} FROM (SELECT {new}))" for term in terms)
    else:
        match = " AND ".join(
            f"{_own(c)} COLLATE {quoted(collation)} = NEW.{quoted(c)}"
            for c, collation in zip(index.columns, index.collations, strict=True)
            if c
        )
    return f"{match} AND ({where})" if where else match
