"""`ptp run`: everything, one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ptp import terminal
from ptp.cli.options import Json, NamedEnvironment, OnDirty, Out, Profile
from ptp.errors import UsageError
from ptp.workbench.progress import Progress

if TYPE_CHECKING:
    from ptp.settings import Environment, Settings


commands = typer.Typer()


@commands.command(epilog="Example: ptp run --source old.db --profile full")
def run(
    source: Annotated[
        str | None, typer.Option(help="Database to migrate; a demo if not given.", metavar="FILE")
    ] = None,
    target: Annotated[str | None, typer.Option(help="New database; in DIR if not given.", metavar="FILE")] = None,
    out: Out = None,
    profile: Profile = "quick",
    env: NamedEnvironment = None,
    on_dirty: OnDirty = "stop",
    prove: Annotated[
        Literal["none", "quick", "full"],
        typer.Option(help="Prove the verifier: damage a demo in every known way, once or 25 times; is all of it seen?"),
    ] = "quick",
    as_json: Json = False,
) -> None:
    """Migrate, verify, benchmark and report: one run, one verdict."""
    from ptp.engine import database_path
    from ptp.settings import load_settings
    from ptp.workbench.run import Request, execute_run, new_run_id

    settings = load_settings()
    identity = new_run_id()
    folder = out or settings.reports_dir / identity
    with terminal.progress_bar("ptp run", silent=as_json) as progress:
        request = Request(
            source=_source(source, env, settings, progress),
            out=folder,
            id=identity,
            target=database_path(target) if target else None,
            profile=profile,
            env=env or "dev",
            on_dirty=on_dirty,
            prove=prove,
        )
        outcome = execute_run(request, progress=progress)
    if as_json:
        typer.echo((folder / "verdict.json").read_text(encoding="utf-8"), nl=False)
    else:
        if outcome.error:
            terminal.tell_error(str(outcome.error))
        terminal.tell_run(outcome.evidence, report=str(folder / "index.html"))
    raise typer.Exit(outcome.exit_code)


def _source(given: str | None, env: Environment | None, settings: Settings, progress: Progress) -> Path:
    """The source as given, that of the environment, or the demo."""
    from ptp.engine import database_path
    from ptp.workbench.places import demo_source

    if given:
        return database_path(given)
    if env is None:
        return demo_source(progress=progress)
    url = settings.database_url(env)
    if not url:
        raise UsageError(f"--env {env} wants TURSO_DATABASE_URL_{env.upper()} or TURSO_DATABASE_URL to be set.")
    return database_path(url)
