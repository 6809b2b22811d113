"""Both databases of a verification, open, with what they hold and how their tables pair up."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from ptp.conversions import Shape
from ptp.engine import Inventory, read_inventory
from ptp.errors import UsageError
from ptp.migration import journal
from ptp.migration.capture import without_capture
from ptp.migration.detect import detect_shape
from ptp.migration.plan import Plan, make_plan
from ptp.migration.steps import Step, load_steps
from ptp.resources import folder
from ptp.schema import Base
from ptp.schema.shapes import known_shapes
from ptp.verification.pairing import Pairing, carried_pairing, mapped_pairing
from ptp.verification.parallel import Files

HEAD_TABLES = tuple(t.name for t in Base.metadata.sorted_tables)


@dataclass(frozen=True, slots=True)
class Sides:
    """Both databases, open, with what they hold and how their tables pair up."""

    files: Files
    old: sqlite3.Connection
    new: sqlite3.Connection
    source: Inventory
    target: Inventory
    shape: Shape
    steps: tuple[Step, ...]
    plan: Plan
    pairings: Mapping[str, Pairing]


def open_sides(old: sqlite3.Connection, new: sqlite3.Connection, files: Files) -> Sides:
    """What two open databases hold and how they pair up; raises UsageError where the target has no journal."""
    source, live = (without_capture(read_inventory(db)) for db in (old, new))
    shape = detect_shape(source, known_shapes())
    if journal.TABLE not in live.tables:
        raise UsageError(f"{files.target} was not built by ptp: it has no journal. Name the target of a migration.")
    steps = load_steps(folder("sql"))
    plan = make_plan(old, inventory=source, shape=shape, steps=steps, on_dirty="stop")
    pairings = {
        m.target: mapped_pairing(m, source.tables[m.source], live.tables[m.target])
        for m in shape.tables
        if m.target in live.tables
    }
    carried = [e.name for e in plan.extras if e.kind == "table" and e.carried and e.name in live.tables]
    pairings |= {name: carried_pairing(source.tables[name]) for name in carried}
    return Sides(files, old, new, source, live, shape, steps, plan, pairings)
