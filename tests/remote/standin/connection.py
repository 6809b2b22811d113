"""One WebSocket connection of Hrana: its streams, cursors and SQL texts, and what each request does."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import suppress
from typing import Any, TypeAlias

from aiohttp import WSCloseCode, WSMsgType, web

from tests.remote.standin.session import Session
from tests.remote.standin.streams import Stream, Streams, expired
from tests.remote.standin.wire import Json, Refused, Violation, store, take, text_of

Send: TypeAlias = Callable[[Json], Awaitable[None]]
Work: TypeAlias = Coroutine[Any, Any, Json]

_SINCE = {
    "sequence": 2, "describe": 2, "store_sql": 2, "close_sql": 2,
    "open_cursor": 3, "close_cursor": 3, "fetch_cursor": 3, "get_autocommit": 3,
}  # fmt: skip


class Connection:
    """A client."""

    def __init__(self, ws: web.WebSocketResponse, request: web.Request, version: int, streams: Streams) -> None:
        self.ws, self.version = ws, version
        self._request, self._all = request, streams
        self._streams: dict[int, Stream] = {}
        self._expired: set[int] = set()
        self._cursors: dict[int, tuple[int, Iterator[Json] | None]] = {}
        self._sqls: dict[int, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def received(self) -> str | None:
        """The next message; None at the end. A connection on which nothing happens for long is closed."""
        idle = self._all.place.limits.idle_seconds
        while True:
            try:
                message = await self.ws.receive(timeout=idle)
            except TimeoutError:
                if self._tasks:
                    continue
                await self.ws.close(code=WSCloseCode.GOING_AWAY, message=b"idle for too long")
                return None
            if message.type == WSMsgType.TEXT:
                return str(message.data)
            if message.type == WSMsgType.BINARY:
                await self.ws.close(code=WSCloseCode.UNSUPPORTED_DATA)
            return None

    async def send(self, message: Json) -> None:
        """Send, if the client is still there."""
        with suppress(ConnectionError, RuntimeError):
            await self.ws.send_str(json.dumps(message, ensure_ascii=False, separators=(",", ":")))

    async def keep(self, message: Json) -> None:
        """Send nothing."""

    async def lose(self, message: Json) -> None:
        """Close the connection without a word."""
        if self._request.transport:
            self._request.transport.abort()

    async def halve(self, message: Json) -> None:
        """Send half of a message, then close the connection."""
        data = json.dumps(message).encode()
        length = bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack(">H", min(len(data), 65535))
        if self._request.transport:
            self._request.transport.write(b"\x81" + length + data[: len(data) // 2])
            self._request.transport.close()

    async def end(self) -> None:
        """Close all of its streams."""
        if self._tasks:
            await asyncio.wait(self._tasks)
        for stream in self._streams.values():
            await self._all.close(stream)

    def expire(self, asked: Json) -> bool:
        """Let the stream of a request expire; whether it has one."""
        if asked.get("stream_id") not in self._streams or asked["type"] == "close_stream":
            return False
        self._expired.add(asked["stream_id"])
        return True

    def begin(self, message: Json, send: Send) -> asyncio.Task[None]:
        """Begin a request. Those of one stream are done in their order, since its lock is given in that order."""
        work = self._work(message["request"])
        task = asyncio.create_task(self._answer(message, work, send))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _answer(self, message: Json, work: Work, send: Send) -> None:
        try:
            response = {"type": message["request"]["type"]} | await work
            found = {"type": "response_ok", "request_id": message["request_id"], "response": response}
        except Refused as problem:
            found = {"type": "response_error", "request_id": message["request_id"], "error": problem.error}
        except (Violation, KeyError, TypeError, AttributeError) as problem:
            await self.ws.close(code=WSCloseCode.POLICY_VIOLATION, message=str(problem)[:120].encode())
            return
        await send(found)

    def _work(self, asked: Json) -> Work:
        """What a request does: what concerns the connection now, the rest when it is awaited; raises Violation."""
        kind = asked["type"]
        if self.version < _SINCE.get(kind, 1):
            raise Violation(
                f"The `{kind}` request is only supported in protocol version hrana{_SINCE[kind]} and higher"
            )
        match kind:
            case "store_sql":
                store(self._sqls, asked, self._all.place.limits.stored_sql)
                return _nothing()
            case "close_sql":
                self._sqls.pop(asked["sql_id"], None)
                return _nothing()
            case "open_stream":
                return self._open_stream(asked["stream_id"])
            case "close_stream":
                return self._close_stream(asked["stream_id"])
            case "open_cursor":
                return self._open_cursor(asked)
            case "fetch_cursor" | "close_cursor":
                return self._use_cursor(asked)
        return self._on_stream(asked)

    def _open_stream(self, number: int) -> Work:
        if number in self._streams:
            raise Violation(f"Stream {number} already exists")
        stream = self._streams[number] = self._all.new()

        async def work() -> Json:
            async with stream.lock:
                await stream.open()
            return {}

        return work()

    def _close_stream(self, number: int) -> Work:
        stream = self._stream(number)
        del self._streams[number]
        self._expired.discard(number)
        mine = [cursor for cursor, (of, _) in self._cursors.items() if of == number]
        entries = [self._cursors.pop(cursor)[1] for cursor in mine]

        async def work() -> Json:
            async with stream.lock:
                for each in entries:
                    await _ended(stream, each)
                await self._all.close(stream)
            return {}

        return work()

    def _open_cursor(self, asked: Json) -> Work:
        cursor, number, sqls = asked["cursor_id"], asked["stream_id"], dict(self._sqls)
        stream = self._stream(number)
        if any(of == number for of, _ in self._cursors.values()):
            raise Violation(f"Stream {number} already has an open cursor")
        if cursor in self._cursors:
            raise Violation(f"Cursor {cursor} already exists")
        self._cursors[cursor] = number, None

        async def work() -> Json:
            async with stream.lock:
                session = await self._session(number, stream)
                self._cursors[cursor] = number, await stream.call(session.cursor, asked["batch"], sqls, self.version)
            return {}

        return work()

    def _use_cursor(self, asked: Json) -> Work:
        cursor = asked["cursor_id"]
        if cursor not in self._cursors:
            raise Violation(f"Cursor {cursor} not found")
        stream = self._stream(self._cursors[cursor][0])

        async def work() -> Json:
            async with stream.lock:
                entries = self._cursors[cursor][1]
                if asked["type"] == "close_cursor":
                    await _ended(stream, entries)
                    del self._cursors[cursor]
                    return {}
                if entries is None:
                    raise Refused(f"Cursor {cursor} has failed to open", "CURSOR_NOT_OPEN")
                found = await stream.call(take, entries, asked["max_count"])
                return {"entries": found, "done": len(found) < asked["max_count"]}

        return work()

    def _on_stream(self, asked: Json) -> Work:
        number, sqls, version = asked["stream_id"], dict(self._sqls), self.version
        stream = self._stream(number)

        async def work() -> Json:
            async with stream.lock:
                session = await self._session(number, stream)
                return await stream.call(done, session, asked, sqls, version)

        return work()

    def _stream(self, number: int) -> Stream:
        if number not in self._streams:
            raise Violation(f"Stream {number} not found")
        return self._streams[number]

    async def _session(self, number: int, stream: Stream) -> Session:
        if stream.session is None:
            raise Refused(f"Stream {number} has failed to open", "STREAM_NOT_OPEN")
        if number in self._expired:
            self._expired.discard(number)
            await stream.call(stream.session.roll_back)
            raise expired()
        return stream.session


def done(session: Session, asked: Json, sqls: Mapping[int, str], version: int) -> Json:
    """What a request of a stream gives, over HTTP as over WebSocket; raises Refused, Violation."""
    match asked["type"]:
        case "execute":
            return {"result": session.execute(asked["stmt"], sqls, version)}
        case "batch":
            return {"result": session.batch(asked["batch"], sqls, version)}
        case "sequence":
            session.sequence(text_of(asked, sqls, version))
            return {}
        case "describe":
            return {"result": session.describe(text_of(asked, sqls, version))}
        case "get_autocommit" if version < 3:
            raise Violation("The `get_autocommit` request is only supported in protocol version hrana3 and higher")
        case "get_autocommit":
            return {"is_autocommit": session.db.autocommit}
    raise Violation("Request type not recognized")


async def _nothing() -> Json:
    return {}


async def _ended(stream: Stream, entries: Iterator[Json] | None) -> None:
    close = getattr(entries, "close", None)
    if close:
        await stream.call(close)
