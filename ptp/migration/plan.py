"""The plan: the ordered statements that build the target, made before anything is changed, with one hash over them."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

from ptp.conversions import Shape
from ptp.conversions.sql import value_sql
from ptp.engine import Inventory, has_module, quoted, read_inventory
from ptp.errors import StepRefused
from ptp.migration import journal, quarantine
from ptp.migration.carry import Extra, find_extras, mark_sql
from ptp.migration.pair import Pair, pair_up
from ptp.migration.steps import Step, links

OnDirty: TypeAlias = Literal["stop", "quarantine"]
_CONTENT = re.compile(r"CREATE VIRTUAL TABLE (\w+) .*\bcontent\s*=\s*'?(\w+)", re.IGNORECASE | re.DOTALL)
_REBUILD = re.compile(r"INSERT INTO (\w+) \(\1\) VALUES \('rebuild'\)", re.IGNORECASE)
Kind: TypeAlias = Literal["setting", "table", "quarantine", "copy", "mark", "index", "derive", "journal", "finish"]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a plan, the number of source rows that it goes over, and the source tables that hold them.

    Bound when it runs: :source, :run, :now, and for the journal's phase :phase, :plan and :seconds.
    """

    kind: Kind
    sql: str
    rows: int = 0
    over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a migration will run, in order, on a new file with the source attached as `source`."""

    shape: str
    on_dirty: OnDirty
    statements: tuple[Statement, ...]
    extras: tuple[Extra, ...]
    rows: Mapping[str, int]
    pairs: Mapping[str, Pair]

    @property
    def hash(self) -> str:
        """SHA-256 over the statements: the same schema, steps and policy give the same hash, whatever the data."""
        return hashlib.sha256("\0".join(s.sql for s in self.statements).encode()).hexdigest()

    @property
    def text(self) -> str:
        """The plan as a script to read."""
        return "".join(f"{s.sql};\n" for s in self.statements)


@dataclass(frozen=True, slots=True)
class Format:
    """What the target takes over from the source's file header."""

    encoding: str
    page_size: int
    application_id: int
    user_version: int


def read_format(db: sqlite3.Connection) -> Format:
    """The format of an open database."""

    def pragma(name: str) -> str:
        return str(db.execute(f"PRAGMA {name}").fetchone()[0])

    return Format(
        encoding=pragma("encoding"),
        page_size=int(pragma("page_size")),
        application_id=int(pragma("application_id")),
        user_version=int(pragma("user_version")),
    )


def make_plan(
    source: sqlite3.Connection, *, inventory: Inventory, shape: Shape, steps: Sequence[Step], on_dirty: OnDirty
) -> Plan:
    """Plan the migration of an open source of a known shape; reads the source's schema and counts its rows."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as scratch:
        left_out = {step.name: f"this SQLite has no {step.requires}" for step in steps if _lacks(scratch, step)}
        run = [s for step in steps if step.name not in left_out for s in step.up]
        tables, later = [s for s in run if _creates_table(s)], [s for s in run if not _creates_table(s)]
        _try_out(scratch, (*tables, *later), steps)
        pairs = pair_up(shape, inventory, read_inventory(scratch))
        extras = find_extras(inventory, shape, list(pairs.values()), scratch)
    counted = [p.mapped.source for p in pairs.values()] + [e.name for e in extras if e.copy]
    rows = {name: source.execute(f"SELECT count(*) FROM {quoted(name)}").fetchone()[0] for name in counted}
    statements = [
        *_opening(read_format(source)),
        *(Statement("table", sql) for sql in (*tables, journal.DDL, *quarantine.DDL)),
        *(
            Statement("table", sql)
            for e in extras
            if e.carried and e.kind in ("table", "column")
            for sql in e.statements
        ),
        *(_quarantines(pairs, rows) if on_dirty == "quarantine" else ()),
        *_copies(pairs, extras, rows, on_dirty),
        *_marks(inventory, pairs, extras),
        *_laters(later, pairs, rows),
        *(
            Statement("index", sql)
            for e in extras
            if e.carried and e.kind not in ("table", "column")
            for sql in e.statements
        ),
        *(Statement("journal", journal.step_sql(link, left_out.get(link.name))) for link in links(steps)),
        Statement("finish", "PRAGMA main.analysis_limit = 1000"),
        Statement("finish", "ANALYZE main"),
        Statement("journal", journal.PHASE_SQL),
        Statement("finish", "COMMIT"),
        Statement("finish", "DETACH source"),
        Statement("finish", "PRAGMA main.journal_mode = WAL"),
    ]
    return Plan(shape.name, on_dirty, tuple(statements), tuple(extras), rows, pairs)


def _try_out(scratch: sqlite3.Connection, statements: Sequence[str], steps: Sequence[Step]) -> None:
    """Run the steps' statements on an empty database; raises StepRefused naming the step that SQLite refuses."""
    for sql in statements:
        try:
            scratch.execute(sql)
        except sqlite3.Error as problem:
            name = next(step.name for step in steps if sql in step.up)
            raise StepRefused(f"{name}.sql: SQLite refuses '{sql.splitlines()[0]}': {problem}.") from problem


