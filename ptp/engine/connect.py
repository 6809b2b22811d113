"""`open_engine`: one URL in, one SQLAlchemy engine out, with transactions that are what they seem."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.pool import QueuePool

from ptp.engine.files import database_path, file_uri, named
from ptp.errors import CannotFinish, PtpError, UsageError
from ptp.settings import Settings, load_settings

_WRITES = "ptp_writes"


def open_engine(url: str | Path, *, read_only: bool = False, settings: Settings | None = None) -> Engine:
    """An engine on an existing database file; each connection has foreign keys on, read back, and the tuned pragmas.

    The driver's own transaction handling is off (it commits before DDL); BEGIN is issued by us. A transaction from
    `atomic` starts as a writer at once, so it never fails half-way for a lock that it could not upgrade.
    Raises UsageError when there is no such file.
    """
    path = database_path(url)
    if not path.is_file():
        raise UsageError(f"There is no database file {path}.")
    values = settings or load_settings()

    def connect() -> sqlite3.Connection:
        db = sqlite3.connect(
            f"{file_uri(path)}?mode={'ro' if read_only else 'rw'}",
            uri=True,
            isolation_level=None,
            timeout=values.busy_timeout_ms / 1000,
            check_same_thread=False,
            cached_statements=values.statement_cache,
        )
        _tune(db, values, read_only=read_only)
        return db

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, pool_size=values.pool_size)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "handle_error", lambda context: _name_error(context, path))
    return engine


@contextmanager
def atomic(engine: Engine) -> Iterator[Connection]:
    """One write transaction: all of it is committed, or none."""
    with engine.connect().execution_options(**{_WRITES: True}) as db, db.begin():
        yield db


def fetch(db: Connection, sql: str, values: Sequence[Any]) -> list[Any]:
    """All rows of SQL text with its values bound to `?`, as plain tuples.

    For what runs often: SQLAlchemy's own rows and the compiling of its expressions cost more than a short query.
    """
    cursor: Any = db.exec_driver_sql(sql, tuple(values)).cursor
    found: list[Any] = cursor.fetchall()
    return found


def _begin(db: Connection) -> None:
    if db.get_execution_options().get(_WRITES):
        db.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        # Straight to the driver: a deferred BEGIN takes no lock and cannot fail, and every read pays for it.
        db.connection.cursor().execute("BEGIN")


def _name_error(context: ExceptionContext, path: Path) -> None:
    """Let a full disk, a lock or damage come out as ours; an error of the statement itself stays what it is."""
    if isinstance(context.original_exception, sqlite3.Error):
        found = named(context.original_exception, path)
        if isinstance(found, PtpError):
            raise found from context.original_exception


def _tune(db: Any, values: Settings, *, read_only: bool) -> None:
    db.execute("PRAGMA foreign_keys = ON")
    if db.execute("PRAGMA foreign_keys").fetchone() != (1,):
        raise CannotFinish("This SQLite was built without foreign keys; ptp cannot work with it.")
    # REPLACE removes a row; only with this do the triggers hear of it that keep what is derived from the row.
    db.execute("PRAGMA recursive_triggers = ON")
    db.execute(f"PRAGMA cache_size = {-1024 * values.cache_mb}")
    db.execute(f"PRAGMA mmap_size = {values.mmap_mb * 1024 * 1024}")
    if not read_only:
        db.execute("PRAGMA synchronous = NORMAL")
