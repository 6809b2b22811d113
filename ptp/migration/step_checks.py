"""What a step must leave as it was, looked at before and after it, within its transaction.

Everything that no statement of the step names stays to the character. Of a table that is built anew, what changes in it
is declared by `-- ptp:changes`; rows that go, by `-- ptp:deletes`. What was broken before is known; only what is newly
broken counts.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, TypeAlias

from ptp.engine import Inventory, Table, quoted, read_inventory
from ptp.migration.script import Effect, effects, event_of, fills, names_in, same_words
from ptp.migration.steps import Step

Direction: TypeAlias = Literal["up", "down"]
Differ: TypeAlias = Callable[[Inventory, Inventory], Iterator[str]]
"""Says in words in what the first inventory differs from the second: `table T, column C: ...`, `table T: ...`."""
BROKEN = "temp.ptp_broken_references"
_Key: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Text:
    """An object of the schema: its name as it is written, the table that it belongs to, and its SQL."""

    name: str
    table: str
    sql: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A database as it is looked at: its schema, rows by table, and what of it cannot be used."""

    texts: Mapping[_Key, Text]
    inventory: Inventory
    rows: Mapping[str, int]
    unusable: Mapping[str, str]

    @property
    def tables(self) -> Mapping[str, Table]:
        """The tables by their names in lower case."""
        return {name.lower(): table for name, table in self.inventory.tables.items()}


@dataclass(frozen=True, slots=True)
class Declared:
    """All that the statements of a step say that they do, and what its options allow besides; in lower case."""

    created: frozenset[_Key]
    dropped: frozenset[_Key]
    columns: frozenset[_Key]
    renamed: Mapping[str, str]
    deletes: frozenset[str]
    changes: frozenset[str]
    made: frozenset[str]

    @property
    def passing(self) -> frozenset[str]:
        """Names of tables that are given and taken within the step."""
        tables = {name for kind, name in (*self.created, *self.dropped) if kind == "table"}
        return frozenset({*tables, *self.renamed, *self.renamed.values()})

    @property
    def rebuilds(self) -> bool:
        """Whether a table takes the name of another that was there."""
        gone = {name for kind, name in self.dropped if kind == "table"} | self.renamed.keys()
        kept = {name for kind, name in self.created if kind == "table"} | set(self.renamed.values())
        return bool(gone & kept)


@lru_cache(maxsize=64)
def declared_by(step: Step, direction: Direction) -> Declared:
    """What a step says that it does when it goes up or down."""
    done: list[Effect] = [e for sql in (step.up if direction == "up" else step.down) for e in effects(sql)]
    columns = [(e.table, name) for e in done if e.kind == "column" for name in (e.name, e.to) if name]
    new = {e.name for sql in step.up for e in effects(sql) if e.verb == "create" and e.kind == "table"}
    return Declared(
        created=frozenset((e.kind, e.name) for e in done if e.verb == "create" and e.kind != "column"),
        dropped=frozenset((e.kind, e.name) for e in done if e.verb == "drop" and e.kind != "column"),
        columns=frozenset(columns),
        renamed={e.name: e.to for e in done if e.verb == "rename" and e.kind == "table"},
        deletes=frozenset(name.lower() for name in step.deletes),
        changes=frozenset(name.lower() for name in step.changes),
        made=frozenset(new & {fills(sql) for sql in step.up}) if direction == "down" else frozenset(),
    )


def look(db: sqlite3.Connection) -> Seen:
    """Look at a database within a transaction; counts the rows of every table."""
    inventory = read_inventory(db)
    sql = "SELECT type, name, tbl_name, sql FROM main.sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid"
    with closing(db.execute(sql)) as cursor:
        rows = [r for r in cursor.fetchall() if not r[1].lower().startswith("sqlite_")]
    return Seen(
        texts={(kind, name.lower()): Text(name, table, text) for kind, name, table, text in rows},
        inventory=inventory,
        rows={t.name.lower(): _count(db, t) for t in inventory.tables.values() if not t.is_virtual},
        unusable={**_unusable(db, inventory), **_dangling(inventory)},
    )


def _count(db: sqlite3.Connection, table: Table) -> int:
    with closing(db.execute(f"SELECT count(*) FROM main.{quoted(table.name)}")) as cursor:
        found: int = cursor.fetchone()[0]
    return found


