"""How much each input moves a result: one at a time from its low to its high end, all others as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Input:
    """One input: its value, the ends of its range, the unit, and where it comes from; `measured` or else assumed."""

    name: str
    unit: str
    value: float
    low: float
    high: float
    measured: bool
    source: str

    @property
    def kind(self) -> str:
        """In a word."""
        return "measured" if self.measured else "assumed"


@dataclass(frozen=True, slots=True)
class Swing:
    """What a result becomes with one input at its low and at its high end."""

    input: Input
    low: float
    high: float

    @property
    def width(self) -> float:
        """How far apart the two are."""
        return abs(self.high - self.low)


def swings(inputs: Sequence[Input], result: Callable[[Mapping[str, float]], float]) -> tuple[Swing, ...]:
    """The swings of a result, the widest first; `result` takes the value of each input by its name."""
    usual = {one.name: one.value for one in inputs}
    found = [Swing(one, result(usual | {one.name: one.low}), result(usual | {one.name: one.high})) for one in inputs]
    return tuple(sorted(found, key=lambda swing: -swing.width))
