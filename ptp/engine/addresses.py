"""Addresses: what a database URL says, which is where the database is and by which route it is reached.

A URL never carries a token: it would stand in logs, in the shell's history and in the list of processes. One that does
is refused without being repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ptp.engine.files import database_path
from ptp.engine.routes import RouteName
from ptp.errors import UsageError

_FILES: Mapping[str, RouteName] = {"libsql": "libsql", "turso": "turso", "turso-sync": "turso-sync"}
_SERVERS: Mapping[str, RouteName] = {
    "libsql": "http3",
    "turso": "http3",
    "https": "http3",
    "http": "http3",
    "wss": "websocket",
    "ws": "websocket",
}
_SECRETS = frozenset(("authtoken", "auth_token", "token", "jwt", "password", "apikey", "api_key"))
_CLOUD = ".turso.io"
_Query: TypeAlias = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is: a file, or the base URL of a server (of a replica: both), and the route to it.

    `shown` is the address as messages have it.
    """

    route: RouteName
    shown: str
    path: Path | None = None
    url: str = ""

    @property
    def is_remote(self) -> bool:
        """Whether each statement goes over a network."""
        return self.path is None


def parse_address(url: str | Path) -> Address:
    """The address that a URL, or a plain path, stands for. Raises UsageError for one that is none, or holds a token."""
    text = str(url)
    scheme, colon, rest = text.partition(":")
    scheme = scheme.casefold()
    if isinstance(url, Path) or not colon:
        return _plain(text)
    if rest.startswith("//"):
        if scheme in _SERVERS:
            return _server(scheme, text)
        if scheme in _FILES:
            raise UsageError(f"{scheme}: takes a file, without slashes for a host: write {scheme}:path/to/file.db.")
        if scheme == "sqlite" and not rest.startswith("///"):
            raise UsageError("sqlite:// with two slashes names no file: write sqlite:///path/to/file.db.")
        return _plain(text)
    return _file(scheme, rest) if scheme in _FILES else _plain(text)


def missing(path: Path) -> str:
    """The sentence for a file that is not there, which may have been meant for a server."""
    text = str(path)
    place = text.split("/")[0]
    host, colon, port = place.partition(":")
    if host.endswith(_CLOUD):
        return f"There is no database file {text}: for a server write libsql://{text}."
    if colon and port.isdigit():
        return f"There is no database file {text}: for a server write http://{text}, or libsql://{text} with TLS."
    return f"There is no database file {text}."


def _plain(text: str) -> Address:
    path = database_path(text)
    return Address("sqlite3", str(path), path)


def _file(scheme: str, rest: str) -> Address:
    name, _, tail = rest.partition("?")
    query = _query(tail, allowed=("remote",) if scheme == "turso-sync" else ())
    if not name:
        raise UsageError(f"The database URL names no file: write {scheme}:path/to/file.db.")
    path = Path(unquote(name) if "%" in name else name)
    if scheme != "turso-sync":
        return Address(_FILES[scheme], str(path), path)
    if "remote" not in query:
        raise UsageError("A replica has a remote: write turso-sync:path/to/file.db?remote=libsql://host.")
    remote = parse_address(query["remote"])
    if remote.route != "http3":
        raise UsageError("The remote of a replica is a server over HTTP: write remote=libsql://host.")
    return Address("turso-sync", str(path), path, remote.url)


def _server(scheme: str, text: str) -> Address:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UsageError(
            f"The address after {scheme}:// is none: write {scheme}://host or {scheme}://host:port."
        ) from None
    _check_no_password(parts)
    query = _query(parts.query, allowed=("protocol", "tls"))
    if not host:
        file = f"; for a file write {scheme}:path/to/file.db" if scheme in _FILES else ""
        raise UsageError(f"{scheme}:// names no server: write {scheme}://host or {scheme}://host:port{file}.")
    if scheme in ("ws", "wss") and host.endswith(_CLOUD):
        raise UsageError(f"Turso Cloud has no WebSocket for this driver: write libsql://{host}.")
    place = f"[{host}]" if ":" in host else host
    place = f"{place}:{port}" if port else place
    path = parts.path.rstrip("/")
    return Address(_route(scheme, query), f"{scheme}://{place}{path}", url=f"{_carrier(scheme, query)}://{place}{path}")


def _carrier(scheme: str, query: _Query) -> str:
    """The scheme that goes over the wire; `libsql://` is TLS unless it says otherwise."""
    if scheme not in ("libsql", "turso"):
        if "tls" in query:
            raise UsageError(f"{scheme}:// says itself whether there is TLS: leave tls out.")
        return scheme
    if query.get("tls", "1") not in ("0", "1"):
        raise UsageError("tls is 0 or 1.")
    return "http" if query.get("tls") == "0" else "https"


def _route(scheme: str, query: _Query) -> RouteName:
    wanted = query.get("protocol")
    if wanted is None:
        return _SERVERS[scheme]
    if wanted not in ("1", "3") or scheme not in ("http", "https"):
        raise UsageError("protocol is 1 or 3, and stands with http:// and https:// only.")
    return "http1" if wanted == "1" else "http3"


def _query(text: str, *, allowed: Sequence[str]) -> _Query:
    found = dict(parse_qsl(text, keep_blank_values=True))
    if any(name.casefold() in _SECRETS for name in found):
        raise _secret()
    if unknown := [name for name in found if name not in allowed]:
        known = f"it may have {' and '.join(allowed)}" if allowed else "it has none"
        raise UsageError(f"The database URL has an option that ptp does not know, '{unknown[0][:20]}': {known}.")
    return found


def _check_no_password(parts: SplitResult) -> None:
    if parts.username or parts.password:
        raise _secret()
    if parts.fragment:
        raise UsageError("The database URL has a part after '#', which means nothing there: take it out.")


def _secret() -> UsageError:
    return UsageError(
        "The database URL holds a token or a password: take it out, and put it into TURSO_AUTH_TOKEN, in the "
        "environment or in .env, beside the URL in TURSO_DATABASE_URL."
    )
