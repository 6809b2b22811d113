"""`ptp step` on a server: tried on a mirror of it with all checks, then there, and compared with the mirror again."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from ptp.engine import connect_file, errors_named
from ptp.engine.remote_calls import Calls
from ptp.errors import CannotFinish
from ptp.evidence import Stage
from ptp.migration.in_place import StepPlan
from ptp.migration.remote.checks import check_virtual
from ptp.migration.remote.mirror import check_equal, kept_by_virtual
from ptp.migration.remote.stepping import check_small, entries, run_there
from ptp.workbench import remote, stepping
from ptp.workbench.progress import Progress, part, quiet
from ptp.workbench.stepping import Way

MIRROR = Path(remote.FOLDER, "target.db")  # in the run folder


def plan_of(
    url: str, out: Path, *, way: Way = "", to: int | None = None, progress: Progress = quiet
) -> tuple[StepPlan, Path]:
    """The plan of steps of a server's database, by a mirror of it in the run folder, and that mirror."""
    with Calls(url) as calls:
        mirror = remote.mirror_at(calls, out / MIRROR, progress=progress).path
        planned = stepping.plan_of(mirror, way=way, to=to)
        for change in planned.changes:
            check_small(change, calls.shown)
    return planned, mirror


def step(
    url: str,
    out: Path,
    *,
    run: str,
    way: Way = "",
    to: int | None = None,
    shown: str = "",
    progress: Progress = quiet,
) -> tuple[Stage, StepPlan]:
    """Take a server's database some steps up or down, each in one transaction; its backup and the plan go to `out`."""
    started = time.perf_counter()
    planned, mirror = plan_of(url, out, way=way, to=to, progress=part(progress, 0.0, 0.4))
    stage = stepping.step(mirror, out, run=run, way=way, to=to, shown=shown, progress=part(progress, 0.4, 0.7))
    if (out / stepping.BACKUP).exists():
        with Calls(url) as calls:
            remote.rename_source(out / stepping.BACKUP, calls.shown)
    with errors_named(mirror), connect_file(mirror, read_only=True) as db:
        noted = entries(db, len(planned.changes))
        besides = kept_by_virtual(db)
    with Calls(url) as calls:
        done: list[str] = []
        for change, entry in zip(planned.changes, noted, strict=True):
            try:
                run_there(calls, change, entry)
            except CannotFinish as problem:
                if not done:
                    raise
                raise type(problem)(f"{problem} Done before it, and kept: {', '.join(done)}.") from problem
            done.append(change.step.name)
        told, seen = check_equal(calls, mirror, besides=besides, progress=part(progress, 0.7, 1.0))
        claim = "The database on the server is what the steps made of its mirror, where every check held"
        equal = remote.equal_finding("remote.stepped", claim, told, seen, calls)
        results = (*stage.results, equal, *check_virtual(calls, mirror))
    return replace(stage, seconds=time.perf_counter() - started, results=results), planned
