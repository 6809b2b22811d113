"""What a dry run prints, and the options that the commands share which can change a database of an environment."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from ptp.migration.plan import OnDirty
    from ptp.settings import Environment
    from ptp.workbench.previewing import Line, Preview

Confirm = Annotated[
    str | None,
    typer.Option(help="Change the database of prod: the name of its file, as a sign that it is meant.", metavar="NAME"),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show plan, time, cost, locks, room and risks; change nothing.")
]
Sql = Annotated[
    bool,
    typer.Option("--sql", help="The dry run as the SQL that would run, with a line of comment above each statement."),
]
_WIDE = 10_000  # columns of what is piped: nothing is folded


def chosen_source(given: str | None, env: Environment | None) -> Path | None:
    """The source as given, or that of the environment, or that of the settings; None where there is none."""
    from ptp.engine import database_path
    from ptp.settings import load_settings
    from ptp.workbench.environments import source_of

    if given:
        return database_path(given)
    settings = load_settings()
    if env:
        return source_of(env, settings)
    return database_path(settings.source) if settings.source else None


def tell_preview(found: Preview, *, env: Environment | None, on_dirty: OnDirty, sql: bool, as_json: bool) -> None:
    """Print a dry run: as JSON, as a script, or as tables for a reviewer."""
    from ptp.workbench import environments, previewing

    wanted = environments.wanted_by_prod(found.source, on_dirty=on_dirty) if env == environments.PROD else []
    if as_json:
        typer.echo(json.dumps({**previewing.document(found), "prod": wanted}, ensure_ascii=False))
        return
    if sql:
        typer.echo(previewing.script(found), nl=False)
        return
    typer.echo(f"-- plan {found.hash}, shape {found.shape}")
    for line in _head(found, on_dirty):
        typer.echo(line)
    risks = [{"risk": r.kind, "where": r.where, "what": r.what} for r in found.risks]
    locks = [{"locked": k.what, "who waits": k.waits, "how long": k.long} for k in found.locks]
    room = [
        {
            "room for": r.purpose,
            "folder": str(r.folder),
            "needed MB": _megabytes(r.needed),
            "free MB": _megabytes(r.free),
        }
        for r in found.room
    ]
    for rows in (risks, locks, room, previewing.bill(found), _statements(found.lines), wanted):
        if rows:
            typer.echo()
            typer.echo(aligned(rows), nl=False)
    runs = f"with --confirm {found.source.name}" if wanted else "without --dry-run"
    typer.echo()
    typer.echo(f"Next: ptp migrate --sql shows all of the SQL; the same command {runs} runs it.")


def _head(found: Preview, on_dirty: OnDirty) -> list[str]:
    from ptp.workbench.previewing import price_words

    way = "online" if found.online else "offline"
    return [
        f"{found.source} to {found.target}, {way}, --on-dirty {on_dirty}: {len(found.lines)} statements, "
        f"{found.rows:,} rows go over, nothing was changed.",
        f"Time, estimated: {found.seconds:.2g} s with preflight and proven backup, by {found.basis}.",
        f"Billed rows, estimated, if it ran at Turso: {found.read:,} read and {found.written:,} written; "
        f"$ by {price_words()}, for rows beyond those included.",
        *(f"As things stand, it would be refused: {why}" for why in found.refused),
    ]


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f}"


def _statements(lines: Sequence[Line]) -> list[dict[str, str]]:
    """The statements in order; those in a row that read the same stand in one line, with their number."""
    groups: list[list[Line]] = []
    for line in lines:
        if groups and (groups[-1][0].part, groups[-1][0].short) == (line.part, line.short):
            groups[-1].append(line)
        else:
            groups.append([line])
    rows, first = [], 1
    for group in groups:
        known = [line.seconds for line in group if line.seconds is not None]
        last = first + len(group) - 1
        rows.append(
            {
                "#": str(first) if first == last else f"{first}-{last}",
                "part": group[0].part,
                "statement": group[0].short,
                "rows": _number(max(line.rows for line in group)),
                "s": _seconds(sum(known)) if known else "",
                "read": _number(sum(line.read for line in group)),
                "written": _number(sum(line.written for line in group)),
            }
        )
        first = last + 1
    return rows


def _seconds(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "<0.001"


def _number(value: int) -> str:
    return f"{value:,}" if value else ""


def aligned(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows as a table of aligned columns: as wide as the terminal, or unfolded where nobody but a program reads it."""
    is_seen = sys.stdout.isatty()
    table = Table(box=None, pad_edge=False, header_style="bold" if is_seen else "", show_edge=False)
    for name in rows[0]:
        number = all(_is_number(row[name]) for row in rows)
        table.add_column(name, justify="right" if number else "left", no_wrap=not is_seen, overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    console = Console(file=io.StringIO(), width=None if is_seen else _WIDE, force_terminal=is_seen, markup=False)
    with console.capture() as captured:
        console.print(table, highlight=False, markup=False)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def _is_number(value: object) -> bool:
    text = str("" if value is None else value).replace(",", "").replace(".", "", 1)
    return not text or text.lstrip("<").isdigit()
