"""`ptp migrate`: the first stage alone, offline or online, its dry run, its rehearsal, and the end of one cut short."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptp import terminal
from ptp.cli.options import Driver, Json, NamedEnvironment, OnDirty, Out
from ptp.cli.planning import Confirm, DryRun, Sql, aligned, chosen_source, tell_preview
from ptp.errors import DirtySource, UsageError
from ptp.evidence import Stage, write_stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from ptp.migration.live import Pace
    from ptp.migration.plan import OnDirty as Policy
    from ptp.settings import Environment
    from ptp.workbench.progress import Progress

commands = typer.Typer()


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be migrated, and how; `folder` is the run folder."""

    source: Path
    target: Path
    folder: Path
    run: str
    on_dirty: Policy
    online: bool
    pace: Pace
    env: Environment | None
    confirm: str | None
    fence_reads: bool
    driver: str | None


@commands.command(epilog="Example: ptp migrate --source old.db --target new.db --online")
def migrate(
    source: Annotated[
        str | None, typer.Option(help="Database to migrate from; that of --env if not given.", metavar="DB")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="New database to build; on a server an empty one.", metavar="DB")
    ] = None,
    out: Out = None,
    on_dirty: OnDirty = "stop",
    env: NamedEnvironment = None,
    confirm: Confirm = None,
    online: Annotated[
        bool, typer.Option("--online", help="Let the source be written to meanwhile, and cut over at the end.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Finish an online migration of the source, or one from or to a server.")
    ] = False,
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="Migrate and verify a full copy, note how it went, and remove the copy.")
    ] = False,
    pause: Annotated[
        int, typer.Option(min=1, max=10_000, help="Longest pause for writers at the cut over, in ms.", metavar="MS")
    ] = 50,
    deadline: Annotated[
        float, typer.Option(min=0.1, max=60, help="After so many s anyone may lift the freeze.", metavar="S")
    ] = 2.0,
    patience: Annotated[
        float, typer.Option(min=1, help="Give up if the target cannot catch up within so many s.", metavar="S")
    ] = 300.0,
    fence_reads: Annotated[
        bool, typer.Option("--fence-reads", help="After the cut over, let foreign readers of the source fail, too.")
    ] = False,
    driver: Driver = None,
    dry_run: DryRun = False,
    sql: Sql = False,
    as_json: Json = False,
) -> None:
    """Build a database at head from a source, which is backed up.

    Offline, the source is only read, and must not be written to meanwhile. Online, triggers in it log what is written
    while the target is built; the target follows until it has caught up, and then the source is closed to writers and
    names the target. Until then it can be stopped at any time; after it, ptp rollback takes back what was written.

    With --env prod nothing is changed unless --confirm names the file, and a rehearsal of the same plan on the same
    schema has held.

    Source and target may be on a server (libsql://HOST), the target empty; then it is offline. The source is copied
    into the run folder, the target built and verified there, loaded, compared, and opened. Cut off, the same command
    with --resume and the --out of the run goes on.
    """
    from ptp.cli import remote

    whole = remote.Remote(source, target, out, on_dirty, env, confirm, driver, rehearse, resume, dry_run or sql, sql)
    if whole.is_meant():
        whole.check_offline(online=online, fence_reads=fence_reads)
        remote.migrate(whole, as_json=as_json)
        return
    from ptp.engine import database_path
    from ptp.engine.drivers import driver_of
    from ptp.migration.live import Pace
    from ptp.settings import load_settings
    from ptp.workbench.identity import new_run_id

    old = chosen_source(source, env)
    if old is None:
        raise UsageError(
            "Give --source FILE, or --env NAME for the database of an environment; see ptp migrate --help."
        )
    if (target is None) != resume and not rehearse:
        raise UsageError("Give --target FILE, or --resume for a migration that was begun; see ptp migrate --help.")
    if rehearse and (resume or dry_run):
        raise UsageError("--rehearse goes alone: it works on a copy, and takes neither --resume nor --dry-run.")
    if fence_reads and not online:
        raise UsageError("--fence-reads goes with --online: offline, the source stays as it is.")
    if online or resume:
        driver_of(driver or "sqlite3").require("shared process", what="An online migration")
    identity = new_run_id()
    folder = out or load_settings().reports_dir / identity
    pace = Pace(pause=pause / 1000, deadline=deadline, patience=patience)
    new = database_path(target) if target else old
    wish = Wish(old, new, folder, identity, on_dirty, online, pace, env, confirm, fence_reads, driver)
    if rehearse:
        _rehearse(wish, as_json=as_json)
    elif resume:
        _resume(wish, dry_run=dry_run, as_json=as_json)
    else:
        _migrate(wish, dry_run=dry_run, sql=sql, as_json=as_json)


