"""The oracles of what only reads agree with every query on data of every shape, and see every wrong row."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from itertools import count as counting
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

import ptp.workload.oracles
from ptp.benchmark.latency import time_calls
from ptp.engine import open_engine
from ptp.engine.meters import recorded
from ptp.workload.cases import benchmark_cases, workload
from ptp.workload.limits import LIMITS_MS
from tests.workload.oracle_heads import (
    ODD,
    VARIED,
    Bench,
    migrated,
    off_by_one_field,
    run_script,
    wrong_order,
    wrong_rows,
)

Made = Callable[[str, str], Any]
DEMOS = ("raw-tiny", "drizzle-tiny", "raw-quick", "drizzle-quick")
ROWS = (
    "leaderboard", "recent_activity", "pending_opportunities", "growth_analytics", "net_followers", "ai_cost_summary",
    "question_analytics", "audit_trail", "change_history",
)  # fmt: skip
DRAWS = ("study_questions", "study_questions_filtered", "study_questions_speed_drill", "study_questions_weak_areas")
NUMBERS = ("rank", "weekly_activity", "current_streak")


@pytest.fixture(autouse=True)
def garbage_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before each case garbage is collected, which with all that the tests have loaded takes longer than the case."""
    monkeypatch.setattr("ptp.benchmark.latency.gc.collect", lambda: 0)


