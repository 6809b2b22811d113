"""What the application is given while it runs: its queries with their cache, and the monitor with its alerts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry
from sqlalchemy import Engine

from ptp.service.caching import Cache, open_cache
from ptp.service.monitoring import Alerts, Monitor, metrics_text, performance, watch
from ptp.service.queries import Queries
from ptp.service.threads import Threads
from ptp.settings import Settings


@dataclass(frozen=True, slots=True)
class Watching:
    """The queries of one process, and what is known of it."""

    cache: Cache
    monitor: Monitor
    registry: CollectorRegistry
    threads: Threads
    media_type: str = CONTENT_TYPE_LATEST

    @property
    def queries(self) -> Queries:
        """The queries, by way of the cache."""
        return self.cache.queries

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Count a request that is over."""
        self.monitor.observe_request(route, status, seconds)

    def performance(self) -> dict[str, Any]:
        """How the statements, the pool, the cache and the alerts do."""
        return performance(self.monitor)

    def metrics(self) -> bytes:
        """The metrics as text."""
        return metrics_text(self.registry)


@contextmanager
def watched(engine: Engine, settings: Settings, *, workers: Path | None = None) -> Iterator[Watching]:
    """Open the cache and the monitor of an engine, and close them at the end; `workers` is the folder they share."""
    with ExitStack() as closing:
        cache = open_cache(engine, settings)
        closing.callback(cache.close)
        registry = CollectorRegistry()
        monitor = watch(engine, registry=registry, cache=cache.counters, workers=workers)
        closing.callback(monitor.close)
        alerts = Alerts(monitor, webhook=settings.alert_webhook)
        alerts.start()
        closing.callback(alerts.close)
        threads = Threads(settings.pool_size)
        closing.callback(threads.close)
        yield Watching(cache, monitor, registry, threads)
