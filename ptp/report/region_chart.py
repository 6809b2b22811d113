"""p95 by region and topology, as a grid of numbers: what is over the limit stands out, and says so in words too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from ptp.report.canvas import CARD, INK, MAIN, MUTE, OVER, SOFT, canvas, to_svg
from ptp.report.charts import Chart, alt_of
from ptp.report.titles import titled
from ptp.report.words import clean, is_number, number, quantity

_FADED = 0.18
_ENDLESS_MS = 30_000.0


def region_grid(rows: Sequence[Mapping[str, Any]]) -> Chart | None:
    """A cell for each region and topology with its p95 in ms; None where there is nothing.

    Rows have region, topology, p95_ms, low_ms, high_ms and limit_ms.
    """
    told = [row for row in rows if is_number(row.get("p95_ms"))]
    if not told:
        return None
    regions = list(dict.fromkeys(str(row["region"]) for row in told))
    topologies = list(dict.fromkeys(str(row["topology"]) for row in told))
    with matplotlib.rc_context():
        height = 0.3 * len(regions) + 1.0
        figure, axes = canvas(height, names=[clean(name, longest=24) for name in reversed(regions)])
        axes.grid(visible=False)
        for row in told:
            across, up = topologies.index(str(row["topology"])), len(regions) - 1 - regions.index(str(row["region"]))
            _cell(axes, row, across, up)
        axes.set_xlim(0, len(topologies))
        axes.set_ylim(-0.5, len(regions) - 0.5)
        axes.set_xticks([n + 0.5 for n in range(len(topologies))], [clean(name, longest=40) for name in topologies])
        axes.tick_params(axis="x", length=0, labelcolor=INK)
        axes.spines["bottom"].set_visible(False)
        limit = quantity(told[0].get("limit_ms"), unit="ms")
        titled(axes, f"Estimated p95 in ms, and its range; red and ▲: over {limit}", height=height)
        svg = to_svg(figure)
    return Chart(svg=svg, alt=alt_of("Estimated p95 by region and topology", [_says(row) for row in told]))


def _cell(axes: Axes, row: Mapping[str, Any], across: int, up: int) -> None:
    over = _is_over(row)
    box = Rectangle((across + 0.01, up - 0.46), 0.98, 0.92, facecolor=OVER if over else SOFT, edgecolor=CARD)
    box.set_alpha(_FADED if over else 0.5)
    axes.add_patch(box)
    text = f"{'▲ ' if over else ''}{number(round(float(row['p95_ms'])))}"
    colour = OVER if over else MAIN
    axes.text(across + 0.42, up, text, ha="right", va="center", color=colour, weight="bold")
    if is_number(row.get("low_ms")) and is_number(row.get("high_ms")):
        span = f"{_shown(float(row['low_ms']))} – {_shown(float(row['high_ms']))}"
        axes.text(across + 0.47, up, span, ha="left", va="center", color=MUTE, fontsize=8)


def _shown(value: float) -> str:
    """A time in ms; one beyond all patience is that of a queue which only grows, and its figure says nothing."""
    return number(round(value)) if value <= _ENDLESS_MS else "no end"


def _is_over(row: Mapping[str, Any]) -> bool:
    return is_number(row.get("limit_ms")) and float(row["p95_ms"]) >= float(row["limit_ms"])


def _says(row: Mapping[str, Any]) -> str:
    side = "over" if _is_over(row) else "within"
    return f"{row['region']}, {row['topology']}: {quantity(round(float(row['p95_ms'])), unit='ms')}, {side} the limit"
