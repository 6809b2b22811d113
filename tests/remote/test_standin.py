"""The stand-in against the specification: exchanges written down from it, what it forbids, its limits, who may."""

from __future__ import annotations

import http.client
import json
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.remote.asking import Answer, Socket, ask, execute, pipeline, run, talk
from tests.remote.standin import StandIn

EXCHANGES = Path(__file__).parent / "exchanges"
BESIDES = {"replication_index", "rows_read", "rows_written", "query_duration_ms"}
"""Fields that servers add to what the specification says, which tells clients to ignore what they do not know."""


def database(path: Path, setup: list[str]) -> Path:
    with closing(sqlite3.connect(path)) as db:
        for sql in setup:
            db.execute(sql)
        db.commit()
    return path


def check(found: Any, expected: Any, known: dict[str, str]) -> None:
    """Equal in all but `BESIDES`; `<baton N>` stands for what is met first in its place, and is then kept."""
    if isinstance(expected, dict):
        assert isinstance(found, dict) and found.keys() - BESIDES == expected.keys(), (found, expected)
        for key, value in expected.items():
            check(found[key], value, known)
    elif isinstance(expected, list):
        assert isinstance(found, list) and len(found) == len(expected), (found, expected)
        for one, other in zip(found, expected, strict=True):
            check(one, other, known)
    elif isinstance(expected, str) and expected.startswith("<baton "):
        assert isinstance(found, str) and found not in known.values()
        known[expected] = found
    else:
        assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize("name", ["http_1", "http_2", "http_3"])
def test_http_is_as_specified(tmp_path: Path, name: str) -> None:
    written = json.loads((EXCHANGES / f"{name}.json").read_text())
    known: dict[str, str] = {}
    with StandIn(database(tmp_path / "t.db", written["setup"])) as server:
        for each in written["exchanges"]:
            sent = each["send"]
            if sent.get("baton") in known:
                sent = sent | {"baton": known[sent["baton"]]}
            answer = ask(server.http, each["post"], sent)
            assert answer.status == each.get("status", 200), (each["says"], answer.text)
            if "text" in each:
                assert (answer.text, answer.kind) == (each["text"], "text/plain")
            else:
                found = answer.lines if "lines" in each else answer.json
                check(found, each.get("lines") or each["reply"], known)


