"""Conditions before a migration: versions with a flaw, room, leftovers, other processes, and old damage."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ptp.migration import conditions
from ptp.migration.conditions import Breach, Room, breaches, flaws_of, leftovers, rooms, short_of_room

# SQLite 3.7.0 to 3.51.2 has the flaw; it is mended in 3.51.3, 3.50.7 and 3.44.6.
EDGES = {
    "3.6.23": False,
    "3.7.0": True,
    "3.40.1": True,
    "3.44.5": True,
    "3.44.6": False,
    "3.44.7": False,
    "3.45.0": True,
    "3.49.2": True,
    "3.50.6": True,
    "3.50.7": False,
    "3.51.0": True,
    "3.51.2": True,
    "3.51.3": False,
    "3.52.0": False,
    "4.0.0": False,
}


@pytest.mark.parametrize(("version", "is_flawed"), EDGES.items())
def test_a_version_of_sqlite_has_the_flaw_or_not(version: str, is_flawed: bool) -> None:
    assert bool(flaws_of(tuple(map(int, version.split("."))))) == is_flawed


def test_folders_on_one_device_share_its_room(tmp_path: Path) -> None:
    free = 100
    both = (Room("a", tmp_path, 60, free), Room("b", tmp_path / "not yet" / "there", 60, free))
    assert short_of_room(both[:1]) == short_of_room(both[1:]) == ()
    (told,) = short_of_room(both)
    assert str(tmp_path) in told


def test_room_counts_what_stands_in_the_log_too(tmp_path: Path) -> None:
    source = tmp_path / "a.db"
    source.write_bytes(bytes(1000))
    alone = sum(r.needed for r in rooms(source, target=tmp_path / "b.db", backup=tmp_path))
    (tmp_path / "a.db-wal").write_bytes(bytes(1000))
    both = sum(r.needed for r in rooms(source, target=tmp_path / "b.db", backup=tmp_path))
    assert both == 2 * alone
    assert alone > 3 * 1000


def test_sorting_is_looked_for_where_sqlite_does_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "two"))
    assert conditions.temporary_folder() == tmp_path / "two"
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path / "one"))
    assert conditions.temporary_folder() == tmp_path / "one"
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path / "none"))
    assert conditions.temporary_folder() == tmp_path / "two"


def test_what_killed_runs_left_is_found_and_nothing_else(tmp_path: Path) -> None:
    left = {"new.db.partial", "new.db.partial-journal"}
    for name in (*left, "new.db", "other.db.partial", "new.db-wal"):
        (tmp_path / name).touch()
    assert {p.name for p in leftovers(tmp_path / "new.db", tmp_path / "gone" / "x.db")} == left


HOLDER = """
import sqlite3, sys
from pathlib import Path
from ptp.engine import locks
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
with locks.held(Path(sys.argv[1]), doing="a test"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(raw: Any) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDER, str(raw.source)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.communicate("")


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="this system does not tell")
def test_another_process_is_seen_with_its_locks(raw: Any, holder: subprocess.Popen[str]) -> None:
    assert conditions.other_processes(raw.source) == (holder.pid,)
    assert conditions.locking_processes(raw.source) == (holder.pid,)
    assert conditions.is_migrated_by_another(raw.source)
    holder.communicate("")
    assert conditions.other_processes(raw.source) == conditions.locking_processes(raw.source) == ()
    assert not conditions.is_migrated_by_another(raw.source)


def test_this_process_is_no_other(raw: Any) -> None:
    descriptor = os.open(raw.source, os.O_RDONLY)
    try:
        assert conditions.other_processes(raw.source) == ()
    finally:
        os.close(descriptor)


def test_what_is_broken_before_is_counted_by_rule(raw: Any) -> None:
    raw.edit(
        "UPDATE user_answers SET question_id = 999999 WHERE id IN (SELECT id FROM user_answers LIMIT 3)",
        "UPDATE users SET role = 'king' WHERE id IN (SELECT id FROM users LIMIT 2)",
    )
    found = breaches(raw.source, {"users": ["(role IN ('user', 'admin', 'moderator'))", "(id > 0)"]})
    assert found == (
        Breach("user_answers", "REFERENCES questions", 3),
        Breach("users", "CHECK (role IN ('user', 'admin', 'moderator'))", 2),
    )


def test_a_rule_that_cannot_be_evaluated_hides_no_other(raw: Any) -> None:
    found = breaches(raw.source, {"users": ["(no_such_function(id))", "(id < 0)", "(id > 0)"]})
    users = raw.ask_source("SELECT count(*) FROM users")[0][0]
    assert found == (Breach("users", "CHECK (no_such_function(id))", None), Breach("users", "CHECK (id < 0)", users))
