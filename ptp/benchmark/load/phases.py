"""Phases of a load as data: how much of the declared load there is, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["ramp", "steady", "spike", "soak"]


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase: `start` and `end` are shares of the declared load, 1 is all of it.

    A ramp goes evenly from `start` to `end`; every other kind is at `end` throughout. What is not `measured` is
    warm-up: it is shown, and decides nothing.
    """

    name: str
    kind: Kind
    seconds: float
    start: float = 1.0
    end: float = 1.0
    measured: bool = True

    def level(self, into: float) -> float:
        """The share of the load at so many seconds into the phase."""
        if self.kind != "ramp":
            return self.end
        return self.start + (self.end - self.start) * min(max(into / self.seconds, 0.0), 1.0)

    @property
    def most(self) -> float:
        """The greatest share of the load within the phase."""
        return max(self.start, self.end) if self.kind == "ramp" else self.end


def length(phases: Sequence[Phase]) -> float:
    """How long the phases last together, in seconds."""
    return sum(phase.seconds for phase in phases)


def level_at(phases: Sequence[Phase], at: float) -> float:
    """The share of the load at so many seconds from the start; 0 after the end."""
    for phase in phases:
        if at < phase.seconds:
            return phase.level(at)
        at -= phase.seconds
    return 0.0


def spans(phases: Sequence[Phase]) -> tuple[tuple[Phase, float, float], ...]:
    """Each phase with when it begins and ends, in seconds from the start."""
    found, begin = [], 0.0
    for phase in phases:
        found.append((phase, begin, begin + phase.seconds))
        begin += phase.seconds
    return tuple(found)


def is_even(phases: Sequence[Phase]) -> bool:
    """Whether what is measured is at one level throughout, so that its latency should be steady."""
    levels = {phase.end for phase in phases if phase.measured}
    return len(levels) <= 1 and all(phase.kind != "ramp" for phase in phases if phase.measured)
