"""`ptp rollback` and `ptp settle`: the two ends of an online migration."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from ptp import terminal
from ptp.cli.options import Json

commands = typer.Typer()

Moved = Annotated[str, typer.Option(help="Database that the online migration started from.", metavar="FILE")]


@commands.command(epilog="Example: ptp rollback --source old.db --dry-run")
def rollback(
    source: Moved,
    deadline: Annotated[
        float, typer.Option(min=0.1, max=3600, help="After so many s anyone may lift the freeze.", metavar="S")
    ] = 60.0,
    without_target: Annotated[
        bool, typer.Option("--without-target", help="The target is lost: open the source as it was at the cut over.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Take an online migration back, in whatever phase it is, with all that was written since.

    Before the cut over its triggers leave the source, and the half-built target goes. After it, what was written to the
    target is written back to the source, column by column, while nobody can write; then the target names the source.
    """
    from ptp.engine import database_path
    from ptp.workbench import undoing

    old = database_path(source)
    if dry_run:
        found = undoing.look_back(old)
        if as_json:
            typer.echo(json.dumps({"version": 1, **asdict(found)}, ensure_ascii=False))
            return
        typer.echo(found.words)
        typer.echo(f"{found.keys:,} keys were written since, and would be written back.")
        for place in found.without_place:
            typer.echo(f"There is no place in the source for {place}: a rollback is refused until that is removed.")
        typer.echo(f"Next: ptp rollback --source {old}")
        return
    with terminal.progress_bar("ptp rollback", silent=as_json) as progress:
        stage = undoing.roll_back(old, deadline=deadline, without_target=without_target, progress=progress)
    terminal.finish_stage(stage, f"Next: ptp migrate --source {old} --target NEW --online", as_json=as_json)


@commands.command(epilog="Example: ptp settle --source old.db")
def settle(source: Moved, as_json: Json = False) -> None:
    """End an online migration for good: the target stops keeping the way back, and the source stays closed."""
    from ptp.engine import database_path
    from ptp.workbench import undoing

    old = database_path(source)
    stage = undoing.settle(old)
    terminal.finish_stage(stage, f"Next: ptp backup take --source {undoing.target_of(old)}", as_json=as_json)
