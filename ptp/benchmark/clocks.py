"""Clocks: how fine one is, and how many calls of a fast operation make one sample that it can tell apart."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

Clock: TypeAlias = Callable[[], int]
"""Gives monotonic nanoseconds."""

FINEST_PART = 100
"""A clock is fine enough for what takes 100 of its steps: it then errs by 1 %."""

_READS = 100_000
_STEPS = 100


def resolution_ns(clock: Clock) -> int | None:
    """The smallest step, in ns, in which a clock was seen to move; None when it did not move in 100,000 reads."""
    last = clock()
    steps: list[int] = []
    for _ in range(_READS):
        now = clock()
        if now != last:
            steps.append(now - last)
            last = now
            if len(steps) == _STEPS:
                break
    return min(steps) if steps else None


def batch_for(typical_ns: float, resolution_ns: float) -> int:
    """How many calls of `typical_ns` one sample wants, so that a clock of this resolution errs by at most 1 % of it.

    To be decided before the samples are taken. What a batch tells of a call is a mean: its percentiles are those of
    the means, and lie nearer to each other than those of the calls.
    """
    return max(1, math.ceil(FINEST_PART * resolution_ns / max(typical_ns, 1.0)))
