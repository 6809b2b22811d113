"""The plainest client that there is: one HTTP request or one WebSocket message at a time, nothing known of Hrana."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    text: str
    kind: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.text.split("\n") if line]


def ask(url: str, path: str, body: object, *, token: str | None = None) -> Answer:
    """One POST over a connection of its own; raises what http.client does where no whole reply comes."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)) as connection:
        connection.request("POST", path, json.dumps(body), headers)
        reply = connection.getresponse()
        return Answer(reply.status, reply.read().decode(), reply.headers.get_content_type())


def execute(sql: str, *args: int | str) -> dict[str, Any]:
    """A request of a pipeline that executes a statement."""
    values = [{"type": "integer" if isinstance(arg, int) else "text", "value": str(arg)} for arg in args]
    return {"type": "execute", "stmt": {"sql": sql, "args": values}}


def pipeline(url: str, *requests: dict[str, Any], baton: str | None = None, token: str | None = None) -> Answer:
    """Requests on a stream."""
    return ask(url, "/v3/pipeline", {"baton": baton, "requests": list(requests)}, token=token)


def run(url: str, sql: str, *args: int | str, token: str | None = None) -> Any:
    """The result or the error of one statement on a stream of its own."""
    found = pipeline(url, execute(sql, *args), {"type": "close"}, token=token).json["results"][0]
    return found["response"]["result"] if found["type"] == "ok" else found["error"]


@dataclass(frozen=True)
class Socket:
    """An open WebSocket."""

    ws: aiohttp.ClientWebSocketResponse

    async def say(self, message: object) -> Any:
        """Send a message and take the next; a number where it is the code of the end instead, None for a break."""
        await self.ws.send_str(json.dumps(message))
        return await self.hear()

    async def hear(self) -> Any:
        """Take the next message, or the code of the end."""
        message = await self.ws.receive(timeout=30)
        if message.type == aiohttp.WSMsgType.TEXT:
            return json.loads(message.data)
        return self.ws.close_code

    async def ask(self, number: int, **request: Any) -> Any:
        """Send a request and take the answer."""
        return await self.say({"type": "request", "request_id": number, "request": request})

    async def opened(self, *, jwt: str | None = None) -> None:
        """Greet, and open stream 1."""
        assert await self.say({"type": "hello", "jwt": jwt}) == {"type": "hello_ok"}
        assert (await self.ask(0, type="open_stream", stream_id=1))["type"] == "response_ok"

    async def execute(self, number: int, sql: str) -> Any:
        """Execute on stream 1."""
        return await self.ask(number, type="execute", stream_id=1, stmt={"sql": sql})


def talk(url: str, talking: Callable[[Socket], Awaitable[T]], *, protocol: str = "hrana3") -> T:
    """Open a WebSocket, and talk over it."""

    async def whole() -> T:
        async with aiohttp.ClientSession() as session, session.ws_connect(url, protocols=(protocol,)) as ws:
            assert ws.protocol == protocol
            return await talking(Socket(ws))

    return asyncio.run(whole())