def _rehearse(wish: Wish, *, as_json: bool) -> None:
    from ptp.workbench import migrating, rehearsing
    from ptp.workbench.places import make_folder

    migrating.plan_of(wish.source, on_dirty=wish.on_dirty)
    make_folder(wish.folder)

    def work(told: Progress) -> Stage:
        return rehearsing.rehearse(wish.source, wish.folder, run=wish.run, on_dirty=wish.on_dirty, progress=told)

    stage = _run(work, wish.folder, as_json=as_json)
    following = f"ptp migrate --source {wish.source} --target NEW, as it was rehearsed"
    terminal.finish_stage(stage, f"Next: {following}", as_json=as_json)


def _resume(wish: Wish, *, dry_run: bool, as_json: bool) -> None:
    from ptp.workbench import environments, undoing
    from ptp.workbench.places import make_folder

    if dry_run:
        situation = undoing.check_resumable(wish.source)
        typer.echo(f"{situation.words} Next: the same command without --dry-run finishes it.")
        return
    environments.check_environment(wish.source, wish.env)
    environments.check_confirmed(wish.source, wish.env, wish.confirm)  # what was rehearsed has been begun already
    undoing.check_resumable(wish.source)
    make_folder(wish.folder)

    def work(told: Progress) -> Stage:
        return undoing.resume(wish.source, wish.folder, run=wish.run, pace=wish.pace, progress=told)

    _finish_online(wish, _run(work, wish.folder, as_json=as_json), as_json=as_json)


def _migrate(wish: Wish, *, dry_run: bool, sql: bool, as_json: bool) -> None:
    from ptp.workbench import environments, migrating, online, previewing
    from ptp.workbench.places import make_folder

    old, new, policy = wish.source, wish.target, wish.on_dirty
    if environments.is_dry(wish.env, confirm=wish.confirm, dry_run=dry_run or sql):
        found = previewing.preview(old, new, wish.folder, online=wish.online, on_dirty=policy, pace=wish.pace)
        tell_preview(found, env=wish.env, on_dirty=policy, sql=sql, as_json=as_json)
        return
    environments.check_environment(old, wish.env)
    environments.check_confirmed(old, wish.env, wish.confirm)
    if wish.online:
        online.check_movable(old, new, out=wish.folder, on_dirty=policy)
    else:
        migrating.plan_of(old, on_dirty=policy)
        migrating.check_target(new, out=wish.folder)
    environments.check_rehearsed(old, wish.env, on_dirty=policy)
    make_folder(wish.folder)

    def work(told: Progress) -> Stage:
        if wish.online:
            return online.migrate_online(
                old,
                new,
                wish.folder,
                run=wish.run,
                on_dirty=policy,
                fence_reads=wish.fence_reads,
                pace=wish.pace,
                progress=told,
            )
        return migrating.migrate(
            old, new, wish.folder, run=wish.run, on_dirty=policy, driver=wish.driver, progress=told
        )

    stage = _run(work, wish.folder, as_json=as_json)
    if wish.online:
        _finish_online(wish, stage, as_json=as_json)
    terminal.finish_stage(stage, f"Next: ptp verify --source {old} --target {new}", as_json=as_json)


def _finish_online(wish: Wish, stage: Stage, *, as_json: bool) -> None:
    back, end = f"ptp rollback --source {wish.source}", f"ptp settle --source {wish.source}"
    terminal.finish_stage(stage, f"Next: {back} takes it back, {end} ends it for good", as_json=as_json)


def _run(work: Callable[[Progress], Stage], folder: Path, *, as_json: bool) -> Stage:
    """Do the work and keep its stage in the run folder; what dirt stopped has a stage too, which lists all of it."""
    from ptp.workbench import migrating

    try:
        with terminal.progress_bar("ptp migrate", silent=as_json) as progress:
            stage = work(progress)
    except DirtySource as dirty:
        stage = migrating.stopped(folder)
        if not as_json:
            terminal.tell_rows(stage.tables.get("Dirt", ()))
            raise
        terminal.tell_error(str(dirty))
        return stage
    write_stage(folder, stage)
    if not as_json and stage.tables.get("Plan"):
        typer.echo(aligned(stage.tables["Plan"]))
    return stage
