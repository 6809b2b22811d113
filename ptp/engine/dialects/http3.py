"""A libSQL server over HTTP protocol 3, by turso-serverless: its session keeps the stream, this carries the requests.

The session's own way to send has no timeouts and a new connection for each request; so it is sent here, on connections
that stay open. Nothing is ever sent twice.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import urllib3
from pydantic import SecretStr
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError, SSLError

from ptp.engine.addresses import Address
from ptp.engine.dialects.base import RouteDialect
from ptp.engine.dialects.connection import Connection
from ptp.engine.dialects.hrana import HranaWire, Json
from ptp.engine.dialects.server import Server
from ptp.engine.problems import StreamLost
from ptp.engine.routes import ROUTES
from ptp.errors import CannotFinish, UsageError
from ptp.settings import Settings


class Http3Dialect(RouteDialect):
    """SQLite by turso-serverless, over HTTP protocol 3."""

    driver = "turso-serverless"
    supports_statement_cache = True
    route = ROUTES["http3"]


class Carrier:
    """Connections to one server, kept open for all wires of an engine, with timeouts."""

    def __init__(self, server: Server, *, size: int) -> None:
        """Make none yet; keep `size` of them at most."""
        self.server = server
        self._timeout = urllib3.Timeout(connect=server.connect_s, read=server.remote_s)
        self._pool = urllib3.PoolManager(maxsize=size, retries=False)

    def post(self, url: str, body: Json, *, headers: dict[str, str]) -> bytes:
        """The body of the answer to a request; raises Unreached where there is none, or what a refusal means."""
        data = json.dumps(body, allow_nan=False).encode()
        try:
            reply: Any = self._pool.request(
                "POST", url, body=data, headers=headers, timeout=self._timeout, redirect=False, preload_content=True
            )
        except (SSLError, ConnectTimeoutError, NewConnectionError) as problem:
            raise self.server.not_connected(str(problem)) from None
        except ReadTimeoutError:
            raise self.server.late() from None
        except HTTPError as problem:
            raise self.server.broken(str(problem)) from None
        if reply.status != 200:
            raise self._refused(reply.status, _message(reply.data), is_in_stream=body.get("baton") is not None)
        found: bytes = reply.data
        return found

    def _refused(self, status: int, text: str, *, is_in_stream: bool) -> Exception:
        if is_in_stream and (status in (400, 404) or "transaction timed out" in text.casefold()):
            return StreamLost(self.server.expired())
        if status == 404:
            return UsageError(
                f"{self.server.shown} has no HTTP protocol 3 (404 at /v3/pipeline): for an older server add "
                "?protocol=1, or give the address of the database itself."
            )
        return self.server.refused(status, text)


class Http3Wire(HranaWire):
    """A stream of turso-serverless's session, its requests sent by a carrier."""

    def __init__(self, carrier: Carrier) -> None:
        """Speak to the server of a carrier."""
        server = carrier.server
        super().__init__(server.shown)
        self._carrier = carrier
        token = server.token.get_secret_value() if server.token else None
        self._session: Any = importlib.import_module("turso_serverless.session").Session(server.origin, token)
        self._session._post = self._post
        self._is_begun = False

    @property
    def in_transaction(self) -> bool:
        """Whether the server said that a transaction is open, when it last spoke."""
        return self._is_begun

    def send(self, steps: Sequence[Json], *, keeps: bool) -> Json:
        """A batch, and in the same request whether a transaction is open after it, or the end of the stream."""
        requests: list[Json] = [{"type": "batch", "batch": {"steps": list(steps)}}]
        requests.append({"type": "get_autocommit" if keeps else "close"})
        was_begun, self._is_begun = self._is_begun, False
        try:
            results = self._session.execute_pipeline(requests, track_autocommit=False)
        except RuntimeError as problem:  # the session's own: an answer that is none
            self._session._reset_stream()
            text = self._carrier.server.masked(str(problem))
            raise CannotFinish(f"{self.shown} answers in another way than HTTP protocol 3: {text}.") from None
        first, last = results
        if keeps and last.get("type") == "ok":
            self._is_begun = not last["response"]["is_autocommit"]
        if not self._is_begun:
            self._session._reset_stream()
        if first.get("type") != "ok":
            self._is_begun = self._is_begun and was_begun
            raise self.failed(first.get("error") or {})
        found: Json = first["response"]["result"]
        return found

    def close(self) -> None:
        """Let the server end a transaction that is still open."""
        if self._is_begun:
            self._session.close()
        self._is_begun = False

    def _post(self, path: str, body: Json) -> bytes:
        try:
            return self._carrier.post(f"{self._session._base_url}{path}", body, headers=self._session._headers())
        except Exception:
            self._session._reset_stream()
            raise


def connector(
    address: Address, *, token: SecretStr | None, settings: Settings, only_reads: str
) -> Callable[[], Connection]:
    """A function that connects; connecting itself asks nothing of the server."""
    carrier = Carrier(Server.of(address, token=token, settings=settings), size=settings.pool_size)
    return lambda: Connection(Http3Wire(carrier), only_reads=only_reads)


def _message(data: bytes) -> str:
    text = data.decode("utf-8", errors="replace")
    try:
        found = json.loads(text)
    except ValueError:
        return text
    if isinstance(found, dict):
        return str(found.get("error") or found.get("message") or text)
    return text
