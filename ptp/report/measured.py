"""Measurements as tables: percentiles with the spread of the samples, parts of a whole, and what stands apart."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ptp.report.matching import SECONDS, limit_of
from ptp.report.pictures import bar, histogram
from ptp.report.tables import MOST_ROWS, Column, Table
from ptp.report.words import aligned, number, quantity
from ptp.results import Finding, Measurement
from ptp.stats import percentile

SPREAD = "spread, on one scale"
_NAMES = ("name", "query", "operation")
_ENDS = ("", ".response")

_ORDER = ("name", "query", "operation", "p50", "p95", "limit", "verdict", "spread", "n", "errors", "p99")
_FIRST = re.compile(rf"({'|'.join(sorted(_ORDER, key=len, reverse=True))})(?:_(?:low|high))?(?:_m?s|, .*)?$")

Rows = Sequence[Mapping[str, Any]]


def covered(tables: Mapping[str, Rows], members: Sequence[Measurement]) -> str | None:
    """The table in which the p95 of every one of these measurements stands already; None where there is none."""
    for name, rows in tables.items():
        seen = {m.what for row in rows if any(k.startswith("p95") for k in row) for m in _about(row, members)}
        if len(seen) == len({m.what for m in members}):
            return name
    return None


def spread_column(rows: Rows, members: Sequence[Measurement], findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """The rows, each with how the samples of its measurement spread, on one scale for all."""
    low, high = _scale(members, findings)
    found = []
    for row in rows:
        one = next(iter(_about(row, members)), None)
        picture = histogram(one.samples, low=low, high=high, limit=limit_of(one, findings)) if one else None
        found.append({**row, SPREAD: picture})
    return found


def ordered(rows: Rows) -> list[dict[str, Any]]:
    """The rows with the columns first by which a reader judges; all others after them, as they stood."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    first = sorted((n for n in names if _FIRST.match(n)), key=lambda n: _ORDER.index(_FIRST.match(n)[1]))  # type: ignore[index]
    return [{name: row.get(name) for name in dict.fromkeys((*first, *names))} for row in rows]


def times_table(unit: str, members: Sequence[Measurement], findings: Sequence[Finding]) -> Table:
    """Percentiles of measurements of one unit, with their limits and spread."""
    limits = [limit_of(m, findings) for m in members]
    low, high = _scale(members, findings)
    names = ("p50", "p95", "p99", "most", *(["limit"] if any(v is not None for v in limits) else []), "n")
    rows = []
    for member, limit in list(zip(members, limits, strict=True))[:MOST_ROWS]:
        ordered = sorted(member.samples)
        values = [number(percentile(ordered, q=q)) for q in (0.50, 0.95, 0.99, 1.0)]
        values += [quantity(limit)] if "limit" in names else []
        spread = histogram(ordered, low=low, high=high, limit=limit)
        rows.append((member.what, *values, f"{len(ordered):,}", spread))
    columns = (Column("what"), *(Column(name, True) for name in names), Column(SPREAD))
    return Table(f"Measured, in {unit}" if unit else "Measured", columns, tuple(rows), len(members) - len(rows))


def single_table(unit: str, members: Sequence[Measurement]) -> Table:
    """What was measured once each: the value, and a bar; parts of one whole in seconds stand one after the other."""
    values = [m.samples[0] for m in members]
    in_order = unit in SECONDS and len({m.what.partition(": ")[0] for m in members if ": " in m.what}) == 1
    whole = sum(values) if in_order else max(values)
    texts, begin, rows = aligned(values), 0.0, []
    for member, value, text in list(zip(members, values, texts, strict=True))[:MOST_ROWS]:
        share = value / whole if whole > 0 else 0.0
        rows.append((member.what, text, bar(begin, share)))
        begin += share if in_order else 0.0
    columns = (Column("what"), Column(unit or "value", True), Column("one after the other" if in_order else "beside"))
    caption = f"Measured once each, in {unit}" if unit else "Measured once each"
    return Table(caption, columns, tuple(rows), len(members) - len(rows))


def apart_table(unit: str, members: Sequence[Measurement]) -> Table:
    """What was measured apart, or beside something else, in fewer columns: its charts and its own tables say more."""
    rows: list[tuple[str, ...]] = []
    for member in members[:MOST_ROWS]:
        ordered = sorted(member.samples)
        values = [number(percentile(ordered, q=q)) for q in (0.50, 0.95, 1.0)]
        rows.append((member.what, *values, f"{len(ordered):,}"))
    columns = (Column("what"), *(Column(name, True) for name in ("p50", "p95", "most", "n")))
    caption = f"Measured apart or in pairs, in {unit}" if unit else "Measured apart or in pairs"
    return Table(caption, columns, tuple(rows), len(members) - len(rows))


def _about(row: Mapping[str, Any], members: Sequence[Measurement]) -> list[Measurement]:
    names = {f"{row[key]}{end}" for key in _NAMES if row.get(key) for end in _ENDS}
    return [m for m in members if m.what in names]


def _scale(members: Sequence[Measurement], findings: Sequence[Finding]) -> tuple[float, float]:
    limits = [limit_of(m, findings) for m in members]
    everything = [v for m in members for v in m.samples] + [v for v in limits if v is not None]
    return min(everything), max(everything)
