"""What a run is told apart by: its id, where its files are, and what its numbers were made with."""

from __future__ import annotations

import importlib.metadata
import platform
import secrets
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import ptp


def new_run_id() -> str:
    """An id that sorts by time and does not meet another one."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def versions() -> Mapping[str, str]:
    """What the numbers of a run were made with."""
    packages = ("sqlalchemy", "papermill", "pandas")
    return {
        "ptp": ptp.__version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{name: importlib.metadata.version(name) for name in packages},
    }


def as_given(path: Path) -> str:
    """A path as a reader elsewhere can use it: from the current folder where it is in it."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
