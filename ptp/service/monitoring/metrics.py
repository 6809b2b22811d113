"""What is counted, as metrics of prometheus_client in a registry of the application's own.

With several workers on one port, each request for /metrics reaches one of them. So they count together, in files, by
prometheus_client's own way: `PROMETHEUS_MULTIPROC_DIR` names an empty folder before prometheus_client is imported.
Then histograms and counters are the sums of all workers, and the gauges are those of the worker that answers, which
they name. Without the variable each process tells of itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, generate_latest, values
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

SLOW_S = 0.2
STATEMENT_BUCKETS = (
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, SLOW_S, 0.5, 1.0, 2.5, 5.0,
)  # fmt: skip
"""In seconds; each is an upper limit. SLOW_S is one of them, so that slow statements are counted, not estimated."""
REQUEST_BUCKETS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

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
        self.dropped = Counter(
            "ptp_alert_notifications_lost", "Notifications of alerts that could not be sent.", registry=registry
        )


class Gauges:
    """What is read when it is asked for: the pool, the write-ahead log, the cache."""

    def __init__(
        self,
        *,
        pool: Callable[[], tuple[int, int]],
        wal: Callable[[], int],
        hit_rate: Callable[[], float | None],
        cache: Callable[[], Counters],
        firing: Callable[[], Mapping[str, bool]],
    ) -> None:
        """Keep the ways to read them."""
        self._pool, self._wal, self._hit_rate, self._cache, self._firing = pool, wal, hit_rate, cache, firing

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry need not read them to learn their names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The gauges now, each with the worker that it is of."""
        worker = str(os.getpid())
        used, room = self._pool()
        rate = self._hit_rate()
        found: tuple[tuple[str, str, float], ...] = (
            ("ptp_pool_checked_out", "Connections in use.", used),
            ("ptp_pool_size", "Connections that there can be.", room),
            ("ptp_wal_bytes", "Size of the write-ahead log's file in bytes.", self._wal()),
            (
                "ptp_cache_hit_ratio",
                "Calls answered from the cache, from 0 to 1.",
                float("nan") if rate is None else rate,
            ),
        )
        for name, sentence, value in found:
            gauge = GaugeMetricFamily(name, sentence, labels=("worker",))
            gauge.add_metric((worker,), value)
            yield gauge
        alerts = GaugeMetricFamily("ptp_alert_firing", "1 while an alert fires.", labels=("worker", "alert"))
        for alert, is_firing in self._firing().items():
            alerts.add_metric((worker, alert), float(is_firing))
        yield alerts
        events = CounterMetricFamily("ptp_cache_calls", "What the cache did.", labels=("worker", "query", "event"))
        for query, counts in self._cache().items():
            for what, count in counts.items():
                events.add_metric((worker, query, what), count)
        yield events


class _Only:
    """Some of what a registry collects."""

    def __init__(self, registry: CollectorRegistry, wanted: Callable[[Metric], bool]) -> None:
        self._registry, self._wanted = registry, wanted

    def collect(self) -> Iterator[Metric]:
        return filter(self._wanted, self._registry.collect())


def metrics_text(registry: CollectorRegistry) -> bytes:
    """The metrics in Prometheus's text format: of all workers where they count together, else of this process."""
    kind: Any = values.ValueClass
    if not getattr(kind, "_multiprocess", False):
        return generate_latest(registry)
    together = CollectorRegistry()
    MultiProcessCollector(together)  # type: ignore[no-untyped-call]
    own: Any = _Only(registry, lambda metric: any("worker" in sample.labels for sample in metric.samples))
    return generate_latest(together) + generate_latest(own)


def size_of(path: Path) -> int:
    """The size of a file in bytes, 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
