"""`ptp serve` as a process: when it is ready, how it ends, and what it refuses to serve."""

from __future__ import annotations

import asyncio
import builtins
import json
import signal
import socket
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import urllib3
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from ptp.cli import app
from ptp.errors import CannotFinish, PtpError, UsageError
from ptp.service.middleware.limits import LARGEST_BODY
from ptp.service.serving import Served, bound, serve
from ptp.service.sharing import shared_folder
from tests.service.api_heads import (
    AUDIENCE,
    HEADERS,
    ISSUER,
    SECRET,
    Server,
    bearer,
    check_graceful_end,
    copy_of,
    served,
    token,
)

KEY = {"JWT_SECRET": SECRET, "JWT_ISSUER": ISSUER, "JWT_AUDIENCE": AUDIENCE}


def ask(address: str, path: str, headers: dict[str, str] = HEADERS) -> Any:
    """An answer on a connection of its own: one that was kept open would go to the worker that has it."""
    with urllib3.PoolManager() as pool:
        return pool.request("GET", address + path, headers=headers, timeout=10, retries=False)


@pytest.fixture(scope="module")
def own(api_head: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of(api_head, tmp_path_factory.mktemp("serving"))


def workers_of(server: Server) -> list[psutil.Process]:
    children = psutil.Process(server.process.pid).children(recursive=True)
    living = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in living if "spawn_main" in " ".join(child.cmdline())]


def check_ready(server: Server) -> None:
    assert server.line.startswith("Ready: http://127.0.0.1:") and server.line.count("\n") == 1
    assert ask(server.address, "/api/health/ready").status == 200
    assert len(workers_of(server)) == 2


def check_tokens(server: Server) -> None:
    assert ask(server.address, "/api/leaderboard/1", bearer(token())).status == 200
    assert ask(server.address, "/api/leaderboard/1", HEADERS).status == 401
    assert ask(server.address, "/api/leaderboard/1").headers["content-type"] == "application/problem+json"


def check_body_without_end(server: Server) -> None:
    host, _, port = server.address.removeprefix("http://").partition(":")
    sent, chunk = 0, b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    head = f"POST /api/study/answers HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token()}\r\n" \
           "content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"  # fmt: skip
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(head.encode())
        try:
            while sent < 64 * LARGEST_BODY:
                line.sendall(chunk)
                sent += 0x10000
        except OSError:
            pass
        assert sent < 64 * LARGEST_BODY


@contextmanager
def only(worker: psutil.Process, server: Server) -> Iterator[None]:
    """The other worker stands still, so that this one answers."""
    (other,) = [one for one in workers_of(server) if one.pid != worker.pid]
    other.suspend()
    try:
        yield
    finally:
        other.resume()


def counted(server: Server) -> dict[str, float]:
    """Requests by route, as Prometheus's own parser reads them, with the pool's size."""
    families = list(text_string_to_metric_families(ask(server.address, "/metrics").data.decode()))
    assert len({family.name for family in families}) == len(families)
    found = {s.labels["route"]: s.value for f in families for s in f.samples if s.name == "ptp_requests_total"}
    return {**found, **{s.name: s.value for f in families for s in f.samples if not s.labels}}


POOL = 15
"""Connections that one worker can have, as the settings are."""
BOARD = "/api/leaderboard/{exam_id}"


def check_counted_together(server: Server) -> None:
    """Whichever worker is asked tells of the requests, statements and connections of both."""
    both_up(server)
    first, second = workers_of(server)
    for worker, sent, due in ((first, 3, 3), (second, 4, 7), (first, 0, 7)):
        with only(worker, server):
            for number in range(sent):
                assert ask(server.address, f"/api/leaderboard/1?limit={due + number}", bearer(token())).status == 200
            found = counted(server)
            shown = ask(server.address, "/api/admin/database/performance", bearer(token())).json()
        assert found[BOARD] == due and found["ptp_pool_size"] == 2 * POOL
        assert shown["queries"]["leaderboard"]["n"] == due  # a statement each, of another page each time
        assert (shown["workers"], shown["pool"]["size"]) == (2, 2 * POOL)
    assert shared_by(server).stat().st_mode & 0o777 == 0o700


def both_up(server: Server) -> None:
    """Wait until both workers stand in the folder, and none besides."""
    folder, end = shared_by(server), time.monotonic() + 60
    while {f"standing-{one.pid}.json" for one in workers_of(server)} != {f.name for f in folder.glob("standing-*")}:
        assert time.monotonic() < end
        time.sleep(0.05)


def shared_by(server: Server) -> Path:
    return Path(workers_of(server)[0].environ()["PROMETHEUS_MULTIPROC_DIR"])


def check_counted_still(server: Server) -> None:
    """What the worker that died has counted stays; its connections are not there any more."""
    both_up(server)
    found = counted(server)
    assert (found[BOARD], found["ptp_pool_size"]) == (7, 2 * POOL)


def check_replaced(server: Server) -> None:
    gone = workers_of(server)[0]
    gone.kill()
    end = time.monotonic() + 60
    while time.monotonic() < end and (gone.pid in {w.pid for w in workers_of(server)} or len(workers_of(server)) < 2):
        time.sleep(0.05)
    assert len(workers_of(server)) == 2
    assert ask(server.address, "/api/health/live").status == 200


