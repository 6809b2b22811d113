"""`ptp quarantine`: a group of commands over what a migration kept."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ptp import terminal
from ptp.cli.options import Json
from ptp.errors import UsageError

commands = typer.Typer(
    name="quarantine",
    help="What a migration kept in quarantine: list it, export it, or try again to bring it home.",
    rich_markup_mode=None,
    epilog="Example: ptp quarantine list --target new.db",
)
Kept = Annotated[str, typer.Option(help="Database built with --on-dirty quarantine.", metavar="FILE")]
Table = Annotated[str, typer.Option(help="Only what comes from this source table.", metavar="TABLE")]


@commands.command("list", epilog="Example: ptp quarantine list --target new.db --table users")
def quarantine_list(target: Kept, table: Table = "", as_json: Json = False) -> None:
    """Say what stands in quarantine: counts and examples by table, column and reason."""
    from ptp.engine import database_path
    from ptp.workbench import keeping

    new = database_path(target)
    groups = keeping.list_quarantine(new, table=table)
    if as_json:
        typer.echo(json.dumps({"version": 1, "groups": list(map(asdict, groups))}, ensure_ascii=False))
        return
    terminal.tell_rows(keeping.readable(groups))
    typer.echo(f"{keeping.count_of(groups)}.")
    following = f"ptp quarantine export --target {new} --out DIR" if groups else f"ptp health --target {new}"
    typer.echo(f"Next: {following}")


@commands.command("export", epilog="Example: ptp quarantine export --target new.db --out originals")
def quarantine_export(
    target: Kept,
    out: Annotated[Path | None, typer.Option(help="Folder to write, new or empty.", metavar="DIR")] = None,
    table: Table = "",
    check: Annotated[
        Path | None, typer.Option(help="Write nothing; compare this export with the quarantine.", metavar="DIR")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write every original, not masked, to files that lose no byte, and prove it by reading them back."""
    from ptp.engine import database_path
    from ptp.workbench import keeping

    new = database_path(target)
    if (out is None) == (check is None):
        raise UsageError("Give --out DIR to write an export, or --check DIR to compare one; see --help.")
    if check is not None and table:
        raise UsageError("--table goes with --out: --check compares all that an export holds.")
    with terminal.progress_bar("ptp quarantine export", silent=as_json) as progress:
        if out is None:
            stage = keeping.check_export(new, check or Path())
        else:
            stage = keeping.export_quarantine(new, out, table=table, progress=progress)
    if not as_json:
        terminal.tell_rows(stage.tables.get("Files", ()))
    terminal.finish_stage(stage, f"Next: ptp quarantine retry --target {new} --dry-run", as_json=as_json)


@commands.command("retry", epilog="Example: ptp quarantine retry --target new.db --dry-run")
def quarantine_retry(
    target: Kept,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would come home, and change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Convert everything in quarantine anew, and bring home what no rule rejects any more.

    What is rounded has its original kept; what is refused breaks a rule of the database itself; a column that was
    changed since, or whose row is gone, is left alone. A try without change takes the lock of a writer, too.
    """
    from ptp.engine import database_path
    from ptp.workbench import keeping
    from ptp.workbench.identity import new_run_id

    new = database_path(target)
    with terminal.progress_bar("ptp quarantine retry", silent=as_json) as progress:
        stage = keeping.retry_quarantine(new, run=new_run_id(), dry_run=dry_run, progress=progress)
    if not as_json:
        terminal.tell_rows(keeping.without_zeros(stage.tables.get("Outcome", ())))
    following = f"ptp quarantine retry --target {new}" if dry_run else f"ptp verify --source SOURCE --target {new}"
    terminal.finish_stage(stage, f"Next: {following}", as_json=as_json)
