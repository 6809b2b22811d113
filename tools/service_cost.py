"""What a request costs the server: CPU time of `ptp serve` by route, beside a bare server in the same run.

    python tools/service_cost.py --target FILE [--requests 1000] [--rounds 3] [--only OPERATION ...] [--json]

CPU time is user and system time of the server's process over so many requests of the load's own users, divided by
their number; it does not grow because another program is busy. The floor is an ASGI application that returns the same
bytes and does nothing else, under the same server with the same options. What counts is the median of the rounds, in
which both take turns. The target is only read: a copy of it is served.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import socket
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import uvicorn

from ptp.benchmark.load import Planned
from ptp.service.serving import bound
from ptp.workbench.loading import Wanted, loadable, prepared
from ptp.workload.clients import OverHttp
from ptp.workload.scenarios import SCENARIOS, Cast

CONNECTIONS = 4
OPERATIONS = tuple(dict.fromkeys(step for scenario in SCENARIOS for step in scenario.steps))


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU time in ms a request, of the service and of the bare server, and how many bytes an answer had."""

    route: str
    service_ms: float
    floor_ms: float
    bytes: int

    @property
    def ratio(self) -> float:
        """How many times the floor it is."""
        return self.service_ms / self.floor_ms


def send_all(url: str, requests: Sequence[bytes]) -> bytes:
    """Send them on connections that are kept open, one after the other; gives the body of the last answer."""
    host, _, port = url.rpartition("/")[2].rpartition(":")
    body = b""
    with ExitStack() as stack:
        lines = [
            stack.enter_context(socket.create_connection((host, int(port)), timeout=30)) for _ in range(CONNECTIONS)
        ]
        files = [stack.enter_context(line.makefile("rb")) for line in lines]
        for number, request in enumerate(requests):
            lines[number % CONNECTIONS].sendall(request)
            body = _answer(files[number % CONNECTIONS])
    return body


def _answer(file: Any) -> bytes:
    status, length = file.readline().split()[1], 0
    while (line := file.readline()) != b"\r\n":
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    body: bytes = file.read(length)
    if status != b"200":
        sys.exit(f"The server answered {status.decode()}: {body[:200]!r}")
    return body


def requests_of(cast: Cast, operation: str, first: int, count: int) -> list[bytes]:
    """So many requests of one operation as the load would send them, as bytes."""
    asking, made = OverHttp("http://127.0.0.1:1", cast, Path(tempfile.gettempdir()), 0), []
    for number in range(first, first + count):
        request = Planned(number, operation, number)
        who = cast.person(request)
        method, path, body = asking._asked(request, who)
        head = [f"{method} {path} HTTP/1.1", "Host: localhost", f"X-User-Id: {who.user_id}", "X-Roles: admin",
                f"X-Operation: {operation}", "Accept-Encoding: identity", "User-Agent: python-urllib3/2"]  # fmt: skip
        if body is not None or method == "PATCH":
            head += ["Content-Type: application/json", f"Content-Length: {len(body or b'')}"]
        made.append("\r\n".join([*head, "", ""]).encode() + (body or b""))
    asking.close()
    return made


def serve_bare(bodies: Mapping[bytes, bytes], told: Any) -> None:
    """The floor: the body that the operation's name asks for."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        while (await receive()).get("more_body"):
            pass
        body = bodies[dict(scope["headers"])[b"x-operation"]]
        head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})

    with bound("127.0.0.1", 0) as listening:
        told.send(f"http://127.0.0.1:{listening.getsockname()[1]}")
        options: dict[str, Any] = {"access_log": False, "log_config": None, "server_header": False, "lifespan": "off"}
        uvicorn.Server(uvicorn.Config(app, **options)).run(sockets=[listening])


def cpu_ms(process: psutil.Process, url: str, requests: Sequence[bytes]) -> float:
    """CPU time in ms a request."""
    before = process.cpu_times()
    send_all(url, requests)
    after = process.cpu_times()
    return 1000 * (after.user + after.system - before.user - before.system) / len(requests)


def measure(url: str, pid: int, cast: Cast, wanted: Sequence[str], *, count: int, rounds: int) -> list[Cost]:
    """The cost of each wanted operation."""
    number, bodies = 0, {}
    for operation in wanted:
        bodies[operation.encode()] = send_all(url, requests_of(cast, operation, number, 200))
        number += 200
    ours, theirs = multiprocessing.Pipe()
    bare = multiprocessing.get_context("spawn").Process(target=serve_bare, args=(bodies, theirs), daemon=True)
    bare.start()
    both, urls, found = (psutil.Process(pid), psutil.Process(bare.pid)), (url, ours.recv()), []
    for operation in wanted:
        costs: tuple[list[float], list[float]] = [], []
        for _ in range(rounds):
            requests = requests_of(cast, operation, number, count)
            number += count
            for process, address, kept in zip(both, urls, costs, strict=True):
                kept.append(cpu_ms(process, address, requests))
        size = len(bodies[operation.encode()])
        found.append(Cost(operation, statistics.median(costs[0]), statistics.median(costs[1]), size))
    bare.terminate()
    bare.join()
    return found


def main() -> None:
    """Measure, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", type=Path, required=True)
    parser.add_argument("--requests", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=OPERATIONS, default=OPERATIONS)
    parser.add_argument("--json", action="store_true", dest="as_json")
    asked = parser.parse_args()
    wanted = Wanted("heavy", "http")
    with (
        tempfile.TemporaryDirectory() as name,
        loadable(asked.target, Path(name), wanted) as database,
        prepared(database, Path(name), wanted) as ground,
    ):
        assert ground.url is not None
        pid, count = _server_at(ground.url), asked.requests
        costs = measure(ground.url, pid, ground.cast, asked.only, count=count, rounds=asked.rounds)
    if asked.as_json:
        print(json.dumps([{**{k: getattr(c, k) for k in c.__slots__}, "ratio": c.ratio} for c in costs]))
        return
    print(f"{'route':<26}{'bytes':>8}{'CPU ms':>9}{'floor':>8}{'ratio':>7}")
    for cost in costs:
        print(f"{cost.route:<26}{cost.bytes:>8,}{cost.service_ms:>9.3f}{cost.floor_ms:>8.3f}{cost.ratio:>7.1f}")


def _server_at(url: str) -> int:
    """The process that listens there, of those that this one started."""
    port = int(url.rpartition(":")[2])
    for child in psutil.Process().children(recursive=True):
        if any(c.laddr.port == port for c in child.net_connections("inet") if c.status == psutil.CONN_LISTEN):
            return child.pid
    sys.exit(f"No process of ours listens at {url}.")


if __name__ == "__main__":
    main()
