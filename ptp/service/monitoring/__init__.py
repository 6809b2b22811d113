"""What the service measures of itself: statements, requests, pool, log and cache, for Prometheus and for alerts."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry
from sqlalchemy import Engine

from ptp.service.monitoring.alerts import Alert, Alerts
from ptp.service.monitoring.metrics import Counters, metrics_text
from ptp.service.monitoring.names import query_name
from ptp.service.monitoring.notifying import Notifier
from ptp.service.monitoring.rules import RULES, Rule, Snapshot
from ptp.service.monitoring.showing import performance
from ptp.service.monitoring.watching import Monitor

__all__ = [
    "RULES",
    "Alert",
    "Alerts",
    "Monitor",
    "Notifier",
    "Rule",
    "Snapshot",
    "metrics_text",
    "performance",
    "query_name",
    "watch",
]


def watch(
    engine: Engine,
    *,
    registry: CollectorRegistry | None = None,
    hit_rate: Callable[[], float | None] = lambda: None,
    cache: Callable[[], Counters] = dict,
) -> Monitor:
    """Begin to watch an engine, with metrics in a registry of its own unless one is given; `cache` are its counters."""
    return Monitor(engine, registry=registry or CollectorRegistry(), hit_rate=hit_rate, cache=cache)
