"""Damage to whole rows: lost, doubled, exchanged, invented."""

from __future__ import annotations

import random
import sqlite3

from ptp.engine import quoted
from ptp.schema import Base
from ptp.workload.mutations.kinds import NotHere
from ptp.workload.mutations.tools import ask, behind, count, head_tables, names_of, put_in, shuffled

_SMALL = 40
_CARRIED = ("release_notes",)


def lose_row(db: sqlite3.Connection, rng: random.Random) -> str:
    """Remove one row, and nothing that hangs on it."""
    table = rng.choice(head_tables(db))
    return _remove(db, table, rng.choice(_keys(db, table)))


def lose_last_row(db: sqlite3.Connection, rng: random.Random) -> str:
    """Remove the last row of a table."""
    table = rng.choice(head_tables(db))
    return _remove(db, table, _keys(db, table)[-1])


def lose_carried_row(db: sqlite3.Connection, rng: random.Random) -> str:
    """Remove a row of a table that no shape knows."""
    table = rng.choice(_CARRIED)
    return _remove(db, table, rng.choice(_keys(db, table)))


def empty_table(db: sqlite3.Connection, rng: random.Random) -> str:
    """Remove all rows of a small table."""
    table = rng.choice([t for t in head_tables(db) if count(db, t) <= _SMALL])
    with behind(db):
        rows = db.execute(f"DELETE FROM {quoted(table)}").rowcount
    return f"{table}: all {rows} rows"


def double_row(db: sqlite3.Connection, rng: random.Random) -> str:
    """Add a copy of a row under a new id, in a table that has no other unique key."""
    table = rng.choice([t for t in head_tables(db) if not _has_unique(db, t)])
    key = rng.choice(_keys(db, table))
    columns = ", ".join(quoted(n) for n in names_of(db, table) if n != "id")
    new = f"{key}-copy" if isinstance(key, str) else 1_000_000 + key
    with behind(db):
        copied = f"INSERT INTO {quoted(table)} (id, {columns}) SELECT ?, {columns} FROM {quoted(table)} WHERE id = ?"
        db.execute(copied, (new, key))
    return f"{table} {key!r}, again as {new!r}"


def invent_row(db: sqlite3.Connection, rng: random.Random) -> str:
    """Add a row to a table that the source does not have."""
    empty = [t for t in sorted(Base.metadata.tables) if not count(db, t)]
    if not empty:
        raise NotHere("the source has rows for every table")
    table = Base.metadata.tables[rng.choice(empty)]
    needed = [c for c in table.columns if c.primary_key or not c.nullable]
    texts = {"text": "made up", "date": "2025-01-01"}
    values = [texts.get(c.info["conversion"].kind, 1) for c in needed]
    names = ", ".join(quoted(c.name) for c in needed)
    with behind(db):
        db.execute(f"INSERT INTO {quoted(table.name)} ({names}) VALUES ({', '.join('?' for _ in values)})", values)
    return f"{table.name}, which the source has not"


def move_row(db: sqlite3.Connection, rng: random.Random) -> str:
    """Give a row another key."""
    table = rng.choice(head_tables(db))
    key = rng.choice(_keys(db, table))
    new = f"{key}-moved" if isinstance(key, str) else 1_000_000 + key
    with behind(db):
        db.execute(f"UPDATE {quoted(table)} SET id = ? WHERE id = ?", (new, key))
    return f"{table} {key!r}, now {new!r}"


def swap_rows(db: sqlite3.Connection, rng: random.Random) -> str:
    """Exchange two rows' keys, so that each stands under the other's."""
    table = rng.choice([t for t in head_tables(db) if count(db, t) > 1])
    one, other = rng.sample(_keys(db, table), 2)
    between = "\x01" if isinstance(one, str) else -1
    with behind(db):
        for new, old in ((between, one), (one, other), (other, between)):
            db.execute(f"UPDATE {quoted(table)} SET id = ? WHERE id = ?", (new, old))
    return f"{table} {one!r} and {other!r}"


def swap_values(db: sqlite3.Connection, rng: random.Random) -> str:
    """Exchange two rows' values of one column."""
    for table in shuffled(head_tables(db), rng):
        for column in shuffled([n for n in names_of(db, table) if n != "id"], rng):
            rows = shuffled(ask(db, f"SELECT id, {quoted(column)} FROM {quoted(table)}"), rng)
            one = rows[0]
            other = next((row for row in rows if repr(row[1]) != repr(one[1])), None)
            # Where a unique key stands in the way the first goes alone, which is no exchange: another column, then.
            if other and not _has_unique(db, table):
                put_in(db, table, column, one[0], other[1])
                put_in(db, table, column, other[0], one[1])
                return f"{table} {one[0]!r} and {other[0]!r}, {column}"
    raise NotHere("no column has two values")


def swap_users(db: sqlite3.Connection, rng: random.Random) -> str:
    """Exchange all that two users have in one table."""
    owned = [t for t in head_tables(db) if "user_id" in names_of(db, t)]
    for table in shuffled(owned, rng):
        name = quoted(table)
        users = [u for (u,) in ask(db, f"SELECT DISTINCT user_id FROM {name} WHERE user_id IS NOT NULL ORDER BY 1")]
        if len(users) > 1:
            one, other = rng.sample(users, 2)
            with behind(db):
                for new, old in ((-1, one), (one, other), (other, -1)):
                    db.execute(f"UPDATE {name} SET user_id = ? WHERE user_id = ?", (new, old))
            return f"{table}, users {one} and {other}"
    raise NotHere("no table has rows of two users")


def _remove(db: sqlite3.Connection, table: str, key: object) -> str:
    with behind(db):
        db.execute(f"DELETE FROM {quoted(table)} WHERE id = ?", (key,))
    return f"{table} {key!r}"


def _keys(db: sqlite3.Connection, table: str) -> list[int | str]:
    """All keys of a table, in order."""
    return [key for (key,) in ask(db, f"SELECT id FROM {quoted(table)} ORDER BY id")]


def _has_unique(db: sqlite3.Connection, table: str) -> bool:
    return any(origin == "u" for _, _, _, origin, _ in ask(db, f"PRAGMA index_list({quoted(table)})"))
