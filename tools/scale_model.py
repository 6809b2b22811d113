"""Hold the model against measurement: a real server, `ptp serve`, behind a proxy that delays, at five settings.

Service times are measured through a proxy that does not delay, and in turn with them each setting through one that
does; then it is simulated, and p50 and p95 must agree within 10 %. Run it on a machine that has nothing else to do, or
with `chrt -f 10` before it, so that no other program delays it:

    .venv/bin/python tools/scale_model.py [--requests 400]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import urllib3

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ptp.engine import open_engine  # noqa: E402
from ptp.scale.simulate import Call, Network, Place, quantile, simulate  # noqa: E402
from ptp.scale.topology import Path as Way  # noqa: E402
from ptp.stats import percentile  # noqa: E402
from ptp.workbench.migrating import migrate  # noqa: E402
from ptp.workbench.server_process import serving  # noqa: E402
from ptp.workload.demo import write_demo  # noqa: E402
from ptp.workload.draws import draw  # noqa: E402
from tests.scale.proxy import Setting, delaying  # noqa: E402

WITHIN = 0.10


@dataclass(frozen=True)
class Trial:
    """A setting of the proxy, and the share of requests that open a connection of their own."""

    what: str
    setting: Setting
    opened: float = 0.0


TRIALS = (
    Trial("near, steady", Setting(20.0)),
    Trial("far, jitter", Setting(100.0, jitter=0.1)),
    Trial("further, much jitter", Setting(200.0, jitter=0.2)),
    Trial("far, 2 % lost", Setting(80.0, jitter=0.1, loss=0.02)),
    Trial("far, three of ten open a connection", Setting(60.0, jitter=0.1), opened=0.3),
)


def paths_of(target: Path, count: int) -> list[tuple[str, dict[str, str]]]:
    """Requests of different users and exams, so that no cache answers them all."""
    engine = open_engine(target, read_only=True)
    try:
        drawn = draw(engine, count=count, seed=3)
    finally:
        engine.dispose()
    found = []
    for number, one in enumerate(drawn):
        route = f"/api/study/questions?exam_id={one.exam_id}" if number % 2 else f"/api/progress/{one.exam_id}"
        found.append((route, {"X-User-Id": str(one.user_id)}))
    return found


class Client:
    """Asks one request after the other; a share of them on a connection that is opened for it."""

    def __init__(self, port: int, opened: float) -> None:
        self._port, self._opened, self._owed = port, opened, 0.0
        self._pool = self._connected()
        self._pool.request("GET", "/api/health/live")

    def ask(self, route: str, headers: dict[str, str]) -> float:
        """The ms of a request."""
        self._owed += self._opened
        if self._owed >= 1:
            self._owed -= 1
            self._pool.close()
            self._pool = self._connected()
        start = time.perf_counter_ns()
        found = self._pool.request("GET", route, headers=headers)
        taken = (time.perf_counter_ns() - start) / 1e6
        if found.status != 200:
            raise SystemExit(f"{route} answers {found.status}")
        return taken

    def _connected(self) -> urllib3.HTTPConnectionPool:
        return urllib3.HTTPConnectionPool("127.0.0.1", self._port, maxsize=1)


def modelled(trial: Trial, service: Sequence[float], count: int = 40_000) -> tuple[float, float]:
    """p50 and p95 by the model; one request at a time, so that none waits for another."""
    one = trial.setting
    found = simulate(
        [Call("asked", 1.0, tuple(service), trips=0, writes=False)],
        [Way("there", "here", one.rtt_ms, None, one.rtt_ms)],
        place=Place(rate=1e-6, servers=1),
        network=Network(one.jitter, one.loss, one.again_ms, opened=trial.opened, handshakes=1, restarts=False),
        count=count,
        seed=2,
    )
    return quantile(found.response_ms, 0.5), quantile(found.response_ms, 0.95)


def measure(target: Path, requests: int) -> Iterator[dict[str, object]]:
    """A row for each setting."""
    asked = paths_of(target, requests)
    with serving(target) as server:
        port = urlsplit(server.url).port or 0
        for trial in TRIALS:
            # The proxy itself takes time, which is no delay of a network; and what else the machine does changes from
            # one second to the next, so that requests without a delay and with it take turns.
            with delaying(port, Setting(0.0)) as plain, delaying(port, trial.setting, seed=len(trial.what)) as slow:
                here, there = Client(plain, trial.opened), Client(slow, trial.opened)
                both = [(here.ask(*one), there.ask(*one)) for one in asked]
            service, times = [one for one, _ in both], sorted(one for _, one in both)
            pairs = zip((0.5, 0.95), modelled(trial, service), strict=True)
            row: dict[str, object] = {"setting": trial.what, "n": len(times)}
            for q, model in pairs:
                seen = percentile(times, q=q)
                row[f"p{q * 100:g}"] = f"{seen:7.1f} measured {model:7.1f} model {100 * (model / seen - 1):+5.1f} %"
                row["ok"] = bool(row.get("ok", True)) and abs(model / seen - 1) <= WITHIN
            yield row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=400)
    given = parser.parse_args()
    with TemporaryDirectory(prefix="ptp-scale-") as name:
        folder = Path(name)
        source = write_demo(shape="drizzle", size="tiny", seed=5, out=folder / "old.db").path
        migrate(source, folder / "new.db", folder, run="scale")
        held = True
        for row in measure(folder / "new.db", given.requests):
            held &= bool(row["ok"])
            ok = "ok" if row["ok"] else "OFF"
            print(f"{row['setting']:<38} n {row['n']}  p50 {row['p50']}   p95 {row['p95']}  {ok}", flush=True)
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
