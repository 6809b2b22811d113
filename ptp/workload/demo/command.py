"""`write_demo`: one file, whole or not at all."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ptp.errors import CannotFinish, DiskFull, UsageError
from ptp.workload.demo.sizes import SIZES, Shape, SizeName
from ptp.workload.demo.world import demo_tables
from ptp.workload.demo.writing import fill

_SIDE_FILES = ("-wal", "-shm", "-journal")
_SHAPES = ("raw", "drizzle")


@dataclass(frozen=True, kw_only=True)
class DemoSummary:
    """What was written: where, how many rows of each table, how large, and in what time."""

    shape: Shape
    size: SizeName
    seed: int
    path: Path
    rows: Mapping[str, int]
    bytes: int
    seconds: float


def write_demo(
    *,
    shape: Shape,
    size: SizeName,
    seed: int,
    out: Path,
    overwrite: bool = False,
    progress: Callable[[float, str], None] | None = None,
) -> DemoSummary:
    """Write a demo source to `out`.

    The same shape, size and seed give the same content in every row, on any day. The file appears under its
    name only when it is complete; `progress` is called with a fraction from 0 to 1 and a few words.
    """
    began = time.perf_counter()
    _check_request(shape=shape, size=size, seed=seed)
    _check_place(out, overwrite=overwrite)
    report = progress or _silent
    partial = out.with_name(out.name + ".partial")
    with _one_sentence(out):
        try:
            _remove(partial)
            report(0.0, "inventing people and what they did")
            tables = demo_tables(shape=shape, size=SIZES[size], seed=seed)
            rows = fill(partial, tables, shape=shape, progress=report)
            # A log left beside the old file would be replayed into the new one.
            for suffix in _SIDE_FILES:
                out.with_name(out.name + suffix).unlink(missing_ok=True)
            partial.replace(out)
        finally:
            _remove(partial)
    report(1.0, "done")
    seconds = time.perf_counter() - began
    return DemoSummary(
        shape=shape, size=size, seed=seed, path=out, rows=rows, bytes=out.stat().st_size, seconds=seconds
    )


def _silent(fraction: float, text: str) -> None:
    """Report to nobody."""


def _check_request(*, shape: str, size: str, seed: int) -> None:
    if shape not in _SHAPES:
        raise UsageError(f"There is no shape {shape!r}: choose raw or drizzle.")
    if size not in SIZES:
        raise UsageError(f"There is no demo size {size!r}: choose {', '.join(SIZES)}.")
    if seed < 0:
        raise UsageError(f"The seed is {seed}: choose a whole number from 0 up.")


def _check_place(out: Path, *, overwrite: bool) -> None:
    """Refuse a place that cannot be written to, before any work is done."""
    folder = out.parent
    if not folder.is_dir():
        raise UsageError(f"The folder {folder} does not exist: create it, or choose another file.")
    if out.is_dir():
        raise UsageError(f"{out} is a folder: name a file in it.")
    for place in (out, *(out.with_name(out.name + suffix) for suffix in _SIDE_FILES)):
        if place.exists() and not overwrite:
            raise UsageError(f"{place} exists: ask for it to be overwritten, or choose another file.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _not_writable(folder)


def _not_writable(folder: Path) -> UsageError:
    return UsageError(f"The folder {folder} cannot be written to: choose another, or change its permissions.")


def _remove(partial: Path) -> None:
    for suffix in ("", *_SIDE_FILES):
        partial.with_name(partial.name + suffix).unlink(missing_ok=True)


@contextmanager
def _one_sentence(out: Path) -> Iterator[None]:
    """Turn what the disk or SQLite says into one error of ours."""
    full = f"The disk is full: {out} was not written; free some space, or choose another place."
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            raise DiskFull(full) from error
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
            raise _not_writable(out.parent) from error
        raise CannotFinish(f"{out} was not written: {error}.") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(full) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR):
            raise _not_writable(out.parent) from error
        raise CannotFinish(f"{out} was not written: {error}.") from error
