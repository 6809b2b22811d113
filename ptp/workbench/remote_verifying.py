"""Verification where source or target is on a server: of their mirrors, each proven to be what the server has."""

from __future__ import annotations

from pathlib import Path

from ptp.engine import database_path
from ptp.engine.remote_calls import Calls
from ptp.results import Finding
from ptp.workbench import remote
from ptp.workbench.progress import Progress, part, quiet


def file_of(url: str, *, side: str, progress: Progress = quiet) -> tuple[Path, list[Finding]]:
    """The file to verify for a source or target, and how it was proven to be the server's database, if it is one's."""
    if not remote.is_remote(url):
        return database_path(url), []
    with Calls(url) as calls:
        found = remote.mirror_at(calls, remote.mirrors_folder() / remote.file_name(url), progress=progress)
        return found.path, [remote.mirror_finding(calls, found, identity=f"remote.{side}-mirrored")]


def files_of(source: str, target: str, *, progress: Progress = quiet) -> tuple[tuple[Path, Path], list[Finding]]:
    """The files to verify for a source and its target."""
    old, first = file_of(source, side="source", progress=part(progress, 0.0, 0.5))
    new, second = file_of(target, side="target", progress=part(progress, 0.5, 1.0))
    return (old, new), [*first, *second]
