"""Build: run a plan into a new file beside its final name, and put it in place when it is whole and on the disk."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ptp.engine import connect_file, errors_named, without_traces
from ptp.engine.files import read_only_uri
from ptp.errors import UsageError
from ptp.migration.plan import Plan

Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Built:
    """What a build did: seconds by kind of statement, and the size of the target in bytes."""

    seconds: Mapping[str, float]
    bytes: int


def partial_of(target: Path) -> Path:
    """The name under which a target is built."""
    return target.with_name(target.name + ".partial")


def build(
    plan: Plan,
    *,
    source: Path,
    target: Path,
    run: str,
    now: int,
    progress: Progress,
    confirm: Callable[[], None] = lambda: None,
) -> Built:
    """Run `plan` and leave the target at its name, synced; on any failure nothing is left and nothing was changed.

    `confirm` is asked last, before the target gets its name: what it raises leaves no target.

    Raises UsageError when the target exists, DiskFull, and whatever SQLite refuses, in one sentence.
    """
    if target.exists():
        raise UsageError(f"{target} exists already: remove it, or name another target with --target.")
    with _scratch(target) as partial, without_traces(source):
        with errors_named(target), connect_file(partial) as db:
            seconds = _run(db, plan, {"source": read_only_uri(source), "run": run, "now": now}, progress)
        with errors_named(target):
            sync(partial)
        confirm()
        partial.replace(target)
        sync(target.parent)
    return Built(seconds, target.stat().st_size)


@contextmanager
def _scratch(target: Path) -> Iterator[Path]:
    """The partial file; it and its companions are gone at the end, whatever happens."""
    partial = partial_of(target)
    try:
        remove_partial(target)
        yield partial
    finally:
        remove_partial(target)


def remove_partial(target: Path) -> None:
    """Remove what an unfinished build of `target` left behind."""
    partial = partial_of(target)
    for suffix in ("", "-journal", "-wal", "-shm"):
        partial.with_name(partial.name + suffix).unlink(missing_ok=True)


def _run(db: sqlite3.Connection, plan: Plan, bound: Mapping[str, str | int], progress: Progress) -> dict[str, float]:
    seconds: dict[str, float] = {}
    total = sum(s.rows + 1 for s in plan.statements)
    done, started, plan_hash = 0, time.perf_counter(), plan.hash
    for statement in plan.statements:
        progress(done / total, f"building: {statement.kind}")
        before = time.perf_counter()
        so_far = {"phase": "build", "plan": plan_hash, "seconds": before - started}
        with closing(db.execute(statement.sql, {**bound, **so_far})) as cursor:
            cursor.fetchall()
        seconds[statement.kind] = seconds.get(statement.kind, 0.0) + time.perf_counter() - before
        done += statement.rows + 1
    progress(1.0, "built")
    return seconds


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
