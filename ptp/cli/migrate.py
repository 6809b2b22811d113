"""`ptp migrate`: the first stage alone, offline or online, its plan, and the end of one that was interrupted."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptp import terminal
from ptp.cli.options import Json, OnDirty, Out
from ptp.errors import DirtySource, UsageError
from ptp.evidence import Stage, write_stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from ptp.workbench.progress import Progress

commands = typer.Typer()


@commands.command(epilog="Example: ptp migrate --source old.db --target new.db --online")
def migrate(
    source: Annotated[str, typer.Option(help="Database to migrate from.", metavar="FILE")],
    target: Annotated[str | None, typer.Option(help="New database to build.", metavar="FILE")] = None,
    out: Out = None,
    on_dirty: OnDirty = "stop",
    online: Annotated[
        bool, typer.Option("--online", help="Let the source be written to meanwhile, and cut over at the end.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Finish an online migration of the source that was interrupted.")
    ] = False,
    pause: Annotated[
        int, typer.Option(min=1, max=10_000, help="Longest pause for writers at the cut over, in ms.", metavar="MS")
    ] = 50,
    deadline: Annotated[
        float, typer.Option(min=0.1, max=60, help="After so many s anyone may lift the freeze.", metavar="S")
    ] = 2.0,
    patience: Annotated[
        float, typer.Option(min=1, help="Give up if the target cannot catch up within so many s.", metavar="S")
    ] = 300.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Build a database at head from a source, which is backed up.

    Offline, the source is only read, and must not be written to meanwhile. Online, triggers in it log what is written
    while the target is built; the target follows until it has caught up, and then the source is closed to writers and
    names the target. Until then it can be stopped at any time; after it, ptp rollback takes back what was written.
    """
    from ptp.engine import database_path
    from ptp.migration.live import Pace
    from ptp.settings import load_settings
    from ptp.workbench import migrating, undoing
    from ptp.workbench import online as moving
    from ptp.workbench.places import make_folder
    from ptp.workbench.run import new_run_id

    old = database_path(source)
    if (target is None) != resume:
        raise UsageError("Give --target FILE, or --resume for a migration that was begun; see ptp migrate --help.")
    new = database_path(target) if target else old
    if dry_run:
        _tell_plan(old, new, online=online, on_dirty=on_dirty, as_json=as_json)
        return
    identity = new_run_id()
    folder = out or load_settings().reports_dir / identity
    pace = Pace(pause=pause / 1000, deadline=deadline, patience=patience)

    def work(told: Progress) -> Stage:
        if resume:
            return undoing.resume(old, folder, run=identity, pace=pace, progress=told)
        if online:
            return moving.migrate_online(old, new, folder, run=identity, on_dirty=on_dirty, pace=pace, progress=told)
        return migrating.migrate(old, new, folder, run=identity, on_dirty=on_dirty, progress=told)

    if resume:
        undoing.check_resumable(old)
    elif online:
        moving.check_movable(old, new, out=folder, on_dirty=on_dirty)
    else:
        migrating.plan_of(old, on_dirty=on_dirty)
        migrating.check_target(new, out=folder)
    make_folder(folder)
    stage = _run(work, folder, as_json=as_json)
    following = f"ptp verify --source {old} --target {new}"
    if online or resume:
        following = f"ptp rollback --source {old} takes it back, ptp settle --source {old} ends it for good"
    terminal.finish_stage(stage, f"Next: {following}", as_json=as_json)


def _run(work: Callable[[Progress], Stage], folder: Path, *, as_json: bool) -> Stage:
    """Do the work and keep its stage in the run folder; what dirt stopped has a stage too, which lists all of it."""
    from ptp.workbench import migrating

    try:
        with terminal.progress_bar("ptp migrate", silent=as_json) as progress:
            stage = work(progress)
    except DirtySource as dirty:
        stage = migrating.stopped(folder)
        if not as_json:
            terminal.tell_rows(stage.tables.get("Dirt", ()))
            raise
        terminal.tell_error(str(dirty))
        return stage
    write_stage(folder, stage)
    return stage


def _tell_plan(source: Path, target: Path, *, online: bool, on_dirty: OnDirty, as_json: bool) -> None:
    from ptp.workbench import migrating
    from ptp.workbench.online import plan_online

    plan = migrating.plan_of(source, on_dirty=on_dirty)
    document = {"version": 1, "hash": plan.hash, "shape": plan.shape, "statements": list(map(asdict, plan.statements))}
    text = plan.text
    if online:
        live = plan_online(source, target, on_dirty=on_dirty)
        document |= {"hash": live.hash, "statements": [{"phase": p, "sql": sql} for p, sql in live.statements()]}
        text = live.text
    head = f"-- plan {document['hash']}, shape {plan.shape}\n"
    typer.echo(json.dumps(document) if as_json else head + text, nl=as_json)
