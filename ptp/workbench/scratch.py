"""A copy of a database on which a measurement may write, in the run folder, removed afterwards.

Whatever a measurement makes for itself in a run folder has a known name. Of one that was killed it stays there, until
the next measurement in that folder removes it; not while a living process holds the folder, or has the file open.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ptp.engine import connect_file, errors_named
from ptp.engine.locks import held, lock_of
from ptp.errors import Locked
from ptp.migration.backup import check_space, step

_SCRATCH = "bench-scratch.db"
_FOLDERS = re.compile(r"claims-scratch|(engines-|trial-|\.ptp-prove-)[a-z0-9_]{8}")
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
        _remove_copy(out)


@contextmanager
def working(out: Path, *, doing: str) -> Iterator[None]:
    """Hold the run folder `out` for a measurement, and remove what a dead one has left in it.

    Raises Locked where another process measures in this folder, or still has the copy open that it worked on.
    """
    with held(out / _SCRATCH, doing=doing):
        left = left_in(out)
        used = _in_use(left) if left else {}
        for path in left:
            if path not in used:
                _remove(path)
        if process := next((used[path] for path in used if path.name.startswith(_SCRATCH)), None):
            raise Locked(
                f"{out / _SCRATCH} is open in process {process}, left by a ptp that died: end it (kill {process})."
            )
        yield


def left_in(out: Path) -> tuple[Path, ...]:
    """What measurements make for themselves, as far as it is in `out`: by their names alone."""
    known = [out / f"{_SCRATCH}{suffix}" for suffix in _SUFFIXES]
    folders = [path for path in sorted(out.iterdir()) if _FOLDERS.fullmatch(path.name) and path.is_dir()]
    return (*(path for path in known if path.is_file()), *folders)


def remove_scratch(out: Path) -> None:
    """Remove all of it, whoever holds it: for a folder that is the caller's own, also after a kernel was killed."""
    for path in (*left_in(out), lock_of(out / _SCRATCH)):
        _remove(path)


_SUFFIXES = ("", "-journal", "-wal", "-shm")


def _remove_copy(out: Path) -> None:
    for suffix in _SUFFIXES:
        (out / f"{_SCRATCH}{suffix}").unlink(missing_ok=True)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _in_use(paths: tuple[Path, ...]) -> dict[Path, int]:
    """Those of the paths that a process has open, or something in them, as far as the system tells (Linux does)."""
    real = {str(path.resolve()): path for path in paths}
    found: dict[Path, int] = {}
    for folder in Path("/proc").glob("[0-9]*/fd"):
        with suppress(OSError):  # another user's, or gone meanwhile
            for entry in os.scandir(folder):
                with suppress(OSError):
                    opened = str(Path(entry.path).readlink())
                    for text, path in real.items():
                        if opened == text or opened.startswith(f"{text}/"):
                            found[path] = int(folder.parent.name)
    return found
