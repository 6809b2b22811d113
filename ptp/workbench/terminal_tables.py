"""The tables of a stage that a person wants to see at once, as lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ptp.evidence import Stage

_TIMES = {"p50_ms": 3, "p95_ms": 3, "p95_low_ms": 3, "p95_high_ms": 3, "limit_ms": 0, "ratio": 2}
_DIGITS = {
    **_TIMES,
    "p50_us": 1,
    "floor_us": 1,
    "over_us": 1,
    "ratio_low": 2,
    "ratio_high": 2,
    "plain_p50_ms": 3,
    "ptp_p50_ms": 3,
    "claimed_gain": 1,
    "gain": 2,
    "gain_low": 2,
    "gain_high": 2,
    "billed_read": 1,
    "billed_written": 1,
    "dollars_saved": 2,
    "dollars_cost": 2,
}
_SHOWN: Mapping[str, tuple[str, ...]] = {
    "Latency": ("name", "n", "p50_ms", "p95_ms", "p95_low_ms", "p95_high_ms", "limit_ms", "verdict"),
    "Floors": (
        *("name", "p50_us", "floor_us", "over_us", "ratio"),
        *("statements", "vm_steps", "vm_steps_most", "full_scans", "sorts", "verdict"),
    ),
    "Counters": ("query", "statements", "vm_steps", "full_scan_steps", "sorts", "billed_read", "billed_written"),
    "Index economics": ("index", "most_gained_by", "dollars_saved", "dollars_cost", "advice"),
    "Claims": ("operation", "rung", "claimed_gain", "plain_p50_ms", "ptp_p50_ms", "gain", "gain_low", "gain_high"),
    "Engines": ("query", "engine", "p50_ms", "p95_ms", "ratio", "ratio_low", "ratio_high"),
}
"""Which columns of which tables, in order; the report shows all of them."""


def tables_text(stage: Stage) -> str:
    """The tables of a stage that are known here, one below the other; empty where there is none."""
    known = [name for name in _SHOWN if stage.tables.get(name)]
    return "\n\n".join(table_text(stage.tables[name], _SHOWN[name]) for name in known)


def table_text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Rows as aligned lines under the names of the columns."""
    lines = [[_head(name) for name in columns]]
    lines += [[_cell(name, row.get(name)) for name in columns] for row in rows]
    words = {place for place, name in enumerate(columns) if any(isinstance(row.get(name), str) for row in rows)}
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            text.ljust(width) if place in words else text.rjust(width)
            for place, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _head(name: str) -> str:
    return "most" if name == "vm_steps_most" else name.replace("vm_steps", "VM steps").replace("_", " ")


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    return f"{value:,.{_DIGITS[name]}f}" if name in _DIGITS else f"{value:,}"
