"""`ptp verify`: the second stage alone, its proof, and what changed since a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ptp import terminal
from ptp.cli.options import Json
from ptp.errors import UsageError

commands = typer.Typer()


@commands.command(epilog="Example: ptp verify --source old.db --target new.db")
def verify(
    source: Annotated[str | None, typer.Option(help="Database to migrate from; it is only read.", metavar="DB")] = None,
    target: Annotated[str | None, typer.Option(help="Database at head.", metavar="DB")] = None,
    prove: Annotated[
        Literal["quick", "full"] | None,
        typer.Option(help="Prove the verifier: damage a demo in every known way, once or 25 times; is all of it seen?"),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Compare the target with what this run saw, not with a source.", metavar="RUN")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare every row and column of a target with what its source should have become.

    Either may be on a server (libsql://HOST): then a mirror of it is compared, which is kept in the folder of reports,
    so that the next time only what differs is fetched.
    """
    from dataclasses import replace

    from ptp.workbench import proofs, remote_verifying, verifying
    from ptp.workbench.progress import part
    from ptp.workbench.trials import rates_text

    if against is not None:
        if target is None or source is not None or prove is not None:
            raise UsageError("--against RUN goes with --target FILE alone: ptp verify --against RUN --target FILE.")
        with terminal.progress_bar("ptp verify", silent=as_json) as progress:
            database, told = remote_verifying.file_of(target, side="target", progress=part(progress, 0.0, 0.5))
            since = verifying.verify_since(database, against, progress=part(progress, 0.5, 1.0))
            since = replace(since, results=(*since.results, *told))
        terminal.finish_stage(since, f"Next: ptp health --target {target}", as_json=as_json)
    if (source is None) != (target is None) or (source is None and prove is None):
        raise UsageError(f"Missing option '--{'source' if source is None else 'target'}'; see ptp verify --help.")
    with terminal.progress_bar("ptp verify", silent=as_json) as progress:
        pair, told = None, []
        if source and target:
            pair, told = remote_verifying.files_of(source, target, progress=part(progress, 0.0, 0.3))
        stage = proofs.verify_and_prove(pair, prove, progress=part(progress, 0.3, 1.0))
        stage = replace(stage, results=(*stage.results, *told))
    if prove and not as_json:
        typer.echo(rates_text(stage) + "\n")
    following = f"Next: ptp bench --target {target}" if pair else "Each kind of damage: the same command with --json."
    terminal.finish_stage(stage, following, as_json=as_json)
