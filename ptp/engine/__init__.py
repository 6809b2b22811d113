"""The one way to a database: URLs, connections, transactions, and what SQLite itself says of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ptp.engine.bad_files import check_file, check_nothing_left
from ptp.engine.files import (
    attach_read_only,
    check_database,
    check_sound,
    connect_file,
    database_path,
    errors_named,
    is_wal,
    settle_log,
    without_traces,
)
from ptp.engine.headers import Header, read_header
from ptp.engine.inventory import Index, Inventory, Object, Table, has_module, read_inventory
from ptp.engine.sql import literal, quoted, split_statements

if TYPE_CHECKING:
    from ptp.engine.connect import atomic, fetch, open_engine

__all__ = [
    "Header",
    "Index",
    "Inventory",
    "Object",
    "Table",
    "atomic",
    "attach_read_only",
    "check_database",
    "check_file",
    "check_nothing_left",
    "check_sound",
    "connect_file",
    "database_path",
    "errors_named",
    "fetch",
    "has_module",
    "is_wal",
    "literal",
    "open_engine",
    "quoted",
    "read_header",
    "read_inventory",
    "settle_log",
    "split_statements",
    "without_traces",
]


def __getattr__(name: str) -> Any:
    """What needs SQLAlchemy is loaded when it is first asked for: the processes that compare rows do without it."""
    if name in ("atomic", "fetch", "open_engine"):
        from ptp.engine import connect

        return getattr(connect, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
