"""The cache before the queries: values in memory, then in Redis, used only while they are what a query would find."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

from sqlalchemy import Engine

from ptp.service.caching.classes import CachedAnalytics, CachedProgress, CachedStudy, CachedTwitter
from ptp.service.caching.counting import Call, Saving, savings
from ptp.service.caching.keeping import Keeper, NotKept
from ptp.service.caching.policies import NOT_KEPT, POLICIES, Policy
from ptp.service.queries import Queries
from ptp.settings import Settings

__all__ = ["NOT_KEPT", "POLICIES", "Cache", "Call", "NotKept", "Policy", "Saving", "cached", "open_cache", "savings"]


@dataclass(frozen=True, slots=True)
class Cache:
    """The cached queries of one process, and what they count; close it before the engine."""

    queries: Queries
    keeper: Keeper

    def counters(self) -> dict[str, dict[str, int]]:
        """Hits, misses, bypasses, invalidations, expired values and errors, by query."""
        return self.keeper.counts.snapshot()

    def hit_rate(self) -> float | None:
        """Hits of all calls, from 0 to 1; None before the first."""
        return self.keeper.counts.hit_rate()

    def only_kept(self) -> AbstractContextManager[None]:
        """A block in which the queries give what is kept in memory, or raise NotKept at once."""
        return self.keeper.only_kept()

    def close(self) -> None:
        """Let go of the database and of Redis."""
        self.keeper.close()


def open_cache(engine: Engine, settings: Settings) -> Cache:
    """The cache of one process on an engine of `ptp.engine.open_engine`, with Redis behind it by REDIS_URL."""
    url = settings.redis_url
    return over(engine, Keeper(engine, redis_url=url.get_secret_value() if url else None))


def over(engine: Engine, keeper: Keeper) -> Cache:
    """The queries of an engine with what keeps for them."""
    queries = Queries(
        CachedStudy(engine, keeper),
        CachedProgress(engine, keeper),
        CachedTwitter(engine, keeper),
        CachedAnalytics(engine, keeper),
    )
    return Cache(queries, keeper)


def cached(engine: Engine, settings: Settings) -> Queries:
    """The cached queries alone, for a caller that closes the engine at its end and asks for no counters."""
    return open_cache(engine, settings).queries
