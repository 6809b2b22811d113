"""Ways around what guards a database: triggers, CHECK rules, references and the types of STRICT tables.

Whatever is put out of force is put back exactly as it was.
"""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ptp.conversions import Choice, Conversion, Value
from ptp.engine import quoted
from ptp.schema import Base


@dataclass(frozen=True, slots=True)
class Place:
    """A column of a table at head, whose rows are told apart by `id`."""

    table: str
    column: str
    conversion: Conversion

    @property
    def choices(self) -> tuple[str, ...]:
        """The texts that the column may hold; none where it may hold any."""
        return self.conversion.rule.values if isinstance(self.conversion.rule, Choice) else ()


def ask(db: sqlite3.Connection, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """All rows of a query; bytes of texts that are not UTF-8 stand as surrogate escapes."""
    db.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    try:
        return db.execute(sql, values).fetchall()
    finally:
        db.text_factory = str


def count(db: sqlite3.Connection, table: str) -> int:
    """The number of a table's rows."""
    return int(ask(db, f"SELECT count(*) FROM {quoted(table)}")[0][0])


def shuffled(items: Sequence[Any], rng: random.Random) -> list[Any]:
    """The items in a random order."""
    return rng.sample(items, len(items))


def head_tables(db: sqlite3.Connection) -> list[str]:
    """The tables of the models that hold rows, by name."""
    return [name for name in sorted(Base.metadata.tables) if count(db, name)]


def places(db: sqlite3.Connection, rng: random.Random, *, kinds: tuple[str, ...]) -> Iterator[Place]:
    """Columns of those kinds that came from the source and are no key, table by table, in a random order."""
    for name in shuffled(head_tables(db), rng):
        columns = [c for c in Base.metadata.tables[name].columns if not (c.info["head_only"] or c.primary_key)]
        fit = [c for c in columns if c.info["conversion"].kind in kinds and not c.foreign_keys]
        for column in shuffled(fit, rng):
            yield Place(name, column.name, column.info["conversion"])


def references(db: sqlite3.Connection, rng: random.Random) -> Iterator[tuple[str, str, str, bool]]:
    """Table, column, parent and whether it may be NULL, of the references at head, in a random order."""
    for name in shuffled(head_tables(db), rng):
        columns = [c for c in Base.metadata.tables[name].columns if c.foreign_keys]
        for column in shuffled(columns, rng):
            (key,) = column.foreign_keys
            yield name, column.name, key.column.table.name, bool(column.nullable)


@contextmanager
def behind(db: sqlite3.Connection) -> Iterator[None]:
    """Within it, in one transaction, no trigger fires and neither CHECK rules nor references hold."""
    triggers = ask(db, "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY rowid")
    db.execute("PRAGMA foreign_keys = OFF")
    db.execute("PRAGMA ignore_check_constraints = ON")
    db.execute("BEGIN")
    try:
        for name, _ in triggers:
            db.execute(f"DROP TRIGGER {quoted(name)}")
        yield
        for _, sql in triggers:
            db.execute(sql)
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
        db.execute("PRAGMA ignore_check_constraints = OFF")


def text_of(db: sqlite3.Connection, name: str) -> str:
    """The text of a table, index, view or trigger."""
    return str(ask(db, "SELECT sql FROM sqlite_schema WHERE name = ?", (name,))[0][0])


def write_text(db: sqlite3.Connection, name: str, sql: str) -> None:
    """Let a table, index, view or trigger have another text, with nothing else changed."""
    db.execute("PRAGMA writable_schema = ON")
    written = db.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (sql, name)).rowcount
    db.execute("PRAGMA writable_schema = RESET")
    assert written == 1, f"{written} objects {name}"


@contextmanager
def untyped(db: sqlite3.Connection, table: str, column: str) -> Iterator[None]:
    """Within it a column of a table at head takes a value of any storage class as it is, and NULL."""
    strict = text_of(db, table)
    # A column named by a type, such as one called text, must be matched as a whole line.
    line = re.compile(rf"^(\s*{re.escape(column)}) (?:INTEGER|REAL|TEXT)\b(?: NOT NULL)?", re.MULTILINE)
    loose, changed = line.subn(r"\1 BLOB", strict)
    assert changed == 1, f"{changed} columns {table}.{column}"
    write_text(db, table, loose.replace(") STRICT", ")"))
    yield
    write_text(db, table, strict)


def put(db: sqlite3.Connection, place: Place, key: Value, value: Value) -> bool:
    """Give one value another one, exactly as it is; False, with nothing done, where a unique key forbids it."""
    return put_in(db, place.table, place.column, key, value)


def put_in(db: sqlite3.Connection, table: str, column: str, key: Value, value: Value) -> bool:
    """As `put`, by the names of table and column."""
    mark, bound = (
        ("CAST(? AS TEXT)", value.encode("utf-8", "surrogateescape")) if isinstance(value, str) else ("?", value)
    )
    with behind(db), untyped(db, table, column):
        sql = f"UPDATE OR IGNORE {quoted(table)} SET {quoted(column)} = {mark} WHERE id = ?"
        return db.execute(sql, (bound, key)).rowcount == 1


def names_of(db: sqlite3.Connection, table: str) -> list[str]:
    """The columns of a table."""
    return [str(name) for _, name, *_ in ask(db, f"PRAGMA table_info({quoted(table)})")]
