"""Services that do not exist, in time that does not pass: what the harness must find is known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import TypeAlias

from ptp.benchmark.openloop import Done

Serve: TypeAlias = Callable[[int, int], Done | None]
"""Given a request's number and the time in ns, when work on it begins and ends; None where it never ends."""

_NS_PER_S = 1e9


class Simulated:
    """A clock, a sleep and an executor of `ptp.benchmark.openloop` in one, all in simulated nanoseconds.

    The service takes any number of requests at once, unless `serve` says otherwise.
    """

    def __init__(self, serve: Serve) -> None:
        """Time begins at 0."""
        self.now = 0
        self._serve = serve
        self._open: list[tuple[int, int, Done]] = []

    def clock(self) -> int:
        """The simulated time in ns."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += round(seconds * _NS_PER_S)

    def start(self, number: int) -> None:
        """Hand a request to the service."""
        done = self._serve(number, self.now)
        if done is not None:
            heappush(self._open, (done.ended, number, done))

    def finished(self) -> Iterator[Done]:
        """The requests that have ended by now."""
        while self._open and self._open[0][0] <= self.now:
            yield heappop(self._open)[2]


def stalling(*, service_ns: int, stall_ns: int, every_ns: int) -> Serve:
    """A service that stands still at the beginning of each `every_ns`: what comes meanwhile begins when that ends."""

    def serve(number: int, now: int) -> Done:
        into = now % every_ns
        started = now if into >= stall_ns else now - into + stall_ns
        return Done(number, started, started + service_ns)

    return serve
