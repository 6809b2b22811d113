"""What SQLite itself can say of a database: its pages, its rules, its references. Necessary, never enough."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from ptp.engine import quoted
from ptp.engine.files import file_uri
from ptp.results import Finding

_SHOWN = 20


def check_pages(db: sqlite3.Connection, *, carried: Collection[str] = ()) -> Finding:
    """`PRAGMA integrity_check`: pages, indexes against tables, NOT NULL, CHECK and STRICT rules.

    A table that was `carried` over as it is breaks its own CHECK rules only where the source does: that is known.
    """
    with _with_rules(db) as (same, knows_rules):
        lines = [row[0] for row in same.execute(f"PRAGMA integrity_check({_SHOWN})").fetchall()]
    known = {f"CHECK constraint failed in {name}" for name in carried}.intersection(lines)
    problems = tuple(str(line) for line in lines if line != "ok" and line not in known)
    unread = "" if knows_rules else "; CHECK rules were not evaluated: verify where the file can be written"
    return Finding(
        id="verify.integrity",
        claim="Pages, indexes and rules of the target are sound",
        verdict="fail" if problems else "inconclusive" if unread else "pass",
        severity="data",
        value=len(problems),
        unit="problems",
        limit=0,
        where=problems,
        evidence=f"PRAGMA integrity_check; {len(known)} broken in the source already{unread}",
    )


@contextmanager
def _with_rules(db: sqlite3.Connection) -> Iterator[tuple[sqlite3.Connection, bool]]:
    """A connection that knows the CHECK rules: SQLite does not even read them where the file was opened read-only.

    It writes nothing, and as `db` stays open, its end writes no log back. Where the file cannot be written: `db`,
    and False.
    """
    path = db.execute("PRAGMA database_list").fetchone()[2]
    if not path:  # in memory, which is never read-only
        yield db, True
        return
    if not os.access(path, os.W_OK) or not os.access(Path(path).parent, os.W_OK):
        yield db, False
        return
    with closing(sqlite3.connect(f"{file_uri(Path(path))}?mode=rw", uri=True, isolation_level=None)) as same:
        same.execute("PRAGMA query_only = ON")
        yield same, True


def check_references(target: sqlite3.Connection, source: sqlite3.Connection) -> Finding:
    """`PRAGMA foreign_key_check`; a reference that is broken in the source's table of that name too is known.

    Only tables that were carried over as they are can have known ones: a mapped row without a parent is rejected.
    """
    found = _broken(target)
    known = _broken(source) if found else {}
    new = {place: text for place, text in found.items() if place not in known}
    return Finding(
        id="verify.foreign-keys",
        claim="Every reference of the target has its row",
        verdict="fail" if new else "pass",
        severity="data",
        value=len(new),
        unit="broken references",
        limit=0,
        where=tuple(list(new.values())[:_SHOWN]),
        evidence=f"PRAGMA foreign_key_check; {len(found) - len(new)} broken in the source already",
    )


def _broken(db: sqlite3.Connection) -> Mapping[tuple[object, ...], str]:
    """Broken references by place, table by table: SQLite refuses a table whose parent columns are no key."""
    found: dict[tuple[object, ...], str] = {}
    tables = db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE '%REFERENCES%'").fetchall()
    for (name,) in tables:
        try:
            rows = db.execute(f"PRAGMA foreign_key_check({quoted(name)})").fetchall()
        except sqlite3.OperationalError as problem:
            found[name, str(problem)] = f"{name}: {problem}"
            continue
        for table, rowid, parent, number in rows:
            found[table, rowid, parent, number] = f"{table}, rowid {rowid}: no such row in {parent}"
    return found
