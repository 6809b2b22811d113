"""`ptp bench` of a database on a server: queries that only read, each against its limit from here, and what took it.

The server's content is mirrored first, so that what every call is due can be worked out here; nothing is written there.
What a call takes is told apart: the client's own work is the processor time of this thread, the network is a request
with nothing to do (`SELECT 1`, timed between the calls) for each request that the call sends, and the rest is the
server's. Billed rows are those that the server returns.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from ptp.benchmark import family_note, measure, self_check
from ptp.benchmark.latency import Case
from ptp.engine import fetch, open_engine
from ptp.engine.environment import environment
from ptp.engine.remote_calls import Calls
from ptp.engine.routes import route_of
from ptp.evidence import Stage
from ptp.migration.remote.mirror import pull
from ptp.results import Finding, Measurement, Result
from ptp.settings import Settings, load_settings
from ptp.workbench.benchmarking import NAME, TITLE, check_benchmarkable
from ptp.workbench.latencies import TABLE
from ptp.workbench.progress import Progress, part, quiet
from ptp.workload.cases import benchmark_cases
from ptp.workload.limits import Profile

SPLIT = "Where the time of a call goes"
LIMIT_MS = 200.0
"""The limit of a response from anywhere in the world: here it is held against what is measured from this place."""
_CALLS = {"quick": 20, "full": 200}
_NS_PER_MS = 1e6


def bench_remote(
    url: str, folder: Path, *, profile: Profile = "quick", seed: int = 1, progress: Progress = quiet
) -> Stage:
    """Measure the database that a URL names, from here; it is only read. Raises ptp's errors for what is in the way."""
    started, settings = time.perf_counter(), load_settings()
    with _engines(url, folder, settings, part(progress, 0.0, 0.2)) as (far, near):
        cases = benchmark_cases(far, profile=profile, seed=seed, known=near, only_reads=True)
        cases = tuple(_from_here(case) for case in cases)
        progress(0.2, "checking the harness itself")
        checks = self_check(cases, chance=random.Random(seed))
        timed = part(progress, 0.25, 0.8)
        names = [c.name for c in cases if not c.not_applicable]

        def counted(name: str, taken: int, wanted: int) -> None:
            timed((names.index(name) + taken / wanted) / len(names), f"timing {name}")

        found = measure(cases, environment=_environment(far), progress=counted)
        progress(0.8, "telling apart what takes the time")
        split = tuple(_split(far, case, calls=_CALLS[profile]) for case in cases if not case.not_applicable)
    samples: list[Measurement] = [m for latency in found for m in (latency.measurement, *latency.apart) if m.samples]
    findings: tuple[Finding, ...] = (
        *checks,
        *(latency.finding for latency in found),
        family_note(found),
        _network(split, far),
    )
    tables = {TABLE: [dict(latency.row) for latency in found], SPLIT: [s.row for s in split]}
    results: tuple[Result, ...] = (*findings, *samples, *_measured(split, _environment(far)))
    return Stage(NAME, TITLE, time.perf_counter() - started, results, tables)


