"""How time grows with the size of the data, the old way and the new: a small log-log chart for each operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

from ptp.report.canvas import INK, MAIN, MUTE, OVER, panels, scale_up, to_svg
from ptp.report.charts import Chart, alt_of
from ptp.report.words import clean, is_number, number, plural, quantity
from ptp.stats import exponent

MOST_PANELS = 12
"""A chart of more operations shows the first of them and says so."""

_COLOURS = ((MUTE, "s"), (MAIN, "o"), (OVER, "^"))
_P50 = "_p50_ms"


@dataclass(frozen=True, slots=True)
class _Side:
    """One way to do an operation: its p50 in ms by size, and the power with which it grows."""

    label: str
    colour: str
    marker: str
    points: tuple[tuple[float, float], ...]
    power: float


@dataclass(frozen=True, slots=True)
class _Panel:
    name: str
    sides: tuple[_Side, ...]


def size_columns(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The columns that say how large the data was: whole numbers under a name of one word, but not `n`."""
    found = []
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row[name] for row in rows if row.get(name) is not None]
        if values and all(type(value) is int for value in values) and "_" not in name and name not in ("n", "limit"):
            found.append(name)
    return tuple(found)


def scaling(rows: Sequence[Mapping[str, Any]], *, over: str) -> Chart | None:
    """p50 over size for each operation that was measured at two sizes or more, each side with its exponent.

    Rows have an `operation`, sizes (`size_columns`), and columns such as plain_p50_ms, one a side. Of an operation
    those rows count that have the fewest of the other sizes, so that `over` alone varies. None where no operation has
    two sizes.
    """
    found = [panel for name in dict.fromkeys(r.get("operation") for r in rows) if (panel := _panel(rows, name, over))]
    if not found:
        return None
    shown = found[:MOST_PANELS]
    values = [ms for panel in shown for side in panel.sides for _, ms in side.points]
    sizes = [size for panel in shown for side in panel.sides for size, _ in side.points]
    with matplotlib.rc_context():
        figure, axes = panels(len(shown), across=3, height=2.05)
        for place, panel in enumerate(shown):
            _draw(axes[place], panel, values=values, sizes=sizes)
        for first in axes[::3]:
            first.set_ylabel("p50, ms", fontsize=8, labelpad=2)
        for lowest in axes[-3:]:
            lowest.set_xlabel(clean(over, longest=30), fontsize=8, loc="left", labelpad=2)
        svg = to_svg(figure)
    title = f"How the p50 of {plural(len(found), 'operation')} grows with {over}"
    lines = [_says(panel, over) for panel in shown]
    return Chart(svg=svg, alt=alt_of(title, lines + ["more, not drawn"] * (len(found) > len(shown))))


def _panel(rows: Sequence[Mapping[str, Any]], name: object, over: str) -> _Panel | None:
    kept = [r for r in rows if r.get("operation") == name and _is_positive(r.get(over))]
    for other in (column for column in size_columns(rows) if column != over):
        fewest = min((r[other] for r in kept if _is_positive(r.get(other))), default=None)
        kept = [r for r in kept if r.get(other) == fewest]
    sides = []
    columns = [c for c in dict.fromkeys(c for r in rows for c in r) if c.endswith(_P50)]
    for column, (colour, marker) in zip(columns, _COLOURS, strict=False):
        label = column.removesuffix(_P50)
        points = sorted({float(r[over]): float(r[column]) for r in kept if _is_positive(r.get(column))}.items())
        if len(points) > 1:
            power = exponent([size for size, _ in points], [ms for _, ms in points]).value
            sides.append(_Side(label, colour, marker, tuple(points), power))
    return _Panel(clean(str(name), longest=34), tuple(sides)) if sides else None


def _is_positive(value: object) -> bool:
    return is_number(value) and value > 0


def _draw(axes: Axes, panel: _Panel, *, values: Sequence[float], sizes: Sequence[float]) -> None:
    axes.set_title(panel.name, loc="left", fontsize=8.5, color=INK, pad=5)
    axes.set_xscale("log")
    axes.set_xlim(min(sizes) / 1.5, max(sizes) * (max(sizes) / min(sizes)) ** 0.42)  # room for the labels at the right
    axes.xaxis.set_major_locator(LogLocator(numticks=6))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: _short(float(value)))
    scale_up(axes, values, room=0.06)
    for side in panel.sides:
        x, y = zip(*side.points, strict=True)
        axes.plot(x, y, color=side.colour, linewidth=1.6, marker=side.marker, markersize=4)
    _label(axes, panel.sides)


def _label(axes: Axes, sides: Sequence[_Side]) -> None:
    """The name and exponent at the end of each line, kept apart where both lines end together."""
    ends = [side.points[-1] for side in sides]
    places = [axes.transData.transform(end)[1] for end in ends]
    for place, side in enumerate(sides):
        others = [p for i, p in enumerate(places) if i != place]
        lift = 0.0
        if others and abs(places[place] - others[0]) < 18:
            above = (places[place], place) >= (others[0], 1 - place)
            lift = (9 - abs(places[place] - others[0]) / 2) * (1 if above else -1)
        axes.annotate(
            f"{side.label} {_power(side.power)}",
            ends[place],
            (6, lift),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=side.colour,
            weight="bold",
        )


def _power(value: float) -> str:
    return f"n^{value:.2f}".replace("-", "−")


def _short(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{number(value / size)}{letter}"
    return number(value)


def _says(panel: _Panel, over: str) -> str:
    told = []
    for side in panel.sides:
        (first, low), (last, high) = side.points[0], side.points[-1]
        told.append(
            f"{side.label} {quantity(low, unit='ms')} at {number(first)} {over} and {quantity(high, unit='ms')} at "
            f"{number(last)}, growing as {_power(side.power)}"
        )
    return f"{panel.name}: {', '.join(told)}"
