"""The oracles of what writes see every wrong value that is returned, and every one that is written."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import count as counting
from pathlib import Path
from typing import Any

import pytest

from ptp.benchmark.latency import time_calls
from ptp.workload.cases import benchmark_cases
from ptp.workload.draws import BATCH
from tests.workload.oracle_heads import VARIED, Bench, bumped, migrated, off_by_one_field, run_script

Made = Callable[[str, str], Any]

#: Which rows a query writes, all columns of which its oracle must know.
WRITTEN = (
    ("record_answer", "user_answers", "id = (SELECT max(id) FROM user_answers)"),
    ("record_answers_50", "user_answers", "id = (SELECT max(id) - 20 FROM user_answers)"),
    ("session_progress", "study_sessions", "id = {session}"),
    ("update_progress", "user_progress", "user_id = {user} AND exam_id = {exam}"),
    ("record_daily_metrics", "growth_metrics", "date = date({now}, 'unixepoch')"),
    ("log_generation", "ai_generation_log", "id = (SELECT max(id) FROM ai_generation_log)"),
    ("change", "questions", "id = {question}"),
    ("change", "audit_log", "id = (SELECT max(id) FROM audit_log)"),
)
WRITES = sorted({name for name, _, _ in WRITTEN})
#: What answers move of a question while others change it: not looked at by the oracle of a change.
FREE = ("total_attempts", "correct_attempts", "avg_time_seconds", "total_time_seconds")


@pytest.fixture(autouse=True)
def garbage_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before each case garbage is collected, which with all that the tests have loaded takes longer than the case."""
    monkeypatch.setattr("ptp.benchmark.latency.gc.collect", lambda: 0)


