from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from ptp.engine.remote_calls import Calls
from tests.engine.conformance import places
from tests.engine.conformance.places import Place, clear_own, file_place, own_place, replica_place, server_place
from tests.remote.standin import StandIn

FILES = ("sqlite3", "libsql", "turso")
SERVERS = ("http3", "websocket", "http1")
ALL = (*FILES, "turso-sync", *SERVERS, pytest.param("own", marks=pytest.mark.cloud))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """One server for all three protocols; a place begins with the content made anew."""
    with StandIn(tmp_path_factory.mktemp("served") / "served.db", token="a-token-of-the-tests") as running:
        yield running


@pytest.fixture(scope="session")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One replica for all tests, as none can change it."""
    with replica_place(tmp_path_factory.mktemp("replica")) as made:
        yield made


@pytest.fixture(scope="session")
def own_cleared() -> Iterator[None]:
    """The database of a server of the user's own is left as empty as it was."""
    yield
    if places._OWN_IS_OURS and places.OWN_URL:
        token = SecretStr(places.OWN_TOKEN) if places.OWN_TOKEN else None
        with Calls(places.OWN_URL, token=token) as calls:
            clear_own(calls)


@pytest.fixture(params=ALL)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    name = request.param
    if name == "turso-sync":
        made = request.getfixturevalue("replica")
    elif name in FILES:
        made = file_place(name, tmp_path)
    elif name == "own":
        request.getfixturevalue("own_cleared")
        made = own_place()
    else:
        made = server_place(name, request.getfixturevalue("server"))
    yield made
    made.rest()


@pytest.fixture
def writable(place: Place) -> Place:
    if not place.can("writes"):
        pytest.skip("this route only reads; that it refuses writes is tested for itself")
    return place


@pytest.fixture
def transactional(writable: Place) -> Place:
    if not writable.can("transactions"):
        pytest.skip("this route has no transactions; that it refuses them is tested for itself")
    return writable
