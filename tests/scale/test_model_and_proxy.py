"""The short form of `tools/scale_model.py`: a real HTTP server behind the delaying proxy, beside the model.

The machine may be busy, so times are not judged finely: what is held is that no reply comes before the delays that were
set, and that the median of what is measured is the model's within a declared, wide tolerance.
"""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ptp.scale.simulate import Call, Network, Place, quantile, simulate
from ptp.scale.topology import Path
from tests.scale.proxy import Setting, delaying

WIDE = 0.5
"""How far measurement may be from the model here, as a share: the whole trial holds 10 %."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b"{}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def asked(port: int, count: int, *, opened: bool) -> list[float]:
    times = []
    kept = http.client.HTTPConnection("127.0.0.1", port)
    kept.request("GET", "/")
    kept.getresponse().read()
    for _ in range(count):
        start = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port) if opened else kept
        connection.request("GET", "/")
        connection.getresponse().read()
        times.append(1000 * (time.perf_counter() - start))
        if opened:
            connection.close()
    kept.close()
    return sorted(times)


@pytest.mark.parametrize(("opened", "trips"), [(False, 1), (True, 2)])
def test_what_passes_the_proxy_takes_its_round_trips(port: int, opened: bool, trips: int) -> None:
    with delaying(port, Setting(40.0)) as through:
        times = asked(through, 9, opened=opened)
    call, way = Call("asked", 1.0, (1.0,), 0, False), Path("there", "here", 40.0, None, 40.0)
    network = Network(opened=float(opened), restarts=False)
    found = simulate([call], [way], place=Place(1e-6, 1), network=network, count=100)
    model = quantile(found.response_ms, 0.5)
    assert model == pytest.approx(40 * trips + 1)
    assert times[0] >= 40 * trips
    assert times[4] == pytest.approx(model, rel=WIDE)


def test_the_delays_of_the_proxy_are_those_that_the_model_is_given() -> None:
    """Mean and spread of a round trip, of two directions drawn apart, and how often something is lost."""
    chance, setting = random.Random(1), Setting(100.0, jitter=0.2, loss=0.05, again_ms=1_000.0)
    trips = [1000 * (setting.one_way(chance) + setting.one_way(chance)) for _ in range(40_000)]
    whole = [trip for trip in trips if trip < 600]
    mean = sum(whole) / len(whole)
    assert mean == pytest.approx(100, rel=0.01)
    assert (sum((trip - mean) ** 2 for trip in whole) / len(whole)) ** 0.5 == pytest.approx(20, rel=0.03)
    assert 1 - len(whole) / len(trips) == pytest.approx(0.05, abs=0.005)
