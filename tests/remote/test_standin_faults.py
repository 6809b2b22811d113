"""Each fault really happens: seen by the client, in the file, and in what the server counts."""

from __future__ import annotations

import http.client
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.remote.asking import Socket, ask, execute, pipeline, run, talk
from tests.remote.standin import Faults, StandIn

ONE = "INSERT INTO t VALUES (1)"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with StandIn(tmp_path_factory.mktemp("faults") / "t.db") as server:
        run(server.http, "CREATE TABLE t (a)")
        yield server


@pytest.fixture
def server(started: StandIn) -> Iterator[StandIn]:
    """Its table is empty, and nothing goes wrong but what the test sets."""
    started.set_faults(Faults())
    run(started.http, "DELETE FROM t")
    yield started


def rows(server: StandIn) -> int:
    """How many rows there are, read from the file and not by way of the server."""
    with closing(sqlite3.connect(f"file:{server.path}?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT count(*) FROM t").fetchone()[0])


def met(
    server: StandIn, kind: str, *, only: str | None = "INSERT", script: dict[int, str] | None = None
) -> Counter[str]:
    """Set one fault for the next INSERT; what the server has counted before."""
    before = Counter(server.counts()["faults"])
    server.set_faults(Faults(script=script or {1: kind}, only=only, delay_seconds=0.3))
    return before


def done(server: StandIn, before: Counter[str]) -> dict[str, int]:
    return dict(Counter(server.counts()["faults"]) - before)


@pytest.mark.parametrize(("kind", "work"), [("drop", 0), ("lose_reply", 1)])
def test_a_connection_that_closes_without_a_reply(server: StandIn, kind: str, work: int) -> None:
    before = met(server, kind)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        run(server.http, ONE)
    assert (rows(server), done(server, before)) == (work, {kind: 1})
    run(server.http, ONE)
    assert rows(server) == work + 1, "the next request is carried out as ever"


@pytest.mark.parametrize("path", ["/v1/execute", "/v3/pipeline", "/v3/cursor"])
def test_half_a_reply(server: StandIn, path: str) -> None:
    before = met(server, "half_reply")
    stmt = {"sql": ONE}
    body = {
        "/v1/execute": {"stmt": stmt},
        "/v3/pipeline": {"baton": None, "requests": [{"type": "execute", "stmt": stmt}]},
        "/v3/cursor": {"baton": None, "batch": {"steps": [{"stmt": stmt}]}},
    }[path]
    with pytest.raises(http.client.IncompleteRead) as problem:
        ask(server.http, path, body)
    assert len(problem.value.partial) > 10
    assert (rows(server), done(server, before)) == (1, {"half_reply": 1})


def test_a_request_that_comes_late(server: StandIn) -> None:
    before = met(server, "delay")
    begun = time.monotonic()
    run(server.http, ONE)
    assert time.monotonic() - begun >= 0.3
    assert (rows(server), done(server, before)) == (1, {"delay": 1})


@pytest.mark.parametrize("path", ["/v1/execute", "/v3/cursor"])
def test_a_request_that_is_carried_out_twice(server: StandIn, path: str) -> None:
    before = met(server, "duplicate")
    stmt = {"sql": ONE}
    answer = ask(server.http, path, {"stmt": stmt, "batch": {"steps": [{"stmt": stmt}]}})
    assert (answer.status, rows(server), done(server, before)) == (200, 2, {"duplicate": 1})


def test_a_baton_protects_from_being_carried_out_twice(server: StandIn) -> None:
    baton = pipeline(server.http, execute("SELECT 1")).json["baton"]
    met(server, "duplicate")
    assert pipeline(server.http, execute(ONE), baton=baton).status == 200
    assert rows(server) == 1


def test_a_gateway_without_its_server(server: StandIn) -> None:
    before = met(server, "", script=dict.fromkeys(range(1, 21), "unavailable"))
    answers = Counter(pipeline(server.http, execute(ONE)).status for _ in range(20))
    assert answers.keys() == {502, 503} and answers.total() == 20
    assert (rows(server), done(server, before)) == (0, {"unavailable": 20})


def test_a_token_that_expires(server: StandIn) -> None:
    before = met(server, "expired_token")
    answer = pipeline(server.http, execute(ONE))
    assert (answer.status, answer.json) == (401, {"error": "Authentication failed: The JWT has expired"})
    assert (rows(server), done(server, before)) == (0, {"expired_token": 1})


