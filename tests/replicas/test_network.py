"""A network that fails: what is tried again, what is not, and that a replica stays whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from ptp.engine.replicas import RemoteRefused, Replica, Unreachable, create_replica
from ptp.engine.replicas.waiting import Patience, with_retries
from ptp.errors import UsageError
from tests.replicas.conftest import HASTY
from tests.replicas.faults import Relay
from tests.replicas.primary import sql
from tests.replicas.server import SyncServer, needs_server

pytestmark = needs_server
TOKEN = "eyJ-planted-and-never-shown"


@pytest.fixture
def relay(server: SyncServer) -> Iterator[Relay]:
    with Relay(server.url) as running:
        yield running


@pytest.fixture
def near(relay: Relay, tmp_path: Path) -> Iterator[Replica]:
    with create_replica(tmp_path / "near.db", relay.url, token=SecretStr(TOKEN), patience=HASTY) as replica:
        sql_count(replica)
        relay.asked.clear()
        yield replica


def sql_count(replica: Replica) -> int:
    db = replica.connect()
    (count,) = db.execute("SELECT count(*) FROM item").fetchone()
    db.close()
    return int(count)


@pytest.mark.parametrize("fault", [500, 502, 503, 429, "half"])
def test_what_may_pass_is_tried_again_and_done_once(
    server: SyncServer, relay: Relay, near: Replica, fault: int | str
) -> None:
    sql(server, "INSERT INTO item (id) VALUES (200)")
    relay.faults = [fault]
    pulled = near.pull()
    assert (pulled.changed, pulled.attempts) == (True, 2)
    assert sql_count(near) == 4
    assert not near.pull().changed


@pytest.mark.parametrize("fault", [500, "half"])
def test_what_does_not_pass_is_told_and_the_replica_is_as_it_was(
    server: SyncServer, relay: Relay, near: Replica, fault: int | str
) -> None:
    sql(server, "INSERT INTO item (id) VALUES (201)")
    before = near.freshness().current_at
    relay.faults = [fault] * HASTY.attempts
    with pytest.raises(Unreachable, match=f"{relay.url} (answered 500|broke off its answer).*: try again later"):
        near.pull()
    assert len(relay.asked) == HASTY.attempts
    assert near.freshness().current_at == before
    assert sql_count(near) == 3
    assert near.pull().changed
    assert sql_count(near) == 4


@pytest.mark.parametrize(
    ("status", "told"), [(401, "TURSO_AUTH_TOKEN"), (403, "TURSO_AUTH_TOKEN"), (404, "is it the address"), (400, "400")]
)
def test_a_refusal_is_not_tried_again_and_says_what_to_do(relay: Relay, near: Replica, status: int, told: str) -> None:
    relay.faults = [status]
    with pytest.raises(RemoteRefused, match=told) as problem:
        near.pull()
    assert len(relay.asked) == 1
    assert TOKEN not in str(problem.value)
    assert TOKEN not in repr(near.__dict__)


def test_a_token_is_sent_and_never_to_where_a_server_points(server: SyncServer, relay: Relay, near: Replica) -> None:
    with Relay() as elsewhere:
        relay.target, target = elsewhere.url, relay.target
        relay.faults = [302]
        with pytest.raises(RemoteRefused, match="answered 302"):
            near.pull()
        relay.target = target
        assert elsewhere.asked == []
    assert relay.asked == [("/pull-updates", f"Bearer {TOKEN}")]
    near.pull()
    assert {path for path, _ in relay.asked} == {"/pull-updates"}, "nothing was ever pushed"


def test_no_file_of_a_replica_holds_the_token(near: Replica, tmp_path: Path) -> None:
    near.pull()
    files = [p for p in tmp_path.iterdir() if p.is_file() and p.name.startswith("near.db")]
    assert len(files) >= 3
    assert [p.name for p in files if TOKEN.encode() in p.read_bytes()] == []


def test_a_new_replica_is_tried_again_too(relay: Relay, tmp_path: Path) -> None:
    relay.faults = ["half"]
    with create_replica(tmp_path / "new.db", relay.url, patience=HASTY) as replica:
        assert sql_count(replica) == 3


def test_an_answer_that_never_ends_ends_with_the_attempt(server: SyncServer, relay: Relay, tmp_path: Path) -> None:
    sql(server, "INSERT INTO item (picture) SELECT zeroblob(4000) FROM generate_series(1, 100)")
    short = Patience(attempt_s=0.0, attempts=1)
    with pytest.raises(Unreachable, match="did not finish in 0 s"):
        create_replica(tmp_path / "new.db", relay.url, patience=short)
    assert list(tmp_path.glob("new.db*")) == []


def test_a_token_does_not_travel_in_the_clear(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"A token would travel to 192\.0\.2\.1:8080 in the clear") as told:
        create_replica(tmp_path / "new.db", "http://192.0.2.1:8080", token=SecretStr(TOKEN))
    assert TOKEN not in str(told.value)


def test_pauses_grow_to_a_limit_and_differ() -> None:
    patience = Patience(attempts=9, first_pause_s=1.0, longest_pause_s=6.0)
    seen: list[list[float]] = []
    for _ in range(30):
        pauses: list[float] = []
        calls: list[int] = []

        def fail(calls: list[int] = calls) -> None:
            calls.append(1)
            raise Unreachable("away")

        with pytest.raises(Unreachable):
            with_retries(fail, patience, sleep=pauses.append)
        assert len(calls) == 9
        assert len(pauses) == 8
        assert all(0 <= p <= limit for p, limit in zip(pauses, [2.0, 4.0, 6.0, 6.0, 6.0, 6.0, 6.0, 6.0], strict=True))
        seen.append(pauses)
    assert len({tuple(p) for p in seen}) == 30
    assert max(p[0] for p in seen) > 1.0, "the whole of the range is used"
