"""Load: a file put into an empty database on a server, in small transactions, each of which enters its own row.

The row, in a table of the load, is what makes it safe: a transaction that comes a second time meets its row and fails,
and one whose reply was lost is found by it. A load that was cut off goes on after the last key that the server holds.
Until it is opened the database says that it is not the one to use, and ptp's connections refuse it.

Triggers come after the rows, since what they would add is among the rows; indexes too, but those of large tables,
which would take longer than a transaction may.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ptp.engine import connect_file, errors_named, moves, quoted
from ptp.engine.range_digests import Range, range_condition
from ptp.engine.remote_calls import Asked, Calls, Row, TooMuch
from ptp.errors import CannotFinish, Locked, UsageError
from ptp.migration.record import digest_of
from ptp.migration.remote.rows import BatchSize, batches, decode, inserts
from ptp.migration.remote.schema import SERVERS_OWN, Moved, Schema, Text, local_schema, moved_tables, remote_schema

Progress = Callable[[float, str], None]
TABLE = "ptp_load"
BESIDES = SERVERS_OWN | {TABLE, moves.TABLE}
"""What a database on a server may hold besides the content of a load."""
LARGE = 300_000
"""Rows of a table from which on its indexes are made before them: 300,000 are indexed in 0.3 s here, and may take a
server ten times as long; a transaction may last 5 s."""
_DDL = (
    f"CREATE TABLE {TABLE} (part INTEGER PRIMARY KEY CHECK (part >= 0), what TEXT NOT NULL, content TEXT NOT NULL, "
    "run TEXT NOT NULL, owner TEXT NOT NULL, at REAL NOT NULL)"
)
_ENTER = f"INSERT INTO {TABLE} VALUES (?, ?, ?, ?, ?, ?)"


class Refused(CannotFinish):
    """The server does not run a statement; nothing of its transaction was done."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load did: rows and transactions of this attempt, and whether an earlier one had begun it, or ended it."""

    rows: int
    parts: int
    resumed: bool
    was_whole: bool = False
    not_kept: tuple[str, ...] = ()


@dataclass(slots=True)
class _Load:
    """A load under way: where to, of which content, and how many parts of what are done."""

    calls: Calls
    content: str
    run: str
    owner: str = field(default_factory=lambda: secrets.token_hex(8))
    part: int = 0
    resumed: bool = False
    done: set[str] = field(default_factory=set)
    rows: int = 0
    parts: int = 0

    def write(self, what: str, asked: Sequence[Asked]) -> None:
        """The next part, in one transaction with its row."""
        number = self.part + 1
        enter = Asked(_ENTER, (number, what, self.content, self.run, self.owner, time.time()))
        self._carry_out([enter, *asked], number)
        self.part, self.parts = number, self.parts + 1

    def begin(self, other: str) -> None:
        """Part 0, after which the database is not the one to use."""
        self._carry_out(_begin(self, other), 0)

    def _carry_out(self, asked: Sequence[Asked], number: int) -> None:
        try:
            self.calls.write(asked, is_done=lambda: self.has(number))
        except sqlite3.Error as problem:
            if self.has(number, by_anyone=True):
                raise Locked(
                    f"Another process is loading {self.calls.shown} too: leave it to one of them."
                ) from problem
            raise Refused(f"{self.calls.shown} refused a part of the load: {problem}.") from problem

    def once(self, what: str, asked: Sequence[Asked]) -> None:
        """A part that is done at most once, by whichever attempt."""
        if what not in self.done and asked:
            self.write(what, asked)
            self.done.add(what)

    def has(self, number: int, *, by_anyone: bool = False) -> bool:
        """Whether a part was done, by this attempt."""
        with suppress(sqlite3.OperationalError):  # there is no table yet
            sql = f"SELECT count(*) FROM {TABLE} WHERE part = ? AND (owner = ? OR ?)"
            return bool(self.calls.read(sql, (number, self.owner, int(by_anyone)))[0][0])
        return False


