"""The floors do what the calls do, in plain sqlite3: the same rows, the same writes, and nothing through the engine."""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Iterator
from itertools import count as counting
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from ptp.benchmark.pairs import time_pairs
from ptp.engine import connect_file
from ptp.engine.meters import recorded
from ptp.workload.floors import RECENT_ANSWERS, Measured, measured, plain_connection
from ptp.workload.limits import BATCH_TO_SINGLE, FILTERED, FILTERED_TO_PLAIN, FLOORS, LIMITS_MS

DRAWS = ("study_questions", FILTERED)
WRITES = {
    "record_answer": {"user_answers": 1},
    "record_answers_50": {"user_answers": 50},
    "log_generation": {"ai_generation_log": 1},
    "change": {"audit_log": 1},
    "session_progress": {},
    "update_progress": {},
    "record_daily_metrics": {},
}
"""What a call adds the second time, by table."""


@pytest.fixture
def plain(operated: Engine, head: Path) -> Iterator[sqlite3.Connection]:
    with plain_connection(operated, head) as db:
        yield db


@pytest.fixture
def found(operated: Engine, plain: sqlite3.Connection) -> dict[str, Measured]:
    return {one.name: one for one in measured(operated, plain, count=6, seed=1)}


def sizes(engine: Engine) -> dict[str, int]:
    tables = ("user_answers", "ai_generation_log", "audit_log", "user_progress", "growth_metrics", "study_sessions")
    with engine.connect() as db:
        return {name: db.scalar(text(f"SELECT count(*) FROM {name}")) or 0 for name in tables}


def added(engine: Engine, work: Any) -> dict[str, int]:
    before = sizes(engine)
    work()
    return {name: size - before[name] for name, size in sizes(engine).items() if size != before[name]}


def test_every_query_has_a_floor_and_every_floor_its_bound_or_is_told(found: dict[str, Measured]) -> None:
    assert set(found) == set(FLOORS) == {*LIMITS_MS, FILTERED_TO_PLAIN, BATCH_TO_SINGLE}
    assert {name: one.bound for name, one in found.items()} == dict(FLOORS)
    assert [name for name, bound in FLOORS.items() if bound is None] == [FILTERED]
    assert [one.not_applicable for one in found.values() if one.not_applicable] == []


def test_what_reads_comes_first(found: dict[str, Measured]) -> None:
    last = list(found)[-len(WRITES) - 1 :]
    assert set(last) == {*WRITES, BATCH_TO_SINGLE}


def test_call_and_floor_have_alike_outcomes_in_every_case(found: dict[str, Measured]) -> None:
    clock = counting()
    errors = {}
    for name, one in found.items():
        timed = time_pairs(one.prepare().pairs, warmup=0, chance=random.Random(1), clock=lambda: next(clock))
        errors[name] = (timed.error, len(timed.calls))
    assert set(errors.values()) == {(None, 6)}, errors


def test_the_pragmas_are_those_of_the_engine(operated: Engine, plain: sqlite3.Connection) -> None:
    wanted = {"foreign_keys": 1, "recursive_triggers": 1, "cache_size": -65_536, "synchronous": 1}
    assert {name: plain.execute(f"PRAGMA {name}").fetchone()[0] for name in wanted} == wanted
    with operated.connect() as db:
        assert db.exec_driver_sql("PRAGMA mmap_size").scalar_one() == plain.execute("PRAGMA mmap_size").fetchone()[0]
    assert plain.isolation_level is None


@pytest.mark.parametrize("name", LIMITS_MS)
def test_the_floor_runs_nothing_through_the_engine_and_leaves_no_transaction(
    operated: Engine, plain: sqlite3.Connection, found: dict[str, Measured], name: str
) -> None:
    pairs = found[name].prepare().pairs
    with recorded(operated) as statements:
        for pair in pairs:
            pair.floor()
    assert (statements, plain.in_transaction) == ([], False)


@pytest.mark.parametrize("name", DRAWS)
def test_the_floor_of_a_draw_is_a_fetch_of_the_same_questions_by_key(
    plain: sqlite3.Connection, found: dict[str, Measured], name: str
) -> None:
    seen: list[str] = []
    plain.set_trace_callback(seen.append)
    for pair in found[name].prepare().pairs:
        drawn, fetched = pair.call(), pair.floor()
        assert sorted(drawn) == sorted(fetched) != []  # type: ignore[type-var]
        assert len(fetched) == 20 or name == FILTERED  # type: ignore[arg-type]
    assert len(seen) == 6
    assert all(sql.startswith("SELECT id, exam_id, ") and " FROM questions WHERE id IN (" in sql for sql in seen)
    assert all(" JOIN " not in sql and " user_answers" not in sql for sql in seen)


