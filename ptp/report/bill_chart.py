"""What a month costs: by number of people on each plan, and by query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib

from ptp.report.canvas import INK, MAIN, MUTE, OVER, SOFT, canvas, to_svg
from ptp.report.charts import Chart, alt_of
from ptp.report.titles import titled
from ptp.report.words import clean, is_number, number

_STYLES = ((SOFT, "-"), (MAIN, (0, (5, 2))), (MAIN, "-"), (MUTE, "-"), (INK, (0, (2, 2))))
_MOST_BARS = 12


def bill_curve(rows: Sequence[Mapping[str, Any]]) -> Chart | None:
    """$ a month of each plan over the number of people who are active, with the budget; None where no bill is known.

    Rows have active_users, plan, dollars (None where a price is unknown: the line ends there), budget and over_quota.
    """
    known = [row for row in rows if is_number(row.get("dollars"))]
    if not known:
        return None
    plans = list(dict.fromkeys(str(row["plan"]) for row in rows))
    budget = float(known[0]["budget"])
    with matplotlib.rc_context():
        figure, axes = canvas(3.4, names=())
        for plan, (colour, line) in zip(plans, _STYLES, strict=False):
            own = [row for row in known if row["plan"] == plan]
            if own:
                _line(axes, plan, own, rows, colour=colour, line=line)
        axes.axhline(budget, color=OVER, linewidth=1.3, linestyle=(0, (4, 3)))
        axes.set_xscale("log")
        axes.set_ylim(0, max(budget * 2, 1.0))
        axes.xaxis.set_major_formatter(lambda value, _: number(float(value)))
        axes.yaxis.set_major_formatter(lambda value, _: f"${number(float(value))}")
        key = "active people in a month:   ● a quota is used up   ✕ no known price beyond   red: the budget"
        axes.set_xlabel(key.replace(" ", "\N{NO-BREAK SPACE}"), loc="left")
        axes.set_title("The bill of a month by plan, estimated", loc="left", fontsize=10)
        svg = to_svg(figure)
    return Chart(svg=svg, alt=alt_of(f"The bill of a month by plan, budget ${number(budget)}", _says(plans, rows)))


def _line(
    axes: Any, plan: str, own: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], *, colour: str, line: Any
) -> None:
    points = [(float(row["active_users"]), float(row["dollars"])) for row in own]
    axes.plot(*zip(*points, strict=True), color=colour, linestyle=line, linewidth=1.5)
    over = next(((float(r["active_users"]), float(r["dollars"])) for r in own if r["over_quota"]), None)
    if over:
        axes.plot(*[[value] for value in over], "o", color=colour, markersize=4.5)
    if any(row["plan"] == plan and row.get("dollars") is None for row in rows):
        axes.plot(*[[value] for value in points[-1]], "x", color=OVER, markersize=6)
    shown = [point for point in points if point[1] <= 1.9 * float(own[0]["budget"])]
    if shown:
        axes.annotate(plan, shown[-1], (-7, 3), textcoords="offset points", color=colour, fontsize=9, ha="right")


def _says(plans: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for plan in plans:
        own = [row for row in rows if row["plan"] == plan]
        within = [row for row in own if is_number(row.get("dollars")) and row["dollars"] <= row["budget"]]
        over = next((row for row in own if row["over_quota"]), None)
        text = (
            f"{plan}: within the budget up to {within[-1]['active_users']:,} people"
            if within
            else f"{plan}: over the budget"
        )
        if over:
            text += f", over the quota of {over['over_quota']} at {over['active_users']:,}"
        lines.append(text)
    return lines


def cost_bars(rows: Sequence[Mapping[str, Any]]) -> Chart | None:
    """A bar for each query with its share of the cost; rows have query, dollars and share_percent."""
    told = [row for row in rows if is_number(row.get("share_percent")) and row["share_percent"] > 0]
    if not told:
        return None
    shown = sorted(told, key=lambda row: -float(row["share_percent"]))[:_MOST_BARS]
    names = [clean(str(row["query"]), longest=40) for row in reversed(shown)]
    with matplotlib.rc_context():
        height = 0.26 * len(shown) + 1.0
        figure, axes = canvas(height, names=names)
        for place, row in enumerate(reversed(shown)):
            share = float(row["share_percent"])
            axes.barh(place, share, height=0.62, color=MAIN)
            dollars = number(float(f"{float(row['dollars']):.3g}"))
            text = f"{share:.1f} %   ${dollars}"
            axes.annotate(text, (share, place), (5, 0), textcoords="offset points", va="center", fontsize=8, color=MUTE)
        axes.set_xlim(0, max(float(row["share_percent"]) for row in shown) * 1.2)
        axes.xaxis.set_major_formatter(lambda value, _: f"{number(float(value))} %")
        axes.set_xlabel("share of what all rows of a month cost, each row at its price", loc="left")
        titled(axes, "What each query costs", height=height)
        svg = to_svg(figure)
    lines = [f"{row['query']}: {float(row['share_percent']):.1f} %" for row in shown]
    return Chart(svg=svg, alt=alt_of("What each query costs, as a share of all rows", lines))
