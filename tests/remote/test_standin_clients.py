"""Clients that others wrote speak to the stand-in: three of Python, and one of JavaScript that shares no code with them.

The last needs node and an installed package, which the suite never fetches by itself: `npm ci` in `tests/remote/js`, or
PTP_NODE_MODULES naming a folder `node_modules` that has @libsql/client.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import libsql_client
import pytest

from tests.remote.standin import Faults, StandIn

TOKEN = "a-token"
JS = Path(__file__).parent / "js"
VALUES = [None, 0, -(2**63), 2**63 - 1, 0.5, 1e300, "", "a\0b", "\U0001f40d ü", b"", b"\0\xff"]
# Read now, since the tests' own environment is cleared of such names before they run.
MODULES = Path(os.environ.get("PTP_NODE_MODULES", JS / "node_modules"))


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with StandIn(tmp_path_factory.mktemp("clients") / "t.db", token=TOKEN) as server:
        yield server


@pytest.fixture
def server(started: StandIn) -> StandIn:
    with closing(sqlite3.connect(started.path)) as db:
        db.execute("DROP TABLE IF EXISTS t")
        db.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, v)")
        db.commit()
    started.set_faults(Faults())
    return started


def kept(server: StandIn) -> list[Any]:
    """What is in the file, read without the server."""
    with closing(sqlite3.connect(server.path)) as db:
        return [value for (value,) in db.execute("SELECT v FROM t ORDER BY n")]


@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_libsql_client(server: StandIn, scheme: str) -> None:
    """Over WebSocket (hrana2), and over HTTP 1."""
    with libsql_client.create_client_sync(getattr(server, scheme), auth_token=TOKEN) as client:
        for n, value in enumerate(VALUES):
            assert client.execute("INSERT INTO t VALUES (?, ?)", [n, value]).last_insert_rowid == n
        assert [row[0] for row in client.execute("SELECT v FROM t ORDER BY n").rows] == VALUES == kept(server)
        counted = client.batch(["DELETE FROM t WHERE n > 2", "SELECT count(*) AS c FROM t"])
        assert (counted[0].rows_affected, counted[1].rows[0]["c"]) == (len(VALUES) - 3, 3)
        with pytest.raises(libsql_client.LibsqlError, match="UNIQUE constraint failed: t.n") as problem:
            client.execute("INSERT INTO t VALUES (0, 1)")
        assert problem.value.code == "SQLITE_CONSTRAINT"
        if scheme == "ws":
            with client.transaction() as transaction:
                transaction.execute("DELETE FROM t")
                transaction.rollback()
            assert kept(server) == VALUES[:3]


def test_libsql_client_without_its_token(server: StandIn) -> None:
    for url in (server.ws, server.http):
        with (
            libsql_client.create_client_sync(url, auth_token="wrong") as client,
            pytest.raises(libsql_client.LibsqlError),
        ):
            client.execute("SELECT 1")


def test_turso_serverless(server: StandIn) -> None:
    """Over HTTP 3, statements by its cursor."""
    serverless = pytest.importorskip("turso_serverless", reason="the package turso-serverless is not installed")
    with closing(serverless.connect(server.http, auth_token=TOKEN)) as db:
        for n, value in enumerate(VALUES):
            db.execute("INSERT INTO t VALUES (?, ?)", (n, value))
        db.commit()
        assert [value for (value,) in db.execute("SELECT v FROM t ORDER BY n").fetchall()] == VALUES == kept(server)
        db.execute("DELETE FROM t")
        db.rollback()
        with pytest.raises(serverless.IntegrityError, match="UNIQUE constraint failed"):
            db.execute("INSERT INTO t VALUES (0, 1)")
        db.rollback()
    assert kept(server) == VALUES
    with pytest.raises(serverless.Error, match="401"):
        serverless.connect(server.http, auth_token="wrong").execute("SELECT 1")


def test_libsql(server: StandIn) -> None:
    """The remote connection of the package libsql. It cuts text at NUL and sends large integers as REAL."""
    libsql = pytest.importorskip("libsql", reason="the package libsql is not installed")
    values = [value for value in VALUES if value not in (-(2**63), 2**63 - 1, "a\0b", b"", "")]
    db = libsql.connect(server.http, auth_token=TOKEN)
    for n, value in enumerate(values):
        db.execute("INSERT INTO t VALUES (?, ?)", (n, value))
    db.commit()
    assert [value for (value,) in db.execute("SELECT v FROM t ORDER BY n").fetchall()] == values == kept(server)
    with pytest.raises(ValueError, match="UNIQUE constraint failed"):
        db.execute("INSERT INTO t VALUES (0, 1)")


@pytest.mark.parametrize("kind", ["drop", "unavailable", "half_reply", "lose_reply"])
@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_a_fault_is_an_error_to_a_client_and_never_a_wrong_answer(server: StandIn, scheme: str, kind: str) -> None:
    with libsql_client.create_client_sync(getattr(server, scheme), auth_token=TOKEN) as client:
        server.set_faults(Faults(script={1: kind}, only="INSERT"))
        with pytest.raises(Exception) as problem:
            client.execute("INSERT INTO t VALUES (1, 1)")
        assert TOKEN not in str(problem.value)
    assert kept(server) == ([1] if kind in ("half_reply", "lose_reply") else [])


@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_the_client_of_javascript(tmp_path: Path, scheme: str) -> None:
    """Over WebSocket (hrana2), and over HTTP 2; both with batches, conditions, stored SQL and transactions."""
    if not (node := shutil.which("node")):
        pytest.skip("node is not installed")
    if not (MODULES / "@libsql" / "client").is_dir():
        pytest.skip("@libsql/client is not installed: run `npm ci` in tests/remote/js, or set PTP_NODE_MODULES")
    with StandIn(tmp_path / "t.db", token=TOKEN) as server:
        environment = os.environ | {"URL": getattr(server, scheme), "TOKEN": TOKEN}
        run = subprocess.run(
            [node, str(JS / "client.mjs"), str(MODULES)], env=environment, capture_output=True, text=True, timeout=60
        )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {
        "insert": [1, f"{2**62 + 1}n"],
        "batch": [
            ["1n", "one", "text"],
            ["2n", None, "null"],
            ["4n", 0.5, "real"],
            [f"{2**62 + 1}n", [0, 255], "blob"],
        ],
        "columns": [["a", "b", "typeof(b)"], ["INTEGER", "", ""]],
        "text": [["a\0b", "\U0001f40d\u2028"]],
        "failed_batch": "SQLITE_CONSTRAINT",
        "kept": [["7n"], ["8n"]],
        "syntax": "SQL_PARSE_ERROR",
        "unique": "SQLITE_CONSTRAINT",
        "forbidden": "SQL_PARSE_ERROR",
        "wrong_token": True,
    }
