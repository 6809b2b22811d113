"""Which charts a stage gets, chosen by what it measured: names, units, limits and tables, never by what stage it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ptp.evidence import Stage
from ptp.report.bill_chart import bill_curve, cost_bars
from ptp.report.capacity_chart import capacity_curve
from ptp.report.charts import Chart, distribution, latency_overview
from ptp.report.engine_chart import engine_ratios
from ptp.report.load_chart import load_timeline
from ptp.report.matching import SECONDS, about, is_side, limit_of
from ptp.report.pairplot import Comparison, can_compare, distance, pairs, pairs_overview
from ptp.report.region_chart import region_grid
from ptp.report.scaling import scaling, size_columns
from ptp.report.timeline import timeline
from ptp.report.tornado_chart import tornadoes
from ptp.results import Measurement
from ptp.stats import Bounds, percentile

SIDES = (("plain", "ptp"), ("before", "after"))
"""Ends of the names of two measurements that were taken in pairs."""

_APART = frozenset(("cold", "warm_up", "again", "service", *(end for both in SIDES for end in both)))
_BY_ENGINE = "engines"
_CLAIMS, _ENGINES = "Claims", "Engines"
_TIMELINE, _CAPACITY = "Load timeline", "Capacity"
_REGIONS, _BILLS = "Response times by region", "Bill by size"
_COSTS, _MOVES = "Cost by query", "Sensitivity"


def groups_of(stage: Stage) -> tuple[dict[str, list[Measurement]], dict[str, list[Measurement]]]:
    """By unit: what was measured for itself; and what stands apart or beside something, such as one side of a pair."""
    own: dict[str, list[Measurement]] = {}
    beside: dict[str, list[Measurement]] = {}
    for one in stage.measurements:
        if one.samples:
            first, last = one.what.partition(".")[0], one.what.rpartition(".")[2]
            apart = first == _BY_ENGINE or last in _APART or is_side(one, stage.measurements)
            (beside if apart else own).setdefault(one.unit, []).append(one)
    return own, beside


def pictures_of(stage: Stage) -> tuple[Chart, ...]:
    """The charts of a stage, in the order in which they are read."""
    own, _ = groups_of(stage)
    found = [c for c in (capacity_curve(stage.tables.get(_CAPACITY, ())), load_timeline(_timeline(stage))) if c]
    for unit, members in own.items():
        limits = {m.what: limit for m in members if (limit := limit_of(m, stage.findings)) is not None}
        if len(members) > 1 and any(len(m.samples) > 1 for m in members):  # once each: a table says it all
            found.append(latency_overview(members, limits=limits))
        if unit in SECONDS and limits:
            found += _nearest(stage, members, limits)
    found += _scalings(stage)
    found += _pairs(stage)
    if chart := engine_ratios(stage.tables.get(_ENGINES, ())):
        found.append(chart)
    return (*_modelled(stage), *found)


def _modelled(stage: Stage) -> tuple[Chart, ...]:
    """Charts of what is estimated: response times by region, bills, and what moves either."""
    tables = stage.tables
    charts = (
        region_grid(tables.get(_REGIONS, ())),
        bill_curve(tables.get(_BILLS, ())),
        cost_bars(tables.get(_COSTS, ())),
        *tornadoes(tables.get(_MOVES, ())),
    )
    return tuple(chart for chart in charts if chart)


def _timeline(stage: Stage) -> Sequence[Mapping[str, Any]]:
    return stage.tables.get(_TIMELINE, ())


def comparisons_of(stage: Stage) -> tuple[Comparison, ...]:
    """What was measured in pairs: two measurements whose names differ in their end only, as `SIDES` says."""
    named = {m.what: m for m in stage.measurements}
    found = []
    for what, one in named.items():
        name, _, end = what.rpartition(".")
        other = next((named.get(f"{name}.{new}") for old, new in SIDES if old == end), None)
        if name and other and can_compare(one, other):
            found.append(Comparison(name.removeprefix("claims."), one, other))
    return tuple(found)


def _nearest(stage: Stage, members: Sequence[Measurement], limits: Mapping[str, float]) -> Iterator[Chart]:
    """Distribution and timeline of the measurement whose p95 is nearest to its limit, or furthest over it."""
    limited = [m for m in members if limits.get(m.what, 0) > 0]
    if not limited:
        return
    one = max(limited, key=lambda m: percentile(sorted(m.samples), q=0.95) / limits[m.what])
    limit = limits[one.what]
    yield distribution(one, limit=limit, span=_bounds(stage, one))
    named = {m.what: m.samples for m in stage.measurements}
    warm_up, cold = named.get(f"{one.what}.warm_up", ()), named.get(f"{one.what}.cold", ())
    yield timeline(one, limit=limit, warm_up=warm_up, cold=cold)


def _bounds(stage: Stage, one: Measurement) -> Bounds | None:
    """The bounds that the verdict on the p95 was made of, which may know of samples that depend on each other."""
    p95 = percentile(sorted(one.samples), q=0.95)
    judged = next((f for f in about(one, stage.findings) if f.value == p95), None)
    if judged is None or judged.low is None or judged.high is None:
        return None
    return Bounds(judged.low, judged.high)


def _scalings(stage: Stage) -> Iterator[Chart]:
    rows = stage.tables.get(_CLAIMS, ())
    for over in size_columns(rows):
        if chart := scaling(rows, over=over):
            yield chart


def _pairs(stage: Stage) -> Iterator[Chart]:
    """All comparisons in one picture, and the one that is furthest from alike in full."""
    found = comparisons_of(stage)
    if len(found) > 1:
        yield pairs_overview(found)
    if found:
        yield pairs(max(found, key=distance))
