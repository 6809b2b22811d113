"""What a kind of damage is, and `inflict`, which makes sure that it really changed something."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, TypeAlias, get_args

from ptp.engine import quoted
from ptp.errors import CannotFinish
from ptp.workload.mutations.tools import ask

Group: TypeAlias = Literal["rows", "values", "references", "schema", "derived", "journal", "quarantine"]
GROUPS: tuple[str, ...] = get_args(Group)

Damage: TypeAlias = Callable[[sqlite3.Connection, random.Random], str]
"""Damages a database at a random place and says where; raises NotHere where there is nothing that it could damage."""


class NotHere(Exception):
    """A kind cannot apply to this target; the message is the reason."""


class NoDamage(CannotFinish):
    """A mutation changed nothing, or more than it says: what a verifier makes of it would show nothing."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of damage: `id` for scripts, `words` for the reader."""

    id: str
    words: str
    group: Group
    damage: Damage


def inflict(kind: Kind, db: sqlite3.Connection, rng: random.Random) -> str:
    """Damage the database and say where.

    Raises NotHere where the kind cannot apply, and NoDamage unless something changed: rows, and for kinds of the
    group schema the schema or the marks. Any other kind must leave the schema exactly as it was, or the schema
    would be what a verifier finds.
    """
    schema, rows = _schema(db), _rows(db)
    where = kind.damage(db, rng)
    schema_after, rows_after = _schema(db), _rows(db)
    if (schema, rows) == (schema_after, rows_after):
        raise NoDamage(f"The mutation {kind.id} changed nothing ({where}).")
    if kind.group != "schema" and schema != schema_after:
        raise NoDamage(f"The mutation {kind.id} changed the schema too ({where}).")
    return where


def _schema(db: sqlite3.Connection) -> list[tuple[object, ...]]:
    """Every object with its text, in an order that does not depend on when it was created."""
    return sorted(ask(db, "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema"))


def _rows(db: sqlite3.Connection) -> dict[str, str]:
    """A digest of every table's rows in bits and storage class, those of indexes' own tables included."""
    names = "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
    tables = [str(name) for name, _ in ask(db, names)]
    found = {name: ask(db, f"SELECT * FROM {quoted(name)} NOT INDEXED") for name in tables}
    # An index that is out of step with its table is damage too, and only reading through it shows that.
    indexed = ask(db, "SELECT name, tbl_name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL")
    for index, table in indexed:
        found[f"{index}"] = _through(db, str(index), str(table))
    return {name: blake2b(repr(rows).encode("utf-8", "surrogatepass")).hexdigest() for name, rows in found.items()}


def _through(db: sqlite3.Connection, index: str, table: str) -> list[tuple[object, ...]]:
    """How many rows are found by way of an index (a plain count takes whichever it likes); none where it is partial."""
    try:
        return ask(db, f"SELECT total(1) FROM {quoted(table)} INDEXED BY {quoted(index)}")
    except sqlite3.OperationalError:
        return []
