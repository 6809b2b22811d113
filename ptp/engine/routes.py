"""Routes: the ways to a database, each a driver over a file or a protocol, and what can be done on it.

    sqlite3      a file, by the standard library           http3       a server, by turso-serverless
    libsql       a file, by the fork that Turso runs       websocket   a server, by libsql-client
    turso        a file, by the rewrite in Rust            http1       a server, by libsql-client, stateless
    turso-sync   a local replica of a server, only read

What a driver does otherwise than sqlite3 is evened out in `ptp.engine.dialects` where it can be. What cannot be is
declared here, tried in both directions by the conformance tests, and asked for by `Route.require` before anything is
begun. (`ptp.engine.drivers` declares the same for the two drivers by which databases are built.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ptp.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

RouteName: TypeAlias = Literal["sqlite3", "libsql", "turso", "turso-sync", "http3", "websocket", "http1"]
Capability: TypeAlias = Literal[
    "writes",
    "transactions",
    "several connections",
    "several processes",
    "shared process",
    "whole texts",
    "infinite numbers",
    "recursive triggers",
    "reference check",
    "full text",
    "generated columns",
    "attach",
    "vacuum",
    "write-ahead log",
    "busy timeout",
    "user version",
    "functions",
    "few requests",
    "billed rows",
]
CAPABILITIES: Mapping[Capability, str] = {
    "writes": "takes writes",
    "transactions": "holds a transaction open from one statement to the next",
    "several connections": "has several connections to one database at a time",
    "several processes": "lets several processes have one database open",
    "shared process": "may open a file in a process in which sqlite3 has it open too",
    "whole texts": "reads and writes a text past a character NUL",
    "infinite numbers": "binds and reads infinite numbers",
    "recursive triggers": "fires delete triggers for the rows that REPLACE removes",
    "reference check": "finds rows without a parent by PRAGMA foreign_key_check",
    "full text": "has FTS5",
    "generated columns": "has generated columns",
    "attach": "attaches another file",
    "vacuum": "runs VACUUM",
    "write-ahead log": "lets the caller choose the journal mode",
    "busy timeout": "lets the caller choose how long to wait for a lock",
    "user version": "lets the caller set user_version",
    "functions": "takes SQL functions written in Python",
    "few requests": "sends many rows in one request, rather than each in its own or none at all",
    "billed rows": "tells the rows read and written that each statement is billed for",
}
"""What a route can, in words that complete 'a route that ...'."""


@dataclass(frozen=True, slots=True)
class Route:
    """A way to a database: the package that goes it, with the extra that brings the package, and what can be done.

    `urls` are how it is asked for, and `proven` says on what it was tried.
    """

    name: RouteName
    title: str
    package: str
    extra: str
    urls: tuple[str, ...]
    proven: str
    can: frozenset[Capability]

    def require(self, capability: Capability, *, what: str) -> None:
        """Raise UsageError, naming a route to use instead, where this one lacks what `what` needs."""
        if capability not in self.can:
            other = next(r for r in ROUTES.values() if capability in r.can)
            raise UsageError(
                f"{what} needs a route that {CAPABILITIES[capability]}, and {self.title} is none: use {other.urls[0]}."
            )


_ALL = frozenset(CAPABILITIES)
_FILE: frozenset[Capability] = _ALL - {"few requests", "billed rows"}
_SERVER: frozenset[Capability] = frozenset(
    (
        "writes",
        "transactions",
        "several connections",
        "several processes",
        "shared process",
        "whole texts",
        "reference check",
        "full text",
        "generated columns",
        "few requests",
        "billed rows",
    )
)
_TURSO: frozenset[Capability] = frozenset(
    ("writes", "transactions", "whole texts", "infinite numbers", "user version", "busy timeout")
)
_STAND_IN = "a stand-in of the tests only"

ROUTES: Mapping[RouteName, Route] = {
    r.name: r
    for r in (
        Route(
            "sqlite3",
            "sqlite3",
            "",
            "",
            ("sqlite:///FILE", "file:FILE", "FILE"),
            "the real engine, SQLite 3.40.1",
            _FILE,
        ),
        Route(
            "libsql",
            "libsql on a file",
            "libsql",
            "libsql",
            ("libsql:FILE",),
            "the real engine, SQLite 3.45.1",
            _FILE - {"functions", "shared process", "whole texts"},
        ),
        Route(
            "turso", "pyturso on a file", "pyturso", "turso", ("turso:FILE",), "the real engine, pyturso 0.8.3", _TURSO
        ),
        Route(
            "turso-sync",
            "a replica",
            "pyturso",
            "turso",
            ("turso-sync:FILE?remote=URL",),
            "the real sync server, turso 0.6.0",
            _TURSO - {"writes", "user version", "busy timeout"} | {"several connections"},
        ),
        Route(
            "http3",
            "HTTP protocol 3",
            "turso-serverless",
            "remote",
            ("libsql://HOST", "https://HOST", "http://HOST:PORT"),
            _STAND_IN,
            _SERVER,
        ),
        Route("websocket", "WebSocket", "libsql-client", "", ("wss://HOST", "ws://HOST:PORT"), _STAND_IN, _SERVER),
        Route(
            "http1",
            "HTTP protocol 1",
            "libsql-client",
            "",
            ("https://HOST?protocol=1", "http://HOST:PORT?protocol=1"),
            _STAND_IN,
            _SERVER - {"transactions"},
        ),
    )
}


def route_of(engine: Engine) -> Route:
    """The route that an engine of `open_engine` goes."""
    found: Any = getattr(engine.dialect, "route", ROUTES["sqlite3"])
    return found if isinstance(found, Route) else ROUTES["sqlite3"]
