"""`ptp run`: everything, one after the other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ptp import terminal
from ptp.cli.options import Json, Measure, NamedEnvironment, OnDirty, Out, Profile
from ptp.cli.planning import Confirm, DryRun, chosen_source, tell_preview
from ptp.errors import DirtySource
from ptp.workbench.progress import Progress

if TYPE_CHECKING:
    from ptp.migration.plan import OnDirty as Policy
    from ptp.settings import Environment
    from ptp.workbench.run import Outcome


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
    confirm: Confirm = None,
    on_dirty: OnDirty = "stop",
    prove: Annotated[
        Literal["none", "quick", "full"],
        typer.Option(help="Prove the verifier: damage a demo in every known way, once or 25 times; is all of it seen?"),
    ] = "quick",
    measure: Measure = "all",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Migrate, verify, benchmark and report: one run, one verdict.

    With --env prod it is a dry run, unless --confirm names the file and a rehearsal of the same plan has held.
    """
    from ptp.engine import database_path
    from ptp.settings import load_settings
    from ptp.workbench.environments import is_dry
    from ptp.workbench.identity import new_run_id
    from ptp.workbench.run import Request, execute_run

    identity = new_run_id()
    folder = out or load_settings().reports_dir / identity
    given = chosen_source(source, env)
    wanted = database_path(target) if target else None
    if is_dry(env, confirm=confirm, dry_run=dry_run):
        _preview(given, wanted, folder, env=env, on_dirty=on_dirty, as_json=as_json)
        return
    if given is not None:
        _check(given, env, confirm, on_dirty)
    with terminal.progress_bar("ptp run", silent=as_json) as progress:
        request = Request(
            source=given or _demo(progress),
            out=folder,
            id=identity,
            target=wanted,
            profile=profile,
            env=env or "dev",
            on_dirty=on_dirty,
            prove=prove,
            measure=measure,
        )
        outcome = execute_run(request, progress=progress)
    _tell(outcome, folder, as_json=as_json)
    raise typer.Exit(outcome.exit_code)


def _tell(outcome: Outcome, folder: Path, *, as_json: bool) -> None:
    """Print how a run ended; of one that dirt stopped, every kind of it with its examples."""
    rows = [row for stage in outcome.evidence.stages for row in stage.tables.get("Dirt", ())]
    dirt = rows if isinstance(outcome.error, DirtySource) else []
    if as_json:
        document = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
        typer.echo(json.dumps({**document, "dirt": dirt} if dirt else document, ensure_ascii=False))
        return
    terminal.tell_rows(dirt)
    if outcome.error:
        terminal.tell_error(str(outcome.error))
    terminal.tell_run(outcome.evidence, report=str(folder / "index.html"))


def _demo(progress: Progress) -> Path:
    from ptp.workbench.places import demo_source

    return demo_source(progress=progress)


def _check(source: Path, env: Environment | None, confirm: str | None, on_dirty: Policy) -> None:
    """Refuse to touch the database of prod unless that is meant, and was rehearsed."""
    from ptp.workbench import environments

    environments.check_environment(source, env)
    environments.check_confirmed(source, env, confirm)
    environments.check_rehearsed(source, env, on_dirty=on_dirty)


def _preview(
    source: Path | None, target: Path | None, folder: Path, *, env: Environment | None, on_dirty: Policy, as_json: bool
) -> None:
    """Tell what the first stage would do; the others only read."""
    from ptp.migration.live import Pace
    from ptp.workbench.previewing import preview

    with terminal.progress_bar("ptp run", silent=as_json) as progress:
        chosen = source or _demo(progress)
    built = target or folder / "target.db"
    found = preview(chosen, built, folder, online=False, on_dirty=on_dirty, pace=Pace())
    tell_preview(found, env=env, on_dirty=on_dirty, sql=False, as_json=as_json)
