"""How often kept values were used, by query; and what that saved, by what a call costs without them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ptp.engine.prices import Tariff

What: TypeAlias = Literal["hits", "misses", "bypasses", "invalidations", "expired", "errors"]
WHATS: tuple[What, ...] = ("hits", "misses", "bypasses", "invalidations", "expired", "errors")
"""A bypass is a call during a commit, which reads and keeps nothing; an invalidation, a value found outdated."""


class Counts:
    """Counters by query; threads may share them."""

    def __init__(self) -> None:
        """Begin at 0."""
        self._counts: dict[str, dict[What, int]] = {}
        self._lock = threading.Lock()

    def add(self, query: str, what: What) -> None:
        """Count one."""
        with self._lock:
            self._counts.setdefault(query, dict.fromkeys(WHATS, 0))[what] += 1

    def snapshot(self) -> dict[str, dict[str, int]]:
        """A copy of the counts by query."""
        with self._lock:
            return {query: {what: counts[what] for what in WHATS} for query, counts in sorted(self._counts.items())}

    def hit_rate(self) -> float | None:
        """Hits of all calls, from 0 to 1; None before the first call."""
        with self._lock:
            hits = sum(counts["hits"] for counts in self._counts.values())
            calls = sum(counts[w] for counts in self._counts.values() for w in ("hits", "misses", "bypasses"))
        return hits / calls if calls else None


@dataclass(frozen=True, slots=True)
class Call:
    """What one call costs: milliseconds of service time, and billed rows, as measured without a cache."""

    ms: float
    rows_read: float
    rows_written: float = 0.0


@dataclass(frozen=True, slots=True)
class Saving:
    """What the hits of one query saved, estimated as hits times a call; `dollars` is None where there is no price.

    `ms` is less what the hits themselves took. Dollars are those of rows over what the tariff includes.
    """

    query: str
    hits: int
    ms: float
    rows_read: float
    rows_written: float
    dollars: float | None


def savings(
    counters: Mapping[str, Mapping[str, int]], calls: Mapping[str, Call], *, hit_ms: float, tariff: Tariff
) -> tuple[Saving, ...]:
    """What was saved by query, for those whose calls were measured, by name."""
    found = []
    for query in sorted(counters.keys() & calls.keys()):
        hits, call = counters[query]["hits"], calls[query]
        read, written = hits * call.rows_read, hits * call.rows_written
        found.append(Saving(query, hits, hits * (call.ms - hit_ms), read, written, tariff.dollars(read, written)))
    return tuple(found)
