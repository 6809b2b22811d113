"""Preflight: what the source holds that the conversions do not take exactly, counted before anything is changed."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from ptp.conversions import ColumnMap, Value
from ptp.conversions.sql import problem_sql
from ptp.engine import attach_read_only, literal, quoted
from ptp.migration.pair import Pair
from ptp.migration.quarantine import (
    key_text_sql,
    orphan_condition,
    orphan_reason,
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
class Gone:
    """Rows of one table that would be rejected whole for one reason, and up to five of them.

    `with_parent`: their parent is there and goes itself; nothing is wrong with the rows. Each example is a key, and
    the values of the source columns that the reason names.
    """

    table: str
    reason: str
    with_parent: bool
    count: int
    examples: tuple[tuple[str, Mapping[str, Value]], ...]


@dataclass(frozen=True, slots=True)
class Preflight:
    """What the preflight saw: the kinds of dirt in single values, and the rows that would be rejected whole."""

    dirt: tuple[Dirt, ...]
    gone: tuple[Gone, ...]

    @property
    def is_clean(self) -> bool:
        """Whether every value of the source converts exactly and every row has its place."""
        return not self.dirt and not self.gone

    @property
    def rejected(self) -> Mapping[str, Mapping[str, int]]:
        """How many rows would be rejected whole, by table and reason."""
        found: dict[str, dict[str, int]] = {}
        for kind in self.gone:
            reasons = found.setdefault(kind.table, {})
            reasons[kind.reason] = reasons.get(kind.reason, 0) + kind.count
        return found

    @property
    def rejected_rows(self) -> int:
        """How many rows would be rejected whole."""
        return sum(kind.count for kind in self.gone)

    @property
    def rows_with_parents(self) -> int:
        """How many of these would go only because their parent goes."""
        return sum(kind.count for kind in self.gone if kind.with_parent)


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
        gone = _gone(db, pairs) if dirt or loose else []
        progress(1.0, "source looked at")
        return Preflight(tuple(dirt), tuple(gone))


def _counting_sql(pair: Pair, pairs: Mapping[str, Pair]) -> str:
    """One pass over a table: the inexact values of each column, then the orphans of each foreign key."""
    problems = [problem_sql(c.conversion, f"s.{quoted(c.source)}") for c in pair.mapped.columns]
    orphans = [orphan_condition(pair, key, parent, with_rejected=False) for key, parent in pair.parents(pairs)]
    counts = [f"count({p})" for p in problems] + [f"count(CASE WHEN {o} THEN 1 END)" for o in orphans]
    return f"SELECT {', '.join(counts)} FROM {pair.name} AS s"


def _kinds(db: sqlite3.Connection, pair: Pair, column: ColumnMap) -> list[Dirt]:
    """The kinds of dirt in one column, the most frequent first: one pass, whatever their number."""
    value = f"s.{quoted(column.source)}"
    first = (
        "SELECT kind, row, row_number() OVER (PARTITION BY kind ORDER BY row) AS place, "
        "count(*) OVER (PARTITION BY kind) AS number FROM "
        f"(SELECT {problem_sql(column.conversion, value)} AS kind, s.{pair.row} AS row FROM {pair.name} AS s) "
        "WHERE kind IS NOT NULL"
    )
    # Values are fetched for the examples alone, so that nothing large is sorted.
    sql = (
        f"SELECT f.kind, f.number, {key_text_sql(pair.mapped.source_key, 's')}, {value} FROM ({first}) AS f "
        f"JOIN {pair.name} AS s ON s.{pair.row} = f.row WHERE f.place <= {EXAMPLES} "
        "ORDER BY f.number DESC, f.kind, f.row"
    )
    with _any_text(db):
        rows = db.execute(sql).fetchall()
    return [
        Dirt(pair.mapped.source, column.source, kind, number, tuple((key, held) for _, _, key, held in group))
        for (kind, number), group in groupby(rows, key=lambda row: row[:2])
    ]


@contextmanager
def _any_text(db: sqlite3.Connection) -> Iterator[None]:
    """A text may hold bytes that are not UTF-8; they are shown, not kept, from here."""
    db.text_factory = lambda raw: raw.decode("utf-8", "replace")
    try:
        yield
    finally:
        db.text_factory = str


def _gone(db: sqlite3.Connection, pairs: Mapping[str, Pair]) -> list[Gone]:
    """Run the very statements that reject rows, on temporary tables, and count."""
    for pair in pairs.values():
        for sql in rejection_sql(pair, pairs):
            db.execute(sql)
    return [kind for pair in pairs.values() for kind in _gone_of(db, pair, pairs)]


def _gone_of(db: sqlite3.Connection, pair: Pair, pairs: Mapping[str, Pair]) -> list[Gone]:
    """The rejected rows of one table by reason, and by whether they go only with their parents."""
    rows = (
        f"FROM (SELECT r.reason AS ptp_reason, {_goes_with_parent(pair, pairs)} AS ptp_follows, s.* "
        f"FROM {rejected_name(pair)} AS r JOIN {pair.name} AS s ON s.{pair.row} = r.key) AS s"
    )
    key = key_text_sql(pair.mapped.source_key, "s")
    found = []
    kinds = db.execute(
        f"SELECT ptp_reason, ptp_follows, count(*) {rows} GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2"
    ).fetchall()
    for reason, follows, count in kinds:
        named = _named(pair, reason)
        shown = ", ".join([key, *(f"s.{quoted(c)}" for c in named)])
        with _any_text(db):
            examples = db.execute(
                f"SELECT {shown} {rows} WHERE ptp_reason = ? AND ptp_follows = ? LIMIT {EXAMPLES}", (reason, follows)
            ).fetchall()
        listed = tuple((place, dict(zip(named, values, strict=True))) for place, *values in examples)
        found.append(Gone(pair.mapped.source, reason, bool(follows), count, listed))
    return found


def _goes_with_parent(pair: Pair, pairs: Mapping[str, Pair]) -> str:
    """SQL that is 1 where the rejected row `s`, for the reason in `r`, has a parent in the source."""
    cases = [
        f"WHEN r.reason = {literal(orphan_reason(key, parent))} "
        f"THEN NOT ({orphan_condition(pair, key, parent, with_rejected=False)})"
        for key, parent in pair.parents(pairs)
    ]
    return f"CASE WHEN r.reason LIKE 'rejected: its parent in %' THEN 1 {' '.join(cases)} ELSE 0 END"


def _named(pair: Pair, reason: str) -> list[str]:
    """The source columns that a reason names at its end, in brackets."""
    found = re.search(r"\(([^()]*)\)$", reason)
    sources = {name: c.source for c in pair.mapped.columns for name in (c.target, c.source)}
    return [sources[name] for name in (found[1].split(", ") if found else ()) if name in sources]
