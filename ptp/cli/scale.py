"""`ptp scale`: response times across the world and the bill of a month, modelled from what is measured here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ptp import terminal
from ptp.cli.options import Json, Out, Seed, Target

commands = typer.Typer()

_EPILOG = "Example: ptp scale --target new.db --users 1000 --budget 50 --topology replicas --primary frankfurt"

Users = Annotated[int, typer.Option(help="Active users in a month.", metavar="N")]
Sessions = Annotated[int, typer.Option(help="Study sessions of a user in a month.", metavar="N")]
Answers = Annotated[int, typer.Option(help="Questions answered in a session.", metavar="N")]
Growth = Annotated[float, typer.Option(help="% by which users become more, each month.", metavar="N")]
Budget = Annotated[float, typer.Option(help="$ that a month may cost.", metavar="N")]
Plan = Annotated[str, typer.Option(help="Free, Developer, Scaler, Pro; auto is the cheapest.", metavar="NAME")]
Where = Annotated[
    Literal["primary", "regional", "replicas"],
    typer.Option(help="Applications: beside the primary; by region; by region, each with a local replica."),
]
Primary = Annotated[str, typer.Option(help="Region in which the primary stands.", metavar="NAME")]
Region = Annotated[
    list[str] | None, typer.Option(help="Region of users; may be given more than once. All, if not given.")
]
LastMile = Annotated[float, typer.Option(help="Round trip in ms from a user to their region.", metavar="MS")]
CacheHits = Annotated[float, typer.Option(help="Share of the reads that a cache answers, 0 to 1.", metavar="N")]
Months = Annotated[int, typer.Option(help="Months of answers that are kept when the bill comes.", metavar="N")]
Source = Annotated[
    str | None, typer.Option(help="What it was migrated from: of the raw shape, it is billed beside head.")
]
Times = Annotated[
    Path | None,
    typer.Option(help="Run folder of ptp bench, load or run, to take service times from.", metavar="DIR"),
]


@commands.command(epilog=_EPILOG)
def scale(
    target: Target,
    users: Users = 1_000,
    sessions: Sessions = 12,
    answers: Answers = 20,
    growth: Growth = 0.0,
    budget: Budget = 50.0,
    plan: Plan = "auto",
    topology: Where = "primary",
    primary: Primary = "washington",
    region: Region = None,
    last_mile: LastMile = 20.0,
    cache_hits: CacheHits = 0.0,
    months: Months = 12,
    source: Source = None,
    times: Times = None,
    seed: Seed = 1,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Estimate p95 by region and the bill of a month, with ranges, and what would help; the target is only read."""
    from ptp.engine import database_path
    from ptp.settings import load_settings
    from ptp.workbench.identity import new_run_id
    from ptp.workbench.scale_asked import Asked
    from ptp.workbench.scale_tables import text_of
    from ptp.workbench.scale_wanted import Wanted

    wanted = Wanted(
        users=users,
        sessions=sessions,
        answers=answers,
        growth=growth,
        budget=budget,
        plan=plan,
        topology=topology,
        primary=primary,
        regions=tuple(region or ()),
        last_mile=last_mile,
        cache_hits=cache_hits,
        months=months,
        seed=seed,
    )
    asked = Asked(database_path(target), wanted, database_path(source) if source else None, times)
    asked.check()
    folder = out or load_settings().reports_dir / new_run_id()
    with terminal.progress_bar("ptp scale", silent=as_json) as progress:
        stage = asked.measure(folder, progress)
    if not as_json:
        typer.echo(text_of(stage) + "\n")
    terminal.finish_stage(stage, f"Next: open {folder / 'index.html'}", as_json=as_json, notes=False)
