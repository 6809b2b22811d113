"""`reports/index.html`: the runs of the folder of reports and how their queries went on, written after each run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ptp.benchmark.history import History
from ptp.errors import PtpError
from ptp.report.page import write_text
from ptp.report.runs_page import MARK, Course, RunLine, runs_html
from ptp.settings import load_settings
from ptp.workbench.histories import history_of
from ptp.workbench.runs import Known, list_runs

INDEX = "index.html"
_VALUE = "p95_ms"
_MOST = 60
"""Runs of a course, the newest ones."""


def write_index(reports: Path) -> Path | None:
    """Write the index of the runs in a folder; None where a page stands there that is not ptp's, which then stays."""
    page = reports / INDEX
    if page.exists() and not _is_ours(page):
        return None
    history = history_of(reports)
    html = runs_html([_line(run) for run in list_runs(reports)], list(_courses(history)), left_out=history.skipped)
    write_text(page, html)
    return page


def note_run(out: Path) -> None:
    """Write the index anew after a run that stands in the folder of reports; a run is no worse where that fails."""
    with suppress(OSError, PtpError):
        reports = load_settings().reports_dir
        if out.absolute().parent == reports.absolute():
            write_index(reports)


def _is_ours(page: Path) -> bool:
    return page.is_file() and MARK in page.read_text(encoding="utf-8", errors="replace")[:2_000]


def _line(run: Known) -> RunLine:
    return RunLine(
        folder=run.path.name,
        id=run.id,
        started=run.started.isoformat(timespec="seconds"),
        verdict=run.verdict,
        source=run.source,
        profile=run.profile,
        seconds=run.seconds,
        report=(run.path / INDEX).is_file(),
    )


def _courses(history: History) -> Iterator[Course]:
    for name, points in history.points.items():
        seen = [(p.values[_VALUE], _VALUE in p.changed) for p in points if p.values.get(_VALUE) is not None][-_MOST:]
        if seen:
            changes = [place for place, (_, is_new) in enumerate(seen) if is_new and place]
            yield Course(f"p95 of {name}", "ms", [float(value or 0.0) for value, _ in seen], changes)