@pytest.fixture(scope="module")
def bench(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """To be restarted before each call that is made wrong."""
    path = migrated(made("drizzle", "tiny").path, tmp_path_factory.mktemp("written") / "head.db")
    run_script(path, VARIED)
    opened = Bench(path, count=4)
    yield opened
    opened.engine.dispose()


def columns(path: Path, table: str) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return [row[1] for row in db.execute(f"PRAGMA table_info({table})")]


def spoil(path: Path, table: str, where: str, column: str) -> None:
    """Put another value into one column of one row, whatever rules it breaks but its type."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        kinds = {row[1]: row[2] for row in db.execute(f"PRAGMA table_info({table})")}
        (value,) = db.execute(f"SELECT {column} FROM {table} WHERE {where}").fetchone()
        other = "x" if value is None and kinds[column] == "TEXT" else bumped(value)
        other = value + 100_000 if column in ("id", "user_id") else other  # which no row has
        changed = db.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (other,)).rowcount
        assert changed == 1


def wrong_with(bench: Bench, name: str, harm: Callable[[Any, Any], Any]) -> str | None:
    """What the oracle says of the second call after `harm`, which may give another outcome; the first one was right."""
    bench.restart()
    first, drawn = bench.draws(name)[:2]
    assert bench.check(name, first, bench.run(name, first)) is None
    outcome = bench.run(name, drawn)
    return bench.check(name, drawn, harm(drawn, outcome))


def where_of(bench: Bench, condition: str, drawn: Any) -> str:
    return condition.format(
        user=drawn.user_id, exam=drawn.exam_id, session=drawn.session_id, question=drawn.question_id, now=bench.now
    )


@pytest.mark.parametrize("name", WRITES)
def test_calls_that_are_right_are_let_pass(bench: Bench, name: str) -> None:
    bench.restart()
    for drawn in bench.draws(name) * 3:
        assert bench.check(name, drawn, bench.run(name, drawn)) is None


@pytest.mark.parametrize(("name", "table", "condition"), WRITTEN)
def test_each_wrong_value_in_a_row_written_is_seen(bench: Bench, name: str, table: str, condition: str) -> None:
    for column in columns(bench.path, table):
        if table == "questions" and column in FREE:
            continue

        def harm(drawn: Any, outcome: Any, column: str = column) -> Any:
            spoil(bench.path, table, where_of(bench, condition, drawn), column)
            return outcome

        assert wrong_with(bench, name, harm) is not None, column


@pytest.mark.parametrize("name", ["record_answer", "session_progress", "update_progress", "change"])
def test_each_wrong_value_that_is_returned_is_seen(bench: Bench, name: str) -> None:
    bench.restart()
    fields = bench.run(name, bench.draws(name)[1])._fields
    for field in fields:
        wrong = wrong_with(bench, name, lambda _, found, f=field: found._replace(**{f: bumped(getattr(found, f))}))
        assert wrong is not None, field
    for other in (None, (), 7):
        assert wrong_with(bench, name, lambda _, __, o=other: o) is not None, other


def test_a_wrong_id_or_anything_at_all_where_nothing_is_due_is_seen(bench: Bench) -> None:
    for wrong in (None, "7", lambda found: found + 1, lambda found: float(found)):
        change: Any = wrong if callable(wrong) else lambda _, w=wrong: w
        assert wrong_with(bench, "log_generation", lambda _, found, c=change: c(found)) is not None
    assert wrong_with(bench, "record_daily_metrics", lambda _, __: 1) is not None


def test_wrong_answers_of_a_batch_are_seen(bench: Bench) -> None:
    bench.restart()
    found = bench.run("record_answers_50", bench.draws("record_answers_50")[1])
    assert len(found) == BATCH
    harms: dict[str, Callable[[Any], Any]] = {
        "dropped": lambda rows: rows[:-1],
        "one too many": lambda rows: (*rows, rows[0]),
        "swapped": lambda rows: (rows[1], rows[0], *rows[2:]),
        "nothing": lambda _: None,
    }
    for what, _ in off_by_one_field(found[17]):
        name = what.split()[0]
        harms[what] = lambda rows, n=name: (
            *rows[:17],
            rows[17]._replace(**{n: bumped(getattr(rows[17], n))}),
            *rows[18:],
        )
    for what, harm in harms.items():
        assert wrong_with(bench, "record_answers_50", lambda _, rows, h=harm: h(rows)) is not None, what


STATISTICS = {
    "not counted": "total_attempts = total_attempts - 1",
    "counted twice": "total_attempts = total_attempts + 1",
    "right one too many": "correct_attempts = correct_attempts + 1",
    "right one too few": "correct_attempts = correct_attempts - 1",
    "mean too high": "avg_time_seconds = avg_time_seconds + 2",
    "mean too low": "avg_time_seconds = avg_time_seconds - 2",
    "no mean": "avg_time_seconds = NULL",
}


@pytest.mark.parametrize("what", STATISTICS)
@pytest.mark.parametrize("name", ["record_answer", "record_answers_50"])
def test_statistics_that_do_not_move_by_the_answers_are_seen(bench: Bench, name: str, what: str) -> None:
    def harm(_drawn: Any, found: Any) -> Any:
        answered = found[30] if isinstance(found[0], tuple) else found
        run_script(bench.path, f"UPDATE questions SET {STATISTICS[what]} WHERE id = {answered.question_id}")
        return found

    wrong = wrong_with(bench, name, harm)
    assert wrong is not None and ("attempts" in wrong or "avg_time_seconds" in wrong)


def test_a_mean_within_a_second_of_the_exact_one_is_right(bench: Bench) -> None:
    def seen(off: str) -> str | None:
        def harm(_drawn: Any, found: Any) -> Any:
            sql = f"UPDATE questions SET avg_time_seconds = avg_time_seconds {off} WHERE id = {found.question_id}"
            run_script(bench.path, sql)
            return found

        return wrong_with(bench, "record_answer", harm)

    # Rounded, the mean is off by up to a half: one second more is within the limit on one side, two on neither.
    assert seen("+ 0") is None
    assert None in (seen("+ 1"), seen("- 1"))


ROWS_AMISS = {
    "record_answer": (
        "DELETE FROM user_answers WHERE id = (SELECT max(id) FROM user_answers)",
        "INSERT INTO user_answers (user_id, question_id, selected_answer, is_correct) VALUES (1, 1, 'a', 1)",
    ),
    "record_answers_50": (
        "DELETE FROM user_answers WHERE id = (SELECT max(id) - 9 FROM user_answers)",
        "INSERT INTO user_answers (user_id, question_id, selected_answer, is_correct) VALUES (1, 1, 'a', 1)",
    ),
    "log_generation": (
        "DELETE FROM ai_generation_log WHERE id = (SELECT max(id) FROM ai_generation_log)",
        "INSERT INTO ai_generation_log (purpose, model) VALUES ('draft', 'm')",
    ),
    "change": (
        "DELETE FROM audit_log WHERE id = (SELECT max(id) FROM audit_log)",
        "INSERT INTO audit_log (action) VALUES ('question.update')",
    ),
    "record_daily_metrics": (
        "DELETE FROM growth_metrics WHERE date = (SELECT max(date) FROM growth_metrics)",
        "INSERT INTO growth_metrics (date) VALUES ('1999-12-31')",
        "UPDATE growth_metrics SET ai_costs = 7 WHERE date = (SELECT min(date) FROM growth_metrics)",
    ),
    "update_progress": ("DELETE FROM user_progress",),
    "session_progress": ("DELETE FROM study_sessions",),
}


@pytest.mark.parametrize("name", ROWS_AMISS)
def test_a_row_missing_or_too_many_is_seen(bench: Bench, name: str) -> None:
    for sql in ROWS_AMISS[name]:

        def harm(_drawn: Any, outcome: Any, sql: str = sql) -> Any:
            run_script(bench.path, sql)
            return outcome

        wrong = wrong_with(bench, name, harm)
        assert wrong is not None, sql
        assert " were written where " in wrong or name not in ("record_answer", "record_answers_50", "log_generation")


@pytest.mark.parametrize(
    ("name", "table"),
    [("record_answer", "user_answers"), ("log_generation", "ai_generation_log"), ("change", "audit_log")],
)
def test_a_row_that_is_written_twice_is_seen_also_where_the_second_is_returned(
    bench: Bench, name: str, table: str
) -> None:
    def harm(_drawn: Any, outcome: Any) -> Any:
        others = ", ".join(column for column in columns(bench.path, table) if column != "id")
        last = f"(SELECT max(id) FROM {table})"
        run_script(bench.path, f"INSERT INTO {table} ({others}) SELECT {others} FROM {table} WHERE id = {last}")
        return outcome + 1 if isinstance(outcome, int) else outcome._replace(id=outcome.id + 1)

    assert "2 " in (wrong_with(bench, name, harm) or "")


def test_a_change_without_its_entry_and_an_entry_without_its_change_are_seen(bench: Bench) -> None:
    def harm(drawn: Any, outcome: Any) -> Any:
        run_script(bench.path, f"UPDATE questions SET explanation = 'as it was' WHERE id = {drawn.question_id}")
        return outcome

    assert "explanation" in (wrong_with(bench, "change", harm) or "")


@pytest.mark.parametrize("name", WRITES)
def test_a_call_that_writes_nothing_is_seen(bench: Bench, name: str) -> None:
    """The outcome is the one that was due, but it stands nowhere."""
    bench.restart()
    first, drawn = bench.draws(name)[:2]
    bench.run(name, first)
    outcome = bench.run(name, drawn)
    bench.restart()
    assert bench.check(name, first, bench.run(name, first)) is None
    assert bench.check(name, drawn, outcome) is not None


def test_a_batch_may_answer_a_question_twice_and_one_that_was_answered_days_ago(bench: Bench) -> None:
    bench.restart()
    batch = bench.queries["record_answers_50"]
    found = [bench.run("record_answers_50", drawn) for drawn in batch.draws]
    numbers = [row.attempt_number for rows in found for row in rows]
    days = {row.days_since_last_seen for rows in found for row in rows}
    assert max(numbers) > 1 and None in days and 0 in days and max(day or 0 for day in days) > 1


@pytest.mark.parametrize("name", ["record_answer", "update_progress", "change"])
def test_rule_11_a_wrong_write_ends_the_case(bench: Bench, name: str) -> None:
    """A trigger of somebody's spoils what is written: the first call that is timed is an error, not a sample."""
    bench.restart()
    table, column = {"record_answer": ("user_answers", "time_spent_seconds"), "update_progress": ("user_progress",
                     "total_study_minutes"), "change": ("audit_log", "method")}[name]  # fmt: skip
    event = "UPDATE" if name == "update_progress" else "INSERT"
    spoiling(bench.path, event, table, column)
    cases = {case.name: case for case in benchmark_cases(bench.engine, profile="quick", seed=1)}
    clock = counting()
    timed = time_calls(replace(cases[name], warmup=0, n=60), clock=lambda: next(clock))
    assert timed.error is not None and column in timed.error
    bench.restart()


def spoiling(path: Path, event: str, table: str, column: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(
            f"CREATE TRIGGER spoil AFTER {event} ON {table} WHEN NEW.{column} IS NOT 3 "
            f"BEGIN UPDATE {table} SET {column} = 3 WHERE id = NEW.id; END"
        )
