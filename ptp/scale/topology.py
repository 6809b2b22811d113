"""Where the parts stand, and how far it is from each to the next: user to application, application to database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from ptp.scale.regions import Regions

Name: TypeAlias = Literal["primary", "regional", "replicas"]


@dataclass(frozen=True, slots=True)
class Topology:
    """One primary database always; `nearby` says that applications stand in the region of their people.

    With `local_reads` each application has a replica beside it, which answers what only reads.
    """

    name: Name
    title: str
    nearby: bool
    local_reads: bool


TOPOLOGIES: Mapping[Name, Topology] = MappingProxyType(
    {
        "primary": Topology("primary", "application beside the primary", nearby=False, local_reads=False),
        "regional": Topology("regional", "applications by region, one primary", nearby=True, local_reads=False),
        "replicas": Topology("replicas", "applications by region, a replica each", nearby=True, local_reads=True),
    }
)


@dataclass(frozen=True, slots=True)
class Distances:
    """What is between regions (`regions`), from a user to their region (`last_mile_ms`), and between two machines of
    one region (`local_ms`); average round trips in ms."""

    regions: Regions
    last_mile_ms: float
    local_ms: float


@dataclass(frozen=True, slots=True)
class Path:
    """Average round trips in ms of one region's people; `site` names where their application stands.

    `read_ms` is None where reading needs no network at all.
    """

    region: str
    site: str
    user_ms: float
    read_ms: float | None
    write_ms: float


def path_of(topology: Topology, region: str, *, primary: str, distances: Distances) -> Path:
    """The way of a request of the region's people; raises UsageError for a region that is not known."""
    site = region if topology.nearby else primary
    between = distances.regions.between
    user = distances.last_mile_ms + (between(region, site) or distances.local_ms)
    database = between(site, primary) or distances.local_ms
    return Path(region, site, user, None if topology.local_reads else database, database)
