"""`ptp backup`: a group of commands over proven backups of any SQLite database."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ptp import terminal
from ptp.cli.options import Json

commands = typer.Typer(
    name="backup",
    help="Backups that were proven by restoring them: take, list, check, restore, and let old ones go.",
    rich_markup_mode=None,
    epilog="Example: ptp backup take --source app.db --json",
)
Folder = Annotated[
    Path | None,
    typer.Option(help="Folder of backups; PTP_BACKUPS_DIR if not given, which is backups/ by default.", metavar="DIR"),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")]


def _folder(given: Path | None) -> Path:
    """The folder of backups; what became of a restore that was cut off there is told first."""
    from ptp.settings import load_settings
    from ptp.workbench import backing

    folder = given or load_settings().backups_dir
    if told := backing.interrupted(folder):
        terminal.tell_error(told)
    return folder


@commands.command(epilog="Example: ptp backup take --source app.db --out backups")
def take(
    source: Annotated[str, typer.Option(help="Database to back up; it is only read.", metavar="DB")],
    out: Folder = None,
    as_json: Json = False,
) -> None:
    """Back up a database while it is in use, and prove the backup by restoring it and comparing every row.

    In WAL mode nobody waits; the log cannot be reset until the proof is done, so it grows by what is written meanwhile.
    In rollback-journal mode writers wait while the file is copied and its bytes are compared, about as long as reading
    it three times: give them a busy timeout of that length, or use WAL mode.

    Of a database on a server (libsql://HOST) a mirror is made first, by ranges of keys, and proven to be equal to it at
    one moment. Cut off, the same command goes on; the next time only what differs is fetched.
    """
    from ptp.engine import database_path
    from ptp.workbench import backing, remote, remote_backing

    folder, database = _folder(out), source if remote.is_remote(source) else database_path(source)
    with terminal.progress_bar("ptp backup take", silent=as_json) as progress:
        if isinstance(database, str):
            stage = remote_backing.take(database, folder, progress=progress)
        else:
            stage = backing.take(database, folder, progress=progress)
    if not as_json:
        terminal.tell_rows(stage.tables["Backup"])
    path = stage.tables["Backup"][0]["backup"]
    terminal.finish_stage(stage, f"Next: ptp backup restore {path} --target {database} --dry-run", as_json=as_json)


@commands.command("list", epilog="Example: ptp backup list --out backups")
def list_(out: Folder = None, as_json: Json = False) -> None:
    """List the backups of a folder, newest first: of what, when, how many rows, and when they were proven."""
    from ptp.workbench import backing

    folder = _folder(out)
    backups = backing.list_backups(folder)
    if as_json:
        found = [{"path": str(b.path), **asdict(b.record)} for b in backups]
        typer.echo(json.dumps({"version": 1, "folder": str(folder), "backups": found}, ensure_ascii=False))
        return
    terminal.tell_rows(backing.readable(backups))
    typer.echo(f"{len(backups)} backups in {folder}.")
    typer.echo(f"Next: ptp backup {'check' if backups else 'take --source FILE'} --out {folder}")


@commands.command(epilog="Example: ptp backup check backups/app-20260102T030405Z.db")
def check(
    backup: Annotated[Path | None, typer.Argument(help="A backup; all of the folder if not given.")] = None,
    out: Folder = None,
    as_json: Json = False,
) -> None:
    """Prove backups anew, without the database that they are of: bytes, a restore into a scratch file, every row."""
    from ptp.workbench import backing

    folder = _folder(out)
    chosen = [backup] if backup else [b.path for b in backing.list_backups(folder)]
    with terminal.progress_bar("ptp backup check", silent=as_json) as progress:
        stage = backing.check(chosen, progress=progress)
    terminal.finish_stage(stage, f"Next: ptp backup restore {chosen[0]} --target FILE --dry-run", as_json=as_json)


@commands.command(epilog="Example: ptp backup restore backups/app-20260102T030405Z.db --target app.db")
def restore(
    backup: Annotated[Path, typer.Argument(help="A backup, as ptp backup list names it.")],
    target: Annotated[str, typer.Option(help="Database to restore; nobody may have it open.", metavar="DB")],
    out: Folder = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Bring a backup back as one transaction, and compare every row; what it replaces is backed up first.

    Whatever stops it, the database is whole: as it was, or as restored, and the next ptp backup says which. A database
    on a server has to be empty, is closed until all of it was compared, and cut off the same command goes on.
    """
    from ptp.engine import database_path
    from ptp.workbench import backing, remote

    if remote.is_remote(target):
        _restore_there(backup, target, dry_run=dry_run, as_json=as_json)
    folder, database = _folder(out), database_path(target)
    if dry_run:
        rows = backing.compared_rows(backing.restoring(backup, database, folder))
        if as_json:
            typer.echo(json.dumps({"version": 1, "tables": rows}, ensure_ascii=False))
            return
        terminal.tell_rows(rows)
        typer.echo(f"Next: ptp backup restore {backup} --target {database}")
        return
    with terminal.progress_bar("ptp backup restore", silent=as_json) as progress:
        stage = backing.bring_back(backup, database, folder, progress=progress)
    if not as_json:
        terminal.tell_rows(stage.tables["Restored"])
    undo = backing.undo_of(stage)
    terminal.finish_stage(stage, f"To undo it: {undo}" if undo else f"Next: use {database}", as_json=as_json)


def _restore_there(backup: Path, target: str, *, dry_run: bool, as_json: bool) -> None:
    from ptp.migration.record import read_record
    from ptp.workbench import remote_backing

    if dry_run:
        remote_backing.check_restorable(backup, target)
        rows = [{"table": name, "restored": count} for name, count in read_record(backup).rows.items()]
        if as_json:
            typer.echo(json.dumps({"version": 1, "tables": rows}, ensure_ascii=False))
        else:
            terminal.tell_rows(rows)
            typer.echo(f"Next: ptp backup restore {backup} --target {target}")
        raise typer.Exit
    with terminal.progress_bar("ptp backup restore", silent=as_json) as progress:
        stage = remote_backing.bring_back(backup, target, progress=progress)
    if not as_json:
        terminal.tell_rows(stage.tables["Restored"])
    terminal.finish_stage(stage, f"Next: use {target}", as_json=as_json)


@commands.command(epilog="Example: ptp backup prune --keep 7 --days 30 --dry-run")
def prune(
    keep: Annotated[
        int | None, typer.Option(min=1, help="Keep the newest N of each database; PTP_BACKUPS_KEEP if not given.")
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=0, help="Also the newest of each of the last D days; PTP_BACKUPS_DAYS.")
    ] = None,
    out: Folder = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Let old backups go, but never the newest proven one of a database, nor one that a run folder names."""
    from ptp.settings import load_settings
    from ptp.workbench import backing

    folder, settings = _folder(out), load_settings()
    wanted = settings.backups_keep if keep is None else keep, settings.backups_days if days is None else days
    with terminal.progress_bar("ptp backup prune", silent=as_json) as progress:
        decided = backing.prune(
            folder, settings.reports_dir, keep=wanted[0], days=wanted[1], dry_run=dry_run, progress=progress
        )
    gone = [d for d in decided if not d.reason]
    if as_json:
        found = [{"path": str(d.backup.path), "stays": d.reason} for d in decided]
        typer.echo(json.dumps({"version": 1, "dry_run": dry_run, "backups": found}, ensure_ascii=False))
        return
    for each in decided:
        typer.echo(f"{'keep' if each.reason else 'remove':<8}{each.backup.path}  {each.reason}".rstrip())
    done = "would be removed" if dry_run else "removed"
    typer.echo(f"{len(gone)} of {len(decided)} backups {done}.")
    typer.echo("Next: ptp backup prune" if dry_run and gone else f"Next: ptp backup list --out {folder}")
