"""What is marked on every panel of a load over time: its phases, the warm-up, and seconds in which nothing moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from ptp.report.canvas import MUTE, OVER, SOFT
from ptp.report.words import is_number, number

FEW = 5
"""Where fewer requests than this are due in a second, that none of them ended in it says nothing."""

_HALF = 0.5
_LEAST_WIDE = 0.07  # of the whole: a phase that is narrower is told by its line, not by its name

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """A phase as the rows have it: its first second, and how many it lasts."""

    name: str
    kind: str
    begin: float
    seconds: int

    def says(self) -> str:
        """The phase in words."""
        kind = "" if self.kind == self.name else f" ({self.kind})"
        return f"{self.name}{kind} from {number(self.begin)} s"


def phases_of(rows: Sequence[Row]) -> list[Span]:
    """The phases in the order of the rows; none where these do not say."""
    found: list[Span] = []
    for row in rows:
        name = str(row.get("phase") or "")
        if found and found[-1].name == name:
            last = found.pop()
            found.append(Span(name, last.kind, last.begin, last.seconds + 1))
        elif name:
            found.append(Span(name, str(row.get("kind") or ""), float(row["second"]), 1))
    return found


def gaps_of(rows: Sequence[Row]) -> list[Row]:
    """The seconds in which nothing moved: no request that was due then was answered, or none ended while all waited."""
    return [row for row in rows if _is_silent(row) or _stands_still(row)]


def _is_silent(row: Row) -> bool:
    return bool(row["rate"]) and not is_number(row.get("most_ms"))


def _stands_still(row: Row) -> bool:
    return not row["done"] and int(row["in_flight"]) >= int(row["rate"]) >= FEW


def shade(axes: Axes, rows: Sequence[Row]) -> None:
    """The warm-up light, seconds in which nothing moved red, and a line where a phase begins."""
    for row in rows:
        if not row.get("measured", True):
            _span(axes, row, SOFT, 0.22)
    for row in gaps_of(rows):
        _span(axes, row, OVER, 0.18)
    for phase in phases_of(rows)[1:]:
        axes.axvline(phase.begin - _HALF, color=MUTE, linewidth=0.7, linestyle=(0, (1, 2)))
    axes.set_xlim(float(rows[0]["second"]) - 0.6, float(rows[-1]["second"]) + 0.6)
    axes.xaxis.set_major_formatter(lambda value, _: f"{number(float(value))} s")


def name_phases(axes: Axes, rows: Sequence[Row]) -> None:
    """Write the name of each phase at the upper edge of a panel, where it has room."""
    for phase in phases_of(rows):
        if phase.seconds >= _LEAST_WIDE * len(rows):
            axes.text(
                phase.begin - _HALF + 0.005 * len(rows),
                0.97,
                phase.name if phase.name == phase.kind else f"{phase.name} ({phase.kind})",
                transform=axes.get_xaxis_transform(),
                va="top",
                fontsize=7.5,
                color=MUTE,
            )


def _span(axes: Axes, row: Row, colour: str, alpha: float) -> None:
    second = float(row["second"])
    axes.axvspan(second - _HALF, second + _HALF, color=colour, alpha=alpha, linewidth=0)
