"""A load over time: how long requests took that were due in each second, how many were open, and how the service stood.

A second without any answer is a hole in the lines, and marked: a line drawn across it would hide a service that stood
still.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes

from ptp.report import load_state
from ptp.report.canvas import INK, MAIN, MUTE, OVER, SOFT, panels, scale_up, to_svg
from ptp.report.charts import Chart
from ptp.report.load_marks import gaps_of, name_phases, phases_of, shade
from ptp.report.words import is_number, number, plural
from ptp.stats import percentile

STALL = 10.0
"""A second whose slowest request took so many times the usual p95 is marked as a stall."""

_SHOWN = 12
_TITLE: dict[str, Any] = {"loc": "left", "fontsize": 9}

Row = Mapping[str, Any]


def load_timeline(rows: Sequence[Row]) -> Chart | None:
    """p50 to p99 and the most of each second, and under it what was due, ended and open; None where there is nothing.

    Rows have second, measured, rate, done, p50_ms, p95_ms, p99_ms, most_ms, errors and in_flight; phase and kind where
    they are known, and what `ptp.report.load_state` draws where the service told it. Seconds of the warm-up are shaded,
    those in which nothing moved are red.
    """
    told = [r for r in rows if is_number(r.get("most_ms"))]
    if not told:
        return None
    states = load_state.panels_of(rows)
    with matplotlib.rc_context():
        figure, (above, below, *others) = panels(2 + len(states), across=1, height=1.8 if states else 2.1)
        _times(above, rows, told)
        _counts(below, rows)
        for axes, panel in zip(others, states, strict=True):
            load_state.draw(axes, panel, rows)
        for axes in (above, below, *others):
            shade(axes, rows)
        name_phases(above, rows)
        svg = to_svg(figure)
    return Chart(svg=svg, alt=_says(rows, told, [load_state.says(panel, rows) for panel in states]))


def stalls_of(rows: Sequence[Row]) -> list[Row]:
    """The seconds in which a request took over ten times the median of the seconds' p95."""
    told = [r for r in rows if is_number(r.get("most_ms"))]
    usual = percentile(sorted(float(r["p95_ms"]) for r in told), q=0.5)
    return [r for r in told if float(r["most_ms"]) > STALL * usual]


def _times(axes: Axes, rows: Sequence[Row], told: Sequence[Row]) -> None:
    scale_up(axes, [float(r[name]) for r in told for name in ("p50_ms", "most_ms")])
    seconds = [float(r["second"]) for r in rows]
    lines = {name: [_known(r.get(name)) for r in rows] for name in ("p50_ms", "p95_ms", "p99_ms", "most_ms")}
    axes.fill_between(seconds, lines["p50_ms"], lines["p99_ms"], color=SOFT, alpha=0.75, linewidth=0.4)
    axes.plot(seconds, lines["p50_ms"], color=MAIN, linewidth=1.1)
    axes.plot(seconds, lines["p95_ms"], color=INK, linewidth=1.1)
    axes.plot(seconds, lines["most_ms"], color=MUTE, linewidth=0.8, linestyle=(0, (2, 2)))
    points = [(float(r["second"]), float(r["most_ms"])) for r in stalls_of(told)]
    if points:
        axes.plot(*zip(*points, strict=True), "o", color=OVER, markersize=3.6)
    axes.set_ylabel("ms")
    axes.set_title("Response time of what was due in each second: p50 to p99, black p95, dotted the most", **_TITLE)


def _known(value: object) -> float:
    return float(value) if is_number(value) else math.nan


def _counts(axes: Axes, rows: Sequence[Row]) -> None:
    seconds = [float(r["second"]) for r in rows]
    axes.step(seconds, [r["rate"] for r in rows], where="mid", color=SOFT, linewidth=1.6)
    axes.step(seconds, [r["done"] for r in rows], where="mid", color=MAIN, linewidth=1.1)
    axes.plot(seconds, [r["in_flight"] for r in rows], color=INK, linewidth=1.1)
    failed = [(float(r["second"]), r["errors"]) for r in rows if r["errors"]]
    if failed:
        axes.plot(*zip(*failed, strict=True), "x", color=OVER, markersize=4)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(lambda value, _: number(float(value)))
    axes.set_title("Requests a second: light due, blue ended; black open at its end, red cross failed", **_TITLE)


def _says(rows: Sequence[Row], told: Sequence[Row], states: Sequence[str]) -> str:
    worst = max(told, key=lambda r: float(r["most_ms"]))
    due, failed = sum(r["rate"] for r in rows), sum(r["errors"] for r in rows)
    parts = [
        f"A load over {plural(len(rows), 'second')}: {due:,} requests due, {failed:,} failed, at most "
        f"{max(r['in_flight'] for r in rows):,} open at the end of a second",
        f"the slowest took {number(float(worst['most_ms']))} ms, due in second {worst['second']}",
        *_marked(rows, told),
        *states,
    ]
    if phases := phases_of(rows):
        parts.append(f"phases: {', '.join(phase.says() for phase in phases)}")
    return "; ".join(parts) + "."


def _marked(rows: Sequence[Row], told: Sequence[Row]) -> list[str]:
    """The stalls and gaps in words."""
    marked = ((stalls_of(told), "with a stall"), (gaps_of(rows), "in which nothing moved"))
    found = [f"{plural(len(seconds), 'second')} {what}: {_listed(seconds)}" for seconds, what in marked if seconds]
    return found or ["no stall"]


def _listed(rows: Sequence[Row]) -> str:
    text = ", ".join(str(row["second"]) for row in rows[:_SHOWN])
    return text if len(rows) <= _SHOWN else f"{text} and {len(rows) - _SHOWN} more"
