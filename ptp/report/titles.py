"""A title above a chart whose rows have names: such a chart fills its figure, so the room is taken from its axes."""

from __future__ import annotations

from matplotlib.axes import Axes

_INCHES = 0.3


def titled(axes: Axes, text: str, *, height: float) -> None:
    """Put a title above the axes of a figure of `height` inches."""
    box = axes.get_position()
    axes.set_position((box.x0, box.y0, box.width, box.height - _INCHES / height))
    axes.set_title(text, loc="left", fontsize=10)
