"""Company: two migrators at once, one that was killed, one that sleeps through its own freeze, and plain clients."""

from __future__ import annotations

import signal
import sqlite3
import time
from contextlib import closing

import pytest

from tests.crash.place import Place, kill, takes_writes
from tests.crash.trials import FROZEN, is_told, states


@pytest.fixture
def place(raw: Place) -> Place:
    raw.reset()
    return raw


@pytest.mark.parametrize(
    ("first", "doing", "others"),
    [
        ("offline", "a migration", ("offline", "online")),
        ("online", "an online migration", ("online", "offline", "resume", "rollback")),
    ],
)
def test_the_other_migrator_is_told_who_is_at_it_and_takes_over_when_that_one_is_dead(
    place: Place, first: str, doing: str, others: tuple[str, ...]
) -> None:
    pid = place.stopped(first, "before ANALYZE", 1, 0)
    before = states(place)
    for other in others:
        told = place.run(other, told="told-too")
        assert told.code == 4, told.text
        assert f"is in the hands of another ptp ({doing}, process {pid} on " in told.text
    assert states(place) == before
    kill(pid)
    assert place.end(pid).code == -signal.SIGKILL
    again = place.run(first)
    if first == "online":
        assert is_told(again)
        again = place.run("resume")
    assert again.code == 0, again.text
    place.is_whole(place.target)


def test_two_that_build_the_same_target_from_different_sources_are_told_apart(place: Place) -> None:
    pid = place.stopped("online", "before ANALYZE", 1, 0)
    other = place.folder / "other.db"
    with closing(sqlite3.connect(other)) as db, closing(sqlite3.connect(place.kept / "base.db")) as base:
        base.backup(db)
    argv = ["migrate", "--source", str(other), "--target", str(place.target), "--out", str(place.folder / "run-x")]
    told_by = place.worker.start(do="command", argv=argv, told=str(place.folder / "told-too"))
    told = place.end(told_by, told="told-too")
    kill(pid, signal.SIGCONT)
    assert place.end(pid).code == 0
    assert told.code == 4
    assert f"new.db is in the hands of another ptp (an online migration, process {pid} on " in told.text
    place.is_whole(place.target)


def test_one_that_sleeps_through_its_own_freeze_does_not_move(place: Place) -> None:
    with place.application():
        place.await_writes()
        pid = place.stopped("online briefly", *FROZEN)
        place.await_writes(3)  # which lifts the freeze, once it is due
        assert place.writable() == ["old.db"]
        kill(pid, signal.SIGCONT)
        ended = place.end(pid)
        place.await_writes()
    assert ended.code == 4
    assert "freeze ran out" in ended.text
    assert place.writable() == ["old.db"]
    assert states(place) == (None, None)
    place.is_whole(place.source)
    assert place.leftovers() == set()


def test_one_that_sleeps_while_it_takes_back_does_not_move_either(place: Place) -> None:
    assert place.run("online").code == 0
    with place.application():
        place.await_writes()
        pid = place.stopped("rollback briefly", *FROZEN)
        place.await_writes(3)
        assert place.writable() == ["new.db"]
        kill(pid, signal.SIGCONT)
        ended = place.end(pid)
        place.await_writes()
    assert ended.code == 4, ended.text
    assert "freeze ran out" in ended.text
    assert place.writable() == ["new.db"]
    place.is_whole(place.target)
    assert place.run("rollback").code == 0
    assert place.writable() == ["old.db"]
    place.is_whole(place.source)


def test_a_dead_ones_freeze_keeps_a_plain_client_out_until_its_deadline_and_no_longer(place: Place) -> None:
    assert place.run("online briefly", after=FROZEN).code == -signal.SIGKILL
    assert states(place)[0].state == "freezing"  # type: ignore[attr-defined]
    refused = 0
    while not takes_writes(place.source):
        refused += 1
        assert refused < 2_000, "kept out for good"
        time.sleep(0.01)
    assert refused
    with closing(sqlite3.connect(place.source)) as db:
        db.execute("UPDATE users SET name = name WHERE id = 1")
        db.commit()
    assert states(place)[0].state == "open"  # type: ignore[attr-defined]
    assert place.writable() == ["old.db"]
    assert place.run("resume").code == 0
    place.is_whole(place.target)


def test_what_is_dirty_when_resumed_is_kept_as_the_run_was_told_at_first(place: Place) -> None:
    with closing(sqlite3.connect(place.source)) as db:
        db.execute("UPDATE users SET last_login = 'never' WHERE id = 1")
        db.commit()
    argv = [*place.argv("online"), "--on-dirty", "quarantine"]
    pid = place.worker.start(do="command", argv=argv, told=str(place.folder / "told"), after=FROZEN)
    assert place.end(pid).code == -signal.SIGKILL
    resumed = place.run("resume")
    assert resumed.code == 0, resumed.text
    with closing(sqlite3.connect(place.target)) as db:
        assert db.execute("SELECT original FROM ptp_quarantine").fetchall() == [("never",)]


def test_a_target_that_is_not_open_yet_says_so(place: Place) -> None:
    assert place.run("online briefly", after=FROZEN).code == -signal.SIGKILL
    for argv in (
        ["verify", "--source", str(place.source), "--target", str(place.target)],
        ["health", "--target", str(place.target)],
    ):
        told = place.end(place.worker.start(do="command", argv=argv, told=str(place.folder / "told")))
        assert told.code == 2, told.text
        assert f"{place.target} is not open yet" in told.text
        assert told.text.count("\n") == 1
