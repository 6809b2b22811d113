"""The harness measures itself: a clock too coarse for the limits makes every verdict of it invalid."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise

from ptp.benchmark.latency import Case, Clock, time_calls
from ptp.results import Finding
from ptp.stats import percentile

FINEST_PART = 100
"""The clock must tell apart the hundredth part of the smallest limit."""

_READS = 100_000
_STEPS = 100
_CALLS = 1_000
_NS_PER_MS = 1e6


def check_harness(cases: Sequence[Case], *, clock: Clock = time.perf_counter_ns) -> Finding:
    """Whether the clock is fine enough for the cases that apply, and what the harness adds to each sample.

    The value is the clock's resolution in ms; the verdict is invalid when it is more than 1/100 of the smallest limit.
    """
    limits = [case.limit_ms for case in cases if not case.not_applicable]
    claim = "The clock tells apart 1/100 of the smallest limit"
    if not limits:
        return Finding("bench.harness", claim, "not applicable", unit="ms", evidence="No case can be measured here.")
    finest = min(limits) / FINEST_PART
    resolution = resolution_ms(clock)
    is_fine = resolution is not None and resolution <= finest
    seen = "did not move" if resolution is None else f"moves in steps of {resolution:.6f} ms"
    return Finding(
        id="bench.harness",
        claim=claim,
        verdict="pass" if is_fine else "invalid",
        value=resolution,
        unit="ms",
        limit=finest,
        n=_CALLS,
        evidence=f"The clock {seen}; an empty call takes {cost_ms(clock):.6f} ms (median).",
    )


def resolution_ms(clock: Clock) -> float | None:
    """The smallest step, in ms, in which a clock was seen to move; None when it did not move in 100,000 reads."""
    reads = [clock()]
    moves = 0
    for _ in range(_READS):
        reads.append(clock())
        moves += reads[-1] != reads[-2]
        if moves == _STEPS:
            break
    steps = [later - earlier for earlier, later in pairwise(reads) if later != earlier]
    return min(steps) / _NS_PER_MS if steps else None


def cost_ms(clock: Clock) -> float:
    """What a sample of an empty call takes, in ms: the median of 1,000 through the loop that times the cases."""
    empty = Case("empty", "", 1.0, call=lambda: None, warmup=_CALLS // 10, n=_CALLS)
    return percentile(time_calls(empty, clock=clock).ordered_ms, q=0.5)
