"""`ptp optimize`: statistics for the planner, and for each query of the workload that lacks one, its index.

Each advice is tried on a copy first: the queries that it concerns are counted and timed with and without it.
"""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from ptp.engine import check_database, connect_file, errors_named, open_engine, quoted, read_inventory, split_statements
from ptp.engine.files import check_temporary_space
from ptp.engine.inventory import Inventory
from ptp.engine.meters import Statement, meter
from ptp.evidence import Stage
from ptp.migration.backup import step
from ptp.results import Finding
from ptp.verification.indexes import check_redundant, check_used, missing_indexes
from ptp.workbench.indexing import REASONS, check_head, expected_head, inspect_indexes, read_workload, record_workload
from ptp.workbench.progress import Progress, quiet

NAME = "optimize"
TITLE = "Optimization"
_CALLS = 3
_REPEATS = 3

Cases: TypeAlias = Mapping[str, tuple[Statement, ...]]


@dataclass(frozen=True, slots=True)
class Advice:
    """One statement that would help: `creates` what head has and this database lacks, or drops what only costs."""

    index: str
    table: str
    sql: str
    why: str

    @property
    def creates(self) -> bool:
        """Whether it brings an index of head back; ptp does that itself, and leaves the dropping to a person."""
        return "CREATE INDEX" in self.sql


@dataclass(frozen=True, slots=True)
class Work:
    """What one call of a query costs: VM steps, and ms, as the mean of some calls."""

    vm_steps: int
    ms: float


def optimize(target: Path, *, dry_run: bool = False, progress: Progress = quiet) -> Stage:
    """Analyze a target and create the indexes of head that it lacks; with `dry_run` say what would be done.

    Raises UsageError for what ptp did not build.
    """
    started = time.perf_counter()
    check_database(target)
    with errors_named(target), connect_file(target, read_only=True) as db:
        check_head(db, target)
        progress(0.0, "reading the plans of the workload")
        advice = tuple(_advice(db))
    with errors_named(target):
        rows = list(_tried(target, advice, progress))
        if not dry_run:
            progress(0.9, "creating and analyzing")
            _apply(target, [a.sql for a in advice if a.creates])
        with connect_file(target, read_only=True) as db:
            findings = inspect_indexes(db).findings
    # After a dry run everything is left to do: that is told as advice, and decides nothing.
    # What only costs is left to a person, and decides nothing; nor does anything after a dry run.
    decides = () if dry_run else ("indexes.missing", "indexes.scans")
    left = (_tried_all(rows), *(replace(f, severity="gate" if f.id in decides else "note") for f in findings))
    return Stage(NAME, TITLE, time.perf_counter() - started, left, {"Advice": rows} if rows else {})


def _tried_all(rows: Sequence[object]) -> Finding:
    return Finding(
        id="optimize.advice",
        claim="Every statement of the workload was planned, and each advice tried on a copy",
        verdict="pass",
        value=len(rows),
        unit="pieces of advice",
        evidence="EXPLAIN QUERY PLAN; VM steps and times before and after",
    )


def _advice(db: sqlite3.Connection) -> Iterator[Advice]:
    live, head = read_inventory(db), expected_head()
    tables = [name for name in head.tables if name in live.tables]
    for index in missing_indexes(live, expected=head, tables=tables):
        if index.sql:
            # Under its name there may stand another one.
            taken = any(i.name == index.name for t in live.tables.values() for i in t.indexes)
            sql = f"DROP INDEX {quoted(index.name)}; {index.sql}" if taken else index.sql
            yield Advice(index.name, index.table, sql, REASONS.get(index.name, "an index of head"))
    used = frozenset[str]().union(*(r.reads for r in read_workload(db)))
    for name in tables:
        known = {i.name for i in head.tables[name].indexes}
        for index in live.tables[name].indexes:
            if index.sql and index.name not in known and not index.unique:
                alone = _without_others(live, name, known | {index.name})
                found = (
                    check_redundant(alone, tables=[name]),
                    check_used(alone, used=used, reasons=REASONS, tables=[name]),
                )
                accused = (f"{name}: {index.name} (", f"{name}: no statement reads {index.name} ")
                why = next((w for f in found for w in f.where if w.startswith(accused)), "")
                if why:
                    yield Advice(index.name, name, f"DROP INDEX {quoted(index.name)}", why)