def test_websocket_is_as_specified(tmp_path: Path) -> None:
    written = json.loads((EXCHANGES / "websocket.json").read_text())

    async def told(socket: Socket, messages: list[dict[str, Any]]) -> None:
        for each in messages:
            found = await socket.say(each["send"])
            check(found, each.get("closed") or each["reply"], {})

    with StandIn(database(tmp_path / "t.db", written["setup"])) as server:
        for each in written["conversations"]:
            talk(server.ws, lambda socket, each=each: told(socket, each["messages"]), protocol=each["protocol"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    path = database(tmp_path_factory.mktemp("standin") / "t.db", ["CREATE TABLE t (a INTEGER PRIMARY KEY, b)"])
    with StandIn(path, transaction_seconds=0.2, idle_seconds=0.5, response_bytes=20_000) as server:
        yield server


@pytest.mark.parametrize("version", [1, 2, 3])
def test_tells_which_versions_it_speaks(server: StandIn, version: int) -> None:
    import urllib.request

    with urllib.request.urlopen(f"{server.http}/v{version}") as reply:
        assert reply.status == 200


@pytest.mark.parametrize(
    "sql",
    [
        "VACUUM",
        "ANALYZE",
        "ATTACH 'x.db' AS x",
        "CREATE TEMP TABLE x (a)",
        "CREATE TABLE temp.x (a)",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA main.journal_mode(WAL)",
        "PRAGMA busy_timeout = 100",
        "PRAGMA user_version = 3",
        "PRAGMA wal_checkpoint",
        "/* hidden */ pragma User_Version=3",
        "EXPLAIN VACUUM",
        "INSERT INTO _litestream_seq VALUES (1)",
    ],
)
def test_refuses_what_a_server_forbids(server: StandIn, sql: str) -> None:
    error = {"message": f"SQL string could not be parsed: unsupported statement: {sql}", "code": "SQL_PARSE_ERROR"}
    assert run(server.http, sql) == error


@pytest.mark.parametrize(
    "sql",
    [
        "PRAGMA user_version",
        "PRAGMA journal_mode",
        "PRAGMA table_info(t)",
        "PRAGMA foreign_keys = ON",
        "EXPLAIN QUERY PLAN SELECT 1",
        "WITH x AS (SELECT 'VACUUM; ATTACH') SELECT * FROM x;",
        "CREATE TRIGGER IF NOT EXISTS r AFTER INSERT ON t BEGIN SELECT 1; SELECT CASE WHEN 1 THEN 2 END; END",
        "DROP TRIGGER r",
    ],
)
def test_allows_the_rest(server: StandIn, sql: str) -> None:
    assert "rows" in run(server.http, sql)


@pytest.mark.parametrize("second", ["VACUUM", "SELEC 1"])
def test_one_statement_that_cannot_be_read_keeps_a_batch_from_beginning(server: StandIn, second: str) -> None:
    steps = [{"stmt": {"sql": "INSERT INTO t VALUES (77, 1)"}}, {"stmt": {"sql": second}}]
    found = pipeline(server.http, {"type": "batch", "batch": {"steps": steps}}).json
    assert found["results"][0]["error"]["code"] == "SQL_PARSE_ERROR"
    assert run(server.http, "SELECT a FROM t WHERE a = 77")["rows"] == []


def test_foreign_keys_are_on(server: StandIn) -> None:
    run(server.http, "CREATE TABLE child (a REFERENCES t (a))")
    assert run(server.http, "INSERT INTO child VALUES (1234)")["code"] == "SQLITE_CONSTRAINT"


def test_a_transaction_that_lasts_too_long_is_rolled_back_and_says_so_once(server: StandIn) -> None:
    begun = pipeline(server.http, execute("BEGIN IMMEDIATE"), execute("INSERT INTO t VALUES (50, 1)")).json
    # Another stream waits for the lock, and gets it when the time of the first is over.
    assert run(server.http, "INSERT INTO t VALUES (51, 1)")["affected_row_count"] == 1
    found = pipeline(server.http, execute("COMMIT"), execute("SELECT 1"), baton=begun["baton"]).json["results"]
    assert found[0]["error"] == {"message": "Transaction timed out", "code": "TRANSACTION_TIMEOUT"}
    assert found[1]["type"] == "ok"
    assert run(server.http, "SELECT a FROM t WHERE a IN (50, 51)")["rows"] == [[{"type": "integer", "value": "51"}]]


def expired(url: str, baton: str) -> Answer:
    for _ in range(200):
        answer = pipeline(url, {"type": "get_autocommit"}, baton=baton)
        if answer.status != 200:
            return answer
        baton = answer.json["baton"]
        time.sleep(0.7)
    raise AssertionError("it never expired")


def test_a_stream_that_is_idle_expires(server: StandIn) -> None:
    baton = pipeline(server.http, execute("BEGIN"), execute("INSERT INTO t VALUES (60, 1)")).json["baton"]
    answer = expired(server.http, baton)
    assert (answer.status, answer.json["code"]) == (400, "STREAM_EXPIRED")
    assert run(server.http, "SELECT a FROM t WHERE a = 60")["rows"] == []


def test_a_websocket_that_is_idle_is_closed(server: StandIn) -> None:
    async def wait(socket: Socket) -> Any:
        await socket.opened()
        return await socket.hear()

    assert talk(server.ws, wait) == 1001


def test_a_reply_that_is_too_large_is_an_error_and_a_cursor_has_no_such_limit(server: StandIn) -> None:
    sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) SELECT i FROM n"
    assert run(server.http, sql)["code"] == "RESPONSE_TOO_LARGE"
    lines = ask(server.http, "/v3/cursor", {"baton": None, "batch": {"steps": [{"stmt": {"sql": sql}}]}}).lines
    assert len(lines) == 2003


def test_the_baton_of_a_cursor_is_good_before_its_rows_are_read(server: StandIn) -> None:
    """As at libSQL's server; the package libsql asks so early."""
    sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) SELECT i, hex(zeroblob(90)) FROM n"
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        connection.request("POST", "/v3/cursor", json.dumps({"batch": {"steps": [{"stmt": {"sql": sql}}]}}))
        reply = connection.getresponse()
        baton = json.loads(reply.readline())["baton"]
        with ThreadPoolExecutor(1) as other:
            early = other.submit(pipeline, server.http, execute("SELECT 1"), {"type": "close"}, baton=baton)
            assert reply.read().count(b"\n") == 60_002
            assert early.result().json["results"][0]["type"] == "ok"