def load(calls: Calls, source: Path, *, run: str, other: str, progress: Progress) -> Loaded:
    """Put a file, that nobody writes to, into the database on a server, or go on with that; it is not opened yet.

    `other` is the database that is in use until then. Raises UsageError where the server's database holds something
    else, or cannot hold the file.
    """
    with errors_named(source), connect_file(source, read_only=True) as db:
        db.text_factory = decode
        here, there = local_schema(db), remote_schema(calls)
        _check_fits(here, there, calls.shown)
        if not there.has(TABLE) and _is_all(here, there):
            return Loaded(0, 0, resumed=True, was_whole=True)
        work = _begun(calls, there, content=digest_of(source), run=run, other=other)
        tables = moved_tables(db, without=BESIDES)
        large = {t.name for t in tables if _has_more(db, t, LARGE)}
        work.once("tables", _tables(here, tables))
        for index in here.of("index"):
            if index.table in large:
                work.once(f"index {index.name}", [Asked(index.sql or "")])
        for number, table in enumerate(tables):
            progress(0.9 * number / len(tables), f"loading {table.name}, after {work.rows:,} rows")
            _load_table(work, db, table)
        progress(0.9, "loading indexes, views and triggers")
        _load_rest(work, db, here)
        not_kept = (*_not_kept(here, there), *_load_statistics(work, db, here))
    return Loaded(work.rows, work.parts, resumed=work.resumed, not_kept=not_kept)


def open_loaded(calls: Calls) -> None:
    """Let a database that was loaded, and compared, be used; nothing is done where it is open already."""

    def is_open() -> bool:
        return not remote_schema(calls).has(TABLE)

    if not is_open():
        calls.write([Asked(f"DROP TABLE {moves.TABLE}"), Asked(f"DROP TABLE {TABLE}")], is_done=is_open)


def check_loadable(calls: Calls, *, resume: bool = False) -> None:
    """Raise UsageError where the database on a server is not empty; with `resume` an unfinished load may be there."""
    there = remote_schema(calls)
    if there.has(TABLE):
        if not resume:
            raise UsageError(
                f"{calls.shown} holds a load that was cut off, of run {_first(calls)[1]}: finish it with --resume and "
                "the --out of that run, or name an empty database."
            )
    elif found := _others(there):
        raise UsageError(
            f"{calls.shown} is not empty: it has {found[0].kind} {found[0].name}. Name an empty database with --target."
        )


def _first(calls: Calls) -> Row:
    return calls.read(f"SELECT content, run FROM {TABLE} ORDER BY part LIMIT 1")[0]


def _others(schema: Schema) -> list[Text]:
    return [o for o in schema.of("table", "index", "view", "trigger") if o.table.lower() not in BESIDES]


def _is_all(here: Schema, there: Schema) -> bool:
    own = [{(o.kind, o.name) for o in s.own() if o.table.lower() not in BESIDES} for s in (here, there)]
    return own[0] == own[1]


def _check_fits(here: Schema, there: Schema, shown: str) -> None:
    if here.header["encoding"] != there.header["encoding"]:
        raise UsageError(
            f"{shown} keeps texts in {there.header['encoding']}, and these are in {here.header['encoding']}, which "
            "would change how they sort: convert the file first, by .dump into a new one."
        )


def _not_kept(here: Schema, there: Schema) -> tuple[str, ...]:
    """What of the file's header a server keeps to itself."""
    names = [n for n in ("application_id", "user_version") if here.header[n] != there.header[n]]
    return tuple(f"{n} is {there.header[n]}, not {here.header[n]}" for n in names)


def _begun(calls: Calls, there: Schema, *, content: str, run: str, other: str) -> _Load:
    """A load that was begun now or before."""
    work = _Load(calls, content, run)
    if there.has(TABLE):
        known, of_run = _first(calls)
        if known != content:
            raise UsageError(
                f"{calls.shown} holds an unfinished load of something else, of run {of_run}: finish that one with "
                "--resume and its --out, or name an empty database."
            )
        rows = calls.read(
            f"SELECT part, what FROM {TABLE} WHERE what <> 'rows' OR part = (SELECT max(part) FROM {TABLE})"
        )
        work.part, work.done = max(r[0] for r in rows), {r[1] for r in rows} - {"rows"}
        work.resumed = True
        return work
    if found := _others(there):
        raise UsageError(f"{calls.shown} is not empty: it has {found[0].kind} {found[0].name}. Name an empty database.")
    work.begin(other)
    return work