def _without_others(live: Inventory, table: str, names: set[str]) -> Inventory:
    """The live table with only the indexes named."""
    kept = tuple(i for i in live.tables[table].indexes if i.name in names)
    return replace(live, tables={table: replace(live.tables[table], indexes=kept)})


def _tried(target: Path, advice: Sequence[Advice], progress: Progress) -> Iterator[dict[str, object]]:
    """Each advice with what it would gain, measured on a copy of its own state before and after."""
    if not advice:
        return
    check_temporary_space(2 * target.stat().st_size)
    with _copy(target) as copy:
        engine = open_engine(copy)
        try:
            cases = record_workload(engine, calls=_CALLS)
        finally:
            engine.dispose()
        for number, one in enumerate(advice):
            progress(0.1 + 0.8 * number / len(advice), f"trying {one.index}")
            yield _measured(copy, one, cases)


def _measured(copy: Path, advice: Advice, cases: Cases) -> dict[str, object]:
    with connect_file(copy) as db:
        before, size, before_work = _plans(db), _bytes(db), _works(copy, cases)
        for sql in split_statements(advice.sql):
            db.execute(sql)
        after, after_work = _plans(db), _works(copy, cases)
        grown = _bytes(db) - size
    concerned = [name for name in before if before[name] != after[name] and name in cases]
    return {
        "index": advice.index,
        "statement": advice.sql,
        "why": advice.why,
        "gain": "; ".join(_gain(n, before_work[n], after_work[n]) for n in concerned) or "no query is run another way",
        "bytes": grown,
        "done": _by_whom(advice, worse=sum(after_work[n].vm_steps - before_work[n].vm_steps for n in concerned) > 0),
    }


def _by_whom(advice: Advice, *, worse: bool) -> str:
    if advice.creates:
        return "by ptp optimize"
    return "better not: queries cost more without it" if worse else "by you, if nothing outside ptp needs it"


def _gain(case: str, before: Work, after: Work) -> str:
    return f"{case} {before.vm_steps:,} to {after.vm_steps:,} VM steps, {before.ms:,.3g} to {after.ms:,.3g} ms"


def _plans(db: sqlite3.Connection) -> dict[str, list[tuple[str, frozenset[str]]]]:
    """What tells whether a case is run another way: the plan of each of its statements, and where it looks."""
    found: dict[str, list[tuple[str, frozenset[str]]]] = {}
    for reading in read_workload(db):
        found.setdefault(reading.case, []).append((reading.plan.hash, reading.reads))
    return found


def _works(path: Path, cases: Cases) -> dict[str, Work]:
    with meter(path) as counted, closing(sqlite3.connect(path, isolation_level=None)) as db:
        return {name: Work(counted(s).vm_steps // _CALLS, _median_ms(db, s) / _CALLS) for name, s in cases.items()}


def _median_ms(db: sqlite3.Connection, statements: Sequence[Statement]) -> float:
    """The median of some repeats, each rolled back."""
    samples = []
    for _ in range(_REPEATS):
        db.execute("BEGIN")
        start = time.perf_counter_ns()
        for statement in statements:
            for values in statement.executions:
                db.execute(statement.sql, values).fetchall()
        samples.append((time.perf_counter_ns() - start) / 1e6)
        db.execute("ROLLBACK")
    return statistics.median(samples)


def _bytes(db: sqlite3.Connection) -> int:
    pages, free, size = (db.execute(f"PRAGMA {n}").fetchone()[0] for n in ("page_count", "freelist_count", "page_size"))
    return int((pages - free) * size)


@contextmanager
def _copy(target: Path) -> Iterator[Path]:
    with TemporaryDirectory(prefix="ptp-optimize-") as name:
        copy = Path(name, "copy.db")
        with connect_file(target, read_only=True) as db, closing(sqlite3.connect(copy)) as to:
            step(db, to, target)
        yield copy


def _apply(target: Path, statements: Sequence[str]) -> None:
    with connect_file(target) as db:
        db.execute("BEGIN IMMEDIATE")
        try:
            for sql in (one for script in statements for one in split_statements(script)):
                db.execute(sql)
            db.execute("PRAGMA analysis_limit = 1000")
            db.execute("ANALYZE")
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("PRAGMA optimize")
