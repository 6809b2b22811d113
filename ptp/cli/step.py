"""`ptp step`: small steps on a database that ptp built, in place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from ptp import terminal
from ptp.cli.options import Json, Out
from ptp.errors import UsageError
from ptp.evidence import write_stage

if TYPE_CHECKING:
    from pathlib import Path

    from ptp.migration.in_place import StepPlan
    from ptp.workbench.stepping import Way

commands = typer.Typer()


@commands.command(epilog="Example: ptp step --target head.db --dry-run")
def step(
    target: Annotated[str, typer.Option(help="Database that ptp built; it is backed up first.", metavar="DB")],
    up: Annotated[
        bool, typer.Option("--up", help="Take all pending steps; this is what happens without an option.")
    ] = False,
    down: Annotated[bool, typer.Option("--down", help="Take the last step back, or those to --to.")] = False,
    to: Annotated[str, typer.Option(help="Go up or down to this step.", metavar="NNNN")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and change nothing.")] = False,
    plan: Annotated[
        str, typer.Option(help="Run only the plan with this hash, as --dry-run showed it.", metavar="HASH")
    ] = "",
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Take a database steps of sql/ up or down in place, each in one transaction with its row in the journal.

    Whatever a step does not name must stay as it was: schema to the character, rows of every table, references, views
    and triggers. What a step does besides is refused and rolled back. A backup is proven before the first change.

    On a server (libsql://HOST) all of this is done on a mirror first; then the step runs there, and both are compared.
    A step that builds a table anew is refused there.
    """
    from ptp.engine import database_path
    from ptp.settings import load_settings
    from ptp.workbench import remote, stepping
    from ptp.workbench.identity import new_run_id
    from ptp.workbench.places import make_folder

    if up and down:
        raise UsageError("Give --up or --down, not both; see ptp step --help.")
    if to and not (to.isdecimal() and len(to) <= 4):
        raise UsageError(f"--to takes the number of a step, such as 0003, not {to!r}; see ptp step --help.")
    number = int(to) if to else None
    way: stepping.Way = "up" if up else "down" if down else ""
    if remote.is_remote(target):
        _step_there(target, out, way, number, plan=plan, dry_run=dry_run, as_json=as_json)
        return
    path = database_path(target)
    planned = stepping.plan_of(path, way=way, to=number)
    if dry_run:
        _tell_plan(planned, as_json=as_json)
        return
    identity = new_run_id()
    folder = out or load_settings().reports_dir / identity
    make_folder(folder)
    with terminal.progress_bar("ptp step", silent=as_json) as progress:
        stage = stepping.step(path, folder, run=identity, way=way, to=number, shown=plan, progress=progress)
    write_stage(folder, stage)
    if not as_json:
        typer.echo(f"{stepping.words_of(planned.changes)}.")
    terminal.finish_stage(stage, f"Next: {stepping.following(path)}", as_json=as_json)


def _step_there(
    target: str, out: Path | None, way: Way, number: int | None, *, plan: str, dry_run: bool, as_json: bool
) -> None:
    from ptp.settings import load_settings
    from ptp.workbench import remote_stepping, stepping
    from ptp.workbench.identity import new_run_id
    from ptp.workbench.places import make_folder

    identity = new_run_id()
    folder = out or load_settings().reports_dir / identity
    make_folder(folder)
    with terminal.progress_bar("ptp step", silent=as_json) as progress:
        if dry_run:
            planned, _ = remote_stepping.plan_of(target, folder, way=way, to=number, progress=progress)
        else:
            stage, planned = remote_stepping.step(
                target, folder, run=identity, way=way, to=number, shown=plan, progress=progress
            )
    if dry_run:
        _tell_plan(planned, as_json=as_json)
        return
    write_stage(folder, stage)
    if not as_json:
        typer.echo(f"{stepping.words_of(planned.changes)}.")
    terminal.finish_stage(stage, f"Next: ptp health --target {target}", as_json=as_json)


def _tell_plan(planned: StepPlan, *, as_json: bool) -> None:
    from ptp.workbench.stepping import words_of

    if not as_json:
        head = f"-- plan {planned.hash}: {words_of(planned.changes)}\n"
        typer.echo(head + planned.text, nl=False)
        return
    steps = [
        {"step": c.step.name, "way": c.direction, "left_out": c.left_out, "statements": c.statements}
        for c in planned.changes
    ]
    typer.echo(json.dumps({"version": 1, "hash": planned.hash, "steps": steps}, ensure_ascii=False))
