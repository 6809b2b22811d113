"""How many users there are and how they behave, as data: profiles of a load in users, think time and requests/s.

Users x = users / think time requests a second: 1,000 users who each do something every 3.8 s make 263. The think time
is a mean; how it spreads is lognormal, as measured of people who read a page before they go on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, TypeAlias

from ptp.benchmark.load import Phase, Scenario, Schedule, Think, by_actors
from ptp.workload.scenarios import SCENARIOS

ProfileName: TypeAlias = Literal["light", "medium", "heavy", "spike"]

WARM_UP_S = 5.0
"""The longest warm-up: users come one after the other, and what they do is not measured."""

_WARM_UP_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class LoadProfile:
    """So many users, of whom each makes a request every `think` on average; `calm` of them are there before a spike."""

    users: int
    think: Think
    calm: float = 1.0

    @property
    def rate(self) -> float:
        """Requests a second when all users are there."""
        return self.users / self.think.mean

    def at(self, rate: float) -> LoadProfile:
        """The same users, in a hurry or not: with the think time that makes so many requests a second."""
        return replace(self, think=Think(self.users / rate, self.think.sigma))

    def of(self, users: int) -> LoadProfile:
        """The same behaviour of so many users."""
        return replace(self, users=users)

    def phases(self, seconds: float) -> tuple[Phase, ...]:
        """A warm-up, and then so many seconds that are measured."""
        warm = min(WARM_UP_S, seconds * _WARM_UP_SHARE)
        ramp = Phase("warm-up", "ramp", warm, start=0.2 * self.calm, end=self.calm, measured=False)
        if self.calm == 1.0:
            return ramp, Phase("steady", "soak" if seconds >= _SOAK_S else "steady", seconds)
        third = seconds / 3
        before, after = Phase("before", "steady", third, end=self.calm), Phase("after", "steady", third, end=self.calm)
        return ramp, before, Phase("spike", "spike", third), after

    def schedule(self, seconds: float, *, seed: int, scenarios: Sequence[Scenario] = SCENARIOS) -> Schedule:
        """What these users do in so many seconds, after a warm-up."""
        return by_actors(self.users, think=self.think, phases=self.phases(seconds), scenarios=scenarios, seed=seed)


_SOAK_S = 600.0
_THINK = Think(mean=3.8)

PROFILES: Mapping[ProfileName, LoadProfile] = MappingProxyType(
    {
        "light": LoadProfile(100, _THINK),
        "medium": LoadProfile(500, _THINK),
        "heavy": LoadProfile(1_000, _THINK),
        "spike": LoadProfile(1_500, Think(mean=5.0), calm=1 / 3),
    }
)
"""light 26, medium 132 and heavy 263 requests a second; spike 100, 300 for a third of the time, and 100 again."""
