"""The copies that engines work on: made alike, cut down where an engine cannot take the file, compared afterwards."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ptp.engine import Table, connect_file, quoted, read_inventory
from ptp.engine.candidates import EngineName, Facts
from ptp.engine.meters import Statement
from ptp.workbench.engine_rows import SAME, Difference, Likeness, compare
from ptp.workbench.engine_worker import EngineGone, EngineProcess, EngineRefused

Pragmas: TypeAlias = Sequence[tuple[str, Any]]
"""Settings of a connection, each with its value."""

_MOST_LEFT_OUT = 5
_COMPANIONS = ("", "-wal", "-shm", "-journal")
_WRITES = (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An object that an engine's copy is without, what went with it, and the error that it stood for."""

    name: str
    kind: str
    also: tuple[str, ...]
    error: str

    def __str__(self) -> str:
        """The object in words."""
        also = f" and {len(self.also)} triggers that write to it" if self.also else ""
        return f"{self.kind} {self.name}{also} ({self.error})"


@dataclass(frozen=True, slots=True)
class Ready:
    """An engine that has its copy open; `absent` is why it has not, in a sentence."""

    facts: Facts | None
    left_out: tuple[LeftOut, ...] = ()
    absent: str = ""


def fresh(master: Path, copy: Path) -> None:
    """Make `copy` what `master` is; nobody may have either open."""
    remove(copy)
    shutil.copyfile(master, copy)


def remove(path: Path) -> None:
    """Remove a database with what stands beside it."""
    for suffix in _COMPANIONS:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def make_ready(engine: EngineProcess, master: Path, copy: Path, pragmas: Pragmas) -> Ready:
    """Open a copy by an engine, without the objects that keep it from serving the others, if that is what it takes.

    An engine may refuse the file for one object, or leave out silently what stands after it in the schema: then it
    finds no index either, and what would be measured is not the engine but the gap. EngineGone where it dies.
    """
    fresh(master, copy)
    left_out: list[LeftOut] = []
    while True:
        try:
            facts = engine.open(copy, pragmas)
            unread = engine.unread([name for name, _ in _tables(master, left_out)])
        except EngineRefused as refusal:
            stopper = first_refused(engine.name, copy)
            error = str(refusal)
        else:
            if not unread:
                return Ready(facts, tuple(left_out))
            stopper, error = next(iter(unread)), next(iter(unread.values()))
        with suppress(EngineRefused):
            engine.close()
        found = _drop(copy, stopper, error) if stopper and len(left_out) < _MOST_LEFT_OUT else None
        if found is None:
            about = f", for {stopper}" if stopper else ""
            return Ready(None, tuple(left_out), f"{engine.name} cannot serve this file{about}: {error}")
        left_out.append(found)


def first_refused(name: EngineName, path: Path) -> str | None:
    """The first object for which an engine refuses a file: found on small files with parts of the schema, by halves."""
    with connect_file(path, read_only=True) as db:
        sql = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
        shadows = {row[1] for row in db.execute("PRAGMA table_list") if row[2] == "shadow"}
        objects = [(n, text) for n, text in db.execute(sql).fetchall() if n not in shadows]
    part = path.with_name(f"{path.stem}-part.db")
    low, high = 0, len(objects)
    if _opens(name, part, [text for _, text in objects]):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if _opens(name, part, [text for _, text in objects[:middle]]):
            low = middle
        else:
            high = middle
    return objects[high - 1][0] if objects else None


def _opens(name: EngineName, part: Path, schema: Iterable[str]) -> bool:
    remove(part)
    try:
        with connect_file(part) as db:
            for sql in schema:
                db.execute(sql)
        engine = EngineProcess(name)  # of its own each time: an engine may panic
        try:
            engine.open(part, ())
            return True
        except (EngineRefused, EngineGone):
            return False
        finally:
            engine.end()
    finally:
        remove(part)


def _tables(path: Path, left_out: Sequence[LeftOut]) -> list[tuple[str, str]]:
    """The tables and views in the order of the schema, each with its text, but for what was left out and shadows."""
    gone = {one.name for one in left_out}
    with connect_file(path, read_only=True) as db:
        shadows = {row[1] for row in db.execute("PRAGMA table_list") if row[2] == "shadow"}
        sql = (
            "SELECT name, sql FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' "
            "ORDER BY rowid"
        )
        return [(name, text) for name, text in db.execute(sql).fetchall() if name not in shadows | gone]


