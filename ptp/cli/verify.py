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
    source: Annotated[
        str | None, typer.Option(help="Database to migrate from; it is only read.", metavar="FILE")
    ] = None,
    target: Annotated[str | None, typer.Option(help="Database at head.", metavar="FILE")] = None,
    prove: Annotated[
        Literal["quick", "full"] | None,
        typer.Option(help="Prove the verifier: damage a demo in every known way, once or 25 times; is all of it seen?"),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Compare the target with what this run saw, not with a source.", metavar="RUN")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare every row and column of a target with what its source should have become."""
    from ptp.engine import database_path
    from ptp.workbench import proofs, verifying
    from ptp.workbench.trials import rates_text

    if against is not None:
        if target is None or source is not None or prove is not None:
            raise UsageError("--against RUN goes with --target FILE alone: ptp verify --against RUN --target FILE.")
        with terminal.progress_bar("ptp verify", silent=as_json) as progress:
            since = verifying.verify_since(database_path(target), against, progress=progress)
        terminal.finish_stage(since, f"Next: ptp health --target {target}", as_json=as_json)
    if (source is None) != (target is None) or (source is None and prove is None):
        raise UsageError(f"Missing option '--{'source' if source is None else 'target'}'; see ptp verify --help.")
    pair = (database_path(source), database_path(target)) if source and target else None
    with terminal.progress_bar("ptp verify", silent=as_json) as progress:
        stage = proofs.verify_and_prove(pair, prove, progress=progress)
    if prove and not as_json:
        typer.echo(rates_text(stage) + "\n")
    following = f"Next: ptp bench --target {pair[1]}" if pair else "Each kind of damage: the same command with --json."
    terminal.finish_stage(stage, following, as_json=as_json)
