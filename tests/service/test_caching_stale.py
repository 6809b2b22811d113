"""No reader sees less than was acknowledged before it asked, in two processes with threads, by an independent witness.

Every write adds one to a counter that reads show. So a read that began at t0 and ended at t1 must show at least the
writes acknowledged before t0, and at most those begun before t1; the clock is one for all processes of a machine.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ptp.engine import atomic, open_engine
from ptp.errors import UsageError
from ptp.migration.steps import load_steps
from ptp.queries import NewAnswer
from ptp.resources import folder
from ptp.service.caching import Cache, over
from ptp.service.caching.keeping import Keeper
from ptp.service.caching.shared import Breaker, SharedLedger

REDIS = Path("/usr/bin/redis-server")
WORKER = Path(__file__).with_name("cache_worker.py")
NOW = 1_750_000_000
needs_redis = pytest.mark.skipif(not REDIS.is_file(), reason=f"there is no {REDIS}: apt-get install redis-server")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "head.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        for step in load_steps(folder("sql")):
            for sql in step.up:
                db.execute(sql)
        db.execute("PRAGMA user_version = 1")
        db.execute("INSERT INTO exams (vendor_id, code, name) VALUES ('v', 'E', 'Exam')")
        db.execute("INSERT INTO objectives (exam_id, code, name) VALUES (1, '1', 'one')")
        for n in range(1, 7):
            db.execute("INSERT INTO users (email, name) VALUES (?, ?)", (f"u{n}@example.com", f"User {n}"))
            db.execute("INSERT INTO study_sessions (user_id, exam_id) VALUES (?, 1)", (n,))
            db.execute(
                "INSERT INTO questions (exam_id, objective_id, text, answers, review_status)"
                " VALUES (1, 1, ?, '[]', 'approved')",
                (f"Question {n}?",),
            )
    return path


@contextmanager
def redis_server(port: int, folder: Path, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [str(REDIS), "--port", str(port), "--save", "", "--dir", str(folder), "--bind", "127.0.0.1", *more]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(500):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.01)
        yield server
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def trial(
    database: Path, *, seconds: float, redis_url: str = "-", meanwhile: Callable[[], Any] = lambda: None
) -> tuple[list[Any], list[dict[str, Any]]]:
    """The log of two workers and of a plain writer past the cache; and what each worker found."""
    outs = [database.with_name(f"out{n}.json") for n in range(2)]
    workers = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(database), str(n), str(seconds), redis_url, str(out)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        for n, out in enumerate(outs)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(b"go\n")
        worker.stdin.flush()
    log = past_the_cache(database, until=time.monotonic() + seconds, meanwhile=meanwhile)
    for worker in workers:
        worker.communicate(timeout=60)
        assert worker.returncode == 0
    found = [json.loads(out.read_text(encoding="utf-8")) for out in outs]
    return log + [each for one in found for each in one["log"]], found


def past_the_cache(database: Path, *, until: float, meanwhile: Callable[[], Any]) -> list[Any]:
    """Writes of a program that knows of no cache, some of them while `meanwhile` has happened."""
    log: list[Any] = []
    half = (time.monotonic() + until) / 2
    with closing(sqlite3.connect(database, isolation_level=None, timeout=30)) as db:
        while (now := time.monotonic()) < until:
            if now > half:
                meanwhile()
                half = until
            begun = time.monotonic()
            db.execute(
                "INSERT INTO user_answers"
                " (user_id, question_id, selected_answer, is_correct, time_spent_seconds, answered_at, study_session_id)"
                " VALUES (1, 1, 'a', 1, 1, ?, 1)",
                (NOW,),
            )
            log.append(("w", "answer 1", begun, time.monotonic(), 1))
            time.sleep(0.05)
    return log


def stale(log: list[Any]) -> list[str]:
    """The reads that show what no order of the calls allows."""
    begun: dict[str, list[float]] = defaultdict(list)
    ended: dict[str, list[float]] = defaultdict(list)
    for kind, key, start, end, _ in log:
        if kind == "w":
            begun[key].append(start)
            ended[key].append(end)
    for times in (*begun.values(), *ended.values()):
        times.sort()
    found = []
    for kind, key, start, end, value in log:
        low, high = bisect_left(ended[key], start), bisect_left(begun[key], end)
        if kind == "r" and not low <= value <= high:
            late = f", {start - ended[key][value]:.6f} s after it was written" if value < low else ""
            found.append(f"{key} shows {value}, not {low} to {high}{late}")
    return found


def total(found: list[dict[str, Any]], what: str) -> int:
    return sum(counts[what] for one in found for counts in one["counters"].values())


def test_two_workers_without_redis_never_disagree(database: Path) -> None:
    log, found = trial(database, seconds=1.5)
    assert stale(log) == []
    assert [one["problems"] for one in found] == [[], []]
    assert total(found, "hits") > 100  # or it would prove nothing of the cache
    assert sum(kind == "w" for kind, *_ in log) > 50


@needs_redis
def test_two_workers_with_redis_never_disagree(database: Path, port: int, tmp_path: Path) -> None:
    with redis_server(port, tmp_path):
        log, found = trial(database, seconds=1.5, redis_url=f"redis://127.0.0.1:{port}/0")
    assert stale(log) == []
    assert [one["problems"] for one in found] == [[], []]
    assert total(found, "hits") > 100


@needs_redis
def test_redis_killed_and_begun_anew_costs_no_error_and_no_stale_read(
    database: Path, port: int, tmp_path: Path
) -> None:
    second: list[Any] = []
    with redis_server(port, tmp_path) as first:

        def kill_and_begin_anew() -> None:
            os.kill(first.pid, signal.SIGKILL)
            time.sleep(0.3)
            second.append(redis_server(port, tmp_path))
            second[0].__enter__()

        try:
            log, found = trial(
                database, seconds=2, redis_url=f"redis://127.0.0.1:{port}/0", meanwhile=kill_and_begin_anew
            )
        finally:
            for each in second:
                each.__exit__(None, None, None)
    assert first.returncode == -signal.SIGKILL
    assert stale(log) == []
    assert [one["problems"] for one in found] == [[], []]
    assert total(found, "hits") > 100


def test_the_witness_sees_a_stale_read_and_one_from_the_future() -> None:
    writes = [("w", "k", 0.0, 1.0, 1), ("w", "k", 2.0, 3.0, 1)]
    assert stale([*writes, ("r", "k", 4.0, 5.0, 2), ("r", "k", 2.5, 2.6, 1), ("r", "k", 2.5, 2.6, 2)]) == []
    assert len(stale([*writes, ("r", "k", 4.0, 5.0, 1)])) == 1
    assert len(stale([*writes, ("r", "k", 0.5, 1.5, 2)])) == 1


@needs_redis
def test_two_workers_share_what_they_read_and_see_each_others_writes(database: Path, port: int, tmp_path: Path) -> None:
    def answer(cache: Cache, user: int, question: int = 1) -> None:
        new = NewAnswer(user_id=user, question_id=question, selected_answer="a", is_correct=True, time_spent_seconds=1)
        cache.queries.study.record_answer(new, now=NOW)

    def weekly(cache: Cache, user: int) -> int:
        return cache.queries.progress.weekly_activity(user_id=user, exam_id=1, now=NOW)

    def hits(cache: Cache) -> int:
        return cache.counters()["weekly_activity"]["hits"]

    with redis_server(port, tmp_path) as server, ExitStack() as closing_all:
        workers = []
        for _ in range(2):
            engine = open_engine(database)
            closing_all.callback(engine.dispose)
            keeper = Keeper(engine, redis_url=f"redis://127.0.0.1:{port}/0", breaker=Breaker(retry_s=1_000))
            workers.append(over(engine, keeper))
            closing_all.callback(workers[-1].close)
        one, other = workers
        assert (weekly(one, 1), weekly(other, 1)) == (0, 0)
        assert (hits(one), hits(other)) == (0, 1)  # the other never read it
        answer(one, 1)
        assert (weekly(other, 1), weekly(one, 1)) == (1, 1)
        assert hits(one) == 1  # by way of Redis
        weekly(one, 2)
        answer(one, 1)
        assert weekly(other, 2) == 0
        assert hits(other) == 2  # what is of another user stays
        with pytest.raises(UsageError):
            answer(one, 1, question=999)  # announced, and rolled back
        weekly(other, 2)
        assert hits(other) == 3
        with closing(sqlite3.connect(database)) as past, past:
            past.execute("UPDATE user_answers SET user_id = 2")
        assert (weekly(other, 1), weekly(one, 1), weekly(one, 2)) == (0, 0, 2)
        with closing(sqlite3.connect(database)) as past, past:
            past.execute("UPDATE user_answers SET flagged = 1")  # so that neither knows where Redis stands
        with one.keeper.writing_anything(), atomic(one.queries.study._engine) as db:
            assert weekly(other, 2) == 2  # read between the announcement and the commit, and not kept
            db.exec_driver_sql("UPDATE user_answers SET user_id = 3")
        assert (weekly(other, 2), weekly(other, 3)) == (0, 2)
        server.send_signal(signal.SIGSTOP)  # it hangs: each worker waits for it once, then goes by itself
        for number in range(3, 6):
            answer(one, 3)
            assert (weekly(one, 3), weekly(other, 3)) == (number, number)
        assert [w.keeper.breaker.failures for w in workers] == [1, 1]
        server.send_signal(signal.SIGCONT)


@needs_redis
def test_redis_that_would_forget_is_not_used(
    database: Path, port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with redis_server(port, tmp_path, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"):
        engine = open_engine(database)
        keeper = Keeper(engine, redis_url=f"redis://127.0.0.1:{port}/0")
        assert not isinstance(keeper.ledger, SharedLedger)
        assert "noeviction" in caplog.text
        keeper.close()
        engine.dispose()
