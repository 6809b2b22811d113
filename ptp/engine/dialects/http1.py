"""A libSQL server over HTTP protocol 1, by libsql-client: each request stands for itself, so there are no transactions.

Reads are done, each on its own. One write, or one statement for many rows, is done where the caller says AUTOCOMMIT, so
that nobody takes it for part of a transaction that could be rolled back.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from io import BytesIO
from json import dumps
from typing import Any

import aiohttp
from pydantic import SecretStr

from ptp.engine.addresses import Address
from ptp.engine.bindings import Statement
from ptp.engine.dialects.base import RouteDialect
from ptp.engine.dialects.connection import Connection, Row
from ptp.engine.dialects.hrana import HranaWire, Json, decoded
from ptp.engine.dialects.loop import waited
from ptp.engine.dialects.server import Server
from ptp.engine.routes import ROUTES
from ptp.errors import UsageError
from ptp.settings import Settings

_STATUS = re.compile(r"HTTP status (\d+)")


class Http1Dialect(RouteDialect):
    """SQLite by libsql-client, over HTTP protocol 1."""

    driver = "libsql-client"
    supports_statement_cache = True
    route = ROUTES["http1"]


class Http1Wire(HranaWire):
    """A client, whose every batch is a request that nothing follows."""

    def __init__(self, server: Server) -> None:
        """Connect with the first request."""
        super().__init__(server.shown)
        self._server = server
        self._client: Any = None
        self._status = 0

    @property
    def in_transaction(self) -> bool:
        """Never."""
        return False

    def begin(self, sql: str, *, state: str) -> Row | None:
        """The state of the database, and no transaction."""
        found = self.send([{"stmt": {"sql": state, "want_rows": True}}], keeps=False)
        result = self._results(found, count=1, spared=0)[0]
        return decoded(result["rows"][0]) if result and result["rows"] else None

    def run_many(self, statement: Statement, rows: Iterable[Row]) -> int:
        """Run one statement for each row of values, in one request and one transaction of the server's."""
        return self.in_one_transaction(statement, list(rows))

    def send(self, steps: Sequence[Json], *, keeps: bool) -> Json:
        """The result of a batch. Raises UsageError for one that begins what the next request knows nothing of."""
        if keeps:
            raise UsageError(NO_TRANSACTIONS.format(shown=self.shown))
        errors = importlib.import_module("libsql_client.client").LibsqlError
        try:
            found = waited(self._posted({"batch": {"steps": list(steps)}}), seconds=self._server.remote_s)
        except TimeoutError:
            raise self._server.late() from None
        except aiohttp.ClientConnectorError as problem:
            raise self._server.not_connected(str(problem)) from None
        except (aiohttp.ClientError, OSError) as problem:
            raise self._server.broken(str(problem)) from None
        except errors as problem:
            raise self._refused(problem) from None
        result: Json = found["result"]
        return result

    def close(self) -> None:
        """Close the client."""
        if self._client is not None:
            with suppress(Exception):
                waited(self._client.close(), seconds=self._server.connect_s)

    def _refused(self, problem: Any) -> Exception:
        text = self._server.masked(problem.explanation)
        if self._status in (0, 200, 400) and problem.code != "SERVER_ERROR":
            return self.failed({"code": problem.code, "message": text})
        if self._status == 404:
            return UsageError(
                f"{self.shown} has no HTTP protocol 1 (404 at /v1/batch): leave ?protocol=1 out, or give the address "
                "of the database itself."
            )
        return self._server.refused(self._status, _STATUS.sub("", text))

    async def _posted(self, body: Json) -> Json:
        if self._client is None:
            self._client = await self._made()
        found: Json = await self._client._send("POST", "v1/batch", body)
        return found

    async def _made(self) -> Any:
        """The client, on a session that has timeouts and tells the status of each answer."""
        token = self._server.token.get_secret_value() if self._server.token else None
        client: Any = importlib.import_module("libsql_client.http").HttpClient(f"{self._server.origin}/")
        await client._session.close()
        trace = aiohttp.TraceConfig()

        async def note(_session: object, _context: object, told: aiohttp.TraceRequestEndParams) -> None:
            self._status = told.response.status

        trace.on_request_end.append(note)
        session = aiohttp.ClientSession(
            headers={"authorization": f"Bearer {token}"} if token else {},
            timeout=aiohttp.ClientTimeout(total=self._server.remote_s, sock_connect=self._server.connect_s),
            trace_configs=[trace],
        )
        client._session = _Session(session)
        return client


class _Session:
    """A session that sends JSON from a buffer, as aiohttp would have it for a large one."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    def request(self, method: str, url: str, *, json: Json) -> Any:
        data = BytesIO(dumps(json, allow_nan=False).encode())
        return self._session.request(method, url, data=data, headers={"content-type": "application/json"})

    async def close(self) -> None:
        await self._session.close()


NO_TRANSACTIONS = (
    "{shown} is reached by HTTP protocol 1, which has no transactions: leave ?protocol=1 out, or write ws:// or wss://."
)


def connector(
    address: Address, *, token: SecretStr | None, settings: Settings, only_reads: str
) -> Callable[[], Connection]:
    """A function that makes a client; nothing is asked of the server yet."""
    server = Server.of(address, token=token, settings=settings)
    why = only_reads or NO_TRANSACTIONS.format(shown=address.shown)
    return lambda: Connection(
        Http1Wire(server), only_reads=why, has_transactions=False, takes_lone_writes=not only_reads
    )
