"""Ten thousand random operations on one database, and a plain Python model of its tables that does the same.

The model holds dicts and lists and knows no SQL, no cell, no slot, no node and no index. Whatever the queries give is
compared with it again and again; what the triggers keep is compared with the model's rows, counted from scratch.
"""

from __future__ import annotations

import copy
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from math import fsum
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from ptp.engine import atomic
from ptp.errors import UsageError
from ptp.queries import AnalyticsQueries, NewAnswer, NewGeneration, ProgressQueries, StudyQueries, searching

OPERATIONS = 10_000
COMPARED_EVERY = 3
COUNTED_EVERY = 250
START = 1_750_000_000
HOUR, DAY, WEEK = 3_600, 86_400, 604_800

WORDS = ("router", "routers", "switch", "vlan", "dns", "tcp", "443", "subnet", "and", "near", "or", "not", "cloud9")
BETWEEN = (" ", " ", " ", ", ", "; ", " - ", '" ', "' ", "* ", ": ", " (", ") ", "\n")
STATUSES = ("approved", "approved", "approved", "pending", "rejected", "needs_revision", None)
# Also the ends of the stretches into which the leaderboard is cut, and what lies just below them.
READINESS = (
    *(None, -0.5, 0.0, 0.3, 0.5, 0.5 - 2**-11, 0.5 - 2**-12, 0.5 - 2**-40, 0.9, 1.0, 12345 / 32768),
    *(64.0, 64 - 2**-11, 64 - 2**-12, 64 - 2**-40, 100.0, 128 - 2**-11, 128 - 2**-12, 128.0, 150.0),
)
Row = dict[str, Any]


@dataclass
class Model:
    """The tables as plain rows by id; `now` is the time of the next operation."""

    exams: set[int] = field(default_factory=set)
    objectives: dict[int, Row] = field(default_factory=dict)
    users: set[int] = field(default_factory=set)
    questions: dict[int, Row] = field(default_factory=dict)
    answers: dict[int, Row] = field(default_factory=dict)
    progress: dict[int, Row] = field(default_factory=dict)
    calls: dict[int, Row] = field(default_factory=dict)
    now: int = START

    def delete_question(self, key: int) -> None:
        del self.questions[key]
        self.answers = {k: a for k, a in self.answers.items() if a["question_id"] != key}

    def delete_objective(self, key: int) -> None:
        del self.objectives[key]
        for child in [k for k, o in self.objectives.items() if o["parent_id"] == key]:
            if child in self.objectives:
                self.delete_objective(child)
        for question in [k for k, q in self.questions.items() if q["objective_id"] == key]:
            self.delete_question(question)

    def delete_exam(self, key: int) -> None:
        self.exams.remove(key)
        for question in [k for k, q in self.questions.items() if q["exam_id"] == key]:
            self.delete_question(question)
        for objective in [k for k, o in self.objectives.items() if o["exam_id"] == key]:
            if objective in self.objectives:
                self.delete_objective(objective)
        self.progress = {k: p for k, p in self.progress.items() if p["exam_id"] != key}

    def delete_user(self, key: int) -> None:
        self.users.remove(key)
        self.answers = {k: a for k, a in self.answers.items() if a["user_id"] != key}
        self.progress = {k: p for k, p in self.progress.items() if p["user_id"] != key}

    def may_be_drawn(self) -> Iterator[tuple[int, Row]]:
        return ((k, q) for k, q in self.questions.items() if q["is_active"] == 1 and q["review_status"] == "approved")


