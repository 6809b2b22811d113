"""What an administrator is shown: how the statements of each query do, and how the parts of the service stand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prometheus_client import Metric

from ptp.service.monitoring.metrics import cache_calls, collected, hits_of
from ptp.service.monitoring.watching import Monitor

SHOWN_SLOW = 20
_WORSE: Sequence[str] = ("inactive", "resolved", "pending", "firing")


def performance(monitor: Monitor) -> dict[str, Any]:
    """Statements by query with estimated quantiles in ms, errors, the slowest of late, pool, log, cache and alerts.

    All of it is that of all workers of the server. It holds names and numbers, never a statement's text or a value.
    """
    found, every = collected(monitor.registry), monitor.standings()
    slowest = sorted((slow for one in every for slow in one.slow), key=lambda slow: -slow.seconds)[:SHOWN_SLOW]
    now, calls = monitor.clock(), cache_calls(found)
    hits, lookups = hits_of(calls)
    return {
        "workers": len(every),
        "queries": _queries(found),
        "quantiles": "estimated from the buckets of a histogram, as if times were spread evenly within each",
        "slow": [
            {"query": s.query, "ms": round(s.seconds * 1000, 3), "seconds_ago": round(now - s.at, 1)} for s in slowest
        ],
        "pool": {"checked_out": sum(one.used for one in every), "size": sum(one.room for one in every)},
        "wal_bytes": monitor.wal_bytes(),
        "cache": {"hit_rate": hits / lookups if lookups else None, "queries": calls},
        "alerts": _worst(one.alerts for one in every),
    }


def _worst(told: Iterable[Sequence[Mapping[str, Any]]]) -> list[Mapping[str, Any]]:
    """Of each alert, how it stands in the worker where it stands worst."""
    found: dict[str, Mapping[str, Any]] = {}
    for alerts in told:
        for alert in alerts:
            known = found.get(alert["alert"])
            if known is None or _WORSE.index(alert["state"]) > _WORSE.index(known["state"]):
                found[alert["alert"]] = alert
    return list(found.values())


def _queries(found: Iterable[Metric]) -> dict[str, dict[str, Any]]:
    buckets: dict[str, list[tuple[float, float]]] = {}
    sums: dict[str, float] = {}
    errors: dict[str, dict[str, int]] = {}
    for name, labels, value in (sample[:3] for metric in found for sample in metric.samples):
        if name == "ptp_statement_seconds_bucket":
            buckets.setdefault(labels["query"], []).append((float(labels["le"]), value))
        elif name == "ptp_statement_seconds_sum":
            sums[labels["query"]] = value
        elif name == "ptp_statement_errors_total":
            errors.setdefault(labels["query"], {})[labels["kind"]] = int(value)
    return {
        query: _shown(sorted(buckets.get(query, ())), sums.get(query, 0.0), errors.get(query, {}))
        for query in sorted(buckets.keys() | errors.keys())
    }


def _shown(buckets: Sequence[tuple[float, float]], seconds: float, errors: dict[str, int]) -> dict[str, Any]:
    count = buckets[-1][1] if buckets else 0
    return {
        "n": int(count),
        "mean_ms": round(seconds / count * 1000, 4) if count else None,
        **{f"p{round(100 * q)}_ms_estimate": _ms(quantile(buckets, q)) for q in (0.5, 0.95, 0.99)},
        "errors": errors,
    }


def quantile(buckets: Sequence[tuple[float, float]], share: float) -> float | None:
    """The quantile of cumulated buckets (upper limit, count) in their unit, linear within one; None where empty.

    Beyond the last finite limit it is that limit: more cannot be told.
    """
    total = buckets[-1][1] if buckets else 0
    if not total:
        return None
    rank, low, below = share * total, 0.0, 0.0
    for high, count in buckets:
        if count >= rank and count > below:
            return low if math.isinf(high) else low + (high - low) * (rank - below) / (count - below)
        low, below = high, count
    return low


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 4)
