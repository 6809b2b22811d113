"""Alone at a target: who builds it holds its lock, and clears away what a run that was killed left of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec

from ptp.engine import check_database, errors_named, locks
from ptp.evidence import Stage
from ptp.migration.build import partial_of, remove_partial
from ptp.results import Finding
from ptp.workbench.situation import look

P = ParamSpec("P")


def one_at_a_time(work: Callable[Concatenate[Path, Path, P], Stage]) -> Callable[Concatenate[Path, Path, P], Stage]:
    """Let a migration of a source to a target be the only one on that target.

    It raises Locked, naming who is at it, where another process is; and UsageError, with the way on, where an online
    migration of the source was begun. What a killed run left of the target is removed first, and a note says so.
    """

    @wraps(work)
    def alone(source: Path, target: Path, /, *more: P.args, **options: P.kwargs) -> Stage:
        check_database(source)
        look(source).refuse_if_begun()
        with held_target(target, doing="a migration"):
            left = _clear(target)
            with errors_named(source):
                stage = work(source, target, *more, **options)
        return replace(stage, results=(*stage.results, _cleared(left))) if left else stage

    return alone


@contextmanager
def held_target(target: Path, *, doing: str) -> Iterator[None]:
    """Hold the lock of a database that is built; of one whose folder cannot be written to, nothing will be."""
    if target.parent.is_dir() and os.access(target.parent, os.W_OK):
        with locks.held(target, doing=doing):
            yield
    else:
        yield


def _clear(target: Path) -> str:
    """Remove the half-built target that a killed run left; its name, or nothing."""
    partial = partial_of(target)
    was_there = partial.exists()
    remove_partial(target)
    return partial.name if was_there else ""


def _cleared(name: str) -> Finding:
    return Finding(
        id="migrate.leftover",
        claim=f"A run that was interrupted had left {name}, which was removed; it had changed nothing, so nothing was "
        "lost",
        verdict="pass",
        severity="note",
        evidence="a target gets its name when it is whole; until then nobody uses it",
    )
