"""A source table beside the target table that it goes to, and the order in which parents come first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from ptp.conversions import ColumnMap, Shape, TableMap
from ptp.conversions.sql import value_sql
from ptp.engine import Inventory, quoted
from ptp.engine.inventory import ForeignKey, Table
from ptp.errors import UsageError


@dataclass(frozen=True, slots=True)
class Pair:
    """One mapped table with what both databases say of it."""

    mapped: TableMap
    source: Table
    target: Table

    @property
    def name(self) -> str:
        """The source table as it is written in SQL."""
        return f"source.{quoted(self.mapped.source)}"

    @property
    def row(self) -> str:
        """What names one row of the source in a single value."""
        return quoted(self.source.rowid or self.source.key[0])

    @property
    def extra_columns(self) -> tuple[str, ...]:
        """Stored columns of the source that the shape does not know."""
        known = {c.source for c in self.mapped.columns}
        return tuple(c for c in self.source.stored_columns if c not in known)

    def values(self, columns: Sequence[str], *, alias: str) -> list[str]:
        """SQL for the converted values of target columns, read from the source row `alias`.

        Integers and texts stand as they are (a value of another class cannot equal a key), so that indexes serve.
        """
        return [self._reference(c, alias) if self._is_plain(c) else self.converted(c, alias=alias) for c in columns]

    def converted(self, column: str, *, alias: str) -> str:
        """SQL for the converted value of one target column."""
        found = self._column[column]
        return f"({value_sql(found.conversion, f'{alias}.{quoted(found.source)}')})"

    def some_null(self, columns: Sequence[str], *, alias: str) -> str:
        """SQL that is true where one of the converted values is NULL: such a key refers to nothing, equals nothing."""
        return "(" + " OR ".join(f"{self.converted(c, alias=alias)} IS NULL" for c in columns) + ")"

    def parents(self, pairs: Mapping[str, Pair]) -> list[tuple[ForeignKey, Pair]]:
        """The target's foreign keys whose parents are mapped too, each with its parent."""
        return [(key, pairs[key.table]) for key in self.target.foreign_keys if key.table in pairs]

    @property
    def _column(self) -> Mapping[str, ColumnMap]:
        return {c.target: c for c in self.mapped.columns}

    def _is_plain(self, column: str) -> bool:
        return self._column[column].conversion.kind in ("integer", "text")

    def _reference(self, column: str, alias: str) -> str:
        # The target compares by bytes, whatever collation the source column declares.
        return f"{alias}.{quoted(self._column[column].source)} COLLATE BINARY"


def pair_up(shape: Shape, source: Inventory, target: Inventory) -> dict[str, Pair]:
    """Pairs by target table, parents before children; raises UsageError where tables refer to each other in a ring."""
    pairs = {m.target: Pair(m, source.tables[m.source], target.tables[m.target]) for m in shape.tables}
    # Lists in order, not sets: the order of a set of texts changes from process to process, and with it the plan.
    graph = {
        name: sorted({key.table for key, _ in pair.parents(pairs)} - {name}) for name, pair in sorted(pairs.items())
    }
    try:
        return {name: pairs[name] for name in TopologicalSorter(graph).static_order()}
    except CycleError as ring:
        raise UsageError(f"The target's tables refer to each other in a ring: {' -> '.join(ring.args[1])}.") from None
