"""Damage to the schema: what a table, an index, a trigger or a view says, and the marks of ids given out."""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Callable
from typing import TypeAlias

from ptp.engine import quoted
from ptp.schema import Base
from ptp.workload.mutations.kinds import NotHere
from ptp.workload.mutations.tools import ask, behind, shuffled, text_of, write_text

Edit: TypeAlias = Callable[[str], str]
_TABLES = tuple(sorted(Base.metadata.tables))


def edit_line(db: sqlite3.Connection, rng: random.Random, *, pattern: str, becomes: str) -> str:
    """Change the text of a table at head where the pattern fits, once; an empty line goes with its comma."""
    spots = [(name, found) for name in _TABLES for found in re.finditer(pattern, text_of(db, name), re.MULTILINE)]
    name, found = rng.choice(spots)
    text = text_of(db, name)
    write_text(db, name, text[: found.start()] + found.expand(becomes) + text[found.end() :])
    return f"{name}: {' '.join(found[0].split()).strip(' ,')}"


def add_column(db: sqlite3.Connection, rng: random.Random) -> str:
    """Add a column to a table."""
    name = rng.choice(_TABLES)
    db.execute(f"ALTER TABLE {quoted(name)} ADD COLUMN added INTEGER")
    return f"{name}.added"


def rename_column(db: sqlite3.Connection, rng: random.Random) -> str:
    """Rename a column that nothing else names."""
    name = rng.choice(_TABLES)
    for column in shuffled([c.name for c in Base.metadata.tables[name].columns if not c.primary_key], rng):
        try:
            db.execute(f"ALTER TABLE {quoted(name)} RENAME COLUMN {quoted(column)} TO {quoted(column + '_old')}")
        except sqlite3.OperationalError:  # the text of a trigger names it
            continue
        return f"{name}.{column}"
    raise NotHere("every column is named by something else")


def drop_column(db: sqlite3.Connection, rng: random.Random) -> str:
    """Drop a column that nothing else names."""
    for name in shuffled(_TABLES, rng):
        for column in shuffled([c.name for c in Base.metadata.tables[name].columns if not c.primary_key], rng):
            try:
                db.execute(f"ALTER TABLE {quoted(name)} DROP COLUMN {quoted(column)}")
            except sqlite3.OperationalError:  # a rule, an index or a trigger names it
                continue
            return f"{name}.{column}"
    raise NotHere("every column is named by something else")


def drop_table(db: sqlite3.Connection, rng: random.Random) -> str:
    """Drop a table."""
    name = rng.choice(_TABLES)
    db.execute("PRAGMA foreign_keys = OFF")
    db.execute(f"DROP TABLE {quoted(name)}")
    return name


def add_object(db: sqlite3.Connection, rng: random.Random, *, sql: str) -> str:
    """Add a table, index, view or trigger, for `{table}` and `{column}`."""
    table = rng.choice(_TABLES)
    column = rng.choice([c.name for c in Base.metadata.tables[table].columns])
    db.execute(sql.format(table=quoted(table), column=quoted(column)))
    return f"on {table}.{column}"


def drop_object(db: sqlite3.Connection, rng: random.Random, *, kind: str) -> str:
    """Drop an index, a trigger or a view."""
    name = rng.choice(_names(db, kind))
    db.execute(f"DROP {kind} {quoted(name)}")
    return f"{kind} {name}"


def edit_index(db: sqlite3.Connection, rng: random.Random, *, edit: Edit) -> str:
    """Make an index anew by another text."""
    for name in shuffled(_names(db, "index"), rng):
        old = text_of(db, name)
        new = edit(old)
        if new != old:
            db.execute(f"DROP INDEX {quoted(name)}")
            db.execute(new)
            return f"index {name}: {new.partition(' ON ')[2]}"
    raise NotHere("no index has that")