@contextmanager
def _engines(url: str, folder: Path, settings: Settings, progress: Progress) -> Iterator[tuple[Engine, Engine]]:
    """Engines on the server and on its mirror, which is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="trial-", dir=folder) as scratch:  # a name that `scratch` knows
        mirror = Path(scratch) / "mirror.db"
        with Calls(url, settings=settings, token=settings.token_for(url)) as calls:
            pull(calls, mirror, progress=progress)
        check_benchmarkable(mirror)
        far, near = open_engine(url, read_only=True, settings=settings), open_engine(mirror, settings=settings)
        try:
            yield far, near
        finally:
            far.dispose()
            near.dispose()


def _from_here(case: Case) -> Case:
    """The case with the limit for a response over a network."""
    return replace(case, limit_ms=LIMIT_MS, claim=f"p95 of {case.name} from this place is under {LIMIT_MS:g} ms")


def _environment(engine: Engine) -> dict[str, str]:
    route = route_of(engine)
    return {**environment(), "route": f"{route.title}, {route.package}"}


@dataclass(slots=True)
class _Told:
    """What an engine did since it was last asked: requests, and billed rows where the server tells them."""

    requests: int = 0
    read: int = 0
    written: int = 0
    is_billed: bool = False

    def statement(self, _db: Any, cursor: Any, *_: Any) -> None:
        self.requests += 1
        read, written = getattr(cursor, "billed", (None, None))
        self.is_billed |= read is not None
        self.read, self.written = self.read + (read or 0), self.written + (written or 0)

    def request(self, *_: Any) -> None:
        self.requests += 1


@dataclass(frozen=True, slots=True)
class Split:
    """The calls of one query, a value a call: ms in all, of the client, of the network; requests and billed rows."""

    query: str
    whole: Sequence[float]
    client: Sequence[float]
    network: Sequence[float]
    requests: Sequence[int]
    read: Sequence[int] = field(default=())

    @property
    def server(self) -> tuple[float, ...]:
        """What is left for the server: the whole without the client's and the network's part, never below nothing."""
        parts = zip(self.whole, self.client, self.network, strict=True)
        return tuple(max(0.0, whole - client - network) for whole, client, network in parts)

    @property
    def row(self) -> dict[str, object]:
        """The medians, for a table."""
        return {
            "query": self.query,
            "requests": statistics.median(self.requests),
            "ms": statistics.median(self.whole),
            "client_ms": statistics.median(self.client),
            "network_ms": statistics.median(self.network),
            "server_ms": statistics.median(self.server),
            "billed_read": statistics.median(self.read) if self.read else None,
            "billed": "as the server returned it" if self.read else "not told by this route",
            "calls": len(self.whole),
        }


def _split(engine: Engine, case: Case, *, calls: int) -> Split:
    found: list[tuple[float, float, float, int, int, bool]] = []
    for _ in islice(iter(int, 1), calls):
        trip = _trip_ms(engine)
        with _listened(engine) as told:
            began, own = time.perf_counter_ns(), time.thread_time_ns()
            case.call()
            whole, client = time.perf_counter_ns() - began, time.thread_time_ns() - own
        found.append(
            (whole / _NS_PER_MS, client / _NS_PER_MS, trip * told.requests, told.requests, told.read, told.is_billed)
        )
    whole_ms, client_ms, network_ms, requests, read, billed = zip(*found, strict=True)
    return Split(case.name, whole_ms, client_ms, network_ms, requests, read if all(billed) else ())


def _trip_ms(engine: Engine) -> float:
    """Milliseconds of the best of three requests with nothing to do, without the client's own work."""
    taken = []
    with engine.connect() as db, db.begin():
        for _ in range(3):
            began, own = time.perf_counter_ns(), time.thread_time_ns()
            fetch(db, "SELECT 1", ())
            taken.append(time.perf_counter_ns() - began - (time.thread_time_ns() - own))
    return min(taken) / _NS_PER_MS


@contextmanager
def _listened(engine: Engine) -> Iterator[_Told]:
    told = _Told()
    listeners: Sequence[tuple[str, Callable[..., None]]] = (
        ("after_cursor_execute", told.statement),
        ("begin", told.request),
        ("commit", told.request),
        ("rollback", told.request),
    )
    for name, function in listeners:
        event.listen(engine, name, function)
    try:
        yield told
    finally:
        for name, function in listeners:
            event.remove(engine, name, function)


def _network(split: Sequence[Split], engine: Engine) -> Finding:
    """The note that says how far the server is, and on what the parts rest."""
    trips = [ms / requests for s in split for ms, requests in zip(s.network, s.requests, strict=True) if requests]
    return Finding(
        id="bench.network",
        claim="A request with nothing to do, from here to the server and back",
        verdict="pass" if trips else "not applicable",
        severity="note",
        value=statistics.median(trips) if trips else None,
        unit="ms",
        n=len(trips),
        evidence=f"{route_of(engine).title}; the best of three before each call. What writes was not called: "
        "measure it on a copy in a file, ptp bench --target FILE",
    )


def _measured(split: Sequence[Split], here: dict[str, str]) -> Iterator[Measurement]:
    for each in split:
        for name, values in (("client", each.client), ("network", each.network), ("server", each.server)):
            yield Measurement(f"{each.query}: {name}", "ms", tuple(values), here)
