"""What a database holds, from `sqlite_schema` text and the xinfo pragmas, as frozen values."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from ptp.engine.sql import literal, quoted


@dataclass(frozen=True, slots=True)
class Column:
    """A column as `PRAGMA table_xinfo` tells it; `hidden` is 0 for an ordinary one, 2 or 3 for a generated one."""

    name: str
    declared_type: str
    not_null: bool
    default: str | None
    key_position: int
    hidden: int

    @property
    def affinity(self) -> str:
        """The type that SQLite derives from the declared one (datatype3.html, 3.1)."""
        return affinity(self.declared_type)


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key; `to_columns` is empty where it means the parent's primary key."""

    columns: tuple[str, ...]
    table: str
    to_columns: tuple[str, ...]
    on_delete: str


@dataclass(frozen=True, slots=True)
class Index:
    """An index with its key columns (None for an expression) and, unless automatic, its SQL.

    `descending` and `collations` are those of the key columns, as they are in force: declared here or by the column.
    """

    name: str
    table: str
    unique: bool
    partial: bool
    columns: tuple[str | None, ...]
    sql: str | None
    descending: tuple[bool, ...] = ()
    collations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Object:
    """A view or a trigger."""

    name: str
    kind: str
    table: str
    sql: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table with everything that belongs to it; of a virtual one only its text is known."""

    name: str
    sql: str
    is_virtual: bool
    without_rowid: bool
    columns: tuple[Column, ...]
    foreign_keys: tuple[ForeignKey, ...]
    indexes: tuple[Index, ...]

    @property
    def autoincrement(self) -> bool:
        """Whether ids of deleted rows are never used again."""
        return "AUTOINCREMENT" in self.sql.upper()

    @property
    def stored_columns(self) -> tuple[str, ...]:
        """The columns that hold values of their own: not hidden, not generated."""
        return tuple(c.name for c in self.columns if c.hidden == 0)

    @property
    def rowid(self) -> str:
        """The name under which the rowid can be had: the first that no column takes; empty where there is none."""
        taken = {c.name.lower() for c in self.columns}
        return "" if self.without_rowid else next((n for n in ("rowid", "_rowid_", "oid") if n not in taken), "")

    @property
    def rowid_alias(self) -> str:
        """The INTEGER PRIMARY KEY, which is the rowid under another name; empty where there is none."""
        keys = [c for c in self.columns if c.key_position]
        is_alias = len(keys) == 1 and keys[0].declared_type.upper() == "INTEGER" and not self.without_rowid
        return keys[0].name if is_alias else ""

    @property
    def key(self) -> tuple[str, ...]:
        """What identifies a row: an INTEGER or NOT NULL primary key, else the rowid (a text key may be NULL twice)."""
        keys = sorted((c for c in self.columns if c.key_position), key=lambda c: c.key_position)
        is_rowid_alias = len(keys) == 1 and keys[0].declared_type.upper() == "INTEGER"
        if keys and (is_rowid_alias or self.without_rowid or all(c.not_null for c in keys)):
            return tuple(c.name for c in keys)
        return (self.rowid,)

    @property
    def uniques(self) -> tuple[tuple[str, ...], ...]:
        """Columns of which no two rows hold the same values: those of unique indexes over all rows."""
        whole = (i for i in self.indexes if i.unique and not i.partial and None not in i.columns)
        return tuple(tuple(c for c in i.columns if c) for i in whole)

    @property
    def has_key(self) -> bool:
        """Whether a row is identified by columns of its own."""
        return self.key != (self.rowid,)


@dataclass(frozen=True, slots=True)
class Inventory:
    """All tables, views and triggers of a database, by name."""

    tables: Mapping[str, Table]
    objects: Mapping[str, Object]
    sequences: Mapping[str, int]


def affinity(declared_type: str) -> str:
    """The affinity of a declared type, by SQLite's five rules in their order."""
    upper = declared_type.upper()
    rules = (("INT", "INTEGER"), ("CHAR", "TEXT"), ("CLOB", "TEXT"), ("TEXT", "TEXT"), ("BLOB", "BLOB"))
    for part, found in rules:
        if part in upper:
            return found
    if not upper:
        return "BLOB"
    return "REAL" if any(p in upper for p in ("REAL", "FLOA", "DOUB")) else "NUMERIC"


