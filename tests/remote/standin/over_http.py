"""Hrana over HTTP: version 1 (`/v1/execute`, `/v1/batch`), 2 and 3 (`/pipeline`), and the cursor of version 3.

JSON only: the Protobuf encoding of version 3 is not spoken, and asking for it answers 404, as an older server would.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.remote.standin.access import Access, Denied
from tests.remote.standin.connection import done
from tests.remote.standin.faults import Chooser
from tests.remote.standin.streams import Stream, Streams
from tests.remote.standin.wire import Json, Refused, Violation, store, take

_BAD_REQUEST = {
    "SQL_PARSE_ERROR", "SQL_NO_STATEMENT", "SQL_MANY_STATEMENTS", "ARGS_INVALID", "SQL_INPUT_ERROR",
    "RESPONSE_TOO_LARGE", "STREAM_EXPIRED",
}  # fmt: skip
_CHUNK = 200  # entries of a cursor that are fetched at a time


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back."""

    status: int
    body: bytes
    kind: str = "application/json"

    def response(self) -> web.Response:
        """For aiohttp."""
        return web.Response(status=self.status, body=self.body, content_type=self.kind)


class OverHttp:
    """The handlers."""

    def __init__(self, streams: Streams, access: Access, chooser: Chooser) -> None:
        self._streams, self._access, self._chooser = streams, access, chooser

    def routes(self) -> list[web.RouteDef]:
        """All paths but those of WebSocket."""
        posts = {
            "/v1/execute": self._execute,
            "/v1/batch": self._batch,
            "/v2/pipeline": self._pipeline,
            "/v3/pipeline": self._pipeline,
            "/v3/cursor": self._cursor,
        }
        index = [web.get(path, _index) for path in ("/v1", "/v2", "/v3", "/health", "/version")]
        return [*index, *(web.post(path, self._guarded(work)) for path, work in posts.items())]

    def _guarded(self, work: Any) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.text()
            try:
                self._access.check(request.headers.get("Authorization"))
            except Denied as denied:
                return _denied(denied).response()
            return await self._faulty(request, work, body)

        return handle

    async def _faulty(self, request: web.Request, work: Any, body: str) -> web.StreamResponse:
        chooser = self._chooser
        match chooser.next(body):
            case None:
                return await self._answered(request, work, body)
            case "drop" as kind:
                chooser.did(kind)
                return _cut(request)
            case "unavailable" as kind:
                chooser.did(kind)
                return Reply(chooser.status(), b"upstream is not available", "text/plain").response()
            case "expired_token" as kind:
                chooser.did(kind)
                return _denied(Denied("The JWT has expired", "AUTH_JWT_EXPIRED")).response()
            case "stream_expired" as kind:
                if await self._expire(body):
                    chooser.did(kind)
                return await self._answered(request, work, body)
            case "delay" as kind:
                chooser.did(kind)
                await asyncio.sleep(chooser.faults.delay_seconds)
                return await self._answered(request, work, body)
            case kind:
                reply = await self._whole(work, body, request.path)
                chooser.did(kind)
                if kind == "duplicate":
                    await self._whole(work, body, request.path)
                    return reply.response()
                return _cut(request) if kind == "lose_reply" else await _half(request, reply)

    async def _expire(self, body: str) -> bool:
        with suppress(ValueError, AttributeError):
            baton = json.loads(body).get("baton")
            return baton is not None and await self._streams.expire(baton)
        return False

    async def _answered(self, request: web.Request, work: Any, body: str) -> web.StreamResponse:
        """The reply, sent as it comes."""
        parts = self._run(work, body, request.path)
        try:
            first = await anext(parts)
        except BaseException:
            await parts.aclose()
            raise
        if first.status != 200 or work != self._cursor:
            await parts.aclose()
            return first.response()
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        try:
            await response.prepare(request)
            await response.write(first.body)
            async for part in parts:
                await response.write(part.body)
            await response.write_eof()
        except ConnectionError:  # the reader left
            pass
        finally:
            await parts.aclose()
        return response

    async def _whole(self, work: Any, body: str, path: str) -> Reply:
        parts = [part async for part in self._run(work, body, path)]
        return Reply(parts[0].status, b"".join(part.body for part in parts), parts[0].kind)

    async def _run(self, work: Any, body: str, path: str) -> AsyncGenerator[Reply, None]:
        try:
            asked = _json(body)
            async with aclosing(work(asked, int(path[2]))) as parts:
                async for part in parts:
                    yield part
        except Violation as problem:
            yield Reply(400, str(problem).encode(), "text/plain")
        except Refused as problem:
            yield _reply(problem.error, status=_status(problem.code))
        except (KeyError, TypeError, AttributeError) as problem:
            message = f"Cannot deserialize client message from JSON: {problem!r}"
            yield Reply(400, message.encode(), "text/plain")

    async def _execute(self, asked: Json, version: int) -> AsyncGenerator[Reply, None]:
        stream = self._streams.new()
        try:
            session = await stream.open()
            yield _reply({"result": await stream.call(session.execute, asked["stmt"], {}, version)})
        finally:
            await self._streams.close(stream)

    async def _batch(self, asked: Json, version: int) -> AsyncGenerator[Reply, None]:
        stream = self._streams.new()
        try:
            session = await stream.open()
            yield _reply({"result": await stream.call(session.batch, asked["batch"], {}, version)})
        finally:
            await self._streams.close(stream)

    async def _pipeline(self, asked: Json, version: int) -> AsyncGenerator[Reply, None]:
        stream = await self._streams.acquire(asked.get("baton"))
        try:
            results = [await self._result(stream, each, version) for each in asked["requests"]]
        except BaseException:
            await self._streams.close(stream)
            raise
        yield _reply({"baton": self._streams.release(stream), "base_url": None, "results": results})

    async def _result(self, stream: Stream, asked: Json, version: int) -> Json:
        try:
            return {"type": "ok", "response": {"type": asked["type"]} | await self._response(stream, asked, version)}
        except Refused as problem:
            return {"type": "error", "error": problem.error}

    async def _response(self, stream: Stream, asked: Json, version: int) -> Json:
        session, sqls = stream.session, stream.sqls
        match asked["type"]:
            case "store_sql":
                store(sqls, asked, self._streams.place.limits.stored_sql)
                return {}
            case "close_sql":
                sqls.pop(asked["sql_id"], None)
                return {}
        if session is None:
            raise Violation("Stream for this baton was closed")
        if asked["type"] == "close":
            await self._streams.close(stream)
            return {}
        return await stream.call(done, session, asked, sqls, version)

    async def _cursor(self, asked: Json, version: int) -> AsyncGenerator[Reply, None]:
        stream = await self._streams.acquire(asked.get("baton"))
        entries: Iterator[Json] = iter(())
        try:
            if stream.session is None:
                raise Violation("Stream for this baton was closed")
            entries = await stream.call(stream.session.cursor, asked["batch"], stream.sqls, version)
            yield Reply(200, _line({"baton": self._streams.baton(stream), "base_url": None}), "text/plain")
            while chunk := await stream.call(take, entries, _CHUNK):
                yield Reply(200, b"".join(_line(entry) for entry in chunk), "text/plain")
        except BaseException:
            # What is running is put back, as a reader that leaves half-way does not say what it has got.
            if hasattr(entries, "close"):
                await stream.call(entries.close)
            await self._streams.close(stream)
            raise
        self._streams.release(stream)


