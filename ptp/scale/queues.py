"""An open queue, served first come, first served, simulated request by request; and what theory says of simple ones."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heapreplace
from math import factorial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Times: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stay:
    """How long each request holds a server, in ms, in order of arrival.

    `locked` is the part in which it also holds the one lock, `before` and `after` are those around it; a request with
    no `locked` part takes no lock.
    """

    before: Times
    locked: Times
    after: Times


def ends_of(arrivals: Times, stay: Stay, *, servers: int, site: NDArray[Any] | None = None) -> Times:
    """When each request ends, in ms; `arrivals` in ascending order, `servers` of each site.

    The lock is one for all sites, and is granted in the order of arrival. Each request is followed.
    """
    sites = np.zeros(len(arrivals), np.int64) if site is None else site
    free: dict[int, list[float]] = {}
    for one in np.unique(sites).tolist():
        free[one] = [0.0] * servers
        heapify(free[one])
    unlocked, ends = 0.0, []
    stays = zip(stay.before.tolist(), stay.locked.tolist(), stay.after.tolist(), strict=True)
    for arrival, where, (before, locked, after) in zip(arrivals.tolist(), sites.tolist(), stays, strict=True):
        heap = free[where]
        end = max(arrival, heap[0]) + before
        if locked > 0:
            unlocked = max(end, unlocked) + locked
            end = unlocked
        end += after
        heapreplace(heap, end)
        ends.append(end)
    return np.array(ends)


def arrivals_at(rate: float, count: int, chance: np.random.Generator) -> Times:
    """Arrivals of a Poisson process in ms, at `rate` a second."""
    return np.cumsum(chance.exponential(1000.0 / rate, count))


def mean_wait_mmc(*, rate: float, service: float, servers: int = 1) -> float:
    """The mean wait of M/M/c, by Erlang C, in the unit of `service`, the mean; `rate` a unit of time."""
    load = rate * service
    used = load / servers
    if used >= 1:
        raise ValueError("a queue that is given more than it can serve has no mean wait")
    tail = load**servers / factorial(servers) / (1 - used)
    waits = tail / (sum(load**k / factorial(k) for k in range(servers)) + tail)
    return waits * service / (servers * (1 - used))


def mean_wait_md1(*, rate: float, service: float) -> float:
    """The mean wait of M/D/1, by Pollaczek and Khinchine, in the unit of `service`."""
    used = rate * service
    if used >= 1:
        raise ValueError("a queue that is given more than it can serve has no mean wait")
    return used * service / (2 * (1 - used))
