"""Where what stands in quarantine would come home to: a table of the target beside what was declared for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Literal, TypeAlias

from ptp.conversions import Shape, TableMap
from ptp.engine import Inventory, quoted
from ptp.engine.inventory import Table
from ptp.errors import CannotFinish, UsageError

Outcome: TypeAlias = Literal["came home", "rounded", "rejected", "refused", "changed", "gone"]
"""What became of an entry: `rejected` by a rule still, `refused` by the database; the row is `changed` or `gone`."""

IGNORED = "the database took nothing: one of its triggers ignores the row"


@dataclass(frozen=True, slots=True)
class Home:
    """One table of the target, and how the columns of its source table come to it."""

    mapped: TableMap
    table: Table

    @property
    def name(self) -> str:
        """The table as it is written in SQL."""
        return f"main.{quoted(self.table.name)}"

    @property
    def row(self) -> str:
        """What names one row in a single value."""
        return quoted(self.table.rowid or self.table.key[0])


@dataclass(frozen=True, slots=True)
class Counted:
    """How many entries of a column (of whole rows where it is empty) ended in one outcome, for one reason."""

    table: str
    column: str
    outcome: Outcome
    reason: str
    count: int


def find_homes(shape: Shape, target: Inventory) -> Mapping[str, Home]:
    """The tables of a shape by target table, parents before children.

    Raises UsageError where the target lacks one of them, or they refer to each other in a ring.
    """
    missing = [m.target for m in shape.tables if m.target not in target.tables]
    if missing:
        raise UsageError(f"The target has no table {missing[0]}: name the database that the migration built.")
    found = {m.target: Home(m, target.tables[m.target]) for m in shape.tables}
    graph = {
        name: sorted({k.table for k in home.table.foreign_keys if k.table in found} - {name})
        for name, home in sorted(found.items())
    }
    try:
        return {name: found[name] for name in TopologicalSorter(graph).static_order()}
    except CycleError as ring:
        raise UsageError(f"The target's tables refer to each other in a ring: {' -> '.join(ring.args[1])}.") from None


def same_sql(a: str, b: str) -> str:
    """SQL that is true where two values are of one storage class and equal by their bytes."""
    return f"(+{a} COLLATE BINARY IS +{b} AND typeof({a}) = typeof({b}))"


def attempt(db: sqlite3.Connection, sql: str, number: int) -> str:
    """Run a statement on one row, all or nothing; why the database refuses it, in its own words, or ''.

    Raises CannotFinish where a trigger has ended the transaction.
    """
    db.execute("SAVEPOINT ptp_attempt")
    try:
        why = "" if db.execute(sql, {"number": number}).rowcount == 1 else IGNORED
    except sqlite3.IntegrityError as problem:
        if not db.in_transaction:
            raise CannotFinish(
                f"A trigger of the target ended the transaction: {problem}. Nothing came home."
            ) from None
        why = str(problem)
    if why:
        db.execute("ROLLBACK TO ptp_attempt")
    db.execute("RELEASE ptp_attempt")
    return why