def _creates_table(sql: str) -> bool:
    return sql.upper().startswith("CREATE TABLE")


def _lacks(db: sqlite3.Connection, step: Step) -> bool:
    """Whether SQLite lacks the module without which a step cannot be run."""
    return bool(step.requires) and not has_module(db, step.requires)


def _opening(form: Format) -> list[Statement]:
    settings = [
        f"PRAGMA encoding = '{form.encoding}'",
        f"PRAGMA page_size = {form.page_size}",
        "PRAGMA journal_mode = OFF",  # the file is new: a build that stops is removed, not rolled back
        "PRAGMA synchronous = OFF",  # the file is synced once, when it is whole
        "PRAGMA foreign_keys = OFF",  # checked as a whole afterwards, by the verification
        "PRAGMA cache_size = -32768",  # each sorter of an index takes as much again
        "PRAGMA temp_store = FILE",
        "PRAGMA threads = 2",
        f"PRAGMA application_id = {form.application_id}",
        f"PRAGMA user_version = {form.user_version}",
        "ATTACH :source AS source",
        "BEGIN",
    ]
    return [Statement("setting", sql) for sql in settings]


def _quarantines(pairs: Mapping[str, Pair], rows: Mapping[str, int]) -> list[Statement]:
    found = []
    for pair in pairs.values():
        for sql in (*quarantine.rejection_sql(pair, pairs), *quarantine.keep_sql(pair)):
            found.append(Statement("quarantine", sql, rows[pair.mapped.source], (pair.mapped.source,)))
    return found


def _copies(
    pairs: Mapping[str, Pair], extras: Sequence[Extra], rows: Mapping[str, int], on_dirty: OnDirty
) -> list[Statement]:
    copies = [_copy(copy_sql(p, extras, on_dirty), p.mapped.source, rows) for p in pairs.values()]
    carried = [_copy(e.copy, e.name, rows) for e in extras if e.copy and e.carried]
    if not carried:
        return copies
    # A carried table keeps its rows as they are, those included that break a CHECK rule added later.
    guard = [Statement("setting", f"PRAGMA ignore_check_constraints = {word}") for word in ("ON", "OFF")]
    return [*copies, guard[0], *carried, guard[1]]


def _copy(sql: str, table: str, rows: Mapping[str, int]) -> Statement:
    return Statement("copy", sql, rows[table], (table,))


def copy_sql(pair: Pair, extras: Sequence[Extra], on_dirty: OnDirty) -> str:
    """The statement that copies a table through its conversions; of the source, as `s`."""
    carried = {e.name for e in extras if e.kind == "column" and e.carried}
    more = [c for c in pair.extra_columns if f"{pair.mapped.source}.{c}" in carried]
    names = ", ".join(quoted(c) for c in [*(c.target for c in pair.mapped.columns), *more])
    values = [value_sql(c.conversion, f"s.{quoted(c.source)}") for c in pair.mapped.columns]
    values += [f"s.{quoted(c)}" for c in more]
    where = f" WHERE {quarantine.not_rejected(pair, alias='s')}" if on_dirty == "quarantine" else ""
    into = f"INSERT INTO main.{quoted(pair.mapped.target)} ({names})"
    return f"{into} SELECT {', '.join(values)} FROM {pair.name} AS s{where}"


def _marks(inventory: Inventory, pairs: Mapping[str, Pair], extras: Sequence[Extra]) -> list[Statement]:
    kept = [(p.mapped.source, p.mapped.target) for p in pairs.values() if p.target.autoincrement]
    kept += [(e.name, e.name) for e in extras if e.copy and e.carried and inventory.tables[e.name].autoincrement]
    return [Statement("mark", sql) for s, t in kept if inventory.tables[s].autoincrement for sql in mark_sql(s, t)]


def _laters(later: Sequence[str], pairs: Mapping[str, Pair], rows: Mapping[str, int]) -> Iterator[Statement]:
    """The steps' statements after the copies, with the tables that each is built over or made from: those it names."""
    contents: dict[str, str] = {}
    for sql in later:
        kind: Kind = "index" if sql.upper().startswith(("CREATE INDEX", "CREATE UNIQUE INDEX")) else "derive"
        named: set[str] = set()
        if found := _CONTENT.search(sql):
            contents[found[1]] = found[2]
        elif found := _REBUILD.match(sql):
            named = {contents.get(found[1], "")}
        elif not sql.upper().startswith("CREATE TRIGGER"):
            words = sql.replace("(", " ").replace(",", " ").replace('"', "").split()
            named = {after for word, after in pairwise(words) if word.upper() in ("ON", "FROM", "JOIN")}
        over = sorted(pairs[name].mapped.source for name in named if name in pairs)
        yield Statement(kind, sql, sum(rows[name] for name in over), tuple(over))
