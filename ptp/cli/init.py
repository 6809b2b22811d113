"""`ptp init`: begin with a database of one's own, by a few questions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import SecretStr

from ptp.errors import UsageError

if TYPE_CHECKING:
    from ptp.workbench.beginning import Answers

commands = typer.Typer()


@commands.command(epilog="Example: ptp init --source old.db")
def init(
    source: Annotated[
        str | None, typer.Option(help="Database file, or address of a server; asked for if not given.", metavar="URL")
    ] = None,
    reports: Annotated[str, typer.Option(help="Folder of the reports.", metavar="DIR")] = "reports",
    backups: Annotated[str, typer.Option(help="Folder of the backups.", metavar="DIR")] = "backups",
) -> None:
    """Write .env and ptp.toml into this folder, by asking what is not given; nothing that is there is replaced."""
    from ptp.workbench import beginning

    place = Path.cwd()
    beginning.check_free(place)
    if source is None and not sys.stdin.isatty():
        raise UsageError("There is nobody to ask: say ptp init --source FILE, or run it in a terminal.")
    answers = _asked(reports, backups) if source is None else beginning.Answers(source, None, reports, backups)
    words, is_usable = beginning.what_it_is(answers.source)
    typer.echo(f"{answers.source}: {words}")
    for path in beginning.write_files(place, answers):
        typer.echo(f"Wrote {path.relative_to(place)}")
    if not is_usable:
        typer.echo("Next: put right what the first line says; ptp alone shows where things stand")
    elif answers.is_remote:
        typer.echo(f"Next: ptp backup --source {answers.source}, with its token as TURSO_AUTH_TOKEN in .env")
    else:
        typer.echo("Next: ptp run, which migrates a copy and leaves the database as it is")


def _asked(reports: str, backups: str) -> Answers:
    from ptp.workbench.beginning import Answers

    source = typer.prompt("Database to migrate (a file, or libsql://host)").strip()
    token = None
    if Answers(source, None, reports, backups).is_remote:
        text = typer.prompt("Its token (not shown; empty for none)", hide_input=True, default="", show_default=False)
        token = SecretStr(text.strip()) if text.strip() else None
    reports = typer.prompt("Folder of the reports", default=reports).strip()
    backups = typer.prompt("Folder of the backups", default=backups).strip()
    return Answers(source, token, reports, backups)
