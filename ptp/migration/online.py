"""The plan of an online migration: the statements of the offline one by phase, with capture, chunks and replay.

Whatever runs is in it: it is shown, hashed and run as the same text. The database that is built stands as `main`, the
live one is attached as `source`, except in the statements of the capture, which run in the live one itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ptp.conversions.sql import problem_sql, value_sql
from ptp.engine import Inventory, literal, quoted
from ptp.engine.inventory import Table
from ptp.errors import UsageError
from ptp.migration import capture
from ptp.migration.capture import LOG, Watched
from ptp.migration.pair import Pair
from ptp.migration.plan import Plan, Statement, copy_sql
from ptp.migration.quarantine import key_text_sql

_SKIPPED = ("BEGIN", "COMMIT", "DETACH source", "PRAGMA main.journal_mode = WAL")


@dataclass(frozen=True, slots=True)
class Chunks:
    """How one table is copied: `sql` between :low and :high, whose bounds `bound` finds; at once where that is empty.

    Rows that are copied at different times do not agree with each other, so a table with a unique rule inside its
    own text is copied at once: a value that moved from one row to another would meet itself.
    """

    name: str
    sql: str
    rows: int
    bound: str = ""


@dataclass(frozen=True, slots=True)
class Replay:
    """How one table follows its source: the logged keys, away with what they name, and in with what is there now.

    `dirty` finds the first of these rows that does not convert exactly.
    """

    source: str
    target: str
    keys: str
    create: str
    gather: str
    delete: str
    insert: str
    dirty: str = ""


@dataclass(frozen=True, slots=True)
class OnlinePlan:
    """All that an online migration runs, by phase; `base` is the offline plan that it is made from."""

    base: Plan
    capture: tuple[str, ...]
    build: tuple[Statement, ...]
    chunks: tuple[Chunks, ...]
    replays: tuple[Replay, ...]
    finish: tuple[Statement, ...]
    last: tuple[Statement, ...]
    reverse: tuple[str, ...]

    @property
    def hash(self) -> str:
        """SHA-256 over all that is run."""
        return hashlib.sha256("\0".join(sql for _, sql in self._all()).encode()).hexdigest()

    @property
    def text(self) -> str:
        """The plan as a script to read, with its phases."""
        found, phase = "", ""
        for name, sql in self._all():
            found += f"-- {name}\n" if name != phase else ""
            found += f"{sql};\n"
            phase = name
        return found

    def _all(self) -> Iterator[tuple[str, str]]:
        yield from (("capture, in the source", sql) for sql in self.capture)
        yield from (("build", s.sql) for s in self.build)
        for chunk in self.chunks:
            yield from (("copy", sql) for sql in (chunk.bound, chunk.sql) if sql)
        for replay in self.replays:
            yield from (("catch up", sql) for sql in (replay.create, replay.gather) if sql)
            yield from (("catch up", sql) for sql in (replay.delete, replay.dirty, replay.insert) if sql)
        yield from (("build, after the first catch up", s.sql) for s in self.finish)
        yield from (("cut over", s.sql) for s in self.last)
        yield from (("cut over, capture in the target", sql) for sql in self.reverse)


def make_online_plan(plan: Plan, *, source: Inventory, target: Inventory, places: tuple[str, str]) -> OnlinePlan:
    """The online form of an offline plan. `target` is the inventory that it builds, `places` are both databases' paths.

    Raises UsageError for a policy that needs the whole of the source in one moment.
    """
    if plan.on_dirty == "quarantine":
        raise UsageError(
            "--online goes with --on-dirty stop: which rows go into quarantine is decided over the whole of a source "
            "at rest. Mend the values in the source, or migrate offline."
        )
    carried = [source.tables[e.name] for e in plan.extras if e.copy and e.carried]
    own = [Watched(t, t.key) for t in carried]
    moved = [*(Watched(p.source, p.mapped.source_key) for p in plan.pairs.values()), *own]
    arrived = [*(Watched(target.tables[n], p.mapped.key) for n, p in plan.pairs.items()), *own]
    triggers = {e.statements[0] for e in plan.extras if e.carried and e.kind == "trigger"}
    rest = [s for s in plan.statements if s.sql not in _SKIPPED and s.kind not in ("copy", "quarantine")]
    build = [s for s in rest if s.kind in ("setting", "table") and "ignore_check_constraints" not in s.sql]
    last = [s for s in rest if s.kind == "mark" or s.sql in triggers]
    return OnlinePlan(
        base=plan,
        capture=capture.capture_sql(moved, other=places[1]),
        build=tuple(build),
        chunks=tuple(_chunks(plan, carried)),
        replays=tuple(_replays(plan, carried)),
        finish=tuple(s for s in rest if s not in build and s not in last),
        last=tuple(last),
        reverse=capture.capture_sql(arrived, other=places[0]),
    )


def _chunks(plan: Plan, carried: Sequence[Table]) -> Iterator[Chunks]:
    for pair in plan.pairs.values():
        sql, table = copy_sql(pair, plan.extras, plan.on_dirty), pair.source
        yield _chunk(table, sql, plan.rows[table.name], alias="s.", at_once=_is_bound(pair.target))
    copies = {e.name: e.copy for e in plan.extras if e.copy}
    for table in carried:
        yield _chunk(table, copies[table.name], plan.rows[table.name], alias="", at_once=_is_bound(table))


def _chunk(table: Table, sql: str, rows: int, *, alias: str, at_once: bool) -> Chunks:
    if at_once or not table.rowid:
        return Chunks(table.name, sql, rows)
    row = quoted(table.rowid)
    bound = (
        f"SELECT max(r) FROM (SELECT {row} AS r FROM source.{quoted(table.name)} WHERE {row} >= :low "
        f"ORDER BY {row} LIMIT :rows)"
    )
    return Chunks(table.name, f"{sql} WHERE {alias}{row} BETWEEN :low AND :high", rows, bound)


def _is_bound(table: Table) -> bool:
    """Whether the table's own text holds a unique rule besides its primary key."""
    return any(i.unique and i.sql is None and i.columns != table.key for i in table.indexes)


