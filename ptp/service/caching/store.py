"""Where values are kept: in the process, bounded, and behind that in Redis; both as one backend of dogpile.cache.

dogpile's own memory backend never lets anything go. Its regions are given no time to live either: with one, dogpile
hands out an expired value while another thread reads the new one. Age and freshness are checked here instead, and
what fails is not there.
"""

from __future__ import annotations

import hashlib
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dogpile.cache import CacheRegion, make_region, register_backend
from dogpile.cache.api import NO_VALUE, CacheBackend, CachedValue
from dogpile.cache.backends.redis import RedisBackend
from dogpile.cache.region import value_version
from redis.exceptions import RedisError

from ptp.service.caching.codec import decode, encode
from ptp.service.caching.counting import Counts, What
from ptp.service.caching.ledger import Part, Stamp, View
from ptp.service.caching.shared import Breaker

MEMORY_BYTES = 32 * 1024 * 1024
_LONGEST_KEY = 200


class Kept(NamedTuple):
    """A value with its stamp, what it depends on, and when it was read, in seconds of the wall clock."""

    stamp: Stamp
    parts: tuple[Part, ...]
    born: float
    value: Any


class Memory:
    """Values by key up to so many bytes, the least recently used dropped first; threads may share it."""

    def __init__(self, limit: int = MEMORY_BYTES) -> None:
        """Begin empty."""
        self.limit, self.used = limit, 0
        self._values: OrderedDict[str, tuple[int, Kept]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many values there are."""
        return len(self._values)

    def get(self, key: str) -> Kept | None:
        """The value, which is then the one used last."""
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return None
            self._values.move_to_end(key)
            return found[1]

    def set(self, key: str, kept: Kept) -> None:
        """Keep a value, unless it alone is larger than a tenth of what there is room for."""
        size = _bytes_of(kept) + sys.getsizeof(key)
        with self._lock:
            self._drop(key)
            if size > self.limit // 10:
                return
            self._values[key] = (size, kept)
            self.used += size
            while self.used > self.limit:
                self._drop(next(iter(self._values)))

    def delete(self, key: str) -> None:
        """Drop a value."""
        with self._lock:
            self._drop(key)

    def _drop(self, key: str) -> None:
        found = self._values.pop(key, None)
        if found is not None:
            self.used -= found[0]


@dataclass  # no slots: threads would share them
class _Asking(threading.local):
    view: View | None = field(default=None)
    why: What | None = field(default=None)
    only_kept: bool = field(default=False)


class Store:
    """The layers, what they count, and for each thread the view by which values are judged."""

    def __init__(
        self, *, memory: Memory, counts: Counts, clock: Callable[[], float] = time.time, breaker: Breaker | None = None
    ) -> None:
        """Keep the layers."""
        self.memory, self.counts, self.clock, self.breaker = memory, counts, clock, breaker
        self.asking = _Asking()

    def judge(self, kept: Kept, ttl_s: float) -> bool:
        """Whether a value may be given to this thread now; notes why not."""
        view = self.asking.view
        if not 0 <= self.clock() - kept.born < ttl_s:
            self.asking.why = "expired"
            return False
        if view is None or not view.fresh(kept.stamp, kept.parts):
            self.asking.why = "invalidations"
            return False
        return True


class Layers(CacheBackend):
    """Memory before Redis, for one query."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        """Take the store, the query's name and time to live, and how to reach Redis."""
        self._store: Store = arguments["store"]
        self._name: str = arguments["name"]
        self._ttl_s: float = arguments["ttl_s"]
        self._prefix: str = arguments["prefix"]
        pool = arguments["redis_pool"]
        reaching = {"connection_pool": pool, "redis_expiration_time": max(1, int(self._ttl_s))}
        self._redis: Any = pool and _REDIS(reaching)

    def get(self, key: str) -> Any:
        """A value that may be given, from memory, then from Redis."""
        store = self._store
        kept = store.memory.get(key)
        if kept is not None:
            if store.judge(kept, self._ttl_s):
                return CachedValue(kept, _METADATA)
            store.memory.delete(key)
        kept = self._from_redis(key)
        if kept is None or not store.judge(kept, self._ttl_s):
            return NO_VALUE
        store.memory.set(key, kept)
        return CachedValue(kept, _METADATA)

    def set(self, key: str, value: Any) -> None:
        """Keep a value in both."""
        kept: Kept = value.payload
        self._store.memory.set(key, kept)
        if self._asks_redis(kept.stamp):
            data = encode((tuple(kept.stamp), kept.parts, kept.born, kept.value))
            self._guarded(lambda: self._redis.set_serialized(self._prefix + key, data))

    def delete(self, key: str) -> None:
        """Drop a value from the memory; what Redis has is outdated by its stamp."""
        self._store.memory.delete(key)

    def get_multi(self, keys: Iterable[str]) -> Sequence[Any]:
        """Each of them."""
        return [self.get(key) for key in keys]

    def set_multi(self, mapping: Mapping[str, Any]) -> None:
        """Each of them."""
        for key, value in mapping.items():
            self.set(key, value)

    def delete_multi(self, keys: Iterable[str]) -> None:
        """Each of them."""
        for key in keys:
            self.delete(key)

    def _asks_redis(self, stamp: Stamp) -> bool:
        breaker = self._store.breaker
        return (
            self._redis is not None and not stamp.epoch.startswith("own ") and breaker is not None and breaker.allows()
        )

    def _from_redis(self, key: str) -> Kept | None:
        view = self._store.asking.view
        if view is None or not self._asks_redis(view.stamp):
            return None
        data = self._guarded(lambda: self._redis.get_serialized(self._prefix + key))
        if not isinstance(data, bytes):
            return None
        try:
            stamp, parts, born, value = decode(data)
            return Kept(Stamp(*stamp), parts, born, value)
        except (ValueError, TypeError):
            self._store.counts.add(self._name, "errors")
            return None

    def _guarded(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except RedisError:
            self._store.counts.add(self._name, "errors")
            if self._store.breaker is not None:
                self._store.breaker.failed()
            return None


def region(store: Store, *, name: str, ttl_s: float, prefix: str, redis_pool: Any) -> CacheRegion:
    """The region of one query; of all threads that miss the same key, one reads and the others wait for it."""
    arguments = {"store": store, "name": name, "ttl_s": ttl_s, "prefix": prefix, "redis_pool": redis_pool}
    made: CacheRegion = make_region(name=name).configure("ptp.layers", arguments=arguments)
    return made


def key_of(name: str, arguments: tuple[Any, ...]) -> str:
    """The key of a query with every argument as it is written: 1, 1.0 and True are three."""
    key = f"{name} {arguments!r}"
    return (
        key
        if len(key) <= _LONGEST_KEY
        else f"{name} {hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()}"
    )


def _bytes_of(value: Any) -> int:
    size = sys.getsizeof(value)
    if isinstance(value, tuple):
        return size + sum(map(_bytes_of, value))
    if isinstance(value, dict):
        return size + sum(_bytes_of(key) + _bytes_of(each) for key, each in value.items())
    return size


_METADATA: Any = {"ct": 1.0, "v": value_version}  # a time, which dogpile asks for and has no use of here


class _RedisLayer(RedisBackend):
    """dogpile's backend calls SETEX, of which the client warns that SET takes its place."""

    def set_serialized(self, key: str, value: Any) -> None:
        client: Any = self.writer_client
        client.set(key, value, ex=self.redis_expiration_time)


_REDIS: Any = _RedisLayer  # dogpile declares no types for its backends
_REGISTER: Any = register_backend
_REGISTER("ptp.layers", __name__, "Layers")
