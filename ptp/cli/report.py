"""`ptp report`: the report of a run that has been, what changed between two, and old runs let go."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ptp.cli.options import Json
from ptp.errors import UsageError

if TYPE_CHECKING:
    from ptp.workbench.run_comparison import Comparison

commands = typer.Typer()

Annotate = Annotated[
    Literal["github"] | None, typer.Option(help="Print what did not pass as annotations of a job in CI, 10 at most.")
]
Compare = Annotated[
    tuple[Path, Path] | None,
    typer.Option(help="Two run folders, the older one first: what changed between them.", metavar="DIR DIR"),
]
Prune = Annotated[
    bool,
    typer.Option(
        "--prune", help="Remove old runs; PTP_REPORTS_KEEP, PTP_REPORTS_DAYS and what is used say which stay."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="With --prune: say what would be removed, and remove nothing.")]


@commands.command(epilog="Example: ptp report reports/latest")
def report(
    folder: Annotated[Path | None, typer.Argument(help="A run folder.", metavar="DIR", show_default=False)] = None,
    annotate: Annotate = None,
    compare: Compare = None,
    prune: Prune = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Write the report of a run anew from its results, compare two runs, or let old ones go."""
    asked = [folder is not None, compare is not None, prune]
    if sum(asked) != 1:
        raise UsageError("Name one run folder, or two with --compare, or say --prune; see ptp report --help.")
    if annotate and folder is None:
        raise UsageError("--annotate wants one run folder: ptp report DIR --annotate github.")
    if dry_run and not prune:
        raise UsageError("--dry-run goes with --prune; a report and a comparison change no run.")
    if compare is not None:
        _compare(*compare, as_json=as_json)
    elif folder is None:
        _prune(dry_run=dry_run, as_json=as_json)
    elif annotate:
        _annotate(folder, as_json=as_json)
    else:
        _write(folder, as_json=as_json)


def _write(folder: Path, *, as_json: bool) -> None:
    from ptp.report.page import write_report

    page = write_report(folder)
    typer.echo(json.dumps({"version": 1, "report": str(page)}) if as_json else f"Report: {page}")


def _annotate(folder: Path, *, as_json: bool) -> None:
    """Print annotations alone: whatever stands on the output of a job is read line by line."""
    from ptp.evidence import read_evidence
    from ptp.report.annotations import annotations_of, github_text

    found = annotations_of(read_evidence(folder))
    if as_json:
        document = {"version": 1, "annotations": [asdict(one) for one in found]}
        typer.echo(json.dumps(document, ensure_ascii=False))
        return
    typer.echo(github_text(found) or f"Nothing to look at: {folder / 'index.html'} has all of it.\n", nl=False)


def _compare(before: Path, after: Path, *, as_json: bool) -> None:
    from ptp.workbench.run_comparison import compare_runs, document

    found = compare_runs(before, after)
    if as_json:
        typer.echo(json.dumps(document(found), ensure_ascii=False))
        return
    for side, one in (("Before", found.before), ("After", found.after)):
        typer.echo(f"{side + ':':<8}{one.run.id}, begun {one.run.started}: {one.verdict or 'no verdict'}")
    for title, rows in _tables(found):
        typer.echo()
        typer.echo(title)
        _tell_table(rows)
    typer.echo()
    for what, why in (("Counters", found.no_counters), ("Times", found.no_times)):
        if why:
            typer.echo(f"{what} are not compared: {why}.")
    typer.echo(f"{found.changes} changed." if found.changes else "Nothing changed that can be compared.")
    typer.echo(f"Next: {after / 'index.html'}")


def _tables(found: Comparison) -> list[tuple[str, Sequence[Mapping[str, object]]]]:
    tables = (
        ("Gates whose verdict changed", found.gates),
        ("Tables with other numbers of rows", found.rows),
        ("Counters that changed", found.counters),
        ("p95 in ms with both intervals of 95 %", found.times),
    )
    return [(title, rows) for title, rows in tables if rows]


def _tell_table(rows: Sequence[Mapping[str, object]]) -> None:
    from ptp.cli.planning import aligned

    shown = [{k: f"{v:.3f}" if isinstance(v, float) else v for k, v in row.items()} for row in rows]
    typer.echo(aligned(shown), nl=False)


def _prune(*, dry_run: bool, as_json: bool) -> None:
    from ptp.settings import load_settings
    from ptp.workbench import run_index, runs

    settings = load_settings()
    reports, keep, days = settings.reports_dir, settings.reports_keep, settings.reports_days
    decided = runs.prune(reports, settings, keep=keep, days=days, dry_run=dry_run)
    gone = [d for d in decided if not d.reason]
    if gone and not dry_run:
        run_index.write_index(reports)
    if as_json:
        found = [{"path": str(d.run.path), "stays": d.reason} for d in decided]
        typer.echo(json.dumps({"version": 1, "dry_run": dry_run, "runs": found}, ensure_ascii=False))
        return
    for each in decided:
        typer.echo(f"{'keep' if each.reason else 'remove':<8}{each.run.path}  {each.reason}".rstrip())
    typer.echo(f"{len(gone)} of {len(decided)} runs {'would be removed' if dry_run else 'removed'}.")
    typer.echo("Next: ptp report --prune" if dry_run and gone else f"Next: {reports / 'index.html'}")
