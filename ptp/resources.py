"""Where the files that are not Python stand: sql/ and notebooks/, beside the package or inside an installed one."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def folder(name: str) -> Path:
    """The folder `sql` or `notebooks`: of the source tree when ptp runs from one, else of the installed package."""
    installed = _PACKAGE / "_files" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def home() -> Path:
    """Where demo sources and the reports of an exploring session go: the source tree, or the current folder."""
    return Path.cwd() if (_PACKAGE / "_files").is_dir() else _PACKAGE.parent
