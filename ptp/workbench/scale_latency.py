"""p95 of users by region and topology: calls as observed, over the distances between; and what would help."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, TypeAlias

from ptp.engine.prices import Tariff, load_prices
from ptp.scale.regions import Regions, load_regions
from ptp.scale.sensitivity import Input, Swing
from ptp.scale.simulate import Call, Network, Place, Simulated, simulate
from ptp.scale.topology import TOPOLOGIES, Distances, path_of
from ptp.scale.topology import Name as TopologyName
from ptp.settings import load_settings
from ptp.workbench.scale_inputs import OVER_HTTP, Observations, Observed
from ptp.workbench.scale_wanted import Wanted
from ptp.workload.calls import API_CALLS, WRITERS

Trips: TypeAlias = Literal["counted", "bare reads", "one request"]
"""Round trips of a call: as counted; of reads their statements alone; or all of a call sent as one request."""

A_REGION = 1_500
"""Requests that are simulated of each region's users."""
_MONTH_S = 30 * 86_400
_WHOLE, _OPENED, _COMMIT = "service times", "connections opened", "commit of the plan"


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to set the platform up; replies have `reply_share` of their length, `values` are those of inputs."""

    title: str
    topology: TopologyName
    primary: str
    trips: Trips = "counted"
    cache_hits: float = 0.0
    reply_share: float = 1.0
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class World:
    """What the response times follow from; `commit_ms` is the most that the plan adds to a commit."""

    wanted: Wanted
    seen: Observations
    tariff: Tariff
    regions: Regions = field(default_factory=load_regions)

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        """Every input that is a number, with its range and where it comes from."""
        w = self.wanted
        timed = ", ".join(sorted({one.times_from for one in self.asked.values()}))
        plan = f"the vendor's word for {self.tariff.name}: up to so much, any of it alike"
        commit = self.tariff.commit_latency_ms or 0.0
        asked = "assumed; change it with --{0}"
        return (
            Input(_WHOLE, "times", 1.0, 0.5, 2.0, measured=True, source=f"{timed}; another machine: half and twice"),
            Input("between regions", "times", 1.0, 0.9, 1.2, measured=True, source=self.regions.source),
            Input("last mile", "ms", w.last_mile, w.last_mile / 2, w.last_mile * 2.5, False, asked.format("last-mile")),
            Input("within a region", "ms", w.local_ms, w.local_ms / 2, w.local_ms * 3, False, "assumed"),
            Input("jitter", "of the mean", w.jitter, 0.0, max(0.3, w.jitter), False, "assumed, gamma"),
            Input("loss", "of round trips", 0.0, 0.0, 0.01, False, "assumed, 200 ms each"),
            Input(
                _OPENED, "of requests", self.opened, 0.0, 1.0, False, "assumed: one a session; none, and each request"
            ),
            Input("application", "ms", self.app_ms, self.app_ms / 2, self.app_ms * 3, False, self._app_source),
            Input(_COMMIT, "ms at most", commit, 0.0, commit, False, plan),
            Input("busiest hour", "times the mean", w.peak, w.peak / 3, w.peak * 3, False, "assumed"),
        )

    @property
    def asked(self) -> Mapping[str, Observed]:
        """What users ask through the API, of the queries that were observed."""
        return {c.query: self.seen.queries[c.query] for c in API_CALLS if c.query in self.seen.queries}

    @property
    def app_ms(self) -> float:
        """What is added to queries for the rest of a request; nothing where whole requests were measured."""
        return 0.0 if self._has_whole_requests else self.wanted.app_ms

    @property
    def _has_whole_requests(self) -> bool:
        return all(one.times_from == OVER_HTTP for one in self.asked.values())

    @property
    def _app_source(self) -> str:
        return "within the service times" if self._has_whole_requests else "assumed: routing, checks and JSON"

    @property
    def requests(self) -> float:
        """Requests a month, by the traffic asked for."""
        rates = self.wanted.traffic().rates
        return sum(rates[name].calls for name in self.asked)

    @property
    def rate(self) -> float:
        """Requests a second in a mean hour."""
        return self.requests / _MONTH_S

    @property
    def opened(self) -> float:
        """The share of requests that open a connection: one a session, unless asked for otherwise."""
        if self.wanted.opened is not None:
            return self.wanted.opened
        return min(1.0, self.wanted.traffic().sessions / self.requests)

    def calls(self, variant: Variant, values: Mapping[str, float]) -> tuple[Call, ...]:
        """The calls of the API with the traffic asked for; those of them that a cache answers stand apart."""
        rates = self.wanted.traffic().rates
        times, app = values.get(_WHOLE, 1.0), values.get("application", self.app_ms)
        found = []
        for name, one in self.asked.items():
            writes = name in WRITERS
            added = 0.0 if one.times_from == OVER_HTTP else app
            length = round(one.reply_bytes * variant.reply_share)
            service = tuple(times * ms + added for ms in one.service_ms)
            hits = 0.0 if writes else variant.cache_hits
            call = Call(name, rates[name].calls * (1 - hits), service, _trips(one, variant.trips), writes, length)
            found.append(call)
            if hits:
                kept = replace(call, name=f"{name}, cached", weight=rates[name].calls * hits, trips=0)
                found.append(replace(kept, service_ms=(added + 0.05,)))
        return tuple(one for one in found if one.weight > 0)

    def simulated(self, variant: Variant, values: Mapping[str, float] | None = None) -> Simulated:
        """The requests of all regions, with each input at the value given or at its usual one."""
        given = {one.name: one.value for one in self.inputs} | dict(variant.values) | dict(values or {})
        distances = Distances(self._stretched(given["between regions"]), given["last mile"], given["within a region"])
        topology = TOPOLOGIES[variant.topology]
        where = self.wanted.where
        return simulate(
            self.calls(variant, given),
            [path_of(topology, name, primary=variant.primary, distances=distances) for name in where],
            place=Place(self.rate * given["busiest hour"], load_settings().pool_size, commit_ms=given[_COMMIT]),
            network=Network(
                jitter=given["jitter"],
                loss=given["loss"],
                opened=given[_OPENED],
                handshakes=self.wanted.handshakes,
            ),
            count=A_REGION * len(where),
            seed=self.wanted.seed,
        )

    def _stretched(self, times: float) -> Regions:
        if times == 1.0:
            return self.regions
        return replace(self.regions, round_trips={k: v * times for k, v in self.regions.round_trips.items()})

    def as_asked(self, topology: TopologyName | None = None) -> Variant:
        """The platform as asked for, or with another topology."""
        name = topology or self.wanted.topology
        return Variant(TOPOLOGIES[name].title, name, self.wanted.primary, cache_hits=self.wanted.cache_hits)


def _trips(one: Observed, trips: Trips) -> int:
    if trips == "one request":
        return min(one.trips, 1)
    return one.statements if trips == "bare reads" and one.query not in WRITERS else one.trips


@dataclass(frozen=True, slots=True)
class Spread:
    """A p95 in ms with its range, by the inputs at their ends one by one, taken as independent of each other."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Answer:
    """One way to set the platform up: the requests as simulated, and the p95 of each region's users with its range."""

    variant: Variant
    usual: Simulated
    regions: Mapping[str, Spread]
    everyone: Spread
    swings: tuple[Swing, ...]

    @property
    def worst(self) -> str:
        """The region whose users wait longest."""
        return max(self.regions, key=lambda name: self.regions[name].value)


