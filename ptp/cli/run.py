"""`ptp run`: everything, one after the other."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
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
    from ptp.workbench.run import Outcome, Request


commands = typer.Typer()


SourceOrDemo = Annotated[
    str | None, typer.Option("--source", help="Database to migrate; a demo if not given.", metavar="FILE")
]
NewTarget = Annotated[str | None, typer.Option("--target", help="New database; in DIR if not given.", metavar="FILE")]
Prove = Annotated[
    Literal["none", "quick", "full"],
    typer.Option(help="Prove the verifier: damage a demo in every known way, once or 25 times; is all of it seen?"),
]
LoadSeconds = Annotated[
    float, typer.Option(help="With --profile full: how long the load of 1,000 users is measured.", metavar="N")
]


@commands.command(epilog="Example: ptp run --source old.db --profile full")
def run(
    source: SourceOrDemo = None,
    target: NewTarget = None,
    out: Out = None,
    profile: Profile = "quick",
    env: NamedEnvironment = None,
    confirm: Confirm = None,
    on_dirty: OnDirty = "stop",
    prove: Prove = "quick",
    measure: Measure = "all",
    load_seconds: LoadSeconds = 60.0,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Migrate, verify, benchmark and report: one run, one verdict. With --profile full the target is loaded, too.

    With --env prod it is a dry run, unless --confirm names the file and a rehearsal of the same plan has held.
    """
    from ptp.engine import database_path
    from ptp.workbench.environments import is_dry
    from ptp.workbench.run import LOAD, Request

    place = _placed(chosen_source(source, env), database_path(target) if target else None, out)
    if is_dry(env, confirm=confirm, dry_run=dry_run):
        _preview(place, env=env, on_dirty=on_dirty, as_json=as_json)
        return
    if place.source is not None:
        _check(place.source, env, confirm, on_dirty)
    options = partial(Request, profile=profile, env=env or "dev", on_dirty=on_dirty, prove=prove, measure=measure)
    outcome = _executed(partial(options, load=replace(LOAD, seconds=load_seconds)), place, silent=as_json)
    _tell(outcome, place.folder, as_json=as_json)
    raise typer.Exit(outcome.exit_code)


@dataclass(frozen=True, slots=True)
class _Place:
    """What a run takes and where it puts it: no source is the demo, no target stands in the folder."""

    source: Path | None
    target: Path | None
    id: str
    folder: Path


def _placed(source: Path | None, target: Path | None, out: Path | None) -> _Place:
    """Without `out` a run has a folder of its own under reports/, by its id."""
    from ptp.settings import load_settings
    from ptp.workbench.identity import new_run_id

    identity = new_run_id()
    return _Place(source, target, identity, out or load_settings().reports_dir / identity)


def _executed(options: Callable[..., Request], place: _Place, *, silent: bool) -> Outcome:
    """The run itself, with the demo as its source where none is given."""
    from ptp.workbench.run import execute_run

    with terminal.progress_bar("ptp run", silent=silent) as progress:
        source = place.source or _demo(progress)
        return execute_run(options(source, place.folder, place.id, place.target), progress=progress)


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


def _preview(place: _Place, *, env: Environment | None, on_dirty: Policy, as_json: bool) -> None:
    """Tell what the first stage would do; the others only read."""
    from ptp.migration.live import Pace
    from ptp.workbench.previewing import preview

    with terminal.progress_bar("ptp run", silent=as_json) as progress:
        chosen = place.source or _demo(progress)
    built = place.target or place.folder / "target.db"
    found = preview(chosen, built, place.folder, online=False, on_dirty=on_dirty, pace=Pace())
    tell_preview(found, env=env, on_dirty=on_dirty, sql=False, as_json=as_json)
