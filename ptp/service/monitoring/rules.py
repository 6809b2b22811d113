"""What is worth a word to somebody: the alert rules, as data. Each reads one number from what the last minute held."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

Severity: TypeAlias = Literal["warning", "critical"]

WINDOW_S = 60.0
LEAST_CALLS = 100
"""A rate is judged from so many calls on."""
LEAST_REQUESTS = 20
MB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What the service did in the last WINDOW_S, and how it stands; times in seconds, None where there is nothing.

    `operations` are requests, where it had any, else statements, and `failures` those of them that failed: answers of
    5xx, or statements with an error. `lookups` are calls of queries that have a cache.
    """

    slowest_s: float | None = None
    slowest_query: str | None = None
    operations: int = 0
    failures: int = 0
    lookups: int = 0
    hits: int = 0
    pool_used: int = 0
    pool_room: int = 0
    wal_bytes: int = 0
    replica_lag_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When to alert: while `value` of a snapshot is beyond `limit`, on the `side` told, for `for_seconds`.

    `value` is None where the rule does not apply. The sentence takes {value} and {limit}, in `unit`.
    """

    name: str
    value: Callable[[Snapshot], float | None]
    limit: float
    unit: str
    sentence: str
    severity: Severity = "warning"
    side: Literal["over", "under"] = "over"
    for_seconds: float = 0.0

    def broken(self, value: float | None) -> bool:
        """Whether a value is beyond the limit."""
        if value is None:
            return False
        return value > self.limit if self.side == "over" else value < self.limit

    def told(self, value: float | None, *, again: bool = False) -> str:
        """How it stands, in a sentence; `again` where it was broken before."""
        if value is None:
            return f"{self.name} has nothing to be judged by."
        shown = f"{value:.4g} {self.unit}"
        if not self.broken(value):
            return f"{self.name} is within its limit{' again' if again else ''}: {shown}."
        return self.sentence.format(value=shown, limit=f"{self.limit:.4g} {self.unit}")


def _slowest_ms(snapshot: Snapshot) -> float | None:
    return None if snapshot.slowest_s is None else snapshot.slowest_s * 1000


def _error_percent(snapshot: Snapshot) -> float | None:
    if snapshot.operations < LEAST_REQUESTS:
        return None
    return 100 * snapshot.failures / snapshot.operations


def _hit_percent(snapshot: Snapshot) -> float | None:
    return 100 * snapshot.hits / snapshot.lookups if snapshot.lookups >= LEAST_CALLS else None


def _pool_percent(snapshot: Snapshot) -> float | None:
    return 100 * snapshot.pool_used / snapshot.pool_room if snapshot.pool_room else None


RULES: tuple[Rule, ...] = (
    Rule(
        name="slow_query",
        value=_slowest_ms,
        limit=200,
        unit="ms",
        sentence="A statement took {value}, over {limit}: see which query it served, and its plan.",
    ),
    Rule(
        name="error_rate",
        value=_error_percent,
        limit=5,
        unit="%",
        severity="critical",
        for_seconds=10,
        sentence="{value} of the requests failed, over {limit}: see the errors by kind.",
    ),
    Rule(
        name="hit_rate",
        value=_hit_percent,
        limit=30,
        unit="%",
        side="under",
        for_seconds=60,
        sentence="The cache answered {value} of the calls, under {limit}: many writes, or another program writes too.",
    ),
    Rule(
        name="pool",
        value=_pool_percent,
        limit=80,
        unit="%",
        severity="critical",
        for_seconds=10,
        sentence="{value} of the connections are in use, over {limit}: raise PTP_POOL_SIZE, or find what holds them.",
    ),
    Rule(
        name="wal_size",
        value=lambda snapshot: snapshot.wal_bytes / MB,
        limit=64,
        unit="MiB",
        for_seconds=30,
        sentence="The write-ahead log has {value}, over {limit}: a reader that never ends keeps it from being emptied.",
    ),
    Rule(
        name="replica_lag",
        value=lambda snapshot: snapshot.replica_lag_s,
        limit=10,
        unit="s",
        for_seconds=30,
        sentence="The replica is {value} behind, over {limit}.",
    ),
)