def check_log(own: Path) -> None:
    lines = own.with_suffix(".log").read_text().splitlines()
    told = [json.loads(line) for line in lines]
    assert {"user", "path", "status", "ms"} <= told[0].keys()
    assert SECRET not in "".join(lines) and "Bearer" not in "".join(lines)


def test_two_workers_from_their_start_to_their_end(own: Path) -> None:
    """Ready, counting together, replaced where one dies, checking tokens, cutting off, logging, and ended by SIGTERM."""
    with served(own, "--port", "0", "--workers", "2", environment=KEY) as server:
        for check in (check_ready, check_counted_together, check_replaced, check_counted_still, check_tokens,
                      check_body_without_end):  # fmt: skip
            check(server)
        check_log(own)
        workers, folder = workers_of(server), shared_by(server)
        check_graceful_end(server, own, bearer(token()))
        psutil.wait_procs(workers, timeout=20)
        assert not any(worker.is_running() for worker in workers)
        assert not folder.exists()


def test_workers_end_when_their_parent_is_killed(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the next server takes away the folder that they shared, which it does not while they live."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    environment = {"TMPDIR": str(tmp_path)}
    with served(own, "--port", "0", "--workers", "2", "--insecure-dev", "--json", environment=environment) as server:
        assert json.loads(server.line) == {"version": 1, "address": server.address}
        both_up(server)
        workers, folder = workers_of(server), shared_by(server)
        with shared_folder() as other:
            assert folder.exists() and other.exists() and other != folder
        workers[0].suspend()  # it lives on when its parent is gone
        server.end(signal.SIGKILL)
        psutil.wait_procs(workers[1:], timeout=20)
        with shared_folder():
            assert folder.exists()
        workers[0].resume()
        psutil.wait_procs(workers, timeout=20)
        assert len(workers) == 2 and not any(worker.is_running() for worker in workers)
        (tmp_path / "ptp-workers-of-another").mkdir()  # without the lock, it may be anything
        assert folder.exists()
        with shared_folder():
            assert not folder.exists() and (tmp_path / "ptp-workers-of-another").exists()


def test_without_a_key_it_does_not_start(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEY:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="No key for tokens is set") as caught:
        CliRunner().invoke(app, ["serve", "--target", str(own), "--port", "0"], standalone_mode=False,
                           catch_exceptions=False)  # fmt: skip
    assert caught.value.exit_code == 2


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "development for all the world": ({"host": "0.0.0.0", "insecure_dev": True}, "this machine only"),
    "development for a network": ({"host": "192.168.1.5", "insecure_dev": True}, "this machine only"),
    "development for a name": ({"host": "example.com", "insecure_dev": True}, "this machine only"),
    "no file": ({"target": "/nowhere/head.db", "insecure_dev": True}, "no database file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_served(case: str, own: Path) -> None:
    given, words = REFUSED[case]
    with pytest.raises(UsageError, match=words):
        Served(**{"target": str(own), **given}).check()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_development_is_for_this_machine(host: str, own: Path) -> None:
    Served(str(own), host=host, insecure_dev=True).check()


@pytest.mark.parametrize(
    "sql", ["DELETE FROM ptp_journal WHERE kind = 'step' AND name LIKE '0005%'", "DROP TABLE ptp_journal"]
)
def test_a_database_that_is_not_at_head_is_not_served(sql: str, api_head: Path, tmp_path: Path) -> None:
    path = copy_of(api_head, tmp_path)
    with closing(sqlite3.connect(path)) as db:
        db.executescript(sql)
    with pytest.raises(UsageError, match="cannot be served"):
        Served(str(path), insecure_dev=True).check()


def test_a_port_in_use_is_one_sentence(own: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CannotFinish, match=f"127.0.0.1:{port} cannot be listened on"):
            serve(Served(str(own), port=port, insecure_dev=True), tell_ready=print)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_small_responses_do_not_wait_for_an_acknowledgement(host: str) -> None:
    """Of a connection that asyncio accepts from the server's socket: Nagle's algorithm is off."""
    made: list[int] = []

    class Accepted(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            made.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            transport.close()

    async def accept_one(listening: socket.socket) -> None:
        server = await asyncio.get_running_loop().create_server(Accepted, sock=listening)
        reader, writer = await asyncio.open_connection(*listening.getsockname()[:2])
        await reader.read()
        writer.close()
        server.close()

    with bound(host, 0) as listening:
        asyncio.run(accept_one(listening))
    assert len(made) == 1 and made[0] != 0


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, own: Path) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any, **named: Any) -> Any:
        if name.partition(".")[0] in ("fastapi", "uvicorn", "jwt"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *more, **named)

    for name in [n for n in sys.modules if n.startswith("ptp.service")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(PtpError, match=r"pip install 'ptp\[serve\]'") as caught:
        CliRunner().invoke(app, ["serve", "--target", str(own)], standalone_mode=False, catch_exceptions=False)
    assert caught.value.exit_code == 2
