"""`ptp doctor`: whether this machine can do what ptp does."""

from __future__ import annotations

from pathlib import Path

import typer

from ptp import terminal
from ptp.cli.options import Json

commands = typer.Typer()


@commands.command(epilog="Example: ptp doctor")
def doctor(as_json: Json = False) -> None:
    """Look at this machine: Python, SQLite, packages, kernel, room, clock, settings; and say what to do."""
    from ptp.workbench import doctoring

    terminal.finish_stage(doctoring.examine(Path.cwd()), "Next: ptp run, for a demo", as_json=as_json)
