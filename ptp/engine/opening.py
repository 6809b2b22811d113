"""Engines by every route but sqlite3's: the pool that the route bears, and transactions that are what they seem."""

from __future__ import annotations

import importlib.util
import sqlite3
import time
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import QueuePool

from ptp.engine.addresses import Address
from ptp.engine.connect import WRITES
from ptp.engine.dialects import connection
from ptp.engine.dialects.base import RouteDialect, url_of
from ptp.engine.moves import TABLE, Move, lift_freeze, read_move
from ptp.engine.problems import named_at
from ptp.engine.routes import ROUTES
from ptp.errors import Moved, PtpError, UsageError
from ptp.settings import Settings

_STATE = f"SELECT {', '.join(f.name for f in fields(Move))} FROM {TABLE}"
_POLL_S = 0.02
_MODULES = {
    "libsql": "libsql",
    "pyturso": "turso",
    "turso-serverless": "turso_serverless",
    "libsql-client": "libsql_client",
}


def open_address(address: Address, *, read_only: bool, settings: Settings, token: SecretStr | None) -> Engine:
    """An engine on a database by the route of its address. Raises UsageError for a missing driver or file."""
    _check_installed(address)
    if address.path is not None and not address.path.is_file():
        raise UsageError(f"There is no database file {address.path}.")
    dialect, connect = _driven(address, read_only=read_only, settings=settings, token=token)
    engine = create_engine(
        url_of(dialect),
        creator=connect,
        poolclass=QueuePool,
        pool_timeout=settings.remote_timeout_ms / 1000,
        **_pool(address, settings),
    )
    if hasattr(dialect, "replica"):
        engine.dialect.replica = connect  # type: ignore[attr-defined]  # of our own dialect for replicas
    event.listen(engine, "begin", lambda db: _begin(db, address.shown))
    event.listen(engine, "handle_error", lambda context: _name_error(context, address.shown))
    if address.is_remote:
        _recycle(engine, idle_s=settings.remote_idle_ms / 1000)
    return engine


def _driven(
    address: Address, *, read_only: bool, settings: Settings, token: SecretStr | None
) -> tuple[type[RouteDialect], Callable[[], Any]]:
    """The dialect of a route, and what connects; each is loaded when it is first asked for."""
    why = f"{address.shown} was opened only to be read." if read_only else ""
    if address.route == "libsql":
        from ptp.engine.dialects import libsql_file

        return libsql_file.LibsqlDialect, libsql_file.connector(address, settings=settings, read_only=read_only)
    if address.route == "turso":
        from ptp.engine.dialects import turso_file

        return turso_file.TursoDialect, turso_file.connector(address, settings=settings, read_only=read_only)
    if address.route == "turso-sync":
        from ptp.engine.dialects import turso_replica

        return turso_replica.ReplicaDialect, turso_replica.SharedReplica(address, token)
    if address.route == "websocket":
        from ptp.engine.dialects import websocket

        connect = websocket.connector(address, token=token, settings=settings, only_reads=why)
        return websocket.WebSocketDialect, connect
    if address.route == "http1":
        from ptp.engine.dialects import http1

        return http1.Http1Dialect, http1.connector(address, token=token, settings=settings, only_reads=why)
    from ptp.engine.dialects import http3

    return http3.Http3Dialect, http3.connector(address, token=token, settings=settings, only_reads=why)


def _pool(address: Address, settings: Settings) -> dict[str, int]:
    if "several connections" in ROUTES[address.route].can:
        return {"pool_size": settings.pool_size}
    return {"pool_size": 1, "max_overflow": 0}


def _check_installed(address: Address) -> None:
    route = ROUTES[address.route]
    if importlib.util.find_spec(_MODULES[route.package]) is None:
        wanted = f"'ptp[{route.extra}]'" if route.extra else route.package
        raise UsageError(f"The driver {route.package} for {address.shown} is not installed: pip install {wanted}.")


def _begin(db: Connection, shown: str) -> None:
    """Begin, and see in the same request that the database is the one to use."""
    raw: Any = db.connection.dbapi_connection
    if raw.autocommit:
        return
    writes = bool(db.get_execution_options().get(WRITES))
    try:
        while True:
            row = raw.begin(writes=writes, state=_STATE)
            if row is None or _is_usable(Move(*row), raw, shown, writes=writes):
                return
            raw.rollback()
            _wait_for(raw)
    except sqlite3.Error as problem:
        raw.rollback()
        raise named_at(problem, shown) from problem


def _is_usable(move: Move, raw: connection.Connection, shown: str, *, writes: bool) -> bool:
    """Whether a transaction may go on; False while it is to wait. Raises Moved where another database is to be used."""
    if move.state in ("moved", "next"):
        raw.rollback()
        why = "has moved to" if move.state == "moved" else "is not open yet; in use is"
        raise Moved(f"{shown} {why} {move.other}: open that one.", to=move.other)
    return move.state == "open" or not writes


def _wait_for(raw: Any) -> None:
    """Wait a moment for a freeze to end, and lift one that has outlived its deadline."""
    time.sleep(_POLL_S)
    move = read_move(raw)
    if move and move.state == "freezing" and (move.deadline or 0) <= time.time():
        raw.execute("BEGIN IMMEDIATE")
        lift_freeze(raw)
        raw.execute("COMMIT")


def _name_error(context: ExceptionContext, shown: str) -> None:
    """Let what is wrong with the database come out as ours; an error of the statement itself stays what it is."""
    if isinstance(context.original_exception, sqlite3.Error):
        found = named_at(context.original_exception, shown)
        if isinstance(found, PtpError):
            raise found from context.original_exception


def _recycle(engine: Engine, *, idle_s: float) -> None:
    """Never use a connection that is known to be dead, or was idle for as long as servers bear; no request is spent."""

    @event.listens_for(engine, "checkin")
    def put_back(_: Any, record: Any) -> None:
        record.info["ptp_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def take(raw: Any, record: Any, _: Any) -> None:
        since = record.info.get("ptp_since")
        if not raw.wire.is_alive or (since is not None and time.monotonic() - since > idle_s):
            record.info.pop("ptp_since", None)
            raise DisconnectionError("idle for too long")
