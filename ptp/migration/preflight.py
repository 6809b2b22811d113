"""Preflight: what the source holds that the conversions do not take exactly, counted before anything is changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ptp.conversions import ColumnMap, Value
from ptp.conversions.sql import problem_sql
from ptp.engine import attach_read_only, quoted
from ptp.migration.pair import Pair
from ptp.migration.quarantine import (
    key_text_sql,
    orphan_condition,
    rejected_name,
    rejection_sql,
    unenforced_uniques,
)

Progress = Callable[[float, str], None]
EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Dirt:
    """One kind of dirt in one column: how many values, and up to five of them with their keys."""

    table: str
    column: str
    problem: str
    count: int
    examples: tuple[tuple[str, Value], ...]


@dataclass(frozen=True, slots=True)
class Preflight:
    """What the preflight saw: the kinds of dirt, and per table the rows that would be rejected whole, by reason."""

    dirt: tuple[Dirt, ...]
    rejected: Mapping[str, Mapping[str, int]]

    @property
    def is_clean(self) -> bool:
        """Whether every value of the source converts exactly and every row has its place."""
        return not self.dirt and not any(self.rejected.values())

    @property
    def rejected_rows(self) -> int:
        """How many rows would be rejected whole."""
        return sum(sum(reasons.values()) for reasons in self.rejected.values())


def inspect_source(source: Path, pairs: Mapping[str, Pair], *, progress: Progress) -> Preflight:
    """Look at every value and every reference of the source, in one snapshot; the source is only read."""
    with attach_read_only(source=source) as db:
        suspects: dict[str, list[ColumnMap]] = {}
        loose = False
        for done, pair in enumerate(pairs.values()):
            progress(done / len(pairs), f"looking at {pair.mapped.source}")
            counts = db.execute(_counting_sql(pair, pairs)).fetchone()
            columns = pair.mapped.columns
            suspects[pair.mapped.target] = [c for c, n in zip(columns, counts, strict=False) if n]
            loose = loose or any(counts[len(columns) :]) or bool(unenforced_uniques(pair))
        dirt = [d for name, columns in suspects.items() for c in columns for d in _kinds(db, pairs[name], c)]
        rejected = _rejected(db, pairs) if dirt or loose else {}
        progress(1.0, "source looked at")
        return Preflight(tuple(dirt), rejected)


def _counting_sql(pair: Pair, pairs: Mapping[str, Pair]) -> str:
    """One pass over a table: the inexact values of each column, then the orphans of each foreign key."""
    problems = [problem_sql(c.conversion, f"s.{quoted(c.source)}") for c in pair.mapped.columns]
    orphans = [orphan_condition(pair, key, parent, with_rejected=False) for key, parent in pair.parents(pairs)]
    counts = [f"count({p})" for p in problems] + [f"count(CASE WHEN {o} THEN 1 END)" for o in orphans]
    return f"SELECT {', '.join(counts)} FROM {pair.name} AS s"


def _kinds(db: sqlite3.Connection, pair: Pair, column: ColumnMap) -> list[Dirt]:
    problem, value = problem_sql(column.conversion, f"s.{quoted(column.source)}"), f"s.{quoted(column.source)}"
    rows = f"FROM {pair.name} AS s WHERE {problem}"
    kinds = db.execute(f"SELECT {problem}, count(*) {rows} IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1").fetchall()
    key = key_text_sql(pair.mapped.source_key, "s")
    # A text may hold bytes that are not UTF-8; they are shown, not kept, from here.
    db.text_factory = lambda raw: raw.decode("utf-8", "replace")
    try:
        return [
            Dirt(
                pair.mapped.source,
                column.source,
                kind,
                count,
                tuple(db.execute(f"SELECT {key}, {value} {rows} = ? LIMIT {EXAMPLES}", (kind,)).fetchall()),
            )
            for kind, count in kinds
        ]
    finally:
        db.text_factory = str


def _rejected(db: sqlite3.Connection, pairs: Mapping[str, Pair]) -> dict[str, dict[str, int]]:
    """Run the very statements that reject rows, on temporary tables, and count."""
    for pair in pairs.values():
        for sql in rejection_sql(pair, pairs):
            db.execute(sql)
    found = {}
    for pair in pairs.values():
        rows = db.execute(
            f"SELECT reason, count(*) FROM {rejected_name(pair)} GROUP BY 1 ORDER BY 2 DESC, 1"
        ).fetchall()
        if rows:
            found[pair.mapped.source] = dict(rows)
    return found
