"""Routes to servers: requests counted, faults told in one sentence, wrong picks named, and no token anywhere."""

from __future__ import annotations

import logging
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text

from ptp.engine import atomic, fetch, open_engine
from ptp.engine.moves import DDL, Move, enter_move
from ptp.engine.problems import StreamLost, Unreached
from ptp.errors import CannotFinish, Locked, Moved, UsageError
from ptp.settings import load_settings
from tests.remote.standin import Faults, StandIn

TOKEN = "planted-t0ken-of-the-tests"
STREAMS = ("http", "ws")
ALL = ("http", "ws", "http1")


def make_served(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT)")
        db.execute("INSERT INTO item VALUES (1, 'one')")
        db.commit()
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with StandIn(make_served(tmp_path_factory.mktemp("served") / "a.db"), token=TOKEN) as running:
        yield running


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """A server that soon ends what takes long."""
    path = make_served(tmp_path_factory.mktemp("hasty") / "a.db")
    with StandIn(path, token=TOKEN, transaction_seconds=0.3, idle_seconds=0.4) as running:
        yield running


@pytest.fixture(autouse=True)
def sound(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    for name in {"server", "hasty"} & set(request.fixturenames):
        server: StandIn = request.getfixturevalue(name)
        server.set_faults(Faults())
        with closing(sqlite3.connect(server.path, timeout=10)) as db:
            db.execute("DROP TABLE IF EXISTS ptp_move")
            db.execute("DELETE FROM item WHERE id > 1")
            db.commit()


def url_of(server: StandIn, form: str) -> str:
    return {"http": server.http, "ws": server.ws, "http1": f"{server.http}?protocol=1"}[form]


@contextmanager
def opened(url: str, *, token: str | None = TOKEN, **settings: Any) -> Iterator[Engine]:
    values = load_settings().model_copy(update=settings)
    engine = open_engine(url, settings=values, token=SecretStr(token) if token else None)
    try:
        yield engine
    finally:
        engine.dispose()


def items(server: StandIn) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(server.path, timeout=10)) as db:
        return db.execute("SELECT id, name FROM item ORDER BY id").fetchall()


def put(engine: Engine, number: int = 2) -> None:
    with atomic(engine) as db:
        fetch(db, "INSERT INTO item VALUES (?, 'x')", (number,))


# What a transaction costs


@pytest.mark.parametrize(("form", "most"), [("http", 3), ("ws", 5)])
def test_to_begin_and_to_look_where_the_database_is_takes_one_request(server: StandIn, form: str, most: int) -> None:
    """BEGIN with all that goes with it, the statement, COMMIT; over WebSocket also to open and to close a stream."""
    with opened(url_of(server, form)) as engine:
        with engine.connect() as db:
            fetch(db, "SELECT 1", ())
        before = server.counts()["requests"]
        put(engine)
        assert server.counts()["requests"] - before <= most
    assert items(server) == [(1, "one"), (2, "x")]


@pytest.mark.parametrize(("form", "most"), [("http", 7), ("ws", 9), ("http1", 1)])
def test_a_thousand_rows_take_a_few_requests(server: StandIn, form: str, most: int) -> None:
    rows = [{"id": 10 + n, "name": str(n)} for n in range(1_000)]
    with opened(url_of(server, form)) as engine:
        options = {"isolation_level": "AUTOCOMMIT"} if form == "http1" else {"ptp_writes": True}
        with engine.connect().execution_options(**options) as db:
            db.begin()
            before = server.counts()["requests"]
            assert db.execute(text("INSERT INTO item VALUES (:id, :name)"), rows).rowcount == 1_000
            db.commit()
    assert server.counts()["requests"] - before <= most
    assert len(items(server)) == 1_001


@pytest.mark.parametrize("form", STREAMS)
def test_a_database_that_has_moved_is_not_used(server: StandIn, form: str) -> None:
    with closing(sqlite3.connect(server.path, isolation_level=None)) as db:
        db.execute(DDL)
        enter_move(db, Move("moved", "a", "libsql://new", "settle", "r", "p", "o", time.time()))
    with opened(url_of(server, form)) as engine, pytest.raises(Moved, match="has moved to libsql://new") as moved:
        put(engine)
    assert moved.value.to == "libsql://new"
    assert items(server) == [(1, "one")]


