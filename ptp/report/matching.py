"""Which finding speaks of which measurement, by their names and units."""

from __future__ import annotations

from collections.abc import Iterable

from ptp.results import Finding, Measurement

SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
"""Seconds in a unit of time."""


def is_about(finding: Finding, measurement: Measurement) -> bool:
    """Whether the finding's id is what was measured, or ends with it, and both are in one unit."""
    what, name = measurement.what, finding.id
    named = name == what or (name.endswith(what) and name[: -len(what)][-1:] in (".", "/", ":"))
    return named and finding.unit == measurement.unit


def about(measurement: Measurement, findings: Iterable[Finding]) -> list[Finding]:
    """The findings about a measurement, the shortest id first."""
    return sorted((f for f in findings if is_about(f, measurement)), key=lambda f: len(f.id))


def limit_of(measurement: Measurement, findings: Iterable[Finding]) -> float | None:
    """The limit of the finding about this measurement; the shortest id first, None where none has a number."""
    for finding in about(measurement, findings):
        if isinstance(finding.limit, int | float):
            return float(finding.limit)
    return None


def seconds_of(finding: Finding, measurements: Iterable[Measurement]) -> float:
    """How long the samples took that the finding is about, together; 0 where none of them is a time."""
    about = (m for m in measurements if m.unit in SECONDS and is_about(finding, m))
    return sum(sum(m.samples) * SECONDS[m.unit] for m in about)


def is_side(measurement: Measurement, others: Iterable[Measurement]) -> bool:
    """Whether it is one side of a comparison, such as x.before, of an x that is measured by itself as well."""
    whole = {m.what for m in others}
    return any(part in whole for part in measurement.what.split(".") if part != measurement.what)