async def _index(_: web.Request) -> web.Response:
    return web.Response(text="A stand-in for a libSQL server")


def _json(body: str) -> Json:
    try:
        found = json.loads(body)
    except ValueError as problem:
        raise Violation(f"Cannot deserialize client message from JSON: {problem}") from None
    if not isinstance(found, dict):
        raise Violation("Cannot deserialize client message from JSON: not an object")
    return found


def _reply(found: Json, *, status: int = 200) -> Reply:
    return Reply(status, json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode())


def _line(found: Json) -> bytes:
    return json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _status(code: str) -> int:
    if code in _BAD_REQUEST:
        return 400
    return {"ARGS_BOTH_POSITIONAL_AND_NAMED": 501, "TRANSACTION_TIMEOUT": 503}.get(code, 500)


def _denied(denied: Denied) -> Reply:
    return _reply({"error": f"Authentication failed: {denied.message}"}, status=401)


def _cut(request: web.Request) -> web.Response:
    """Close the connection with nothing sent."""
    if request.transport:
        request.transport.abort()
    return web.Response()


async def _half(request: web.Request, reply: Reply) -> web.StreamResponse:
    """Send the head and half of the body, then close the connection."""
    response = web.StreamResponse(status=reply.status, headers={"Content-Type": reply.kind})
    response.content_length = len(reply.body)
    await response.prepare(request)
    await response.write(reply.body[: len(reply.body) // 2])
    if request.transport:
        request.transport.close()
    return response
