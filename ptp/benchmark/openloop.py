"""An open loop: requests are sent when they are due, whatever became of those before them.

A closed loop waits for each answer before it asks again. While a service stands still it asks nothing, so that one
request is slow where hundreds of people would have waited. Here response time starts when a request was due, and the
service time is kept beside it. Nothing is left out: each request that was scheduled is in the result, answered or not.

The loop is handed its clock, its sleep, its executor and its meter of the processors, and so runs as well in simulated
time (`ptp.benchmark.simulated`).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from ptp.benchmark.clocks import Clock

State: TypeAlias = Literal["completed", "error", "skipped", "in flight"]

_NS_PER_S = 1e9
_NS_PER_MS = 1e6
_NAP_S = 0.001  # between looks at what is still in flight, once all is sent


@dataclass(frozen=True, slots=True)
class Done:
    """One request that has ended: when work on it began and ended, by the loop's clock; `error` where it failed."""

    number: int
    started: int
    ended: int
    error: str | None = None


class Executor(Protocol):
    """Starts requests without waiting for them, and tells afterwards which have ended."""

    def start(self, number: int) -> None:
        """Hand a request to the service; returns at once."""

    def finished(self) -> Iterable[Done]:
        """The requests that have ended since this was last asked."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request, in ns since the loop began: due, handed over, begun and ended; None for what did not happen."""

    due: int
    sent: int | None = None
    started: int | None = None
    ended: int | None = None
    error: str | None = None

    @property
    def state(self) -> State:
        """What became of it. Skipped: not sent, because too many were in flight."""
        if self.sent is None:
            return "skipped"
        if self.ended is None:
            return "in flight"
        return "completed" if self.error is None else "error"


@dataclass(frozen=True, slots=True)
class Load:
    """A loop that has run: every request in the order in which they were due.

    `scheduled` is how many were to be, `strays` how many ended that were not in flight, which none should. `backlog`
    is how many were in flight as each came due. `generated` is when the last had been handed over, in ns, `cpu_share`
    how busy the processors were until then, 0 to 1.
    """

    requests: tuple[Request, ...]
    scheduled: int
    backlog: tuple[int, ...]
    generated: int
    cpu_share: float
    strays: int = 0

    @property
    def counts(self) -> Counter[State]:
        """How many requests are in each state; they sum to what was scheduled."""
        return Counter(request.state for request in self.requests)

    @property
    def response_ms(self) -> tuple[float, ...]:
        """From when each completed request was due to its end."""
        return tuple((r.ended - r.due) / _NS_PER_MS for r in self.requests if r.ended is not None and r.error is None)

    @property
    def service_ms(self) -> tuple[float, ...]:
        """From when work on each completed request began to its end."""
        return tuple(
            (r.ended - r.started) / _NS_PER_MS
            for r in self.requests
            if r.ended is not None and r.started is not None and r.error is None
        )

    @property
    def lag_ms(self) -> tuple[float, ...]:
        """How late after it was due each request was handed over: what the generator itself adds."""
        return tuple((r.sent - r.due) / _NS_PER_MS for r in self.requests if r.sent is not None)


def constant(rate: float, seconds: float) -> tuple[int, ...]:
    """When requests are due, in ns: `rate` a second, all as far apart."""
    return tuple(round(number * _NS_PER_S / rate) for number in range(int(rate * seconds)))


def poisson(rate: float, seconds: float, *, chance: random.Random) -> tuple[int, ...]:
    """When requests are due, in ns: `rate` a second on average, each independent of the others, as people come."""
    due: list[int] = []
    now = chance.expovariate(rate)
    while now < seconds:
        due.append(round(now * _NS_PER_S))
        now += chance.expovariate(rate)
    return tuple(due)


def run_load(
    schedule: Sequence[int],
    *,
    executor: Executor,
    clock: Clock,
    sleep: Callable[[float], object],
    cpu: Callable[[], float],
    grace_s: float = 5.0,
    most_in_flight: int | None = None,
    begun: int | None = None,
) -> Load:
    """Send a request at each moment of `schedule` (ns from the start), and wait `grace_s` for the last answers.

    `cpu` gives how busy the processors were since it was last asked, 0 to 1. With `most_in_flight` a request that
    comes due while so many are open is skipped: counted, and never sent later. `begun` is the start by the clock, of
    several loops that begin together; now where it is not given.
    """
    begun, flight = clock() if begun is None else begun, _Flight(executor)
    backlog: list[int] = []
    cpu()
    for number, due in enumerate(schedule):
        while (ahead := begun + due - clock()) > 0:
            sleep(ahead / _NS_PER_S)
        flight.collect()
        backlog.append(len(flight.sent))
        if most_in_flight is None or len(flight.sent) < most_in_flight:
            flight.send(number, clock())
    generated, cpu_share = clock(), cpu()
    while flight.sent and clock() < generated + grace_s * _NS_PER_S:
        sleep(_NAP_S)
        flight.collect()
    requests = tuple(flight.request(number, due, begun) for number, due in enumerate(schedule))
    return Load(requests, len(schedule), tuple(backlog), generated - begun, cpu_share, flight.strays)


class _Flight:
    """The requests of a loop that runs: which are open, and what became of the others."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._ended: dict[int, tuple[int, Done]] = {}
        self.sent: dict[int, int] = {}
        self.strays = 0

    def send(self, number: int, now: int) -> None:
        self.sent[number] = now
        self._executor.start(number)

    def collect(self) -> None:
        for done in self._executor.finished():
            sent = self.sent.pop(done.number, None)
            if sent is None:
                self.strays += 1
            else:
                self._ended[done.number] = sent, done

    def request(self, number: int, due: int, begun: int) -> Request:
        if number in self._ended:
            sent, done = self._ended[number]
            return Request(due, sent - begun, done.started - begun, done.ended - begun, done.error)
        sent_only = self.sent.get(number)
        return Request(due, None if sent_only is None else sent_only - begun)
