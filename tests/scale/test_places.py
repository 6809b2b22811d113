"""Regions and topologies: the file of facts is the same, figures are dated, and distances are what a map of it says."""

from __future__ import annotations

import datetime

import pytest

from ptp.errors import UsageError
from ptp.scale.regions import load_regions
from ptp.scale.sensitivity import Input, swings
from ptp.scale.topology import TOPOLOGIES, Distances, path_of

REGIONS = load_regions()
DISTANCES = Distances(REGIONS, last_mile_ms=20.0, local_ms=1.0)


def test_round_trips_are_those_of_the_source() -> None:
    """Read off the published table by eye."""
    assert REGIONS.names == (
        "dallas", "toronto", "washington", "frankfurt", "london", "madrid", "osaka", "sydney", "tokyo", "saopaulo"
    )  # fmt: skip
    assert (REGIONS.between("sydney", "washington"), REGIONS.between("washington", "sydney")) == (216, 214)
    assert (REGIONS.between("frankfurt", "london"), REGIONS.between("osaka", "saopaulo")) == (13, 292)
    assert all(REGIONS.between(name, name) == 0 for name in REGIONS.names)
    assert len(REGIONS.round_trips) == 100


def test_a_region_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(UsageError, match="'mars' is no region .* dallas, toronto"):
        REGIONS.between("mars", "london")


@pytest.mark.parametrize(("day", "is_old"), [("2025-09-15", False), ("2025-09-16", True)])
def test_figures_tell_their_date_and_when_they_are_old(day: str, is_old: bool) -> None:
    told = REGIONS.words(datetime.date.fromisoformat(day))
    assert "IBM Cloud" in told and "2024" in told
    assert ("days old" in told) == is_old == REGIONS.is_old(datetime.date.fromisoformat(day))


@pytest.mark.parametrize(
    ("name", "region", "user", "read", "write"),
    [
        ("primary", "sydney", 20 + 216, 1.0, 1.0),
        ("primary", "washington", 21.0, 1.0, 1.0),
        ("regional", "sydney", 21.0, 216.0, 216.0),
        ("replicas", "sydney", 21.0, None, 216.0),
        ("replicas", "washington", 21.0, None, 1.0),
    ],
)
def test_distances_of_each_topology(name: str, region: str, user: float, read: float | None, write: float) -> None:
    found = path_of(TOPOLOGIES[name], region, primary="washington", distances=DISTANCES)  # type: ignore[index]
    assert (found.user_ms, found.read_ms, found.write_ms) == (user, read, write)
    assert found.site == ("washington" if name == "primary" else region)


def test_the_widest_swing_comes_first_and_one_input_moves_at_a_time() -> None:
    inputs = [Input(name, "ms", 10.0, low, high, True, "") for name, low, high in (("a", 9, 11), ("b", 0, 30))]
    found = swings(inputs, lambda values: values["a"] * 2 + values["b"])
    assert [(s.input.name, s.low, s.high, s.width) for s in found] == [("b", 20, 50, 30), ("a", 28, 32, 4)]
