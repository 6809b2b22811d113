"""Latency against limits: every case with raw samples, percentiles, a bound on p95 and a verdict."""

from ptp.benchmark.clocks import Clock, batch_for, resolution_ns
from ptp.benchmark.families import family_note
from ptp.benchmark.latency import Case, Latency, Progress, Timed, judge, measure, time_calls
from ptp.benchmark.selfcheck import self_check

__all__ = [
    "Case",
    "Clock",
    "Latency",
    "Progress",
    "Timed",
    "batch_for",
    "family_note",
    "judge",
    "measure",
    "resolution_ns",
    "self_check",
    "time_calls",
]
