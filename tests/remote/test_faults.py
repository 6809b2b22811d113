"""Trials on a bad network: whatever it does, the content is exactly right, and no write is done twice.

The witness is sqlite3 on the server's own file. Some seeds run with every suite; a thousand of each by `-m torture`.
"""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ptp.engine import open_engine
from ptp.engine.problems import Unreached
from ptp.engine.remote_calls import Calls, Patience, retried
from ptp.errors import UsageError
from ptp.migration.remote.loading import BESIDES, load, open_loaded
from ptp.migration.remote.mirror import check_equal, pull
from ptp.migration.steps import load_steps
from ptp.queries import NewAnswer, StudyQueries
from ptp.resources import folder
from tests.migration.moving import contents
from tests.migration.remote.conftest import SWIFT, difference, filled, run_sql
from tests.remote.standin import Faults, StandIn

MANY = range(1_000)
NOW = 1_750_000_000
PATIENCE = Patience(attempts=60, first_s=0.001, longest_s=0.02)
KINDS = ("drop", "unavailable", "stream_expired", "delay", "duplicate", "lose_reply", "half_reply")


def quiet(share: float, text: str) -> None: ...


def faults_of(rng: random.Random, *, most: float) -> Faults:
    """Some kinds of fault, each more or less likely, together at most so much; and now and then a token that ends."""
    chosen = rng.sample(KINDS, rng.randint(1, len(KINDS)))
    chances = {kind: rng.uniform(0, most / len(chosen)) for kind in chosen}
    return Faults(**chances, expired_token=rng.choice((0.0, 0.01)), delay_seconds=0.002, seed=rng.randrange(2**32))


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[StandIn, StandIn]]:
    """A server with a small database of every kind of object, and one whose database is emptied for each trial."""
    place = tmp_path_factory.mktemp("faults")
    old, new = filled(place / "old.db", rows=40), place / "new.db"
    run_sql(new, "PRAGMA user_version = 1")
    with StandIn(old) as one, StandIn(new) as two:
        yield one, two


def empty(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=20)) as db:
        kinds = "SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%'"
        for kind, name in db.execute(f"{kinds} ORDER BY sql LIKE 'CREATE VIRTUAL%' DESC").fetchall():
            db.execute(f"DROP {kind} IF EXISTS {name}")


def migrate(servers: tuple[StandIn, StandIn], tmp: Path, seed: int) -> Counter[str]:
    """A database from one server to another, by its mirror, however often it has to be begun anew; what went wrong."""
    rng, mirror, before = random.Random(seed), tmp / f"mirror-{seed}.db", counted(servers)
    empty(servers[1].path)
    for server in servers:
        server.set_faults(faults_of(rng, most=0.4))
    tail = "?protocol=1" if seed % 4 == 1 else ""
    urls = [server.ws if seed % 4 == 2 else f"{server.http}{tail}" for server in servers]
    for _ in range(60):
        with Calls(urls[0], patience=SWIFT) as reading, Calls(urls[1], patience=SWIFT) as writing:
            try:
                if not mirror.exists():
                    pull(reading, mirror, progress=quiet)
                load(writing, mirror, run=str(seed), other="old", progress=quiet)
                assert check_equal(writing, mirror, besides=BESIDES, progress=quiet)[0] == []
                assert check_equal(reading, mirror, progress=quiet)[0] == []
                open_loaded(writing)
                break
            except UsageError as problem:
                assert "refused the token" in str(problem)
            except Unreached as problem:
                assert "It was tried 12 times" in str(problem)
    else:
        raise AssertionError(f"seed {seed} never came to its end")
    old, new = (server.path for server in servers)
    assert difference(old, mirror) == "", seed
    assert contents(new) == contents(old), seed
    assert run_sql(new, "SELECT name FROM sqlite_schema WHERE name LIKE 'ptp%'") == []
    mirror.unlink()
    return counted(servers) - before


def counted(servers: Sequence[StandIn]) -> Counter[str]:
    return sum((Counter(server.counts()["faults"]) for server in servers), Counter())


