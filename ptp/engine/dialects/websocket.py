"""A libSQL server over WebSocket, by libsql-client: its connection and streams, without its own transactions.

The version of the protocol that it speaks cannot say whether a transaction is open. So that is counted here, and after
an error, which may have ended it, found out by a BEGIN that has to fail.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import aiohttp
from pydantic import SecretStr

from ptp.engine.addresses import Address
from ptp.engine.dialects.base import RouteDialect
from ptp.engine.dialects.connection import Connection
from ptp.engine.dialects.hrana import HranaWire, Json
from ptp.engine.dialects.loop import waited
from ptp.engine.dialects.server import Server
from ptp.engine.problems import StreamLost, Unreached
from ptp.engine.routes import ROUTES
from ptp.errors import PtpError, UsageError
from ptp.settings import Settings

T = TypeVar("T")
_PROBE = {"steps": [{"stmt": {"sql": "BEGIN", "want_rows": False}}]}
_ENDED = ("stream", "STREAM")


class WebSocketDialect(RouteDialect):
    """SQLite by libsql-client, over WebSocket."""

    driver = "libsql-client"
    supports_statement_cache = True
    route = ROUTES["websocket"]


class WebSocketWire(HranaWire):
    """A connection, and a stream of it for each transaction."""

    def __init__(self, server: Server) -> None:
        """Connect; raises Unreached, or UsageError for a server that has no such protocol, or refuses the token."""
        super().__init__(server.shown)
        self._server = server
        self._stream: Any = None
        self._is_begun = False
        self._session: Any = None
        self._conn: Any = None
        try:
            self._asked(self._connect(), seconds=server.connect_s)
        except BaseException:
            self.close()
            raise

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, as counted."""
        return self._is_begun and self.is_alive

    @property
    def is_alive(self) -> bool:
        """Whether the connection is open, as far as it was told."""
        return self._conn is not None and self._conn.exception is None

    def send(self, steps: Sequence[Json], *, keeps: bool) -> Json:
        """The result of a batch in the open stream, or in a new one; a stream that is not kept is closed after it."""
        was_begun = self._is_begun
        try:
            found: Json = self._asked(self._batch({"steps": list(steps)}), seconds=self._server.remote_s)
        except PtpError:
            self._is_begun = False
            self._stream = None
            raise
        # What names a thing that is not there was never begun, and ends nothing.
        errors = [str(e.get("message")) for e in found.get("step_errors") or () if e is not None]
        has_failed = any("no such " not in e for e in errors)
        self._is_begun = keeps
        if has_failed and (was_begun or keeps):
            self._is_begun = self._is_still_open()
        if not self._is_begun:
            self._let_go()
        return found

    def end(self, sql: str) -> None:
        """End the transaction; one whose COMMIT fails is rolled back with its stream."""
        try:
            super().end(sql)
        finally:
            self._is_begun = False
            self._let_go()

    def close(self) -> None:
        """Close the connection; the server rolls back what is open."""
        self._is_begun = False
        with suppress(Exception):
            waited(self._disconnect(), seconds=self._server.connect_s)

    def _is_still_open(self) -> bool:
        """Whether an error left the transaction open: then a BEGIN within it fails."""
        found = self._asked(self._batch(_PROBE), seconds=self._server.remote_s)
        error = (found.get("step_errors") or [None])[0]
        return error is not None and "within a transaction" in str(error.get("message"))

    def _let_go(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None and self.is_alive:

            async def close() -> None:
                stream.close()

            with suppress(Exception):
                waited(close(), seconds=self._server.connect_s)

    def _asked(self, work: Coroutine[Any, Any, T], *, seconds: float) -> T:
        """The result of work on the loop, with its errors as ours."""
        errors = importlib.import_module("libsql_client.client").LibsqlError
        try:
            return waited(work, seconds=seconds)
        except TimeoutError:
            raise self._server.late() from None
        except aiohttp.WSServerHandshakeError as problem:
            raise self._no_handshake(problem.status) from None
        except aiohttp.ClientConnectorError as problem:
            raise self._server.not_connected(str(problem)) from None
        except (aiohttp.ClientError, OSError, ValueError) as problem:
            raise Unreached(f"{self.shown} broke off: {self._server.masked(str(problem))}.", in_doubt=True) from None
        except errors as problem:
            raise self._told(problem) from None

    def _told(self, problem: Any) -> Exception:
        text = self._server.masked(problem.explanation)
        if problem.code.startswith("AUTH") or "1008" in text or "expired token" in text.casefold():
            return self._server.refused(401, text)
        if self._is_begun and any(word in f"{problem.code} {text}" for word in _ENDED):
            return StreamLost(self._server.expired())
        if problem.code.startswith("HRANA_WEBSOCKET") or problem.code == "CLIENT_CLOSED":
            return Unreached(f"{self.shown} closed the connection: {text}.", in_doubt=True)
        return self.failed({"code": problem.code, "message": text})

    def _no_handshake(self, status: int) -> Exception:
        if status in (401, 403):
            return self._server.refused(status, "")
        place = self._server.origin.partition("://")[2]
        return UsageError(
            f"{self.shown} has no WebSocket for this driver ({status}): write libsql://{place}, or http://{place} for "
            "a server without TLS."
        )

    async def _connect(self) -> None:
        module = importlib.import_module("libsql_client.hrana.conn")
        self._session = aiohttp.ClientSession()
        token = self._server.token.get_secret_value() if self._server.token else None
        self._conn = module.HranaConn(self._session, self._server.origin, token)
        told = self._conn._receive
        refused: list[Exception] = []

        def receive(message: str) -> None:
            try:
                told(message)
            except Exception as problem:
                refused.append(problem)
                raise

        self._conn._receive = receive  # it says that it is connected before it says that it was refused
        await self._conn.wait_connected()
        if refused:
            raise refused[0]

    async def _batch(self, batch: Json) -> Json:
        if self._stream is None:
            self._stream = self._conn.open_stream()
        found: Json = await self._stream.batch(batch)
        return found

    async def _disconnect(self) -> None:
        if self._conn is not None:
            await self._conn.close()
        if self._session is not None:
            await self._session.close()


def connector(
    address: Address, *, token: SecretStr | None, settings: Settings, only_reads: str
) -> Callable[[], Connection]:
    """A function that connects."""
    server = Server.of(address, token=token, settings=settings)
    return lambda: Connection(WebSocketWire(server), only_reads=only_reads)
