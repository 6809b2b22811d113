"""Several engines beside a reference: the ratio of each on each query, from the rows of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from ptp.report.canvas import INK, MAIN, MUTE, SOFT, canvas, to_svg
from ptp.report.charts import MOST_ROWS, Chart, alt_of
from ptp.report.words import clean, is_number, number, plural

_LOOKS = (("o", MAIN), ("s", INK), ("D", MUTE), ("^", SOFT))
_SIGNS = {"o": "●", "s": "■", "D": "◆", "^": "▲"}


def engine_ratios(rows: Sequence[Mapping[str, Any]]) -> Chart | None:
    """How many times as long each engine takes as the reference, a row a query, with intervals; None without any.

    Rows have query, engine, ratio, ratio_low and ratio_high; those without a ratio could not be measured, or are the
    reference itself.
    """
    told = [r for r in rows if is_number(r.get("ratio")) and r["ratio"] > 0]
    if not told:
        return None
    queries = list(dict.fromkeys(str(r["query"]) for r in told))
    engines = list(dict.fromkeys(str(r["engine"]) for r in told))[: len(_LOOKS)]
    looks = dict(zip(engines, _LOOKS, strict=False))
    shown = {query: place for place, query in enumerate(queries[:MOST_ROWS])}
    with matplotlib.rc_context():
        figure, axes = canvas(len(shown) * 0.27 + 0.9, names=[clean(query, longest=44) for query in shown])
        _scale(axes, [float(r["ratio"]) for r in told])
        axes.axvline(1.0, color=INK, linewidth=1.2)
        for row in told:
            if row["query"] in shown and row["engine"] in looks:
                _draw(axes, row, place=shown[row["query"]], look=looks[row["engine"]])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        key = "   ".join(f"{_SIGNS[marker]} {clean(engine, longest=20)}" for engine, (marker, _) in looks.items())
        text = f"median time, the reference = 1:   {key}".replace(" ", "\N{NO-BREAK SPACE}")
        axes.set_xlabel(text, loc="left")
        svg = to_svg(figure)
    lines = [f"{query}: {', '.join(_says(r) for r in told if r['query'] == query)}" for query in queries]
    title = f"{plural(len(queries), 'row')} of {', '.join(engines)}, in times of the reference"
    return Chart(svg=svg, alt=alt_of(clean(title), [clean(line, longest=200) for line in lines]))


def _scale(axes: Axes, ratios: Sequence[float]) -> None:
    low, high = min(*ratios, 0.8), max(*ratios, 1.25)
    span = high / low
    axes.set_xscale("log")
    axes.set_xlim(low / span**0.04, high * span**0.06)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if span < 100 else (1,), numticks=9))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(lambda value, _: f"{number(float(value))}×")


def _draw(axes: Axes, row: Mapping[str, Any], *, place: int, look: tuple[str, str]) -> None:
    marker, colour = look
    low, high = row.get("ratio_low"), row.get("ratio_high")
    if is_number(low) and is_number(high):
        axes.plot([low, high], [place, place], color=colour, linewidth=4, alpha=0.35, solid_capstyle="butt")
    axes.plot([row["ratio"]], [place], marker, color=colour, markersize=4.5)


def _says(row: Mapping[str, Any]) -> str:
    return f"{row['engine']} {number(float(row['ratio']))} times"
