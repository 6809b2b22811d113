"""Forecast of a plan: what each statement will take, before it runs; time by rates, billed rows by a model.

Rows are billed as libSQL counts them: a scan reads each row once, a sort reads it again; an insert writes one row and
one more for each index that is there, so an index built afterwards reads every row twice and writes it once. What
depends on values, such as rows that go to quarantine or miss a partial index, is counted at its most or its least,
so that all of it is an estimate.

Rates are seconds a row, measured either by an earlier run, by kind of statement, or by a trial: the plan itself, in
memory, over the first rows of each table.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ptp.engine import connect_file, errors_named, quoted, read_inventory, without_traces
from ptp.engine.files import read_only_uri
from ptp.migration.plan import Kind, Plan, Statement

SAMPLE_ROWS = 500
"""How many rows of each table a trial takes."""
_ANALYZED = 1_000  # rows of each index at most: the plan sets analysis_limit
_INTO = re.compile(r'INSERT INTO main\."((?:[^"]|"")+)"')
_UNNAMED = "file:ptp-trial-{}?mode=memory&cache=shared"


@dataclass(frozen=True, slots=True)
class Rates:
    """How long statements take on this machine, and what says so.

    `by_row` are seconds a row by kind, for kinds that go over rows; `by_statement` are seconds of one statement by
    kind; `own` are seconds a row of single statements, where these were tried themselves, and `fixed` what each of a
    kind takes over no row at all.
    """

    basis: str
    by_row: Mapping[str, float] = field(default_factory=dict)
    by_statement: Mapping[str, float] = field(default_factory=dict)
    own: Mapping[str, float] = field(default_factory=dict)
    fixed: Mapping[str, float] = field(default_factory=dict)

    def seconds(self, statement: Statement) -> float | None:
        """The predicted seconds of a statement; None where nothing is known of its kind."""
        if statement.rows and statement.sql in self.own:
            return self.fixed.get(statement.kind, 0.0) + self.own[statement.sql] * statement.rows
        if statement.rows and statement.kind in self.by_row:
            return self.by_row[statement.kind] * statement.rows
        return self.by_statement.get(statement.kind)


@dataclass(frozen=True, slots=True)
class Billed:
    """Rows read and written as they would be billed, estimated."""

    read: int = 0
    written: int = 0


@dataclass(frozen=True, slots=True)
class Forecast:
    """What one statement will take: seconds (None where nothing is known) and billed rows."""

    statement: Statement
    seconds: float | None
    billed: Billed


@dataclass(frozen=True, slots=True)
class Part:
    """All statements of one kind together: predicted seconds None where nothing is known of one of them."""

    kind: Kind
    statements: int
    rows: int
    seconds: float | None


def forecast(plan: Plan, rates: Rates) -> tuple[Forecast, ...]:
    """What each statement of a plan will take, in its order."""
    prices = list(billed(plan))
    return tuple(Forecast(s, rates.seconds(s), b) for s, b in zip(plan.statements, prices, strict=True))


def parts(found: Sequence[Forecast]) -> tuple[Part, ...]:
    """A forecast by kind of statement, in the order of their first appearance."""
    return tuple(
        Part(
            kind=kind,
            statements=len(group),
            rows=sum(f.statement.rows for f in group),
            seconds=total_seconds(group),
        )
        for kind in dict.fromkeys(f.statement.kind for f in found)
        if (group := [f for f in found if f.statement.kind == kind])
    )


def total_seconds(found: Sequence[Forecast]) -> float | None:
    """The predicted seconds together; None where nothing is known of one of them."""
    known = [f.seconds for f in found if f.seconds is not None]
    return sum(known) if len(known) == len(found) else None


def billed(plan: Plan) -> Iterator[Billed]:
    """The billed rows of each statement of a plan, in its order."""
    own = own_indexes(plan)
    indexes = [s for s in plan.statements if s.kind == "index"]
    for s in plan.statements:
        if s.kind == "copy":
            found = _INTO.match(s.sql)
            name = found[1].replace('""', '"') if found else ""
            yield Billed(s.rows, s.rows * (1 + own.get(name, 0)))
        elif s.kind == "index":
            yield Billed(2 * s.rows, s.rows + 1)
        elif s.kind == "quarantine":
            yield Billed(s.rows * _passes(s.sql), 0)
        elif s.kind == "derive" and s.rows:
            yield Billed(2 * s.rows, s.rows)  # read again in a sort or a second table, and at most written whole
        elif s.sql.startswith("ANALYZE"):
            yield Billed(sum(min(i.rows, _ANALYZED) for i in indexes), len(indexes))
        elif s.kind in ("table", "derive", "journal", "mark"):
            yield Billed(0, 1)
        else:
            yield Billed()


def _passes(sql: str) -> int:
    """How often a statement of the quarantine reads each row; one over what was rejected reads dirty ones alone."""
    if "FROM source." not in sql or re.match(r"[^(]*\([^(]*\) SELECT [^(]* FROM temp\.", sql):
        return 0
    return 2 if re.search(r"\bEXISTS\b|\bOVER\b", sql) else 1


def own_indexes(plan: Plan) -> Mapping[str, int]:
    """By table, how many indexes its own text brings: those that are there while rows are copied into it."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        for statement in plan.statements:
            if statement.kind == "table":
                db.execute(statement.sql)
        return {name: sum(i.sql is None for i in t.indexes) for name, t in read_inventory(db).tables.items()}


