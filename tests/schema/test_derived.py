"""What the triggers keep is what its table says, after every kind of statement that changes that table.

The witness is plain Python: it reads the table, which no trigger writes, and works out what the derived rows must be.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from math import fsum
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.dialects import sqlite

from ptp.migration.steps import Step, load_steps
from ptp.resources import folder
from ptp.schema import AiGeneration, Base, Exam, Objective, Question, User, UserProgress
from tests.factories import Rows, values_of

STEPS = load_steps(folder("sql"))
DAY = 86_400
Row = dict[str, Any]


def open_head(steps: Sequence[Step] = STEPS, *, recursive: bool = True) -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA foreign_keys = ON")
    db.execute(f"PRAGMA recursive_triggers = {'ON' if recursive else 'OFF'}")
    go_up(db, steps)
    return db


def go_up(db: sqlite3.Connection, steps: Sequence[Step]) -> None:
    for step in steps:
        for sql in step.up:
            db.execute(sql)


def rows(db: sqlite3.Connection, table: str) -> list[Row]:
    return [dict(row) for row in db.execute(f"SELECT * FROM {table}")]


def add(db: sqlite3.Connection, table: str, **values: Any) -> None:
    db.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})", [*values.values()])


# The witnesses: what must be kept, and what is.


def expected_pool(db: sqlite3.Connection) -> set[tuple[int, int, int, int]]:
    return {
        (q["exam_id"], q["objective_id"], q["difficulty"] or 0, q["id"])
        for q in rows(db, "questions")
        if q["is_active"] == 1 and q["review_status"] == "approved"
    }


def pool(db: sqlite3.Connection) -> set[tuple[int, int, int, int]]:
    """The pool by question; its ranks must be dense, its sizes right, and no cell empty."""
    cells = {cell["id"]: cell for cell in rows(db, "question_cells")}
    ranks: dict[int, list[int]] = defaultdict(list)
    found = set()
    for row in rows(db, "question_pool"):
        cell, rank = divmod(row["slot"], 2**32)
        ranks[cell].append(rank)
        found.add((*(cells[cell][n] for n in ("exam_id", "objective_id", "difficulty")), row["question_id"]))
    assert {cell: sorted(held) for cell, held in ranks.items()} == {
        key: list(range(cell["size"])) for key, cell in cells.items()
    }
    return found


def expected_nodes(db: sqlite3.Connection) -> dict[tuple[int, int], int]:
    """Users by exam and stretch of readiness from 0 to 128, on six levels; exact, by fractions."""
    found: Counter[tuple[int, int]] = Counter()
    for row in rows(db, "user_progress"):
        if (row["total_questions_seen"] or 0) > 50:
            place = min(max(Fraction(row["readiness_score"] or 0) / 128, Fraction(0)), Fraction(262143, 262144))
            for stretches in (262144, 32768, 4096, 512, 64, 8):
                found[row["exam_id"], stretches + int(place * stretches)] += 1
    return dict(found)


def nodes(db: sqlite3.Connection) -> dict[tuple[int, int], int]:
    return {(row["exam_id"], row["node"]): row["users"] for row in rows(db, "leaderboard_nodes")}


def expected_days(db: sqlite3.Connection) -> dict[tuple[int, str, str], Any]:
    calls: dict[tuple[int, str, str], list[Row]] = defaultdict(list)
    for row in rows(db, "ai_generation_log"):
        if row["created_at"] is not None:
            calls[row["created_at"] // DAY, row["purpose"], row["model"]].append(row)
    found = {}
    for key, held in calls.items():
        costs = [row["cost_cents"] for row in held if row["cost_cents"] is not None]
        judged = [row["success"] for row in held if row["success"] is not None]
        near = pytest.approx(fsum(costs), rel=1e-12, abs=1e-6)
        found[key] = {"calls": len(held), "priced": len(costs), "cost_cents": near, "judged": len(judged),
                      "succeeded": sum(judged)}  # fmt: skip
    return found


def days(db: sqlite3.Connection) -> dict[tuple[int, str, str], Any]:
    return {(row.pop("day"), row.pop("purpose"), row.pop("model")): row for row in rows(db, "ai_cost_days")}


def check_index(db: sqlite3.Connection) -> None:
    """FTS5's own check against the questions; it raises where an entry is missing, too much or of other words."""
    db.execute("INSERT INTO question_search (question_search, rank) VALUES ('integrity-check', 1)")


