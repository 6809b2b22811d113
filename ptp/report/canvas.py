"""The paper that charts are drawn on: colours, margins, scales, and a figure as a small SVG.

matplotlib draws with Figure objects, never with pyplot's state, and the same results give the same bytes. Colours are
drawn as stand-ins and replaced by CSS variables, so that a chart follows the reader's light or dark theme.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

from ptp.report.words import number

WIDTH = 9.0
"""Inches; at 80 pixels an inch a chart is as wide as the page's text."""

# Stand-in colour: name, light theme, dark theme.
INK, MUTE, GRID, CARD, MAIN, SOFT, OVER = (f"#00fe0{digit}" for digit in range(1, 8))
_COLOURS = {
    INK: ("ink", "#22262b", "#e6e8ea"),
    MUTE: ("mute", "#5f6770", "#a3abb3"),
    GRID: ("grid", "#e4e6e8", "#353b41"),
    CARD: ("card", "#ffffff", "#1b1f23"),
    MAIN: ("main", "#27659f", "#7db8ec"),
    SOFT: ("soft", "#a9c6e2", "#3d6283"),
    OVER: ("over", "#b3261e", "#ff8f7f"),
}
_SETTINGS: Mapping[Any, Any] = {
    "svg.hashsalt": "ptp",
    "svg.fonttype": "none",
    "path.simplify": True,
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": MUTE,
    "axes.labelcolor": MUTE,
    "xtick.color": MUTE,
    "ytick.color": INK,
    "grid.color": GRID,
    "axes.facecolor": CARD,
    "figure.facecolor": CARD,
    "font.size": 9,
}
_NESTED = 3
_FONTS = "-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,'Liberation Sans',sans-serif"


def canvas(height: float, *, names: Sequence[str]) -> tuple[Figure, Axes]:
    """A figure of fixed margins, wide enough at the left for the names; inside the caller's rc_context."""
    matplotlib.rcdefaults()
    matplotlib.rcParams.update(_SETTINGS)
    left = 0.25 + 0.082 * max((len(name) for name in names), default=0) if names else 0.75
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((left / WIDTH, 0.52 / height, (WIDTH - left - 0.3) / WIDTH, 1 - 0.6 / height))
    if names:
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(axis="y", length=0)
        axes.spines[["left", "right", "top"]].set_visible(False)
        axes.grid(axis="x")
    else:
        axes.set_position((left / WIDTH, 0.52 / height, (WIDTH - left - 0.3) / WIDTH, 1 - 0.9 / height))
        axes.spines[["right", "top"]].set_visible(False)
    axes.set_axisbelow(True)
    return figure, axes


def panels(count: int, *, across: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of `count` small charts, `across` in a row, each of `height` inches; inside the caller's rc_context."""
    matplotlib.rcdefaults()
    matplotlib.rcParams.update(_SETTINGS)
    down = -(-count // across)
    tall = down * height + 0.25
    figure = Figure(figsize=(WIDTH, tall))
    wide, left, gap = (WIDTH - 0.3) / across, 0.62, 0.25
    found = []
    for place in range(count):
        row, column = divmod(place, across)
        bottom = tall - (row + 1) * height + 0.3
        box = ((column * wide + left) / WIDTH, bottom / tall, (wide - left - gap) / WIDTH, (height - 0.72) / tall)
        axes = figure.add_axes(box)
        axes.spines[["right", "top"]].set_visible(False)
        axes.grid(linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(axis="both", labelsize=8, labelcolor=MUTE)
        found.append(axes)
    return figure, found


def scale_up(axes: Axes, values: Sequence[float], *, room: float = 0.12) -> None:
    """The same upright: log where every value is over zero, with `room` as a share of the span above and below."""
    low, high = min(values), max(values)
    if low > 0:
        axes.set_yscale("log")
        span = max(high / low, 3.0)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if span < 30 else (1,), numticks=8))
        axes.yaxis.set_minor_locator(NullLocator())
        middle = math.sqrt(low * high)
        reach = math.sqrt(span)
        axes.set_ylim(middle / reach / span**room, middle * reach * span**room)
    else:
        span = (high - low) or 1.0
        axes.set_ylim(low - span * 0.02, high + span * room)
    axes.yaxis.set_major_formatter(lambda value, _: number(float(value)))


def scale(axes: Axes, values: Sequence[float]) -> None:
    """A log scale where every value is over zero, else a linear one; with room at the right for a label."""
    low, high = min(values), max(values)
    if low > 0:
        axes.set_xscale("log")
        span = max(high / low, 3.0)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if span < 100 else (1,)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlim(low / span**0.04, low * span**1.16)
    else:
        axes.set_xlim(low, low + ((high - low) or 1.0) * 1.2)
    axes.xaxis.set_major_formatter(lambda value, _: number(float(value)))


def to_svg(figure: Figure) -> str:
    """The figure as a small SVG that carries its own light and dark colours and names no address but its namespace."""
    target = io.StringIO()
    with warnings.catch_warnings():
        # Only the layout lacks such a glyph; the reader's fonts draw the text.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = target.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = text.replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "").replace("xlink:href", "href")
    text = re.sub(r"<[^>]*>", _smaller, text)
    for stand_in, (name, _, _) in _COLOURS.items():
        text = text.replace(stand_in, f"var(--{name})")
    text = re.sub(r"\n\s*", "\n", text)
    for _ in range(_NESTED):  # groups that say nothing, around one shape
        text = re.sub(r"<g>\n(<[^<>g][^<>]*/>)\n</g>", r"\1", text)
    return text.replace("<defs>", f"<style>{_theme()}</style><defs>", 1)


def _theme() -> str:
    light = ";".join(f"--{name}:{colour}" for name, colour, _ in _COLOURS.values())
    dark = ";".join(f"--{name}:{colour}" for name, _, colour in _COLOURS.values())
    return f"text{{font-family:{_FONTS}}}:root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}"


def _smaller(tag: re.Match[str]) -> str:
    """A tag with coordinates to a tenth of a point, and without the fonts that the style names once."""
    text = re.sub(r" font-family: [^;\"]*;?|; stroke-linejoin: miter", "", tag[0])
    text = re.sub(r"^<g id=\"[^\"]*\"", "<g", text)  # nothing refers to groups, only to paths
    return re.sub(r"-?\d+\.\d{2,}", lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), text)
