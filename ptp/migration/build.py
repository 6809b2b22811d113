"""Build: run a plan into a new file beside its final name, and put it in place when it is whole and on the disk.

Either driver may run it, as its statements move rows inside the engine: no value passes through the driver.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ptp.engine import errors_named, without_traces
from ptp.engine.drivers import Connection, Driver, connect, driver_of
from ptp.engine.files import named, read_only_uri
from ptp.errors import CannotFinish, PtpError, UsageError
from ptp.migration.plan import Plan

Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Built:
    """What a build did: seconds by kind of statement, the size of the target in bytes, and the driver that ran it."""

    seconds: Mapping[str, float]
    bytes: int
    driver: str


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
    driver: str = "sqlite3",
) -> Built:
    """Run `plan` and leave the target at its name, synced; on any failure nothing is left and nothing was changed.

    `confirm` is asked last, before the target gets its name: what it raises leaves no target. While another driver
    than sqlite3 is at work, nothing in this process may open the source, so `progress` must not.

    Raises UsageError when the target exists or the driver is not there, DiskFull, and whatever SQLite refuses, in one
    sentence; CannotFinish where only sqlite3 can run the plan.
    """
    chosen = driver_of(driver)
    if target.exists():
        raise UsageError(f"{target} exists already: remove it, or name another target with --target.")
    with _scratch(target) as partial, without_traces(source):
        chosen.check_alone(source)
        bound: dict[str, str | int] = {"source": read_only_uri(source), "run": run, "now": now}
        with errors_named(target), connect(partial, driver=driver) as db, _refusals_told(chosen, partial):
            version = chosen.version(db)
            seconds = _run(db, plan, bound, progress)
        with errors_named(target):
            sync(partial)
        confirm()
        partial.replace(target)
        sync(target.parent)
    return Built(seconds, target.stat().st_size, version)


@contextmanager
def _refusals_told(driver: Driver, partial: Path) -> Iterator[None]:
    """Name the driver to use where another cannot run a plan, which was tried out on sqlite3 when it was made."""
    try:
        yield
    except sqlite3.OperationalError as problem:
        if driver.name == "sqlite3" or isinstance(named(problem, partial), PtpError):
            raise
        raise CannotFinish(
            f"The driver {driver.name} cannot run this plan ({problem}): nothing was built. Use --driver sqlite3."
        ) from problem


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


def _run(db: Connection, plan: Plan, bound: Mapping[str, str | int], progress: Progress) -> dict[str, float]:
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
