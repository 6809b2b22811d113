"""Backup: a consistent copy through SQLite's own backup, proven by comparing content, never by its size or a check."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ptp.engine import attach_read_only, connect_file, errors_named, quoted, read_inventory
from ptp.errors import CannotFinish, DiskFull
from ptp.migration.build import partial_of, remove_partial

Progress = Callable[[float, str], None]
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Backup:
    """A proven backup: its file, its size in bytes, its rows, and the tables whose content was compared."""

    path: Path
    bytes: int
    rows: int
    tables: int


def take_backup(source: Path, copy: Path, *, progress: Progress) -> Backup:
    """Copy `source` to `copy` in one step (a stepped backup restarts at every write) and prove the copy.

    The whole is compared, row by row and in storage class, inside the engine. Raises CannotFinish when the copy
    differs; the copy gets its name only when it is proven.
    """
    partial = partial_of(copy)
    try:
        with errors_named(copy):
            progress(0.0, "backing up")
            remove_partial(copy)
            with connect_file(source, read_only=True) as original, connect_file(partial) as db:
                original.backup(db, pages=-1)
            found = prove_copy(source, partial, progress=progress)
            partial.replace(copy)
        return replace(found, path=copy)
    finally:
        remove_partial(copy)


def prove_copy(source: Path, copy: Path, *, progress: Progress) -> Backup:
    """Compare every row of every table of `copy` with `source`.

    Raises CannotFinish naming the first table that differs.
    """
    with attach_read_only(source=source, copy=copy) as db:
        tables = [t for t in read_inventory(db, schema="source").tables.values() if not t.is_virtual]
        if lost := {t.name for t in tables} - read_inventory(db, schema="copy").tables.keys():
            raise CannotFinish(f"The backup {copy} is not the source: it has no table {min(lost)}.")
        rows = 0
        for done, table in enumerate(tables):
            progress(0.2 + 0.8 * done / len(tables), f"proving the backup: {table.name}")
            key = (table.rowid,) if table.rowid else table.key
            same, here, there = db.execute(_same_sql(table.name, key, table.stored_columns)).fetchone()
            if not same == here == there:
                raise CannotFinish(
                    f"The backup {copy} is not the source: table {table.name} has {here} rows, the backup {there}, "
                    f"of which {same} are equal. Was the source written to meanwhile? Run the command again."
                )
            rows += here
        return Backup(copy, copy.stat().st_size, rows, len(tables))


def _same_sql(table: str, key: tuple[str, ...], columns: tuple[str, ...]) -> str:
    name = quoted(table)
    match = " AND ".join(f"s.{q} = c.{q}" for q in map(quoted, key))
    equal = " AND ".join(
        f"s.{q} IS c.{q} COLLATE BINARY AND typeof(s.{q}) = typeof(c.{q})" for q in map(quoted, columns)
    )
    return (
        f"SELECT (SELECT count(*) FROM source.{name} AS s JOIN copy.{name} AS c ON {match} WHERE {equal or 1}), "
        f"(SELECT count(*) FROM source.{name}), (SELECT count(*) FROM copy.{name})"
    )


def fingerprint(path: Path) -> str:
    """A hash of the database's bytes, its write-ahead log included: equal before and after, nobody wrote to it."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (path, path.with_name(path.name + "-wal")):
        for chunk in _chunks(part):
            digest.update(chunk)
    return digest.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    if path.is_file():
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk


def check_space(folder: Path, *, needed_bytes: int) -> None:
    """Raise DiskFull before anything is written when `folder` has not the room."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise DiskFull(
            f"{folder} has {free / 1e6:,.0f} MB free, and this needs about {needed_bytes / 1e6:,.0f} MB: "
            "free some space, or name another folder with --out and --target."
        )
