"""Samples in the order in which they were taken: a stall, a trend or a warm-up that a percentile hides is seen here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import matplotlib
from matplotlib.axes import Axes

from ptp.report.canvas import INK, MAIN, MUTE, OVER, SOFT, canvas, scale_up, to_svg
from ptp.report.charts import Chart
from ptp.report.words import clean, number, plural, quantity
from ptp.results import Measurement
from ptp.stats import percentile

COLUMNS = 450
"""As many places across; where there are more samples, each shows the least, the median and the most of its own."""

STALL = 10.0
"""A sample of more than so many times the median is marked as a stall."""

_MOST_MARKS = 60


@dataclass(frozen=True, slots=True)
class Part:
    """Samples that follow each other, brought to at most `COLUMNS` places: the least, median and most of each."""

    places: tuple[float, ...]
    low: tuple[float, ...]
    middle: tuple[float, ...]
    high: tuple[float, ...]


def timeline(
    measurement: Measurement,
    *,
    limit: float | None = None,
    warm_up: Sequence[float] = (),
    cold: Sequence[float] = (),
) -> Chart:
    """The samples of one measurement in their order, after those of the warm-up and the cold calls, which do not count.

    No sample is left out: where places hold several, a band goes from the least to the most of them. Raises
    ValueError where there are no samples.
    """
    if not measurement.samples:
        raise ValueError("a timeline of no samples says nothing")
    name, unit = clean(measurement.what, longest=80), clean(measurement.unit, longest=30)
    middle = percentile(sorted(measurement.samples), q=0.5)
    stalls = [(i, v) for i, v in enumerate(measurement.samples) if v > STALL * middle > 0]
    apart = (("cold", cold), ("warm-up", warm_up))
    with matplotlib.rc_context():
        figure, axes = canvas(2.6, names=())
        scale_up(axes, [*measurement.samples, *warm_up, *cold, *([limit] if limit is not None else [])])
        start = _before(axes, apart, n=len(measurement.samples))
        _draw(axes, shrunk(measurement.samples), colour=MAIN, wash=SOFT)
        worst = sorted(stalls, key=lambda one: -one[1])[:_MOST_MARKS]
        if worst:
            axes.plot(*zip(*worst, strict=True), "o", color=OVER, markersize=3.2)
        axes.set_xlim(start, len(measurement.samples) * 1.01)
        if limit is not None:
            axes.axhline(limit, color=INK, linewidth=1.4, linestyle=(0, (4, 3)))
            text = f"limit {quantity(limit, unit=unit)}"
            axes.annotate(text, (1, limit), (-2, 3), xycoords=axes.get_yaxis_transform(), **_AT_RIGHT)
        axes.xaxis.set_major_formatter(lambda value, _: number(float(value)) if value >= 0 else "")
        axes.set_ylabel(unit)
        axes.set_xlabel("samples, in the order in which they were taken", loc="left")
        axes.set_title(f"{name}, in order", loc="left", fontsize=10)
        svg = to_svg(figure)
    return Chart(svg=svg, alt=_says(name, unit, measurement.samples, limit=limit, stalls=stalls, apart=apart))


_AT_RIGHT: dict[str, Any] = {
    "textcoords": "offset points",
    "ha": "right",
    "va": "bottom",
    "weight": "bold",
    "color": INK,
}


def shrunk(samples: Sequence[float], *, columns: int = COLUMNS) -> Part:
    """The samples as they are where each has a place of its own, else the least, median and most of each place."""
    n = len(samples)
    count = min(n, columns)
    edges = [i * n // count for i in range(count + 1)]
    parts = [sorted(samples[a:b]) for a, b in pairwise(edges)]
    return Part(
        places=tuple((a + b - 1) / 2 for a, b in pairwise(edges)),
        low=tuple(part[0] for part in parts),
        middle=tuple(percentile(part, q=0.5) for part in parts),
        high=tuple(part[-1] for part in parts),
    )


def _draw(axes: Axes, part: Part, *, colour: str, wash: str, shift: float = 0.0, stretch: float = 1.0) -> None:
    places = [shift + place * stretch for place in part.places]
    if part.low != part.high:
        axes.fill_between(places, part.low, part.high, color=wash, linewidth=0.4, alpha=0.75)
    axes.plot(places, part.middle, color=colour, linewidth=0.9, marker="o" if len(places) < 3 else None, markersize=3)


def _before(axes: Axes, apart: Sequence[tuple[str, Sequence[float]]], *, n: int) -> float:
    """Draw what does not count at the left of 0, stretched to be seen; gives where the chart begins."""
    start = -n * 0.01
    for label, samples in reversed([one for one in apart if one[1]]):
        width = n * 0.09
        part = shrunk(samples, columns=80)
        stretch = width / max(len(samples), 1)
        start -= width
        axes.axvspan(start, start + width, color=SOFT, alpha=0.22, linewidth=0)
        _draw(axes, part, colour=MUTE, wash=SOFT, shift=start + stretch / 2, stretch=stretch)
        told = f"{label} ({len(samples)})"
        axes.annotate(told, (start, 0), (2, 3), xycoords=axes.get_xaxis_transform(), color=MUTE, fontsize=7.5, **_OVER)
        start -= n * 0.01
    return start


_OVER: dict[str, Any] = {"textcoords": "offset points", "ha": "left", "va": "bottom"}


def _says(
    name: str,
    unit: str,
    samples: Sequence[float],
    *,
    limit: float | None,
    stalls: Sequence[tuple[int, float]],
    apart: Sequence[tuple[str, Sequence[float]]],
) -> str:
    text = (
        f"{plural(len(samples), 'sample')} of {name} in the order taken: {number(min(samples))} to "
        f"{quantity(max(samples), unit=unit)}"
    )
    if limit is not None:
        over = sum(value > limit for value in samples)
        text += f", {over:,} of them over the limit {quantity(limit, unit=unit)}"
    if stalls:
        place, worst = max(stalls, key=lambda one: one[1])
        text += f"; {plural(len(stalls), 'stall')}, the longest {quantity(worst, unit=unit)} at sample {place + 1:,}"
    told = [f"{label} {number(min(values))} to {number(max(values))}" for label, values in apart if values]
    return f"{text}; apart: {', '.join(told)}." if told else f"{text}."