def test_every_other_floor_runs_the_statements_of_the_call_in_one_transaction(
    operated: Engine, plain: sqlite3.Connection, found: dict[str, Measured]
) -> None:
    for name in set(LIMITS_MS) - set(DRAWS):
        pair = found[name].prepare().pairs[0]
        with recorded(operated) as called:
            pair.call()
        seen: list[str] = []
        plain.set_trace_callback(seen.append)
        pair.floor()
        plain.set_trace_callback(None)
        begin = "BEGIN IMMEDIATE" if name in WRITES else "BEGIN"
        # The trace shows values, and what triggers and the full-text index run; so texts up to the first value.
        starts = [re.split("[?:]", statement.sql)[0].strip()[:40] for statement in called]
        own = [start for sql in seen for start in (begin, "COMMIT", *starts) if sql.strip().startswith(start)]
        assert [sql for sql, _ in groupby(own)] == [s for s, _ in groupby([begin, *starts, "COMMIT"])], name


@pytest.mark.parametrize("name", WRITES)
def test_call_and_floor_write_alike(operated: Engine, found: dict[str, Measured], name: str) -> None:
    pair = found[name].prepare().pairs[0]
    assert added(operated, pair.call) == added(operated, pair.floor) == WRITES[name]


def test_a_change_through_the_floor_is_the_change_of_the_call(operated: Engine, found: dict[str, Measured]) -> None:
    pair = found["change"].prepare().pairs[0]
    ask = text("SELECT entity_id, old_values, new_values, request_id FROM audit_log ORDER BY id DESC LIMIT 1")
    entries = []
    for work in (pair.call, pair.floor):
        work()
        with operated.connect() as db:
            entries.append(db.execute(ask).one())
    assert entries[0][0] == entries[1][0]
    assert entries[0][2:] == entries[1][2:]


def test_rows_are_built_one_to_one_where_they_are_and_of_the_fields_where_not(found: dict[str, Measured]) -> None:
    for name in (
        "growth_analytics",
        "net_followers",
        "ai_cost_summary",
        "recent_activity",
        "user_progress",
        "leaderboard",
    ):
        pair = found[name].prepare().pairs[0]
        called = pair.call()
        values = (called,) if hasattr(called, "_make") else called
        assert pair.floor() == values
        assert name == "leaderboard" or values  # nobody here has seen more than 50


def test_a_floor_that_fails_leaves_no_transaction(plain: sqlite3.Connection, found: dict[str, Measured]) -> None:
    pair = found["log_generation"].prepare().pairs[0]
    plain.execute("CREATE TEMP TRIGGER no BEFORE INSERT ON main.ai_generation_log BEGIN SELECT raise(ABORT, 'no'); END")
    with pytest.raises(sqlite3.IntegrityError):
        pair.floor()
    assert not plain.in_transaction


def test_outcomes_that_differ_are_told(operated: Engine, found: dict[str, Measured]) -> None:
    for name, said in (("study_questions", "not those fetched"), ("recent_activity", "not those that the call returned"),
                       ("record_answer", "not those that the call returned")):  # fmt: skip
        pair = found[name].prepare().pairs[0]
        called, fetched = pair.call(), pair.floor()
        assert pair.unlike(called, fetched) is None
        assert said in (pair.unlike(called, fetched[:-1]) or "")  # type: ignore[index]


def test_one_user_has_500_answers_in_the_last_day_over_the_exam_but_not_all_of_it(
    operated: Engine, head: Path, found: dict[str, Measured]
) -> None:
    with connect_file(head) as db:
        asked, answered, oldest, newest = db.execute(
            "SELECT count(DISTINCT question_id), count(*), min(answered_at), max(answered_at) FROM user_answers "
            "WHERE user_id = 2 AND answered_at > 1750000000 - 86400"
        ).fetchone()
        earlier = db.execute("SELECT count(*) FROM user_answers WHERE user_id = 2").fetchone()[0] - answered
    assert (answered, RECENT_ANSWERS, asked) == (500 + 1, 500, 30 + 1)  # the last of its own ten was in that day too
    assert (earlier, newest) == (9, 1_750_000_000)
    assert oldest > 1_750_000_000 - 86_400
    drawn: Any = found[FILTERED].prepare().pairs[0].call()
    assert drawn
    assert {question.difficulty for question in drawn} <= {2, 3, 4}


def test_a_filtered_draw_is_beside_a_plain_one_and_a_batch_beside_single_answers(
    operated: Engine, found: dict[str, Measured]
) -> None:
    beside = found[FILTERED_TO_PLAIN].prepare()
    filtered, plain = beside.pairs[0].call(), beside.pairs[0].floor()
    assert {question.difficulty for question in filtered} <= {2, 3, 4}  # type: ignore[attr-defined]
    assert {question.difficulty for question in plain} == {1, 2, 3, 4, 5}  # type: ignore[attr-defined]
    pair = found[BATCH_TO_SINGLE].prepare().pairs[0]
    with recorded(operated) as batch:
        assert added(operated, pair.call) == {"user_answers": 50}
    with recorded(operated) as single:
        assert added(operated, pair.floor) == {"user_answers": 50}
    inserts = [sum(s.sql.lstrip().startswith("INSERT INTO user_answers") for s in seen) for seen in (batch, single)]
    assert inserts == [1, 50]


def test_without_answers_nothing_applies_and_nothing_is_written(engine: Engine, head: Path) -> None:
    with plain_connection(engine, head) as db:
        found = measured(engine, db, count=6, seed=1)
    assert {one.name for one in found} == set(FLOORS)
    assert all(one.not_applicable for one in found)
    assert sizes(engine)["user_answers"] == 0
