"""The indexes of a target beside the workload: which statement reads which, what each costs, what is one too many."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Engine

from ptp.engine import Inventory, open_engine, read_inventory
from ptp.engine.meters import Statement, recorded
from ptp.engine.plans import Plan, full_scans, plan_of, reads, sorts
from ptp.errors import UsageError
from ptp.migration.build import build
from ptp.migration.journal import check_steps, has_journal
from ptp.migration.steps import load_steps
from ptp.resources import folder
from ptp.results import Finding
from ptp.schema import Base
from ptp.schema.ddl import derived_statements, model_statements
from ptp.verification.indexes import check_missing, check_redundant, check_used
from ptp.workbench.migrating import plan_of as plan_of_migration
from ptp.workbench.progress import quiet
from ptp.workload.cases import workload as queries_of
from ptp.workload.demo import write_demo

PAGE_ROWS = 500
"""A table of at most this many rows may be gone over as a whole: it is no more than a page."""

BOUNDED_SORTS: Mapping[str, str] = {
    "search_questions": "the 500 newest matches",
    "session_progress": "the answers of one session, by objective",
    "leaderboard": "the page itself",
}
"""What is sorted without an index, by case: each is bounded by a page or a session, whatever the database holds."""

REASONS: Mapping[str, str] = {
    str(index.name): index.info["serves"] for table in Base.metadata.sorted_tables for index in table.indexes
}
"""What each index of head is there for, by its name."""

_HEAD_TABLES = frozenset(Base.metadata.tables)


@dataclass(frozen=True, slots=True)
class Reading:
    """One statement of the workload as a database would run it, with the tables and indexes in which it looks."""

    case: str
    statement: Statement
    plan: Plan
    reads: frozenset[str]


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found of the indexes of a database: findings, and a row for each index."""

    findings: tuple[Finding, ...]
    rows: tuple[dict[str, object], ...]
    readings: tuple[Reading, ...]


