"""The options that more than one command takes, each with its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Source = Annotated[str, typer.Option(help="Database to migrate from; it is only read.", metavar="FILE")]
Target = Annotated[str, typer.Option(help="Database at head.", metavar="FILE")]
OnDirty = Annotated[
    Literal["stop", "quarantine"],
    typer.Option(help="Values that do not convert exactly: stop before any change, or keep them in quarantine."),
]
Profile = Annotated[Literal["quick", "full"], typer.Option(help="How many samples a query gets.")]
Measure = Annotated[
    Literal["all", "times"],
    typer.Option(help="times: the limits alone; all: also costs, the worth of each index, and the claims."),
]
Out = Annotated[
    Path | None, typer.Option(help="Run folder, new or empty; one under reports/ if not given.", metavar="DIR")
]
NamedEnvironment = Annotated[
    Literal["dev", "staging", "prod"] | None, typer.Option(help="Take the source from this environment's settings.")
]
Driver = Annotated[
    str | None,
    typer.Option(help="Driver that builds the target, sqlite3 or libsql; PTP_DRIVER if not given.", metavar="NAME"),
]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same data or calls.")]
