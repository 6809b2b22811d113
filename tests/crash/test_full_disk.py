"""A disk that fills up in each phase: one clear sentence, exit 4, nothing lost, and it goes on when there is room.

The folder lies on a small file system in memory. The command stops at a point, the disk is filled to its last byte, and
the command goes on.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.crash.place import Place, Worker, kill
from tests.crash.trials import FROZEN, MOVED, finish, states

_PHASE = "after UPDATE main.ptp_move SET phase"


@pytest.fixture(scope="module")
def small(worker: Worker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    mount = tmp_path_factory.mktemp("small")
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "ptp-small", str(mount)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can only be mounted by root")
    try:
        yield Place(mount / "place", worker, "raw")
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=True)


def fill(place: Place) -> None:
    """Leave no byte."""
    with (place.folder / "ballast").open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    os.write(file.fileno(), bytes(size))
            except OSError:
                continue


def run_full(place: Place, command: str, after: tuple[str, int, int]) -> str:
    """Run a command for which there is no room any more from a point on; what it said."""
    pid = place.stopped(command, *after)
    fill(place)
    kill(pid, signal.SIGCONT)
    ended = place.end(pid)
    (place.folder / "ballast").unlink()
    assert len(place.writable()) <= 1
    assert ended.code == 4, ended.text
    assert re.search("disk is full|is the disk full", ended.text, re.IGNORECASE), ended.text
    assert ended.text.count("\n") == 1
    return ended.text


BACKUP = ("before PRAGMA journal_mode = OFF", 1, 0)
OFFLINE = {
    "backup": BACKUP,
    "build": ("before PRAGMA encoding", 1, 0),
    "tables": ("before CREATE TABLE users", 1, 0),
    "copy": ("before INSERT INTO main", 3, 0),
}
ONLINE = {
    "backup": BACKUP,
    "build": ("after ATTACH", 1, 0),
    "catch up": (_PHASE, 2, 1),
    "arm": ("after CREATE TABLE ptp_move", 2, 0),
    "cut over": FROZEN,
}
BACK = {
    "freeze": FROZEN,
    "write back": ("before DELETE FROM main", 1, 0),
    "triggers": ("before CREATE TRIGGER", 1, 0),
}
WAYS = {name: ("resume", "rollback")[number % 2] for number, name in enumerate(ONLINE)}


def some(phases: dict[str, tuple[str, int, int]], few: tuple[str, ...]) -> list[Any]:
    """All phases; outside of the long trials only a few."""
    return [pytest.param(p, id=n, marks=() if n in few else pytest.mark.torture) for n, p in phases.items()]


@pytest.mark.parametrize("after", some(OFFLINE, ("build",)))
def test_offline(small: Place, after: tuple[str, int, int]) -> None:
    small.reset()
    before = small.source.read_bytes()
    run_full(small, "offline", after)
    assert small.source.read_bytes() == before
    assert small.leftovers() == set()
    again = small.run("offline")
    assert again.code == 0, again.text
    small.is_whole(small.target)


@pytest.mark.parametrize(
    ("phase", "way"),
    [
        pytest.param(n, w, marks=() if w == WAYS[n] else pytest.mark.torture)
        for n in ONLINE
        for w in ("resume", "rollback")
    ],
)
def test_online(small: Place, phase: str, way: str) -> None:
    small.reset()
    with small.application():
        small.await_writes(5)
    run_full(small, "online", ONLINE[phase])
    with small.application(first=small.acknowledged()):
        small.await_writes()
    finish(small, way)


def test_it_has_moved_and_there_is_no_room_to_open_the_next(small: Place) -> None:
    small.reset()
    pid = small.stopped("online", *MOVED)
    fill(small)
    kill(pid, signal.SIGCONT)
    ended = small.end(pid)
    (small.folder / "ballast").unlink()
    assert ended.code in (0, 4)  # a log that was written before has room
    with small.application():
        small.await_writes()
    assert small.writable() == ["new.db"]
    small.is_whole(small.target)


@pytest.mark.parametrize("after", some(BACK, ("write back",)))
def test_rollback(small: Place, after: tuple[str, int, int]) -> None:
    small.reset()
    assert small.run("online").code == 0
    with small.application():
        small.await_writes(5)
    with closing(sqlite3.connect(small.target)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    run_full(small, "rollback", after)
    assert states(small)[1].state in ("open", "freezing")  # type: ignore[attr-defined]
    again = small.run("rollback")
    assert again.code == 0, again.text
    with small.application(first=small.acknowledged()):
        small.await_writes()
    assert small.writable() == ["old.db"]
    small.is_whole(small.source)
