"""What a server itself says of a database that was loaded into it: references without a parent, virtual tables."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path

from ptp.engine import connect_file, errors_named, quoted
from ptp.engine.remote_calls import Calls, TooMuch
from ptp.migration.remote.loading import LARGE
from ptp.migration.remote.schema import local_schema, moved_tables
from ptp.results import Finding


def check_references(calls: Calls, file: Path) -> list[Finding]:
    """That the server finds the references broken that are so in the file, and no others."""
    wrong, left_out, looked = [], [], 0
    with errors_named(file), connect_file(file, read_only=True) as db:
        for table in (t for t in moved_tables(db) if t.foreign_keys):
            rows = db.execute(f"SELECT count(*) FROM main.{quoted(table.name)}").fetchone()[0]
            if rows >= LARGE:
                left_out.append(table.name)
                continue
            sql = f"PRAGMA foreign_key_check({quoted(table.name)})"
            try:
                theirs = Counter(calls.read(sql))
            except (sqlite3.Error, TooMuch):
                left_out.append(table.name)
                continue
            looked += rows
            if theirs != Counter(db.execute(sql).fetchall()):
                wrong.append(f"{table.name}: {theirs.total():,} rows without a parent")
    besides = f"; not asked for {', '.join(left_out)}: it may take longer than a transaction may" if left_out else ""
    return [
        Finding(
            id="remote.target-references",
            claim="The server finds no reference broken that was not so before",
            verdict="fail" if wrong else "pass" if looked or not left_out else "not applicable",
            severity="data",
            value=len(wrong),
            unit="tables",
            limit=0,
            n=looked,
            where=tuple(wrong),
            evidence=f"PRAGMA foreign_key_check on both sides{besides}",
        )
    ]


def check_virtual(calls: Calls, file: Path) -> list[Finding]:
    """That the server can use each virtual table; none where there is none."""
    with errors_named(file), connect_file(file, read_only=True) as db:
        names = [o.name for o in local_schema(db).objects if o.is_virtual]
    wrong = []
    for name in names:
        try:
            calls.read(f"SELECT count(*) FROM (SELECT 1 FROM {quoted(name)} LIMIT 1)")
        except sqlite3.Error as problem:
            wrong.append(f"{name}: {problem}")
    found = Finding(
        id="remote.target-search",
        claim="The server can use the virtual tables, whose content was loaded as it was",
        verdict="fail" if wrong else "pass",
        severity="data",
        value=len(wrong),
        unit="tables",
        limit=0,
        n=len(names),
        where=tuple(wrong),
        evidence="a query of each",
    )
    return [found] if names else []
