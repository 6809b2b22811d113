"""What stands in the way of a rollback: what the source has no place for, and what the target no longer has."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

from ptp.engine import Inventory, read_inventory
from ptp.errors import CannotFinish
from ptp.migration.capture import is_capture, without_capture
from ptp.migration.online import OnlinePlan
from ptp.migration.reverse import without_place
from ptp.schema import Base
from ptp.workbench.online import build_empty
from ptp.workbench.situation import Situation


def obstacles(target: sqlite3.Connection, plan: OnlinePlan) -> Iterator[str]:
    """All that stands in the way, each in a few words; reads the open target, and counts in it."""
    yield from _gone(target, plan)
    yield from _besides(target, plan)


def refuse_obstacles(target: sqlite3.Connection, plan: OnlinePlan, situation: Situation) -> None:
    """Raise CannotFinish, with all of a kind named, where anything stands in the way of a rollback."""
    old, new = situation.source.name, situation.target.name
    if gone := list(_gone(target, plan)):
        raise CannotFinish(
            f"What would go back into {old} is no longer in {new}: {'; '.join(gone)}. Nothing was rolled back. "
            "Stay with the new database, or restore the backup that the migration took."
        )
    if found := list(_besides(target, plan)):
        raise CannotFinish(
            f"{old} has no place for what {new} holds now: {'; '.join(found)}. "
            "Nothing was rolled back. Export and remove it, or stay with the new database."
        )


def _built(plan: OnlinePlan) -> Inventory:
    """What the migration built, as it was empty, with its capture."""
    with closing(build_empty(plan.base)) as scratch:
        for sql in plan.reverse:
            scratch.execute(sql)
        return read_inventory(scratch)


def _gone(target: sqlite3.Connection, plan: OnlinePlan) -> Iterator[str]:
    """Tables and columns that go back and are not there, and captures: without its triggers a table's log has gaps."""
    live, built = read_inventory(target), _built(plan)
    for name in (r.target for r in plan.replays):
        if name not in live.tables:
            yield f"table {name}: it was dropped or renamed"
            continue
        columns = {c.name for c in live.tables[name].columns}
        yield from (
            f"column {name}.{c}: it was dropped or renamed"
            for c in built.tables[name].stored_columns
            if c not in columns
        )
        capture = {n for n, o in built.objects.items() if o.table == name and is_capture(n)}
        if capture - live.objects.keys():
            yield f"table {name}: its capture was dropped, so what was written to it is not known"


def _besides(target: sqlite3.Connection, plan: OnlinePlan) -> Iterator[str]:
    """Tables and columns that only head has, and whatever was added since, where they hold anything."""
    live, built = without_capture(read_inventory(target)), without_capture(_built(plan))
    mapped = {p.mapped.target for p in plan.base.pairs.values()}
    tables = [t.name for t in Base.metadata.sorted_tables if t.name not in mapped and t.name in live.tables]
    columns = [
        (t.name, c.name)
        for t in Base.metadata.sorted_tables
        for c in t.columns
        if t.name in mapped and c.info["head_only"] and not c.info["derived"]
    ]
    tables += [n for n, t in live.tables.items() if n not in built.tables and t.columns]
    columns += [
        (name, column)
        for name, table in live.tables.items()
        if name in built.tables
        for column in table.stored_columns
        if column not in {c.name for c in built.tables[name].columns}
    ]
    yield from without_place(target, tables=tables, columns=columns)
