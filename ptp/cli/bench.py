"""`ptp bench`: the third stage alone."""

from __future__ import annotations

from typing import Annotated

import typer

from ptp import terminal
from ptp.cli.options import Json, Out, Profile, Seed, Target
from ptp.evidence import write_stage

commands = typer.Typer()


@commands.command(epilog="Example: ptp bench --target new.db --profile full")
def bench(
    target: Target,
    out: Out = None,
    profile: Profile = "quick",
    seed: Seed = 1,
    floors: Annotated[
        bool, typer.Option("--floors", help="Beside what plain sqlite3 takes for the same, not against the limits.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Time every query on a copy of a target, each against its limit."""
    from ptp.engine import database_path
    from ptp.settings import load_settings
    from ptp.workbench import benchmarking
    from ptp.workbench.floors import measure_floors, table_text
    from ptp.workbench.places import make_folder
    from ptp.workbench.run import new_run_id

    new = database_path(target)
    benchmarking.check_benchmarkable(new)
    folder = out or load_settings().reports_dir / new_run_id()
    make_folder(folder)
    measure = measure_floors if floors else benchmarking.benchmark
    with terminal.progress_bar("ptp bench", silent=as_json) as progress:
        stage = measure(new, folder, profile=profile, seed=seed, progress=progress)
    write_stage(folder, stage)
    if floors and not as_json:
        typer.echo(table_text(stage) + "\n")
    following = f"Raw samples: {folder / 'results' / (stage.name + '.json')}"
    terminal.finish_stage(stage, following, as_json=as_json)
