"""`ptp optimize` and `ptp health`: the care of a target in use."""

from __future__ import annotations

from typing import Annotated

import typer

from ptp import terminal
from ptp.cli.options import Json, Target

commands = typer.Typer()


@commands.command(epilog="Example: ptp optimize --target new.db --dry-run")
def optimize(
    target: Target,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Analyze a target and create the indexes of head that it lacks, each tried on a copy first."""
    from ptp.engine import database_path
    from ptp.workbench import optimizing

    new = database_path(target)
    with terminal.progress_bar("ptp optimize", silent=as_json) as progress:
        stage = optimizing.optimize(new, dry_run=dry_run, progress=progress)
    if not as_json:
        terminal.tell_rows(stage.tables.get("Advice", ()))
    following = f"Next: ptp optimize --target {new}" if dry_run else f"Next: ptp health --target {new}"
    terminal.finish_stage(stage, following, as_json=as_json)


@commands.command(epilog="Example: ptp health --target new.db")
def health(target: Target, as_json: Json = False) -> None:
    """Look at a target from all sides, only reading it, and say what to do where something is not right."""
    from ptp.engine import database_path
    from ptp.workbench import health as checks
    from ptp.workbench.remote import is_remote
    from ptp.workbench.remote_health import examine_remote

    with terminal.progress_bar("ptp health", silent=as_json) as progress:
        if is_remote(target):
            stage = examine_remote(target, progress=progress)
        else:
            stage = checks.examine(database_path(target), progress=progress)
    terminal.finish_stage(stage, f"Next: ptp bench --target {target}", as_json=as_json)
