"""`ptp serve`: the API over HTTP."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ptp.cli.options import Json, Target
from ptp.errors import UsageError

commands = typer.Typer()


@commands.command(epilog="Example: ptp serve --target new.db --port 8000 --workers 2")
def serve(
    target: Target,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 takes a free one.")] = 8_000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that serve.")] = 1,
    insecure_dev: Annotated[
        bool, typer.Option("--insecure-dev", help="Take whoever the header X-User-Id names, on this machine only.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Serve the API on a database at head until SIGTERM or Ctrl-C; it tells its address when it is ready.

    Tokens are checked with JWT_SECRET, JWT_PUBLIC_KEY or JWT_JWKS_FILE, for JWT_ISSUER and JWT_AUDIENCE. Who asked for
    what goes to the standard error output, a line of JSON each. The routes are listed at /docs.
    """
    try:
        from ptp.service.serving import Served
        from ptp.service.serving import serve as run
    except ModuleNotFoundError as problem:
        if (problem.name or "").startswith("ptp"):
            raise
        raise UsageError(f"ptp serve needs {problem.name}: pip install 'ptp[serve]'.") from None

    def tell_ready(address: str) -> None:
        line = (
            json.dumps({"version": 1, "address": address}) if as_json else f"Ready: {address} (routes: {address}/docs)"
        )
        typer.echo(line)

    run(Served(target, host, port, workers, insecure_dev=insecure_dev), tell_ready=tell_ready)
