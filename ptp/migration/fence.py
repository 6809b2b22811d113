"""The fence: what makes foreign readers of a database that has moved fail, instead of seeing it as it was.

Each table goes by another name, and a view stands in its place that calls a function which nobody has: SQLite's error
for it is the sentence that names the new database. Taken down, every table is under its name again.
"""

from __future__ import annotations

from collections.abc import Iterable

from ptp.engine import Inventory, literal, quoted

PREFIX = "ptp_fenced_"

# The names in foreign keys, triggers and views stay as they are written: they mean the table that comes back.
_LEGACY = ("PRAGMA foreign_keys = OFF", "PRAGMA legacy_alter_table = ON")


def fence_settings() -> tuple[str, ...]:
    """Settings under which a fence is put up and taken down, to be made outside of a transaction."""
    return _LEGACY


def fence_sql(tables: Iterable[str], *, other: str) -> tuple[str, ...]:
    """Statements, for one transaction, that put a fence before these tables; a write is told the same."""
    names = list(tables)
    sentence = f"ptp: this database has moved to {other}: open that one"
    return (
        *(f"ALTER TABLE main.{quoted(name)} RENAME TO {quoted(PREFIX + name)}" for name in names),
        *(f"CREATE VIEW main.{quoted(name)} AS SELECT {quoted(sentence)}()" for name in names),
        *(
            f"CREATE TRIGGER main.{quoted(f'{PREFIX}{event.lower()}_{name}')} INSTEAD OF {event} ON {quoted(name)} "
            f"BEGIN SELECT RAISE(ABORT, {literal(sentence)}); END"
            for name in names
            for event in ("INSERT", "UPDATE", "DELETE")
        ),
    )


def unfence_sql(inventory: Inventory) -> tuple[str, ...]:
    """Statements, for one transaction, that take a fence down; none where there is none."""
    names = [name.removeprefix(PREFIX) for name in inventory.tables if name.startswith(PREFIX)]
    return (
        *(f"DROP VIEW main.{quoted(name)}" for name in names if name in inventory.objects),
        *(f"ALTER TABLE main.{quoted(PREFIX + name)} RENAME TO {quoted(name)}" for name in names),
    )


def is_fenced(inventory: Inventory) -> bool:
    """Whether a database is closed to readers."""
    return any(name.startswith(PREFIX) for name in inventory.tables)
