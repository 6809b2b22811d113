"""Mirror: a file that equals a database on a server, proven by digests; all else is then work on a file.

Rows come by key range and are committed page by page, so a pull that was cut off goes on after the last key that the
file holds. What was written meanwhile is found by comparing, and fetched anew, until nothing differs. Indexes, views
and triggers come last.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ptp.engine import connect_file, errors_named, quoted
from ptp.engine.range_digests import Range, local_side, range_condition
from ptp.engine.remote_calls import Asked, Calls
from ptp.errors import CannotFinish, UsageError
from ptp.migration.backup import sync
from ptp.migration.build import partial_of, remove_partial
from ptp.migration.remote.comparing import Comparison, Seen
from ptp.migration.remote.reading import Reader, insert
from ptp.migration.remote.schema import Moved, Schema, Text, differences, local_schema, moved_tables, remote_schema
from ptp.migration.same import count_rows

Progress = Callable[[float, str], None]
ROUNDS = 8
_KEPT = 'SELECT rowid, name, seq FROM "sqlite_sequence" ORDER BY rowid'
_MARKS = 'SELECT name, seq FROM "sqlite_sequence" ORDER BY name, seq'
_STATISTICS = 'SELECT tbl, idx, stat FROM "sqlite_stat1" ORDER BY tbl, idx'


@dataclass(frozen=True, slots=True)
class Pulled:
    """A proven mirror: rows by table, rows that were fetched, what the last comparison saw, and how often it was made.

    `resumed` is whether it went on from what an earlier one had.
    """

    path: Path
    rows: Mapping[str, int]
    fetched: int
    seen: Seen
    rounds: int
    resumed: bool


def pull(calls: Calls, into: Path, *, quiet_rounds: int = 2, progress: Progress) -> Pulled:
    """Make `into` a file that equals the database on a server, from what an earlier pull left there, if it did.

    It is done when as many comparisons in a row found nothing: with two of them there was a moment, between them, at
    which all of it was so. Raises UsageError for what no file can hold, and CannotFinish where somebody keeps writing.
    """
    schema = remote_schema(calls)
    if schema.has("ptp_load"):
        raise UsageError(f"{calls.shown} holds a load that was cut off, and is not whole: finish that first.")
    if not schema.of("table"):
        raise UsageError(f"{calls.shown} has no table: there is nothing to copy.")
    partial = partial_of(into)
    resumed = _prepared(into, partial, schema)
    with errors_named(into), _opened(partial) as db:
        if not resumed:
            _make_tables(db, schema, calls.shown)
        tables = moved_tables(db)
        _check_tables(schema, tables)
        fetched = _fill(db, Reader(calls), tables, progress)
        again, rounds, seen = _settle(db, calls, tables, schema, quiet_rounds=quiet_rounds, progress=progress)
        _finish(db, calls, schema)
        rows = count_rows(db)
    with errors_named(into):
        sync(partial)
        partial.replace(into)
        sync(into.parent)
    return Pulled(into, rows, fetched + again, seen, rounds, resumed)


def check_equal(
    calls: Calls, mirror: Path, *, besides: Collection[str] = (), progress: Progress
) -> tuple[list[str], Seen]:
    """In what a database on a server differs from a file now, in words, and how much was compared.

    Tables of the names `besides` are not looked at.
    """
    with errors_named(mirror), connect_file(mirror, read_only=True) as db:
        here, there = local_schema(db), remote_schema(calls)
        own = [[o for o in schema.own() if o.table.lower() not in besides] for schema in (here, there)]
        if changed := differences(*own):
            return changed, Seen()
        comparison = Comparison(local_side(db), calls)
        tables, found = moved_tables(db, without=besides), list[str]()
        comparison.fetch_small(tables)
        for number, table in enumerate(tables):
            progress(number / len(tables), f"comparing {table.name} with {calls.shown}")
            found += [f"{table.name}, {_words(part)}" for part in comparison.differing(table)]
        if here.has("sqlite_sequence") and calls.read(_MARKS) != db.execute(_MARKS).fetchall():
            found.append("the marks of AUTOINCREMENT")
        return found, comparison.seen


def kept_by_virtual(db: sqlite3.Connection) -> frozenset[str]:
    """The tables in which virtual ones keep their content: versions of SQLite may lay out the same in other ways."""
    return frozenset(t.name for t in moved_tables(db) if t.is_virtual)


def _words(part: Range) -> str:
    """A range as it is told: without a text, which may be somebody's."""
    shown = [
        "…" if key is None else ", ".join(str(v) if isinstance(v, int) else f"a {type(v).__name__}" for v in key)
        for key in (part.after, part.upto)
    ]
    return f"keys after {shown[0]} to {shown[1]}"


def _prepared(into: Path, partial: Path, schema: Schema) -> bool:
    """Whether there is a file to go on with, which then stands under the name of one that is not whole."""
    if into.exists():
        remove_partial(into)
        into.replace(partial)
    if partial.exists() and _fits(partial, schema):
        return True
    remove_partial(into)
    return False


def _fits(partial: Path, schema: Schema) -> bool:
    """Whether a file has the tables of a schema; its other objects, which come last, are taken away."""
    try:
        with closing(sqlite3.connect(partial, isolation_level=None)) as db:
            found = local_schema(db)
            texts = [[o for o in s.own() if o.kind == "table"] for s in (found, schema)]
            if differences(*texts) or found.header != schema.header:
                return False
            for item in found.of("trigger", "view", "index"):
                db.execute(f"DROP {item.kind} {quoted(item.name)}")
            return True
    except sqlite3.DatabaseError:  # whatever it is, it is no use
        return False


