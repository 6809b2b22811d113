"""`ptp bench`: the third stage alone; beside its floors, an earlier run, another commit, or other engines."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from ptp import terminal
from ptp.cli.options import Json, Measure, Out, Profile, Seed

commands = typer.Typer()

Floors = Annotated[
    bool, typer.Option("--floors", help="Beside what plain sqlite3 takes for the same, not against the limits.")
]
Against = Annotated[
    str | None,
    typer.Option(
        help="A commit: its code and this run here in pairs. A run folder: compare the counters.",
        metavar="COMMIT|DIR",
    ),
]
Engines = Annotated[
    list[str] | None,
    typer.Option(help="Beside sqlite3: libsql, turso or apsw. May be given more than once.", metavar="NAME"),
]


@commands.command(epilog="Example: ptp bench --target new.db --source old.db --profile full")
def bench(
    target: Annotated[str | None, typer.Option(help="Database at head.", metavar="FILE")] = None,
    source: Annotated[
        str | None, typer.Option(help="What it was migrated from, to measure the old queries on.", metavar="FILE")
    ] = None,
    out: Out = None,
    profile: Profile = "quick",
    measure: Measure = "all",
    seed: Seed = 1,
    floors: Floors = False,
    against: Against = None,
    engine: Engines = None,
    as_json: Json = False,
) -> None:
    """Time every query on a copy of a target, each against its limit, and tell what it costs."""
    from ptp.settings import load_settings
    from ptp.workbench import scratch
    from ptp.workbench.identity import new_run_id
    from ptp.workbench.measuring import Asked, keep
    from ptp.workbench.places import make_folder
    from ptp.workbench.terminal_tables import tables_text

    asked = Asked(target, source, profile, seed, measure, floors=floors, against=against, engines=tuple(engine or ()))
    asked.check()
    folder = out or load_settings().reports_dir / new_run_id()
    make_folder(folder)
    started = datetime.now(UTC)
    with terminal.progress_bar("ptp bench", silent=as_json) as progress, scratch.working(folder, doing="measuring"):
        stage = asked.measure(folder, progress)
    keep(folder, asked.run(folder, started=started, seconds=stage.seconds), stage)
    if not as_json and (text := tables_text(stage)):
        typer.echo(text + "\n")
    terminal.finish_stage(stage, f"Next: open {folder / 'index.html'}", as_json=as_json, notes=False)
