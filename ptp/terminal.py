"""What a person sees in the terminal: a progress bar, the verdict, the gates that did not hold, the next step."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ptp.evidence import Evidence, Stage
from ptp.results import VERSION, Finding, exit_code, to_json, worst
from ptp.workbench.progress import Progress as Told
from ptp.workbench.progress import quiet

_ORDER = ("fail", "invalid", "inconclusive", "not applicable", "pass")
_SHOWN_PLACES = 5


@contextmanager
def progress_bar(title: str, *, silent: bool) -> Iterator[Told]:
    """One bar on stderr over the whole work; nothing where nobody looks (piped, or --json)."""
    if silent or not sys.stderr.isatty():
        yield quiet
        return
    columns = (
        TextColumn("{task.fields[title]}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=1.0, title=title)

        def told(fraction: float, text: str) -> None:
            bar.update(task, completed=fraction, description=text)

        yield told


def finish_stage(stage: Stage, following: str, *, as_json: bool, notes: bool = True) -> None:
    """Print a stage and its next step, and exit with the code of its verdict; its notes too, unless told not to."""
    verdict = worst(stage.findings)
    if as_json:
        document = {"version": VERSION, "verdict": verdict, "results": [to_json(f) for f in stage.findings]}
        typer.echo(json.dumps({**document, "tables": stage.tables}, ensure_ascii=False))
    else:
        tell_gates(f for f in stage.findings if notes or f.severity != "note")
        gates = sum(f.severity != "note" for f in stage.findings)
        typer.echo(f"{stage.title}: {verdict}, {gates} gates in {stage.seconds:.1f} s")
        held = verdict == "pass"
        typer.echo(following if held else "Next: look at the places above; the same command with --json names more.")
    raise typer.Exit(exit_code(verdict))


def tell_gates(findings: Iterable[Finding]) -> None:
    """Print the gates, those that did not hold last with their places, where the eye is."""
    for finding in sorted(findings, key=lambda f: -_ORDER.index(f.verdict)):
        value = "" if finding.value is None else f"  {_plain(finding.value)} {finding.unit}".rstrip()
        limit = "" if finding.limit is None or finding.unit == "" else f" (limit {_plain(finding.limit)})"
        typer.echo(f"{finding.verdict:<14} {finding.claim}{value}{limit}")
        if finding.verdict in ("fail", "invalid", "inconclusive"):
            for place in finding.where[:_SHOWN_PLACES] or (finding.evidence,):
                typer.echo(f"{'':<14}   {place}")
            if len(finding.where) > _SHOWN_PLACES:
                typer.echo(f"{'':<14}   and {len(finding.where) - _SHOWN_PLACES} more places")


def tell_rows(rows: Iterable[Mapping[str, object]]) -> None:
    """Print rows one below the other, each column on a line of its own."""
    for row in rows:
        for name, value in row.items():
            typer.echo(f"{name + ':':<18}{value if isinstance(value, str) else _plain(value)}")  # type: ignore[arg-type]
        typer.echo()


def tell_run(evidence: Evidence, *, report: str) -> None:
    """Print how a run ended: the gates that did not hold, the verdict, and where the report is."""
    findings = [f for stage in evidence.stages for f in stage.findings if f.severity != "note"]
    held = [f for f in findings if f.verdict in ("pass", "not applicable")]
    tell_gates(f for f in findings if f not in held)
    if evidence.missing:
        typer.echo(f"{len(evidence.missing)} required gates were not reached.")
    typer.echo(f"Verdict: {evidence.verdict} ({len(held)} of {len(findings)} gates held, {evidence.run.seconds:.0f} s)")
    typer.echo(f"Report: {report}")


def tell_error(sentence: str) -> None:
    """Print an error on stderr, in one line whatever it quotes."""
    typer.echo(f"ptp: {' '.join(sentence.split())}", err=True)


def _plain(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"
