"""A value over runs, with the levels between which it changed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import matplotlib
from matplotlib.axes import Axes

from ptp.report.canvas import CARD, INK, MAIN, MUTE, OVER, SOFT, canvas, scale_up, to_svg
from ptp.report.charts import Chart
from ptp.report.words import clean, number, plural, quantity
from ptp.stats import percentile


@dataclass(frozen=True, slots=True)
class RunValue:
    """What one run measured: its name, the value, and its 95 % bounds where there are any."""

    run: str
    value: float
    low: float | None = None
    high: float | None = None


def trend(
    values: Sequence[RunValue], *, what: str, unit: str, changes: Sequence[int] = (), limit: float | None = None
) -> Chart:
    """A value over runs, oldest first; `changes` are the places at which a new level begins (`change_points`).

    Raises ValueError where there are no values.
    """
    if not values:
        raise ValueError("a trend of no runs says nothing")
    name, told = clean(what, longest=80), clean(unit, longest=30)
    levels = levels_of(values, changes)
    with matplotlib.rc_context():
        figure, axes = canvas(2.6, names=())
        seen = [v for one in values for v in (one.value, *_bounds(one))]
        scale_up(axes, [*seen, *([limit] if limit is not None else [])])
        _draw_values(axes, values, limit)
        _draw_levels(axes, levels)
        if limit is not None:
            axes.axhline(limit, color=INK, linewidth=1.4, linestyle=(0, (4, 3)))
            text = f"limit {quantity(limit, unit=told)}"
            at = axes.get_yaxis_transform()
            axes.annotate(text, (1, limit), (-2, 3), xycoords=at, textcoords="offset points", ha="right", weight="bold")
        _name_runs(axes, values)
        axes.set_ylabel(told)
        axes.set_title(name, loc="left", fontsize=10)
        svg = to_svg(figure)
    return Chart(svg=svg, alt=_says(name, told, values, levels, limit))


def levels_of(values: Sequence[RunValue], changes: Sequence[int]) -> tuple[tuple[int, int, float], ...]:
    """The first and last place of each level, and its median."""
    edges = [0, *sorted({c for c in changes if 0 < c < len(values)}), len(values)]
    return tuple(
        (first, end - 1, percentile(sorted(one.value for one in values[first:end]), q=0.5))
        for first, end in pairwise(edges)
    )


def _bounds(one: RunValue) -> tuple[float, float]:
    """The bounds of a value; the value itself where there is none."""
    low, high = (v if v is not None and math.isfinite(v) else one.value for v in (one.low, one.high))
    return low, high


def _draw_values(axes: Axes, values: Sequence[RunValue], limit: float | None) -> None:
    for place, one in enumerate(values):
        axes.plot([place, place], _bounds(one), color=SOFT, linewidth=3, solid_capstyle="butt")
    for colour, is_over in ((MAIN, False), (OVER, True)):
        points = [(i, v.value) for i, v in enumerate(values) if (limit is not None and v.value > limit) is is_over]
        if points:
            axes.plot(*zip(*points, strict=True), "o", color=colour, markersize=4.5, markeredgecolor=CARD)


def _draw_levels(axes: Axes, levels: Sequence[tuple[int, int, float]]) -> None:
    for first, last, middle in levels:
        axes.plot([first - 0.4, last + 0.4], [middle, middle], color=INK, linewidth=1.2, alpha=0.55)
    for (_, _, before), (first, _, after) in pairwise(levels):
        axes.axvline(first - 0.5, color=MUTE, linewidth=1, linestyle=(0, (2, 2)))
        axes.annotate(
            _change(before, after),
            (first - 0.5, 1.0),
            (4, 1),
            xycoords=axes.get_xaxis_transform(),
            textcoords="offset points",
            fontsize=8,
            weight="bold",
            color=OVER if after > before else MAIN,
        )


def _name_runs(axes: Axes, values: Sequence[RunValue]) -> None:
    """The names of some runs under the chart, so few that they do not touch."""
    n = len(values)
    places = list(range(0, n, max(1, math.ceil(n / 8))))
    axes.set_xticks(places, [clean(values[place].run, longest=16) for place in places], fontsize=8)
    axes.set_xlim(-0.6, n - 0.4)
    axes.set_xlabel("runs, oldest first", loc="left")


def _change(before: float, after: float) -> str:
    return f"{(after / before - 1) * 100:+.0f} %".replace("-", "−") if before > 0 else f"to {number(after)}"


def _says(
    name: str, unit: str, values: Sequence[RunValue], levels: Sequence[tuple[int, int, float]], limit: float | None
) -> str:
    told = [
        f"from run {clean(values[first].run, longest=40)} on {quantity(middle, unit=unit)}"
        for first, _, middle in levels
    ]
    text = f"{name} over {plural(len(values), 'run')}, {plural(len(levels), 'level')}: {'; '.join(told)}"
    if limit is None:
        return f"{text}."
    over = sum(one.value > limit for one in values)
    return f"{text}; {over} of {len(values)} over the limit {quantity(limit, unit=unit)}."