def unique(sql: str) -> str:
    """Not unique any more."""
    return sql.replace("CREATE UNIQUE INDEX", "CREATE INDEX")


def where(sql: str) -> str:
    """Without its WHERE."""
    return sql.partition(" WHERE ")[0]


def narrower(sql: str) -> str:
    """With one more condition in its WHERE."""
    return f"{sql} AND 1" if " WHERE " in sql else sql


def ascending(sql: str) -> str:
    """Ascending where it was descending."""
    return sql.replace(" DESC", "", 1)


def descending(sql: str) -> str:
    """Its first plain column descending."""
    return re.sub(r"\((\w+)([,)])", r"(\1 DESC\2", sql, count=1)


def other_order(sql: str) -> str:
    """Its first two columns exchanged."""
    return re.sub(r"\((\w+), (\w+)([,)])", r"(\2, \1\3", sql, count=1)


def collated(sql: str) -> str:
    """Its first column without regard to case."""
    return re.sub(r"\((\w+)([,)])", r"(\1 COLLATE NOCASE\2", sql, count=1)


def wider(sql: str) -> str:
    """One column more."""
    return re.sub(r"\((\w+)([,)])", r"(\1, id\2", sql, count=1)


def edit_trigger(db: sqlite3.Connection, rng: random.Random) -> str:
    """Change a number or a comparison in a trigger's text."""
    for name in shuffled(_names(db, "trigger"), rng):
        old = text_of(db, name)
        for pattern, becomes in shuffled([(r"\b1\b", "2"), (r"\+", "-"), (r"=", "<>"), (r"AFTER", "BEFORE")], rng):
            spots = list(re.finditer(pattern, old))
            for spot in shuffled(spots, rng):
                new = old[: spot.start()] + becomes + old[spot.end() :]
                try:
                    db.execute(f"DROP TRIGGER {quoted(name)}")
                    db.execute(new)
                except sqlite3.OperationalError:  # that does not parse
                    db.execute(old)
                    continue
                return f"trigger {name}, character {spot.start()}: {spot[0]} becomes {becomes}"
    raise NotHere("no trigger has that")


def edit_own(db: sqlite3.Connection, rng: random.Random) -> str:
    """Change the schema of the tables that are ptp's own."""
    sql = rng.choice(
        (
            "DROP INDEX ptp_quarantine_place",
            "ALTER TABLE ptp_quarantine ADD COLUMN added TEXT",
            "ALTER TABLE ptp_journal ADD COLUMN added TEXT",
            "CREATE TABLE ptp_more (id INTEGER PRIMARY KEY)",
        )
    )
    db.execute(sql)
    return sql


def lower_mark(db: sqlite3.Connection, rng: random.Random) -> str:
    """Lower the mark of ids given out, so that one of them can be given out again."""
    name, mark = rng.choice(_marks(db))
    with behind(db):
        db.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (mark - rng.randint(1, min(mark, 3)), name))
    return f"{name}, below {mark}"


def lose_mark(db: sqlite3.Connection, rng: random.Random) -> str:
    """Remove the mark of ids given out."""
    name, mark = rng.choice(_marks(db))
    with behind(db):
        db.execute("DELETE FROM sqlite_sequence WHERE name = ?", (name,))
    return f"{name}, {mark}"


def _names(db: sqlite3.Connection, kind: str) -> list[str]:
    """Objects with a text of their own, but for ptp's."""
    sql = "SELECT name FROM sqlite_schema WHERE type = ? AND sql IS NOT NULL AND name NOT LIKE 'ptp%' ORDER BY 1"
    return [str(name) for (name,) in ask(db, sql, (kind,))]


def _marks(db: sqlite3.Connection) -> list[tuple[str, int]]:
    sql = "SELECT name, seq FROM sqlite_sequence WHERE seq > 0 AND name NOT LIKE 'ptp%' ORDER BY name"
    return [(str(name), int(mark)) for name, mark in ask(db, sql)]
