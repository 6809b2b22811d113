"""Every engine that is compared, by its own driver, on a file that sqlite3 wrote."""

from __future__ import annotations

import importlib.util
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib import metadata
from pathlib import Path
from typing import get_args

import pytest

from ptp.engine.candidates import EngineName, Opened, engine_named, open_candidate, tuned
from ptp.errors import UsageError

ENGINES: tuple[EngineName, ...] = get_args(EngineName)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / "a.db")) as db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, r REAL, s TEXT, b BLOB)")
        db.execute("INSERT INTO t VALUES (1, ?, 2.5, 'é', x'00ff'), (2, NULL, NULL, NULL, NULL)", (2**40,))
        db.commit()
    return tmp_path / "a.db"


@pytest.fixture(params=ENGINES)
def name(request: pytest.FixtureRequest) -> EngineName:
    found: EngineName = request.param
    return found


@pytest.fixture
def opened(name: EngineName, path: Path) -> Iterator[Opened]:
    with closing(open_candidate(name, path)) as db:
        yield db


def test_rows_come_back_in_value_and_type(opened: Opened) -> None:
    rows = [tuple(row) for row in opened.run("SELECT * FROM t ORDER BY id")]
    assert rows == [(1, 2**40, 2.5, "é", b"\x00\xff"), (2, None, None, None, None)]
    assert list(map(type, rows[0])) == [int, int, float, str, bytes]


def test_values_are_bound_by_place_and_by_name(opened: Opened) -> None:
    assert [tuple(r) for r in opened.run("SELECT id FROM t WHERE n = ? AND s = ?", (2**40, "é"))] == [(1,)]
    assert [tuple(r) for r in opened.run("SELECT id FROM t WHERE n = :n AND id = :id", {"n": 2**40, "id": 1})] == [(1,)]


def test_what_a_transaction_wrote_is_there_for_sqlite3_once_it_is_closed(name: EngineName, path: Path) -> None:
    with closing(open_candidate(name, path)) as db:
        for sql in ("BEGIN IMMEDIATE", "INSERT INTO t (id, n) VALUES (3, 7)", "COMMIT"):
            assert db.run(sql) == []
        for sql in ("BEGIN IMMEDIATE", "INSERT INTO t (id, n) VALUES (4, 8)", "ROLLBACK"):
            db.run(sql)
    with closing(sqlite3.connect(path)) as witness:
        assert witness.execute("SELECT id, n FROM t WHERE id > 2").fetchall() == [(3, 7)]


def test_it_says_what_it_is_and_which_settings_it_took(name: EngineName, opened: Opened) -> None:
    facts = tuned(name, opened, (("foreign_keys", 1), ("synchronous", 1), ("no_such_pragma", 1)))
    packages = {"libsql": "libsql", "turso": "pyturso", "apsw": "apsw"}
    wanted = f"{packages[name]} {metadata.version(packages[name])}" if name in packages else "Python 3."
    assert facts.driver.startswith(wanted)
    assert facts.sqlite.startswith("3.") and (name != "sqlite3" or facts.sqlite == sqlite3.sqlite_version)
    assert (facts.settings["foreign_keys"], facts.settings["synchronous"]) == ("1", "1")
    assert facts.refused == ("no_such_pragma",)


def test_a_file_that_is_not_there_is_not_made(name: EngineName, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no database file"):
        open_candidate(name, tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()


def test_an_unknown_engine_and_one_that_is_not_installed_are_bad_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"no engine 'duckdb': it is one of sqlite3, libsql, turso, apsw") as unknown:
        engine_named("duckdb")
    assert unknown.value.exit_code == 2
    assert [engine_named(name) for name in ENGINES] == list(ENGINES)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"turso is not installed: pip install 'ptp\[turso\]'\."):
        engine_named("turso")
