"""The cache of one process: a region of dogpile.cache for each query, one memory, one ledger, and Redis behind them."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

from redis import ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from sqlalchemy import Engine

from ptp.errors import UsageError
from ptp.service.caching.codec import TYPES_DIGEST
from ptp.service.caching.counting import Counts
from ptp.service.caching.ledger import Ledger, Part
from ptp.service.caching.policies import POLICIES
from ptp.service.caching.position import Position
from ptp.service.caching.shared import Breaker, SharedLedger
from ptp.service.caching.store import Kept, Memory, Store, key_of, region

T = TypeVar("T")

REDIS_TIMEOUT_S = 0.25
"""Redis is near, or it is not asked: a write waits for it in its transaction."""
_LOG = logging.getLogger(__name__)


class NotKept(Exception):
    """What was asked for is not kept; a reader that may wait is to read it."""


class Keeper:
    """Keeps what queries found, and hands it out while it is so; threads may share it."""

    def __init__(
        self,
        engine: Engine,
        *,
        redis_url: str | None = None,
        clock: Callable[[], float] = time.time,
        memory: Memory | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        """Open the connection that tells the database's position, and Redis where its URL is given.

        Raises UsageError for a URL that is none.
        """
        self.counts = Counts()
        self.memory = memory or Memory()
        self.breaker = breaker or Breaker()
        self._position = Position(engine)
        prefix = _prefix(self._position)
        self._pool = _pool(redis_url) if redis_url and self._position.counts else None
        self.ledger = self._ledger(engine, prefix)
        self._store = Store(memory=self.memory, counts=self.counts, clock=clock, breaker=self.breaker)
        self._regions = {
            name: region(self._store, name=name, ttl_s=p.ttl_s, prefix=f"{prefix}:value:", redis_pool=self._pool)
            for name, p in POLICIES.items()
        }

    def ask(
        self,
        name: str,
        arguments: tuple[Any, ...],
        read: Callable[[], T],
        *,
        parts: tuple[Part, ...] | Callable[[T], tuple[Part, ...]],
    ) -> T:
        """What `read` finds, or found; it depends on `parts`. What it raises is raised, and not kept."""
        if self._store.asking.only_kept:
            kept_value: T = self._kept(name, arguments)
            return kept_value
        view = self.ledger.view()
        if view is None:
            self.counts.add(name, "bypasses")
            return read()
        begun: list[float] = []

        def create() -> Kept:
            begun.append(self._store.clock())
            value = read()
            return Kept(view.stamp, parts(value) if callable(parts) else parts, begun[0], value)

        asking = self._store.asking
        asking.view, asking.why = view, None
        try:
            kept: Kept = self._regions[name].get_or_create(key_of(name, arguments), create)
        finally:
            asking.view = None
            self._count(name, missed=bool(begun))
        found: T = kept.value
        return found

    @contextmanager
    def only_kept(self) -> Iterator[None]:
        """A block of this thread in which what is not kept in memory is not read, and raises NotKept.

        Nothing in it waits, neither for the database nor for Redis nor for another thread that reads.
        """
        if self._pool is not None or not self._position.counts:
            raise NotKept  # where the position cannot be told without asking somebody
        self._store.asking.only_kept = True
        try:
            yield
        finally:
            self._store.asking.only_kept = False

    def _kept(self, name: str, arguments: tuple[Any, ...]) -> Any:
        view = self.ledger.view()
        kept = None if view is None else self.memory.get(key_of(name, arguments))
        asking = self._store.asking
        asking.view = view
        try:
            if kept is None or not self._store.judge(kept, POLICIES[name].ttl_s):
                raise NotKept
        finally:
            asking.view = None
        self.counts.add(name, "hits")
        return kept.value

    def _count(self, name: str, *, missed: bool) -> None:
        self.counts.add(name, "misses" if missed else "hits")
        why = self._store.asking.why
        if missed and why is not None:
            self.counts.add(name, why)

    def writing(self, *parts: Part) -> AbstractContextManager[None]:
        """A block with one transaction that changes these parts, or nothing that is kept."""
        return self.ledger.writing(parts)

    def writing_anything(self) -> AbstractContextManager[None]:
        """A block with one transaction after which nothing that is kept is used."""
        return self.ledger.writing(None)

    def close(self) -> None:
        """Let go of the database and of Redis."""
        self.ledger.close()
        self._position.close()
        if self._pool is not None:
            self._pool.disconnect()

    def _ledger(self, engine: Engine, prefix: str) -> Ledger:
        if self._pool is None:
            return Ledger(engine, self._position)
        redis = Redis(connection_pool=self._pool)
        if _forgets(redis):
            _LOG.warning("Redis is set to evict keys, so it is not used: set its maxmemory-policy to noeviction.")
            self._pool = None
            return Ledger(engine, self._position)
        return SharedLedger(engine, self._position, redis=redis, prefix=prefix, breaker=self.breaker)


def _prefix(position: Position) -> str:
    """Of all keys in Redis: the file, its schema, and the version of the rows."""
    found = position.file.stat()
    identity = (str(position.file), found.st_dev, found.st_ino, position.schema, TYPES_DIGEST)
    return "ptp:" + hashlib.sha256(repr(identity).encode()).hexdigest()[:16]


def _pool(url: str) -> Any:
    try:
        return ConnectionPool.from_url(
            url,
            socket_timeout=REDIS_TIMEOUT_S,
            socket_connect_timeout=REDIS_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError:
        raise UsageError("REDIS_URL is no address of a Redis server: give redis://HOST:PORT/NUMBER.") from None


def _forgets(redis: Redis) -> bool:
    """Whether Redis may drop a key by itself; then the last change of a part could be gone, and old values seem new."""
    try:
        memory: Any = redis.info("memory")
    except RedisError:
        return False  # not there yet; the breaker sees to it
    return bool(memory.get("maxmemory")) and memory.get("maxmemory_policy") != "noeviction"
