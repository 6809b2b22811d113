"""`ptp` without a command: where things stand, and the next step."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer


def tell_state(*, as_json: bool) -> None:
    """Print which database, its shape, how far it is, the last run and its verdict, and what to do next."""
    from ptp.settings import load_settings
    from ptp.workbench.state import read_state

    found = read_state(load_settings())
    if as_json:
        last = {**asdict(found.last)} if found.last else None
        typer.echo(json.dumps({"version": 1, **asdict(found), "last": last}, ensure_ascii=False))
        return
    rows = {
        "Database": found.database,
        "Shape": found.shape,
        "Head": found.head,
        "In the way": found.obstacle,
        "Last run": found.last.words if found.last else "none yet",
    }
    for name, value in rows.items():
        if value:
            typer.echo(f"{name + ':':<12}{value}")
    typer.echo(f"Next: {found.following}")
    typer.echo("All commands: ptp --help")
