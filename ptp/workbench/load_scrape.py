"""The server's own counters, read from /metrics and added up over its workers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import urllib3

from ptp.workbench.load_watch import Reading

TIMEOUT_S = 2.0
OK = 200
MOST_TRIES = 60
"""So often is asked until every worker has told; which one answers is chance."""

_GAUGES = ("ptp_pool_checked_out", "ptp_pool_size", "ptp_wal_bytes")
_ALL = ""  # what is told has no worker: it is the sum of them
_CALLS = ("hits", "misses", "bypasses")

Counts = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Scrape:
    """What one worker told: its gauges, and what its cache did by query."""

    reading: Reading
    cache: Counts


@dataclass(slots=True)
class Workers:
    """The workers of one server, by what each told first and last; `fresh`: the server began with nothing counted."""

    url: str
    fresh: bool = True
    first: dict[str, Scrape] = field(default_factory=dict)
    last: dict[str, Scrape] = field(default_factory=dict)

    def read(self) -> list[Reading]:
        """Ask once, and give what the worker told that answered."""
        if (found := scrape(self.url)) is None:
            return []
        worker = found.reading.worker
        self.first.setdefault(worker, found)
        self.last[worker] = found
        return [found.reading]

    def read_all(self, workers: int) -> None:
        """Ask until so many workers have told, or as often as makes sense; once, where one tells for all of them."""
        told = set[str]()
        for _ in range(MOST_TRIES):
            told |= {reading.worker for reading in self.read()}
            if len(told) >= workers or told == {_ALL}:
                return

    def cache(self) -> dict[str, dict[str, int]]:
        """What the caches of all workers did since, by query."""
        found: dict[str, dict[str, int]] = {}
        for worker, one in self.last.items():
            before: Counts = {} if self.fresh else self.first[worker].cache
            for query, events in one.cache.items():
                counts = found.setdefault(query, {})
                for event, count in events.items():
                    counts[event] = counts.get(event, 0) + count - before.get(query, {}).get(event, 0)
        return found


def scrape(url: str) -> Scrape | None:
    """What the worker tells that answers; None where none does, or what it says is not of a server of ptp."""
    try:
        # A connection of its own, so that another worker may take it.
        with urllib3.PoolManager(headers={"Connection": "close"}, timeout=TIMEOUT_S, retries=False) as pool:
            answer = pool.request("GET", f"{url}/metrics")
    except urllib3.exceptions.HTTPError:
        return None
    if answer.status != OK:
        return None
    with suppress(ValueError, KeyError):  # the text of something else
        return scraped(answer.data.decode(errors="replace"), at=time.perf_counter())
    return None


def scraped(text: str, *, at: float) -> Scrape:
    """The same from the text of /metrics, at a moment of the machine's clock in s; raises ValueError or KeyError."""
    from prometheus_client.parser import text_string_to_metric_families  # of the extra that serves

    families: Any = text_string_to_metric_families
    gauges: dict[str, float] = {}
    cache: dict[str, dict[str, int]] = {}
    worker = ""
    for sample in (sample for family in families(text) for sample in family.samples):
        worker = worker or sample.labels.get("worker", "")
        if sample.name == "ptp_cache_calls_total":
            cache.setdefault(sample.labels["query"], {})[sample.labels["event"]] = int(sample.value)
        elif sample.name in _GAUGES:
            gauges[sample.name] = sample.value
    used, size, wal = (int(gauges[name]) for name in _GAUGES)
    hits = sum(counts.get("hits", 0) for counts in cache.values())
    calls = sum(counts.get(what, 0) for counts in cache.values() for what in _CALLS)
    return Scrape(Reading(at, worker, used, size, wal, hits, calls), cache)
