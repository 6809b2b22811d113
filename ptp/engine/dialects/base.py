"""The SQLAlchemy dialect that all drivers but sqlite3 share: SQLite's own, told of nothing that only sqlite3 has."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import URL
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from ptp.engine.routes import Route


class RouteDialect(SQLiteDialect_pysqlite):
    """SQLite over a connection of `dialects.connection`, whose errors are those of sqlite3."""

    supports_statement_cache = True
    route: Route

    @classmethod
    def import_dbapi(cls) -> Any:
        """The module whose errors and types the connections use."""
        return sqlite3

    def create_connect_args(self, url: URL) -> tuple[list[Any], dict[str, Any]]:
        """Nothing: the engine's creator knows where to connect, so that no secret stands in a URL."""
        return [], {}

    def on_connect(self) -> Any:
        """Nothing: functions in Python can be given to sqlite3 only."""
        return None

    def get_isolation_level_values(self, dbapi_connection: Any) -> list[Any]:
        """Transactions that do not see each other, or none."""
        return ["SERIALIZABLE", "AUTOCOMMIT"]

    def get_default_isolation_level(self, dbapi_conn: Any) -> Any:
        """What every connection begins with, without asking it."""
        return "SERIALIZABLE"

    def get_isolation_level(self, dbapi_connection: Any) -> Any:
        """What a connection has now."""
        return "AUTOCOMMIT" if dbapi_connection.autocommit else "SERIALIZABLE"

    def set_isolation_level(self, dbapi_connection: Any, level: Any) -> None:
        """With AUTOCOMMIT no transaction is begun, and each statement is kept at once."""
        dbapi_connection.autocommit = level == "AUTOCOMMIT"

    def detect_autocommit_setting(self, dbapi_conn: Any) -> bool:
        """Whether a connection begins no transactions."""
        return bool(dbapi_conn.autocommit)


def url_of(dialect: type[RouteDialect]) -> URL:
    """The URL by which SQLAlchemy finds a dialect; it names the driver and nothing else."""
    name = dialect.route.name.replace("-", "_")
    registry.register(f"sqlite.ptp_{name}", dialect.__module__, dialect.__name__)
    return URL.create(f"sqlite+ptp_{name}")
