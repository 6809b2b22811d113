"""Comparing in several processes finds what one finds, at the same places, and ends when a process does."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from ptp.engine import connect_file
from ptp.errors import CannotFinish, SourceChanged
from ptp.verification import parallel
from ptp.verification.parallel import Part, parts_of
from ptp.verification.rows import WHOLE
from ptp.workbench import content, verifying


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes and small parts, as for a large file on two processors."""
    monkeypatch.setattr(content, "WORTH_IT", 0)
    monkeypatch.setattr(content, "processors", lambda: 2)
    monkeypatch.setattr(parallel, "ROWS_OF_A_PART", 150)


def told(pair: Any) -> list[tuple[Any, ...]]:
    return [(f.id, f.verdict, f.value, f.n, f.where) for f in pair.findings().values()]


DAMAGE = (
    "SELECT 1",
    "DELETE FROM user_answers WHERE id % 97 = 0",
    "UPDATE user_answers SET is_correct = 1 - is_correct WHERE id IN (1, 150, 151, 2000)",
    "INSERT INTO user_answers (id, user_id, question_id, selected_answer, is_correct) VALUES (-5, 1, 1, 'a', 1), (10000000, 1, 1, 'a', 1)",
    "DELETE FROM questions",
    "DELETE FROM ptp_quarantine WHERE kind = 'value'",
)  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_several_processes_find_what_one_finds(pair: Any, damage: str, request: pytest.FixtureRequest) -> None:
    pair.edit(damage)
    alone = told(pair)
    request.getfixturevalue("in_parts")
    assert told(pair) == alone


def test_parts_cover_every_key_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "ROWS_OF_A_PART", 10)
    chance = random.Random(4)
    for keys in (range(1, 96), chance.sample(range(-(10**6), 10**6), 95), [0] * 1 + list(range(10**9, 10**9 + 94))):
        path = tmp_path / f"{chance.random()}.db"
        with closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a)")
            db.executemany("INSERT INTO t VALUES (?, 1)", [(k,) for k in keys])
            found = parts_of("t", pairing_of("t"), 95, source=db, target=db)
            assert len(found) > 1
            assert (found[0].span.low, found[-1].span.high) == (WHOLE.low, WHOLE.high)
            for one, after in pairwise(found):
                assert one.span.high + 1 == after.span.low


@pytest.mark.parametrize("ddl", [
    "CREATE TABLE t (id TEXT PRIMARY KEY)",
    "CREATE TABLE t (id INT PRIMARY KEY)",
    "CREATE TABLE t (id INTEGER, b, PRIMARY KEY (id, b))",
    "CREATE TABLE t (id INTEGER PRIMARY KEY) WITHOUT ROWID",
    "CREATE TABLE t (id)",
])  # fmt: skip
def test_a_table_without_whole_keys_stays_in_one_part(ddl: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "ROWS_OF_A_PART", 1)
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute(ddl)
        assert [p.span for p in parts_of("t", pairing_of("t"), 100, source=db, target=db)] == [WHOLE]


def pairing_of(table: str) -> Any:
    from ptp.verification.pairing import Pairing

    return Pairing(table, table, ("id",), ("id",), (("id", "id", None),), ("id",))


@pytest.mark.usefixtures("in_parts")
def test_a_worker_that_is_killed_ends_the_verification_and_leaves_no_process(
    pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = subprocess.Popen
    before = psutil.Process().children()  # other tests may keep a process of their own

    def doomed(*args: Any, **more: Any) -> Any:
        process = start(*args, **more)
        process.send_signal(signal.SIGKILL)
        return process

    monkeypatch.setattr(parallel.subprocess, "Popen", doomed)
    with pytest.raises(CannotFinish, match="ended before it was done"):
        pair.findings()
    monkeypatch.undo()
    left = [c for c in psutil.Process().children() if c not in before and c.status() != psutil.STATUS_ZOMBIE]
    assert left == []


@pytest.mark.usefixtures("in_parts")
def test_an_error_in_a_worker_is_raised_here(pair: Any) -> None:
    files = parallel.Files(pair.source, pair.target, "ptp_quarantine")
    broken = Part("t", pairing_of("no_such_table"), WHOLE, 1)
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        parallel.compare_parts(files, [broken], workers=1, progress=lambda _: None)


def test_a_file_that_is_written_to_meanwhile_is_named(pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    check = verifying.check_pages

    def writing(*args: Any, **more: Any) -> Any:
        pair.edit("UPDATE users SET bio = 'changed' WHERE id = 3")
        return check(*args, **more)

    monkeypatch.setattr(verifying, "check_pages", writing)
    with pytest.raises(SourceChanged, match="was written to while it was verified"):
        pair.findings()


def test_reading_at_the_same_time_is_no_writing(pair: Any) -> None:
    with connect_file(pair.target, read_only=True) as db:
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM users").fetchone()
        time.sleep(0.01)
        assert {f.verdict for f in pair.findings().values()} <= {"pass", "not applicable"}
