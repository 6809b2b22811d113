"""The plan of an online migration: the statements of the offline one by phase, with capture, chunks and replay.

Whatever runs is in it: it is shown, hashed and run as the same text. The database that is built stands as `main`, the
live one is attached as `source`, except in the statements of the capture, which run in the live one itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ptp.conversions.sql import problem_sql, value_sql
from ptp.engine import Inventory, literal, quoted
from ptp.engine.inventory import Table
from ptp.migration import capture
from ptp.migration.capture import LOG, Watched
from ptp.migration.fence import fence_sql
from ptp.migration.pair import Pair
from ptp.migration.plan import Plan, Statement, copy_sql
from ptp.migration.quarantine import TABLE as QUARANTINE
from ptp.migration.quarantine import keep_value_sql, key_text_sql
from ptp.migration.references import Reference, references

_SKIPPED = ("BEGIN", "COMMIT", "DETACH source", "PRAGMA main.journal_mode = WAL")


@dataclass(frozen=True, slots=True)
class Chunks:
    """How one table is copied: `sql` between :low and :high, whose bounds `bound` finds; at once where that is empty.

    Rows that are copied at different times do not agree with each other, so a table with a unique rule inside its
    own text is copied at once: a value that moved from one row to another would meet itself. `keeps` put the inexact
    values into quarantine.
    """

    name: str
    sql: str
    rows: int
    keeps: tuple[str, ...] = ()
    bound: str = ""
    last: str = ""
    is_carried: bool = False


@dataclass(frozen=True, slots=True)
class Replay:
    """How one table follows its source: the logged keys, away with what they name, and in with what is there now.

    `dirty` finds the first of these rows that stops the run: one that does not convert exactly or, where inexact
    values are kept in quarantine (`keeps`), one that would go whole.
    """

    source: str
    target: str
    keys: str
    create: str
    gather: str
    delete: str
    insert: str
    dirty: str = ""
    keeps: tuple[str, ...] = ()
    is_carried: bool = False


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
    fence: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()

    @property
    def hash(self) -> str:
        """SHA-256 over all that is run."""
        return hashlib.sha256("\0".join(sql for _, sql in self.statements()).encode()).hexdigest()

    @property
    def size(self) -> int:
        """How many statements there are."""
        return sum(1 for _ in self.statements())

    @property
    def text(self) -> str:
        """The plan as a script to read, with its phases."""
        found, phase = "", ""
        for name, sql in self.statements():
            found += f"-- {name}\n" if name != phase else ""
            found += f"{sql};\n"
            phase = name
        return found

    def statements(self) -> Iterator[tuple[str, str]]:
        """All that is run, each with its phase."""
        yield from (("capture, in the source", sql) for sql in self.capture)
        yield from (("build", s.sql) for s in self.build)
        for chunk in self.chunks:
            yield from (("copy", sql) for sql in (chunk.last, chunk.bound, chunk.sql, *chunk.keeps) if sql)
        for replay in self.replays:
            statements = (replay.create, replay.gather, replay.dirty, replay.delete, *replay.keeps, replay.insert)
            yield from (("catch up", sql) for sql in statements if sql)
        yield from (("build, after the first catch up", s.sql) for s in self.finish)
        yield from (("verify, references", sql) for r in self.references for sql in r.statements)
        yield from (("cut over", s.sql) for s in self.last)
        yield from (("cut over, capture in the target", sql) for sql in self.reverse)
        yield from (("cut over, fence in the source", sql) for sql in self.fence)


def make_online_plan(
    plan: Plan, *, source: Inventory, target: Inventory, places: tuple[str, str], fence_reads: bool = False
) -> OnlinePlan:
    """The online form of an offline plan. `target` is the inventory that it builds, `places` are both databases' paths.

    With the policy quarantine, values go into quarantine; a row that would go whole stops the run even so, as it takes
    the whole of a source at rest to say which rows depend on it.
    """
    carried = [source.tables[e.name] for e in plan.extras if e.copy and e.carried]
    own = [Watched(t, t.key) for t in carried]
    moved = [*(Watched(p.source, p.mapped.source_key) for p in plan.pairs.values()), *own]
    arrived = [*(Watched(target.tables[n], p.mapped.key) for n, p in plan.pairs.items()), *own]
    triggers = {e.statements[0] for e in plan.extras if e.carried and e.kind == "trigger"}
    rest = [s for s in plan.statements if s.sql not in _SKIPPED and s.kind not in ("copy", "quarantine")]
    build = [s for s in rest if s.kind in ("setting", "table") and "ignore_check_constraints" not in s.sql]
    last = [s for s in rest if s.kind == "mark" or s.sql in triggers]
    replays = tuple(_replays(plan, carried))
    keys = {r.target: r.keys for r in replays}
    return OnlinePlan(
        base=plan,
        capture=capture.capture_sql(moved, other=places[1]),
        build=tuple(build),
        chunks=tuple(_chunks(plan, carried)),
        replays=replays,
        finish=tuple(s for s in rest if s not in build and s not in last),
        last=tuple(last),
        reverse=capture.capture_sql(arrived, other=places[0]),
        fence=fence_sql((w.table.name for w in moved), other=places[1]) if fence_reads else (),
        references=tuple(references(plan.pairs, keys, target, {t.name for t in carried})),
    )


def _chunks(plan: Plan, carried: Sequence[Table]) -> Iterator[Chunks]:
    for pair in plan.pairs.values():
        span, bound, last = ("", "", "") if _is_bound(pair.target) else _range(pair.source, "s.")
        keeps = _keeps(plan, pair, f"FROM {pair.name} AS s{span}")
        yield Chunks(pair.source.name, _copy_sql(pair, plan) + span, plan.rows[pair.source.name], keeps, bound, last)
    copies = {e.name: e.copy for e in plan.extras if e.copy}
    for table in carried:
        span, bound, last = ("", "", "") if _is_bound(table) else _range(table, "s.")
        yield Chunks(table.name, copies[table.name] + span, plan.rows[table.name], (), bound, last, is_carried=True)


def _range(table: Table, alias: str) -> tuple[str, str, str]:
    """The condition of a range of rowids, and the statement that finds where the next one ends; none without rowids."""
    if not table.rowid:
        return "", "", ""
    row = quoted(table.rowid)
    after = f"SELECT {row} AS r FROM source.{quoted(table.name)} WHERE {row} >= :low ORDER BY {row} LIMIT :rows"
    return (
        f" WHERE {alias}{row} BETWEEN :low AND :high",
        f"SELECT max(r) FROM ({after})",
        f"SELECT max({row}) FROM source.{quoted(table.name)}",
    )


def _copy_sql(pair: Pair, plan: Plan) -> str:
    """The copy of a table, whatever the policy: rows that are to go whole have stopped the run before."""
    return copy_sql(pair, plan.extras, "stop")


def _keeps(plan: Plan, pair: Pair, rows: str) -> tuple[str, ...]:
    if plan.on_dirty == "stop":
        return ()
    return tuple(keep_value_sql(pair, c, rows) for c in pair.mapped.columns if not c.conversion.takes_row)


def _is_bound(table: Table) -> bool:
    """Whether the table's own text holds a unique rule besides its primary key."""
    return any(i.unique and i.sql is None and i.columns != table.key for i in table.indexes)


