"""Who has a database file open: for libraries that would lose their locks on it, or rows, to another in the way.

Two SQLite libraries in one process drop each other's locks. `pyturso` also takes no notice of a connection of sqlite3
in another process that is idle, and a row that was committed then was seen to be lost; so it is alone or not at all.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from ptp.engine.drivers import is_open_here
from ptp.errors import CannotFinish

_File: TypeAlias = tuple[int, int]
_LOCK = threading.Lock()
_HOLDERS: dict[_File, list[Hold]] = {}


@dataclass(eq=False, slots=True)
class Hold:
    """One connection's hold on a file, by a package; given back once."""

    file: _File
    package: str

    def release(self) -> None:
        """Give it back; nothing where it was."""
        with _LOCK:
            held = _HOLDERS.get(self.file, [])
            if self in held:
                held.remove(self)
            if not held:
                _HOLDERS.pop(self.file, None)


def hold(path: Path, package: str, *, alone: bool = False) -> Hold:
    """Hold a file for a connection by `package`; with `alone` no other process may have it open.

    Raises CannotFinish where another library in this process has it open, or another process has.
    """
    file = _file(path)
    with _LOCK:
        held = _HOLDERS.setdefault(file, [])
        try:
            if not all(h.package == package for h in held) or (not held and is_open_here(path)):
                raise CannotFinish(
                    f"{path} is open in this process by another library, and {package} would drop the locks on it: "
                    "close it there first, or use the same URL."
                )
            if alone and not held and (others := list(_others(file))):
                raise CannotFinish(
                    f"{path} is open in another process ({others[0]}), and {package} must be alone with a file: end "
                    "that process first."
                )
            mine = Hold(file, package)
            held.append(mine)
        finally:
            if not held:
                del _HOLDERS[file]
    return mine


def is_held(path: Path) -> bool:
    """Whether a library other than sqlite3 has the file open in this process: then sqlite3 must not even look at it."""
    return bool(_HOLDERS) and _file(path) in _HOLDERS


def check_free_for_sqlite3(path: Path) -> None:
    """Raise CannotFinish where another library in this process has the file open, whose locks sqlite3 would drop."""
    if _HOLDERS and (held := _HOLDERS.get(_file(path))):
        raise CannotFinish(
            f"{path} is open in this process by {held[0].package}, and sqlite3 would drop its locks: close it "
            "there first."
        )


def _file(path: Path) -> _File:
    found = path.stat()
    return found.st_dev, found.st_ino


def _others(file: _File) -> Iterator[int]:
    """Other processes that have the file open, as far as the system lets that be seen."""
    with suppress(OSError):
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and int(folder.name) != os.getpid():
                with suppress(OSError):
                    for link in (folder / "fd").iterdir():
                        with suppress(OSError):
                            found = link.stat()
                            if (found.st_dev, found.st_ino) == file:
                                yield int(folder.name)
