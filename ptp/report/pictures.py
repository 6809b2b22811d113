"""Tiny pictures inside a table's cell, each with a text that says the same; where a cell says it already, without."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

from ptp.report.words import apart, number

BINS = 32
_WIDE, _TALL = 132, 18


def interval(*, value: float | None, low: float | None, high: float | None, limit: float | None) -> Markup:
    """A value within its bounds, against the limit; an open bound runs to the edge. Empty where there is no bound."""
    known = [v for v in (value, low, high, limit) if v is not None and math.isfinite(v)]
    if not known or (low is None and high is None):
        return Markup("")
    start, end = min(0.0, *known), max(0.0, *known)
    if start == end:
        return Markup("")

    def across(place: float) -> str:
        return f"{4 + (_WIDE - 8) * (place - start) / ((end - start) * 1.06):.1f}"

    left = across(low) if low is not None and math.isfinite(low) else "0"
    right = across(high) if high is not None and math.isfinite(high) else str(_WIDE)
    shapes = [f'<path class="axis" d="M0 9H{_WIDE}"/>']
    width = max(float(right) - float(left), 2.0)
    shapes.append(f'<rect class="range" x="{left}" y="5.5" width="{width:.1f}" height="7" rx="2"/>')
    if limit is not None and math.isfinite(limit):
        shapes.append(f'<path class="limit" d="M{across(limit)} 1V17"/>')
    if value is not None and math.isfinite(value):
        shapes.append(f'<circle class="point" cx="{across(value)}" cy="9" r="3"/>')
    return _svg(shapes, alt=_told(value=value, low=low, high=high, limit=limit))


def bar(start: float, share: float) -> Markup:
    """A part of a whole as a bar from `start` on, both as shares of 1: parts in order make a timeline."""
    left, width = _WIDE * min(max(start, 0.0), 1.0), max(_WIDE * min(max(share, 0.0), 1.0), 1.0)
    shapes = [f'<path class="axis" d="M0 16.5H{_WIDE}"/>']
    shapes.append(
        f'<rect class="part" x="{min(left, _WIDE - width):.1f}" y="4" width="{width:.1f}" height="10" rx="1"/>'
    )
    return _svg(shapes)


def histogram(samples: Sequence[float], *, low: float, high: float, limit: float | None) -> Markup:
    """How samples spread between `low` and `high`, which tables share between rows; on a log scale where it can be."""
    log = low > 0
    first, last = (math.log(low), math.log(high)) if log else (low, high)
    span = (last - first) or 1.0
    scaled = [((math.log(v) if log else v) - first) / span for v in samples]
    sizes = [0] * BINS
    for place in scaled:
        sizes[min(max(int(place * BINS), 0), BINS - 1)] += 1
    step, most = _WIDE / BINS, max(sizes) or 1
    bars = "".join(
        f"M{i * step:.1f} 17v-{max(16 * size / most, 1):.1f}h{step - 0.6:.1f}V17z"
        for i, size in enumerate(sizes)
        if size
    )
    shapes = [f'<path class="axis" d="M0 17.5H{_WIDE}"/>', f'<path class="bars" d="{bars}"/>']
    if limit is not None and low <= limit <= high:
        place = ((math.log(limit) if log else limit) - first) / span * (_WIDE - 2) + 1
        shapes.append(f'<path class="limit" d="M{place:.1f} 1V18"/>')
    return _svg(shapes)


def _told(*, value: float | None, low: float | None, high: float | None, limit: float | None) -> str:
    """The interval in words."""
    bounds = (("at least", low), ("at most", high))
    parts = [f"{name} {number(v)}" for name, v in bounds if v is not None and math.isfinite(v)]
    text = " and ".join(parts) or "unbounded"
    if value is not None and math.isfinite(value):
        text = f"{apart(value, limit)}, {text}"
    return f"{text}; limit {number(limit)}" if limit is not None and math.isfinite(limit) else text


def _svg(shapes: Sequence[str], *, alt: str = "") -> Markup:
    size = f'width="{_WIDE}" height="{_TALL}" viewBox="0 0 {_WIDE} {_TALL}"'
    said = f'role="img" aria-label="{escape(alt)}"' if alt else 'aria-hidden="true"'
    return Markup(f'<svg class="tiny" {size} {said}>{"".join(shapes)}</svg>')
