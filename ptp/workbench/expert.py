"""A second opinion on indexes: SQLite's own `sqlite3_expert`, which APSW's package brings.

It is given the statements of the workload one by one, with their values in place, on a copy of the schema without
rows but with the planner's statistics. It knows no partial indexes and no indexes on expressions, and does not judge
statements with UPSERT, RETURNING or a full-text table: what it did not judge is told.
"""

from __future__ import annotations

import re
import sqlite3
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw
import apsw.sqlite_extra

from ptp.engine.meters import Statement
from ptp.engine.sql import quoted

_NAME = "sqlite3_expert"
_SECONDS = 20  # for one statement: it takes a hundredth of one
_INDEX = re.compile(r"^CREATE INDEX (?P<name>\S+) ON '?(?P<table>[^'(]+?)'?\((?P<columns>.+)\);", re.M)
_STATISTICS = ("sqlite_stat1",)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """An index that would help a statement: the table, and its columns with their order."""

    table: str
    columns: tuple[str, ...]

    @property
    def name(self) -> str:
        """A name that tells what it is on."""
        words = (re.sub(r"\W+", "_", c.replace(" COLLATE", "").lower()).strip("_") for c in self.columns)
        return "_".join(("suggested", self.table, *words))

    @property
    def sql(self) -> str:
        """The statement that creates it."""
        return f"CREATE INDEX {quoted(self.name)} ON {quoted(self.table)} ({', '.join(self.columns)})"


@dataclass(frozen=True, slots=True)
class Opinion:
    """What it says of the statements of one query; `not_judged` tells what it did not take, and why."""

    suggestions: tuple[Suggestion, ...] = ()
    judged: int = 0
    not_judged: tuple[str, ...] = ()


class Absent(Exception):
    """There is no sqlite3_expert here; the message is the reason."""


def find_expert() -> Path:
    """The program; raises Absent."""
    try:
        path = Path(apsw.sqlite_extra.path(_NAME))
    except (LookupError, apsw.sqlite_extra.NotAvailable) as problem:
        raise Absent(f"APSW's package brings no {_NAME} here ({problem}).") from problem
    try:
        subprocess.run([path], capture_output=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise Absent(f"{_NAME} of APSW's package does not run here ({problem}).") from problem
    return path


def ask_expert(
    db: sqlite3.Connection, statements: Mapping[str, Sequence[Statement]], *, indexes: bool
) -> dict[str, Opinion]:
    """Its opinion of the statements of each query, with the indexes that an open database has or as if it had none.

    Raises Absent.
    """
    program = find_expert()
    with TemporaryDirectory(prefix="ptp-expert-") as folder:
        schema = Path(folder, "schema.db")
        _copy_schema(db, schema, indexes=indexes)
        return {query: _opinion(program, schema, of_query) for query, of_query in statements.items()}


def _copy_schema(db: sqlite3.Connection, path: Path, *, indexes: bool) -> None:
    """Tables without rows, with or without indexes, and what ANALYZE found; no triggers, no virtual tables."""
    found = db.execute(
        "SELECT type, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
        "AND sql NOT LIKE 'CREATE VIRTUAL%' AND type IN ('table', 'view', 'index') ORDER BY rowid"
    ).fetchall()
    with closing(sqlite3.connect(path, isolation_level=None)) as copy:
        copy.execute("PRAGMA synchronous = OFF")
        copy.execute("BEGIN")
        for kind, sql in found:
            if indexes or kind != "index":
                with suppress(sqlite3.Error):  # an index on a virtual table's own table, a view of what is left out
                    copy.execute(sql)
        copy.execute("ANALYZE")
        for table in _STATISTICS if indexes else ():
            with suppress(sqlite3.Error):  # never analyzed
                copy.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", db.execute(f"SELECT * FROM {table}"))
        copy.execute("COMMIT")


def _opinion(program: Path, schema: Path, statements: Sequence[Statement]) -> Opinion:
    suggestions: list[Suggestion] = []
    not_judged: list[str] = []
    different = {s.sql: s for s in statements}.values()
    for statement in different:
        found = _asked(program, schema, statement)
        if isinstance(found, str):
            not_judged.append(found)
        else:
            suggestions += found
    return Opinion(tuple(dict.fromkeys(suggestions)), len(different) - len(not_judged), tuple(not_judged))


def _asked(program: Path, schema: Path, statement: Statement) -> list[Suggestion] | str:
    """What it suggests for one statement, or the reason for which it does not judge it."""
    # Values may be personal: they go through a file that nobody else may read, not through the list of processes.
    file = schema.with_name("statement.sql")
    try:
        file.write_text(_with_values(schema, statement), encoding="utf-8")
        command = [str(program), "-file", str(file), "-sample", "0", "-verbose", "0", str(schema)]
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
    except (apsw.Error, OSError, subprocess.TimeoutExpired) as problem:
        return type(problem).__name__
    if done.returncode or done.stderr:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        return lines[0].removeprefix("Error: ") if lines else f"it ended with {done.returncode}"
    matches = _INDEX.finditer(done.stdout.decode(errors="replace"))
    return [Suggestion(m["table"], tuple(c.strip() for c in m["columns"].split(","))) for m in matches]


def _with_values(schema: Path, statement: Statement) -> str:
    """The statement's text with its values in their places."""
    with closing(apsw.Connection(str(schema))) as db:
        text = db.execute(f"EXPLAIN {statement.sql}", statement.parameters).expanded_sql
        return f"{text.removeprefix('EXPLAIN ')};\n"