def _unusable(db: sqlite3.Connection, inventory: Inventory) -> dict[str, str]:
    """Views that cannot be read and triggers that cannot be compiled, with what SQLite says; nothing is run."""
    found = {}
    for item in inventory.objects.values():
        if item.kind == "view":
            sql = f"SELECT * FROM main.{quoted(item.name)}"
        else:
            sql = _fired_by(db, item.table, event_of(item.sql))
        try:
            db.execute(f"EXPLAIN {sql}").close()
        except Exception as problem:  # whatever the driver raises: libsql's errors are not those of sqlite3
            found[f"{item.kind} {item.name}"] = str(problem)
    return found


def _fired_by(db: sqlite3.Connection, table: str, event: str) -> str:
    """A statement that compiles the triggers of a table or view for an event."""
    name, columns = f"main.{quoted(table)}", ["NULL"]
    with suppress(Exception), closing(db.execute(f"PRAGMA main.table_xinfo({quoted(table)})")) as cursor:
        columns = [quoted(row[1]) for row in cursor.fetchall() if row[6] == 0]
    listed = ", ".join(columns)
    if event == "DELETE":
        return f"DELETE FROM {name}"
    if event == "INSERT":
        return f"INSERT INTO {name} ({listed}) SELECT {listed} FROM {name}"
    return f"UPDATE {name} SET {', '.join(f'{c} = {c}' for c in columns)}"


def _dangling(inventory: Inventory) -> dict[str, str]:
    """Foreign keys whose parent table is not there."""
    there = {name.lower() for name in inventory.tables}
    keys = [(t.name, key) for t in inventory.tables.values() for key in t.foreign_keys]
    return {
        f"foreign key of {name} ({', '.join(key.columns)}) to {key.table}": "there is no such table"
        for name, key in keys
        if key.table.lower() not in there
    }


def keep_broken(db: sqlite3.Connection) -> None:
    """Note the references that are broken before a step, in a temporary table: there may be many."""
    db.execute(f"DROP TABLE IF EXISTS {BROKEN}").close()
    db.execute(f"CREATE TABLE {BROKEN} (child, row, parent, number)").close()
    db.execute(f"CREATE INDEX {BROKEN}_places ON ptp_broken_references (child, row)").close()
    for table in _referring(db):
        try:
            db.execute(f"INSERT INTO {BROKEN} {_BROKEN_IN}", (table,)).close()
        except Exception as problem:  # the parent's columns are no key: no row of it can be checked
            db.execute(f"INSERT INTO {BROKEN} VALUES (?, NULL, ?, NULL)", (table, str(problem))).close()


def newly_broken(db: sqlite3.Connection) -> Iterator[str]:
    """The references that are broken now and were not when `keep_broken` noted them; a few of each table."""
    for table in _referring(db):
        try:
            with closing(db.execute(_NEWLY_BROKEN_IN, (table,))) as cursor:
                yield from (f"{c}, rowid {r}: there is no such row in {p}" for c, r, p in cursor.fetchall())
        except Exception as problem:
            known = f"SELECT count(*) FROM {BROKEN} WHERE child = ? AND row IS NULL AND parent = ?"
            with closing(db.execute(known, (table, str(problem)))) as cursor:
                if not cursor.fetchone()[0]:
                    yield f"{table}: {problem}"


def _referring(db: sqlite3.Connection) -> list[str]:
    return [table.name for table in read_inventory(db).tables.values() if table.foreign_keys]


_BROKEN_IN = 'SELECT "table" AS child, rowid AS row, parent, fkid AS number FROM pragma_foreign_key_check(?)'
_NEWLY_BROKEN_IN = (  # rows are counted, as those of a table WITHOUT ROWID cannot be told apart
    f"SELECT child, row, parent FROM (SELECT child, row, parent, number, count(*) AS n FROM ({_BROKEN_IN}) "
    f"GROUP BY 1, 2, 3, 4) AS now WHERE n > (SELECT count(*) FROM {BROKEN} AS b WHERE b.child = now.child "
    "AND b.row IS now.row AND b.parent = now.parent AND b.number = now.number) LIMIT 3"
)


def problems(before: Seen, after: Seen, declared: Declared, differ: Differ) -> Iterator[str]:
    """All that a step did and does not say, in words."""
    used: set[str] = set()
    yield from _schema(before, after, declared, differ, used)
    yield from _rows(before, after, declared)
    yield from (f"{what}: {why}" for what, why in after.unusable.items() if what not in before.unusable)
    yield from _leftovers(before, after, declared)
    yield from (f"'-- ptp:changes {name}' is said, and it stays as it was" for name in sorted(declared.changes - used))


