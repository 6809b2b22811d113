"""What a call costs in VM steps and writes, counted by SQLite itself: exact, and the same on every machine."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from ptp.engine import open_engine
from ptp.engine.meters import count, recorded
from ptp.migration.steps import load_steps
from ptp.queries import NewAnswer, StudyQueries
from ptp.resources import folder

NOW = 1_750_000_000
HOUR = 3_600
OBJECTIVES = 7
RECENT = 500

FILL = """
    INSERT INTO exams (id, vendor_id, code, name) VALUES (1, 'v', 'E1', 'one');
    INSERT INTO users (id, email, name) VALUES (1, 'a@example.com', 'A'), (2, 'b@example.com', 'B');
    WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {objectives})
        INSERT INTO objectives (id, exam_id, code, name) SELECT i, 1, i, i FROM n;
    WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {questions})
        INSERT INTO questions (id, exam_id, objective_id, text, answers, difficulty, review_status, is_active,
                               total_attempts, correct_attempts)
        SELECT i, 1, 1 + i % {objectives}, 'Which of these is number ' || i || '?', '[]', 1 + i * 7 % 5,
               iif(i % 25 = 0, 'pending', 'approved'), i % 40 <> 0, i * 13 % 50, i * 13 % 50 * (i * 29 % 100) / 100 FROM n;
    INSERT INTO study_sessions (id, user_id, exam_id) VALUES (1, 1, 1);
    WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {recent})
        INSERT INTO user_answers (user_id, question_id, selected_answer, is_correct, answered_at)
        SELECT 2, 1 + i * ({questions} / {recent}) % {questions}, 'a', i % 2, {now} - i FROM n
"""  # fmt: skip


def exam_of(path: Path, questions: int) -> Path:
    """A head database with one exam, filled as a migration fills it: rows first, then what is derived from them."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        steps = [sql for step in load_steps(folder("sql")) for sql in step.up]
        db.execute("BEGIN")
        for sql in (s for s in steps if s.startswith("CREATE TABLE")):
            db.execute(sql)
        for sql in FILL.format(objectives=OBJECTIVES, questions=questions, recent=RECENT, now=NOW).split(";"):
            db.execute(sql)
        for sql in (s for s in steps if not s.startswith("CREATE TABLE")):
            db.execute(sql)
        db.execute("ANALYZE")
        db.execute("COMMIT")
    return path


def steps_of(path: Path, call: Callable[[Engine], Any]) -> int:
    engine = open_engine(path)
    try:
        with recorded(engine) as statements:
            found = call(engine)
    finally:
        engine.dispose()
    assert len(found) == 20
    return count(path, statements).vm_steps


def draw(user_id: int, **more: Any) -> Callable[[Engine], Any]:
    return lambda engine: StudyQueries(engine).study_questions(exam_id=1, user_id=user_id, now=NOW, seed=7, **more)


DRAWS: dict[str, Callable[[Engine], Any]] = {
    "no filter": draw(1),
    "two objectives, a range of difficulty, 500 recent answers": draw(
        2, objectives=(2, 5), min_difficulty=2, max_difficulty=4
    ),
    "500 recent answers": draw(2),
    "speed_drill": draw(2, mode="speed_drill"),
    "weak_areas": draw(1, mode="weak_areas"),
    "weak_areas of two objectives": draw(1, mode="weak_areas", objectives=(2, 5)),
}


@pytest.fixture(scope="module")
def exams(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    place = tmp_path_factory.mktemp("exams")
    return {n: exam_of(place / f"{n}.db", n) for n in (5_000, 50_000)}


@pytest.mark.parametrize("name", DRAWS)
def test_a_draw_costs_the_same_in_an_exam_of_ten_times_the_questions(exams: dict[int, Path], name: str) -> None:
    small, large = (steps_of(path, DRAWS[name]) for path in exams.values())
    assert abs(large - small) <= 0.1 * small, (small, large)


def test_20_questions_take_at_most_1500_steps(exams: dict[int, Path]) -> None:
    for path in exams.values():
        assert steps_of(path, DRAWS["no filter"]) <= 1_500
        assert steps_of(path, DRAWS["500 recent answers"]) <= 1_500


def written(db: sqlite3.Connection, sql: str, values: Any) -> list[str]:
    """The tables and indexes to which a statement's program inserts, from SQLite's own listing of it."""
    names = dict(db.execute("SELECT rootpage, name FROM sqlite_schema WHERE rootpage > 0").fetchall())
    program = db.execute(f"EXPLAIN {sql}", values).fetchall()
    cursors = {op[2]: names[op[3]] for op in program if op[1] == "OpenWrite"}
    return sorted({cursors[op[2]] for op in program if op[1] in ("Insert", "IdxInsert") and op[2] in cursors})


def test_an_answer_is_two_statements_and_eight_billed_writes(exams: dict[int, Path]) -> None:
    path = exams[5_000]
    answer = NewAnswer(user_id=1, question_id=3, selected_answer="a", is_correct=True, time_spent_seconds=9,
                       study_session_id=1)  # fmt: skip
    engine = open_engine(path)
    with recorded(engine) as statements:
        StudyQueries(engine).record_answer(answer, now=NOW)
    engine.dispose()
    assert len(statements) == 2
    with closing(sqlite3.connect(path)) as db:
        # SQLite finds the table of AUTOINCREMENT marks by other means, so it is looked for by name.
        insert, update = (written(db, s.sql, s.parameters) for s in statements)
        (mark,) = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'user_answers'").fetchone()
        assert mark == db.execute("SELECT max(id) FROM user_answers").fetchone()[0]
    of_the_answer = {"user_answers", "idx_answers_user_time", "idx_answers_question", "idx_answers_session",
                     "idx_answers_attempt", "idx_answers_request", "sqlite_sequence"}  # fmt: skip
    of_the_question = {"questions", "idx_questions_weak", "idx_questions_hardest"}
    assert set(insert) == of_the_answer and set(update) == of_the_question
    # An answer of a session that has no key is in no entry of the indexes by test and by key, which are partial.
    partial = {"idx_answers_attempt", "idx_answers_request"}
    assert len(of_the_answer - partial) + len(of_the_question) == 8 <= 9


@pytest.mark.torture
def test_a_draw_costs_the_same_among_a_million_questions(tmp_path: Path) -> None:
    paths = [exam_of(tmp_path / f"{n}.db", n) for n in (10_000, 1_000_000)]
    for name, call in DRAWS.items():
        small, large = (steps_of(path, call) for path in paths)
        print(f"{name}: {small:,} VM steps of 10,000 questions, {large:,} of 1,000,000")
        assert abs(large - small) <= 0.1 * small, name
