"""`ptp report`: the report of a run that has been."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ptp.cli.options import Json

commands = typer.Typer()


@commands.command(epilog="Example: ptp report reports/latest")
def report(folder: Annotated[Path, typer.Argument(help="A run folder.", metavar="DIR")], as_json: Json = False) -> None:
    """Write the report of a run anew from its results."""
    from ptp.report.page import write_report

    page = write_report(folder)
    typer.echo(json.dumps({"version": 1, "report": str(page)}) if as_json else f"Report: {page}")