@contextmanager
def _opened(partial: Path) -> Iterator[sqlite3.Connection]:
    """The file while it is filled: pages that were committed outlive whoever is killed."""
    with connect_file(partial) as db:
        yield db
        db.execute("PRAGMA journal_mode = DELETE")


def _make_tables(db: sqlite3.Connection, schema: Schema, shown: str) -> None:
    """The tables of a schema, in a new file with its header; virtual ones first, as they make some of the others."""
    for name in ("encoding", "page_size", "auto_vacuum", "application_id", "user_version"):
        value = schema.header[name]
        db.execute(f"PRAGMA {name} = {value!r}" if isinstance(value, str) else f"PRAGMA {name} = {int(value)}")
    db.execute("PRAGMA journal_mode = WAL")
    tables = schema.of("table")
    db.execute("BEGIN")
    for table in sorted(tables, key=lambda t: not t.is_virtual):
        if not local_schema(db).has(table.name):
            _make(db, table, shown)
    db.execute("COMMIT")


def _make(db: sqlite3.Connection, item: Text, shown: str) -> None:
    try:
        db.execute(item.sql or "")
    except sqlite3.Error as problem:
        raise UsageError(
            f"{shown} has the {item.kind} {item.name}, which SQLite {sqlite3.sqlite_version} cannot make: {problem}."
        ) from problem


def _check_tables(schema: Schema, tables: Sequence[Moved]) -> None:
    """Every table of the schema is there; those of virtual tables are made by this SQLite as it makes them."""
    known = {t.name for t in tables} | {o.name for o in schema.objects if o.is_virtual}
    if lost := [o.name for o in schema.of("table") if o.name not in known]:
        raise UsageError(f"The table {lost[0]} cannot be copied: this SQLite keeps such content in other tables.")
    theirs = {o.name for o in schema.objects}
    for table in tables:
        if table.name not in theirs:
            raise UsageError(f"The server keeps the content of {table.name} in other tables than this SQLite.")


def _fill(db: sqlite3.Connection, reader: Reader, tables: Sequence[Moved], progress: Progress) -> int:
    """Fetch every table from after the last key that the file holds; the number of rows."""
    db.execute("PRAGMA ignore_check_constraints = ON")
    fetched = 0
    for number, table in enumerate(tables):
        keys = [quoted(k) for k in table.key]
        backwards = ", ".join(f"{k} DESC" for k in keys)
        last = db.execute(f"SELECT {', '.join(keys)} FROM {quoted(table.name)} ORDER BY {backwards} LIMIT 1").fetchone()
        if table.is_virtual:  # what this SQLite put there when it made them is not what the server has
            last = None
        for page in reader.pages(table, Range(last, None)):
            with _transaction(db):
                insert(db, table, page)
            fetched += len(page.rows)
            progress(0.6 * number / len(tables), f"copying {table.name}: {fetched:,} rows")
    return fetched


def _settle(
    db: sqlite3.Connection,
    calls: Calls,
    tables: Sequence[Moved],
    schema: Schema,
    *,
    quiet_rounds: int,
    progress: Progress,
) -> tuple[int, int, Seen]:
    """Compare and fetch what differs until nothing does; rows fetched, rounds, and what the last comparison saw."""
    quiet, fetched, reader = 0, 0, Reader(calls)
    for number in range(1, ROUNDS + quiet_rounds):
        comparison = Comparison(local_side(db), calls)
        comparison.fetch_small(tables)
        for at, table in enumerate(tables):
            progress(0.6 + 0.3 * at / len(tables), f"comparing {table.name}, round {number}")
            for part in comparison.differing(table):
                fetched += _replace(db, reader, table, part)
        quiet = 0 if comparison.seen.differing else quiet + 1
        if remote_schema(calls).objects != schema.objects:
            raise CannotFinish(
                f"The schema of {calls.shown} changed while it was copied: run the command again when that has settled."
            )
        if quiet >= quiet_rounds:
            return fetched, number, comparison.seen
    raise CannotFinish(
        f"{calls.shown} is written to faster than it can be copied: after {ROUNDS} rounds something still differs. "
        "Stop what writes to it, and run the same command again; it goes on from what it has."
    )


def _replace(db: sqlite3.Connection, reader: Reader, table: Moved, part: Range) -> int:
    """Put the server's rows of a range in the place of those of the file; how many they are."""
    count, bounds = 0, (*(part.after or ()), *(part.upto or ()))
    with _transaction(db):
        db.execute(f"DELETE FROM main.{quoted(table.name)}{range_condition(table, part)}", bounds)
        for page in reader.pages(table, part, careful=True):
            insert(db, table, page)
            count += len(page.rows)
    return count


def _finish(db: sqlite3.Connection, calls: Calls, schema: Schema) -> None:
    """What comes after the rows: marks, statistics, indexes, views and triggers; all in one transaction."""
    has_marks, has_statistics = schema.has("sqlite_sequence"), schema.has("sqlite_stat1")
    asked = [Asked(_KEPT)] * has_marks + [Asked(_STATISTICS)] * has_statistics
    found = calls.read_all(asked) if asked else []
    with _transaction(db):
        if has_marks:
            db.execute("DELETE FROM sqlite_sequence")
            db.executemany("INSERT INTO sqlite_sequence (rowid, name, seq) VALUES (?, ?, ?)", found[0])
        for item in (*schema.of("index"), *schema.of("view"), *schema.of("trigger")):
            _make(db, item, calls.shown)
        if has_statistics:
            db.execute("ANALYZE sqlite_schema")
            db.execute("DELETE FROM sqlite_stat1")
            db.executemany("INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", found[-1])


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
