"""`open_engine`: one URL in, one SQLAlchemy engine out, with transactions that are what they seem."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.pool import QueuePool

from ptp.engine.addresses import missing, parse_address
from ptp.engine.files import check_writable, file_uri, named, read_only_uri
from ptp.engine.moves import lift_freeze, read_move
from ptp.engine.occupied import check_free_for_sqlite3
from ptp.errors import CannotFinish, Moved, PtpError, UsageError
from ptp.settings import Settings, load_settings

WRITES = "ptp_writes"  # the execution option by which a transaction begins as a writer
_UNMOVED = "ptp_unmoved"  # the schema version at which a connection saw no state row
_POLL_S = 0.001


def open_engine(
    url: str | Path, *, read_only: bool = False, settings: Settings | None = None, token: SecretStr | None = None
) -> Engine:
    """An engine on an existing database; each connection has foreign keys on, read back, and the tuned pragmas.

    The URL decides by which driver (`ptp.engine.routes`). A token for a server is given here, or stands beside the
    URL in the settings, never in the URL. The driver's own transaction handling is off (it commits before DDL); BEGIN
    is issued by us. A transaction from `atomic` starts as a writer at once, so it never fails half-way for a lock that
    it could not upgrade. Raises UsageError for a wrong URL or a missing file; a server is asked nothing yet.
    """
    address = parse_address(url)
    values = settings or load_settings()
    path = address.path
    if address.route != "sqlite3" or path is None:
        from ptp.engine.opening import open_address

        found = token or values.token_for(str(url))
        return open_address(address, read_only=read_only, settings=values, token=found)
    if not path.is_file():
        raise UsageError(missing(path))
    if not read_only:
        check_writable(path)

    def connect() -> sqlite3.Connection:
        check_free_for_sqlite3(path)
        db = sqlite3.connect(
            read_only_uri(path) if read_only else f"{file_uri(path)}?mode=rw",
            uri=True,
            isolation_level=None,
            timeout=values.busy_timeout_ms / 1000,
            check_same_thread=False,
            cached_statements=values.statement_cache,
        )
        _tune(db, values, read_only=read_only)
        return db

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, pool_size=values.pool_size)
    setattr(engine.dialect, "set_isolation_level", _keep_level)  # noqa: B010  # SQLAlchemy's lets the driver begin
    event.listen(engine, "begin", lambda db: _begin(db, path))
    event.listen(engine, "handle_error", lambda context: _name_error(context, path))
    return engine


def _keep_level(_connection: object, _level: object) -> None:
    """The driver begins nothing at any isolation level; what is begun is begun in `_begin`."""


@contextmanager
def atomic(engine: Engine) -> Iterator[Connection]:
    """One write transaction: all of it is committed, or none."""
    with engine.connect().execution_options(**{WRITES: True}) as db, db.begin():
        yield db


def fetch(db: Connection, sql: str, values: Sequence[Any] | Mapping[str, Any]) -> list[Any]:
    """All rows of SQL text with its values bound to `?` in order, or by name, as plain tuples.

    For what runs often: SQLAlchemy's own rows and the compiling of its expressions cost more than a short query.
    They go straight to the driver, and listeners are told of them. Raises UsageError for a value that SQLite
    cannot hold, and ptp's or SQLAlchemy's errors otherwise.
    """
    bound = values if isinstance(values, dict) else tuple(values)
    try:
        if not db.in_transaction():
            db.begin()
        cursor: Any = db.connection.cursor()
        if not isinstance(cursor, sqlite3.Cursor):
            return _told(db, sql, bound)
        # SQLAlchemy's own way to its listeners costs several times what they do.
        for told in db.dispatch.before_cursor_execute:
            told(db, cursor, sql, bound, None, False)
        try:
            found: list[Any] = cursor.execute(sql, bound).fetchall()
        except sqlite3.Error as problem:
            # A statement that fails has done nothing, and through SQLAlchemy it fails again, with the right error. But
            # never outside of the transaction, which some errors (a full disk) have SQLite end at once.
            raw: Any = db.connection.dbapi_connection
            if not raw.in_transaction:
                raise CannotFinish(f"SQLite ended the transaction: {problem}.") from problem
            return _told(db, sql, bound)
        for told in db.dispatch.after_cursor_execute:
            told(db, cursor, sql, bound, None, False)
        return found
    except OverflowError:
        raise UsageError("A whole number is too large: SQLite holds them in 64 bits.") from None
    except UnicodeEncodeError:
        raise UsageError("A text holds half a surrogate pair, which is no character: it cannot be stored.") from None


def _told(db: Connection, sql: str, bound: Any) -> list[Any]:
    """The rows, with SQLAlchemy's events and errors."""
    result = db.exec_driver_sql(sql, bound)
    cursor: Any = result.cursor
    return cursor.fetchall() if result.returns_rows else []


def _begin(db: Connection, path: Path) -> None:
    """Begin at the driver: through SQLAlchemy it would cost as much as the statement that follows.

    Within the transaction, and so for all of it, the database must be the one to use (`ptp.engine.moves`).
    """
    options = db.get_execution_options()
    if options.get("isolation_level") == "AUTOCOMMIT":  # a BEGIN would make the driver lose what is not committed
        return
    writes = bool(options.get(WRITES))
    raw: Any = db.connection.dbapi_connection
    try:
        while True:
            raw.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
            if _is_usable(raw, db.connection.info, path, writes=writes):
                return
            raw.execute("ROLLBACK")
            _wait_for(raw)
    except sqlite3.Error as problem:
        raise named(problem, path) from problem


def _is_usable(raw: sqlite3.Connection, known: dict[Any, Any], path: Path, *, writes: bool) -> bool:
    """Whether a transaction may go on; False while it is to wait. Raises Moved where another database is to be used."""
    version = raw.execute("PRAGMA schema_version").fetchone()
    if known.get(_UNMOVED) == version:
        return True
    move = read_move(raw)
    if move is None:
        known[_UNMOVED] = version
    elif move.state in ("moved", "next"):
        raw.execute("ROLLBACK")
        why = "has moved to" if move.state == "moved" else "is not open yet; in use is"
        raise Moved(f"{path} {why} {move.other}: open that one.", to=move.other)
    return move is None or move.state == "open" or not writes


def _wait_for(raw: sqlite3.Connection) -> None:
    """Wait a moment for a freeze to end, and lift one that has outlived its deadline."""
    time.sleep(_POLL_S)
    move = read_move(raw)
    if move and move.state == "freezing" and (move.deadline or 0) <= time.time():
        raw.execute("BEGIN IMMEDIATE")
        lift_freeze(raw)
        raw.execute("COMMIT")


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
