"""The folder in which the workers of one server count together: new, private, and gone when the server is.

A server that is killed leaves its folder. The next one takes it away, which is safe by a lock: each process of a server
holds it for as long as it lives, and the system takes it from a process that dies, however it dies.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ptp.settings import variable_for_children, variables_of_a_child

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX = "ptp-workers-"
_LOCK = "in-use"


@contextmanager
def shared_folder() -> Iterator[Path]:
    """A folder for the workers that are begun within, which the variable names for prometheus_client.

    Where the variable names one already, it is that one, and it stays.
    """
    if given := variables_of_a_child().get(VARIABLE):
        yield Path(given)
        return
    place = Path(tempfile.gettempdir())
    _clear(place)
    # It bears another name until it is locked: to be locked by nobody is what tells that a server is dead.
    made = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}", dir=place))
    lock = hold(made)
    folder = made.rename(place / made.name.removeprefix("."))
    with variable_for_children(VARIABLE, str(folder)):
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def hold(folder: Path) -> int:
    """Hold the folder until the descriptor is closed, or this process ends; others may hold it too."""
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_SH)
    return lock


def _clear(place: Path) -> None:
    """Take away the folders of servers that are dead, where they are our own."""
    for folder in place.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another server does the same, or it is none of ours
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            finally:
                os.close(lock)
