"""A load over time: how long requests took that were due in each second, and how many were open; stalls are seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes

from ptp.report.canvas import INK, MAIN, MUTE, OVER, SOFT, panels, scale_up, to_svg
from ptp.report.charts import Chart
from ptp.report.words import is_number, number, plural
from ptp.stats import percentile

STALL = 10.0
"""A second whose slowest request took so many times the usual p95 is marked as a stall."""


def load_timeline(rows: Sequence[Mapping[str, Any]]) -> Chart | None:
    """p50 to p99 and the most of each second, and under it what was due, ended and open; None where there is nothing.

    Rows have second, measured, rate, done, p50_ms, p95_ms, p99_ms, most_ms, errors and in_flight; seconds of the
    warm-up are shaded.
    """
    told = [r for r in rows if is_number(r.get("most_ms"))]
    if not told:
        return None
    stalls = stalls_of(told)
    with matplotlib.rc_context():
        figure, (above, below) = panels(2, across=1, height=2.1)
        scale_up(above, [float(r[name]) for r in told for name in ("p50_ms", "most_ms")])
        seconds = [float(r["second"]) for r in told]
        above.fill_between(
            seconds, [r["p50_ms"] for r in told], [r["p99_ms"] for r in told], color=SOFT, alpha=0.75, linewidth=0.4
        )
        above.plot(seconds, [r["p50_ms"] for r in told], color=MAIN, linewidth=1.1)
        above.plot(seconds, [r["p95_ms"] for r in told], color=INK, linewidth=1.1)
        above.plot(seconds, [r["most_ms"] for r in told], color=MUTE, linewidth=0.8, linestyle=(0, (2, 2)))
        if stalls:
            points = [(float(r["second"]), float(r["most_ms"])) for r in stalls]
            above.plot(*zip(*points, strict=True), "o", color=OVER, markersize=3.6)
        above.set_ylabel("ms")
        above.set_title(
            "Response time of what was due in each second: p50 to p99, black p95, dotted the most", **_TITLE
        )
        _counts(below, rows)
        for axes in (above, below):
            _shade(axes, rows)
        svg = to_svg(figure)
    return Chart(svg=svg, alt=_says(rows, told, stalls))


_TITLE: dict[str, Any] = {"loc": "left", "fontsize": 9}


def stalls_of(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The seconds in which a request took over ten times the median of the seconds' p95."""
    usual = percentile(sorted(float(r["p95_ms"]) for r in rows), q=0.5)
    return [r for r in rows if float(r["most_ms"]) > STALL * usual]


def _counts(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
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


def _shade(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:
        if not row.get("measured", True):
            axes.axvspan(float(row["second"]) - 0.5, float(row["second"]) + 0.5, color=SOFT, alpha=0.22, linewidth=0)
    axes.set_xlim(-0.6, float(rows[-1]["second"]) + 0.6)
    axes.xaxis.set_major_formatter(lambda value, _: f"{number(float(value))} s")


def _says(
    rows: Sequence[Mapping[str, Any]], told: Sequence[Mapping[str, Any]], stalls: Sequence[Mapping[str, Any]]
) -> str:
    worst = max(told, key=lambda r: float(r["most_ms"]))
    due, failed = sum(r["rate"] for r in rows), sum(r["errors"] for r in rows)
    text = (
        f"A load over {plural(len(rows), 'second')}: {due:,} requests due, {failed:,} failed, at most "
        f"{max(r['in_flight'] for r in rows):,} open at the end of a second; the slowest took "
        f"{number(float(worst['most_ms']))} ms, due in second {worst['second']}"
    )
    if not stalls:
        return f"{text}; no stall."
    return f"{text}; {plural(len(stalls), 'second')} with a stall: {', '.join(str(r['second']) for r in stalls[:12])}."
