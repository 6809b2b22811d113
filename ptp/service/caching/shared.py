"""The same ledger for all workers of a service, kept in Redis; where Redis is not to be had, each goes by its own.

Who writes announces it within the transaction: the number that its commit will have, and what it changes. A reader
compares the number announced last with the position of the database itself:

- equal: all commits were announced, and what is kept is told from what is outdated by the parts;
- announced is ahead: a commit is under way, so nothing that is kept is used;
- announced is behind, or gone: somebody committed without a word, so a new epoch begins and everything is outdated.

So it does not matter who dies when: a worker before or after its commit, Redis with or without what it knew.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine

from ptp.service.caching.ledger import Ledger, Part, Stamp, View, Write
from ptp.service.caching.position import Position

RETRY_S = 5.0
"""After a failure of Redis, so long nobody asks it."""
KEPT_S = 3_700
"""How long the last change of a part is known: longer than any value is kept."""
_STATE_S = 86_400
_MOST_NUMBERS = 10_000

# KEYS: epoch, at, by, parts. ARGV: position before the commit, and after; a new epoch, also the writer's name;
# whether everything changes; lifetimes of parts and of the state.
_ANNOUNCE = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] or ARGV[4] == '1' or not redis.call('GET', KEYS[1]) then
  redis.call('SET', KEYS[1], ARGV[3], 'EX', ARGV[6])
end
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[6])
redis.call('SET', KEYS[3], ARGV[3], 'EX', ARGV[6])
local epoch = redis.call('GET', KEYS[1])
for i = 4, #KEYS do redis.call('SET', KEYS[i], epoch .. ' ' .. ARGV[2], 'EX', ARGV[5]) end
"""

# A rollback takes the announcement back, unless the next writer has made its own.
_WITHDRAW = "if redis.call('GET', KEYS[3]) == ARGV[2] then redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[3]) end"

# KEYS: epoch, at. ARGV: the position, a new epoch, lifetime of the state.
_MEND = """
local at = redis.call('GET', KEYS[2])
if not at or not redis.call('GET', KEYS[1]) or tonumber(at) < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
  redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[3])
end
return {redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])}
"""


class Breaker:
    """Whether Redis is to be asked; after a failure not for some seconds. Threads may share it."""

    def __init__(self, *, retry_s: float = RETRY_S, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin closed."""
        self._retry_s, self._clock = retry_s, clock
        self._until: float | None = None
        self.failures = 0

    def allows(self) -> bool:
        """Whether it may be asked now."""
        return self._until is None or self._clock() >= self._until

    def failed(self) -> None:
        """It did not answer."""
        self.failures += 1
        self._until = self._clock() + self._retry_s

    def worked(self) -> None:
        """It answered."""
        self._until = None


class SharedLedger(Ledger):
    """A ledger in Redis, with the process's own to fall back on."""

    def __init__(self, engine: Engine, position: Position, *, redis: Redis, prefix: str, breaker: Breaker) -> None:
        """Begin a new epoch: nothing from before this process started is used."""
        self._redis, self._prefix, self.breaker = redis, prefix, breaker
        self._memo: _SharedView | None = None
        self._names = [f"{prefix}:{name}" for name in ("epoch", "at", "by")]
        self._scripts = {sql: redis.register_script(sql) for sql in (_ANNOUNCE, _WITHDRAW, _MEND)}
        super().__init__(engine, position)
        self._try(lambda: redis.set(self._names[0], uuid.uuid4().hex, ex=_STATE_S))

    def view(self) -> View | None:
        """What may be used now, by Redis where it answers."""
        now = self.position.read() if self.breaker.allows() else None
        if now is None:
            return super().view()
        memo = self._memo
        if memo is not None and memo.stamp.position == now:
            return memo
        try:
            epoch = self._epoch_at(now)
        except RedisError:
            self.breaker.failed()
            return super().view()
        self.breaker.worked()
        if epoch is None:
            return None
        self._memo = found = _SharedView(self, Stamp(epoch, now))
        return found

    def numbers(self, epoch: str, parts: Sequence[Part]) -> list[int] | None:
        """The last commit of the epoch that changed each part, -1 for none; None where that cannot be told any more.

        So it is where Redis does not answer, and where the epoch is over: a part that was changed in it, and again in
        the next, tells of the next alone.
        """
        try:
            current, *found = cast(Any, self._redis.mget([self._names[0], *map(self._key, parts)]))
        except RedisError:
            self.breaker.failed()
            return None
        if current is None or current.decode() != epoch:
            return None
        told = [(value or b" -1").decode().split(" ") for value in found]
        return [int(number) if of == epoch or not of else -1 for of, number in told]

    def _epoch_at(self, now: int) -> str | None:
        """The epoch, where all commits up to this position and none beyond were announced."""
        found: Any = self._redis.mget(self._names[:2])
        if found[0] is None or found[1] is None or int(found[1]) < now:
            arguments = (now, uuid.uuid4().hex, _STATE_S)
            found = self._scripts[_MEND](keys=self._names[:2], args=arguments)
        epoch, at = found
        return str(epoch.decode()) if int(at) == now else None

    def _announce(self, write: Write) -> None:
        if write.before is None:
            return
        write.announced = uuid.uuid4().hex
        keys = [*self._names, *(self._key(part) for part in write.parts or ())]
        everything = "1" if write.parts is None else "0"
        arguments = (write.before, write.before + 1, write.announced, everything, KEPT_S, _STATE_S)
        self._try(lambda: self._scripts[_ANNOUNCE](keys=keys, args=arguments))

    def _withdraw(self, write: Write) -> None:
        if write.announced is not None and write.before is not None:
            arguments = (write.before, write.announced, _STATE_S)
            self._try(lambda: self._scripts[_WITHDRAW](keys=self._names, args=arguments))

    def _key(self, part: Part) -> str:
        return f"{self._prefix}:{part[0]}:{part[1]}"

    def _try(self, ask: Callable[[], Any]) -> None:
        """Ask Redis where it answers. What is not announced is seen by its commit, and outdates everything."""
        if not self.breaker.allows():
            return
        try:
            ask()
        except RedisError:
            self.breaker.failed()
        else:
            self.breaker.worked()


class _SharedView:
    """What may be used at one position; the numbers of the parts are asked for once."""

    def __init__(self, ledger: SharedLedger, stamp: Stamp) -> None:
        self._ledger, self.stamp = ledger, stamp
        self._numbers: dict[Part, int] = {}
        self._lock = threading.Lock()

    def fresh(self, stamp: Stamp, parts: Iterable[Part]) -> bool:
        if stamp.epoch != self.stamp.epoch:
            return False
        wanted = tuple(parts)
        with self._lock:
            missing = [part for part in wanted if part not in self._numbers]
        if missing:
            numbers = self._ledger.numbers(stamp.epoch, missing)
            if numbers is None:
                return False
            with self._lock:
                if len(self._numbers) > _MOST_NUMBERS:
                    self._numbers = {}
                self._numbers.update(zip(missing, numbers, strict=True))
            found = dict(zip(missing, numbers, strict=True))
            return all(found.get(p, self._numbers.get(p, stamp.position + 1)) <= stamp.position for p in wanted)
        return all(self._numbers.get(part, stamp.position + 1) <= stamp.position for part in wanted)
