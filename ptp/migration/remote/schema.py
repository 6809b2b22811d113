"""The schema of a database as its text, here or on a server, and the tables as their rows go over a network."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

from ptp.engine import Table, read_inventory
from ptp.engine.remote_calls import Asked, Calls
from ptp.errors import UsageError

OBJECTS = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY rowid"
HEADER = ("encoding", "page_size", "auto_vacuum", "application_id", "user_version")
SERVERS_OWN = frozenset(("_litestream_seq", "_litestream_lock", "libsql_wasm_func_table"))
"""Tables that a server keeps for itself in a database: nobody else may write to them."""
_VIRTUAL = re.compile(r"\s*CREATE\s+VIRTUAL\s", re.IGNORECASE)


class Text(NamedTuple):
    """An object of a schema; `sql` is None for an index that a rule of its table made."""

    kind: str
    name: str
    table: str
    sql: str | None

    @property
    def is_virtual(self) -> bool:
        """Whether it is a virtual table."""
        return self.kind == "table" and bool(_VIRTUAL.match(self.sql or ""))


@dataclass(frozen=True, slots=True)
class Schema:
    """All objects in the order in which they were made, and what the file's header says."""

    objects: tuple[Text, ...]
    header: Mapping[str, str | int]

    def of(self, *kinds: str) -> list[Text]:
        """The objects of some kinds that somebody made, and not SQLite itself."""
        return [o for o in self.objects if o.kind in kinds and o.sql and not o.name.lower().startswith("sqlite_")]

    def own(self) -> list[Text]:
        """The objects whose text matters: not the tables of virtual ones, which each version of SQLite words anew."""
        virtual = [f"{o.name}_" for o in self.objects if o.is_virtual]
        return [o for o in self.of("table", "index", "view", "trigger") if not o.table.startswith(tuple(virtual))]

    def has(self, name: str) -> bool:
        """Whether it holds a table of that name."""
        return any(o.kind == "table" and o.name == name for o in self.objects)


@dataclass(frozen=True, slots=True)
class Moved(Table):
    """A table whose rows are ordered by rowid, where they have one: that is the order in which they are stored."""

    @property
    def key(self) -> tuple[str, ...]:
        """What a page of rows begins after."""
        own = Table.key.fget(self)  # type: ignore[attr-defined]  # a property
        key: tuple[str, ...] = (self.rowid_alias or self.rowid,) if self.rowid_alias or self.rowid else own
        return key

    @property
    def moved_columns(self) -> tuple[str, ...]:
        """All that goes over: the key, which may be a rowid without a name, and every stored column."""
        return tuple(dict.fromkeys((*self.key, *self.stored_columns)))


def remote_schema(calls: Calls) -> Schema:
    """The schema of a database on a server."""
    objects, *header = calls.read_all([Asked(OBJECTS), *(Asked(f"PRAGMA {name}") for name in HEADER)])
    return Schema(tuple(Text(*row) for row in objects), {n: rows[0][0] for n, rows in zip(HEADER, header, strict=True)})


def local_schema(db: sqlite3.Connection) -> Schema:
    """The schema of an open file."""
    header = {name: db.execute(f"PRAGMA main.{name}").fetchone()[0] for name in HEADER}
    return Schema(tuple(Text(*row) for row in db.execute(OBJECTS).fetchall()), header)


def moved_tables(db: sqlite3.Connection, *, without: Iterable[str] = ()) -> list[Moved]:
    """The tables of an open file that hold rows, those of virtual tables too, as their rows are to go over.

    Raises UsageError for one whose rows have nothing by which they can be named.
    """
    skipped = frozenset(without)
    found = []
    for table in read_inventory(db).tables.values():
        if table.columns and table.name not in skipped:
            moved = Moved(**{f.name: getattr(table, f.name) for f in fields(Table)})
            if moved.key == ("",):
                raise UsageError(
                    f"The rows of {table.name} cannot be told apart: it has no key, and columns hide its rowid."
                )
            found.append(moved)
    return found


def differences(one: Sequence[Text], other: Sequence[Text]) -> list[str]:
    """What is in one and not the same in the other, each in words."""
    mine, theirs = ({(o.kind, o.name): o.sql for o in side if o.sql} for side in (one, other))
    return [f"{kind} {name}" for kind, name in sorted({k for k in mine | theirs if mine.get(k) != theirs.get(k)})]
