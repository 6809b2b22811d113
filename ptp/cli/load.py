"""`ptp load`: many users at once, against the limits; or the highest rate that holds them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from ptp import terminal
from ptp.cli.options import Json, Out, Seed, Target

commands = typer.Typer()

_EPILOG = "Example: ptp load --target new.db --profile heavy --driver http --seconds 60"


@commands.command(epilog=_EPILOG)
def load(
    target: Target,
    profile: Annotated[
        Literal["light", "medium", "heavy", "spike"],
        typer.Option(help="100, 500 or 1,000 users; spike: 500, and 1,500 for a third of the time."),
    ] = "medium",
    driver: Annotated[
        Literal["http", "process"],
        typer.Option(help="http: the API of a server that is started; process: the queries themselves."),
    ] = "http",
    url: Annotated[
        str | None,
        typer.Option(help="A server that runs already, on the target, with --insecure-dev.", metavar="URL"),
    ] = None,
    users: Annotated[int | None, typer.Option(help="So many users instead of the profile's.", metavar="N")] = None,
    rate: Annotated[
        float | None, typer.Option(help="So many requests a second; where --find-capacity begins.", metavar="N")
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long is measured, after a warm-up.", metavar="N")] = 60.0,
    workers: Annotated[int, typer.Option(help="Processes of the server that is started.", min=1, max=64)] = 1,
    find_capacity: Annotated[
        bool, typer.Option("--find-capacity", help="Search for the highest rate that holds every limit.")
    ] = False,
    seed: Seed = 1,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Load a copy of a target with many users at once, and check that no acknowledged answer is lost or doubled."""
    from ptp.engine import database_path
    from ptp.settings import load_settings
    from ptp.workbench.capacity import capacity
    from ptp.workbench.identity import new_run_id
    from ptp.workbench.loading import Wanted, check_loadable, load_wanted, run_of
    from ptp.workbench.measuring import keep
    from ptp.workbench.places import make_folder

    wanted = Wanted(profile, driver, seconds, users, rate, seed, url, workers)
    path = database_path(target)
    wanted.check()
    check_loadable(path)
    folder = out or load_settings().reports_dir / new_run_id()
    make_folder(folder)
    started = datetime.now(UTC)
    with terminal.progress_bar("ptp load", silent=as_json) as progress:
        measure = capacity if find_capacity else load_wanted
        stage = measure(path, folder, wanted, progress=progress)
    keep(folder, run_of(path, folder, wanted, started=started, seconds=stage.seconds), stage)
    if not as_json:
        from ptp.workbench.load_tables import text_of

        typer.echo(text_of(stage) + "\n")
    terminal.finish_stage(stage, f"Next: open {folder / 'index.html'}", as_json=as_json)