@pytest.mark.parametrize("form", STREAMS)
def test_a_frozen_database_is_read_and_is_written_once_the_freeze_is_over(server: StandIn, form: str) -> None:
    with closing(sqlite3.connect(server.path, isolation_level=None)) as db:
        db.execute(DDL)
        enter_move(db, Move("freezing", "a", "b", "cut over", "r", "p", "o", time.time(), time.time() + 0.1))
    with opened(url_of(server, form)) as engine:
        with engine.connect() as db:
            assert fetch(db, "SELECT count(*) FROM item", ()) == [(1,)]
        put(engine)
    assert items(server) == [(1, "one"), (2, "x")]


# What goes wrong


@pytest.mark.parametrize("form", STREAMS)
def test_a_transaction_that_the_server_has_ended_does_not_go_on(hasty: StandIn, form: str) -> None:
    with opened(url_of(hasty, form)) as engine:
        with pytest.raises(CannotFinish) as first, atomic(engine) as db:
            fetch(db, "INSERT INTO item VALUES (2, 'x')", ())
            time.sleep(0.5)
            try:
                fetch(db, "INSERT INTO item VALUES (3, 'outside')", ())
            except CannotFinish:
                with pytest.raises(StreamLost, match="over at the server"):
                    fetch(db, "INSERT INTO item VALUES (4, 'outside')", ())
                raise
        assert items(hasty) == [(1, "one")]
        assert any(word in str(first.value) for word in ("ended the transaction", "over at the server"))
        put(engine)
    assert items(hasty) == [(1, "one"), (2, "x")]


@pytest.mark.parametrize("form", STREAMS)
@pytest.mark.parametrize(
    "fault", ["drop", "lose_reply", "half_reply", "unavailable", "stream_expired", "expired_token"]
)
def test_a_fault_in_a_transaction_keeps_nothing_of_it(server: StandIn, form: str, fault: str) -> None:
    with opened(url_of(server, form)) as engine:
        with pytest.raises((CannotFinish, UsageError)) as problem, atomic(engine) as db:
            fetch(db, "INSERT INTO item VALUES (2, 'x')", ())
            server.set_faults(Faults(script={1: fault}))
            fetch(db, "INSERT INTO item VALUES (3, 'x')", ())
        server.set_faults(Faults())
        assert str(problem.value).endswith(".")
        assert TOKEN not in str(problem.value)
        assert isinstance(problem.value, UsageError) is (fault == "expired_token")
        put(engine, 4)
    assert items(server) == [(1, "one"), (4, "x")]


@pytest.mark.parametrize("form", STREAMS)
@pytest.mark.parametrize("fault", ["drop", "lose_reply", "unavailable", "stream_expired"])
def test_a_rollback_without_an_answer_does_not_hide_why_it_was_made(server: StandIn, form: str, fault: str) -> None:
    with opened(url_of(server, form)) as engine:
        with pytest.raises(ZeroDivisionError), atomic(engine) as db:
            fetch(db, "INSERT INTO item VALUES (2, 'x')", ())
            server.set_faults(Faults(script={1: fault}, only="ROLLBACK"))
            raise ZeroDivisionError
        server.set_faults(Faults())
        put(engine, 3)
    assert items(server) == [(1, "one"), (3, "x")]


@pytest.mark.parametrize("form", STREAMS)
def test_a_commit_without_an_answer_is_said_to_be_in_doubt(server: StandIn, form: str) -> None:
    with opened(url_of(server, form)) as engine:
        with (
            pytest.raises(Unreached, match="whether the transaction was kept is not known") as problem,
            atomic(engine) as db,
        ):
            fetch(db, "INSERT INTO item VALUES (2, 'x')", ())
            server.set_faults(Faults(script={1: "lose_reply"}, only="COMMIT"))
        assert problem.value.in_doubt
    assert items(server) == [(1, "one"), (2, "x")]


@pytest.mark.parametrize("form", ALL)
def test_a_slow_answer_is_not_waited_for_longer_than_it_is_told(server: StandIn, form: str) -> None:
    with opened(url_of(server, form), remote_timeout_ms=150) as engine:
        with engine.connect() as db:
            fetch(db, "SELECT 1", ())
        server.set_faults(Faults(delay=1.0, delay_seconds=1.0))
        with pytest.raises(Unreached, match=r"gave no answer in 0\.15 s\.$"), engine.connect() as db:
            fetch(db, "SELECT 1", ())


