"""A part of a stage: what one kind of measurement adds to its results and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ptp.results import Finding, Result


@dataclass(frozen=True, slots=True)
class Part:
    """Results in order, and tables for the reader by name, each a list of rows by column."""

    results: tuple[Result, ...] = ()
    tables: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings among the results."""
        return tuple(r for r in self.results if isinstance(r, Finding))

    def __add__(self, other: Part) -> Part:
        """Both together; a table of both has the rows of the first before those of the second."""
        names = dict.fromkeys((*self.tables, *other.tables))
        tables = {name: (*self.tables.get(name, ()), *other.tables.get(name, ())) for name in names}
        return Part((*self.results, *other.results), tables)
