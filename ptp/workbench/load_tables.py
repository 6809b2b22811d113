"""A load for the reader: what was asked for and what came of it, by operation, second, phase and kind of error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ptp.benchmark.load import Records
from ptp.benchmark.load.phases import spans
from ptp.benchmark.load.verdicts import response_gate
from ptp.engine.environment import environment
from ptp.evidence import Stage
from ptp.results import Finding, Measurement
from ptp.stats import percentile
from ptp.workbench.terminal_tables import table_text

LOAD, OPERATIONS, TIMELINE, PHASES, ERRORS = "Load", "Operations", "Load timeline", "Phases", "Errors by kind"

_SHOWN: Mapping[str, tuple[str, ...]] = {
    "Capacity": ("rate", "throughput", "p50_ms", "p95_ms", "p99_ms", "errors_percent", "verdict", "is"),
    LOAD: ("users", "think_s", "rate_scheduled", "rate_completed", "mean_response_ms", "mean_in_flight", "driver"),
    OPERATIONS: ("name", "n", "errors", "p50_ms", "p95_ms", "p99_ms", "most_ms", "limit_ms", "verdict"),
    ERRORS: ("error", "requests"),
}
"""Which columns of which tables; the report shows all of them."""

Rows = list[dict[str, Any]]


def tables_of(records: Records, findings: Sequence[Finding], facts: Mapping[str, Any]) -> dict[str, Rows]:
    """The tables of a load, in the order in which they are read."""
    return {
        LOAD: [_whole(records, facts)],
        OPERATIONS: list(_operations(records, findings)),
        TIMELINE: records.timeline(),
        PHASES: list(_phases(records)),
        ERRORS: [{"error": text, "requests": n} for text, n in records.kinds().most_common()],
    }


def text_of(stage: Stage) -> str:
    """What a person wants to see of a load at once, as lines of text."""
    known = [name for name in _SHOWN if stage.tables.get(name)]
    return "\n\n".join(table_text([_rounded(row) for row in stage.tables[name]], _SHOWN[name]) for name in known)


def _rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: round(value, 1) if isinstance(value, float) else value for name, value in row.items()}


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


def _phases(records: Records) -> Iterator[dict[str, Any]]:
    due, response = records.schedule.due, records.response_ms
    for phase, begin, end in spans(records.schedule.phases):
        own = (due >= begin * 1e9) & (due < end * 1e9)
        times = np.sort(response[own & records.completed]).tolist()
        figures = {f"p{100 * q:g}_ms": percentile(times, q=q) if times else None for q in (0.5, 0.95, 0.99)}
        yield {
            "phase": phase.name,
            "kind": phase.kind,
            "measured": "yes" if phase.measured else "no, shown only",
            "seconds": phase.seconds,
            "rate": int(own.sum()) / phase.seconds if phase.seconds else 0.0,
            "n": int(own.sum()),
            "errors": int((own & ~records.completed).sum()),
            **figures,
        }
