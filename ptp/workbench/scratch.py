"""A copy of a database on which a measurement may write, in the run folder, removed afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ptp.engine import connect_file, errors_named
from ptp.migration.backup import check_space, step

_SCRATCH = "bench-scratch.db"
_GROWTH = 160_000_000  # bytes that the queries which write add to the copy and its log: 41 MB with 2,000 samples each


@contextmanager
def copied(target: Path, out: Path) -> Iterator[Path]:
    """A copy of `target` in `out`. Raises DiskFull, beforehand where that can be known."""
    copy = out / _SCRATCH
    check_space(out, needed_bytes=target.stat().st_size + _GROWTH)
    try:
        with errors_named(copy), connect_file(target, read_only=True) as db, connect_file(copy) as scratch:
            step(db, scratch, target)
        with errors_named(copy):
            yield copy
    finally:
        remove_scratch(out)


def remove_scratch(out: Path) -> None:
    """Remove the copy that a benchmark in `out` works on: also of one whose kernel was killed."""
    for suffix in ("", "-journal", "-wal", "-shm"):
        (out / (_SCRATCH + suffix)).unlink(missing_ok=True)
