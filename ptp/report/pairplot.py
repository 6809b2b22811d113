"""A against B: the ratios within pairs, of one comparison in full and of many in one picture.

A is what was, such as plain SQL or the version before; B is what is judged. So over 1 means that B is the faster.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from ptp.report.canvas import INK, MAIN, MUTE, OVER, SOFT, canvas, scale_up, to_svg
from ptp.report.charts import MOST_ROWS, Chart, alt_of
from ptp.report.words import clean, number, plural
from ptp.results import Measurement
from ptp.stats import Ratio, percentile, ratio_of

_POINTS = 400  # a curve of sorted ratios needs no more


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two measurements taken in pairs: sample by sample `a` beside `b`, whose ratios are a / b."""

    name: str
    a: Measurement
    b: Measurement

    @property
    def ratios(self) -> tuple[float, ...]:
        """a / b of each pair, ascending."""
        return tuple(sorted(a / b for a, b in zip(self.a.samples, self.b.samples, strict=True)))

    @property
    def sides(self) -> tuple[str, str]:
        """What tells the two apart: the ends of their names."""
        return clean(self.a.what.rpartition(".")[2], longest=24), clean(self.b.what.rpartition(".")[2], longest=24)


def can_compare(a: Measurement, b: Measurement) -> bool:
    """Whether both hold as many samples in one unit, all of them over 0."""
    alike = a.unit == b.unit and len(a.samples) == len(b.samples) > 0
    return alike and min(*a.samples, *b.samples) > 0


def distance(comparison: Comparison) -> float:
    """How far the median ratio is from 1, as a factor either way, in its logarithm."""
    return abs(math.log(percentile(comparison.ratios, q=0.5)))


def pairs(comparison: Comparison) -> Chart:
    """The ratios of all pairs, sorted, with their median, its 95 % interval, and the line at which both are alike.

    Raises ValueError where there is no pair, or one took no time.
    """
    found, ordered = ratio_of(comparison.a.samples, comparison.b.samples), comparison.ratios
    first, second = comparison.sides
    colour = _colour(found)
    with matplotlib.rc_context():
        figure, axes = canvas(2.6, names=())
        x, y = _curve(ordered)
        scale_up(axes, [*ordered, 1.0])
        axes.fill_between(x, y, 1.0, color=SOFT, alpha=0.35, linewidth=0)
        axes.plot(x, y, color=MAIN, linewidth=1.8)
        axes.axhline(1.0, color=INK, linewidth=1.2)
        low, high = _within(axes, found.low, found.high)
        axes.plot([50, 50], [low, high], color=colour, linewidth=6, alpha=0.35, solid_capstyle="butt")
        axes.plot([50], [found.value], "D", color=colour, markersize=6)
        text = f"median {_told(found)}"
        axes.annotate(text, (50, found.value), (10, -9), textcoords="offset points", color=colour, weight="bold")
        axes.annotate("alike", (100, 1.0), (-2, 3), textcoords="offset points", color=INK, ha="right", fontsize=8)
        axes.set_xlim(0, 100)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} %")
        axes.set_ylabel(f"{first} / {second}")
        axes.set_xlabel("share of pairs, from the least ratio to the most", loc="left")
        axes.set_title(f"{clean(comparison.name, longest=80)}: {first} beside {second}", loc="left", fontsize=10)
        svg = to_svg(figure)
    return Chart(svg=svg, alt=f"{_says(comparison, found)}; all from {number(ordered[0])} to {number(ordered[-1])}.")