def measured_rates(measured: Sequence[tuple[str, int, int, float]], *, basis: str) -> Rates:
    """Rates from an earlier run: kind, number of statements, rows and seconds of each part that was measured."""
    by_row = {kind: seconds / rows for kind, _, rows, seconds in measured if rows}
    by_statement = {kind: seconds / count for kind, count, rows, seconds in measured if count and not rows}
    # A statement without rows among others that have some takes next to nothing.
    by_statement |= {kind: 0.0 for kind, _, rows, _ in measured if rows}
    return Rates(basis, by_row, by_statement)


def trial_rates(plan: Plan, source: Path, *, rows: int = SAMPLE_ROWS) -> Rates:
    """Rates from running the plan in memory over the first rows of each table of the source, which is only read.

    A statement that the sample does not allow, such as one over values that do not convert, is left out: then the
    others of its kind speak for it.
    """
    name = _UNNAMED.format(id(plan))
    with closing(sqlite3.connect(name, uri=True, isolation_level=None)) as sample:
        taken = _take_sample(sample, plan, source, rows)
        seconds: dict[Statement, float] = {}
        with closing(sqlite3.connect(":memory:", uri=True, isolation_level=None)) as db:
            bound = {"source": name, "run": "", "now": 0, "phase": "", "plan": "", "seconds": 0.0}
            for statement in plan.statements:
                # In memory nothing waits, and a few milliseconds of wall time would measure who else is at work.
                started = time.process_time()
                with suppress(sqlite3.Error):
                    db.execute(statement.sql, bound).fetchall()
                    seconds[statement] = time.process_time() - started
    return _tried(seconds, taken)


def _take_sample(sample: sqlite3.Connection, plan: Plan, source: Path, rows: int) -> Mapping[str, int]:
    """Copy the first rows of each table into memory, with its own text; by table, how many there are."""
    with errors_named(source), connect_file(source, read_only=True) as old:
        inventory = read_inventory(old)
        encoding = old.execute("PRAGMA encoding").fetchone()[0]
    sample.execute(f"PRAGMA encoding = '{encoding}'")
    taken = {}
    with without_traces(source):
        sample.execute("ATTACH ? AS source", (read_only_uri(source),))
        for name in plan.rows:
            table = inventory.tables[name]
            listed = ", ".join(quoted(c) for c in table.stored_columns)
            first = f"SELECT {listed} FROM source.{quoted(name)} LIMIT {rows}"
            with suppress(sqlite3.Error):  # a value that breaks a rule of its own table
                sample.execute(table.sql)
                taken[name] = sample.execute(f"INSERT INTO main.{quoted(name)} ({listed}) {first}").rowcount
        sample.execute("DETACH source")
    return taken


def _tried(seconds: Mapping[Statement, float], taken: Mapping[str, int]) -> Rates:
    """Rates by statement and by kind, from the seconds that statements took over the rows of the sample."""
    rows = {s: sum(taken.get(name, 0) for name in s.over) or 1 for s in seconds if s.rows}
    fixed: dict[str, float] = {
        kind: min(t for s, t in seconds.items() if s.kind == kind) for kind in {s.kind for s in seconds}
    }
    own = {s.sql: (seconds[s] - fixed[s.kind]) / n for s, n in rows.items()}
    by_row: dict[str, float] = {}
    by_statement: dict[str, float] = {}
    for kind in fixed:
        over = [s for s in rows if s.kind == kind]
        alone = [t for s, t in seconds.items() if s.kind == kind and not s.rows]
        if over:
            by_row[kind] = sum(seconds[s] for s in over) / sum(rows[s] for s in over)
        by_statement[kind] = sum(alone) / len(alone) if alone else 0.0
    tried = f"a trial of the plan in memory over the first {max(taken.values(), default=0):,} rows of each table"
    return Rates(f"{tried}, just now, in processor time", by_row, by_statement, own, fixed)
