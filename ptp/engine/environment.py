"""Where a measurement was taken: what must be equal before two of them are compared."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Mapping
from pathlib import Path


def environment() -> Mapping[str, str]:
    """The Python, SQLite, processor model, number of usable cores and operating system of this process."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        "cpu": _processor(),
        "cores": str(_usable_cores()),
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def _processor(info: Path = Path("/proc/cpuinfo")) -> str:
    # platform.processor() is empty or only the architecture on Linux.
    try:
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, "") or platform.processor() or "unknown"


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
