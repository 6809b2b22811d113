"""`ptp migrate` where source or target is on a server: the same words, on files that stand for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ptp import terminal
from ptp.errors import DirtySource, UsageError
from ptp.evidence import Stage, write_stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from ptp.migration.plan import OnDirty
    from ptp.settings import Environment
    from ptp.workbench.progress import Progress
    from ptp.workbench.remote_migrating import Way


@dataclass(frozen=True, slots=True)
class Remote:
    """What is asked for, as it was given."""

    source: str | None
    target: str | None
    out: Path | None
    on_dirty: OnDirty
    env: Environment | None
    confirm: str | None
    driver: str | None
    rehearse: bool
    resume: bool
    dry: bool
    sql: bool

    @property
    def url(self) -> str | None:
        """The source, that of the environment where none was named."""
        from ptp.settings import load_settings

        return self.source or (load_settings().database_url(self.env) if self.env else None)

    def is_meant(self) -> bool:
        """Whether source or target is on a server."""
        from ptp.workbench.remote import is_remote

        return is_remote(self.url) or is_remote(self.target)

    def check_offline(self, *, online: bool, fence_reads: bool) -> None:
        """Raise UsageError for what goes with files only, and where something is missing."""
        if online or fence_reads:
            raise UsageError(
                "--online goes with files only: for a database on a server stop what writes to it, and run the same "
                "command without --online."
            )
        if self.url is None:
            raise UsageError("Give --source DB, or --env NAME for the database of an environment.")
        if self.target is None and not self.rehearse:
            raise UsageError("Give --target DB, an empty database on a server or a new file; see ptp migrate --help.")
        if self.resume and self.out is None:
            raise UsageError("Give --out DIR with --resume: the folder of the run that was cut off.")
        if self.rehearse and (self.resume or self.dry):
            raise UsageError("--rehearse goes alone: it works on a copy, and takes neither --resume nor --dry-run.")


def migrate(asked: Remote, *, as_json: bool) -> None:
    """Migrate, rehearse, or show what would be done."""
    from ptp.settings import load_settings
    from ptp.workbench import environments, remote, remote_migrating
    from ptp.workbench.identity import new_run_id
    from ptp.workbench.places import make_folder

    source, run = asked.url or "", new_run_id()
    folder = asked.out or load_settings().reports_dir / run
    # A rehearsal builds a copy in the run folder, and looks at no target.
    way = remote_migrating.way_of(source, asked.target or str(folder / remote_migrating.TARGET), folder)
    for url in (u for u in (source, asked.target) if remote.is_remote(u)):
        remote.check_environment(str(url), asked.env)
    dry = environments.is_dry(asked.env, confirm=asked.confirm, dry_run=asked.dry)
    if not dry and not asked.rehearse:
        named = Path(remote.name_of(source)) if way.reads else way.old
        environments.check_confirmed(named, asked.env, asked.confirm)
        remote_migrating.check(way, resume=asked.resume)
    make_folder(folder)
    if asked.rehearse:
        _rehearse(asked, way, run, as_json=as_json)
    elif dry:
        _preview(asked, way, as_json=as_json)
    else:
        _migrate(asked, way, run, as_json=as_json)


def _preview(asked: Remote, way: Way, *, as_json: bool) -> None:
    from ptp.cli.planning import tell_preview
    from ptp.migration.live import Pace
    from ptp.workbench import previewing, remote_migrating

    with terminal.progress_bar("ptp migrate", silent=as_json) as progress:
        remote_migrating.fetch(way, progress=progress)
    found = previewing.preview(
        way.old,
        way.new,
        way.out,
        online=False,
        on_dirty=asked.on_dirty,
        pace=Pace(pause=0.05, deadline=2, patience=300),
    )
    tell_preview(found, env=asked.env, on_dirty=asked.on_dirty, sql=asked.sql, as_json=as_json)


def _rehearse(asked: Remote, way: Way, run: str, *, as_json: bool) -> None:
    from ptp.workbench import rehearsing, remote_migrating

    def work(told: Progress) -> Stage:
        remote_migrating.fetch(way, progress=told)
        return rehearsing.rehearse(way.old, way.out, run=run, on_dirty=asked.on_dirty, progress=told)

    stage = _run(work, way.out, as_json=as_json)
    terminal.finish_stage(
        stage, f"Next: ptp migrate --source {way.source} --target NEW, as it was rehearsed", as_json=as_json
    )


def _migrate(asked: Remote, way: Way, run: str, *, as_json: bool) -> None:
    from ptp.workbench import environments, remote_migrating

    def work(told: Progress) -> Stage:
        if asked.env == environments.PROD and not way.new.exists():
            remote_migrating.fetch(way, progress=told)
            environments.check_rehearsed(way.old, asked.env, on_dirty=asked.on_dirty)
        return remote_migrating.migrate(way, run=run, on_dirty=asked.on_dirty, driver=asked.driver, progress=told)

    stage = _run(work, way.out, as_json=as_json)
    following = f"Next: ptp verify --source {way.source} --target {way.target}"
    terminal.finish_stage(stage, following, as_json=as_json)


def _run(work: Callable[[Progress], Stage], folder: Path, *, as_json: bool) -> Stage:
    """Do the work and keep its stage; what dirt stopped has a stage too, which lists all of it."""
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
        from ptp.cli.planning import aligned

        typer.echo(aligned(stage.tables["Plan"]))
    return stage
