"""Latency against limits: every case with raw samples, percentiles, a bound on p95 and a verdict."""

from ptp.benchmark.harness import check_harness
from ptp.benchmark.latency import Case, Clock, Latency, Progress, Timed, judge, measure, still_needed, time_calls

__all__ = [
    "Case",
    "Clock",
    "Latency",
    "Progress",
    "Timed",
    "check_harness",
    "judge",
    "measure",
    "still_needed",
    "time_calls",
]