def _begin(work: _Load, other: str) -> list[Asked]:
    """The statements of part 0. One that comes late, into a database that was filled meanwhile, fails by its number."""
    names = ", ".join(f"'{name}'" for name in sorted(BESIDES))
    number = (
        f"SELECT CASE count(*) WHEN 0 THEN 0 ELSE -1 END FROM sqlite_schema WHERE lower(tbl_name) NOT IN ({names}) "
        "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    )
    now = time.time()
    return [
        Asked(moves.DDL),
        Asked(_DDL),
        Asked(
            f"INSERT INTO {TABLE} VALUES (({number}), 'begin', ?, ?, ?, ?)", (work.content, work.run, work.owner, now)
        ),
        Asked(
            f"INSERT INTO {moves.TABLE} (id, state, shape, other, phase, run, plan, owner, at) "
            "VALUES (1, 'next', '', ?, 'load', ?, ?, ?, ?)",
            (other, work.run, work.content, work.owner, now),
        ),
    ]


def _tables(here: Schema, tables: Sequence[Moved]) -> list[Asked]:
    """All tables, virtual ones first; what the server puts into theirs goes, since what the file has in them comes."""
    made = [t for t in here.own() if t.kind == "table" and t.name.lower() not in BESIDES]
    ordered = sorted(made, key=lambda t: not t.is_virtual)
    emptied = [f"DELETE FROM {quoted(t.name)}" for t in tables if t.is_virtual]
    return [Asked(sql) for sql in (*(t.sql or "" for t in ordered), *emptied)]


def _has_more(db: sqlite3.Connection, table: Moved, count: int) -> bool:
    sql = f"SELECT EXISTS (SELECT 1 FROM main.{quoted(table.name)} LIMIT 1 OFFSET ?)"
    return bool(db.execute(sql, (count,)).fetchone()[0])


def _load_table(work: _Load, db: sqlite3.Connection, table: Moved) -> None:
    """The rows that come after the last one that the server has."""
    keys = ", ".join(quoted(k) for k in table.key)
    last = ", ".join(f"{quoted(k)} DESC" for k in table.key)
    found = work.calls.read(f"SELECT {keys} FROM {quoted(table.name)} ORDER BY {last} LIMIT 1") if work.resumed else []
    after = found[0] if found else None
    columns = ", ".join(map(quoted, table.moved_columns))
    where = range_condition(table, Range(after, None))
    cursor = db.execute(f"SELECT {columns} FROM main.{quoted(table.name)}{where} ORDER BY {keys}", after or ())
    size = BatchSize()
    for batch in batches(cursor, size):
        _load_batch(work, table, batch, size)


def _load_batch(work: _Load, table: Moved, batch: Sequence[Row], size: BatchSize) -> None:
    """A batch, in halves where it takes the server too long."""
    try:
        work.write("rows", inserts(table, batch))
    except TooMuch:
        if len(batch) == 1:
            raise
        size.halve()
        middle = len(batch) // 2
        for half in (batch[:middle], batch[middle:]):
            _load_batch(work, table, half, size)
        return
    size.learn(work.calls.seconds)
    work.rows += len(batch)


def _load_rest(work: _Load, db: sqlite3.Connection, here: Schema) -> None:
    """Marks of AUTOINCREMENT, indexes, views and triggers."""
    if here.has("sqlite_sequence"):
        marks = db.execute("SELECT name, seq FROM sqlite_sequence").fetchall()
        enter = "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)"
        work.once("marks", [Asked("DELETE FROM sqlite_sequence"), *(Asked(enter, row) for row in marks)])
    for index in here.of("index"):
        if index.table.lower() not in BESIDES:
            work.once(f"index {index.name}", [Asked(index.sql or "")])
    work.once("objects", [Asked(o.sql or "") for o in (*here.of("view"), *here.of("trigger"))])


def _load_statistics(work: _Load, db: sqlite3.Connection, here: Schema) -> tuple[str, ...]:
    """The planner's statistics as the file has them; only ANALYZE makes their table, and not every server runs it."""
    if not here.has("sqlite_stat1"):
        return ()
    rows = db.execute("SELECT tbl, idx, stat FROM sqlite_stat1").fetchall()
    enter = "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)"
    asked = [Asked("ANALYZE sqlite_schema"), Asked("DELETE FROM sqlite_stat1"), *(Asked(enter, row) for row in rows)]
    try:
        work.once("statistics", asked)
    except Refused:
        return ("statistics for the planner: it does not run ANALYZE",)
    return ()