@pytest.mark.parametrize("form", STREAMS)
def test_a_connection_that_was_idle_for_too_long_is_not_used_again(server: StandIn, form: str) -> None:
    with opened(url_of(server, form), remote_idle_ms=50, pool_size=1) as engine:
        used = []
        for pause in (0.0, 0.0, 0.2):
            time.sleep(pause)
            with engine.connect() as db:
                fetch(db, "SELECT 1", ())
                used.append(db.connection.dbapi_connection)
        assert used[0] is used[1]
        assert used[1] is not used[2]


def test_a_dead_websocket_is_replaced_without_an_error(server: StandIn) -> None:
    with opened(server.ws, pool_size=1) as engine:
        put(engine, 2)
        server.set_faults(Faults(script={1: "drop"}))
        with pytest.raises(CannotFinish):
            put(engine, 3)
        put(engine, 4)
    assert [n for n, _ in items(server)] == [1, 2, 4]


@pytest.mark.parametrize("form", ALL)
@pytest.mark.parametrize("token", ["wrong", None])
def test_a_refused_token_says_where_to_put_the_right_one(server: StandIn, form: str, token: str | None) -> None:
    with opened(url_of(server, form), token=token) as engine:
        with pytest.raises(UsageError, match=r"refused the token \(40[13]\): put a valid one"), engine.connect() as db:
            fetch(db, "SELECT 1", ())


# Wrong picks, against sockets that answer so


