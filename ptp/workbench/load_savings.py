"""What the cache saved in a load, by query: from the server's own counters, and what a call costs without it.

Calls and hits are counted by the server. What a hit saves is modelled: the time of a call without a cache, less that of
a hit, both measured on copies of the target with nothing else to do, so that under load it is rather more; and the
billed rows of a call. Dollars are those of a month at the declared traffic, with the share of hits of this load.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from ptp.engine import open_engine
from ptp.engine.billing import biller
from ptp.engine.meters import replica
from ptp.engine.prices import load_prices
from ptp.results import Estimate
from ptp.settings import load_settings
from ptp.stats import rate_bounds
from ptp.workbench.indexing import record_calls
from ptp.workbench.load_scrape import Workers
from ptp.workbench.parts import Part
from ptp.workload.cases import workload as queries_of
from ptp.workload.traffic import TARIFF, TRAFFIC

TABLE = "Cache"
CALLS = 5
"""Calls of each query whose billed rows are counted."""

TIMES = 15
"""Calls of each query that are timed, and of a hit; the median is told."""

_MISSED = ("misses", "bypasses")
_WAYS = ("read", "written")


@dataclass(frozen=True, slots=True)
class Cost:
    """A call without a cache: ms, its billed rows as the mean, the least and the most of rows read, and by what."""

    ms: float
    read: float
    written: float
    read_range: tuple[float, float]
    model: str


@dataclass(frozen=True, slots=True)
class Costs:
    """What calls cost by query, and the ms of a hit."""

    calls: Mapping[str, Cost]
    hit_ms: float


def savings_of(workers: Workers, target: Path, *, seed: int) -> Part:
    """A row for each query that is kept and was asked for, and the dollars of all; `target` is only read."""
    counters = {query: counts for query, counts in workers.cache().items() if _calls(counts)}
    return part_of(counters, costs_of(target, counters, seed=seed)) if counters else Part()


def costs_of(target: Path, queries: Collection[str], *, seed: int) -> Costs:
    """What calls of these queries cost on copies of `target`; those that it holds nothing for are left out."""
    with replica(target) as copy:
        engine = open_engine(copy, settings=load_settings())
        try:
            recorded = record_calls(engine, calls=CALLS, seed=seed)
            # Only what there was to bill: what the calls have written can make others possible.
            times = _times(engine, {query for query in queries if recorded[query].calls}, seed=seed)
            hit_ms = _hit_ms(engine)
        finally:
            engine.dispose()
    found = {}
    with biller(target) as billed:
        for query, ms in times.items():
            bills = [billed(call) for call in recorded[query].calls]
            low, high = (statistics.fmean(b.read_range[side] for b in bills) for side in (0, 1))
            read, written = (statistics.fmean(getattr(b, f"rows_{what}") for b in bills) for what in _WAYS)
            found[query] = Cost(ms, read, written, (low, high), billed.model)
    return Costs(found, hit_ms)


def _times(engine: Engine, queries: Collection[str], *, seed: int) -> dict[str, float]:
    """The median ms of a call of each query that can be called here; those that write do write."""
    known = [q for q in queries_of(engine, count=CALLS, seed=seed) if q.name in queries and not q.not_applicable]
    return {q.name: _median_ms([partial(q.run, drawn) for drawn in islice(cycle(q.draws), TIMES)]) for q in known}


def _hit_ms(engine: Engine) -> float:
    """The median ms of a call that the cache answers."""
    from ptp.service.caching import open_cache  # of the extra that serves, which is there where one was asked

    cache = open_cache(engine, load_settings().model_copy(update={"redis_url": None}))
    try:
        call = partial(cache.queries.twitter.growth_analytics, days=1, now=0)
        call()
        return _median_ms([call] * TIMES)
    finally:
        cache.close()


def _median_ms(calls: Sequence[Callable[[], object]]) -> float:
    taken = []
    for call in calls:
        begun = time.perf_counter()
        call()
        taken.append(1_000 * (time.perf_counter() - begun))
    return statistics.median(taken)


def part_of(counters: Mapping[str, Mapping[str, int]], costs: Costs) -> Part:
    """The table, and the estimate of what all hits save, from counters by query."""
    from ptp.service.caching import Call, savings

    tariff = load_prices().tariff(TARIFF)
    calls = {query: Call(cost.ms, cost.read, cost.written) for query, cost in costs.calls.items()}
    saved = {one.query: one for one in savings(counters, calls, hit_ms=costs.hit_ms, tariff=tariff)}
    month = {query: {"hits": round(_share(counters[query]) * TRAFFIC.rates[query].calls)} for query in saved}
    dollars = {one.query: one.dollars or 0.0 for one in savings(month, calls, hit_ms=costs.hit_ms, tariff=tariff)}
    rows = []
    for query, counts in sorted(counters.items()):
        row = _counted(query, counts)
        if query in saved:
            row |= {
                "ms_without": calls[query].ms,
                "ms_of_a_hit": costs.hit_ms,
                "saved_ms_estimate": saved[query].ms,
                "billed_reads_a_call": calls[query].rows_read,
                "saved_reads_estimate": saved[query].rows_read,
                "saved_dollars_a_month_estimate": dollars[query],
            }
        rows.append(row | _staleness(query))
    return Part(_estimates(counters, costs.calls, dollars), {TABLE: rows})


def _counted(query: str, counts: Mapping[str, int]) -> dict[str, Any]:
    return {
        "query": query,
        "calls": _calls(counts),
        "hits": counts["hits"],
        "hit_percent": 100 * _share(counts),
        "outdated": counts["invalidations"],
        "expired": counts["expired"],
    }


def _staleness(query: str) -> dict[str, Any]:
    """How old what is kept may be, as it is declared."""
    from ptp.service.caching import POLICIES

    policy = POLICIES[query]
    after = {
        "own write": policy.own_writes_s,
        "write of the same worker": policy.same_worker_s,
        "write of another worker": policy.other_workers_s,
        "write past the service": policy.unlogged_s,
    }
    late = [f"{seconds:g} s after a {what}" for what, seconds in after.items() if seconds]
    stale = ", ".join(late) if late else "never: a commit outdates it at once, whoever makes it"
    window = f"; its window may end up to {policy.window_s:g} s early" if policy.window_s else ""
    return {"kept_at_most_s": policy.ttl_s, "may_be_outdated": stale + window, "why_kept": policy.reason}


def _estimates(
    counters: Mapping[str, Mapping[str, int]], costs: Mapping[str, Cost], dollars: Mapping[str, float]
) -> tuple[Estimate, ...]:
    """The dollars of all queries together, with the bounds of the shares of hits and of the billed rows."""
    if not dollars:
        return ()
    tariff = load_prices().tariff(TARIFF)
    low, high = (
        sum(tariff.dollars(*_month(counters[query], costs[query], query, side)) or 0.0 for query in dollars)
        for side in (0, 1)
    )
    return (
        Estimate(
            what="saved by the cache",
            unit="$ a month",
            value=sum(dollars.values()),
            low=low,
            high=high,
            model="share of hits in this load x declared calls x billed rows of a call x prices for rows",
            inputs={
                "queries": ", ".join(sorted(dollars)),
                "billed rows": next(iter(costs.values())).model,
                "tariff": tariff.name,
                "users": float(TRAFFIC.users),
            },
        ),
    )


def _month(counts: Mapping[str, int], cost: Cost, query: str, side: int) -> tuple[float, float]:
    """The rows read and written that hits save in a month, at the least (0) or at the most (1)."""
    span = rate_bounds(counts["hits"], _calls(counts))
    hits = (span.low, span.high)[side] * TRAFFIC.rates[query].calls
    return hits * cost.read_range[side], hits * cost.written


def _calls(counts: Mapping[str, int]) -> int:
    return counts["hits"] + sum(counts[what] for what in _MISSED)


def _share(counts: Mapping[str, int]) -> float:
    return counts["hits"] / calls if (calls := _calls(counts)) else 0.0
