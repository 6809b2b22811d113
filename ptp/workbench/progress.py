"""Progress across processes: a notebook's kernel writes how far it is to a small file, and the run reads it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

Progress: TypeAlias = Callable[[float, str], None]
"""Takes the fraction done, 0 to 1, and what is being done."""

_FILE = ".progress"
_EVERY_S = 0.2


def quiet(fraction: float, text: str) -> None:
    """Progress that nobody looks at."""


def part(progress: Progress, start: float, end: float) -> Progress:
    """Progress of one part of a longer work: its 0 to 1 becomes `start` to `end` of the whole."""
    return lambda fraction, text: progress(start + fraction * (end - start), text)


class FileProgress:
    """Writes progress to a run folder, at most five times a second."""

    def __init__(self, folder: Path) -> None:
        """Progress of whatever runs for `folder`."""
        self._path = folder / _FILE
        self._due = 0.0

    def __call__(self, fraction: float, text: str) -> None:
        """Note how far the work is."""
        if (now := time.monotonic()) >= self._due:
            self._due = now + _EVERY_S
            self._path.write_text(json.dumps([fraction, text]), encoding="utf-8")


def read_progress(folder: Path) -> tuple[float, str] | None:
    """What was last noted for `folder`, if it can be read just now."""
    try:
        fraction, text = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        return float(fraction), str(text)
    except (OSError, ValueError, TypeError):  # none, half-written, or not a note
        return None


def forget_progress(folder: Path) -> None:
    """Remove the progress file."""
    (folder / _FILE).unlink(missing_ok=True)
