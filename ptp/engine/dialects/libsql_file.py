"""A file by libsql: the connection that databases are built with, evened out there, under SQLAlchemy."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable

from ptp.engine.addresses import Address
from ptp.engine.bindings import Statement
from ptp.engine.dialects.base import RouteDialect
from ptp.engine.dialects.connection import Answer, Connection, Row, Wire
from ptp.engine.files import file_uri, read_only_uri
from ptp.engine.libsql_driver import LibsqlConnection, LibsqlRows
from ptp.engine.occupied import Hold, hold
from ptp.engine.routes import ROUTES
from ptp.errors import CannotFinish, UsageError
from ptp.settings import Settings

_POLL_S = 0.001


class LibsqlDialect(RouteDialect):
    """SQLite by libsql."""

    driver = "libsql"
    supports_statement_cache = True
    route = ROUTES["libsql"]


class LibsqlWire(Wire):
    """A connection of libsql. It reads a text to its first NUL only, so none with a NUL is written through it.

    It waits for a lock without letting other threads go on, one of which may have to give the lock back; so it is told
    not to wait, and asked again.
    """

    def __init__(self, db: LibsqlConnection, held: Hold, *, patience_s: float) -> None:
        """Take an open connection that does not wait, its hold on the file, and how long to wait for a lock."""
        self._db, self._held = db, held
        self._patience_s = patience_s

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction was begun and not ended."""
        return self._db.in_transaction

    def run(self, statement: Statement, values: Row) -> Answer:
        """Run one statement."""
        if any(isinstance(v, str) and "\0" in v for v in values):
            raise UsageError("A text holds a character NUL, and libsql reads it no further: use sqlite3 for this file.")
        rows = self._waited(statement.text, values)
        return Answer(rows.columns, iter(rows), rows.rowcount, rows.last_id)

    def _waited(self, sql: str, values: Row) -> LibsqlRows:
        """The rows of a statement; one that found a lock has done nothing, and may be run again."""
        until = time.monotonic() + self._patience_s
        while True:
            try:
                return self._db.execute(sql, values)
            except sqlite3.OperationalError as problem:
                if problem.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > until:
                    raise
            time.sleep(_POLL_S)

    def close(self) -> None:
        """Close the file."""
        self._db.close()
        self._held.release()


def connector(address: Address, *, settings: Settings, read_only: bool) -> Callable[[], Connection]:
    """A function that opens the file of an address."""
    path = address.path
    assert path is not None
    uri = read_only_uri(path) if read_only else f"{file_uri(path)}?mode=rw"

    def connect() -> Connection:
        held = hold(path, "libsql")
        try:
            db = Connection(LibsqlWire(LibsqlConnection(uri, 0), held, patience_s=settings.busy_timeout_ms / 1000))
            tune(db, shown=address.shown)
        except BaseException:
            held.release()
            raise
        return db

    return connect


def tune(db: Connection, *, shown: str) -> None:
    """Foreign keys on, and read back; delete triggers for what REPLACE removes, where the engine has them."""
    db.execute("PRAGMA foreign_keys = ON")
    if db.execute("PRAGMA foreign_keys").fetchone() != (1,):
        raise CannotFinish(f"{shown} keeps foreign keys off; ptp cannot work with it.")
    db.execute("PRAGMA recursive_triggers = ON")
