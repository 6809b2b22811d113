"""Hrana over WebSocket, subprotocols hrana1 to hrana3 in JSON: the handshake, the greeting, the faults."""

from __future__ import annotations

import asyncio
import json

from aiohttp import WSCloseCode, web

from tests.remote.standin.access import Access, Denied
from tests.remote.standin.connection import Connection
from tests.remote.standin.faults import Chooser
from tests.remote.standin.streams import Streams
from tests.remote.standin.wire import Json, Violation

_PROTOCOLS = ("hrana3", "hrana2", "hrana1")  # best first
_TWICE = {"execute", "batch", "sequence"}  # the others are told apart by their number and would be a violation


class OverWebSocket:
    """The handler."""

    def __init__(self, streams: Streams, access: Access, chooser: Chooser) -> None:
        self._streams, self._access, self._chooser = streams, access, chooser

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Of `GET /`: a connection where the client asks for one, else the index."""
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return web.Response(text="A stand-in for a libSQL server")
        offered = request.headers.get("Sec-WebSocket-Protocol")
        names = [name.strip().lower() for name in offered.split(",")] if offered else ["hrana1"]
        chosen = next((name for name in _PROTOCOLS if name in names), None)
        if chosen is None:
            return web.Response(status=400)
        ws = web.WebSocketResponse(protocols=(chosen,) if offered else (), max_msg_size=0)
        await ws.prepare(request)
        connection = Connection(ws, request, int(chosen[-1]), self._streams)
        try:
            await self._serve(connection)
        except Violation as problem:
            await ws.close(code=WSCloseCode.POLICY_VIOLATION, message=str(problem)[:120].encode())
        except (KeyError, TypeError, AttributeError, ValueError) as problem:
            await ws.close(code=WSCloseCode.INVALID_TEXT, message=repr(problem)[:120].encode())
        finally:
            await connection.end()
        return ws

    async def _serve(self, connection: Connection) -> None:
        greeted = False
        while (text := await connection.received()) is not None:
            message = json.loads(text)
            match message["type"]:
                case "hello":
                    if greeted and connection.version < 2:
                        raise Violation(
                            "Repeated hello message is only supported in protocol version hrana2 and higher"
                        )
                    greeted = await self._hello(connection, message.get("jwt"))
                    if not greeted:
                        return
                case "request" if greeted:
                    if not await self._request(connection, message, text):
                        return
                case "request":
                    raise Violation("Received a request before hello message")
                case _:
                    raise Violation("ClientMsg type not recognized")

    async def _hello(self, connection: Connection, jwt: str | None) -> bool:
        try:
            self._access.check_token(jwt)
        except Denied as denied:
            error = {"message": f"Authentication failed: {denied.message}", "code": denied.code}
            await connection.send({"type": "hello_error", "error": error})
            return False
        await connection.send({"type": "hello_ok"})
        return True

    async def _request(self, connection: Connection, message: Json, text: str) -> bool:
        """Begin a request; False where the connection is over."""
        try:
            self._access.check_time()
        except Denied as denied:
            await connection.ws.close(code=WSCloseCode.POLICY_VIOLATION, message=denied.message.encode())
            return False
        chooser, kind, asked = self._chooser, self._chooser.next(text), message["request"]
        match kind:
            case "drop":
                chooser.did(kind)
                await connection.lose({})
                return False
            case "unavailable" | "expired_token":
                chooser.did(kind)
                code = WSCloseCode.INTERNAL_ERROR if kind == "unavailable" else WSCloseCode.POLICY_VIOLATION
                reason = b"Internal server error" if kind == "unavailable" else b"The JWT has expired"
                await connection.ws.close(code=code, message=reason)
                return False
            case "stream_expired" if connection.expire(asked):
                chooser.did(kind)
            case "delay":
                chooser.did(kind)
                await asyncio.sleep(chooser.faults.delay_seconds)
            case "duplicate" if asked["type"] in _TWICE:
                chooser.did(kind)
                connection.begin(message, connection.send)
                connection.begin(message, connection.keep)
                return True
            case "lose_reply" | "half_reply":
                chooser.did(kind)
                await connection.begin(message, connection.lose if kind == "lose_reply" else connection.halve)
                return False
        connection.begin(message, connection.send)
        return True
