"""Places: a small database on each route, with a witness that looks at it by another way than the route.

The witness of files and of the stand-in's file is `sqlite3`; of a replica it is SQL asked of its primary over HTTP.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, text

from ptp.engine import atomic, fetch, open_engine
from ptp.engine.remote_calls import Asked, Calls
from ptp.engine.routes import ROUTES, Capability, Route, RouteName
from ptp.settings import load_settings
from tests.remote.standin import StandIn
from tests.replicas.server import TURSODB, WHY_NOT, SyncServer

OWN = ("PTP_TEST_URL", "PTP_TEST_TOKEN")
#: Read when this is imported: the tests take settings of ptp's out of the environment.
OWN_URL, OWN_TOKEN = (os.environ.get(name) for name in OWN)

PLANTED: tuple[Any, ...] = (
    None,
    0,
    -1,
    2**31 - 1,
    2**31,
    -(2**31) - 1,
    2**53 + 1,
    2**63 - 1,
    -(2**63),
    0.1,
    -0.0,
    5e-324,
    1.7976931348623157e308,
    "",
    "é 🎓 'quoted' \"twice\"",
    "x" * 1_000_000,
    b"",
    b"\x00\xff",
    b"\x01" * 1_000_000,
)
NUL, INFINITE, ORPHAN = 101, 102, 103
"""Rows of `thing` with a text past a NUL and an infinite number; a child without its parent."""

SCHEMA = (
    "CREATE TABLE parent (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
    "CREATE TABLE child (id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED, "
    "code TEXT, n INTEGER, CONSTRAINT code_is_unique UNIQUE (code), CONSTRAINT n_is_small CHECK (n < 100))",
    "CREATE INDEX child_of ON child (parent_id, n DESC)",
    "CREATE TABLE bound (id INTEGER PRIMARY KEY, parent_id INTEGER NOT NULL REFERENCES parent (id))",
    "CREATE TABLE strict_one (id INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT",
    "CREATE TABLE thing (id INTEGER PRIMARY KEY, v)",
    "CREATE TABLE removed (id INTEGER)",
    "CREATE TRIGGER parent_removed AFTER DELETE ON parent BEGIN INSERT INTO removed VALUES (old.id); END",
    "CREATE VIEW names AS SELECT name FROM parent",
)
TABLES = ("bound", "child", "parent", "removed", "strict_one", "thing")


class Place:
    """A database on a route."""

    server: StandIn | None = None
    token: SecretStr | None = None

    def __init__(self, route: Route, url: str, see: Callable[..., list[tuple[Any, ...]]]) -> None:
        self.route, self.url = route, url
        self._see = see
        self._engines: list[Engine] = []

    @property
    def is_remote(self) -> bool:
        return self.route.name in ("http3", "websocket", "http1")

    def can(self, capability: Capability) -> bool:
        return capability in self.route.can

    def engine(self, *, read_only: bool = False, **settings: Any) -> Engine:
        values = load_settings().model_copy(update={"busy_timeout_ms": 1, **settings})
        made = open_engine(self.url, read_only=read_only, settings=values, token=self.token)
        self._engines.append(made)
        return made

    def see(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows as the witness has them, when no connection of the route is left."""
        self.rest()
        return self._see(sql)

    def rest(self) -> None:
        """Close all connections of the route."""
        while self._engines:
            self._engines.pop().dispose()

    @contextmanager
    def writing(self, engine: Engine) -> Iterator[Connection]:
        """Something to write through: a transaction, or what there is in its stead."""
        if self.can("transactions"):
            with atomic(engine) as db:
                yield db
        else:
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
                yield db

    def write(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        with self.writing(self.engine()) as db:
            return fetch(db, sql, values)

    def write_many(self, sql: str, rows: Sequence[Mapping[str, Any]]) -> int:
        with self.writing(self.engine()) as db:
            return db.execute(text(sql), rows).rowcount

    def read(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        with self.engine().connect() as db:
            return fetch(db, sql, values)


def make_file(path: Path) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        plant(lambda sql, values: db.execute(sql, values))
    return path


def plant(run: Callable[[str, tuple[Any, ...]], object]) -> None:
    run("PRAGMA foreign_keys = OFF", ())
    run("BEGIN", ())
    for statement in SCHEMA:
        run(statement, ())
    run("INSERT INTO parent VALUES (1, 'one'), (2, 'two')", ())
    run("INSERT INTO child VALUES (1, 1, 'a', 1), (2, 1, 'b', 2)", ())
    for number, value in enumerate(PLANTED):
        run("INSERT INTO thing VALUES (?, ?)", (number, value))
    run("INSERT INTO thing VALUES (?, ?)", (NUL, "a\0b"))
    run("INSERT INTO thing VALUES (?, 9e999)", (INFINITE,))
    run("INSERT INTO child VALUES (?, 999, 'orphan', 1)", (ORPHAN,))
    run("COMMIT", ())


def with_literals(sql: str, values: tuple[Any, ...]) -> str:
    """A statement with its values in the text, as SQLite writes them."""
    with closing(sqlite3.connect(":memory:")) as db:
        for value in values:
            if value == "a\0b":
                found = "char(97, 0, 98)"
            elif isinstance(value, int):
                found = str(value) if value > -(2**63) else "-9223372036854775807 - 1"
            else:
                found = (
                    repr(value) if isinstance(value, float) else db.execute("SELECT quote(?)", (value,)).fetchone()[0]
                )
            sql = sql.replace("?", found, 1)
    return sql


def unplant(path: Path) -> None:
    """Away with all that a test left in a file that a server goes on with."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=10)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN IMMEDIATE")
        names = "SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
        for kind, name in db.execute(names).fetchall():
            db.execute(f'DROP {kind} IF EXISTS "{name}"')
        db.execute("COMMIT")
        plant(lambda sql, values: db.execute(sql, values))


def seen_in(path: Path) -> Callable[[str], list[tuple[Any, ...]]]:
    def see(sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(path, timeout=10)) as db:
            return db.execute(sql).fetchall()

    return see


def file_place(name: RouteName, folder: Path) -> Place:
    path = make_file(folder / f"{name}.db")
    url = f"sqlite:///{path}" if name == "sqlite3" else f"{name}:{path}"
    return Place(ROUTES[name], url, seen_in(path))


def server_place(name: RouteName, server: StandIn) -> Place:
    unplant(server.path)
    url = {"http3": server.http, "websocket": server.ws, "http1": f"{server.http}?protocol=1"}[name]
    place = Place(ROUTES[name], url, seen_in(server.path))
    place.server, place.token = server, SecretStr(server.token) if server.token else None
    return place


@contextmanager
def replica_place(folder: Path) -> Iterator[Place]:
    if TURSODB is None:
        pytest.skip(WHY_NOT)
    from ptp.engine.replicas import create_replica
    from tests.replicas.primary import sql

    with SyncServer(folder / "primary.db") as server:
        statements: list[str] = []
        plant(lambda text, values: statements.append(with_literals(text, values)))
        sql(server, *statements)
        create_replica(folder / "replica.db", server.url).close()
        url = f"turso-sync:{folder / 'replica.db'}?remote={server.url}"
        yield Place(ROUTES["turso-sync"], url, lambda text: sql(server, text)[0])


_OWN_IS_OURS: list[bool] = []


def own_place() -> Place:
    """A server of the user's own, whose database was empty when the tests began; it is made anew for each of them."""
    if not OWN_URL:
        pytest.skip(f"no server of your own is named: set {OWN[0]} to one with an empty database, and {OWN[1]}")
    token = SecretStr(OWN_TOKEN) if OWN_TOKEN else None
    with Calls(OWN_URL, token=token) as calls:
        if not _OWN_IS_OURS and set(_tables(calls)) - set(TABLES):
            pytest.skip(f"the database in {OWN[0]} is not empty, and is left alone")
        _OWN_IS_OURS.append(True)
        clear_own(calls)
        asked: list[Asked] = []
        plant(lambda text, values: asked.append(Asked(text, values)))
        calls.write(asked[2:-1], is_done=lambda: False)  # without the pragma and the transaction, which it has itself

    def see(sql: str) -> list[tuple[Any, ...]]:
        with Calls(str(OWN_URL), token=token) as witness:
            return witness.read(sql)

    place = Place(ROUTES["http3"], OWN_URL, see)
    place.token = token
    return place


def clear_own(calls: Calls) -> None:
    """Away with all tables and views; those of a full-text index go with it."""
    for name in _tables(calls):
        with suppress(sqlite3.Error):
            calls.write([Asked(f'DROP TABLE IF EXISTS "{name}"')], is_done=lambda: False)
    calls.write([Asked("DROP VIEW IF EXISTS names")], is_done=lambda: False)


def _tables(calls: Calls) -> list[str]:
    wanted = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    return [row[0] for row in calls.read(wanted)]