def _drop(copy: Path, name: str, error: str) -> LeftOut | None:
    """Take an object out of a copy, with the triggers that write to it; None for one that holds rows of its own."""
    with connect_file(copy) as db:
        kind, text = db.execute("SELECT type, sql FROM sqlite_schema WHERE name = ?", (name,)).fetchone()
        is_virtual = kind == "table" and re.match(r"\s*CREATE\s+VIRTUAL\b", text, re.IGNORECASE) is not None
        if kind == "table" and not is_virtual:
            return None
        triggers = db.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        word = re.compile(rf"\b{re.escape(name)}\b", re.IGNORECASE)
        also = [trigger for trigger, sql in triggers if is_virtual and word.search(sql.partition("BEGIN")[2])]
        for trigger in also:
            db.execute(f"DROP TRIGGER {quoted(trigger)}")
        db.execute(f"DROP {kind} {quoted(name)}")
    return LeftOut(name, "virtual table" if is_virtual else kind, tuple(also), error)


def written_tables(path: Path, statements: Iterable[Statement]) -> frozenset[str]:
    """The tables that statements write to, their triggers included; nothing is executed."""
    found: set[str] = set()

    def seen(action: int, table: str | None, *_: str | None) -> int:
        if action in _WRITES and table and not table.startswith("sqlite_"):
            found.add(table)
        return sqlite3.SQLITE_OK

    with connect_file(path) as db:
        for sql, values in {s.sql: s.parameters for s in statements}.items():
            db.set_authorizer(seen)
            db.execute(f"EXPLAIN {sql}", values).close()
            db.set_authorizer(None)
    return frozenset(found)


def table_difference(reference: Path, other: Path, tables: Iterable[str]) -> Difference:
    """The worst difference between the named tables of two files; an index for searching is proven whole.

    Found by sqlite3, in values and types. Nobody may have the files open.
    """
    found = SAME
    with connect_file(other) as db:
        inventory = read_inventory(db)
        db.execute("ATTACH ? AS reference", (str(reference),))
        for name in sorted(set(tables) & set(inventory.tables)):
            table = inventory.tables[name]
            seen = _unsound(db, table) if table.is_virtual else _unlike_rows(db, table)
            found = max(found, seen, key=lambda one: one.likeness)
    return found


def _unlike_rows(db: sqlite3.Connection, table: Table) -> Difference:
    """The worst difference between rows of one key, and whether either side has rows that the other has not."""
    name = quoted(table.name)
    sizes = [db.execute(f"SELECT count(*) FROM {side}.{name}").fetchone()[0] for side in ("main", "reference")]
    if sizes[0] != sizes[1]:
        return Difference(Likeness.WRONG, f"{table.name} has {sizes[0]:,} rows where sqlite3 has {sizes[1]:,}")
    on = " AND ".join(f"a.{quoted(c)} = b.{quoted(c)}" for c in table.key)
    columns = [quoted(c) for c in table.stored_columns]
    told = columns
    # A STRICT table holds each column in its type; elsewhere a value may be of another one and equal all the same.
    if not re.search(r"\bSTRICT\b", table.sql.rpartition(")")[2], re.IGNORECASE):
        told = [*columns, *(f"typeof({c})" for c in columns)]
    values, others = (", ".join(_of(side, c) for c in told) for side in ("a", "b"))
    both = ", ".join(_of(side, c) for side in ("a", "b") for c in columns)
    sql = (
        f"SELECT {both}, b.{quoted(table.key[0])} IS NULL FROM main.{name} AS a LEFT JOIN reference.{name} AS b "
        f"ON {on} WHERE ({values}) IS NOT ({others})"
    )
    found, rows = SAME, 0
    for *row, is_new in db.execute(sql):
        rows += 1
        mine, theirs = row[: len(columns)], row[len(columns) :]
        seen = Difference(Likeness.WRONG, "a row that it has not") if is_new else compare("ORDER BY", [mine], [theirs])
        found = max(found, seen, key=lambda one: one.likeness)
    if found.likeness is Likeness.SAME:
        return SAME
    return Difference(found.likeness, f"{rows:,} rows of {table.name} are not as sqlite3 wrote them: {found.text}")


def _of(side: str, column: str) -> str:
    """A column, or its type, of one side of a join."""
    return column.replace("typeof(", f"typeof({side}.") if column.startswith("typeof(") else f"{side}.{column}"


def _unsound(db: sqlite3.Connection, table: Table) -> Difference:
    """Whether a full-text index says what its table says; of other virtual tables nothing is known."""
    if not re.search(r"\bUSING\s+fts5\b", table.sql, re.IGNORECASE):
        return SAME
    name = quoted(table.name)
    try:
        db.execute(f"INSERT INTO {name} ({name}, rank) VALUES ('integrity-check', 1)")
    except sqlite3.DatabaseError as problem:
        return Difference(Likeness.WRONG, f"{table.name} does not say what its table says any more ({problem})")
    return SAME
