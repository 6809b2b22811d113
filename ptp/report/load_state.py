"""How the service stood during a load: a panel each for its cache, its pool and its write-ahead log, where it told."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from ptp.report.canvas import MAIN, SOFT
from ptp.report.words import is_number, number

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: what is drawn as a line, what as the light line that bounds it, and how both are told.

    `says` takes the least and the most of the line, and the most of its bound.
    """

    line: str
    title: str
    says: str
    bound: str | None = None
    top: float | None = None


PANELS = (
    Panel(
        "cache_hit_percent",
        "Calls of a second that the cache answered, in %",
        "the cache answered {least} to {most} % of the calls of a second",
        top=100.0,
    ),
    Panel(
        "pool_in_use",
        "Connections: blue in use, light those that there can be",
        "at most {most} of {bound} connections in use",
        bound="pool_size",
    ),
    Panel("wal_mb", "Write-ahead log in MB", "the write-ahead log at most {most} MB"),
)


def panels_of(rows: Sequence[Row]) -> tuple[Panel, ...]:
    """The panels for which the service told anything."""
    return tuple(panel for panel in PANELS if _values(rows, panel.line))


def draw(axes: Axes, panel: Panel, rows: Sequence[Row]) -> None:
    """One panel; a second of which nothing was told is a hole in its line."""
    seconds = [float(row["second"]) for row in rows]
    if panel.bound:
        axes.step(seconds, _line(rows, panel.bound), where="mid", color=SOFT, linewidth=1.6)
    axes.plot(seconds, _line(rows, panel.line), color=MAIN, linewidth=1.2, marker="o", markersize=2.2)
    axes.set_ylim(bottom=0, top=panel.top and panel.top * 1.04)
    axes.yaxis.set_major_formatter(lambda value, _: number(float(value)))
    axes.set_title(panel.title, loc="left", fontsize=9)


def says(panel: Panel, rows: Sequence[Row]) -> str:
    """A panel in words."""
    values, bound = _values(rows, panel.line), _values(rows, panel.bound or "")
    return panel.says.format(
        least=number(min(values)), most=number(max(values)), bound=number(max(bound)) if bound else "?"
    )


def _values(rows: Sequence[Row], name: str) -> list[float]:
    return [float(value) for row in rows if is_number(value := row.get(name))]


def _line(rows: Sequence[Row], name: str) -> list[float]:
    return [float(value) if is_number(value := row.get(name)) else math.nan for row in rows]