@pytest.fixture(scope="module")
def varied(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = migrated(made("drizzle", "tiny").path, tmp_path_factory.mktemp("varied") / "head.db")
    run_script(path, VARIED)
    return path


@pytest.fixture(scope="module")
def bench(varied: Path) -> Iterator[Bench]:
    """Only read from."""
    opened = Bench(varied)
    yield opened
    opened.engine.dispose()


@pytest.fixture
def own(varied: Path, tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Makes a bench on a copy of the test's own, changed by a script."""
    opened = []

    def make(script: str = "SELECT 1") -> Bench:
        path = tmp_path / f"head-{len(opened)}.db"
        path.write_bytes(varied.read_bytes())
        run_script(path, script)
        opened.append(Bench(path))
        return opened[-1]

    yield make
    for one in opened:
        one.engine.dispose()


def wrong_calls(engine: Engine, *, count: int) -> dict[str, str]:
    """What is wrong with `count` calls of each query that applies, by its name."""
    found = {}
    for query in workload(engine, count=count, seed=3):
        for drawn in () if query.not_applicable else query.draws:
            if wrong := query.check(drawn, query.run(drawn)):
                found[query.name] = wrong
                break
    return found


def most_rows(bench: Bench, name: str) -> tuple[Any, tuple[Any, ...]]:
    """The draw with the most rows, and these."""
    outcomes = [(drawn, bench.run(name, drawn)) for drawn in bench.draws(name)]
    return max(outcomes, key=lambda pair: len(getattr(pair[1], "questions", pair[1])))


@pytest.mark.parametrize("demo", DEMOS)
def test_every_oracle_agrees_with_its_query_on_data_of_either_shape(demo: str, made: Made, tmp_path: Path) -> None:
    shape, size = demo.split("-")
    engine = open_engine(migrated(made(shape, size).path, tmp_path / "head.db"))
    try:
        assert wrong_calls(engine, count=12) == {}
    finally:
        engine.dispose()


def test_every_query_applies_to_the_varied_head(bench: Bench) -> None:
    assert set(bench.queries) == set(LIMITS_MS)
    assert [name for name, query in bench.queries.items() if query.not_applicable] == []


@pytest.mark.parametrize("script", [ODD, ODD + "; DROP TABLE question_search"], ids=["odd", "without full text"])
def test_every_oracle_agrees_on_gaps_and_ties(own: Callable[..., Bench], script: str) -> None:
    assert wrong_calls(own(triggers_gone(script)).engine, count=30) == {}


def triggers_gone(script: str) -> str:
    names = [f"DROP TRIGGER question_search_{name}" for name in ("insert", "delete", "update")]
    return "; ".join([*names, script]) if "DROP TABLE question_search" in script else script


@pytest.mark.parametrize("name", ROWS)
def test_wrong_rows_of_a_list_are_seen(bench: Bench, name: str) -> None:
    drawn, rows = most_rows(bench, name)
    assert len(rows) > 1 and len(set(rows)) == len(rows)
    for what, wrong in (*wrong_rows(rows), *wrong_order(rows)):
        assert bench.check(name, drawn, wrong) is not None, what
        assert bench.check(name, drawn, rows) is None, what


@pytest.mark.parametrize("name", ["recent_activity", "change_history"])
def test_a_row_of_another_user_or_thing_is_seen(bench: Bench, name: str) -> None:
    drawn, rows = most_rows(bench, name)
    others = [row for other in bench.draws(name) for row in bench.run(name, other) if row not in rows]
    assert others
    assert bench.check(name, drawn, (*rows[:-1], others[0])) is not None


@pytest.mark.parametrize("name", DRAWS)
def test_wrong_rows_of_a_draw_are_seen(bench: Bench, name: str) -> None:
    drawn, rows = most_rows(bench, name)
    assert len(rows) == 20
    for what, wrong in wrong_rows(rows):
        assert bench.check(name, drawn, wrong) is not None, what
    assert bench.check(name, drawn, rows) is None


ASKED = {
    "inactive": ("UPDATE questions SET is_active = 0 WHERE id = {id}", "not active, approved"),
    "pending": ("UPDATE questions SET review_status = 'pending' WHERE id = {id}", "not active, approved"),
    "of another exam": (
        "UPDATE questions SET exam_id = 90, objective_id = 90 WHERE id = {id}",
        "not active, approved, and of the exam",
    ),
    "answered lately": (
        "INSERT INTO user_answers (user_id, question_id, selected_answer, is_correct, answered_at) "
        "VALUES ({user}, {id}, 'a', 1, {now} - 86399)",
        "answered by the user in the last 24 hours",
    ),
}


@pytest.mark.parametrize("kind", ASKED)
@pytest.mark.parametrize("name", DRAWS)
def test_a_question_that_may_not_be_drawn_is_seen(own: Callable[..., Bench], name: str, kind: str) -> None:
    """The database is changed after the draw, so that what was drawn was not to be."""
    bench = own()
    drawn, rows = most_rows(bench, name)
    sql, said = ASKED[kind]
    run_script(bench.path, sql.format(id=rows[7].id, user=drawn.user_id, now=bench.now))
    wrong = bench.check(name, drawn, rows)
    assert wrong is not None and f"question {rows[7].id} " in wrong and said in wrong


def test_an_answer_just_out_of_the_window_or_of_another_user_is_no_reason(own: Callable[..., Bench]) -> None:
    bench = own()
    drawn, rows = most_rows(bench, "study_questions")
    for user, ago in ((drawn.user_id, 86_400), (drawn.user_id % 20 + 1, 5)):
        sql, _ = ASKED["answered lately"]
        run_script(bench.path, sql.format(id=rows[7].id, user=user, now=bench.now).replace("86399", str(ago)))
        assert bench.check("study_questions", drawn, rows) is None


@pytest.mark.parametrize("what", ["difficulty = 1", "difficulty = 5", "difficulty = NULL", "objective_id = 3"])
def test_a_filter_that_is_not_kept_is_seen(own: Callable[..., Bench], what: str) -> None:
    bench = own()
    name = "study_questions_filtered"
    drawn, rows = most_rows(bench, name)
    assert bench.check(name, drawn, rows) is None and 3 not in drawn.objectives[:2]
    run_script(bench.path, f"UPDATE questions SET {what} WHERE id = {rows[7].id}")
    wrong = bench.check(name, drawn, rows)
    assert wrong is not None and f"question {rows[7].id} " in wrong and "filters" in wrong


def test_other_questions_than_the_easiest_or_weakest_are_seen(bench: Bench) -> None:
    for name in DRAWS[2:]:
        drawn, rows = most_rows(bench, name)
        plain = bench.run("study_questions", drawn)
        assert bench.check("study_questions", drawn, plain) is None
        assert bench.check(name, drawn, plain) is not None
        assert bench.check(name, drawn, rows[::-1]) is not None
        other = next(q for q in plain if q not in rows and q.difficulty != rows[-1].difficulty)
        assert bench.check(name, drawn, (*rows[:-1], other)) is not None


def test_the_weakest_come_before_those_that_nobody_answered(own: Callable[..., Bench]) -> None:
    script = "UPDATE questions SET total_attempts = 0, correct_attempts = 0 WHERE id % 25 > 0"
    bench = own(script)
    drawn, rows = most_rows(bench, "study_questions_weak_areas")
    rated = [q.total_attempts > 0 for q in rows]
    assert 2 < sum(rated) < 18 and rated == sorted(rated, reverse=True)
    check = bench.check
    assert check("study_questions_weak_areas", drawn, rows) is None
    assert check("study_questions_weak_areas", drawn, (rows[1], rows[0], *rows[2:])) is not None
    assert check("study_questions_weak_areas", drawn, (*rows[1:-1], rows[0], rows[-1])) is not None
    assert check("study_questions_weak_areas", drawn, (*rows[:-2], rows[-1], rows[-2])) is None  # by chance


def test_wrong_finds_of_a_search_are_seen(bench: Bench) -> None:
    drawn, found = most_rows(bench, "search_questions")
    rows = found.questions
    assert len(rows) == 20
    for what, wrong in (*wrong_rows(rows), *wrong_order(rows)):
        assert bench.check("search_questions", drawn, found._replace(questions=wrong)) is not None, what
    assert bench.check("search_questions", drawn, found._replace(by="scan")) is not None
    assert bench.check("search_questions", drawn, rows) is not None
    without = next(q for d in bench.draws("search_questions") for q in bench.run("search_questions", d).questions
                   if not all(word.lower() in f"{q.text} {q.explanation} {q.reference}".lower()
                              for word in drawn.words.split()))  # fmt: skip
    assert bench.check("search_questions", drawn, found._replace(questions=(*rows[:-1], without))) is not None
    assert bench.check("search_questions", drawn, found) is None


def test_a_search_that_misses_one_is_seen(bench: Bench) -> None:
    """Where all that hold the words are given, one fewer is one missed."""
    outcomes = [(d, bench.run("search_questions", d)) for d in bench.draws("search_questions")]
    few = [(d, found) for d, found in outcomes if 0 < len(found.questions) < 20]
    assert few
    for drawn, found in few:
        assert bench.check("search_questions", drawn, found) is None
        assert bench.check("search_questions", drawn, found._replace(questions=found.questions[1:])) is not None


@pytest.mark.parametrize("what", ["is_active = 0", "review_status = 'rejected'", "exam_id = 90, objective_id = 90"])
def test_a_find_that_may_not_be_studied_is_seen(own: Callable[..., Bench], what: str) -> None:
    bench = own()
    drawn, found = most_rows(bench, "search_questions")
    run_script(bench.path, f"UPDATE questions SET {what} WHERE id = {found.questions[3].id}")
    assert bench.check("search_questions", drawn, found) is not None


def test_each_wrong_field_of_a_users_progress_is_seen(bench: Bench) -> None:
    for drawn in bench.draws("user_progress")[:3]:
        found = bench.run("user_progress", drawn)
        for what, wrong in off_by_one_field(found):
            assert bench.check("user_progress", drawn, wrong) is not None, what
        assert bench.check("user_progress", drawn, found) is None


@pytest.mark.parametrize("name", NUMBERS)
def test_a_wrong_number_is_seen(bench: Bench, name: str) -> None:
    for drawn in bench.draws(name)[:5]:
        found = bench.run(name, drawn)
        for wrong in (found + 1, found - 1, None, float(found) + 0.5, str(found)):
            assert bench.check(name, drawn, wrong) is not None, wrong
        assert bench.check(name, drawn, found) is None


def test_a_week_is_seven_days_to_the_second(own: Callable[..., Bench]) -> None:
    bench = own()
    drawn = bench.draws("weekly_activity")[0]
    before = bench.run("weekly_activity", drawn)
    sql, _ = ASKED["answered lately"]
    for ago, more in ((604_800, 0), (604_799, 1)):
        script = sql.format(id=drawn.question_id, user=drawn.user_id, now=bench.now)
        run_script(bench.path, script.replace("86399", str(ago)))
        assert bench.check("weekly_activity", drawn, before + more) is None
        assert bench.check("weekly_activity", drawn, before + 1 - more) is not None


def test_numbers_may_differ_in_their_last_bits_only(bench: Bench) -> None:
    drawn, rows = most_rows(bench, "growth_analytics")
    assert rows[-1].mean_impressions
    for factor, is_right in ((1 + 1e-10, True), (1 - 1e-10, True), (1 + 1e-8, False)):
        row = rows[-1]._replace(mean_impressions=rows[-1].mean_impressions * factor)
        assert (bench.check("growth_analytics", drawn, (*rows[:-1], row)) is None) == is_right


def test_what_was_right_is_looked_at_again_once_something_was_written(own: Callable[..., Bench]) -> None:
    bench = own()
    for name, sql in (
        ("rank", "UPDATE user_progress SET readiness_score = readiness_score + 3 WHERE user_id <> {user}"),
        ("question_analytics", "UPDATE questions SET correct_attempts = correct_attempts + 1 WHERE id % 3 = 0"),
        ("growth_analytics", "UPDATE growth_metrics SET impressions = impressions + 1"),
    ):
        drawn = bench.draws(name)[0]
        found = bench.run(name, drawn)
        assert [bench.check(name, drawn, found) for _ in range(3)] == [None, None, None]
        run_script(bench.path, sql.format(user=drawn.user_id))
        assert bench.check(name, drawn, found) is not None
        assert bench.check(name, drawn, bench.run(name, drawn)) is None


DRIFTED = {
    "study_questions": "DELETE FROM question_cells WHERE difficulty > 1",
    "study_questions_filtered": "DELETE FROM question_cells WHERE difficulty IN (2, 3)",
    "study_questions_speed_drill": "DELETE FROM question_cells WHERE difficulty = 1",
    "study_questions_weak_areas": "DELETE FROM question_cells WHERE difficulty = 3",
    "search_questions": "INSERT INTO question_search (question_search) VALUES ('delete-all')",
    "rank": "UPDATE leaderboard_nodes SET users = users + 1",
    "ai_cost_summary": "UPDATE ai_cost_days SET cost_cents = cost_cents + 1",
}


@pytest.mark.parametrize("name", DRIFTED)
def test_a_derived_table_that_has_drifted_makes_the_query_wrong(own: Callable[..., Bench], name: str) -> None:
    """The oracles read none of them: what the tables say too much or too little is not believed."""
    bench = own(DRIFTED[name])
    assert any(bench.check(name, drawn, bench.run(name, drawn)) for drawn in bench.draws(name))


def test_oracles_share_no_code_with_the_queries_and_read_no_derived_table() -> None:
    folder = Path(ptp.workload.oracles.__file__).parent
    derived = re.compile(r"question_cells|question_pool|leaderboard_nodes|ai_cost_days|(FROM|JOIN) question_search")
    for path in folder.glob("*.py"):
        source = path.read_text()
        imported = [
            name
            for node in ast.walk(ast.parse(source))
            for name in (
                [node.module or ""] if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            )
        ]  # fmt: skip
        assert [name for name in imported if name.startswith(("ptp.queries", "ptp.schema"))] == [], path.name
        assert derived.findall(source) == [], path.name


def test_a_case_calls_the_query_alone_and_its_check_runs_nothing_through_the_engine(own: Callable[..., Bench]) -> None:
    bench, beside = own(), own()
    for case in benchmark_cases(bench.engine, profile="quick", seed=1):
        with recorded(bench.engine) as called:
            answered: Any = case.call()
        with recorded(bench.engine) as checked:
            assert case.check(answered) is None, case.name
        with recorded(beside.engine) as alone:
            beside.run(case.name, answered[0])
        assert [s.sql for s in called] == [s.sql for s in alone] != [], case.name
        assert checked == [], case.name


def test_a_check_after_the_engine_was_disposed_of_opens_the_file_again(own: Callable[..., Bench]) -> None:
    bench = own()
    for name in ("rank", "record_answer"):
        for drawn in bench.draws(name)[:3]:
            assert bench.check(name, drawn, bench.run(name, drawn)) is None
            bench.engine.dispose()
    assert [path.name for path in bench.path.parent.iterdir()] == [bench.path.name]


def test_rule_11_wrong_rows_fast_are_errors(own: Callable[..., Bench]) -> None:
    """The index of one leaderboard has drifted: however fast the rank comes, the first wrong one ends the case."""
    bench = own(DRIFTED["rank"])
    clock = counting()
    cases = {case.name: case for case in benchmark_cases(bench.engine, profile="quick", seed=1)}
    timed = time_calls(cases["rank"], clock=lambda: next(clock))
    assert timed.error is not None and timed.error.startswith("wrong outcome: ")
    assert timed.nanoseconds == ()