def pairs_overview(comparisons: Sequence[Comparison]) -> Chart:
    """The median ratio of each comparison with its interval, a row each, the furthest from alike first.

    Raises ValueError where there is no comparison.
    """
    if not comparisons:
        raise ValueError("a chart of no comparison says nothing")
    found = [(one, ratio_of(one.a.samples, one.b.samples)) for one in comparisons]
    found.sort(key=lambda one: -distance(one[0]))
    shown = found[:MOST_ROWS]
    first, second = comparisons[0].sides
    with matplotlib.rc_context():
        names = [clean(one.name, longest=44) for one, _ in shown]
        figure, axes = canvas(len(shown) * 0.27 + 0.9, names=names)
        _scale_ratios(axes, [ratio for _, ratio in shown])
        axes.axvline(1.0, color=INK, linewidth=1.2)
        for place, (one, ratio) in enumerate(shown):
            _draw_row(axes, one, ratio, place=place)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        key = f"{first} / {second}:   ◆ median   ▬ its 95 % interval   — middle half of the pairs"
        axes.set_xlabel(key.replace(" ", "\N{NO-BREAK SPACE}"), loc="left")
        svg = to_svg(figure)
    lines = [_says(one, ratio) for one, ratio in found]
    return Chart(svg=svg, alt=alt_of(f"{plural(len(found), 'comparison')} of {first} and {second} in pairs", lines))


def _curve(ordered: Sequence[float]) -> tuple[list[float], list[float]]:
    """The sorted ratios over the share of pairs, thinned evenly; both ends stay."""
    n = len(ordered)
    if n == 1:
        return [0.0, 100.0], [ordered[0]] * 2
    step = max(1, n // _POINTS)
    places = [*range(0, n - 1, step), n - 1]
    return [100 * place / (n - 1) for place in places], [ordered[place] for place in places]


def _within(axes: Axes, low: float, high: float) -> tuple[float, float]:
    """Bounds that can be drawn: one that does not exist runs to the edge."""
    bottom, top = axes.get_ylim()
    return max(low, bottom), min(high, top)


def _scale_ratios(axes: Axes, ratios: Sequence[Ratio]) -> None:
    known = [v for r in ratios for v in (r.value, r.low, r.high) if 0 < v < math.inf]
    low, high = min(*known, 0.9), max(*known, 1.1)
    axes.set_xscale("log")
    span = high / low
    axes.set_xlim(low / span**0.04, high * span**0.22)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if span < 100 else (1,), numticks=9))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(lambda value, _: f"{number(float(value))}×")


def _draw_row(axes: Axes, one: Comparison, ratio: Ratio, *, place: int) -> None:
    ordered, colour = one.ratios, _colour(ratio)
    left, right = axes.get_xlim()
    axes.plot([percentile(ordered, q=0.25), percentile(ordered, q=0.75)], [place, place], color=SOFT, linewidth=1.6)
    low, high = max(ratio.low, left), min(ratio.high, right)
    axes.plot([low, high], [place, place], color=colour, linewidth=5, alpha=0.4, solid_capstyle="butt")
    axes.plot([ratio.value], [place], "D", color=colour, markersize=4.5)
    end = max(high, percentile(ordered, q=0.75)) if math.isfinite(ratio.high) else ratio.value
    text = f"{_times(ratio.value)}"
    axes.annotate(
        text, (min(end, right), place), (7, 0), textcoords="offset points", va="center", fontsize=8, color=MUTE
    )


def _colour(ratio: Ratio) -> str:
    """Red where b is shown to be slower than a, blue where it is shown to be faster, grey where neither is."""
    if ratio.high < 1:
        return OVER
    return MAIN if ratio.low > 1 else MUTE


def _times(value: float) -> str:
    return f"{number(value)}×"


def _told(ratio: Ratio) -> str:
    low, high = (_times(v) if 0 < v < math.inf else "unknown" for v in (ratio.low, ratio.high))
    return f"{_times(ratio.value)}, {low} to {high}"


def _says(one: Comparison, ratio: Ratio) -> str:
    first, second = one.sides
    low, high = (number(v) if 0 < v < math.inf else "unknown" for v in (ratio.low, ratio.high))
    return (
        f"{clean(one.name, longest=80)}: {first} takes {number(ratio.value)} times as long as {second} (median of "
        f"{plural(ratio.n, 'pair')}), interval {low} to {high}"
    )
