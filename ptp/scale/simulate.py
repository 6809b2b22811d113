"""Response times of calls from afar, by simulation: what was measured here, plus what the network and the plan add.

response = opening a connection (where one is opened) + a round trip of the user's + further ones for a long reply
         + waiting for a server + the service time + a round trip to the database for each that the call makes
         + for a call that writes: waiting for the one write lock, and the commit of the plan.

Service times are drawn from the samples measured. A round trip has the mean of the data, and spreads about it as is
declared. A writer holds the write lock from when its first round trip arrives until its last one has arrived: the trips
between are held by all other writers too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, log2
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ptp.scale.queues import Stay, Times, arrivals_at, ends_of
from ptp.scale.topology import Path

Numbers: TypeAlias = NDArray[Any]
"""The place of each request's region or call, or a truth value of each."""

FIRST_WINDOW = 14_600
"""Bytes that a sender may send before it hears back: ten segments (RFC 6928)."""


@dataclass(frozen=True, slots=True)
class Call:
    """One kind of call: how often beside the others, its service times in ms, and its round trips to the database.

    `reply_bytes` is the length of what is sent back.
    """

    name: str
    weight: float
    service_ms: tuple[float, ...]
    trips: int
    writes: bool
    reply_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Network:
    """How round trips behave beside their mean.

    `jitter` is the standard deviation as a share of the mean; a trip is drawn from a gamma distribution. With
    probability `loss` something of it is sent again, `again_ms` later. A share `opened` of the requests opens a
    connection, which takes `handshakes` round trips before. `restarts` says that a connection that was idle begins
    with the first window again, so that a long reply takes further round trips.
    """

    jitter: float = 0.0
    loss: float = 0.0
    again_ms: float = 200.0
    opened: float = 0.0
    handshakes: int = 1
    restarts: bool = True

    def trips(self, means: Times, chance: np.random.Generator) -> Times:
        """One round trip for each of these means, in ms."""
        found = means
        if self.jitter > 0:
            shape = 1 / self.jitter**2
            found = means * chance.gamma(shape, 1 / shape, len(means))
        if self.loss > 0:
            found = found + self.again_ms * ((chance.random(len(means)) < self.loss) & (means > 0))
        return found

    def several(self, means: Times, counts: Times, chance: np.random.Generator) -> Times:
        """So many round trips one after the other, for each request."""
        whole = np.zeros(len(means))
        for number in range(int(counts.max(initial=0))):
            whole += np.where(counts > number, self.trips(means, chance), 0.0)
        return whole


@dataclass(frozen=True, slots=True)
class Place:
    """What serves: `servers` requests at once at each site, `rate` requests a second from everywhere together.

    `commit_ms` is the most that the plan adds to a commit; it is taken to add anything up to it alike.
    """

    rate: float
    servers: int
    commit_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Simulated:
    """Requests in order of arrival: response times and waits in ms, and which region and call each was."""

    regions: tuple[str, ...]
    calls: tuple[str, ...]
    response_ms: Times
    wait_ms: Times
    region: Numbers = field(repr=False)
    call: Numbers = field(repr=False)

    def of(self, *, region: str | None = None, calls: Sequence[str] | None = None) -> Times:
        """The response times of one region's people, of some of the calls."""
        kept = np.ones(len(self.response_ms), bool)
        if region is not None:
            kept &= self.region == self.regions.index(region)
        if calls is not None:
            kept &= np.isin(self.call, [self.calls.index(name) for name in calls])
        return self.response_ms[kept]

    def p95(self, *, region: str | None = None, calls: Sequence[str] | None = None) -> float:
        """The 95th percentile in ms, by nearest rank."""
        return quantile(self.of(region=region, calls=calls), 0.95)


def quantile(values: Times, q: float) -> float:
    """The q-quantile by nearest rank."""
    return float(np.sort(values)[max(ceil(q * len(values)), 1) - 1])


def simulate(
    calls: Sequence[Call],
    paths: Sequence[Path],
    *,
    place: Place,
    network: Network,
    shares: Mapping[str, float] | None = None,
    count: int = 20_000,
    seed: int = 1,
) -> Simulated:
    """`count` requests of people in the regions of `paths`, as many from each unless `shares` says otherwise.

    The same seed draws the same requests whatever the distances are, so that two places compare request by request.
    """
    draws = [np.random.default_rng([seed, number]) for number in range(6)]
    weights = np.array([(shares or {}).get(path.region, 1.0) for path in paths])
    region = draws[0].choice(len(paths), count, p=weights / weights.sum())
    mix = np.array([one.weight for one in calls])
    call = draws[1].choice(len(calls), count, p=mix / mix.sum())
    service = _service(calls, call, draws[2])
    writes = np.array([one.writes for one in calls])[call]
    between = _user_times(calls, paths, call, region, network, draws[3])
    means = np.where(
        writes,
        np.array([path.write_ms for path in paths])[region],
        np.array([path.read_ms or 0.0 for path in paths])[region],
    )
    trips = np.array([float(one.trips) for one in calls])[call]
    commit = np.where(writes, draws[4].uniform(0.0, 1.0, count) * place.commit_ms, 0.0)
    stay = _stay(means, trips, service + commit, writes, network, draws[5])
    arrivals = arrivals_at(place.rate, count, np.random.default_rng([seed, 6]))
    names = sorted({path.site for path in paths})
    site = np.array([names.index(path.site) for path in paths])[region]
    within = ends_of(arrivals, stay, servers=place.servers, site=site) - arrivals
    wait = within - stay.before - stay.locked - stay.after
    return Simulated(
        tuple(path.region for path in paths), tuple(one.name for one in calls), between + within, wait, region, call
    )


def _service(calls: Sequence[Call], call: Numbers, chance: np.random.Generator) -> Times:
    """A measured service time for each request, drawn from those of its call."""
    place = chance.random(len(call))
    found = np.zeros(len(call))
    for number, one in enumerate(calls):
        samples, own = np.sort(np.array(one.service_ms)), call == number
        found[own] = samples[(place[own] * len(samples)).astype(int)]
    return found


def _user_times(
    calls: Sequence[Call],
    paths: Sequence[Path],
    call: Numbers,
    region: Numbers,
    network: Network,
    chance: np.random.Generator,
) -> Times:
    """What is between the user and the application: the request, a connection where one is opened, a long reply."""
    means = np.array([path.user_ms for path in paths])[region]
    opens = chance.random(len(call)) < network.opened
    replies = np.array([float(windows(one.reply_bytes)) for one in calls])[call]
    trips = 1.0 + opens * network.handshakes + replies * (opens | network.restarts)
    return network.several(means, trips, chance)


def windows(length: int) -> int:
    """The further round trips that a reply of so many bytes takes: each window is twice the one before."""
    return max(ceil(log2(length / FIRST_WINDOW + 1)) - 1, 0) if length > 0 else 0


def _stay(
    means: Times, trips: Times, work: Times, writes: Numbers, network: Network, chance: np.random.Generator
) -> Stay:
    """How long a request holds its server, with the half of the first and of the last trip that is not in the lock."""
    first = np.where(trips > 0, network.trips(means, chance), 0.0)
    rest = network.several(means, np.maximum(trips - 1, 0), chance)
    half = first / 2
    locked = np.where(writes, np.maximum(work + rest, 1e-9), 0.0)
    return Stay(half, locked, np.where(writes, half, half + work + rest))