def _replays(plan: Plan, carried: Sequence[Table]) -> Iterator[Replay]:
    copies: Mapping[str, str] = {e.name: e.copy for e in plan.extras if e.copy}
    for number, pair in enumerate(plan.pairs.values()):
        columns = {c.target: c.conversion for c in pair.mapped.columns}
        values = [f"({value_sql(columns[c], f'k.k{i}')})" for i, c in enumerate(pair.mapped.key)]
        copied = copy_sql(pair, plan.extras, plan.on_dirty)
        watched = Watched(pair.source, pair.mapped.source_key)
        yield _replay(
            number, watched, _Home(pair.mapped.target, pair.mapped.key, values), copied, _dirty_sql(number, pair)
        )
    for number, table in enumerate(carried, start=len(plan.pairs)):
        values = [f"k.k{i}" for i in range(len(table.key))]
        home = _Home(table.name, table.key, values)
        yield _replay(number, Watched(table, table.key), home, f"{copies[table.name]} AS s", "")


@dataclass(frozen=True, slots=True)
class _Home:
    """Where a row goes: its table, the columns of its key, and SQL for their values from a logged key `k`."""

    table: str
    key: Sequence[str]
    values: Sequence[str]


def _replay(number: int, watched: Watched, home: _Home, copied: str, dirty: str) -> Replay:
    keys = f"temp.ptp_keys_{number}"
    k, n = ([f"{letter}{i}" for i in range(len(watched.key))] for letter in "kn")
    log = f"FROM source.{LOG} WHERE id > :after AND id <= :until AND name = {literal(watched.table.name)}"
    into, _, source = copied.rpartition(" FROM ")
    return Replay(
        source=watched.table.name,
        target=home.table,
        keys=keys,
        create=f"CREATE TEMP TABLE {keys.removeprefix('temp.')} ({', '.join(k)}, UNIQUE ({', '.join(k)}))",
        gather=f"INSERT OR IGNORE INTO {keys} SELECT {', '.join(k)} {log} "
        f"UNION SELECT {', '.join(n)} {log} AND op = 'U'",
        delete=f"DELETE FROM main.{quoted(home.table)} WHERE ({', '.join(map(quoted, home.key))}) IN "
        f"(SELECT {', '.join(home.values)} FROM {keys} AS k)",
        insert=f"{into} FROM {keys} AS k CROSS JOIN {source} ON {_match(watched.key)}",
        dirty=dirty,
    )


def _match(key: Sequence[str]) -> str:
    return " AND ".join(f"s.{quoted(c)} IS k.k{i}" for i, c in enumerate(key))


def _dirty_sql(number: int, pair: Pair) -> str:
    problems = ", ".join(
        f"CASE WHEN {problem} IS NOT NULL THEN {literal(column.source)} || ': ' || {problem} END"
        for column in pair.mapped.columns
        for problem in (problem_sql(column.conversion, f"s.{quoted(column.source)}"),)
    )
    match, key = _match(pair.mapped.source_key), key_text_sql(pair.mapped.source_key, "s")
    return (
        f"SELECT key, problem FROM (SELECT {key} AS key, coalesce({problems}, NULL) AS problem "
        f"FROM temp.ptp_keys_{number} AS k CROSS JOIN {pair.name} AS s ON {match}) WHERE problem IS NOT NULL LIMIT 1"
    )
