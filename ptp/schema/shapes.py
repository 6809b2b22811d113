"""The two shapes that real sources have. Each is data: the DDL file in sql/shapes, and the conversions of head."""

from __future__ import annotations

import functools
import sqlite3
from contextlib import closing
from typing import Any

from ptp.conversions import ColumnMap, Conversion, Shape, TableMap
from ptp.engine import read_inventory, split_statements
from ptp.resources import folder
from ptp.schema.columns import Base

NOT_MAPPED = ("voice_profiles",)
"""Tables of a shape that head has no table for: they are carried over as they are, and never required."""


@functools.cache
def known_shapes() -> tuple[Shape, ...]:
    """raw (8 tables, text timestamps) and drizzle (14 of its 15 tables, Unix seconds)."""
    return tuple(_read_shape(name) for name in ("raw", "drizzle"))


def _read_shape(name: str) -> Shape:
    with closing(sqlite3.connect(":memory:")) as db:
        for sql in split_statements((folder("sql") / "shapes" / f"{name}.sql").read_text(encoding="utf-8")):
            db.execute(sql)
        inventory = read_inventory(db)
    mapped = {n: t for n, t in inventory.tables.items() if n not in NOT_MAPPED}
    return Shape(
        name=name,
        required={n: {c.name: c.declared_type for c in t.columns} for n, t in mapped.items()},
        tables=tuple(_map_table(n) for n in mapped),
        indexes=frozenset(i.name for t in mapped.values() for i in t.indexes),
    )


def _map_table(name: str) -> TableMap:
    """Head keeps the names of tables and columns; what changes is what the values are."""
    table = Base.metadata.tables[name]
    columns = tuple(ColumnMap(c.name, c.name, _conversion(c.info)) for c in table.columns if not c.info["head_only"])
    return TableMap(name, name, tuple(c.name for c in table.primary_key.columns), columns)


def _conversion(info: dict[str, Any]) -> Conversion:
    found: Conversion = info["conversion"]
    return found