class World:
    """A database, its model, and chance."""

    def __init__(self, head: Any, seed: int) -> None:
        self.head, self.engine = head, head.engine
        self.model = Model()
        self.chance = random.Random(seed)
        self.numbers = iter(range(1, 10**9))

    def a_text(self) -> str:
        words = self.chance.choices(WORDS, k=self.chance.randint(1, 5))
        cased = (self.chance.choice((w, w.upper(), w.title())) for w in words)
        return "".join(word + self.chance.choice(BETWEEN) for word in cased)

    def one_of(self, keys: Iterable[int]) -> int:
        """One of them, of the first three in every second case: then much meets in one place."""
        found = sorted(keys)
        return self.chance.choice(found[:3] if self.chance.random() < 0.5 else found)

    def maybe(self, value: Any, *, none: float = 0.2) -> Any:
        return None if self.chance.random() < none else value

    def a_question(self) -> Row:
        total = self.chance.choice((None, 0, 0, 4, 4, 12, 20, 40))
        right = None if total is None else self.maybe(self.chance.choice((0, total // 4, total // 2, total)), none=0.05)
        return {
            "exam_id": self.one_of(self.model.exams),
            "objective_id": self.one_of(self.model.objectives),
            "difficulty": self.chance.choice((None, 1, 2, 3, 3, 3, 3, 4, 5)),
            "is_active": self.chance.choice((1, 1, 1, 1, 0, None)),
            "review_status": self.chance.choice(STATUSES),
            "text": self.a_text(),
            "explanation": self.maybe(self.a_text()),
            "reference": self.maybe(self.a_text(), none=0.5),
            "total_attempts": total,
            "correct_attempts": right,
            "avg_time_seconds": self.chance.choice((None, 0, 30, 95)),
            "times": [],
        }


def stored(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in ("times", "began")}


def run(db: Connection, sql: str, **values: Any) -> int:
    return int(db.execute(text(sql), values).lastrowid or 0)


def write(db: Connection, verb: str, table: str, row: Row) -> int:
    names = ", ".join(row)
    return run(db, f"{verb} INTO {table} ({names}) VALUES ({', '.join(':' + n for n in row)})", **row)


# Operations in a transaction that the caller ends: each changes the database and the model alike.


def insert_question(world: World, db: Connection) -> None:
    """One, or some of one cell and success rate with ids that follow each other."""
    row = {**world.a_question(), "answers": "[]"}
    for _ in range(world.chance.choice((1, 1, 1, 3))):
        world.model.questions[write(db, "INSERT", "questions", stored(row))] = begun(row)


def begun(row: Row) -> Row:
    """With what the source knew of times: so many attempts of so many seconds each."""
    attempts, mean = row["total_attempts"] or 0, row["avg_time_seconds"] or 0
    return {**row, "began": (attempts, attempts * mean), "times": []}


def replace_question(world: World, db: Connection) -> None:
    row = {**world.a_question(), "answers": "[]"}
    key = world.chance.choice(sorted(world.model.questions))
    verb = world.chance.choice(("INSERT OR REPLACE", "REPLACE", "INSERT OR IGNORE"))
    write(db, verb, "questions", {"id": key, **stored(row)})
    if verb != "INSERT OR IGNORE":
        world.model.delete_question(key)
        world.model.questions[key] = begun(row)


def upsert_question(world: World, db: Connection) -> None:
    row = {**world.a_question(), "answers": "[]"}
    key = world.chance.choice(sorted(world.model.questions))
    names = ("objective_id", "difficulty", "is_active", "review_status", "text")
    sets = ", ".join(f"{n} = excluded.{n}" for n in names)
    given = {"id": key, **stored(row)}
    marks = ", ".join(":" + n for n in given)
    run(
        db,
        f"INSERT INTO questions ({', '.join(given)}) VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {sets}",
        **given,
    )
    world.model.questions[key].update({n: row[n] for n in names})


def delete_question(world: World, db: Connection) -> None:
    key = world.chance.choice(sorted(world.model.questions))
    run(db, "DELETE FROM questions WHERE id = :key", key=key)
    world.model.delete_question(key)


def change_question(world: World, db: Connection) -> None:
    """One to three columns of one question, so that objective, exam, difficulty, status and texts all come up."""
    key = world.chance.choice(sorted(world.model.questions))
    row = world.a_question()
    names = world.chance.sample(
        ("exam_id", "objective_id", "difficulty", "is_active", "review_status", "text", "explanation", "reference"),
        world.chance.choice((1, 1, 2, 3)),
    )
    change = {name: row[name] for name in names}
    run(db, f"UPDATE questions SET {', '.join(f'{n} = :{n}' for n in change)} WHERE id = :key", key=key, **change)
    world.model.questions[key].update(change)


def change_many_questions(world: World, db: Connection) -> None:
    low, high = world.chance.randint(1, 5), world.chance.choice((None, 1, 2, 3, 4, 5))
    exam = world.one_of(world.model.exams)
    run(db, "UPDATE questions SET difficulty = :high WHERE exam_id = :exam AND difficulty = :low",
        exam=exam, low=low, high=high)  # fmt: skip
    for row in world.model.questions.values():
        if row["exam_id"] == exam and row["difficulty"] == low:
            row["difficulty"] = high


def change_question_id(world: World, db: Connection) -> None:
    key = world.chance.choice(sorted(world.model.questions))
    new = max(world.model.questions) + world.chance.randint(1, 3)
    if any(a["question_id"] == key for a in world.model.answers.values()):
        with pytest.raises(IntegrityError, match="FOREIGN KEY"), db.begin_nested():
            run(db, "UPDATE questions SET id = :new WHERE id = :key", new=new, key=key)
    else:
        run(db, "UPDATE questions SET id = :new WHERE id = :key", new=new, key=key)
        world.model.questions[new] = world.model.questions.pop(key)


def insert_exam(world: World, db: Connection) -> None:
    number = next(world.numbers)
    exam = run(db, "INSERT INTO exams (vendor_id, code, name) VALUES ('v', :code, 'n')", code=f"E{number}")
    world.model.exams.add(exam)
    for _ in range(3):
        insert_objective(world, db, exam)


def insert_objective(world: World, db: Connection, exam: int | None = None) -> None:
    row = {
        "exam_id": exam or world.one_of(world.model.exams),
        "parent_id": world.maybe(world.chance.choice([None, *sorted(world.model.objectives)]), none=0.6),
    }
    world.model.objectives[write(db, "INSERT", "objectives", {**row, "code": "1", "name": "n"})] = row


def insert_user(world: World, db: Connection) -> None:
    email = f"u{next(world.numbers)}@example.com"
    world.model.users.add(run(db, "INSERT INTO users (email, name) VALUES (:email, 'n')", email=email))


def delete_exam(world: World, db: Connection) -> None:
    if len(world.model.exams) > 3:
        key = world.one_of(world.model.exams)
        run(db, "DELETE FROM exams WHERE id = :key", key=key)
        world.model.delete_exam(key)
    else:
        insert_exam(world, db)
    refill(world, db)


def delete_objective(world: World, db: Connection) -> None:
    key = world.one_of(world.model.objectives)
    run(db, "DELETE FROM objectives WHERE id = :key", key=key)
    world.model.delete_objective(key)
    refill(world, db)


def refill(world: World, db: Connection) -> None:
    """So that there is always something to work on."""
    while len(world.model.objectives) < 8:
        insert_objective(world, db)
    while len(world.model.questions) < 150:
        insert_question(world, db)


def delete_user(world: World, db: Connection) -> None:
    if len(world.model.users) > 18:
        key = world.one_of(world.model.users)
        run(db, "DELETE FROM users WHERE id = :key", key=key)
        world.model.delete_user(key)
    else:
        insert_user(world, db)


def insert_answer(world: World, db: Connection) -> None:
    """As a source brings it: at any time or none, without touching the statistics."""
    age = world.chance.choice((0, 5, 5, 23 * HOUR, DAY, DAY + 1, WEEK - 1, WEEK, 30 * DAY))
    row = {
        "user_id": world.one_of(world.model.users),
        "question_id": world.one_of(world.model.questions),
        "is_correct": world.chance.choice((0, 1, 1)),
        "answered_at": world.maybe(world.model.now - age, none=0.1),
    }
    world.model.answers[write(db, "INSERT", "user_answers", {**row, "selected_answer": "a"})] = row


def delete_answer(world: World, db: Connection) -> None:
    if world.model.answers:
        key = world.chance.choice(sorted(world.model.answers))
        run(db, "DELETE FROM user_answers WHERE id = :key", key=key)
        del world.model.answers[key]


def a_progress(world: World) -> Row:
    readiness = world.chance.choice((*READINESS, world.chance.random(), world.chance.uniform(0, 100)))
    return {
        "readiness_score": readiness,
        "overall_accuracy": world.chance.choice((None, 0.0, 0.5, 0.5, 0.75)),
        "total_questions_seen": world.chance.choice((None, 0, 50, 51, 51, 80, 300)),
    }


def put_progress(world: World, db: Connection) -> None:
    """Inserted, or in the place of what stands there for the user and the exam: REPLACE by a unique key."""
    user, exam = world.one_of(world.model.users), world.one_of(world.model.exams)
    row = {"user_id": user, "exam_id": exam, **a_progress(world)}
    key = write(db, "INSERT OR REPLACE", "user_progress", row)
    kept = {k: p for k, p in world.model.progress.items() if (p["user_id"], p["exam_id"]) != (user, exam)}
    world.model.progress = {**kept, key: {**row, "total_correct": 0}}


def change_progress(world: World, db: Connection) -> None:
    if not world.model.progress:
        return put_progress(world, db)
    key, row = world.chance.choice(sorted(world.model.progress.items()))
    change = dict(world.chance.sample(sorted(a_progress(world).items()), world.chance.randint(1, 3)))
    exam = world.one_of(world.model.exams)
    if (row["user_id"], exam) not in {(p["user_id"], p["exam_id"]) for p in world.model.progress.values()}:
        change["exam_id"] = exam
    run(db, f"UPDATE user_progress SET {', '.join(f'{n} = :{n}' for n in change)} WHERE id = :key", key=key, **change)
    return row.update(change)


def delete_progress(world: World, db: Connection) -> None:
    if world.model.progress:
        key = world.chance.choice(sorted(world.model.progress))
        run(db, "DELETE FROM user_progress WHERE id = :key", key=key)
        del world.model.progress[key]


def a_call(world: World) -> Row:
    return {
        "purpose": world.chance.choice(("draft", "review")),
        "model": world.chance.choice(("m1", "m2", "m3")),
        "cost_cents": world.maybe(world.chance.choice((0.0, 0.1, 12.5, world.chance.uniform(0, 99)))),
        "success": world.chance.choice((None, 0, 1, 1)),
        "created_at": world.maybe(world.model.now - world.chance.randint(0, 40) * DAY, none=0.1),
    }


def put_call(world: World, db: Connection) -> None:
    row = a_call(world)
    key = world.chance.choice([max(world.model.calls, default=0) + 1, *world.model.calls][:30])
    write(db, "INSERT OR REPLACE", "ai_generation_log", {"id": key, **row})
    world.model.calls[key] = row


def change_call(world: World, db: Connection) -> None:
    if not world.model.calls:
        return put_call(world, db)
    key, row = world.chance.choice(sorted(world.model.calls.items(), key=lambda item: item[0]))
    change = dict(world.chance.sample(sorted(a_call(world).items()), world.chance.randint(1, 3)))
    run(
        db,
        f"UPDATE ai_generation_log SET {', '.join(f'{n} = :{n}' for n in change)} WHERE id = :key",
        key=key,
        **change,
    )
    return row.update(change)


def delete_call(world: World, db: Connection) -> None:
    if world.model.calls:
        key = world.chance.choice(sorted(world.model.calls))
        run(db, "DELETE FROM ai_generation_log WHERE id = :key", key=key)
        del world.model.calls[key]


IN_A_TRANSACTION: dict[Callable[[World, Connection], None], int] = {
    insert_question: 7, replace_question: 6, upsert_question: 3, delete_question: 9, change_question: 24,
    change_many_questions: 2, change_question_id: 3, insert_exam: 1, insert_objective: 1, insert_user: 2,
    delete_exam: 1, delete_objective: 1, delete_user: 2, insert_answer: 8, delete_answer: 5, put_progress: 6,
    change_progress: 8, delete_progress: 3, put_call: 6, change_call: 4, delete_call: 4,
}  # fmt: skip


# Operations by the public methods, which begin and end their own transactions.


def an_answer(world: World) -> NewAnswer:
    return NewAnswer(
        user_id=world.one_of(world.model.users),
        question_id=world.chance.choice(sorted(world.model.questions)),
        selected_answer="a",
        is_correct=world.chance.random() < 0.6,
        time_spent_seconds=world.chance.choice((0, 1, 30, world.chance.randint(0, 900))),
    )


def record(world: World) -> None:
    queries = StudyQueries(world.engine)
    given = [an_answer(world) for _ in range(world.chance.choice((1, 1, 1, 2, 9)))]
    single = len(given) == 1 and world.chance.random() < 0.7
    now = world.model.now
    made = (queries.record_answer(given[0], now=now),) if single else queries.record_answers(given, now=now)
    for answer, entry in zip(given, made, strict=True):
        earlier = sum(
            (a["user_id"], a["question_id"]) == (answer.user_id, answer.question_id)
            for a in world.model.answers.values()
        )
        assert (entry.user_id, entry.question_id, entry.attempt_number) == (
            answer.user_id, answer.question_id, earlier + 1)  # fmt: skip
        world.model.answers[entry.id] = {
            "user_id": answer.user_id, "question_id": answer.question_id, "is_correct": int(answer.is_correct),
            "answered_at": now,
        }  # fmt: skip
        question = world.model.questions[answer.question_id]
        question["total_attempts"] = (question["total_attempts"] or 0) + 1
        question["correct_attempts"] = (question["correct_attempts"] or 0) + int(answer.is_correct)
        question["times"].append(answer.time_spent_seconds)


def record_with_a_mistake(world: World) -> None:
    good = an_answer(world)
    bad = NewAnswer(user_id=10**9, question_id=good.question_id, selected_answer="a", is_correct=True,
                    time_spent_seconds=1)  # fmt: skip
    with pytest.raises(UsageError, match="There is no user with id 1000000000"):
        StudyQueries(world.engine).record_answers([good, bad], now=world.model.now)


def update_progress(world: World) -> None:
    user, exam = world.one_of(world.model.users), world.one_of(world.model.exams)
    seen = world.chance.choice((0, 1, 30))
    correct = world.chance.randint(0, seen)
    made = ProgressQueries(world.engine).update_progress(
        user_id=user, exam_id=exam, questions_seen=seen, correct=correct, now=world.model.now
    )
    found = [p for p in world.model.progress.values() if (p["user_id"], p["exam_id"]) == (user, exam)]
    if not found:
        (row,) = world.head.rows("SELECT max(id) AS id FROM user_progress")
        # The readiness of who begins is 0, as the table has it.
        found = [
            {"user_id": user, "exam_id": exam, "readiness_score": 0.0, "total_questions_seen": 0, "total_correct": 0}
        ]
        world.model.progress[row["id"]] = found[0]
    (own,) = found
    own["total_questions_seen"] = (own["total_questions_seen"] or 0) + seen
    own["total_correct"] += correct
    total = own["total_questions_seen"]
    own["overall_accuracy"] = own["total_correct"] / total if total else None
    assert (made.total_questions_seen, made.total_correct, made.overall_accuracy) == (
        total, own["total_correct"], own["overall_accuracy"])  # fmt: skip


def log_call(world: World) -> None:
    row = {**a_call(world), "success": world.chance.choice((0, 1)), "created_at": world.model.now}
    given = {name: row[name] for name in ("purpose", "model", "cost_cents")}
    new = NewGeneration(**given, success=bool(row["success"]))
    key = AnalyticsQueries(world.engine).log_generation(new, now=world.model.now)
    assert key not in world.model.calls
    world.model.calls[key] = row


BY_A_METHOD: dict[Callable[[World], None], int] = {
    record: 18,
    record_with_a_mistake: 2,
    update_progress: 6,
    log_call: 4,
}


def step(world: World) -> str:
    """One random operation; one of twelve transactions is rolled back, with up to four operations in it."""
    world.model.now += world.chance.choice((0, 0, 1, 60, 600, HOUR))
    chosen = [*IN_A_TRANSACTION, *BY_A_METHOD]
    weights = [*IN_A_TRANSACTION.values(), *BY_A_METHOD.values()]
    (operation,) = world.chance.choices(chosen, weights)
    if operation in BY_A_METHOD:
        operation(world)  # type: ignore[call-arg]
        return operation.__name__
    if world.chance.random() < 1 / 12:
        roll_back(world)
        return "roll_back"
    with atomic(world.engine) as db:
        operation(world, db)
        refill(world, db)
    return operation.__name__


class _TakenBackError(Exception):
    pass


def roll_back(world: World) -> None:
    kept = copy.deepcopy(world.model)
    with pytest.raises(_TakenBackError), atomic(world.engine) as db:
        for operation in world.chance.choices([*IN_A_TRANSACTION], k=world.chance.randint(1, 4)):
            operation(world, db)
        raise _TakenBackError
    world.model = kept


# What the queries must give, from the model.


def rate(question: Row) -> float | None:
    total, right = question["total_attempts"], question["correct_attempts"]
    return right / total if total and right is not None else None


def answered_lately(world: World, user: int, since: int) -> set[int]:
    answers = (a for a in world.model.answers.values() if a["user_id"] == user and a["answered_at"] is not None)
    return {a["question_id"] for a in answers if a["answered_at"] > since}


def compare_draws(world: World) -> None:
    model, chance = world.model, world.chance
    exam, user, now = world.one_of(model.exams), world.one_of(model.users), model.now
    hours = chance.choice((0, 1, 24, 24, 24 * 40))
    timed = [a for a in model.answers.values() if a["answered_at"] is not None]
    if timed and chance.random() < 0.5:  # the very second at which an answer is recent no more
        answer = chance.choice(timed)
        user, exam = answer["user_id"], model.questions[answer["question_id"]]["exam_id"]
        now = answer["answered_at"] + hours * HOUR
    chosen = world.maybe(chance.sample(sorted(model.objectives), 3), none=0.6)
    low, high = chance.choice((None, None, 1, 2, 3)), chance.choice((None, None, 3, 4, 5))
    lately = answered_lately(world, user, now - hours * HOUR)
    eligible = {}
    for key, question in model.may_be_drawn():
        level = question["difficulty"]
        in_range = (low is None and high is None) or (level is not None and (low or 1) <= level <= (high or 5))
        of_objective = chosen is None or question["objective_id"] in chosen
        if question["exam_id"] == exam and in_range and of_objective and key not in lately:
            eligible[key] = question
    for mode in ("practice", "review", "speed_drill", "weak_areas", "custom"):
        limit = chance.choice((1, 2, 5, 20, 500))
        found = StudyQueries(world.engine).study_questions(
            exam_id=exam, user_id=user, limit=limit, objectives=chosen, min_difficulty=low, max_difficulty=high,
            exclude_answered_hours=hours, mode=mode, now=now, seed=chance.randrange(10**6),  # type: ignore[arg-type]
        )  # fmt: skip
        keys = [question.id for question in found]
        assert len(keys) == len(set(keys)) == min(limit, len(eligible)), mode
        assert set(keys) <= set(eligible), mode
        assert [q.text for q in found] == [eligible[key]["text"] for key in keys]
        if mode == "speed_drill":
            levels = [question["difficulty"] or 6 for question in eligible.values()]
            assert [q.difficulty or 6 for q in found] == sorted(levels)[:limit]
        if mode == "weak_areas":
            rated = sorted((rate(q), key) for key, q in eligible.items() if rate(q) is not None)  # type: ignore[type-var]
            assert keys[: len(rated)] == [key for _, key in rated][:limit]


def compare_statistics(world: World) -> None:
    rows = world.head.rows("SELECT * FROM questions")
    assert {row["id"] for row in rows} == set(world.model.questions)
    for row in rows:
        model = world.model.questions[row["id"]]
        same = ("total_attempts", "correct_attempts", "exam_id", "objective_id", "difficulty", "text")
        assert [row[name] for name in same] == [model[name] for name in same]
        if model["times"]:
            attempts, seconds = model["began"]
            exact = Fraction(seconds + sum(model["times"]), attempts + len(model["times"]))
            assert abs(row["avg_time_seconds"] - exact) <= 1
        else:
            assert row["avg_time_seconds"] == model["avg_time_seconds"]


def compare_tables(world: World) -> None:
    """The rows themselves, by all columns that the model knows."""
    for table, rows in (
        ("user_answers", world.model.answers),
        ("user_progress", world.model.progress),
        ("ai_generation_log", world.model.calls),
        ("objectives", world.model.objectives),
    ):
        found = {row["id"]: row for row in world.head.rows(f"SELECT * FROM {table}")}
        assert {key: {name: found[key][name] for name in row} for key, row in rows.items()} == rows, table
        assert set(found) == set(rows), table


def compare_analytics(world: World) -> None:
    exam, limit = world.one_of(world.model.exams), world.chance.choice((3, 500))
    found = AnalyticsQueries(world.engine).question_analytics(exam_id=exam, limit=limit)
    rows = [(key, q) for key, q in world.model.questions.items() if q["exam_id"] == exam]
    many = [(key, q) for key, q in rows if (q["total_attempts"] or 0) > 10]
    # An unknown rate comes first, as NULL does in SQLite.
    many.sort(key=lambda item: (-1.0 if rate(item[1]) is None else rate(item[1]), item[0]))
    assert [(q.question_id, q.success_rate) for q in found] == [(key, rate(q)) for key, q in many][:limit]


def in_exam(world: World, user: int, exam: int) -> list[tuple[int, Row]]:
    questions = world.model.questions
    return [(k, a) for k, a in world.model.answers.items()
            if a["user_id"] == user and questions[a["question_id"]]["exam_id"] == exam]  # fmt: skip


def weekly(world: World, user: int, exam: int, now: int) -> int:
    times = [a["answered_at"] for _, a in in_exam(world, user, exam)]
    return sum(at is not None and at > now - WEEK for at in times)


def compare_activity(world: World) -> None:
    queries = ProgressQueries(world.engine)
    exam, user = world.one_of(world.model.exams), world.one_of(world.model.users)
    streak = 0
    for _, answer in sorted(in_exam(world, user, exam), key=lambda i: (i[1]["answered_at"] or -1, i[0])):
        streak = streak + 1 if answer["is_correct"] else 0
    assert queries.current_streak(user_id=user, exam_id=exam) == streak
    times = [a["answered_at"] for _, a in in_exam(world, user, exam) if a["answered_at"] is not None]
    for now in (world.model.now, *(at + WEEK for at in times[:2])):  # also when the week of an answer has just ended
        assert queries.weekly_activity(user_id=user, exam_id=exam, now=now) == weekly(world, user, exam, now)


def compare_standings(world: World) -> None:
    exam, limit = world.one_of(world.model.exams), world.chance.choice((1, 3, 500))

    def falling(value: float | None) -> tuple[bool, float]:
        return value is None, -(value or 0.0)

    standing = [p for p in world.model.progress.values() if p["exam_id"] == exam]
    standing = [p for p in standing if (p["total_questions_seen"] or 0) > 50]
    standing.sort(key=lambda p: (falling(p["readiness_score"]), falling(p["overall_accuracy"]), p["user_id"]))
    queries = ProgressQueries(world.engine)
    found = queries.leaderboard(exam_id=exam, limit=limit, now=world.model.now)
    assert [(s.rank, s.user_id, s.readiness_score, s.overall_accuracy, s.weekly_activity) for s in found] == [
        (
            place,
            p["user_id"],
            p["readiness_score"],
            p["overall_accuracy"],
            weekly(world, p["user_id"], exam, world.model.now),
        )
        for place, p in enumerate(standing[:limit], start=1)
    ]
    ranks = {p["user_id"]: place for place, p in enumerate(standing, start=1)}
    for user in sorted(world.model.users):
        assert queries.rank(user_id=user, exam_id=exam) == ranks.get(user)


def compare_costs(world: World) -> None:
    days, today = world.chance.choice((1, 7, 30, 400)), world.model.now // DAY
    model: dict[tuple[str, str], list[Row]] = {}
    for call in world.model.calls.values():
        if call["created_at"] is not None and today - days < call["created_at"] // DAY <= today:
            model.setdefault((call["purpose"], call["model"]), []).append(call)
    found = AnalyticsQueries(world.engine).ai_cost_summary(days=days, now=world.model.now)
    assert {(c.purpose, c.model) for c in found} == set(model)
    assert [c.cost_dollars for c in found] == sorted((c.cost_dollars for c in found), reverse=True)
    for cost in found:
        calls = model[cost.purpose, cost.model]
        cents = [call["cost_cents"] for call in calls if call["cost_cents"] is not None]
        judged = [call["success"] for call in calls if call["success"] is not None]
        assert cost.calls == len(calls)
        assert cost.cost_dollars == pytest.approx(fsum(cents) / 100, abs=1e-9)
        assert cost.mean_cost_dollars == (pytest.approx(fsum(cents) / 100 / len(cents), abs=1e-9) if cents else None)
        assert cost.success_rate == (sum(judged) / len(judged) if judged else None)


def compare_searches(world: World) -> None:
    words = world.chance.sample(WORDS, world.chance.choice((1, 1, 2, 3)))
    exam = world.maybe(world.one_of(world.model.exams), none=0.5)
    limit = world.chance.choice((2, 500))
    by_word, by_part = set(), set()
    for key, question in world.model.may_be_drawn():
        if exam is None or question["exam_id"] == exam:
            held = " ".join((question["text"], question["explanation"] or "", question["reference"] or "")).lower()
            if set(words) <= set(re.findall(r"\w+", held)):
                by_word.add(key)
            if all(word in held for word in words):
                by_part.add(key)
    queries = StudyQueries(world.engine)
    asked = world.chance.choice((" ", ' "', ", ")).join(world.chance.choice((w, w.upper())) for w in words)
    found = queries.search_questions(asked, exam_id=exam, limit=limit)
    keys = [question.id for question in found.questions]
    assert found.by == "fts5"
    assert len(keys) == len(set(keys)) == min(limit, len(by_word))
    assert set(keys) <= by_word
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searching, "_has_index", lambda _: False)
        found = queries.search_questions(asked, exam_id=exam, limit=limit)
    assert (found.by, [q.id for q in found.questions]) == ("scan", sorted(by_part, reverse=True)[:limit])


COMPARISONS = (
    compare_draws,
    compare_statistics,
    compare_analytics,
    compare_activity,
    compare_standings,
    compare_costs,
    compare_searches,
    compare_draws,
    compare_tables,
)


# What the triggers keep, from scratch.


def compare_kept(world: World) -> None:
    compare_pool(world)
    compare_nodes(world)
    compare_days(world)
    assert_index_is_whole(world.engine)


def compare_pool(world: World) -> None:
    cells = {row["id"]: row for row in world.head.rows("SELECT * FROM question_cells")}
    ranks: dict[int, list[int]] = defaultdict(list)
    found = set()
    for row in world.head.rows("SELECT * FROM question_pool"):
        cell, place = divmod(row["slot"], 2**32)
        ranks[cell].append(place)
        found.add((cells[cell]["exam_id"], cells[cell]["objective_id"], cells[cell]["difficulty"], row["question_id"]))
    assert found == {
        (q["exam_id"], q["objective_id"], q["difficulty"] or 0, key) for key, q in world.model.may_be_drawn()
    }
    assert {cell: sorted(places) for cell, places in ranks.items()} == {
        cell: list(range(row["size"])) for cell, row in cells.items()
    }


def compare_nodes(world: World) -> None:
    """Level by level: 262,144 stretches of 0 to 128, then each eight of them as one; above and below, the ends."""
    expected: Counter[tuple[int, int]] = Counter()
    for row in world.model.progress.values():
        if (row["total_questions_seen"] or 0) > 50:
            place = min(max(Fraction(row["readiness_score"] or 0) / 128, Fraction(0)), Fraction(262143, 262144))
            for stretches in (262144, 32768, 4096, 512, 64, 8):
                expected[row["exam_id"], stretches + int(place * stretches)] += 1
    rows = world.head.rows("SELECT * FROM leaderboard_nodes")
    assert {(row["exam_id"], row["node"]): row["users"] for row in rows} == dict(expected)


def compare_days(world: World) -> None:
    expected: dict[tuple[int, str, str], list[Row]] = {}
    for call in world.model.calls.values():
        if call["created_at"] is not None:
            expected.setdefault((call["created_at"] // DAY, call["purpose"], call["model"]), []).append(call)
    rows = {(r["day"], r["purpose"], r["model"]): r for r in world.head.rows("SELECT * FROM ai_cost_days")}
    assert set(rows) == set(expected)
    for key, calls in expected.items():
        cents = [call["cost_cents"] for call in calls if call["cost_cents"] is not None]
        judged = [call["success"] for call in calls if call["success"] is not None]
        row = rows[key]
        assert (row["calls"], row["priced"], row["judged"], row["succeeded"]) == (
            len(calls), len(cents), len(judged), sum(judged))  # fmt: skip
        assert row["cost_cents"] == pytest.approx(fsum(cents), abs=1e-9)


def assert_index_is_whole(engine: Engine) -> None:
    """FTS5's own check, which reads the questions again: it fails with "database disk image is malformed"."""
    with atomic(engine) as db:
        db.exec_driver_sql("INSERT INTO question_search (question_search, rank) VALUES ('integrity-check', 1)")


@pytest.mark.timeout(240)
def test_ten_thousand_random_operations_agree_with_a_plain_model(head: Any) -> None:
    world = World(head, seed=20_250_615)
    with atomic(head.engine) as db:
        for _ in range(4):
            insert_exam(world, db)
        for _ in range(20):
            insert_user(world, db)
        refill(world, db)
    done: list[str] = []
    try:
        for number in range(1, OPERATIONS + 1):
            done.append(step(world))
            if number % COMPARED_EVERY == 0:
                COMPARISONS[number // COMPARED_EVERY % len(COMPARISONS)](world)
            if number % COUNTED_EVERY == 0:
                compare_kept(world)
        for compare in COMPARISONS:
            compare(world)
        compare_kept(world)
    except BaseException as problem:
        problem.add_note(f"After {len(done)} operations, the last of them {', '.join(done[-12:])}.")
        raise
    counted = Counter(done)
    wanted = {operation.__name__ for operation in (*IN_A_TRANSACTION, *BY_A_METHOD)} | {"roll_back"}
    assert len(done) == OPERATIONS
    assert set(counted) == wanted
    assert min(counted.values()) > 40, counted