def answer_of(world: World, variant: Variant) -> Answer:
    """Simulate a variant with all inputs as they are, and with each at its ends."""
    usual = world.simulated(variant)
    ends = [tuple(world.simulated(variant, {one.name: value}) for value in (one.low, one.high)) for one in world.inputs]
    regions = {name: _spread(usual, ends, name) for name in world.wanted.where}
    worst = max(regions, key=lambda name: regions[name].value)
    moved = tuple(
        Swing(one, low.p95(region=worst), high.p95(region=worst))
        for one, (low, high) in zip(world.inputs, ends, strict=True)
    )
    return Answer(variant, usual, regions, _spread(usual, ends, None), tuple(sorted(moved, key=lambda s: -s.width)))


def _spread(usual: Simulated, ends: list[tuple[Simulated, ...]], region: str | None) -> Spread:
    value = usual.p95(region=region)
    below = above = 0.0
    for pair in ends:
        found = [one.p95(region=region) for one in pair]
        below += max(0.0, value - min(found)) ** 2
        above += max(0.0, max(found) - value) ** 2
    return Spread(value, max(0.0, value - below**0.5), value + above**0.5)


@dataclass(frozen=True, slots=True)
class Tried:
    """What a variant gives: p95 in ms of each region's users, and of all together."""

    title: str
    regions: Mapping[str, float]
    everyone: float

    @property
    def worst(self) -> str:
        """The region whose users wait longest."""
        return max(self.regions, key=lambda name: self.regions[name])

    def holds(self, limit: float) -> bool:
        """Whether every region is under a limit."""
        return self.regions[self.worst] < limit


def tried(world: World) -> tuple[Tried, ...]:
    """Everything that could help, simulated."""
    found = []
    for variant in remedies(world):
        usual = world.simulated(variant)
        regions = {name: usual.p95(region=name) for name in world.wanted.where}
        found.append(Tried(variant.title, regions, usual.p95()))
    return tuple(found)


def remedies(world: World) -> Iterator[Variant]:
    """What could be tried, one by one and together."""
    asked = world.as_asked()
    best = nearest_primary(world)
    yield replace(asked, title="reads without a transaction", trips="bare reads")
    yield replace(asked, title="each call as one request to the database", trips="one request")
    yield replace(asked, title="a cache that answers 80 % of the reads", cache_hits=0.8)
    yield replace(asked, title="replies compressed to a quarter", reply_share=0.25)
    yield replace(asked, title="connections that stay open", values={_OPENED: 0.0})
    quick = min((t for t in load_prices().tariffs), key=lambda t: t.commit_latency_ms or 0.0)
    yield replace(asked, title=f"the commits of {quick.name}", values={_COMMIT: quick.commit_latency_ms or 0.0})
    yield replace(asked, title=f"the primary in {best}", primary=best)
    for name, topology in TOPOLOGIES.items():
        if name != asked.topology:
            yield replace(asked, title=topology.title, topology=name)
    nearby = replace(asked, topology="replicas", trips="one request")
    yield replace(nearby, title="a replica by region, and each write as one request")
    kept = {_OPENED: 0.0, _COMMIT: quick.commit_latency_ms or 0.0}
    yield replace(
        nearby, title=f"all of these together, with the primary in {best}", primary=best, reply_share=0.25, values=kept
    )


def nearest_primary(world: World) -> str:
    """The region from which the furthest users are least far."""
    return min(world.regions.names, key=lambda name: furthest_from(world, name)[0])


def furthest_from(world: World, primary: str) -> tuple[float, str]:
    """The round trip in ms to the region that is furthest from a primary, and its name."""
    return max((world.regions.between(each, primary), each) for each in world.wanted.where)
