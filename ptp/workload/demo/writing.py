"""Writes the tables of a demo source into a SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from ptp.resources import folder
from ptp.workload.demo.sizes import Shape
from ptp.workload.demo.tables import Table

Progress = Callable[[float, str], None]

_LOADING = 0.75  # the share of the work that is loading; the rest is making indexes


def fill(path: Path, tables: Sequence[Table], *, shape: Shape, progress: Progress) -> dict[str, int]:
    """Write a new database at `path`; the rows per table are returned."""
    table_ddl, index_ddl = statements(shape)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # Nothing here needs to survive a crash: a file that is not finished is thrown away.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -32000")
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        for statement in table_ddl:
            connection.execute(statement)
        _load(connection, tables, progress=progress)
        for done, statement in enumerate(index_ddl):
            progress(_LOADING + (1.0 - _LOADING) * done / len(index_ddl), "making indexes")
            connection.execute(statement)
        connection.execute("PRAGMA journal_mode = DELETE")
    return {table.name: table.rows for table in tables}


def statements(shape: Shape) -> tuple[list[str], list[str]]:
    """The DDL of a shape in two parts: tables, then indexes, which are faster to make after loading."""
    text = (folder("sql") / "shapes" / f"{shape}.sql").read_text(encoding="utf-8")
    bare = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    found = [statement.strip() for statement in bare.split(";") if statement.strip()]
    tables = [statement for statement in found if statement.startswith("CREATE TABLE")]
    return tables, [statement for statement in found if statement not in tables]


def _load(connection: sqlite3.Connection, tables: Sequence[Table], *, progress: Progress) -> None:
    total, done = sum(table.rows for table in tables), 0
    for table in tables:
        insert = _insert(connection, table)
        connection.execute("BEGIN")
        for rows in table.chunks():
            progress(_LOADING * done / total, f"writing {table.name}")
            done += connection.executemany(insert, rows).rowcount
        connection.execute("COMMIT")


def _insert(connection: sqlite3.Connection, table: Table) -> str:
    """The INSERT of a table; a column declared TIMESTAMP takes its time as text, made by SQLite."""
    declared = {name: kind for _, name, kind, *_ in connection.execute(f"PRAGMA table_xinfo({table.name})")}
    values = ["datetime(?, 'unixepoch')" if declared[column] == "TIMESTAMP" else "?" for column in table.columns]
    return f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({', '.join(values)})"
