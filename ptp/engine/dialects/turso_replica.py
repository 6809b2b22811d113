"""A local replica by pyturso: read as a file is, and only read; the replica itself is `ptp.engine.replicas`'."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr
from sqlalchemy import Engine

from ptp.engine.addresses import Address
from ptp.engine.dialects.base import RouteDialect
from ptp.engine.dialects.connection import Connection
from ptp.engine.dialects.libsql_file import tune
from ptp.engine.dialects.turso_file import TursoWire
from ptp.engine.routes import ROUTES
from ptp.errors import UsageError

if TYPE_CHECKING:
    from ptp.engine.replicas import Pulled, Replica


class ReplicaDialect(RouteDialect):
    """SQLite by pyturso, on a replica."""

    driver = "pyturso"
    supports_statement_cache = True
    route = ROUTES["turso-sync"]
    replica: SharedReplica | None = None

    def get_table_names(self, connection: Any, *args: Any, **kw: Any) -> Any:
        """The tables without those of the sync engine's own."""
        from ptp.engine.replicas import is_helper

        names: list[str] = super().get_table_names(connection, *args, **kw)  # type: ignore[no-untyped-call]
        return [name for name in names if not is_helper(name)]


class SharedReplica:
    """The replica of an engine: opened for the first of its connections, let go of with the last."""

    def __init__(self, address: Address, token: SecretStr | None) -> None:
        """Open nothing yet."""
        self._address, self._token = address, token
        self._lock = threading.Lock()
        self._users = 0
        self._replica: Replica | None = None

    def __enter__(self) -> Replica:
        """The replica, opened where it is not."""
        from ptp.engine.replicas import open_replica

        path = self._address.path
        assert path is not None
        with self._lock:
            if self._replica is None:
                self._replica = open_replica(path, self._address.url, token=self._token)
            self._users += 1
            return self._replica

    def __exit__(self, *_problem: object) -> None:
        """Let go of it with the last who uses it."""
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._replica is not None:
                self._replica.close()
                self._replica = None

    def release(self) -> None:
        """Let go of it for a connection that is closed."""
        self.__exit__()

    def __call__(self) -> Connection:
        """A new connection, which only reads."""
        replica = self.__enter__()
        try:
            wire = TursoWire(replica.connect(), self)
            tune(Connection(wire), shown=self._address.shown)
        except BaseException:
            self.release()
            raise
        why = f"{self._address.shown} is a replica, which is only read: write to {self._address.url}."
        return Connection(wire, only_reads=why)


def pull(engine: Engine) -> Pulled:
    """Bring the newest content to the replica of an engine; its readers need not wait.

    Raises UsageError for an engine on anything else.
    """
    shared: Any = getattr(engine.dialect, "replica", None)
    if shared is None:
        raise UsageError("Only a replica pulls: open turso-sync:path/to/file.db?remote=libsql://host.")
    with shared as replica:
        found: Pulled = replica.pull()
        return found