def shadows(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
    """The bytes of the full-text index."""
    tables = [r["name"] for r in rows(db, "sqlite_schema") if r["name"].startswith("question_search_")]
    tables = [name for name in tables if "CREATE TABLE" in db.execute(
        "SELECT sql FROM sqlite_schema WHERE name = ?", (name,)).fetchone()[0]]  # fmt: skip
    assert len(tables) >= 3
    return [(name, *tuple(row)) for name in sorted(tables) for row in db.execute(f"SELECT * FROM {name}")]


def count_writes(db: sqlite3.Connection, *tables: str) -> None:
    """Let every row that is written to these tables be noted in `temp.writes`."""
    db.execute("CREATE TEMP TABLE writes (what TEXT)")
    for table in tables:
        for event in ("INSERT", "UPDATE", "DELETE"):
            db.execute(f"CREATE TEMP TRIGGER note_{table}_{event} AFTER {event} ON main.{table} "
                       f"BEGIN INSERT INTO writes VALUES ('{event} {table}'); END")  # fmt: skip


def writes(db: sqlite3.Connection) -> list[str]:
    return [row[0] for row in db.execute("SELECT what FROM temp.writes")]


# The pool of questions and the full-text index.


@pytest.fixture(params=[True, False], ids=["recursive", "not recursive"])
def db(request: pytest.FixtureRequest) -> Iterator[sqlite3.Connection]:
    with closing(open_head(recursive=request.param)) as made:
        fill(made)
        yield made


@pytest.fixture
def head() -> Iterator[sqlite3.Connection]:
    with closing(open_head()) as made:
        fill(made)
        yield made


def fill(db: sqlite3.Connection) -> None:
    """Two exams with two objectives each; questions 1 to 5 in one cell, 6 to 9 in others, 10 to 13 in none."""
    for exam in (1, 2):
        add(db, "exams", id=exam, vendor_id="v", code=f"E{exam}", name="n")
    for objective, exam in ((1, 1), (2, 1), (3, 2), (4, 2)):
        add(db, "objectives", id=objective, exam_id=exam, code="1", name="n", parent_id=1 if objective == 2 else None)
    for user in (1, 2, 3, 4):
        add(db, "users", id=user, email=f"u{user}@example.com", name="n")
    cells = [(1, 1, 3, 1, "approved")] * 5
    cells += [(1, 1, None, 1, "approved"), (1, 2, 3, 1, "approved"), (2, 3, 3, 1, "approved"), (2, 3, 5, 1, "approved")]
    cells += [(1, 1, 3, 0, "approved"), (1, 1, 3, None, "approved"), (1, 1, 3, 1, "pending"), (2, 3, 1, 1, None)]
    for key, (exam, objective, level, active, status) in enumerate(cells, start=1):
        add(db, "questions", id=key, exam_id=exam, objective_id=objective, difficulty=level, is_active=active,
            review_status=status, text=f"word{key} common", answers="[]", explanation=None if key % 2 else "because")  # fmt: skip


NEW = "(id, exam_id, objective_id, difficulty, is_active, review_status, text, answers) VALUES"
QUESTION_CHANGES = {
    "an eligible question is added": f"INSERT INTO questions {NEW} (NULL, 1, 1, 3, 1, 'approved', 'new', '[]')",
    "one of a new cell is added": f"INSERT INTO questions {NEW} (NULL, 2, 4, 2, 1, 'approved', 'new', '[]')",
    "one without difficulty is added": f"INSERT INTO questions {NEW} (NULL, 1, 1, NULL, 1, 'approved', 'new', '[]')",
    "an id is left out below others": f"INSERT INTO questions {NEW} (-4, 1, 1, 3, 1, 'approved', 'new', '[]')",
    "many are added at once": f"INSERT INTO questions {NEW} (90, 1, 1, 3, 1, 'approved', 'a', '[]'),"
    " (91, 1, 1, 3, 1, 'pending', 'b', '[]'), (92, 2, 4, 3, 1, 'approved', 'c', '[]')",
    "a level is changed": "UPDATE questions SET difficulty = 5 WHERE id = 2",
    "a level is taken away": "UPDATE questions SET difficulty = NULL WHERE id = 2",
    "a level is given": "UPDATE questions SET difficulty = 3 WHERE id = 6",
    "an objective is changed": "UPDATE questions SET objective_id = 2 WHERE id = 1",
    "an exam is changed": "UPDATE questions SET exam_id = 2 WHERE id = 5",
    "one is put away": "UPDATE questions SET is_active = 0 WHERE id = 3",
    "one is active no longer known": "UPDATE questions SET is_active = NULL WHERE id = 3",
    "one is brought back": "UPDATE questions SET is_active = 1 WHERE id IN (10, 11)",
    "one is approved": "UPDATE questions SET review_status = 'approved' WHERE id IN (12, 13)",
    "one is rejected": "UPDATE questions SET review_status = 'rejected' WHERE id = 1",
    "a status is taken away": "UPDATE questions SET review_status = NULL WHERE id = 1",
    "an id is changed": "UPDATE questions SET id = 77 WHERE id = 2",
    "all ids are changed": "UPDATE questions SET id = -id",
    "id and cell are changed together": "UPDATE questions SET id = 78, difficulty = 1, objective_id = 2 WHERE id = 4",
    "all are changed": "UPDATE questions SET exam_id = 3 - exam_id, difficulty = nullif(6 - difficulty, 3)",
    "all are put away": "UPDATE questions SET is_active = 0",
    "all are approved and active": "UPDATE questions SET is_active = 1, review_status = 'approved'",
    "an update replaces another": "UPDATE OR REPLACE questions SET id = 3 WHERE id = 7",
    "one is replaced in its cell": f"REPLACE INTO questions {NEW} (3, 1, 1, 3, 1, 'approved', 'new', '[]')",
    "the last of a cell is replaced": f"REPLACE INTO questions {NEW} (5, 1, 1, 3, 1, 'approved', 'new', '[]')",
    "one is replaced in another cell": f"INSERT OR REPLACE INTO questions {NEW} (1, 2, 3, 3, 1, 'approved', 'n', '[]')",
    "the only one of a cell is replaced": f"REPLACE INTO questions {NEW} (7, 1, 1, 3, 1, 'approved', 'n', '[]')",
    "one is replaced by a pending one": f"REPLACE INTO questions {NEW} (3, 1, 1, 3, 1, 'pending', 'n', '[]')",
    "a pending one is replaced": f"REPLACE INTO questions {NEW} (12, 1, 1, 3, 1, 'approved', 'n', '[]')",
    "many are replaced": "INSERT OR REPLACE INTO questions (id, exam_id, objective_id, difficulty, review_status, text,"
    " answers) SELECT id, 2, 4, id % 3 + 1, iif(id % 2, 'approved', 'pending'), 'new', '[]' FROM questions",
    "one there is is ignored": f"INSERT OR IGNORE INTO questions {NEW} (3, 2, 4, 1, 1, 'approved', 'n', '[]')",
    "one there is is ignored beside a new one": f"INSERT OR IGNORE INTO questions {NEW} (3, 2, 4, 1, 1, 'approved',"
    " 'n', '[]'), (93, 2, 4, 1, 1, 'approved', 'n', '[]')",
    "an upsert adds": f"INSERT INTO questions {NEW} (94, 2, 4, 1, 1, 'approved', 'n', '[]')"
    " ON CONFLICT (id) DO UPDATE SET difficulty = 1",
    "an upsert changes": f"INSERT INTO questions {NEW} (3, 2, 4, 1, 1, 'approved', 'n', '[]')"
    " ON CONFLICT (id) DO UPDATE SET difficulty = excluded.difficulty, text = excluded.text",
    "an upsert does nothing": f"INSERT INTO questions {NEW} (3, 2, 4, 1, 1, 'approved', 'n', '[]') ON CONFLICT DO NOTHING",
    "the first of a cell is deleted": "DELETE FROM questions WHERE id = 1",
    "the last of a cell is deleted": "DELETE FROM questions WHERE id = 5",
    "the only one of a cell is deleted": "DELETE FROM questions WHERE id = 7",
    "a pending one is deleted": "DELETE FROM questions WHERE id = 12",
    "all are deleted": "DELETE FROM questions",
    "an exam is deleted": "DELETE FROM exams WHERE id = 1",
    "all exams are deleted": "DELETE FROM exams",
    "an objective is deleted": "DELETE FROM objectives WHERE id = 3",
    "an objective with children is deleted": "DELETE FROM objectives WHERE id = 1",
    "an exam is replaced": "REPLACE INTO exams (id, vendor_id, code, name) VALUES (1, 'v', 'E1', 'again')",
}
UNCHANGED = {"one there is is ignored", "an upsert does nothing", "a pending one is deleted"}


@pytest.mark.parametrize("what", QUESTION_CHANGES)
def test_the_pool_is_what_may_be_drawn_after(db: sqlite3.Connection, what: str) -> None:
    before = pool(db)
    assert before == expected_pool(db)
    db.execute(QUESTION_CHANGES[what])
    assert pool(db) == expected_pool(db)
    replaced_alike = what in ("one is replaced in its cell", "the last of a cell is replaced")
    assert (pool(db) == before) is (what in UNCHANGED or replaced_alike)


@pytest.mark.parametrize("what", QUESTION_CHANGES)
def test_the_full_text_index_is_that_of_the_questions_after(head: sqlite3.Connection, what: str) -> None:
    check_index(head)
    head.execute(QUESTION_CHANGES[what])
    check_index(head)
    found = {
        row["rowid"] for row in head.execute("SELECT rowid FROM question_search WHERE question_search MATCH 'common'")
    }
    assert found == {row["id"] for row in rows(head, "questions") if "common" in row["text"]}


def test_the_check_of_the_index_sees_an_entry_that_is_wrong(head: sqlite3.Connection) -> None:
    head.execute("DROP TRIGGER question_search_update")
    head.execute("UPDATE questions SET text = 'other' WHERE id = 1")
    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        check_index(head)


def test_statements_after_one_another_keep_the_pool(db: sqlite3.Connection) -> None:
    for sql in QUESTION_CHANGES.values():
        db.execute("SAVEPOINT s")
        try:
            db.execute(sql)
        except sqlite3.IntegrityError:  # what one deleted, another cannot put a question into
            db.execute("ROLLBACK TO s")
        db.execute("RELEASE s")
        assert pool(db) == expected_pool(db), sql


def test_what_is_rolled_back_leaves_the_pool_as_it_was(db: sqlite3.Connection) -> None:
    for what, sql in QUESTION_CHANGES.items():
        before = [rows(db, table) for table in ("question_cells", "question_pool")]
        db.execute("BEGIN")
        db.execute(sql)
        db.execute("ROLLBACK")
        assert [rows(db, table) for table in ("question_cells", "question_pool")] == before, what


POOL_COLUMNS = {"id", "exam_id", "objective_id", "difficulty", "is_active", "review_status"}
SEARCHED_COLUMNS = {"id", "text", "explanation", "reference", "exam_id"}
OTHER_VALUES = {"id": 50, "exam_id": 2, "objective_id": 2, "reviewed_by": 1, "is_active": 0, "difficulty": 4,
                "review_status": "rejected", "type": "hotspot"}  # fmt: skip


def another(column: Any) -> Any:
    by_kind = {"integer": 9, "time": 9, "boolean": 1, "real": 0.5, "text": "other words", "json": '{"a": 1}'}
    return OTHER_VALUES.get(column.name, by_kind[column.info["conversion"].kind])


@pytest.mark.parametrize("column", list(Question.__table__.columns), ids=lambda column: column.name)
def test_an_update_of_a_column_touches_what_follows_from_it_and_nothing_else(
    head: sqlite3.Connection, column: Any
) -> None:
    count_writes(head, "question_pool", "question_cells")
    before = shadows(head)
    head.execute(f"UPDATE questions SET {column.name} = ? WHERE id = 2", (another(column),))
    assert head.execute(f"SELECT count(*) FROM questions WHERE {column.name} = ?", (another(column),)).fetchone()[0]
    assert bool(writes(head)) is (column.name in POOL_COLUMNS)
    assert (shadows(head) != before) is (column.name in SEARCHED_COLUMNS)
    assert pool(head) == expected_pool(head)
    check_index(head)


@pytest.mark.parametrize("change", [
    "difficulty = difficulty", "exam_id = exam_id, objective_id = objective_id, is_active = is_active", "id = id",
    "review_status = review_status", "text = 'other'", "total_attempts = 9, correct_attempts = 3",
])  # fmt: skip
def test_an_update_that_changes_nothing_of_the_pool_does_not_write_it(db: sqlite3.Connection, change: str) -> None:
    count_writes(db, "question_pool", "question_cells")
    db.execute(f"UPDATE questions SET {change}")
    assert writes(db) == []


def test_one_that_may_not_be_drawn_changes_its_level_without_a_write_of_rows(db: sqlite3.Connection) -> None:
    count_writes(db, "question_pool", "question_cells")
    db.execute("UPDATE questions SET difficulty = 4 WHERE id = 12")
    db.execute("UPDATE questions SET is_active = NULL WHERE id = 10")
    assert writes(db) == []


def test_who_leaves_a_cell_moves_one_other_at_most(db: sqlite3.Connection) -> None:
    """However large the cell: the last takes the place, so the work does not grow."""
    for key in range(100, 400):
        add(
            db,
            "questions",
            id=key,
            exam_id=1,
            objective_id=1,
            difficulty=3,
            review_status="approved",
            text="t",
            answers="[]",
        )
    count_writes(db, "question_pool", "question_cells")
    db.execute("DELETE FROM questions WHERE id = 2")
    assert Counter(writes(db)) == {"UPDATE question_cells": 1, "UPDATE question_pool": 2, "DELETE question_pool": 1}


# The leaderboard.


@pytest.fixture
def board() -> Iterator[sqlite3.Connection]:
    with closing(open_head()) as made:
        fill(made)
        for user, (exam, readiness, seen) in enumerate(
            ((1, 0.5, 51), (1, 0.5, 80), (1, 1.0, 90), (2, None, 60)), start=1
        ):
            add(made, "user_progress", user_id=user, exam_id=exam, readiness_score=readiness, total_questions_seen=seen)
        for user, (readiness, seen) in enumerate(((0.4, 50), (0.2, None), (-3.0, 70)), start=1):
            add(made, "user_progress", user_id=user, exam_id=2, readiness_score=readiness, total_questions_seen=seen)
        yield made


PUT = "INTO user_progress (user_id, exam_id, readiness_score, total_questions_seen) VALUES"
PROGRESS_CHANGES = {
    "one who stands is added": f"INSERT {PUT} (4, 1, 0.9, 51)",
    "one who does not stand is added": f"INSERT {PUT} (4, 1, 0.9, 50)",
    "one without a count is added": f"INSERT {PUT} (4, 1, 0.9, NULL)",
    "one without readiness is added": f"INSERT {PUT} (4, 1, NULL, 99)",
    "one above all is added": f"INSERT {PUT} (4, 1, 7.5, 99)",
    "readiness rises within its stretch": "UPDATE user_progress SET readiness_score = 0.50001 WHERE user_id = 1 AND exam_id = 1",
    "readiness rises a lot": "UPDATE user_progress SET readiness_score = 0.99 WHERE user_id = 1 AND exam_id = 1",
    "readiness falls below zero": "UPDATE user_progress SET readiness_score = -1 WHERE user_id = 1 AND exam_id = 1",
    "readiness is taken away": "UPDATE user_progress SET readiness_score = NULL WHERE user_id = 1 AND exam_id = 1",
    "readiness is given": "UPDATE user_progress SET readiness_score = 0.125 WHERE user_id = 4",
    "one comes to stand": "UPDATE user_progress SET total_questions_seen = 51 WHERE user_id = 1 AND exam_id = 2",
    "one with no count comes to stand": "UPDATE user_progress SET total_questions_seen = 51 WHERE user_id = 2",
    "one stands no more": "UPDATE user_progress SET total_questions_seen = 50 WHERE user_id = 3",
    "a count is taken away": "UPDATE user_progress SET total_questions_seen = NULL WHERE user_id = 3",
    "one goes to another exam": "UPDATE user_progress SET exam_id = 1 WHERE user_id = 4",
    "all of it changes at once": "UPDATE user_progress SET exam_id = 1, readiness_score = 0.3, total_questions_seen = 52"
    " WHERE user_id = 4",
    "an id is changed": "UPDATE user_progress SET id = id + 100",
    "a user is changed": "UPDATE user_progress SET user_id = 4 WHERE user_id = 1 AND exam_id = 1",
    "one is replaced": f"REPLACE {PUT} (1, 1, 0.7, 60)",
    "one is replaced by who does not stand": f"REPLACE {PUT} (1, 1, 0.7, 5)",
    "one that is there is ignored": f"INSERT OR IGNORE {PUT} (1, 1, 0.7, 60)",
    "an upsert changes": f"INSERT {PUT} (1, 1, 0.7, 60) ON CONFLICT (user_id, exam_id) DO UPDATE SET"
    " readiness_score = excluded.readiness_score",
    "an upsert adds": f"INSERT {PUT} (4, 1, 0.7, 60) ON CONFLICT (user_id, exam_id) DO UPDATE SET readiness_score = 1",
    "an update replaces another": "UPDATE OR REPLACE user_progress SET exam_id = 1 WHERE user_id = 3 AND exam_id = 2",
    "one is deleted": "DELETE FROM user_progress WHERE user_id = 1 AND exam_id = 1",
    "the last of a stretch is deleted": "DELETE FROM user_progress WHERE user_id = 3 AND exam_id = 1",
    "all are deleted": "DELETE FROM user_progress",
    "a user is deleted": "DELETE FROM users WHERE id = 1",
    "an exam is deleted": "DELETE FROM exams WHERE id = 2",
    "an exam is replaced": "REPLACE INTO exams (id, vendor_id, code, name) VALUES (1, 'v', 'E1', 'again')",
}
NO_NODE_CHANGES = {
    "one who does not stand is added", "one without a count is added", "one that is there is ignored",
    "an id is changed", "a user is changed", "readiness rises within its stretch",
}  # fmt: skip


@pytest.mark.parametrize("what", PROGRESS_CHANGES)
def test_the_leaderboard_counts_who_stands_on_it_after(board: sqlite3.Connection, what: str) -> None:
    before = nodes(board)
    assert before == expected_nodes(board)
    board.execute(PROGRESS_CHANGES[what])
    assert nodes(board) == expected_nodes(board)
    assert (nodes(board) == before) is (what in NO_NODE_CHANGES)


@pytest.mark.parametrize("change", [
    "readiness_score = readiness_score, exam_id = exam_id", "overall_accuracy = 0.1, total_correct = 5",
    "total_questions_seen = total_questions_seen + (total_questions_seen > 50)", "updated_at = 7",
])  # fmt: skip
def test_an_update_that_moves_nobody_does_not_write_the_leaderboard(board: sqlite3.Connection, change: str) -> None:
    count_writes(board, "leaderboard_nodes")
    board.execute(f"UPDATE user_progress SET {change}")
    assert writes(board) == []


@pytest.mark.parametrize("column", list(UserProgress.__table__.columns), ids=lambda column: column.name)
def test_an_update_of_a_column_of_progress_keeps_the_leaderboard(board: sqlite3.Connection, column: Any) -> None:
    values = {"id": 50, "user_id": 4, "exam_id": 2, "last_study_date": "2025-01-01", "last_test_date": "2025-01-01"}
    value = values.get(column.name, another(column) if column.info["conversion"].kind != "date" else None)
    board.execute(f"UPDATE OR REPLACE user_progress SET {column.name} = ? WHERE user_id = 3 AND exam_id = 1", (value,))
    assert nodes(board) == expected_nodes(board)


@pytest.mark.parametrize(
    "readiness", [0.0, 1.0, 0.5, 1 / 3, 99.99, 2**-11, 2**-12, 64 - 2**-40, 128 - 2**-11, 128.0, 5e-324, 1e300, -1e300]
)
def test_every_readiness_has_its_stretch(board: sqlite3.Connection, readiness: float) -> None:
    board.execute("UPDATE user_progress SET readiness_score = ? WHERE user_id = 2 AND exam_id = 1", (readiness,))
    assert nodes(board) == expected_nodes(board)


# The days of AI cost.

NOON = 20_000 * DAY + DAY // 2


@pytest.fixture
def log() -> Iterator[sqlite3.Connection]:
    with closing(open_head()) as made:
        fill(made)
        calls = (("draft", "m1", 1.5, 1, NOON), ("draft", "m1", 0.1, 0, 20_000 * DAY), ("draft", "m1", None, None, NOON + 1),
                 ("draft", "m2", 2.0, 1, NOON), ("review", "m1", 3.0, 1, NOON), ("draft", "m1", 4.0, 1, 20_001 * DAY),
                 ("draft", "m1", 9.0, 1, None), ("draft", "m3", 0.0, 0, 0))  # fmt: skip
        for key, (purpose, model, cents, success, at) in enumerate(calls, start=1):
            add(made, "ai_generation_log", id=key, purpose=purpose, model=model, cost_cents=cents, success=success,
                created_at=at, exam_id=1, objective_id=1, user_id=1)  # fmt: skip
        yield made


CALL = "INTO ai_generation_log (id, purpose, model, cost_cents, success, created_at) VALUES"
CALL_CHANGES = {
    "one is added": f"INSERT {CALL} (NULL, 'draft', 'm1', 5, 1, {NOON})",
    "one of a new day is added": f"INSERT {CALL} (NULL, 'draft', 'm1', 5, 1, {NOON - DAY})",
    "the first second of a day is added": f"INSERT {CALL} (NULL, 'draft', 'm1', 5, 1, {20_001 * DAY})",
    "the last second of a day is added": f"INSERT {CALL} (NULL, 'draft', 'm1', 5, 1, {20_001 * DAY - 1})",
    "one without time is added": f"INSERT {CALL} (NULL, 'draft', 'm1', 5, 1, NULL)",
    "one without cost and success is added": f"INSERT {CALL} (NULL, 'draft', 'm1', NULL, NULL, {NOON})",
    "a cost is changed": "UPDATE ai_generation_log SET cost_cents = 7.25 WHERE id = 1",
    "a cost is taken away": "UPDATE ai_generation_log SET cost_cents = NULL WHERE id = 1",
    "a success is changed": "UPDATE ai_generation_log SET success = 1 WHERE id = 2",
    "a success is taken away": "UPDATE ai_generation_log SET success = NULL WHERE id = 1",
    "a purpose is changed": "UPDATE ai_generation_log SET purpose = 'review' WHERE id = 1",
    "a model is changed": "UPDATE ai_generation_log SET model = 'm9' WHERE id = 4",
    "a time is changed within its day": f"UPDATE ai_generation_log SET created_at = {NOON + 9} WHERE id = 1",
    "a time is changed": f"UPDATE ai_generation_log SET created_at = {NOON + DAY} WHERE id = 1",
    "a time is taken away": "UPDATE ai_generation_log SET created_at = NULL WHERE id = 6",
    "a time is given": f"UPDATE ai_generation_log SET created_at = {NOON} WHERE id = 7",
    "all of it is changed": "UPDATE ai_generation_log SET purpose = 'x', model = 'y', cost_cents = 1, created_at = 5",
    "an id is changed": "UPDATE ai_generation_log SET id = id + 100",
    "one is replaced": f"REPLACE {CALL} (1, 'review', 'm1', 5, 1, {NOON + DAY})",
    "the only one of a day is replaced": f"REPLACE {CALL} (6, 'draft', 'm1', 5, 0, {NOON})",
    "one without time is replaced": f"REPLACE {CALL} (7, 'draft', 'm1', 5, 0, {NOON})",
    "one that is there is ignored": f"INSERT OR IGNORE {CALL} (1, 'x', 'y', 5, 0, {NOON})",
    "an upsert changes": f"INSERT {CALL} (1, 'x', 'y', 5, 0, {NOON}) ON CONFLICT DO UPDATE SET cost_cents = 6",
    "one is deleted": "DELETE FROM ai_generation_log WHERE id = 1",
    "the only one of a day is deleted": "DELETE FROM ai_generation_log WHERE id = 6",
    "one without time is deleted": "DELETE FROM ai_generation_log WHERE id = 7",
    "all are deleted": "DELETE FROM ai_generation_log",
    "exam and user are deleted": "DELETE FROM exams",
}
NO_DAY_CHANGES = {
    "one without time is added", "a time is changed within its day", "an id is changed", "one that is there is ignored",
    "one without time is deleted", "exam and user are deleted",
}  # fmt: skip


@pytest.mark.parametrize("what", CALL_CHANGES)
def test_the_days_hold_what_the_log_says_after(log: sqlite3.Connection, what: str) -> None:
    before = days(log)
    assert before == expected_days(log)
    log.execute(CALL_CHANGES[what])
    found = days(log)
    assert found == expected_days(log)
    assert (found == before) is (what in NO_DAY_CHANGES)


def test_a_day_that_is_counted_anew_gives_back_the_very_sum(log: sqlite3.Connection) -> None:
    """Sums of REAL do not subtract: 0.1 + 1e15 - 1e15 is not 0.1."""
    before = days(log)
    log.execute(f"INSERT {CALL} (99, 'draft', 'm1', 1e17, 1, {NOON})")
    log.execute("DELETE FROM ai_generation_log WHERE id = 99")
    assert days(log) == before


@pytest.mark.parametrize("column", list(AiGeneration.__table__.columns), ids=lambda column: column.name)
def test_an_update_of_a_column_of_the_log_keeps_the_days(log: sqlite3.Connection, column: Any) -> None:
    values = {"id": 50, "exam_id": 2, "objective_id": 2, "user_id": 2}
    count_writes(log, "ai_cost_days")
    log.execute(
        f"UPDATE ai_generation_log SET {column.name} = ? WHERE id = 2", (values.get(column.name, another(column)),)
    )
    assert days(log) == expected_days(log)
    counted = {"purpose", "model", "cost_cents", "success", "created_at"}
    assert bool(writes(log)) is (column.name in counted)


# Filling at once, and row by row.


@pytest.mark.parametrize("seed", range(4))
def test_a_step_on_a_filled_database_and_the_triggers_row_by_row_give_the_same(seed: int) -> None:
    made = random_rows(seed)
    with closing(open_head(STEPS[:2])) as filled, closing(open_head()) as grown:
        for db in (filled, grown):
            for row in made:
                table = Base.metadata.tables[str(row.__tablename__)]
                values = values_of(row)
                db.execute(str(insert(table).values(values).compile(dialect=sqlite.dialect())), [*values.values()])
        go_up(filled, STEPS[2:])
        assert pool(filled) == pool(grown) == expected_pool(filled)
        assert nodes(filled) == nodes(grown) == expected_nodes(filled)
        near = expected_days(filled)
        assert days(filled) == near
        assert days(grown) == near
        check_index(filled)
        check_index(grown)
        for word in ("DNS", "users", "naive", "VLAN", "table NOT routes"):
            found = [{row["rowid"] for row in db.execute(
                "SELECT rowid FROM question_search WHERE question_search MATCH ?", (word,))} for db in (filled, grown)]  # fmt: skip
            assert found[0] == found[1]
            assert found[0]
        assert len(pool(filled)) > 40
        assert len(nodes(filled)) > 20
        assert len(near) > 20


def random_rows(seed: int) -> list[Base]:
    """Factories' rows of the tables with triggers, crowded into few exams, levels, stretches and days."""
    rows, made = Rows(seed), []
    exams = [rows.new(Exam) for _ in range(3)]
    objectives = [rows.new(Objective, exam_id=exams[place % 3].id) for place in range(6)]
    users = [rows.new(User) for _ in range(40)]
    made += [*exams, *objectives, *users]
    counts = itertools.cycle((51, 50, None, 300, 0, 49, 52))
    for place in range(220):
        objective = objectives[place % 6]
        status = {"review_status": "approved"} if place % 2 else {}
        made.append(rows.new(Question, exam_id=objective.exam_id, objective_id=objective.id, **status))
    for user in users:
        for exam in exams:
            seen = next(counts)
            made.append(rows.new(UserProgress, user_id=user.id, exam_id=exam.id, total_questions_seen=seen))
    for place in range(120):
        made.append(
            rows.new(AiGeneration, purpose="draft", model=f"m{place % 3}", created_at=(place % 11) * DAY + place)
        )
    return made
