"""What goes wrong, on purpose: which request meets which fault."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

KINDS = (
    "drop",
    "unavailable",
    "expired_token",
    "stream_expired",
    "delay",
    "duplicate",
    "lose_reply",
    "half_reply",
)


@dataclass(frozen=True, slots=True)
class Faults:
    """How likely each fault is for a request, from 0 to 1, and which requests surely meet one.

    A request is an HTTP POST, or a message of type `request` over WebSocket. Over WebSocket a fault of the connection
    ends the whole connection, since that is what it does there.
    """

    drop: float = 0.0
    """The connection is closed before the work."""
    unavailable: float = 0.0
    """502 or 503 before the work; over WebSocket closed with code 1011."""
    expired_token: float = 0.0
    """401 before the work; over WebSocket closed with code 1008."""
    stream_expired: float = 0.0
    """The stream is rolled back and expires before the work. Nothing happens to a request that begins a stream."""
    delay: float = 0.0
    """The work begins late, by `delay_seconds`."""
    duplicate: float = 0.0
    """The request is carried out twice; the reply is that of the first."""
    lose_reply: float = 0.0
    """The work is done, and the connection closed without a reply."""
    half_reply: float = 0.0
    """The work is done, and the connection closed in the middle of the reply."""
    script: Mapping[int, str] = field(default_factory=dict)
    """The fault of the Nth request from when these faults were set, the first being 1; before all likelihoods."""
    only: str | None = None
    """Count, and harm, only requests whose body has this text."""
    delay_seconds: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError for a fault in the script that there is not, and for likelihoods beyond 1."""
        if unknown := set(self.script.values()) - set(KINDS):
            raise ValueError(f"There is no fault {sorted(unknown)[0]}; there are {', '.join(KINDS)}.")
        chances = [getattr(self, kind) for kind in KINDS]
        if min(chances) < 0 or sum(chances) > 1:
            raise ValueError("The likelihoods of all faults together must be from 0 to 1.")

    def json(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self) | {"script": {str(number): kind for number, kind in self.script.items()}}

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Faults:
        """From JSON."""
        return cls(**{**found, "script": {int(number): kind for number, kind in found["script"].items()}})


class Chooser:
    """Chooses the fault of each request, and counts."""

    def __init__(self, faults: Faults) -> None:
        self.requests = 0
        self.done: Counter[str] = Counter()
        self.set(faults)

    def set(self, faults: Faults) -> None:
        """Begin anew with these; what was counted stays."""
        self.faults = faults
        self._random = random.Random(faults.seed)
        self._number = 0

    def next(self, body: str) -> str | None:
        """The fault of this request; whoever acts on it counts it with `did`."""
        self.requests += 1
        if self.faults.only is not None and self.faults.only not in body:
            return None
        self._number += 1
        drawn = self._random.random()
        if self._number in self.faults.script:
            return self.faults.script[self._number]
        for kind in KINDS:
            drawn -= getattr(self.faults, kind)
            if drawn < 0:
                return kind
        return None

    def did(self, kind: str) -> None:
        """Count a fault that was carried out."""
        self.done[kind] += 1

    def status(self) -> int:
        """502 or 503."""
        return self._random.choice((502, 503))

    def counts(self) -> dict[str, Any]:
        """Requests in all, and faults by kind."""
        return {"requests": self.requests, "faults": {kind: self.done[kind] for kind in KINDS}}
