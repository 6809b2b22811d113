"""Power loss: all that was acknowledged is there, and the migration is finished or undone, wherever the light went out.

A command runs once, and what it asks of the disk is recorded below SQLite (`recording`). Then the disk is made anew as
it may be after a power loss at some moment (`power`), and the next command is run on that. An application writes in
between; what it has committed it takes for sure, so its connections are at synchronous FULL.
"""

from __future__ import annotations

import pickle
import random
import sqlite3
import time
from collections.abc import Sequence

import pytest

from tests.crash.place import Place
from tests.crash.power import FATES, lose_power, moments, put
from tests.crash.recording import Event, can_record
from tests.crash.trials import finish, keep_states

pytestmark = pytest.mark.skipif(not can_record(), reason="the driver's SQLite is built into it, and cannot be recorded")


@pytest.fixture(scope="module")
def place(raw: Place) -> Place:
    keep_states(raw)
    return raw


@pytest.mark.parametrize("command", ["offline", "online", "rollback"])
def test_power_is_lost(place: Place, command: str) -> None:
    lose(place, command, 3, random.Random(3))


@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("command", ["offline", "online", "rollback"])
def test_power_is_lost_at_100_moments(place: Place, command: str) -> None:
    started = time.monotonic()
    lose(place, command, 100, random.Random(4))
    print(f"\n{command}: 100 moments in {time.monotonic() - started:.0f} s")


def test_a_disk_that_keeps_less_than_it_said_is_found_out(place: Place) -> None:
    """The trial itself: with the syncs left out, something is lost, and is seen to be."""
    before, events = record(place, "online")
    honest = [e for e in events if e[0] != "sync"]
    files, acknowledged = lose_power(before, honest, fate="nothing", rng=random.Random(5))
    assert acknowledged > 2
    put(files, place.folder)
    place.log.write_text("".join(f"{n}\n" for n in range(acknowledged)))
    with pytest.raises((AssertionError, sqlite3.DatabaseError)):
        place.is_whole(place.target if place.target.exists() else place.source)


def test_a_state_that_is_not_synced_when_it_changes_is_found_out(place: Place) -> None:
    """With the states changed at synchronous NORMAL, what was left comes back as it was, beside its open successor."""
    before, events = record(place, "online", weakened=True)
    last = range(len(events) - 60, len(events))
    assert any(len(left_open(place, before, events[:cut])) == 2 for cut in last)
    before, events = record(place, "online")
    last = range(len(events) - 60, len(events))
    assert all(len(left_open(place, before, events[:cut])) <= 1 for cut in last)


def left_open(place: Place, before: dict[str, bytes], events: Sequence[Event]) -> list[str]:
    """The databases that take writes where nothing is on the disk that was not synced."""
    files, _ = lose_power(before, events, fate="nothing", rng=random.Random(6))
    put(files, place.folder)
    return place.writable()


def lose(place: Place, command: str, count: int, rng: random.Random) -> None:
    place.reset("moved" if command == "rollback" else "")
    known = place.acknowledged()
    before, events = record(place, command)
    failed = []
    for number, cut in enumerate(moments(events, count, rng)):
        fate, way = FATES[number % len(FATES)], ("resume", "rollback")[number // 2 % 2]
        files, acknowledged = lose_power(before, events[:cut], fate=fate, rng=rng)
        acknowledged += known
        put(files, place.folder)
        place.log.write_text("".join(f"{n}\n" for n in range(acknowledged)))
        try:
            go_on(place, command, way, before)
        except (AssertionError, sqlite3.DatabaseError) as problem:
            failed.append(f"{cut} {told(events[cut - 1 : cut])}, {fate}, {way}: {str(problem)[:600]}")
    assert not failed, f"{len(failed)} of {count}:\n" + "\n".join(failed)


def told(events: Sequence[Event]) -> str:
    return " ".join(str(part)[:80] for event in events for part in event)


def go_on(place: Place, command: str, way: str, before: dict[str, bytes]) -> None:
    if command == "offline":
        assert place.source.read_bytes() == before[str(place.source)]
        again = place.run("offline")
        assert again.code == 0 or (again.code == 2 and "is at head already" in again.text), again.text
        place.is_whole(place.target)
        return
    assert len(place.writable()) <= 1
    finish(place, way, may_be_done=command == "rollback")


def record(place: Place, command: str, *, weakened: bool = False) -> tuple[dict[str, bytes], list[Event]]:
    """What was on the disk, and all that a command asked of it."""
    place.reset("moved" if command == "rollback" else "")
    before = {str(p): p.read_bytes() for p in place.folder.iterdir() if p.suffix == ".db"}
    assert not any(p.name.endswith("-wal") and p.stat().st_size for p in place.folder.iterdir())
    first = place.acknowledged()
    listing = place.folder.with_name("events")
    more = {} if command == "offline" else {"first": first}
    work = {"argv": place.argv(command), "told": str(place.folder / "told"), "events": str(listing)}
    pid = place.worker.start(
        do="recorded", folder=str(place.folder), shape=place.shape, weakened=weakened, **work, **more
    )
    ended = place.end(pid)
    assert ended.code == 0, ended.text
    return before, pickle.loads(listing.read_bytes())
