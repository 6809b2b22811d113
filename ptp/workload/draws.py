"""Arguments for the queries, drawn from the database by a seeded generator before the clock starts.

Users come as they are active: an argument is taken from a random answer, so who answers ten times as much is asked
for ten times as often, and user, exam and question of a call belong together; a session is left out where the data
gives it to another user. The present is the newest answer's time, so that "in the last 24 hours" means what it meant
then.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from sqlalchemy import Connection, Engine, text

from ptp.queries import Actor, DailyMetrics, NewAnswer, NewGeneration

Entry: TypeAlias = tuple[str, int]
"""An entity of the audit log and the id of one such."""

BATCH = 50
"""Answers of a batch."""

_BATCH_DRAWS = 20_000
_WORD = re.compile(r"\w{4,}")
_WORDS = 2


@dataclass(frozen=True, slots=True)
class Drawn:
    """What belongs together in one random answer; `objectives` are those of its exam.

    `words` are two words of the question's text, fewer where it has fewer of four letters; `entry` is of a random
    entry of the audit log, None where there is none.
    """

    user_id: int
    exam_id: int
    question_id: int
    session_id: int | None
    objectives: tuple[int, ...]
    words: str
    entry: Entry | None
    number: int


def draw(engine: Engine, *, count: int, seed: int) -> tuple[Drawn, ...]:
    """`count` random answers, with repetition; a gap in the ids falls to the next answer."""
    chance = random.Random(seed)
    with engine.connect() as db:
        rows = _rows(db, _ANSWERS, "user_answers", chance, count=count)
        entries = [(row.entity, row.id) for row in _rows(db, _ENTRIES, "audit_log", chance, count=count)]
        objectives: dict[int, list[int]] = {}
        for exam_id, objective_id in db.execute(text("SELECT exam_id, id FROM objectives ORDER BY id")):
            objectives.setdefault(exam_id, []).append(objective_id)
    return tuple(
        Drawn(
            user_id=row.user_id,
            exam_id=row.exam_id,
            question_id=row.question_id,
            session_id=row.session_id,
            objectives=tuple(objectives.get(row.exam_id, ())),
            words=_words_of(row.text, chance),
            entry=entries[number % len(entries)] if entries else None,
            number=number,
        )
        for number, row in enumerate(rows)
    )


@dataclass(frozen=True, slots=True)
class Batches:
    """Makes of a draw a batch: BATCH answers of its user to questions of its exam, as after a sitting."""

    pools: Mapping[int, Sequence[Drawn]]

    def __call__(self, d: Drawn) -> list[NewAnswer]:
        """The batch of a draw, always the same."""
        pool = self.pools.get(d.exam_id, [d])
        asked = (pool[(d.number * BATCH + place) % len(pool)] for place in range(BATCH))
        return [new_answer(replace(one, user_id=d.user_id, session_id=d.session_id)) for one in asked]

    @property
    def question_ids(self) -> frozenset[int]:
        """The questions that a batch may hold answers to, beside the one drawn."""
        return frozenset(d.question_id for pool in self.pools.values() for d in pool)


def batches_of(engine: Engine, draws: Sequence[Drawn]) -> Batches:
    """Makes batches of the draws.

    The questions are others than those of `draws`, of which there are too few: with each repetition a user's earlier
    answers to the same question, which are counted when one is recorded, would become more.
    """
    seed = sum(d.question_id for d in draws)
    pools: dict[int, list[Drawn]] = {}
    for one in draw(engine, count=min(len(draws) * BATCH, _BATCH_DRAWS), seed=seed):
        pools.setdefault(one.exam_id, []).append(one)
    return Batches(pools)


def new_answer(d: Drawn) -> NewAnswer:
    """An answer of the user drawn to the question drawn; two of three are right."""
    return NewAnswer(
        user_id=d.user_id,
        question_id=d.question_id,
        selected_answer="a",
        is_correct=d.number % 3 > 0,
        time_spent_seconds=5 + d.number % 115,
        study_session_id=d.session_id,
    )


def new_generation(d: Drawn) -> NewGeneration:
    """A call of an AI model for the user and question drawn."""
    return NewGeneration(
        purpose=("explanation", "question_generation")[d.number % 2],
        model="gpt-4o-mini",
        prompt_tokens=200 + d.number % 800,
        completion_tokens=100 + d.number % 400,
        cost_cents=0.25,
        generation_time_ms=900 + d.number % 3_000,
        exam_id=d.exam_id,
        question_ids=(d.question_id,),
        user_id=d.user_id,
        request_id=f"request-{d.number}",
    )


def sitting(d: Drawn) -> Mapping[str, int]:
    """What a sitting adds to the totals of the user drawn."""
    return {"questions_seen": 20, "correct": d.number % 21, "study_minutes": 15}


def metrics_of(d: Drawn, *, now: int) -> DailyMetrics:
    """The metrics of one of the 400 days up to that of `now`."""
    day = datetime.fromtimestamp(now, UTC).date() - timedelta(days=d.number % 400)
    return DailyMetrics(date=day.isoformat(), new_followers=d.number % 40, ai_costs=1.5)


def changed_values(d: Drawn) -> Mapping[str, Any]:
    """What is changed of the question drawn."""
    return {"explanation": f"Explained anew, for the {d.number}. time."}


def changer(d: Drawn) -> Actor:
    """Who changes the question drawn."""
    return Actor(user_id=d.user_id, request_id=f"request-{d.number}", method="PATCH", path="/questions")


def newest(engine: Engine) -> int:
    """The time of the newest answer in Unix seconds, 0 where there is none."""
    with engine.connect() as db:
        return db.scalar(text("SELECT max(answered_at) FROM user_answers")) or 0


def empty(engine: Engine, table: str) -> str | None:
    """The sentence that says that a table is empty, None where it is not."""
    with engine.connect() as db:
        has_rows = db.scalar(text(f"SELECT EXISTS (SELECT 1 FROM {table})"))
    return None if has_rows else f"The table {table} is empty."


def _words_of(asked: str, chance: random.Random) -> str:
    known = sorted(set(_WORD.findall(asked.replace("_", " "))))
    return " ".join(chance.sample(known, min(_WORDS, len(known))))


def _rows(db: Connection, sql: Any, table: str, chance: random.Random, *, count: int) -> Sequence[Any]:
    first, last = db.execute(text(f"SELECT min(id), max(id) FROM {table}")).one()
    if first is None:
        return ()
    keys = json.dumps([chance.randint(first, last) for _ in range(count)])
    return db.execute(sql, {"keys": keys}).all()


_ANSWERS = text("""
    SELECT user_answers.user_id, questions.exam_id, questions.id AS question_id, questions.text,
           study_sessions.id AS session_id
    FROM json_each(:keys) AS wanted
    JOIN user_answers
        ON user_answers.id = (SELECT id FROM user_answers AS next WHERE next.id >= wanted.value ORDER BY id LIMIT 1)
    JOIN questions ON questions.id = user_answers.question_id
    LEFT JOIN study_sessions
        ON study_sessions.id = user_answers.study_session_id AND study_sessions.user_id = user_answers.user_id
    ORDER BY wanted.key
""")

# What the log says of entities that the application does not know has no history to ask for.
_ENTRIES = text("""
    SELECT audit_log.entity_type AS entity, CAST(audit_log.entity_id AS INTEGER) AS id
    FROM json_each(:keys) AS wanted
    JOIN audit_log
        ON audit_log.id = (SELECT id FROM audit_log AS next WHERE next.id >= wanted.value ORDER BY id LIMIT 1)
    WHERE audit_log.entity_type IN ('question', 'exam', 'user', 'subscription')
        AND CAST(audit_log.entity_id AS INTEGER) > 0
    ORDER BY wanted.key
""")
