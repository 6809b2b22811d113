"""Which known shape a database has, and if none, how it differs from the nearest one."""

from __future__ import annotations

from collections.abc import Sequence

from ptp.conversions import Shape
from ptp.engine import Inventory
from ptp.engine.inventory import affinity
from ptp.errors import UnknownShape, UsageError
from ptp.migration import journal
from ptp.migration.fence import is_fenced

_SHOWN = 8


def detect_shape(inventory: Inventory, shapes: Sequence[Shape]) -> Shape:
    """The shape whose required tables and columns are all there, each with its type.

    Types are compared as SQLite means them, by affinity: VARCHAR(20) is a TEXT, but a TIMESTAMP is no INTEGER.
    Raises UsageError for a database that ptp built, UnknownShape with the differences for any other.
    """
    if journal.TABLE in inventory.tables:
        raise UsageError(
            "This database is at head already (it has ptp's journal): there is nothing to migrate. "
            "To check it against its source: ptp verify --source SOURCE --target THIS."
        )
    if is_fenced(inventory):
        raise UsageError(
            "This database has moved, and the fence of --fence-reads closes it to readers: use the one that it moved "
            "to, or take the move back with ptp rollback."
        )
    found = sorted(((differences(inventory, shape), shape) for shape in shapes), key=lambda pair: len(pair[0]))
    differ, nearest = found[0]
    if not differ:
        return nearest
    more = f" and {len(differ) - _SHOWN} more" if len(differ) > _SHOWN else ""
    raise UnknownShape(
        f"The database fits no known shape; the nearest is '{nearest.name}', from which it differs in "
        f"{len(differ)} place(s): {'; '.join(differ[:_SHOWN])}{more}. "
        "If it is the right file, describe it as a shape: sql/shapes/ and ptp/schema/shapes.py."
    )


def differences(inventory: Inventory, shape: Shape) -> list[str]:
    """What `shape` requires and the database has not: each table, column and type in words."""
    found: list[str] = []
    for name, columns in shape.required.items():
        table = inventory.tables.get(name)
        if table is None:
            found.append(f"no table {name}")
            continue
        present = {c.name: c for c in table.columns}
        for column, declared in columns.items():
            if column not in present:
                found.append(f"no column {name}.{column}")
            elif present[column].affinity != affinity(declared):
                seen = present[column].declared_type or "no type"
                found.append(f"{name}.{column} is {seen}, not {declared}")
    return found
