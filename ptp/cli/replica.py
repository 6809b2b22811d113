"""`ptp replica`: a group of commands over local read-only replicas of a remote database."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptp import terminal
from ptp.cli.options import Json

if TYPE_CHECKING:
    from ptp.workbench.replicas import Line, Place

commands = typer.Typer(
    name="replica",
    help=(
        "Local read-only replicas of a remote database through Turso Sync: they pull and are read, and never write. "
        "Writes go to the primary, and so do migrations; the next pull brings them."
    ),
    rich_markup_mode=None,
    epilog="Example: ptp replica create --replica near.db --remote libsql://app.turso.io",
)
File = Annotated[Path, typer.Option(help="File of the replica; one process at a time has it open.", metavar="FILE")]
Remote = Annotated[
    str,
    typer.Option(
        help="Address to pull from: libsql://, https:// or http://127.0.0.1:port; the token is in TURSO_AUTH_TOKEN.",
        metavar="URL",
    ),
]
KnownRemote = Annotated[
    str, typer.Option(help="Address that the replica must be of; the one that it was made of if not given.")
]


def _place(replica: Path, remote: str) -> Place:
    from ptp.settings import load_settings
    from ptp.workbench.replicas import Place

    return Place(replica, remote, load_settings().turso_auth_token)


@commands.command(epilog="Example: ptp replica create --replica near.db --remote libsql://app.turso.io")
def create(replica: File, remote: Remote, as_json: Json = False) -> None:
    """Make a new replica of all that the remote has; where that fails, nothing is left."""
    from ptp.workbench import replicas

    stage = replicas.create(_place(replica, remote))
    if not as_json:
        terminal.tell_rows(stage.tables["Replica"])
    terminal.finish_stage(stage, f"Next: ptp replica pull --replica {replica} --every 5", as_json=as_json)


@commands.command(epilog="Example: ptp replica pull --replica near.db --every 5")
def pull(
    replica: File,
    remote: KnownRemote = "",
    every: Annotated[
        float | None, typer.Option(min=0.01, help="Pull again every so many seconds, until Ctrl-C.", metavar="SECONDS")
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="With --every: end after so many pulls.")] = None,
    as_json: Json = False,
) -> None:
    """Bring what is new in the primary; it is tried again where the network fails, and reads go on meanwhile.

    With --every an outage ends nothing: each line says that the primary is away, and how old the replica is; the last
    line decides the exit code. --json then prints one object a line.
    """
    from ptp.errors import EXIT_CANNOT_FINISH, UsageError
    from ptp.workbench import replicas

    place = _place(replica, remote)
    if every is None:
        if count is not None:
            raise UsageError("--count goes with --every SECONDS.")
        stage = replicas.pull(place)
        if not as_json:
            terminal.tell_rows({**row, "changed": "yes" if row["changed"] else "no"} for row in stage.tables["Pulled"])
        terminal.finish_stage(stage, f"Next: ptp replica status --replica {replica}", as_json=as_json)
        return
    line = None
    for line in replicas.pull_every(place, every_s=every, count=count):
        typer.echo(json.dumps({"version": 1, **asdict(line)}, ensure_ascii=False) if as_json else _in_words(line))
    if line is not None and line.problem:
        raise typer.Exit(EXIT_CANNOT_FINISH)
    if not as_json:
        typer.echo(f"Next: ptp replica status --replica {replica}")


def _in_words(line: Line) -> str:
    age = "of unknown age" if line.age_s is None else f"{line.age_s:,.2f} s old"
    if line.problem:
        return f"{line.at}  not pulled, the replica is {age}: {line.problem}"
    done = "brought news" if line.changed else "nothing new"
    again = f", attempt {line.attempts}" if line.attempts > 1 else ""
    return f"{line.at}  {done} in {line.seconds:.3f} s{again}; the replica is {age}"


@commands.command(epilog="Example: ptp replica status --replica near.db --limit 10")
def status(
    replica: File,
    remote: KnownRemote = "",
    limit: Annotated[float, typer.Option(min=0.0, help="As far behind as it may be, in seconds.")] = 10.0,
    as_json: Json = False,
) -> None:
    """Say how far behind the replica is at most, by the last pull that had everything, and whether there are news.

    Nothing is changed; what is new is sent by the primary, and counts as traffic of syncs. Where the primary cannot be
    reached the age alone is told, and the answer is inconclusive.
    """
    from ptp.workbench import replicas

    stage = replicas.status(_place(replica, remote), limit_s=limit)
    if not as_json:
        terminal.tell_rows(stage.tables["Replica"])
    terminal.finish_stage(stage, f"Next: ptp replica check --replica {replica}", as_json=as_json)


@commands.command(epilog="Example: ptp replica check --replica near.db")
def check(replica: File, remote: KnownRemote = "", as_json: Json = False) -> None:
    """Pull, then compare every row, view, index and trigger with the primary, and check the pages.

    The primary is read whole, which a hosted one bills as rows read.
    """
    from ptp.workbench import replicas

    with terminal.progress_bar("ptp replica check", silent=as_json) as progress:
        stage = replicas.check(_place(replica, remote), progress=progress)
    if not as_json:
        terminal.tell_rows(stage.tables["Replica"])
    terminal.finish_stage(stage, f"Next: ptp replica pull --replica {replica} --every 5", as_json=as_json)


@commands.command(epilog="Example: ptp replica rebuild --replica near.db")
def rebuild(replica: File, remote: KnownRemote = "", as_json: Json = False) -> None:
    """Make a replica anew, whatever state it is in; the old one is kept until the new one is there."""
    from ptp.workbench import replicas

    stage = replicas.rebuild(_place(replica, remote))
    if not as_json:
        terminal.tell_rows(stage.tables["Replica"])
    terminal.finish_stage(stage, f"Next: ptp replica check --replica {replica}", as_json=as_json)


@commands.command(epilog="Example: ptp replica remove --replica near.db")
def remove(replica: File, as_json: Json = False) -> None:
    """Remove a replica with the files beside it; a file that is none is left as it is."""
    from ptp.engine.replicas import remove_replica

    remove_replica(replica)
    if as_json:
        typer.echo(json.dumps({"version": 1, "removed": str(replica)}, ensure_ascii=False))
        return
    typer.echo(f"{replica} was removed.")
    typer.echo(f"Next: ptp replica create --replica {replica} --remote URL")
