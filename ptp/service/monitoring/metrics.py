"""What is counted, as metrics of prometheus_client in a registry of the application's own.

With several workers on one port, each request for /metrics reaches one of them. So they count together, in files, by
prometheus_client's own way: `PROMETHEUS_MULTIPROC_DIR` names a folder before prometheus_client is imported, and the
metrics are those of all workers. Without the variable a process tells of itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, generate_latest, values
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

SLOW_S = 0.2
STATEMENT_BUCKETS = (
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, SLOW_S, 0.5, 1.0, 2.5, 5.0,
)  # fmt: skip
"""In seconds; each is an upper limit. SLOW_S is one of them, so that slow statements are counted, not estimated."""
REQUEST_BUCKETS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
CACHE_CALLS = "ptp_cache_calls"

Counters = Mapping[str, Mapping[str, int]]


class Metrics:
    """The histograms and counters of one application."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register them."""
        self.statements = Histogram(
            "ptp_statement_seconds",
            "Time of a statement, by the query that it serves.",
            ("query",),
            buckets=STATEMENT_BUCKETS,
            registry=registry,
        )
        self.errors = Counter(
            "ptp_statement_errors", "Statements that failed, by query and kind.", ("query", "kind"), registry=registry
        )
        self.requests = Histogram(
            "ptp_request_seconds",
            "Time of a request, by its route.",
            ("route",),
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )
        self.answers = Counter(
            "ptp_requests", "Requests, by route and class of status.", ("route", "status"), registry=registry
        )
        self.cache = Counter(CACHE_CALLS, "What the cache did.", ("query", "event"), registry=registry)
        self.dropped = Counter(
            "ptp_alert_notifications_lost", "Notifications of alerts that could not be sent.", registry=registry
        )


class Gauges:
    """What is read when it is asked for: the pools of all workers, the write-ahead log, the alerts."""

    NAMES = frozenset(("ptp_pool_checked_out", "ptp_pool_size", "ptp_wal_bytes", "ptp_alert_firing"))

    def __init__(
        self,
        *,
        pool: Callable[[], tuple[int, int]],
        wal: Callable[[], int],
        firing: Callable[[], Mapping[str, bool]],
        before: Callable[[], None],
    ) -> None:
        """Keep the ways to read them; `before` is called before the first."""
        self._pool, self._wal, self._firing, self._before = pool, wal, firing, before

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry need not read them to learn their names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The gauges now."""
        self._before()
        used, room = self._pool()
        yield GaugeMetricFamily("ptp_pool_checked_out", "Connections in use.", used)
        yield GaugeMetricFamily("ptp_pool_size", "Connections that there can be.", room)
        yield GaugeMetricFamily("ptp_wal_bytes", "Size of the write-ahead log's file in bytes.", self._wal())
        alerts = GaugeMetricFamily("ptp_alert_firing", "1 while an alert fires.", labels=("alert",))
        for alert, is_firing in self._firing().items():
            alerts.add_metric((alert,), float(is_firing))
        yield alerts


class _Found:
    """Metrics that were collected already."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def collected(registry: CollectorRegistry) -> list[Metric]:
    """The metrics of all workers where they count together, else of this process."""
    own = list(registry.collect())
    kind: Any = values.ValueClass
    if not getattr(kind, "_multiprocess", False):
        return own
    together: Any = MultiProcessCollector(None)  # type: ignore[no-untyped-call]
    return [*together.collect(), *(metric for metric in own if metric.name in Gauges.NAMES)]


def cache_calls(found: Iterable[Metric]) -> dict[str, dict[str, int]]:
    """What the caches did, by query and event."""
    counts: dict[str, dict[str, int]] = {}
    for metric in found:
        for sample in metric.samples if metric.name == CACHE_CALLS else ():
            if sample.name.endswith("_total"):
                counts.setdefault(sample.labels["query"], {})[sample.labels["event"]] = int(sample.value)
    return counts


def hits_of(counts: Counters) -> tuple[int, int]:
    """Calls that were answered from a cache, and all of them."""
    hits = sum(each.get("hits", 0) for each in counts.values())
    return hits, hits + sum(each.get("misses", 0) + each.get("bypasses", 0) for each in counts.values())


def metrics_text(registry: CollectorRegistry) -> bytes:
    """The metrics in Prometheus's text format."""
    found = collected(registry)
    hits, calls = hits_of(cache_calls(found))
    ratio = GaugeMetricFamily(
        "ptp_cache_hit_ratio", "Calls answered from the cache, from 0 to 1.", hits / calls if calls else math.nan
    )
    shown = CollectorRegistry()
    everything: Any = _Found([*found, ratio])
    shown.register(everything)
    return generate_latest(shown)


def size_of(path: Path) -> int:
    """The size of a file in bytes, 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
