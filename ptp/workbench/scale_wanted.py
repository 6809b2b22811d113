"""What is asked of the model: who uses the platform, what it may cost, where it stands; every input has its bounds."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal, TypeAlias

from ptp.engine.prices import Prices, load_prices
from ptp.errors import UsageError
from ptp.scale.regions import load_regions
from ptp.scale.topology import TOPOLOGIES
from ptp.scale.topology import Name as TopologyName
from ptp.workload.traffic import Traffic

Estimates: TypeAlias = Literal["gate", "note"]
"""Whether what is only estimated decides the verdict, or is told beside it."""

AUTO = "auto"
LIMIT_MS = 200.0
"""What the p95 of a response may be, everywhere."""
BUDGET = 50.0
"""$ a month."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The inputs; `growth` is % a month, `last_mile` and all that ends in _ms is a round trip.

    `peak` is how many times the mean of a month the busiest hour is. `opened` is the share of requests that open a
    connection, with `handshakes` round trips (TCP takes one, TLS 1.3 one more); None is one connection a session.
    `months` of answers are kept when the bill comes.
    """

    users: int = 1_000
    sessions: int = 12
    answers: int = 20
    growth: float = 0.0
    budget: float = BUDGET
    plan: str = AUTO
    topology: TopologyName = "primary"
    primary: str = "washington"
    regions: tuple[str, ...] = ()
    last_mile: float = 20.0
    local_ms: float = 1.0
    jitter: float = 0.1
    opened: float | None = None
    handshakes: int = 2
    app_ms: float = 3.0
    peak: float = 10.0
    cache_hits: float = 0.0
    months: int = 12
    seed: int = 1
    estimates: Estimates = "gate"

    def check(self) -> None:
        """Raise UsageError for what cannot be modelled, with what can."""
        for name, low, high in _BOUNDS:
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                shown = name.replace("_", "-")
                raise UsageError(f"--{shown} {value:,g} cannot be modelled: give {low:,g} to {high:,g}.")
        if self.topology not in TOPOLOGIES:
            raise UsageError(f"{self.topology!r} is no topology that is known; they are {', '.join(TOPOLOGIES)}.")
        regions = load_regions()
        for name in (self.primary, *self.regions):
            regions.check(name)
        plans = [AUTO, *(t.name for t in load_prices().tariffs)]
        if self.plan.lower() not in (name.lower() for name in plans):
            raise UsageError(f"{self.plan!r} is no plan that prices are known of; they are {', '.join(plans)}.")

    @property
    def where(self) -> tuple[str, ...]:
        """The regions of the users, each once."""
        return tuple(dict.fromkeys(self.regions)) or load_regions().names

    @property
    def dollars(self) -> Decimal:
        """The budget as it was written."""
        return Decimal(str(self.budget))

    @property
    def hits(self) -> Fraction:
        """The share of reads that a cache answers, as it was written."""
        return Fraction(str(self.cache_hits))

    def traffic(self, users: int | None = None) -> Traffic:
        """The traffic of a month of so many users."""
        return Traffic(
            users=self.users if users is None else users,
            sessions_per_user=self.sessions,
            questions_per_session=self.answers,
        )

    def plan_in(self, prices: Prices) -> str | None:
        """The name of the plan asked for as the prices spell it; None for the cheapest."""
        return next((t.name for t in prices.tariffs if t.name.lower() == self.plan.lower()), None)


_BOUNDS: tuple[tuple[str, float, float], ...] = (
    ("users", 1, 1_000_000_000),
    ("sessions", 1, 1_000),
    ("answers", 1, 1_000),
    ("growth", 0, 100),
    ("budget", 0, 1_000_000),
    ("last_mile", 0, 1_000),
    ("local_ms", 0.01, 100),
    ("jitter", 0, 2),
    ("opened", 0, 1),
    ("handshakes", 0, 5),
    ("app_ms", 0, 1_000),
    ("peak", 1, 1_000),
    ("cache_hits", 0, 1),
    ("months", 1, 120),
)
