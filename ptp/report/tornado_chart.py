"""What moves a result: for each input a bar from the result at its low end to that at its high end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib

from ptp.report.canvas import INK, MAIN, MUTE, SOFT, canvas, to_svg
from ptp.report.charts import Chart, alt_of, mark
from ptp.report.titles import titled
from ptp.report.words import clean, number, quantity

_MOST = 12


def tornadoes(rows: Sequence[Mapping[str, Any]]) -> tuple[Chart, ...]:
    """A chart for each result, in order. Rows have result, unit, input, from, to, low, high, usual."""
    results = dict.fromkeys(str(row["result"]) for row in rows)
    return tuple(_tornado(name, [row for row in rows if row["result"] == name]) for name in results)


def _tornado(result: str, rows: Sequence[Mapping[str, Any]]) -> Chart:
    told = sorted(rows, key=lambda row: -abs(float(row["high"]) - float(row["low"])))[:_MOST]
    usual, unit = float(told[0]["usual"]), str(told[0]["unit"])
    ends = [float(row[name]) for row in told for name in ("low", "high")]
    span = (max(*ends, usual) - min(*ends, usual)) or 1.0
    names = [clean(f"{row['input']} ({row['measured_or_assumed']})", longest=44) for row in reversed(told)]
    with matplotlib.rc_context():
        height = 0.28 * len(told) + 1.1
        figure, axes = canvas(height, names=names)
        for place, row in enumerate(reversed(told)):
            for end, colour in (("low", SOFT), ("high", MAIN)):
                axes.barh(place, float(row[end]) - usual, left=usual, height=0.62, color=colour)
                _label(axes, row, end, place, usual)
        axes.axvline(usual, color=INK, linewidth=1.2)
        axes.set_ylim(-0.7, len(told) + 0.2)
        mark(axes, usual, number(_few(usual)), colour=INK, height=0.95)
        axes.set_xlim(min(*ends, usual) - 0.16 * span, max(*ends, usual) + 0.16 * span)
        axes.xaxis.set_major_formatter(lambda value, _: number(float(value)))
        axes.set_xlabel(f"{unit}:   light: the input at its low end, dark: at its high end", loc="left")
        titled(axes, f"What moves {clean(result, longest=90)}", height=height)
        svg = to_svg(figure)
    title = f"What moves {result}, {quantity(_few(usual), unit=unit)} as it is"
    return Chart(svg=svg, alt=alt_of(title, [_says(row, unit) for row in told]))


def _label(axes: Any, row: Mapping[str, Any], end: str, place: int, usual: float) -> None:
    """The value of the input, beside the end of its bar; none where the bar has no length."""
    value = float(row[end])
    if value == usual:
        return
    text = f"{_few(float(row['from' if end == 'low' else 'to'])):,g}"
    right = value > usual
    axes.annotate(
        text,
        (value, place),
        (4 if right else -4, 0),
        textcoords="offset points",
        ha="left" if right else "right",
        va="center",
        fontsize=8,
        color=MUTE,
    )


def _few(value: float) -> float:
    """Three digits at most, whole from a hundred on."""
    return round(value) if abs(value) >= 100 else float(f"{value:.3g}")


def _says(row: Mapping[str, Any], unit: str) -> str:
    low, high = (quantity(_few(float(row[name])), unit=unit) for name in ("low", "high"))
    ends = f"{_few(float(row['from'])):,g} to {_few(float(row['to'])):,g}"
    return f"{row['input']} ({row['measured_or_assumed']}) from {ends}: {low} to {high}"
