"""The tables of a comparison for the reader: a row a query, and the lines of the plans that changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ptp.benchmark.comparison import Work, plan_changes
from ptp.benchmark.comparison_times import Rounds
from ptp.results import Finding, worst
from ptp.stats import percentile

_SHOWN = ("statements", "vm_steps", "full_scan_steps", "sorts", "automatic_indexes")
_NS_PER_MS = 1e6


def query_row(
    name: str, before: Work | None, after: Work | None, rounds: Rounds, findings: Sequence[Finding]
) -> dict[str, Any]:
    """One query: its counters over all calls counted, its medians in ms, and the ratio with its interval."""
    own = [f for f in findings if f.id in (f"against.{name}.counters", f"against.{name}.time")]
    timed = rounds.last(name)
    ratio = next((f for f in own if f.id.endswith(".time")), None)
    row: dict[str, Any] = {"query": name, "calls": after.calls if after else None}
    for counter in dict.fromkeys((*_SHOWN, *(after.counters if after else ()))):
        row[f"{counter}_before"] = before.counters.get(counter) if before else None
        row[f"{counter}_after"] = after.counters.get(counter) if after else None
    return {
        **row,
        "plan": "changed" if before and after and plan_changes(before, after) else "same" if before and after else None,
        "p50_before_ms": _median_ms([ns for one in timed for ns in one.before]),
        "p50_after_ms": _median_ms([ns for one in timed for ns in one.after]),
        "ratio": ratio.value if ratio else None,
        "ratio_low": ratio.low if ratio else None,
        "ratio_high": ratio.high if ratio else None,
        "pairs": sum(len(one.after) for one in timed),
        "processes": len(timed),
        "verdict": worst(own),
    }


def change_rows(works: Mapping[str, tuple[Work | None, Work | None]]) -> list[dict[str, Any]]:
    """The lines of plans that changed, a row a line: - as it was, + as it is."""
    return [
        {"query": name, "change": line}
        for name, (before, after) in works.items()
        if before and after
        for line in plan_changes(before, after)
    ]


def _median_ms(taken: Sequence[int]) -> float | None:
    return percentile(sorted(taken), q=0.5) / _NS_PER_MS if taken else None