def _schema(before: Seen, after: Seen, declared: Declared, differ: Differ, used: set[str]) -> Iterator[str]:
    for key, text in before.texts.items():
        now = after.texts.get(key)
        if now is None:
            if not _may_go(key, before, after, declared):
                yield f"{key[0]} {text.name} is gone, and no statement drops it"
        elif now.sql != text.sql:
            changed = _table_changes if key[0] == "table" else _other_changes
            yield from changed(key, before, after, declared, differ, used)
    for key in after.texts.keys() - before.texts.keys():
        if not _may_come(key, before, after, declared):
            yield f"{key[0]} {after.texts[key].name} is new, and no statement creates it"


def _may_go(key: _Key, before: Seen, after: Seen, declared: Declared) -> bool:
    kind, name = key
    owner = before.texts[key].table.lower()
    goes_along = kind in ("index", "trigger") and owner not in after.tables and ("view", owner) not in after.texts
    return key in declared.dropped or name in declared.renamed or goes_along or _is_shadow(name, before, declared)


def _may_come(key: _Key, before: Seen, after: Seen, declared: Declared) -> bool:
    is_new_name = key[0] == "table" and key[1] in declared.renamed.values()
    return key in declared.created or is_new_name or _is_shadow(key[1], after, declared)


def _is_shadow(name: str, seen: Seen, declared: Declared) -> bool:
    """Whether a table keeps the content of a virtual one that the step creates or drops."""
    owners = [n for kind, n in (*declared.created, *declared.dropped) if kind == "table"]
    return any(name.startswith(f"{o}_") and o in seen.tables and seen.tables[o].is_virtual for o in owners)


def _table_changes(
    key: _Key, before: Seen, after: Seen, declared: Declared, differ: Differ, used: set[str]
) -> Iterator[str]:
    table = after.texts[key].name
    new, old = (
        replace(s.inventory, tables={table: replace(s.tables[key[1]], name=table)}, objects={}) for s in (after, before)
    )
    found = [text for text in differ(new, old) if text.startswith(f"table {table}")]
    touched = key[1] in declared.passing or any(owner == key[1] for owner, _ in declared.columns)
    if not found and not touched:
        yield f"the text of table {table} was changed, and no statement names it"
    for text in found:
        names = _names_of(text, table, [c.name for s in (after, before) for c in s.tables[key[1]].columns])
        said = names & declared.changes
        used |= said
        if not said and not any(f"{owner}.{column}" in names for owner, column in declared.columns):
            yield f"{text}, which '-- ptp:changes {table}' would have to say"


def _names_of(text: str, table: str, columns: list[str]) -> set[str]:
    """The names under which a difference of a table may be declared: the table's, and its column's."""
    begin = f"table {table}, column "
    found = {c for c in columns if text.startswith((f"{begin}{c}:", f"{begin}{c} is "))}
    return {table.lower(), *(f"{table}.{c}".lower() for c in found)}


def _other_changes(
    key: _Key, before: Seen, after: Seen, declared: Declared, _differ: Differ, used: set[str]
) -> Iterator[str]:
    old, new = before.texts[key], after.texts[key]
    if key[1] in declared.changes:
        used.add(key[1])
    elif not (key in declared.created and (key in declared.dropped or same_words(old.sql, new.sql))):
        yield f"{key[0]} {new.name} is not what it was, which '-- ptp:changes {new.name}' would have to say"


def _rows(before: Seen, after: Seen, declared: Declared) -> Iterator[str]:
    for name, rows in before.rows.items():
        now = name if name in after.rows else declared.renamed.get(name, name)
        left = after.rows.get(now)
        if name in declared.deletes or (left is None and name in declared.made):
            continue
        if rows > (left or 0):
            what = "goes with its" if left is None else f"keeps {left:,} of its"
            yield f"table {name} {what} {rows:,} rows, which '-- ptp:deletes {name}' would have to say"
    for name, mark in before.inventory.sequences.items():
        table = after.inventory.tables.get(name)
        if table and table.autoincrement and mark > after.inventory.sequences.get(name, 0):
            yield f"table {name} would give ids again that rows had before: its AUTOINCREMENT mark was {mark}"


def _leftovers(before: Seen, after: Seen, declared: Declared) -> Iterator[str]:
    """Names of tables that the step made up and gave away again, where the text of something else holds them still."""
    gone = declared.passing - after.tables.keys() - before.tables.keys()
    for key, text in after.texts.items() if gone else ():
        for name in sorted(gone & names_in(text.sql)):
            if key not in before.texts or name not in names_in(before.texts[key].sql):
                yield f"the text of {key[0]} {text.name} names {name}, which is gone"