@contextmanager
def answering(reply: bytes) -> Iterator[int]:
    """A port where whatever is asked is answered so."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    client.settimeout(2)
                    try:
                        client.recv(65_536)
                        client.sendall(reply)
                    except OSError:
                        pass

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def http(status: str, body: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


TLS_ALERT = b"\x15\x03\x01\x00\x02\x02\x46"


@pytest.mark.parametrize(
    ("url", "reply", "words"),
    [
        ("http://{}", http("404 Not Found"), "no HTTP protocol 3 (404 at /v3/pipeline): for an older server add ?protocol=1"),
        ("http://{}?protocol=1", http("404 Not Found"), "no HTTP protocol 1 (404 at /v1/batch): leave ?protocol=1 out"),
        ("ws://{}", http("505 HTTP Version Not Supported"), "has no WebSocket for this driver (505): write libsql://"),
        ("ws://{}", http("404 Not Found"), "has no WebSocket for this driver (404): write libsql://"),
        ("ws://{}", http("401 Unauthorized"), "refused the token (401)"),
        ("http://{}", TLS_ALERT, "does not answer in HTTP: write https://127.0.0.1:"),
        ("http://{}", http("400 Bad Request", "The plain HTTP request was sent to HTTPS port"), "speaks TLS: write https://"),
        ("https://{}", http("400 Bad Request"), "does not speak TLS: write http://127.0.0.1:"),
        ("libsql://{}", http("400 Bad Request"), "does not speak TLS: write http://127.0.0.1:"),
        ("https://{}?protocol=1", http("400 Bad Request"), "does not speak TLS: write http://127.0.0.1:"),
        ("wss://{}", http("400 Bad Request"), "does not speak TLS: write ws://127.0.0.1:"),
        ("http://{}", http("200 OK", "<html>hello</html>"), "answers in another way than HTTP protocol 3"),
        ("http://{}", http("429 Too Many Requests"), "asks to be left alone for a moment (429)"),
        ("http://{}", http("500 Internal", f'{{"error": "no {TOKEN}"}}'), "failed (500): no ***."),
        ("http://{}", b"", "broke off before its answer was whole."),
    ],
)  # fmt: skip
def test_a_wrong_pick_ends_in_a_sentence_that_names_the_right_one(url: str, reply: bytes, words: str) -> None:
    with answering(reply) as port, opened(url.format(f"127.0.0.1:{port}"), connect_timeout_ms=2_000) as engine:
        with pytest.raises((UsageError, CannotFinish)) as problem, engine.connect() as db:
            fetch(db, "SELECT 1", ())
    assert words in str(problem.value)
    assert str(problem.value).endswith(".")
    assert TOKEN not in str(problem.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:{}", "ws://127.0.0.1:{}", "http://127.0.0.1:{}?protocol=1"])
def test_a_server_that_is_not_there_is_not_reached(url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with opened(url.format(port)) as engine:
        with pytest.raises(Unreached, match="cannot be reached") as problem, engine.connect() as db:
            fetch(db, "SELECT 1", ())
    assert not problem.value.in_doubt


@pytest.mark.parametrize("form", ["http", "ws"])
def test_a_server_that_never_answers_is_given_up(form: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"{form}://127.0.0.1:{listener.getsockname()[1]}"
        with opened(url, connect_timeout_ms=100, remote_timeout_ms=100) as engine:
            with pytest.raises(Unreached), engine.connect() as db:
                fetch(db, "SELECT 1", ())


# Files


def make(path: Path, *ddl: str) -> Path:
    with closing(sqlite3.connect(path)) as db:
        for statement in ("CREATE TABLE item (id INTEGER PRIMARY KEY)", *ddl):
            db.execute(statement)
        db.commit()
    return path


@pytest.mark.parametrize(
    ("ddl", "words"),
    [
        ("CREATE VIRTUAL TABLE words using fts5 (t)", "the virtual table words"),
        ("CREATE VIRTUAL TABLE words USING fts5 (t)", "the virtual table words"),
        ("CREATE TABLE twice (a, b GENERATED ALWAYS AS (a + a) STORED)", "generated columns in twice"),
        ("CREATE TABLE twice (a, b AS (a + a))", "generated columns in twice"),
    ],
)
def test_what_pyturso_does_not_open_is_named(tmp_path: Path, ddl: str, words: str) -> None:
    path = make(tmp_path / "a.db", ddl)
    with pytest.raises(UsageError, match=f"has {words}, which pyturso cannot read: open it as sqlite:///"):
        open_engine(f"turso:{path}")


@pytest.mark.parametrize(("scheme", "package"), [("libsql", "libsql"), ("turso", "pyturso")])
def test_two_libraries_do_not_have_a_file_open_in_one_process(tmp_path: Path, scheme: str, package: str) -> None:
    path = make(tmp_path / "a.db")
    with opened(f"{scheme}:{path}") as other, opened(str(path)) as plain:
        with other.connect() as db:
            fetch(db, "SELECT 1", ())
            with pytest.raises(CannotFinish, match=f"open in this process by {package}"), plain.connect():
                pass
        other.dispose()
        with plain.connect() as db:
            fetch(db, "SELECT * FROM item", ())
            with pytest.raises(CannotFinish, match="open in this process by another library"), other.connect():
                pass
        plain.dispose()
        with other.connect() as db:
            assert fetch(db, "SELECT count(*) FROM item", ()) == [(0,)]


def test_pyturso_does_not_open_a_file_that_another_process_has_open(tmp_path: Path) -> None:
    path = make(tmp_path / "a.db")
    code = (
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('SELECT * FROM item').fetchall()\n"
        "print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout and other.stdin
        assert other.stdout.readline() == "open\n"
        with opened(f"turso:{path}") as engine:
            with pytest.raises((CannotFinish, Locked), match=rf"another process \({other.pid}\)"), engine.connect():
                pass
        other.stdin.close()


# Secrets


@pytest.mark.parametrize("form", ALL)
def test_the_token_stands_nowhere(
    server: StandIn, form: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In no error, trace, log, repr, URL or list of processes: of calls that succeed, and of each kind that fails."""
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    with opened(url_of(server, form)) as engine:
        told += [
            repr(engine),
            str(engine.url),
            repr(engine.pool),
            repr(engine.dialect),
            engine.url.render_as_string(False),
        ]
        for fault in (None, "drop", "half_reply", "unavailable", "expired_token", "stream_expired"):
            server.set_faults(Faults(script={2: fault} if fault else {}))
            for sql in ("SELECT count(*) FROM item", "SELECT nothing", "SELECT * FROM nothing"):
                try:
                    with engine.connect() as db:
                        raw = db.connection.dbapi_connection
                        told += [repr(db), repr(raw), repr(getattr(raw, "wire", None))]
                        fetch(db, "SELECT 1", ())
                        fetch(db, sql, ())
                except Exception as problem:
                    told += [str(problem), repr(problem), "".join(traceback.format_exception(problem))]
        processes = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    told += [processes, caplog.text, "".join(str(r.__dict__) for r in caplog.records)]
    assert len(told) > 40
    assert [t for t in told if TOKEN in t] == []
