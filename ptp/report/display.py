"""Results as pandas frames, for a notebook's reader to filter, sort and compare."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

import pandas as pd

from ptp.evidence import Stage
from ptp.results import Finding, Measurement
from ptp.stats import bounds, percentile

FINDING_COLUMNS = (
    "id",
    "verdict",
    "claim",
    "value",
    "unit",
    "limit",
    "low",
    "high",
    "n",
    "severity",
    "known",
    "where",
    "evidence",
)
MEASUREMENT_COLUMNS = ("what", "unit", "n", "p50", "p95", "p95_low", "p95_high", "p99", "most")


def findings_frame(findings: Stage | Iterable[Finding]) -> pd.DataFrame:
    """A row a finding, in order; `where` joined into one text."""
    found = findings.findings if isinstance(findings, Stage) else findings
    rows = [{**asdict(finding), "where": "; ".join(finding.where)} for finding in found]
    return pd.DataFrame(rows, columns=list(FINDING_COLUMNS))


def measurements_frame(measurements: Stage | Iterable[Measurement]) -> pd.DataFrame:
    """A row a measurement: percentiles by nearest rank, and the 95 % bounds of the p95, infinite where n is small."""
    found = measurements.measurements if isinstance(measurements, Stage) else measurements
    return pd.DataFrame([_row(m) for m in found], columns=list(MEASUREMENT_COLUMNS))


def samples_frame(measurements: Stage | Iterable[Measurement]) -> pd.DataFrame:
    """A row a raw sample: what, unit, its place in the order of measuring, and the value."""
    found = measurements.measurements if isinstance(measurements, Stage) else measurements
    rows = [(m.what, m.unit, place, value) for m in found for place, value in enumerate(m.samples)]
    return pd.DataFrame(rows, columns=["what", "unit", "place", "value"])


def _row(measurement: Measurement) -> dict[str, float | str | int]:
    ordered = sorted(measurement.samples)
    row: dict[str, float | str | int] = {"what": measurement.what, "unit": measurement.unit, "n": len(ordered)}
    if not ordered:
        return row
    p95 = bounds(ordered, q=0.95)
    row |= {f"p{q}": percentile(ordered, q=q / 100) for q in (50, 95, 99)}
    return row | {"p95_low": p95.low, "p95_high": p95.high, "most": ordered[-1]}
