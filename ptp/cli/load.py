"""`ptp load`: many users at once, against the limits; or the highest rate that holds them."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from ptp import terminal
from ptp.cli.options import Json, Out, Seed, Target

commands = typer.Typer()

_EPILOG = "Example: ptp load --target new.db --profile heavy --driver http --seconds 60"

Users = Annotated[
    Literal["light", "medium", "heavy", "spike"],
    typer.Option("--profile", help="100, 500 or 1,000 users; spike: 500, and 1,500 for a third of the time."),
]
Driver = Annotated[
    Literal["http", "process"],
    typer.Option(help="http: the API of a server that is started; process: the queries themselves."),
]
Url = Annotated[
    str | None, typer.Option(help="A server that runs already, on the target, with --insecure-dev.", metavar="URL")
]
Many = Annotated[int | None, typer.Option(help="So many users instead of the profile's.", metavar="N")]
Rate = Annotated[
    float | None, typer.Option(help="So many requests a second; where --find-capacity begins.", metavar="N")
]
Seconds = Annotated[float, typer.Option(help="How long is measured, after a warm-up.", metavar="N")]
Workers = Annotated[int, typer.Option(help="Processes of the server that is started, or of --url.", min=1, max=64)]
FindCapacity = Annotated[
    bool, typer.Option("--find-capacity", help="Search for the highest rate that holds every limit.")
]


@commands.command(epilog=_EPILOG)
def load(
    target: Target,
    profile: Users = "medium",
    driver: Driver = "http",
    url: Url = None,
    users: Many = None,
    rate: Rate = None,
    seconds: Seconds = 60.0,
    workers: Workers = 1,
    find_capacity: FindCapacity = False,
    seed: Seed = 1,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Load a copy of a target with many users at once, and check that no acknowledged answer is lost or doubled."""
    from ptp.engine import database_path
    from ptp.settings import load_settings
    from ptp.workbench.identity import new_run_id
    from ptp.workbench.load_asked import Asked
    from ptp.workbench.load_tables import text_of
    from ptp.workbench.loading import Wanted

    wanted = Wanted(profile, driver, seconds, users, rate, seed, url, workers)
    asked = Asked(database_path(target), wanted, find_capacity)
    asked.check()
    folder = out or load_settings().reports_dir / new_run_id()
    with terminal.progress_bar("ptp load", silent=as_json) as progress:
        stage = asked.measure(folder, progress)
    if not as_json:
        typer.echo(text_of(stage) + "\n")
    terminal.finish_stage(stage, f"Next: open {folder / 'index.html'}", as_json=as_json, notes=False)