def has_module(db: sqlite3.Connection, name: str) -> bool:
    """Whether this SQLite was built with a module for virtual tables, such as fts5."""
    return bool(db.execute("SELECT EXISTS (SELECT 1 FROM pragma_module_list WHERE name = ?)", (name,)).fetchone()[0])


def read_inventory(db: sqlite3.Connection, *, schema: str = "main") -> Inventory:
    """Read the inventory of one attached database; tables of SQLite itself are left out."""
    rows = db.execute(f"SELECT type, name, tbl_name, sql FROM {quoted(schema)}.sqlite_schema ORDER BY rowid").fetchall()
    sql = {(kind, name): text for kind, name, _, text in rows}
    flags = {r[1]: r for r in db.execute(f"PRAGMA {quoted(schema)}.table_list").fetchall() if r[0] == schema}
    names = [name for kind, name, _, _ in rows if kind == "table" and not name.lower().startswith("sqlite_")]
    virtual = {name for name in names if flags[name][2] == "virtual"}  # its module need not be here, so it is not asked
    tables = {
        name: Table(
            name=name,
            sql=sql["table", name],
            is_virtual=flags[name][2] in ("virtual", "shadow"),
            without_rowid=bool(flags[name][4]),
            columns=() if name in virtual else _columns(db, name, schema),
            foreign_keys=() if name in virtual else _foreign_keys(db, name, schema),
            indexes=() if name in virtual else _indexes(db, name, schema, sql),
        )
        for name in names
    }
    objects = {n: Object(n, kind, table, text) for kind, n, table, text in rows if kind in ("view", "trigger")}
    has_sequence = any(name == "sqlite_sequence" for _, name, _, _ in rows)
    marks = db.execute(f"SELECT name, seq FROM {quoted(schema)}.sqlite_sequence").fetchall() if has_sequence else []
    return Inventory(tables=tables, objects=objects, sequences={n: s for n, s in marks if isinstance(s, int)})


def _columns(db: sqlite3.Connection, table: str, schema: str) -> tuple[Column, ...]:
    rows = db.execute(f"SELECT * FROM pragma_table_xinfo({literal(table)}, {literal(schema)})").fetchall()
    return tuple(Column(r[1], r[2], bool(r[3]), r[4], r[5], r[6]) for r in rows)


def _foreign_keys(db: sqlite3.Connection, table: str, schema: str) -> tuple[ForeignKey, ...]:
    rows = db.execute(
        'SELECT id, "table", "from", "to", on_delete FROM '
        f"pragma_foreign_key_list({literal(table)}, {literal(schema)}) ORDER BY id, seq"
    ).fetchall()
    found = []
    for number in sorted({r[0] for r in rows}):
        parts = [r for r in rows if r[0] == number]
        to_columns = tuple(r[3] for r in parts if r[3] is not None)
        found.append(ForeignKey(tuple(r[2] for r in parts), parts[0][1], to_columns, parts[0][4]))
    return tuple(found)


def _indexes(
    db: sqlite3.Connection, table: str, schema: str, sql: Mapping[tuple[str, str], str | None]
) -> tuple[Index, ...]:
    listed = db.execute(
        f'SELECT name, "unique", partial FROM pragma_index_list({literal(table)}, {literal(schema)}) ORDER BY seq DESC'
    ).fetchall()
    found = []
    for name, unique, partial in listed:
        keys = db.execute(
            f'SELECT name, "desc", coll FROM pragma_index_xinfo({literal(name)}, {literal(schema)}) '
            "WHERE key = 1 ORDER BY seqno"
        ).fetchall()
        columns, descending, collations = (tuple(k[n] for k in keys) for n in range(3))
        flags = (bool(unique), bool(partial))
        found.append(
            Index(name, table, *flags, columns, sql.get(("index", name)), tuple(map(bool, descending)), collations)
        )
    return tuple(found)
