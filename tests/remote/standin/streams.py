"""Streams: each a connection with a thread of its own, so that one that holds a transaction keeps no other waiting.

Over HTTP a stream is found by its baton, made as libSQL's server makes it: stream and sequence number, signed. It expires
when it was not used for some time; for a while after that its baton is answered with STREAM_EXPIRED.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import struct
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.remote.standin.libsql import Database, Library
from tests.remote.standin.rules import Limits
from tests.remote.standin.session import Session
from tests.remote.standin.wire import Refused, Violation

T = TypeVar("T")


def expired() -> Refused:
    """What a stream answers that was not used for too long."""
    return Refused("The stream has expired due to inactivity", "STREAM_EXPIRED")


@dataclass(frozen=True, slots=True)
class Place:
    """Where streams open: the library, the file, the limits."""

    library: Library
    path: Path
    limits: Limits

    def database(self) -> Database:
        """A connection; it waits for another's transaction until that one must have ended."""
        return Database(self.library, self.path, busy_seconds=self.limits.transaction_seconds + 5)


class Stream:
    """A connection in its thread; `lock` is held by the request that uses it."""

    def __init__(self, place: Place) -> None:
        self.sqls: dict[int, str] = {}
        self.lock = asyncio.Lock()
        self.session: Session | None = None
        self.used = time.monotonic()
        self._place = place
        self._thread = ThreadPoolExecutor(max_workers=1)

    async def call(self, function: Callable[..., T], *values: Any) -> T:
        """Run something in the thread of this stream."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *values)

    async def open(self) -> Session:
        """Connect."""
        self.session = Session(await self.call(self._place.database), self._place.limits)
        return self.session

    async def close(self) -> None:
        """Roll back what is open and disconnect."""
        session, self.session = self.session, None
        if session:
            await self.call(session.close)
        self._thread.shutdown(wait=False)


class Streams:
    """All streams of the server."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.all: set[Stream] = set()
        self._by_id: dict[int, tuple[Stream | None, int]] = {}  # with the sequence number; None when expired
        self._ids: dict[Stream, int] = {}
        self._key = os.urandom(32)

    def new(self) -> Stream:
        """A stream that is not connected yet."""
        stream = Stream(self.place)
        self.all.add(stream)
        return stream

    async def acquire(self, baton: str | None) -> Stream:
        """The stream of a baton, a new one for None; raises Refused, Violation."""
        if baton is None:
            stream = self.new()
            await stream.lock.acquire()
            await stream.open()
            self._ids[stream] = int.from_bytes(os.urandom(8), "big")
            self._by_id[self._ids[stream]] = stream, int.from_bytes(os.urandom(8), "big")
            return stream
        number, sequence = self._decoded(baton)
        if number not in self._by_id:
            raise Violation("Received an invalid baton")
        found, expected = self._by_id[number]
        if found is None:
            raise expired()
        if sequence != expected:
            raise Violation("Received a baton that has already been used")
        self._by_id[number] = found, (expected + 1) % 2**64
        # A cursor tells its baton before its rows, so a client may ask again while it is still being read.
        await found.lock.acquire()
        return found

    def release(self, stream: Stream) -> str | None:
        """The baton for the next request; None once it is closed."""
        stream.used = time.monotonic()
        stream.lock.release()
        if stream.session is None:
            return None
        number = self._ids[stream]
        return self._encoded(number, self._by_id[number][1])

    def baton(self, stream: Stream) -> str:
        """What `release` will return."""
        number = self._ids[stream]
        return self._encoded(number, self._by_id[number][1])

    async def close(self, stream: Stream) -> None:
        """Close for good."""
        self.all.discard(stream)
        if stream in self._ids:
            self._by_id.pop(self._ids.pop(stream), None)
        await stream.close()

    async def expire(self, baton: str) -> bool:
        """Expire the stream of a baton; whether there was one."""
        try:
            number, _ = self._decoded(baton)
        except Violation:
            return False
        stream, sequence = self._by_id.get(number, (None, 0))
        if stream is None:
            return False
        await self.close(stream)
        self._by_id[number] = None, sequence
        return True

    async def sweep(self) -> None:
        """End what has lasted too long, for ever."""
        limits = self.place.limits
        while True:
            await asyncio.sleep(min(limits.transaction_seconds, limits.idle_seconds) / 10)
            for stream in list(self.all):
                if stream.session and stream.session.overdue():
                    with suppress(RuntimeError):  # it has closed meanwhile
                        await stream.call(stream.session.end_overdue)
                idle = time.monotonic() - stream.used > limits.idle_seconds
                if idle and stream in self._ids and not stream.lock.locked():
                    await self.expire(self.baton(stream))

    async def end(self) -> None:
        """Close all."""
        for stream in list(self.all):
            await self.close(stream)

    def _encoded(self, number: int, sequence: int) -> str:
        payload = struct.pack(">QQ", number, sequence)
        return base64.b64encode(payload + self._signed(payload)).decode().rstrip("=")

    def _decoded(self, baton: str) -> tuple[int, int]:
        try:
            data = base64.b64decode(baton + "=" * (-len(baton) % 4), validate=True)
            number, sequence = struct.unpack(">QQ", data[:16])
        except (ValueError, TypeError, struct.error):
            raise Violation("Received an invalid baton") from None
        if not hmac.compare_digest(data[16:], self._signed(data[:16])):
            raise Violation("Received an invalid baton")
        return number, sequence

    def _signed(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, payload, hashlib.sha256)