def test_migrations_are_exact(servers: tuple[StandIn, StandIn], tmp_path: Path) -> None:
    met = sum((migrate(servers, tmp_path, seed) for seed in range(4)), Counter())
    assert met.total() > 20


@pytest.mark.torture
@pytest.mark.timeout(14_400)
def test_a_thousand_migrations_are_exact(servers: tuple[StandIn, StandIn], tmp_path: Path) -> None:
    met = sum((migrate(servers, tmp_path, seed) for seed in MANY), Counter())
    print(f"1,000 migrations, all exact, with {dict(met)}")
    assert set(met) >= {"drop", "unavailable", "delay", "duplicate", "lose_reply", "half_reply", "expired_token"}


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """A database at head with one user and three questions.

    A BEGIN that the network doubles holds the lock until its time is over, which is short here.
    """
    path = tmp_path_factory.mktemp("faults") / "head.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        for sql in (sql for step in load_steps(folder("sql")) for sql in step.up):
            db.execute(sql)
        db.execute("INSERT INTO exams (id, vendor_id, code, name) VALUES (1, 'v', 'E', 'Exam')")
        db.execute("INSERT INTO objectives (id, exam_id, code, name) VALUES (1, 1, '1', 'one')")
        db.execute("INSERT INTO users (id, email, name) VALUES (1, 'u@example.com', 'User')")
        for n in (1, 2, 3):
            db.execute(
                "INSERT INTO questions (id, exam_id, objective_id, text, answers, review_status) "
                "VALUES (?, 1, 1, ?, '[]', 'approved')",
                (n, f"Question {n}?"),
            )
    with StandIn(path, transaction_seconds=0.2, idle_seconds=0.4) as server:
        yield server


def answer(server: StandIn, seed: int, *, count: int = 50) -> Counter[str]:
    """So many answers through a bad network, each sent until its reply came; what went wrong meanwhile."""
    rng, path, before = random.Random(seed), server.path, counted([server])
    run_sql(path, "DELETE FROM user_answers", "UPDATE questions SET total_attempts = 0, correct_attempts = 0")
    faults = faults_of(rng, most=0.25)
    if seed % 2:  # what comes over one connection comes once; only a request over HTTP can be carried out again
        faults = replace(faults, duplicate=0.0)
    server.set_faults(faults)
    engine = open_engine(server.ws if seed % 2 else server.http)
    replies = [_answered(StudyQueries(engine), n) for n in range(count)]
    engine.dispose()
    rows = run_sql(
        path, "SELECT id, request_key, question_id, time_spent_seconds, is_correct FROM user_answers ORDER BY id"
    )
    assert rows == [(replies[n], f"key {n}", n % 3 + 1, n, int(n % 2 == 0)) for n in range(count)], seed
    of_each = [[n for n in range(count) if n % 3 == q] for q in range(3)]
    expected = [(len(ns), sum(n % 2 == 0 for n in ns)) for ns in of_each]
    assert run_sql(path, "SELECT total_attempts, correct_attempts FROM questions ORDER BY id") == expected, seed
    return counted([server]) - before


def _answered(queries: StudyQueries, number: int) -> int:
    """The id of an answer, which is sent with its key until the reply has come."""
    new = NewAnswer(
        user_id=1,
        question_id=number % 3 + 1,
        selected_answer="a",
        is_correct=number % 2 == 0,
        time_spent_seconds=number,
        key=f"key {number}",
    )
    while True:
        try:
            return retried(lambda: queries.record_answer(new, now=NOW), patience=PATIENCE).id
        except UsageError as problem:
            assert "refused the token" in str(problem)


def test_answers_are_recorded_once(head: StandIn) -> None:
    met = sum((answer(head, seed, count=12) for seed in range(6)), Counter())
    assert met.total() > 10


@pytest.mark.torture
@pytest.mark.timeout(14_400)
def test_fifty_answers_are_recorded_once_a_thousand_times(head: StandIn) -> None:
    met = sum((answer(head, seed) for seed in MANY), Counter())
    print(f"1,000 runs of 50 answers, all exact, with {dict(met)}")
    assert set(met) >= set(KINDS)
