"""Charts of results as SVG, each with a text alternative made from the same numbers."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import matplotlib
import numpy as np
from matplotlib.axes import Axes

from ptp.report.canvas import CARD, INK, MAIN, MUTE, OVER, SOFT, canvas, scale, to_svg
from ptp.report.words import clean, number, plural, quantity, shorten
from ptp.results import Measurement
from ptp.stats import Bounds, bounds, percentile

MOST_ROWS = 40
"""A chart with more rows than this shows the first of them and says so."""

_KEY = "{unit}:   ● p50   ◆ p95   | p99   ▌limit".replace(" ", "\N{NO-BREAK SPACE}")


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture as SVG and the text that says the same."""

    svg: str = field(repr=False)
    alt: str

    @property
    def uri(self) -> str:
        """The picture as a data URI."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg.encode()).decode()

    def _repr_html_(self) -> str:
        """An image with its text alternative, as notebooks show it."""
        return f'<img class="chart" style="max-width:100%" src="{self.uri}" alt="{html.escape(self.alt)}">'


@dataclass(frozen=True, slots=True)
class _Row:
    """One measurement of an overview."""

    name: str
    p50: float
    p95: float
    p99: float
    limit: float | None

    @property
    def load(self) -> float:
        """How much of its limit the p95 takes; -1 without a limit."""
        return self.p95 / self.limit if self.limit else -1.0

    def says(self, unit: str) -> str:
        """The row in words."""
        text = f"{self.name}: p50 {number(self.p50)}, p95 {number(self.p95)}, p99 {quantity(self.p99, unit=unit)}"
        if self.limit is None:
            return text
        return f"{text}, {'over' if self.p95 > self.limit else 'within'} the limit {quantity(self.limit, unit=unit)}"


def latency_overview(measurements: Sequence[Measurement], *, limits: Mapping[str, float] | None = None) -> Chart:
    """p50 to p99 of many measurements of one unit, a row each, against their limits by `what`; nearest to it first.

    Raises ValueError where there are no samples, or samples in different units.
    """
    measured = [m for m in measurements if m.samples]
    units = {m.unit for m in measured}
    if len(units) != 1:
        raise ValueError(f"an overview shows samples of one unit, not of {sorted(units) or 'none'}")
    unit = clean(units.pop(), longest=30)
    rows = sorted((_row(m, (limits or {}).get(m.what)) for m in measured), key=lambda row: (-row.load, -row.p95))
    shown = rows[:MOST_ROWS]
    with matplotlib.rc_context():
        figure, axes = canvas(len(shown) * 0.3 + 0.95, names=[row.name for row in shown])
        scale(axes, [v for row in shown for v in (row.p50, row.p99, row.limit) if v is not None])
        for place, row in enumerate(shown):
            _draw_row(axes, row, place=place, unit=unit)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlabel(_KEY.format(unit=unit), loc="left")
        svg = to_svg(figure)
    return Chart(svg=svg, alt=alt_of(f"{plural(len(rows), 'measurement')} in {unit}", [r.says(unit) for r in rows]))


def distribution(
    measurement: Measurement,
    *,
    limit: float | None = None,
    q: float = 0.95,
    span: Bounds | None = None,
    shares: tuple[float, float] = (0.0, 1.0),
) -> Chart:
    """How the samples of one measurement spread, with the q-quantile, its 95 % bounds, and the limit.

    `span` are the bounds that the verdict was made of; those of independent samples where none are given. `shares` of
    the samples in order are drawn, such as (0.9, 1.0) for the longest tenth; quantile and bounds are always of all.
    Raises ValueError where there are no samples.
    """
    everything = sorted(measurement.samples)
    middle, found = percentile(everything, q=q), span or bounds(everything, q=q)
    ordered = within(everything, *shares)
    name, unit, quantile = clean(measurement.what, longest=80), clean(measurement.unit, longest=30), f"p{q * 100:g}"
    whole = len(ordered) == len(everything)
    drawn = limit if limit is not None and (whole or ordered[0] <= limit <= ordered[-1]) else None
    with matplotlib.rc_context():
        figure, axes = canvas(2.6, names=())
        scale(axes, [*ordered, *([drawn] if drawn is not None else [])])
        bins = _bins(ordered, log=axes.get_xscale() == "log")
        sizes, _, _ = axes.hist(ordered, bins=bins, color=SOFT, edgecolor=CARD)
        axes.set_ylim(0, float(np.max(sizes)) * 1.4)  # room for the labels over the bars
        if ordered[0] <= middle <= ordered[-1]:
            axes.axvspan(max(found.low, ordered[0]), min(found.high, ordered[-1]), color=MAIN, alpha=0.18, linewidth=0)
            axes.axvline(middle, color=MAIN, linewidth=2)
            mark(axes, middle, f"{quantile} {quantity(middle, unit=unit)}, {_span(found)}", colour=MAIN, height=0.93)
        if drawn is not None:
            axes.axvline(drawn, color=INK, linewidth=1.6, linestyle=(0, (4, 2)))
            mark(axes, drawn, f"limit {quantity(drawn, unit=unit)}", colour=INK, height=0.8)
        axes.set_ylabel("samples")
        axes.set_xlabel(unit, loc="left")
        part = "" if whole else f", {len(ordered):,} of {len(everything):,} samples"
        axes.set_title(name + part, loc="left", fontsize=10)
        svg = to_svg(figure)
    alt = _spread(name, everything, unit=unit, quantile=(quantile, middle, found), limit=limit)
    return Chart(svg=svg, alt=alt if whole else f"{alt} Drawn from {number(ordered[0])} to {number(ordered[-1])}.")


def counts(values: Mapping[str, float], *, what: str) -> Chart:
    """A horizontal bar for each name, in the given order; `what` says what was counted, such as "rows".

    Raises ValueError where there are no values.
    """
    if not values:
        raise ValueError("a chart of no values says nothing")
    shown = list(values.items())[:MOST_ROWS]
    names, sizes = [clean(name, longest=40) for name, _ in shown], [size for _, size in shown]
    label = clean(what, longest=60)
    with matplotlib.rc_context():
        figure, axes = canvas(len(shown) * 0.26 + 0.75, names=names)
        axes.barh(range(len(shown)), sizes, height=0.68, color=SOFT)
        for place, size in enumerate(sizes):
            axes.annotate(number(size), (max(size, 0), place), (4, 0), textcoords="offset points", va="center")
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlim(min(0, *sizes), (max(0, *sizes) or 1) * 1.12)
        axes.xaxis.set_major_formatter(lambda value, _: number(float(value)))
        axes.set_xlabel(label, loc="left")
        svg = to_svg(figure)
    lines = [f"{clean(name, longest=40)}: {number(size)}" for name, size in values.items()]
    return Chart(svg=svg, alt=alt_of(f"{label}, {plural(len(lines), 'name')}", lines))


def within(ordered: Sequence[float], start: float, end: float) -> Sequence[float]:
    """The samples between two shares of all of them, in order; one at least. Raises ValueError for other shares."""
    if not 0 <= start < end <= 1:
        raise ValueError(f"a part of the samples lies between two shares from 0 to 1, not {start:g} and {end:g}")
    first = min(math.floor(start * len(ordered)), len(ordered) - 1)
    return ordered[first : max(math.ceil(end * len(ordered)), first + 1)]


def _row(measurement: Measurement, limit: float | None) -> _Row:
    ordered = sorted(measurement.samples)
    p50, p95, p99 = (percentile(ordered, q=q) for q in (0.50, 0.95, 0.99))
    return _Row(name=clean(measurement.what, longest=40), p50=p50, p95=p95, p99=p99, limit=limit)


def _draw_row(axes: Axes, row: _Row, *, place: int, unit: str) -> None:
    over = row.limit is not None and row.p95 > row.limit
    colour = OVER if over else MAIN
    axes.plot([row.p50, row.p99], [place, place], color=SOFT, linewidth=3, solid_capstyle="butt")
    axes.plot([row.p50], [place], "o", color=colour, markersize=4)
    axes.plot([row.p95], [place], "D", color=colour, markersize=5.5)
    axes.plot([row.p99], [place], "|", color=colour, markersize=9, markeredgewidth=1.6)
    if row.limit is not None:
        axes.plot([row.limit], [place], "|", color=INK, markersize=12, markeredgewidth=2.6)
    right = max(row.p99, row.limit or row.p99)
    text = quantity(row.p95, unit=shorten(unit, longest=12), beside=row.limit) + (" — over" if over else "")
    axes.annotate(text, (right, place), (7, 0), textcoords="offset points", va="center", fontsize=8, color=MUTE)


def _bins(ordered: Sequence[float], *, log: bool) -> list[float]:
    """Edges of forty bins, evenly spaced on the axis."""
    low, high = ordered[0], ordered[-1]
    if low == high:
        return [low - (abs(low) or 1) * 0.01, high + (abs(high) or 1) * 0.01]
    if log:
        return [low * (high / low) ** (i / 40) for i in range(40)] + [high]
    return [low + (high - low) * i / 40 for i in range(40)] + [high]


def mark(axes: Axes, place: float, text: str, *, colour: str, height: float) -> None:
    """A label beside an upright line; to its left where the line stands in the right half."""
    right = axes.transAxes.inverted().transform(axes.transData.transform((place, 0)))[0] > 0.7
    axes.annotate(
        text,
        (place, height),
        (-6 if right else 6, 0),
        xycoords=axes.get_xaxis_transform(),
        textcoords="offset points",
        color=colour,
        ha="right" if right else "left",
        weight="bold",
    )


def _span(found: Bounds) -> str:
    """Bounds in words; one that does not exist is unknown."""
    low, high = (number(v) if math.isfinite(v) else "unknown" for v in (found.low, found.high))
    return f"{low} – {high}"


def _spread(
    name: str, ordered: Sequence[float], *, unit: str, quantile: tuple[str, float, Bounds], limit: float | None
) -> str:
    label, middle, found = quantile
    text = (
        f"Distribution of {plural(len(ordered), 'sample')} of {name}: {number(ordered[0])} to "
        f"{quantity(ordered[-1], unit=unit)}, {label} {number(middle)}, "
        f"bounds {number(found.low)} to {number(found.high)}"
    )
    if limit is None:
        return f"{text}."
    return f"{text}, {'over' if middle > limit else 'within'} the limit {quantity(limit, unit=unit)}."


def alt_of(title: str, lines: Sequence[str]) -> str:
    """A text alternative: a title, and a sentence for each thing that is drawn, `MOST_ROWS` at most."""
    more = len(lines) - MOST_ROWS
    text = "; ".join(lines[:MOST_ROWS])
    return f"{title}. {text}{f'; and {more:,} more, not drawn' if more > 0 else ''}."
