"""The events of an engine: each statement timed under its query's name, each failure counted by its kind."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from prometheus_client import CollectorRegistry
from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.pool import QueuePool

from ptp.engine.headers import companion
from ptp.service.monitoring.metrics import SLOW_S, Counters, Gauges, Metrics, size_of
from ptp.service.monitoring.names import CURRENT, Bounded
from ptp.service.monitoring.workers import Slow, Standing, Workers

SLOWEST_KEPT = 100
_SERVER_ERROR = 500


@dataclass(slots=True)
class Totals:
    """What was counted since the start."""

    errors: int = 0
    requests: int = 0
    failed: int = 0


@dataclass  # no slots: threads would share them
class _Own(threading.local):
    begun: float = field(default=0.0)


_KINDS: Mapping[str, str] = {
    "BUSY": "locked",
    "LOCKED": "locked",
    "CONSTRAINT": "constraint",
    "FULL": "full",
    "CORRUPT": "damaged",
    "NOTADB": "damaged",
    "IOERR": "input or output",
    "READONLY": "read-only",
    "INTERRUPT": "interrupted",
    "TOOBIG": "bad value",
    "MISMATCH": "bad value",
}


class Monitor:
    """Times and counts what one engine does; close it before the engine."""

    def __init__(
        self,
        engine: Engine,
        *,
        registry: CollectorRegistry,
        cache: Callable[[], Counters],
        workers: Workers,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Listen to the engine, and register the metrics."""
        self.engine, self.registry, self.clock = engine, registry, clock
        self.cache, self._workers = cache, workers
        self.totals, self.slow = Totals(), deque[Slow](maxlen=SLOWEST_KEPT)
        self.alerts: Callable[[], list[dict[str, Any]]] = list
        gauges: Any = Gauges(pool=self._pool_of_all, wal=self.wal_bytes, firing=self._firing, before=self.count_cache)
        registry.register(gauges)  # the first, so that the others are collected when the cache's calls are counted
        self.metrics = Metrics(registry)
        self._counted: dict[tuple[str, str], int] = {}
        self._wal = companion(_file_of(engine), "-wal")
        self._own, self._lock = _Own(), threading.Lock()
        self._name, self._route = Bounded(), Bounded()
        self._observers: dict[str, Callable[[float], None]] = {}
        self._requests: dict[tuple[str, int], tuple[Callable[[float], None], Callable[[], None]]] = {}
        event.listen(engine, "before_cursor_execute", self._before)
        event.listen(engine, "after_cursor_execute", self._after)
        # Of all engines, as those come first: the engine's own listener raises ptp's errors, after which none is asked.
        event.listen(Engine, "handle_error", self._failed)

    def close(self) -> None:
        """Stop to listen; what was counted stays."""
        self.count_cache()
        self._workers.leave()
        event.remove(self.engine, "before_cursor_execute", self._before)
        event.remove(self.engine, "after_cursor_execute", self._after)
        event.remove(Engine, "handle_error", self._failed)

    def observe_request(self, route: str, status: int, seconds: float) -> None:
        """Count one request that is over, by its route's template; a path with its values would be a series each."""
        key = (route, status // 100)
        observe, count = self._requests.get(key) or self._request(*key)
        observe(seconds)
        count()
        with self._lock:
            self.totals.requests += 1
            self.totals.failed += status >= _SERVER_ERROR

    def count_cache(self) -> None:
        """Bring the metrics of the cache up to what it has counted."""
        with self._lock:
            for query, counts in self.cache().items():
                for what, count in counts.items():
                    more = count - self._counted.get((query, what), 0)
                    if more >= 0:
                        self._counted[query, what] = count
                        self.metrics.cache.labels(query, what).inc(more)

    def tell(self) -> None:
        """Let the other workers know how this one does."""
        self.count_cache()
        self._workers.tell(self._standing())

    def standings(self) -> list[Standing]:
        """How this worker stands, and how the others stood a few seconds ago."""
        return [self._standing(), *self._workers.others()]

    def _standing(self) -> Standing:
        used, room = self.pool()
        return Standing(used, room, tuple(self.slow.copy()), self.alerts())

    def _pool_of_all(self) -> tuple[int, int]:
        every = self.standings()
        return sum(one.used for one in every), sum(one.room for one in every)

    def _firing(self) -> dict[str, bool]:
        found: dict[str, bool] = {}
        for standing in self.standings():
            for alert in standing.alerts:
                found[alert["alert"]] = found.get(alert["alert"], False) or alert["state"] == "firing"
        return found

    def pool(self) -> tuple[int, int]:
        """Connections in use, and how many there can be."""
        pool: Any = self.engine.pool
        if not isinstance(pool, QueuePool):
            return 0, 0
        return pool.checkedout(), pool.size() + max(0, getattr(pool, "_max_overflow", 0))

    def statements(self) -> int:
        """How many statements this process has run."""
        families = self.metrics.statements.collect()
        return int(sum(s.value for family in families for s in family.samples if s.name.endswith("_count")))

    def wal_bytes(self) -> int:
        """The size of the write-ahead log's file."""
        return size_of(self._wal)

    def _before(self, *_: Any) -> None:
        self._own.begun = perf_counter()

    def _after(self, *_: Any) -> None:
        seconds = perf_counter() - self._own.begun
        name = CURRENT.get()
        observe = self._observers.get(name) or self._observer(name)
        observe(seconds)
        if seconds > SLOW_S:
            self.slow.append(Slow(self._name(name), seconds, self.clock()))

    def _observer(self, name: str) -> Callable[[float], None]:
        counted = self._name(name)
        observe = self.metrics.statements.labels(counted).observe
        if counted == name:
            self._observers[name] = observe
        return observe

    def _request(self, route: str, hundreds: int) -> tuple[Callable[[float], None], Callable[[], None]]:
        name = self._route(route)
        observe = self.metrics.requests.labels(name).observe
        found = observe, self.metrics.answers.labels(name, f"{hundreds}xx").inc
        if name == route:
            self._requests[route, hundreds] = found
        return found

    def _failed(self, context: ExceptionContext) -> None:
        if context.engine is not self.engine:
            return
        self.metrics.errors.labels(self._name(CURRENT.get()), kind_of(context.original_exception)).inc()
        with self._lock:
            self.totals.errors += 1


def kind_of(problem: BaseException) -> str:
    """The kind of a failure: one of a few words, never a text that holds a value."""
    if not isinstance(problem, sqlite3.Error):
        return "other"
    words = getattr(problem, "sqlite_errorname", "") or ""
    for word, kind in _KINDS.items():
        if words.startswith(f"SQLITE_{word}"):
            return kind
    return "statement" if isinstance(problem, sqlite3.OperationalError) else "other"


def _file_of(engine: Engine) -> Path:
    with engine.connect() as db:
        raw: Any = db.connection.dbapi_connection
        return Path(raw.execute("PRAGMA database_list").fetchone()[2])
