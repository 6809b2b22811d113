"""`ptp demo`: a source to try things on."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from ptp import terminal
from ptp.cli.options import Json, Seed

commands = typer.Typer()


@commands.command(epilog="Example: ptp demo --shape drizzle --size full --seed 7 --out demo.db")
def demo(
    out: Annotated[Path, typer.Option(help="File to write.", metavar="FILE")],
    shape: Annotated[Literal["raw", "drizzle"], typer.Option(help="Which schema the source has.")] = "raw",
    size: Annotated[
        Literal["tiny", "quick", "full"], typer.Option(help="2,000, 100,000 or 1,000,000 answers.")
    ] = "quick",
    seed: Seed = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE if it exists.")] = False,
    as_json: Json = False,
) -> None:
    """Write a demo source: a database as the platform would have left it."""
    from ptp.workload.demo import write_demo

    with terminal.progress_bar("ptp demo", silent=as_json) as progress:
        made = write_demo(shape=shape, size=size, seed=seed, out=out, overwrite=overwrite, progress=progress)
    if as_json:
        typer.echo(json.dumps({"version": 1, **asdict(made), "rows": dict(made.rows), "path": str(made.path)}))
        return
    rows = sum(made.rows.values())
    typer.echo(f"{made.path}: {shape}, {rows:,} rows, {made.bytes / 1e6:,.1f} MB, {made.seconds:.1f} s")
    typer.echo(f"Next: ptp run --source {made.path}")