@cache
def expected_head() -> Inventory:
    """Head as the models and steps say, without data."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        for sql in (*model_statements(), *derived_statements(load_steps(folder("sql")))):
            db.execute(sql)
        return read_inventory(db)


def check_head(db: sqlite3.Connection, target: Path) -> None:
    """Make sure that ptp built the open database `target` and that it has the tables of head; raises UsageError."""
    if not has_journal(db):
        raise UsageError(f"{target} was not built by ptp: it has no journal. Name the target of a migration.")
    check_steps(db, load_steps(folder("sql")))
    there = read_inventory(db).tables
    # The search stands in a table of its own, which a SQLite without FTS5 leaves out.
    missing = [n for n, t in expected_head().tables.items() if n not in there and not t.is_virtual]
    if missing:
        raise UsageError(
            f"{target} is not at head: it has no table {missing[0]}. What else differs: ptp health --target {target}."
        )


@cache
def workload() -> tuple[tuple[str, tuple[Statement, ...]], ...]:
    """The statements of each case of the workload, as the application issues them.

    They are recorded on a small head of its own with every table filled, so that a target in which a table is empty
    is judged by all statements too: their text does not depend on the data.
    """
    with _small_head() as target:
        engine = open_engine(target)
        try:
            return tuple(record_workload(engine).items())
        finally:
            engine.dispose()


@contextmanager
def _small_head() -> Iterator[Path]:
    with TemporaryDirectory(prefix="ptp-workload-") as name:
        source, target = Path(name, "source.db"), Path(name, "head.db")
        write_demo(shape="drizzle", size="tiny", seed=1, out=source)
        build(plan_of_migration(source), source=source, target=target, run="workload", now=0, progress=quiet)
        yield target


@dataclass(frozen=True, slots=True)
class Recorded:
    """The statements of each call of a query; `absent` says why there is none."""

    calls: tuple[tuple[Statement, ...], ...] = ()
    absent: str | None = None

    @property
    def statements(self) -> tuple[Statement, ...]:
        """Those of all calls, in their order."""
        return tuple(s for call in self.calls for s in call)


def record_calls(engine: Engine, *, calls: int, seed: int = 1) -> Mapping[str, Recorded]:
    """The statements of some calls of each query, by its name; those that write do write."""
    found = {}
    for query in queries_of(engine, count=calls, seed=seed):
        taken: list[tuple[Statement, ...]] = []
        for drawn in islice(cycle(query.draws), 0 if query.not_applicable else calls):
            with recorded(engine) as statements:
                query.run(drawn)
            taken.append(tuple(statements))
        found[query.name] = Recorded(tuple(taken), query.not_applicable)
    return found


def record_workload(engine: Engine, *, calls: int = 1) -> Mapping[str, tuple[Statement, ...]]:
    """The statements of some calls of each query that applies to this database; those that write do write."""
    found = record_calls(engine, calls=calls)
    return {name: of_query.statements for name, of_query in found.items() if not of_query.absent}


def read_workload(db: sqlite3.Connection) -> tuple[Reading, ...]:
    """How an open database would run the workload; nothing is executed."""
    return tuple(
        Reading(name, s, plan_of(db, s.sql, s.parameters), reads(db, s.sql, s.parameters))
        for name, statements in workload()
        for s in statements
    )


def inspect_indexes(db: sqlite3.Connection) -> Inspection:
    """Judge the indexes of an open target; the findings are notes, since an index never makes a row wrong."""
    inventory, readings = read_inventory(db), read_workload(db)
    used = frozenset[str]().union(*(r.reads for r in readings))
    findings = (
        check_missing(inventory, expected=expected_head(), tables=_HEAD_TABLES),
        check_redundant(inventory, tables=_HEAD_TABLES),
        check_used(inventory, used=used, reasons=REASONS, tables=_HEAD_TABLES),
        _scans(db, readings),
    )
    notes = tuple(replace(finding, severity="note") for finding in findings)
    return Inspection(notes, tuple(_rows(db, inventory, readings)), readings)


def _scans(db: sqlite3.Connection, readings: Sequence[Reading]) -> Finding:
    places = tuple(dict.fromkeys(f"{r.case}: {text}" for r in readings for text in _too_much(db, r)))
    return Finding(
        id="indexes.scans",
        claim="No statement of the workload goes over a whole table, or sorts more than a page",
        verdict="fail" if places else "pass",
        value=len(places),
        unit="scans",
        limit=0,
        n=len(readings),
        where=places,
        evidence=f"EXPLAIN QUERY PLAN of every statement; tables of up to {PAGE_ROWS} rows do not count",
    )


def _too_much(db: sqlite3.Connection, reading: Reading) -> Iterator[str]:
    """The steps of a plan that go over more than a page of a table, or sort what is not known to be bounded."""
    yield from (s.text for s in full_scans(reading.plan) if s.table and has_more_than_a_page(db, s.table))
    if reading.case not in BOUNDED_SORTS:
        yield from (s.text for s in sorts(reading.plan))


def has_more_than_a_page(db: sqlite3.Connection, table: str) -> bool:
    """Whether a table has more rows than a page; reads no more than that."""
    count: int = db.execute(f'SELECT count(*) FROM (SELECT 1 FROM "{table}" LIMIT {PAGE_ROWS + 1})').fetchone()[0]
    return count > PAGE_ROWS


def _rows(db: sqlite3.Connection, inventory: Inventory, readings: Sequence[Reading]) -> Iterator[dict[str, object]]:
    sizes = dict(db.execute("SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE").fetchall())
    for name in sorted(_HEAD_TABLES & inventory.tables.keys()):
        for index in inventory.tables[name].indexes:
            cases = dict.fromkeys(r.case for r in readings if index.name in r.reads)
            yield {
                "index": index.name,
                "on": f"{name} ({', '.join(c or 'expression' for c in index.columns)})",
                "reason": REASONS.get(index.name, "rule: UNIQUE" if index.unique else "none that head knows"),
                "read by": ", ".join(cases),
                "bytes": sizes.get(index.name, 0),
                "billed writes": "0 or 1" if index.partial else "1",
            }
