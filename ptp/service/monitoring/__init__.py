"""What the service measures of itself: statements, requests, pool, log and cache, for Prometheus and for alerts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry
from sqlalchemy import Engine

from ptp.service.monitoring.alerts import Alert, Alerts
from ptp.service.monitoring.metrics import Counters, metrics_text
from ptp.service.monitoring.names import query_name
from ptp.service.monitoring.notifying import Notifier
from ptp.service.monitoring.rules import RULES, Rule, Snapshot
from ptp.service.monitoring.showing import performance
from ptp.service.monitoring.watching import Monitor
from ptp.service.monitoring.workers import Workers

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
    cache: Callable[[], Counters] = dict,
    workers: Path | None = None,
) -> Monitor:
    """Begin to watch an engine, with metrics in a registry of its own unless one is given; `cache` are its counters.

    `workers` is the folder in which the workers of one server tell each other how they do.
    """
    return Monitor(engine, registry=registry or CollectorRegistry(), cache=cache, workers=Workers(workers))
