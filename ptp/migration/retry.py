"""Retry: what stands in quarantine is converted anew, and comes home where nothing rejects it any more.

Whole rows come first, parents before children; then single values. Everything is one transaction, with its line in
the journal; a row that is not in the target still stands in quarantine afterwards, and no other does.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ptp.conversions import Shape
from ptp.engine import read_inventory
from ptp.errors import CannotFinish
from ptp.migration import journal
from ptp.migration.home import Counted, Home, find_homes
from ptp.migration.quarantine import TABLE
from ptp.migration.retry_rows import Rows, count_rows, gather_rows, insert_rows, settle_rows
from ptp.migration.retry_values import count_values, gather_values, send_values, settle_values

_SETTINGS = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA recursive_triggers = ON",
    "PRAGMA ignore_check_constraints = OFF",
    "PRAGMA temp_store = FILE",
)


@dataclass(frozen=True, slots=True)
class Retried:
    """What a retry did, by table and column; whether it `changed` anything, and how many `rows` it accounts for."""

    counts: tuple[Counted, ...]
    changed: bool
    rows: int


def why_no_quarantine(db: sqlite3.Connection) -> str:
    """Why a database has no quarantine, as the end of a sentence that begins with its name; empty when it has."""
    if not journal.has_journal(db):
        return "was not built by ptp: it has no journal. Name the target of a migration."
    if not db.execute("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?", (TABLE,)).fetchone()[0]:
        return f"has no quarantine: its table {TABLE} is missing. Name the target as the migration built it."
    return ""


def tables_kept(db: sqlite3.Connection) -> tuple[str, ...]:
    """The source tables that have entries in quarantine."""
    return tuple(name for (name,) in db.execute(f"SELECT DISTINCT table_name FROM {TABLE} ORDER BY 1").fetchall())


def retry(
    db: sqlite3.Connection,
    shape: Shape,
    *,
    run: str,
    now: int,
    dry_run: bool = False,
    progress: Callable[[float, str], None] = lambda fraction, text: None,
) -> Retried:
    """Bring home what the conversions of `shape` take now; with `dry_run` the same is done and taken back.

    `db` is a connection to the target that may write, in autocommit mode. Raises UsageError for a target that has not
    the shape's tables, CannotFinish where a trigger breaks in or rows would be lost; nothing is changed then.
    """
    started = time.perf_counter()
    for sql in _SETTINGS:
        db.execute(sql)
    db.execute("BEGIN IMMEDIATE")
    try:
        homes = find_homes(shape, read_inventory(db))
        found = _retry(db, homes, progress)
        if found.changed:
            seconds = time.perf_counter() - started
            bound = {"phase": "retry", "plan": rules_hash(shape), "run": run, "now": now, "seconds": seconds}
            db.execute(journal.PHASE_SQL, bound)
        db.execute("ROLLBACK" if dry_run else "COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return found


def rules_hash(shape: Shape) -> str:
    """SHA-256 over the conversions that a shape declares: which rules a retry went by."""
    return hashlib.sha256(repr(shape.tables).encode()).hexdigest()


def _retry(db: sqlite3.Connection, homes: Mapping[str, Home], progress: Callable[[float, str], None]) -> Retried:
    kept = tables_kept(db)
    concerned = [home for home in homes.values() if home.mapped.source in kept]
    before = {home.table.name: _account(db, home) for home in concerned}
    progress(0.1, "converting rows anew")
    numbered = (gather_rows(db, home, number=n) for n, home in enumerate(concerned))
    rows = [found for found in numbered if found]
    progress(0.3, "converting values anew")
    gather_values(db, concerned)
    progress(0.5, "bringing home")
    # What comes home may be what others wait for.
    while sum(insert_rows(db, r, homes) for r in rows) + send_values(db, concerned):
        pass
    progress(0.9, "settling the quarantine")
    changed = sum(settle_rows(db, r) for r in rows) + settle_values(db)
    counts = (*(c for r in rows for c in count_rows(db, r)), *count_values(db))
    return Retried(counts, bool(changed), sum(_conserved(db, home, before, rows) for home in concerned))


@dataclass(frozen=True, slots=True)
class _Account:
    """How many rows a table has, and how many entries of whole rows stand in quarantine for it."""

    rows: int
    entries: int


def _account(db: sqlite3.Connection, home: Home) -> _Account:
    rows = db.execute(f"SELECT count(*) FROM {home.name}").fetchone()[0]
    sql = f"SELECT count(*) FROM main.{TABLE} WHERE table_name = ? AND kind = 'row'"
    return _Account(rows, db.execute(sql, (home.mapped.source,)).fetchone()[0])


def _conserved(db: sqlite3.Connection, home: Home, before: Mapping[str, _Account], gathered: Sequence[Rows]) -> int:
    """The rows of a table in the target and in quarantine, which must be as many as they were."""
    was, now = before[home.table.name], _account(db, home)
    rows = next((r for r in gathered if r.home is home), None)
    if rows is None:
        came, width, left = 0, 0, 0
    else:
        sql = f"SELECT count(*) FILTER (WHERE outcome = 'came home'), count(*) FROM {rows.rows}"
        came, every = db.execute(sql).fetchone()
        width, left = len(rows.columns), every - came
    if now.rows - was.rows != came or was.entries - now.entries != came * width:
        raise CannotFinish(
            f"{home.table.name} has {now.rows} rows after {came} came home, and had {was.rows}: a trigger of the "
            "target adds or removes rows. Nothing was changed; look at its triggers."
        )
    return now.rows + left
