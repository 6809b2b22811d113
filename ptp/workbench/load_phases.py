"""Each phase of a load against the limits, for itself: what the whole does not say is where it went wrong.

The gates on errors and on each operation's response time are of everything that is measured, spikes included: the
limit is promised at all times. A warm-up decides nothing, nor does a spike alone, whose requests those gates hold
already. A steady phase that stands beside a spike has a gate of its own: among all requests its own could hide, so that
a service which does not come back after a spike would pass. Where the whole is one steady phase, its finding would only
say the same again: it is a note.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptp.benchmark.load import Phase, Records
from ptp.benchmark.load.phases import is_even, spans
from ptp.benchmark.load_verdict import disbelieved, judge_errors, judge_response
from ptp.results import Finding, Severity, worst
from ptp.stats import percentile, sample_bounds

PHASES, BY_OPERATION = "Phases", "Phases by operation"
TAILS = (0.95, 0.99)
"""The percentiles that are told with their bounds."""

_NS_PER_S = 1e9


@dataclass(frozen=True, slots=True)
class Judged:
    """One phase: which requests were due in it, and a finding on its errors and on each operation that it had."""

    phase: Phase
    which: NDArray[np.bool_]
    errors: Finding
    responses: Mapping[str, Finding]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All of them."""
        return (self.errors, *self.responses.values())

    @property
    def nearest(self) -> Finding:
        """The first finding that did not hold, or else the p95 that is nearest to its limit."""
        held = worst(self.findings)
        if held != "pass":
            return next(f for f in self.findings if f.verdict == held)
        return max(self.responses.values(), key=_part, default=self.errors)


def judge_phases(records: Records, *, limits: Mapping[str, float], sound: bool) -> tuple[Judged, ...]:
    """Every phase judged for itself; `sound` says that the generator was: what it sent is not believed otherwise."""
    found = []
    for phase, begin, end in spans(records.schedule.phases):
        which = (records.schedule.due >= begin * _NS_PER_S) & (records.schedule.due < end * _NS_PER_S)
        errors = judge_errors("all", records.load(which))
        responses = {
            operation: judge_response(operation, records.load(own), limit_ms=limits[operation], steady_part=None)
            for operation, own in _by_operation(records, which)
        }
        if not sound:
            errors = disbelieved(errors)
            responses = {operation: disbelieved(f) for operation, f in responses.items()}
        found.append(Judged(phase, which, errors, responses))
    return tuple(found)


def findings_of(records: Records, judged: tuple[Judged, ...]) -> Iterator[Finding]:
    """A finding for each phase."""
    is_alone = is_even(records.schedule.phases)
    for one in judged:
        decides = not is_alone and one.phase.measured and one.phase.kind in ("steady", "soak")
        yield _finding(one, "gate" if decides else "note")


def _finding(one: Judged, severity: Severity) -> Finding:
    nearest = one.nearest
    part, limit = _part(nearest), nearest.limit
    scale = 100 / limit if isinstance(limit, float) and limit else None
    low, high = (None if v is None or scale is None else v * scale for v in (nearest.low, nearest.high))
    return Finding(
        id=f"load.phases.{one.phase.name}",
        claim=f"In the phase {one.phase.name} every operation keeps its limit, and few requests fail",
        verdict=worst(one.findings),
        severity=severity,
        value=100 * part if math.isfinite(part) else None,
        unit="% of the limit",
        limit=100.0,
        low=low,
        high=high,
        n=int(one.which.sum()),
        evidence=f"{nearest.id}: {nearest.evidence}",
    )


def rows_of(records: Records, judged: tuple[Judged, ...]) -> list[dict[str, Any]]:
    """A row for each phase."""
    return [
        {
            "phase": one.phase.name,
            "kind": one.phase.kind,
            "measured": "yes" if one.phase.measured else "no, shown only",
            "seconds": one.phase.seconds,
            **_figures(records, one.which, one.phase.seconds),
            "nearest_to_its_limit": one.nearest.id,
            "verdict": worst(one.findings),
        }
        for one in judged
    ]


def operation_rows(records: Records, judged: tuple[Judged, ...]) -> list[dict[str, Any]]:
    """A row for each operation of each phase, against its limit."""
    return [
        {
            "phase": one.phase.name,
            "operation": operation,
            **_figures(records, own, one.phase.seconds),
            "limit_ms": one.responses[operation].limit,
            "verdict": one.responses[operation].verdict,
        }
        for one in judged
        for operation, own in _by_operation(records, one.which)
    ]


def _by_operation(records: Records, which: NDArray[np.bool_]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """The operations that have requests among the chosen, each with these."""
    for place, operation in enumerate(records.schedule.operations):
        own = which & (records.schedule.operation == place)
        if own.any():
            yield operation, own


def _figures(records: Records, which: NDArray[np.bool_], seconds: float) -> dict[str, Any]:
    """Counts, and percentiles of the response time in ms; what had no right answer is slower than all others."""
    n, times = int(which.sum()), records.response_ms[which].tolist()
    failed = int((which & ~records.completed).sum())
    found: dict[str, Any] = {
        "rate": n / seconds if seconds else 0.0,
        "n": n,
        "errors": failed,
        "errors_percent": 100 * failed / n if n else 0.0,
    }
    if times:
        found["p50_ms"] = _told(percentile(sorted(times), q=0.5))
    for q in TAILS if times else ():
        name = f"p{100 * q:g}"
        span, _ = sample_bounds(times, q=q)
        figures = {"": percentile(sorted(times), q=q), "low_": span.low, "high_": span.high}
        found |= {f"{name}_{what}ms": _told(value) for what, value in figures.items()}
    return found


def _told(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _part(finding: Finding) -> float:
    """The value as a share of its limit; infinite where nothing was answered."""
    if not isinstance(finding.value, float) or not isinstance(finding.limit, float):
        return math.inf
    return finding.value / finding.limit if finding.limit else math.inf