def _replays(plan: Plan, carried: Sequence[Table]) -> Iterator[Replay]:
    copies: Mapping[str, str] = {e.name: e.copy for e in plan.extras if e.copy}
    for number, pair in enumerate(plan.pairs.values()):
        columns = {c.target: c.conversion for c in pair.mapped.columns}
        values = [f"({value_sql(columns[c], f'k.k{i}')})" for i, c in enumerate(pair.mapped.key)]
        watched = Watched(pair.source, pair.mapped.source_key)
        home = _Home(pair.mapped.target, pair.mapped.key, values)
        found = _replay(number, watched, home, _copy_sql(pair, plan))
        rows = f"FROM {found.keys} AS k CROSS JOIN {pair.name} AS s ON {_match(watched.key)}"
        yield replace(found, dirty=_dirty_sql(pair, rows, plan), keeps=_keeps_anew(plan, pair, found.keys, rows))
    for number, table in enumerate(carried, start=len(plan.pairs)):
        home = _Home(table.name, table.key, [f"k.k{i}" for i in range(len(table.key))])
        yield replace(_replay(number, Watched(table, table.key), home, copies[table.name]), is_carried=True)


@dataclass(frozen=True, slots=True)
class _Home:
    """Where a row goes: its table, the columns of its key, and SQL for their values from a logged key `k`."""

    table: str
    key: Sequence[str]
    values: Sequence[str]


def _replay(number: int, watched: Watched, home: _Home, copied: str) -> Replay:
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
    )


def _match(key: Sequence[str]) -> str:
    """The first form finds a row by its index, the second keeps apart what the key's own collation takes for equal."""
    return " AND ".join(
        f"s.{quoted(c)} IS k.k{i} AND +s.{quoted(c)} COLLATE BINARY IS k.k{i}" for i, c in enumerate(key)
    )


def _dirty_sql(pair: Pair, rows: str, plan: Plan) -> str:
    stopping = [c for c in pair.mapped.columns if plan.on_dirty == "stop" or c.conversion.takes_row]
    problems = [(c.source, problem_sql(c.conversion, f"s.{quoted(c.source)}")) for c in stopping]
    told = ", ".join(f"CASE WHEN {p} IS NOT NULL THEN {literal(name)} || ': ' || {p} END" for name, p in problems)
    key = key_text_sql(pair.mapped.source_key, "s")
    return (
        f"SELECT key, problem FROM (SELECT {key} AS key, coalesce({told}, NULL) AS problem {rows}) "
        "WHERE problem IS NOT NULL LIMIT 1"
    )


def _keeps_anew(plan: Plan, pair: Pair, keys: str, rows: str) -> tuple[str, ...]:
    """Statements that bring the quarantine of these keys in line with what stands in the source now."""
    found = _keeps(plan, pair, rows)
    gone = key_text_sql([f"k{i}" for i in range(len(pair.mapped.source_key))], "k")
    away = (
        f"DELETE FROM main.{QUARANTINE} WHERE kind = 'value' AND table_name = {literal(pair.mapped.source)} "
        f"AND row_key IN (SELECT {gone} FROM {keys} AS k)"
    )
    return (away, *found) if found else ()
