"""The DDL in sql/shapes/ is the two shapes of tests/facts/source-schemas.json: compared through pragmas."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ptp.resources import folder

FACTS: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "facts" / "source-schemas.json").read_text(encoding="utf-8")
)
TABLES = [(shape, table) for shape, tables in FACTS.items() for table in tables]


@pytest.fixture(scope="module")
def databases() -> Iterator[dict[str, sqlite3.Connection]]:
    opened = {shape: sqlite3.connect(":memory:") for shape in FACTS}
    for shape, connection in opened.items():
        connection.executescript((folder("sql") / "shapes" / f"{shape}.sql").read_text(encoding="utf-8"))
    yield opened
    for connection in opened.values():
        connection.close()


@pytest.mark.parametrize("shape", FACTS)
def test_tables_and_nothing_else(databases: dict[str, sqlite3.Connection], shape: str) -> None:
    objects = databases[shape].execute("SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")
    by_type: dict[str, set[str]] = {}
    for kind, name in objects:
        by_type.setdefault(kind, set()).add(name)
    assert by_type["table"] == set(FACTS[shape])
    assert set(by_type) <= {"table", "index"}


@pytest.mark.parametrize(("shape", "table"), TABLES)
def test_columns(databases: dict[str, sqlite3.Connection], shape: str, table: str) -> None:
    seen = [
        {
            "name": name,
            "declared_type": declared_type,
            "not_null": bool(not_null),
            "default": default,
            "primary_key": bool(key),
            "hidden": hidden,
        }
        for _, name, declared_type, not_null, default, key, hidden in databases[shape].execute(
            f"PRAGMA table_xinfo({table})"
        )
    ]
    expected = []
    for column in FACTS[shape][table]["columns"]:
        known = {key: value for key, value in column.items() if key != "meaning"}
        expected.append({**known, "hidden": 0})
    assert seen == expected


@pytest.mark.parametrize(("shape", "table"), TABLES)
def test_foreign_keys(databases: dict[str, sqlite3.Connection], shape: str, table: str) -> None:
    rows = databases[shape].execute(f"PRAGMA foreign_key_list({table})").fetchall()
    seen = [
        {"column": column, "references": f"{parent}({target})", "on_delete": on_delete}
        for _, _, parent, column, target, _, on_delete, _ in rows
    ]
    assert seen == FACTS[shape][table]["foreign_keys"]
    # What the facts do not mention must be SQLite's default: one column a key, no other action.
    assert all((part, on_update, match) == (0, "NO ACTION", "NONE") for _, part, *_, on_update, _, match in rows)


@pytest.mark.parametrize(("shape", "table"), TABLES)
def test_indexes(databases: dict[str, sqlite3.Connection], shape: str, table: str) -> None:
    origin_names = {"u": "(from UNIQUE)", "pk": "(from PRIMARY KEY)"}
    seen = []
    for _, name, unique, origin, partial in databases[shape].execute(f"PRAGMA index_list({table})").fetchall():
        parts = databases[shape].execute(f"PRAGMA index_xinfo({name})").fetchall()
        keys = [part for part in parts if part[5]]
        assert not partial
        assert {part[4] for part in keys} == {"BINARY"}
        seen.append(
            {
                "name": origin_names.get(origin, name),
                "unique": bool(unique),
                "columns": [f"{column} DESC" if descending else column for _, _, column, descending, *_ in keys],
            }
        )
    assert seen == FACTS[shape][table]["indexes"]


@pytest.mark.parametrize(("shape", "table"), TABLES)
def test_autoincrement_and_checks(databases: dict[str, sqlite3.Connection], shape: str, table: str) -> None:
    ((ddl,),) = databases[shape].execute("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?", (table,))
    assert ("AUTOINCREMENT" in ddl.upper()) is FACTS[shape][table]["autoincrement"]
    assert checks_of(ddl) == sorted(spaced(check) for check in FACTS[shape][table]["checks"])


def checks_of(ddl: str) -> list[str]:
    """The expressions of all CHECK rules in `ddl`, sorted, whitespace normalised."""
    found = []
    for match in re.finditer(r"\bCHECK\s*\(", ddl, re.IGNORECASE):
        depth, end = 1, match.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(ddl[end], 0)
            end += 1
        found.append(spaced(ddl[match.end() : end - 1]))
    return sorted(found)


def spaced(text: str) -> str:
    return " ".join(text.split())
