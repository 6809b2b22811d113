"""A chart inside a page: its SVG without colours of its own, so that it follows the page's theme."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from ptp.report.charts import Chart
from ptp.report.words import clean

_OWN_STYLE = re.compile(r"<style>text\{font-family:.*?</style>", re.DOTALL)
_NAMES = re.compile(r'(\bid="|href="#|url\(#)')


def inline(chart: Chart, *, name: str) -> Markup:
    """The SVG as an image of the page, named by its text; `name` keeps its ids apart from those of other charts."""
    svg = _OWN_STYLE.sub("", chart.svg, count=1)
    head, _, body = svg.partition(">")
    box = re.search(r'viewBox="[\d. ]+"', head)
    # Only tags are touched: a text may hold what looks like an id.
    body = re.sub(r"<[^>]*>", lambda tag: _NAMES.sub(rf"\g<1>{name}-", tag[0]), body)
    label = escape(clean(chart.alt, longest=len(chart.alt)))
    opened = f'<svg class="chart" {box[0] if box else ""} role="img" aria-label="{label}">'
    return Markup(opened + body)
