"""Killed before and after what every statement of the plan does, by SIGKILL, in a process of its own.

The normal suite takes every so many points, `-m torture` all of them. A point is before or after a statement that
writes, on any connection, or before or after a file gets or loses its name or is synced; what only reads leaves the
same as the point before it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from tests.crash.place import Place
from tests.crash.trials import FROZEN, TRIALS, keep_states, try_all

_STATES = {"rollback": "moved", "settle": "moved", "resume a freezing": "freezing", "resume a left": "left"}
_TRIED = {"offline": 8, "online": 10, "rollback": 5, "settle": 2, "resume a freezing": 4, "resume a left": 2}


@pytest.fixture(scope="module", params=["raw", pytest.param("drizzle", marks=pytest.mark.torture)])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    found: Place = request.getfixturevalue(request.param)
    keep_states(found)
    return found


def points_of(place: Place, name: str) -> list[str]:
    """The points that a command comes by which runs through, from the state that its trial begins with."""
    place.reset(_STATES.get(name, ""))
    return place.points(name.split()[0])


@pytest.mark.parametrize("name", TRIALS)
def test_killed_at_a_statement(place: Place, name: str) -> None:
    names = points_of(place, name)
    wanted = _TRIED[name]
    stride = len(names) / wanted
    assert try_all(place, TRIALS[name], [int(stride * (n + 0.5)) for n in range(wanted)], names) == wanted


@pytest.mark.parametrize("name", ["online", pytest.param("rollback", marks=pytest.mark.torture)])
def test_killed_after_each_commit_from_the_freeze_on(place: Place, name: str) -> None:
    """What is on the disk changes with a commit: so these are all the states that a death can leave."""
    names = points_of(place, name)
    freeze = next(n for n, text in enumerate(names) if text.startswith(FROZEN[0]))
    commits = names[freeze:].count("after COMMIT")
    assert commits >= 4
    later = [(*FROZEN[:2], 0, "after COMMIT", number, 0) for number in range(1, commits + 1) for _ in ("both", "ways")]
    assert try_all(place, TRIALS[name], later, []) == 2 * commits


@pytest.mark.torture
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", TRIALS)
def test_killed_at_every_statement(place: Place, name: str) -> None:
    names = points_of(place, name)
    started = time.monotonic()
    tried = try_all(place, TRIALS[name], range(len(names)), names)
    print(f"\n{place.shape}, {name}: {tried} points in {time.monotonic() - started:.0f} s")


def test_killed_at_random_moments(place: Place) -> None:
    kill_at_random(place, 10, random.Random(1))


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_killed_at_200_random_moments(place: Place) -> None:
    kill_at_random(place, 200, random.Random(2))


def kill_at_random(place: Place, count: int, rng: random.Random) -> None:
    """Kill from outside after some time, up to what the command takes where it runs through."""
    for name, share in (("offline", 0.2), ("online", 0.4), ("rollback", 0.4)):
        place.reset(_STATES.get(name, ""))
        started = time.monotonic()
        assert place.run(name).code == 0
        longest = time.monotonic() - started
        try_all(place, TRIALS[name], [rng.uniform(0, longest) for _ in range(int(count * share))], [])