def test_one_stream_that_works_keeps_no_other_waiting(server: StandIn) -> None:
    """A reader is answered while a writer holds the lock, and a second writer waits for it."""
    baton = pipeline(server.http, execute("BEGIN IMMEDIATE")).json["baton"]
    assert "rows" in run(server.http, "SELECT * FROM t")
    found = pipeline(server.http, {"type": "get_autocommit"}, {"type": "close"}, baton=baton).json["results"][0]
    assert found["response"]["is_autocommit"] is False, "the reader waited until the writer was rolled back"


def test_who_has_no_token_or_a_wrong_one_or_an_old_one_is_sent_away(tmp_path: Path) -> None:
    def answers(token: str | None) -> tuple[int, str]:
        answer = pipeline(server.http, execute("SELECT 1"), token=token)
        return answer.status, answer.json.get("error", "")

    async def greeted(socket: Socket, jwt: str | None) -> Any:
        return await socket.say({"type": "hello", "jwt": jwt})

    with StandIn(tmp_path / "t.db", token="good", token_seconds=1.0) as server:
        begun = time.monotonic()
        first = answers("good")
        assert first == (200, "") or time.monotonic() - begun > 1
        assert answers(None)[0] == answers("bad")[0] == 401
        for jwt, code in ((None, "AUTH_JWT_MISSING"), ("bad", "AUTH_JWT_INVALID")):
            error = talk(server.ws, lambda socket, jwt=jwt: greeted(socket, jwt))
            assert (error["type"], error["error"]["code"]) == ("hello_error", code)
        time.sleep(1.0)
        assert answers("good") == (401, "Authentication failed: The JWT has expired")
        error = talk(server.ws, lambda socket: greeted(socket, "good"))
        assert error["error"]["code"] == "AUTH_JWT_EXPIRED"
        command = Path(f"/proc/{server.pid}/cmdline")
        assert not command.exists() or b"good" not in command.read_bytes()


def test_the_file_outlives_the_server_and_its_death(tmp_path: Path) -> None:
    server = StandIn(tmp_path / "t.db")
    with server:
        run(server.http, "CREATE TABLE t (a)")
        run(server.http, "INSERT INTO t VALUES (1)")
        baton = pipeline(server.http, execute("BEGIN"), execute("INSERT INTO t VALUES (2)")).json["baton"]
        port = server.port
        server.kill()
        with pytest.raises(ConnectionError):
            run(server.http, "SELECT 1")
        server.start()
        assert server.port == port
        assert run(server.http, "SELECT a FROM t")["rows"] == [[{"type": "integer", "value": "1"}]]
        assert pipeline(server.http, execute("COMMIT"), baton=baton).text == "Received an invalid baton"
    assert not (tmp_path / "t.db-wal").exists()
    with closing(sqlite3.connect(tmp_path / "t.db")) as db:
        assert db.execute("SELECT a FROM t").fetchall() == [(1,)]


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """The tables on which libSQL's counters were published: 10,000 rows over 50 exams, 20,000 rows that refer to them."""
    path = database(
        tmp_path_factory.mktemp("counted") / "t.db",
        [
            "CREATE TABLE q (id INTEGER PRIMARY KEY, exam INTEGER, topic INTEGER)",
            "CREATE TABLE a (id INTEGER PRIMARY KEY, u INTEGER, q INTEGER)",
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) "
            "INSERT INTO q SELECT i, i % 50, i % 7 FROM n",
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
            "INSERT INTO a SELECT i, i % 100, 1 + i % 10000 FROM n",
        ],
    )
    with StandIn(path) as server:
        yield server


@pytest.mark.parametrize(
    ("sql", "read", "written"),
    [
        ("SELECT 1", 0, 0),
        ("SELECT * FROM q WHERE id = 7", 1, 0),
        ("SELECT * FROM q WHERE id IN (1, 2, 3, 4, 5)", 10, 0),
        ("SELECT * FROM q ORDER BY topic LIMIT 20", 20_000, 0),
        ("SELECT * FROM q LIMIT 20 OFFSET 5000", 5_020, 0),
        ("SELECT max(topic) FROM q", 10_000, 0),
        ("INSERT INTO q (exam, topic) VALUES (1, 1)", 0, 1),
        ("DELETE FROM q WHERE id > 10000", 1, 1),
    ],
)
def test_counts_rows_as_libsql_was_seen_to(questions: StandIn, sql: str, read: int, written: int) -> None:
    """The figures are those measured on a libSQL server built from source."""
    found = run(questions.http, sql)
    assert (found["rows_read"], found["rows_written"]) == (read, written)
