from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ptp.engine.replicas import Patience, Replica, create_replica
from tests.replicas.primary import sql
from tests.replicas.server import SyncServer

HASTY = Patience(connect_s=2.0, silence_s=0.3, attempt_s=20.0, attempts=2, first_pause_s=0.01, longest_pause_s=0.02)
"""Of a test that waits in vain."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SyncServer]:
    with SyncServer(tmp_path / "primary.db") as running:
        sql(
            running,
            "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT UNIQUE, score REAL, picture BLOB)",
            "INSERT INTO item VALUES (1, 'one', 0.1, x'00FF'), (2, 'zw\u00f6lf', NULL, NULL), (-3, NULL, -2.5e300, x'')",
        )
        yield running


@pytest.fixture
def replica_at(server: SyncServer, tmp_path: Path) -> Iterator[Callable[[str], Replica]]:
    """Makes replicas of the server under a name each, closed at the end."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(create_replica(tmp_path / name, server.url, patience=HASTY))


@pytest.fixture
def replica(replica_at: Callable[[str], Replica]) -> Replica:
    return replica_at("replica.db")
