"""What an administrator is shown: how the statements of each query do, and how the parts of the service stand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ptp.service.monitoring.watching import Monitor

SHOWN_SLOW = 20


def performance(monitor: Monitor) -> dict[str, Any]:
    """Statements by query with estimated quantiles in ms, errors, the slowest of late, pool, log, cache and alerts.

    It holds names and numbers, never a statement's text or a value.
    """
    used, room = monitor.pool()
    slowest = sorted(monitor.slow.copy(), key=lambda slow: -slow.seconds)[:SHOWN_SLOW]
    now = monitor.clock()
    return {
        "queries": _queries(monitor),
        "quantiles": "estimated from the buckets of a histogram, as if times were spread evenly within each",
        "slow": [
            {"query": s.query, "ms": round(s.seconds * 1000, 3), "seconds_ago": round(now - s.at, 1)} for s in slowest
        ],
        "pool": {"checked_out": used, "size": room},
        "wal_bytes": monitor.wal_bytes(),
        "cache": {"hit_rate": monitor.hit_rate(), "queries": monitor.cache()},
        "alerts": monitor.alerts(),
    }


def _queries(monitor: Monitor) -> dict[str, dict[str, Any]]:
    buckets: dict[str, list[tuple[float, float]]] = {}
    sums: dict[str, float] = {}
    for family in monitor.metrics.statements.collect():
        for sample in family.samples:
            query = sample.labels["query"]
            if sample.name.endswith("_bucket"):
                buckets.setdefault(query, []).append((float(sample.labels["le"]), sample.value))
            elif sample.name.endswith("_sum"):
                sums[query] = sample.value
    errors: dict[str, dict[str, int]] = {}
    for family in monitor.metrics.errors.collect():
        for sample in family.samples:
            if sample.name.endswith("_total"):
                errors.setdefault(sample.labels["query"], {})[sample.labels["kind"]] = int(sample.value)
    return {
        query: _shown(buckets.get(query, []), sums.get(query, 0.0), errors.get(query, {}))
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
