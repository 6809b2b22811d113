"""A load for the reader: what was asked for and what came of it, by operation, second, phase and kind of error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ptp.benchmark.load import Records
from ptp.benchmark.load.phases import spans
from ptp.benchmark.load.verdicts import response_gate
from ptp.engine.environment import environment
from ptp.evidence import Stage
from ptp.results import Finding, Measurement
from ptp.workbench.load_phases import BY_OPERATION, PHASES, Judged, operation_rows
from ptp.workbench.load_phases import rows_of as phase_rows
from ptp.workbench.load_savings import TABLE as CACHE
from ptp.workbench.load_watch import Seen, seconds_of
from ptp.workbench.terminal_tables import table_text

LOAD, OPERATIONS, TIMELINE, ERRORS = "Load", "Operations", "Load timeline", "Errors by kind"

_SHOWN: Mapping[str, tuple[str, ...]] = {
    "Capacity": ("rate", "throughput", "p50_ms", "p95_ms", "p99_ms", "errors_percent", "verdict", "is"),
    LOAD: ("users", "think_s", "rate_scheduled", "rate_completed", "mean_response_ms", "mean_in_flight", "driver"),
    OPERATIONS: ("name", "n", "errors", "p50_ms", "p95_ms", "p99_ms", "most_ms", "limit_ms", "verdict"),
    PHASES: ("phase", "kind", "rate", "n", "errors", "p50_ms", "p95_ms", "p99_ms", "verdict"),
    CACHE: ("query", "calls", "hits", "hit_percent", "saved_ms_estimate", "saved_dollars_a_month_estimate"),
    ERRORS: ("error", "operation", "requests"),
}
"""Which columns of which tables; the report shows all of them."""

Rows = list[dict[str, Any]]


def tables_of(
    records: Records,
    findings: Sequence[Finding],
    facts: Mapping[str, Any],
    *,
    judged: tuple[Judged, ...],
    seen: Seen | None = None,
) -> dict[str, Rows]:
    """The tables of a load, in the order in which they are read."""
    return {
        LOAD: [_whole(records, facts)],
        OPERATIONS: list(_operations(records, findings)),
        PHASES: phase_rows(records, judged),
        BY_OPERATION: operation_rows(records, judged),
        TIMELINE: timeline_of(records, seen),
        ERRORS: list(_errors(records)),
    }


def timeline_of(records: Records, seen: Seen | None) -> Rows:
    """A row for each second: its phase, what was due, how long it took, and what the service told of itself."""
    rows = records.timeline()
    beside = seconds_of(seen, len(rows)) if seen else [{} for _ in rows]
    phases = spans(records.schedule.phases)
    found = []
    for row, told in zip(rows, beside, strict=True):
        middle = min(row["second"] + 0.5, records.schedule.seconds)
        phase = next(phase for phase, begin, end in phases if begin <= middle <= end)
        found.append({"second": row["second"], "phase": phase.name, "kind": phase.kind, **row, **told})
    return found


def text_of(stage: Stage) -> str:
    """What a person wants to see of a load at once, as lines of text."""
    known = [name for name in _SHOWN if stage.tables.get(name)]
    return "\n\n".join(table_text([_rounded(row) for row in stage.tables[name]], _SHOWN[name]) for name in known)


def _rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    places = {name: 2 if "dollars" in name else 1 for name in row}
    return {name: round(value, places[name]) if isinstance(value, float) else value for name, value in row.items()}


def samples_of(records: Records) -> Iterator[Measurement]:
    """The raw times of each operation in ms, exact to the ns, in the order in which they were due.

    Those of the warm-up stand apart, and so do service times. A request without a right answer has no time.
    """
    machine = environment()
    warming = ~records.schedule.measured
    for place, operation in enumerate(records.schedule.operations):
        own = records.of(operation) & records.completed
        before = warming & (records.schedule.operation == place) & records.completed
        parts = (
            (f"{operation}.response", records.response_ms[own]),
            (f"{operation}.response.warm_up", records.response_ms[before]),
            (f"{operation}.service", records.service_ms[own]),
        )
        yield from (Measurement(what, "ms", tuple(values.tolist()), machine) for what, values in parts if len(values))


def _whole(records: Records, facts: Mapping[str, Any]) -> dict[str, Any]:
    counts = records.counts()
    in_flight, _, _ = records.little()
    times = records.response_ms[records.schedule.measured & records.completed]
    return {
        **facts,
        "rate_completed": records.completed_rate,
        **{state.replace(" ", "_"): counts[state] for state in ("completed", "error", "skipped", "in flight")},
        "mean_response_ms": float(times.mean()) if len(times) else None,
        "mean_in_flight": in_flight,
        "processes": records.processes,
        "threads_each": records.threads,
        "generator_cpu": records.cpu_share,
    }


def _operations(records: Records, findings: Sequence[Finding]) -> Iterator[dict[str, Any]]:
    judged = {finding.id: finding for finding in findings}
    for operation in records.schedule.operations:
        found = judged[response_gate(operation)]
        yield {
            **records.row(operation),
            "p95_low_ms": found.low,
            "p95_high_ms": found.high,
            "limit_ms": found.limit,
            "verdict": found.verdict,
        }


def _errors(records: Records) -> Iterator[dict[str, Any]]:
    """How often each error was met, by operation, the most frequent first; what had no answer is an error too."""
    kinds: Counter[tuple[str, str]] = Counter()
    silent = {"not sent, as too many were open": records.sent < 0}
    silent["no answer at the end"] = (records.sent >= 0) & (records.ended < 0)
    marks = {text: records.error == place for place, text in enumerate(records.errors, start=1)} | silent
    for text, which in marks.items():
        counted = np.bincount(records.schedule.operation[which], minlength=len(records.schedule.operations))
        kinds.update({(text, name): int(n) for name, n in zip(records.schedule.operations, counted, strict=True) if n})
    for (text, operation), n in kinds.most_common():
        yield {"error": text, "operation": operation, "requests": n}
