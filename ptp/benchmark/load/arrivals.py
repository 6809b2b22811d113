"""Who comes when: actors with think time, or independent arrivals at a rate; both go through weighted scenarios.

Neither waits for an answer: the next request of an actor is due a think time after the last was *due*. People who have
to wait do not come less often; a load that lets the service set its pace would hide what it is to show.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ptp.benchmark.load.phases import Phase, length, level_at
from ptp.benchmark.load.schedule import Schedule, in_order

_NS_PER_S = 1e9


@dataclass(frozen=True, slots=True)
class Think:
    """The time between two requests of one actor: lognormal, with this mean in seconds and this sigma of its log."""

    mean: float
    sigma: float = 0.6

    def draw(self, chance: random.Random) -> float:
        """One think time in seconds."""
        return chance.lognormvariate(math.log(self.mean) - self.sigma**2 / 2, self.sigma)

    def rest(self, chance: random.Random) -> float:
        """What is left of a think time that one comes upon: long ones are come upon more often, in proportion."""
        return chance.random() * chance.lognormvariate(math.log(self.mean) + self.sigma**2 / 2, self.sigma)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What an actor does in one go: operations one after the other; `weight` says how often it is chosen."""

    name: str
    weight: float
    steps: tuple[str, ...]


def shares(scenarios: Sequence[Scenario]) -> dict[str, float]:
    """The share of each operation among all requests, as the weights have it."""
    found: dict[str, float] = {}
    for scenario in scenarios:
        for step in scenario.steps:
            found[step] = found.get(step, 0.0) + scenario.weight
    whole = sum(found.values())
    return {name: part / whole for name, part in found.items()}


def by_actors(
    actors: int, *, think: Think, phases: Sequence[Phase], scenarios: Sequence[Scenario], seed: int
) -> Schedule:
    """The requests of so many actors: of a phase's share of them at each moment, so many divided by the mean a second.

    Where a phase has more than the whole load, there are as many more actors.
    """
    there = math.ceil(actors * max(phase.most for phase in phases))
    end, names = length(phases), list(shares(scenarios))
    rows: list[tuple[int, int, int]] = []
    for actor in range(there):
        chance = random.Random(f"{seed} {actor}")
        steps = _steps(scenarios, names, chance)
        now = think.rest(chance)
        while now < end:
            if level_at(phases, now) * actors > actor:
                rows.append((round(now * _NS_PER_S), next(steps), actor))
            now += think.draw(chance)
    return in_order(rows, operations=names, phases=phases, actors=there, seed=seed)


def at_rate(rate: float, *, actors: int, phases: Sequence[Phase], scenarios: Sequence[Scenario], seed: int) -> Schedule:
    """Independent arrivals, `rate` a second times the share of each phase: a Poisson process, thinned where it is less.

    Each is the next step of an actor drawn at random.
    """
    chance, end, names = random.Random(f"{seed} {rate}"), length(phases), list(shares(scenarios))
    most = max(phase.most for phase in phases)
    steps: list[Iterator[int] | None] = [None] * actors
    rows: list[tuple[int, int, int]] = []
    now = chance.expovariate(rate * most)
    while now < end:
        if chance.random() * most < level_at(phases, now):
            actor = chance.randrange(actors)
            own = steps[actor] = steps[actor] or _steps(scenarios, names, random.Random(f"{seed} {actor}"))
            rows.append((round(now * _NS_PER_S), next(own), actor))
        now += chance.expovariate(rate * most)
    return in_order(rows, operations=names, phases=phases, actors=actors, seed=seed)


def _steps(scenarios: Sequence[Scenario], names: Sequence[str], chance: random.Random) -> Iterator[int]:
    """The operations of one actor without end, as places in `names`; it comes in somewhere within a scenario."""
    place: Callable[[str], int] = list(names).index
    weights = [scenario.weight for scenario in scenarios]
    skipped = chance.randrange(max(len(scenario.steps) for scenario in scenarios))
    while True:
        for step in chance.choices(scenarios, weights)[0].steps:
            if skipped:
                skipped -= 1
                continue
            yield place(step)
