"""Each route can what it declares, and lacks what it does not declare: each capability is tried, in both directions."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, get_args

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ptp.engine import atomic, fetch
from ptp.engine.routes import CAPABILITIES, ROUTES, Capability, RouteName, route_of
from ptp.errors import CannotFinish, PtpError, UsageError
from tests.engine.conformance.places import INFINITE, NUL, ORPHAN, Place

REFUSED = (PtpError, DatabaseError)


def writes(place: Place) -> bool:
    with suppress(UsageError):
        place.write("INSERT INTO parent VALUES (7, 'seven')")
    return place.see("SELECT count(*) FROM parent WHERE id = 7") == [(1,)]


def transactions(place: Place) -> bool:
    engine = place.engine()
    if not place.can("writes"):
        with engine.connect() as db:
            fetch(db, "SELECT 1", ())
            raw: Any = db.connection.dbapi_connection
            return bool(raw.in_transaction)
    with suppress(ZeroDivisionError, UsageError), atomic(engine) as db:
        fetch(db, "INSERT INTO parent VALUES (7, 'seven')", ())
        assert fetch(db, "SELECT count(*) FROM parent", ()) == [(3,)]
        raise ZeroDivisionError
    rolled_back = place.see("SELECT count(*) FROM parent") == [(2,)]
    try:
        with atomic(place.engine()) as db:
            fetch(db, "INSERT INTO parent VALUES (7, 'seven')", ())
    except UsageError:
        return False
    return rolled_back and place.see("SELECT count(*) FROM parent") == [(3,)]


def several_connections(place: Place) -> bool:
    engine = place.engine(remote_timeout_ms=100 if place.route.name == "turso" else 15_000)
    try:
        with engine.connect() as one, engine.connect() as two:
            return fetch(one, "SELECT 1", ()) == fetch(two, "SELECT 1", ())
    except PoolTimeout:
        return False


def several_processes(place: Place) -> bool:
    code = (
        "import sys; from ptp.engine import fetch, open_engine; from pydantic import SecretStr\n"
        "engine = open_engine(sys.argv[1], token=SecretStr(sys.stdin.read()))\n"
        "with engine.connect() as db: print(fetch(db, 'SELECT count(*) FROM parent', ()))"
    )
    with place.engine().connect() as db:
        fetch(db, "SELECT 1", ())
        secret = place.token.get_secret_value() if place.token else ""
        found = subprocess.run(
            [sys.executable, "-c", code, place.url], input=secret, text=True, capture_output=True, check=False
        )
    assert found.returncode == 0 or "process" in found.stderr, found.stderr
    return found.stdout.strip() == "[(2,)]"


def shared_process(place: Place) -> bool:
    if place.is_remote:
        return place.read("SELECT count(*) FROM parent") == [(2,)]  # its file is not this process's
    path = place.url.split("?")[0].split(":", 1)[1].removeprefix("///")
    # Immutable, so that closing it leaves the log of a replica alone.
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as other:
        other.execute("SELECT 1 FROM sqlite_schema").fetchone()
        try:
            return place.read("SELECT count(*) FROM parent") == [(2,)]
        except CannotFinish as problem:
            assert "this process" in str(problem)
            return False


def whole_texts(place: Place) -> bool:
    return bool(place.read(f"SELECT v FROM thing WHERE id = {NUL}") == [("a\0b",)])


def infinite_numbers(place: Place) -> bool:
    try:
        return place.read(f"SELECT v FROM thing WHERE id = {INFINITE}") == [(float("inf"),)]
    except CannotFinish as problem:
        assert "infinite" in str(problem)
        return False


def recursive_triggers(place: Place) -> bool:
    if place.can("writes"):
        place.write("REPLACE INTO parent VALUES (2, 'again')")
        assert place.see("SELECT name FROM parent WHERE id = 2") == [("again",)]
        return place.see("SELECT * FROM removed") == [(2,)]
    return place.read("PRAGMA recursive_triggers") == [(1,)]


def reference_check(place: Place) -> bool:
    with suppress(UsageError):
        return [row[1] for row in place.read("PRAGMA foreign_key_check")] == [ORPHAN]
    return False


def full_text(place: Place) -> bool:
    with suppress(*REFUSED):
        place.write("CREATE VIRTUAL TABLE words USING fts5 (t)")
        place.write("INSERT INTO words VALUES ('one two')")
        return place.read("SELECT t FROM words WHERE words MATCH 'two'") == [("one two",)]
    return False


def generated_columns(place: Place) -> bool:
    with suppress(*REFUSED):
        place.write("CREATE TABLE twice (a INTEGER, b INTEGER GENERATED ALWAYS AS (2 * a) STORED)")
        place.write("INSERT INTO twice (a) VALUES (4)")
        return place.read("SELECT b FROM twice") == [(8,)]
    return False


def alone(place: Place, *statements: str) -> list[Any]:
    """The rows of the last of statements that stand in no transaction."""
    with place.engine().connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        return [fetch(db, statement, ()) for statement in statements][-1]


def attach(place: Place) -> bool:
    with suppress(*REFUSED):
        rows = alone(place, "ATTACH ':memory:' AS more", "PRAGMA database_list")
        return "more" in [row[1] for row in rows]
    return False


def vacuum(place: Place) -> bool:
    try:
        alone(place, "VACUUM")
    except REFUSED:
        return False
    return True


def write_ahead_log(place: Place) -> bool:
    with suppress(*REFUSED):
        return [alone(place, f"PRAGMA journal_mode = {mode}") for mode in ("wal", "delete")] == [
            [("wal",)],
            [("delete",)],
        ]
    return False


def busy_timeout(place: Place) -> bool:
    with suppress(*REFUSED):
        return alone(place, "PRAGMA busy_timeout = 321", "PRAGMA busy_timeout") == [(321,)]
    return False


def user_version(place: Place) -> bool:
    with suppress(*REFUSED):
        alone(place, "PRAGMA user_version = 7")
    return place.see("PRAGMA user_version") == [(7,)]


def functions(place: Place) -> bool:
    with place.engine().connect() as db:
        raw: Any = db.connection.dbapi_connection
        try:
            raw.create_function("twice", 1, lambda n: 2 * n)
        except AttributeError:
            return False
        return fetch(db, "SELECT twice(21)", ()) == [(42,)]


def few_requests(place: Place) -> bool:
    rows = [{"id": 1_000 + n, "name": str(n)} for n in range(150)]
    if not place.can("writes"):
        return False
    if place.is_remote and not place.server:
        pytest.skip("nobody counts the requests to a server of one's own")
    before = place.server.counts()["requests"] if place.server else 0
    place.write_many("INSERT INTO parent VALUES (:id, :name)", rows)
    after = place.server.counts()["requests"] if place.server else 0
    assert place.see("SELECT count(*), max(id) FROM parent") == [(152, 1_149)]
    return 0 < after - before <= 6


def billed_rows(place: Place) -> bool:
    engine, told = place.engine(), []
    event.listen(engine, "after_cursor_execute", lambda *args: told.append(getattr(args[1], "billed", (None,))[0]))
    with engine.connect() as db:
        db.execute(text("SELECT * FROM parent")).all()
    return told == [2]


TRIALS: dict[Capability, Callable[[Place], bool]] = {
    "writes": writes,
    "transactions": transactions,
    "several connections": several_connections,
    "several processes": several_processes,
    "shared process": shared_process,
    "whole texts": whole_texts,
    "infinite numbers": infinite_numbers,
    "recursive triggers": recursive_triggers,
    "reference check": reference_check,
    "full text": full_text,
    "generated columns": generated_columns,
    "attach": attach,
    "vacuum": vacuum,
    "write-ahead log": write_ahead_log,
    "busy timeout": busy_timeout,
    "user version": user_version,
    "functions": functions,
    "few requests": few_requests,
    "billed rows": billed_rows,
}


def test_each_capability_is_tried_and_each_route_told_of() -> None:
    assert set(TRIALS) == set(CAPABILITIES) == set(get_args(Capability))
    assert set(ROUTES) == set(get_args(RouteName))
    for route in ROUTES.values():
        assert route.can <= set(CAPABILITIES)


@pytest.mark.parametrize("capability", TRIALS)
def test_a_route_can_what_is_declared_and_nothing_more(place: Place, capability: Capability) -> None:
    assert route_of(place.engine()) is place.route
    place.rest()
    assert TRIALS[capability](place) is place.can(capability)


@pytest.mark.parametrize("capability", TRIALS)
def test_what_a_route_lacks_is_refused_in_a_sentence_that_names_another(capability: Capability) -> None:
    for route in ROUTES.values():
        if capability in route.can:
            route.require(capability, what="This")
            continue
        with pytest.raises(UsageError) as refused:
            route.require(capability, what="This")
        sentence = str(refused.value)
        named = sentence.rsplit("use ", 1)[1].rstrip(".")
        assert CAPABILITIES[capability] in sentence
        assert any(named in other.urls and capability in other.can for other in ROUTES.values())


def test_the_files_of_the_tests_are_what_they_seem(tmp_path: Path) -> None:
    from tests.engine.conformance.places import PLANTED, make_file

    with closing(sqlite3.connect(make_file(tmp_path / "x.db"))) as db:
        assert [v for (v,) in db.execute("SELECT v FROM thing WHERE id < 100 ORDER BY id")] == list(PLANTED)
