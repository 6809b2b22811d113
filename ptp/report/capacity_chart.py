"""Latency against throughput, from the steps of a search for the highest rate that holds its limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes

from ptp.report.canvas import CARD, INK, MAIN, MUTE, OVER, SOFT, canvas, scale_up, to_svg
from ptp.report.charts import Chart, alt_of, mark
from ptp.report.words import is_number, number, plural

_LINES = (("p50_ms", SOFT), ("p95_ms", MAIN), ("p99_ms", MUTE))


def capacity_curve(rows: Sequence[Mapping[str, Any]]) -> Chart | None:
    """p50, p95 and p99 in ms of each step over what came through a second; None where no step has any.

    Rows have rate, throughput, p50_ms, p95_ms, p99_ms and verdict; `is` names the highest that held, and the knee. A
    step without an answer to the p95 stands at the upper edge.
    """
    told = sorted((r for r in rows if is_number(r.get("throughput"))), key=lambda r: float(r["rate"]))
    seen = [float(r[name]) for r in told for name, _ in _LINES if is_number(r.get(name))]
    if not seen:
        return None
    with matplotlib.rc_context():
        figure, axes = canvas(3.2, names=())
        scale_up(axes, seen)
        for name, colour in _LINES:
            _line(axes, told, name, colour)
        for row in told:
            _point(axes, row)
        for height, (word, colour) in zip(
            (0.93, 0.8), (("the highest that held", INK), ("the knee", MUTE)), strict=True
        ):
            for found in [r for r in told if word in str(r.get("is", ""))][:1]:
                axes.axvline(float(found["throughput"]), color=colour, linewidth=1.3, linestyle=(0, (4, 3)))
                mark(axes, float(found["throughput"]), f"{word}: {_rate(found)}", colour=colour, height=height)
        axes.set_xlim(0, max(float(r["throughput"]) for r in told) * 1.08)
        axes.xaxis.set_major_formatter(lambda value, _: number(float(value)))
        axes.set_ylabel("ms")
        key = "requests a second that came through:   light p50   ◆ p95   grey p99   ◆ red: the limits did not hold"
        axes.set_xlabel(key.replace(" ", "\N{NO-BREAK SPACE}"), loc="left")
        axes.set_title("Latency against throughput", loc="left", fontsize=10)
        svg = to_svg(figure)
    return Chart(
        svg=svg, alt=alt_of(f"Latency against throughput, {plural(len(told), 'step')}", [_says(r) for r in told])
    )


def _line(axes: Axes, rows: Sequence[Mapping[str, Any]], name: str, colour: str) -> None:
    points = [(float(r["throughput"]), float(r[name])) for r in rows if is_number(r.get(name))]
    if points:
        axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.4)


def _point(axes: Axes, row: Mapping[str, Any]) -> None:
    colour = MAIN if row.get("verdict") == "pass" else OVER
    height = float(row["p95_ms"]) if is_number(row.get("p95_ms")) else axes.get_ylim()[1]
    axes.plot([float(row["throughput"])], [height], "D", color=colour, markersize=5.5, markeredgecolor=CARD)


def _rate(row: Mapping[str, Any]) -> str:
    return f"{number(round(float(row['throughput'])))}/s"


def _says(row: Mapping[str, Any]) -> str:
    times = ", ".join(
        f"{name.removesuffix('_ms')} {number(float(row[name]))} ms" if is_number(row.get(name)) else f"no {name[:3]}"
        for name, _ in _LINES
    )
    also = f", {row['is']}" if row.get("is") else ""
    return f"{number(round(float(row['rate'])))}/s sent, {_rate(row)} through: {times}, {row.get('verdict')}{also}"
