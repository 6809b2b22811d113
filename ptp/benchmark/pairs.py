"""Two calls timed in pairs: in one run, on the same data, in random order within each pair.

Milliseconds say as much of the machine as of the code. Within a pair a slow moment of the machine falls on both, so
what is compared is the ratio within each pair. Samples are kept as in `ptp.benchmark.latency`.
"""

from __future__ import annotations

import gc
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ptp.benchmark.clocks import Clock
from ptp.errors import CannotFinish

_NS_PER_US = 1e3


@dataclass(frozen=True, slots=True)
class Pair:
    """A call and its floor with the same arguments; `unlike` says how the outcomes differ that should be alike."""

    call: Callable[[], object]
    floor: Callable[[], object]
    unlike: Callable[[Any, Any], str | None] = lambda _call, _floor: None


@dataclass(frozen=True, slots=True)
class TimedPairs:
    """What the calls and the floors took, in nanoseconds, pair by pair in order; `error` ended them early, if any."""

    calls: tuple[int, ...]
    floors: tuple[int, ...]
    error: str | None = None

    @property
    def ratios(self) -> tuple[float, ...]:
        """Call / floor of each pair, ascending; infinite where the clock did not move in the floor."""
        pairs = zip(self.calls, self.floors, strict=True)
        return tuple(sorted(call / floor if floor else math.inf for call, floor in pairs))

    @property
    def differences_us(self) -> tuple[float, ...]:
        """Call - floor of each pair in microseconds, ascending."""
        return tuple(sorted((call - floor) / _NS_PER_US for call, floor in zip(self.calls, self.floors, strict=True)))


def time_pairs(
    pairs: Sequence[Pair], *, warmup: int, chance: random.Random, clock: Clock = time.perf_counter_ns
) -> TimedPairs:
    """Time both of each pair, in an order that `chance` decides; the first `warmup` pairs are not counted.

    The first error, and the first pair of outcomes that are not alike, ends it.
    """
    gc.collect()
    taken: list[tuple[int, int]] = []
    for number, pair in enumerate(pairs):
        both = {"call": pair.call, "floor": pair.floor}
        outcomes: dict[str, tuple[int, object]] = {}
        try:
            for name in chance.sample(sorted(both), 2):
                work = both[name]
                start = clock()
                outcome = work()
                end = clock()
                outcomes[name] = end - start, outcome
            unlike = pair.unlike(outcomes["call"][1], outcomes["floor"][1])
        except CannotFinish:  # a full disk, a lock: says nothing of either
            raise
        except Exception as problem:
            return _timed(taken, f"{type(problem).__name__}: {problem}")
        if unlike is not None:
            return _timed(taken, f"call and floor are not alike: {unlike}")
        if number >= warmup:
            taken.append((outcomes["call"][0], outcomes["floor"][0]))
    return _timed(taken)


def _timed(taken: Sequence[tuple[int, int]], error: str | None = None) -> TimedPairs:
    return TimedPairs(tuple(call for call, _ in taken), tuple(floor for _, floor in taken), error)
