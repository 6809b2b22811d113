"""The highest rate that holds: steps that double until one does not hold, then halves of what lies between.

Each step is judged by bounds, so a rate holds only where that is shown. What is not shown counts as not held: the
interval runs from the highest rate that held to the lowest above it that did not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ptp.results import Verdict

FACTOR = 2.0
NEAR = 1.12
"""The search ends when the two rates of the interval are so near."""

LEAST_RATE = 1.0

MOST_STEPS = 14


@dataclass(frozen=True, slots=True)
class Step:
    """One rate that was tried: what came through a second, percentiles of all response times in ms, and the verdict."""

    rate: float
    throughput: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    error_share: float
    verdict: Verdict
    why: str = ""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a search found: `low` is the highest rate that held, None where none did, `high` the lowest that did not.

    `high` is None where the search ended while all held, or at a generator that could not send more.
    """

    steps: tuple[Step, ...]
    low: float | None
    high: float | None
    knee: float | None
    ended: str


def find_capacity(
    try_rate: Callable[[float], Step],
    *,
    start: float,
    near: float = NEAR,
    least: float = LEAST_RATE,
    most_steps: int = MOST_STEPS,
) -> Capacity:
    """Search upwards from `start` requests a second, or downwards to `least` where that does not hold already.

    A step that is invalid ends the search upwards: the generator, not the service, was at its end. So do two that are
    invalid one after the other while none has held: at lower rates it would be no better.
    """
    steps: list[Step] = []
    low = high = None
    invalid: float | None = None
    rate = start
    while len(steps) < most_steps:
        step = try_rate(rate)
        steps.append(step)
        if step.verdict == "pass":
            low = rate if low is None else max(low, rate)
        elif step.verdict == "invalid":
            invalid = rate if invalid is None else min(invalid, rate)
        else:
            high = rate if high is None else min(high, rate)
        top = min((r for r in (high, invalid) if r is not None), default=None)
        if low is not None and top is not None and top / low <= near:
            break
        if low is None and [s.verdict for s in steps[-2:]] == ["invalid"] * 2:
            break
        rate = _next(low, top)
        if rate < least:
            break
    return Capacity(tuple(steps), low, high, knee_of(steps), _why(low, high, invalid, near))


def knee_of(steps: Sequence[Step]) -> float | None:
    """The rate at which throughput over mean waiting is greatest (Kleinrock's power, 1979), by p50; None of nothing.

    Below it more load costs little time, above it much.
    """
    sound = [s for s in steps if s.verdict != "invalid" and s.p50_ms > 0 and math.isfinite(s.p50_ms)]
    return max(sound, key=lambda s: s.throughput / s.p50_ms).rate if sound else None


def _next(low: float | None, top: float | None) -> float:
    if top is None:
        return (low or 0.0) * FACTOR
    return top / FACTOR if low is None else math.sqrt(low * top)


def _why(low: float | None, high: float | None, invalid: float | None, near: float) -> str:
    if low is None and invalid is not None:
        return "the generator itself was not sound: is the machine busy with something else?"
    if low is None:
        return "no rate that was tried held"
    if high is None and invalid is None:
        return "every rate that was tried held"
    if invalid is not None and (high is None or invalid < high):
        return f"from {invalid:,.0f}/s on the generator itself was not sound: more is not known of the service"
    return "found" if high is not None and high / low <= near * 1.0001 else "the number of steps ended the search"