def test_a_stream_that_expires(server: StandIn) -> None:
    baton = pipeline(server.http, execute("BEGIN"), execute("INSERT INTO t VALUES (5)")).json["baton"]
    before = met(server, "stream_expired", only=None)
    answer = pipeline(server.http, execute(ONE), execute("COMMIT"), baton=baton)
    assert (answer.status, answer.json["code"]) == (400, "STREAM_EXPIRED")
    assert (rows(server), done(server, before)) == (0, {"stream_expired": 1})


def test_a_request_that_begins_a_stream_cannot_find_it_expired(server: StandIn) -> None:
    before = met(server, "stream_expired")
    assert run(server.http, ONE)["affected_row_count"] == 1
    assert done(server, before) == {}


@pytest.mark.parametrize(
    ("kind", "heard", "work"),
    [
        ("drop", 1006, 0),
        ("unavailable", 1011, 0),
        ("expired_token", 1008, 0),
        ("lose_reply", 1006, 1),
        ("half_reply", 1006, 1),
    ],
)
def test_a_websocket_that_ends_in_the_middle(server: StandIn, kind: str, heard: int, work: int) -> None:
    async def insert(socket: Socket) -> Any:
        await socket.opened()
        return await socket.execute(1, ONE)

    before = met(server, kind)
    assert talk(server.ws, insert) == heard
    assert (rows(server), done(server, before)) == (work, {kind: 1})


def test_a_websocket_rolls_back_what_it_had_begun(server: StandIn) -> None:
    async def insert(socket: Socket) -> Any:
        await socket.opened()
        await socket.execute(1, "BEGIN IMMEDIATE")
        await socket.execute(2, "INSERT INTO t VALUES (2)")
        return await socket.execute(3, ONE)

    met(server, "", script={2: "drop"})
    assert talk(server.ws, insert) == 1006
    # This waits for the lock, so the transaction is over: well before its time.
    assert run(server.http, "INSERT INTO t VALUES (9)")["affected_row_count"] == 1
    assert rows(server) == 1


def test_a_message_that_is_carried_out_twice_or_late(server: StandIn) -> None:
    async def insert(socket: Socket) -> Any:
        await socket.opened()
        first = await socket.execute(1, ONE)
        begun = time.monotonic()
        second = await socket.execute(2, ONE)
        return first["type"], second["type"], second["request_id"], time.monotonic() - begun >= 0.3

    before = met(server, "", script={1: "duplicate", 2: "delay"})
    assert talk(server.ws, insert) == ("response_ok", "response_ok", 2, True)
    assert (rows(server), done(server, before)) == (3, {"duplicate": 1, "delay": 1})


def test_a_stream_that_expires_on_a_websocket(server: StandIn) -> None:
    async def insert(socket: Socket) -> Any:
        await socket.opened()
        await socket.execute(1, "BEGIN")
        await socket.execute(2, "INSERT INTO t VALUES (2)")
        answer = await socket.execute(3, ONE)
        await socket.execute(4, "COMMIT")
        return answer["error"]["code"]

    before = met(server, "", script={2: "stream_expired"})
    assert talk(server.ws, insert) == "STREAM_EXPIRED"
    assert (rows(server), done(server, before)) == (0, {"stream_expired": 1})


def outcomes(server: StandIn, seed: int) -> list[str]:
    server.set_faults(Faults(drop=0.2, lose_reply=0.2, unavailable=0.2, seed=seed))
    found = []
    for _ in range(40):
        try:
            found.append(str(pipeline(server.http, execute(ONE), {"type": "close"}).status))
        except (http.client.HTTPException, ConnectionError):
            found.append("nothing")
    return found


def test_chance_is_as_likely_as_said_and_repeats_with_its_seed(server: StandIn) -> None:
    first = outcomes(server, seed=1)
    assert outcomes(server, seed=1) == first != outcomes(server, seed=2)
    found = Counter(first)
    # 40 draws of 0.4, 0.2 and 0.4: five standard deviations either way.
    assert 1 <= found["nothing"] <= 31 and 1 <= found["502"] + found["503"] <= 20 and 1 <= found["200"] <= 31


def test_counts_requests(server: StandIn) -> None:
    before = server.counts()["requests"]
    run(server.http, "SELECT 1")
    talk(server.ws, lambda socket: socket.opened())
    assert server.counts()["requests"] - before == 2


def test_faults_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="no fault wrong"):
        Faults(script={1: "wrong"})
    with pytest.raises(ValueError, match="from 0 to 1"):
        Faults(drop=0.6, delay=0.6)
