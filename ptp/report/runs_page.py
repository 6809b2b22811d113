"""The index of a folder of runs: each with its verdict, and the course of each query over those that are alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

from ptp.report.gates import NO_VERDICT, STATES, State
from ptp.report.template import page_from
from ptp.report.words import clean, duration, moment, plural, quantity

MARK = 'name="generator" content="ptp runs"'
"""Stands in every page that is made here: a page without it is somebody else's."""

_WIDTH, _HEIGHT, _EDGE = 240, 36, 4  # pixels


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run as a line of the index: `folder` is its name beside the index, `report` whether it has a page."""

    folder: str
    id: str
    started: str
    verdict: str | None
    source: str
    profile: str
    seconds: float
    report: bool


@dataclass(frozen=True, slots=True)
class Course:
    """The values of a query over runs that are alike, oldest first, in `unit`; `changes` are where a level begins."""

    name: str
    unit: str
    values: Sequence[float]
    changes: Sequence[int] = ()


def runs_html(runs: Sequence[RunLine], courses: Sequence[Course], *, left_out: Sequence[str] = ()) -> str:
    """The page, the newest run first; the same runs give the same bytes. `left_out` says which have no course."""
    lines = [
        {"run": run, "state": _state(run), "when": moment(run.started), "took": duration(run.seconds)} for run in runs
    ]
    drawn = [
        {
            "name": one.name,
            "first": quantity(one.values[0], unit=one.unit),
            "last": quantity(one.values[-1], unit=one.unit),
            "picture": sparkline(one),
            "changes": plural(len(one.changes), "new level") if one.changes else "",
        }
        for one in courses
        if len(one.values) > 1
    ]
    longest = max((len(one.values) for one in courses), default=0)
    return page_from(
        "runs.html.j2", mark=Markup(MARK), lines=lines, courses=drawn, longest=longest, left_out=list(left_out)
    )


def sparkline(one: Course) -> Markup:
    """The course as a small line with a text alternative; from zero, so that a flat one looks flat."""
    most = max(*one.values, 1e-12)
    step = (_WIDTH - 2 * _EDGE) / max(len(one.values) - 1, 1)
    places = [
        (_EDGE + step * at, _HEIGHT - _EDGE - value / most * (_HEIGHT - 2 * _EDGE))
        for at, value in enumerate(one.values)
    ]
    said = (
        f"{clean(one.name, longest=80)} over {plural(len(one.values), 'run')}: "
        f"first {quantity(one.values[0], unit=one.unit)}, last {quantity(one.values[-1], unit=one.unit)}"
    )
    dashed = f'y1="0" y2="{_HEIGHT}" stroke="currentColor" stroke-dasharray="2 2" opacity=".5"'
    breaks = "".join(f'<line x1="{places[at][0]:.1f}" x2="{places[at][0]:.1f}" {dashed}/>' for at in one.changes)
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    x, y = places[-1]
    return Markup(
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img" '
        f'aria-label="{escape(said)}"><title>{escape(said)}</title>{breaks}'
        f'<polyline points="{line}" fill="none" stroke="currentColor" stroke-width="1.5"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="currentColor"/></svg>'
    )


def _state(run: RunLine) -> State:
    return STATES.get(run.verdict or "", NO_VERDICT if run.verdict is None else STATES["invalid"])
