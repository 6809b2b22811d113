"""The source while it moves: the capture goes in and out, and so does the fence; its schema and its log are watched."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from ptp.engine import connect_file, errors_named, moves, quoted, read_inventory
from ptp.engine.moves import Move, writing
from ptp.errors import SourceChanged, UsageError
from ptp.migration.capture import release_sql
from ptp.migration.fence import fence_settings, is_fenced, unfence_sql
from ptp.migration.online import OnlinePlan

_GAP = 0.002  # seconds in which no snapshot is held, so that a writer can reset the write-ahead log


def check_wal(source: Path) -> None:
    """Raise UsageError where the source is not in WAL mode."""
    with errors_named(source), connect_file(source, read_only=True) as db:
        if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            raise UsageError(
                f"{source} is not in WAL mode, in which readers and writers do not wait for each other; --online needs "
                "it. Switch it in a moment without any connection, as it locks everyone out: "
                f"sqlite3 {source} 'PRAGMA journal_mode = WAL'."
            )


def begin_capture(source: Path, plan: OnlinePlan, move: Move) -> int:
    """Put log, state row and triggers into the source in one transaction; the schema's version afterwards."""
    with errors_named(source), connect_file(source) as db:
        with writing(db):
            for sql in plan.capture:
                db.execute(sql)
            moves.enter_move(db, move)
        return schema_version(db)


def end_capture(source: Path) -> None:
    """Take log, state row and triggers out of the source again."""
    with errors_named(source), connect_file(source) as db, writing(db):
        for sql in release_sql(read_inventory(db)):
            db.execute(sql)


def take_fence_down(source: Path) -> None:
    """Let foreign readers see a source again, as it is; nothing where it has no fence."""
    with errors_named(source), connect_file(source) as db:
        if not is_fenced(read_inventory(db)):
            return
        for sql in fence_settings():
            db.execute(sql)
        with writing(db):
            for sql in unfence_sql(read_inventory(db)):
                db.execute(sql)


def schema_version(db: sqlite3.Connection, *, schema: str = "main") -> int:
    """The number that every change of the schema moves."""
    version: int = db.execute(f"PRAGMA {quoted(schema)}.schema_version").fetchone()[0]
    return version


def check_schema_version(db: sqlite3.Connection, version: int, *, schema: str = "main") -> None:
    """Raise SourceChanged where the schema was changed since."""
    if schema_version(db, schema=schema) != version:
        raise SourceChanged(
            "The source's schema was changed while it was migrated (or it was vacuumed), so its log cannot be trusted. "
            "Nothing was moved. Run the command again."
        )


def relieve(source: sqlite3.Connection) -> None:
    """Fold the source's write-ahead log as far as nobody is in the way, and leave a gap in which it can be reset."""
    source.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    time.sleep(_GAP)
