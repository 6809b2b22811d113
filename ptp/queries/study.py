"""Studying: which questions come next, what was answered, and how a session went."""

from __future__ import annotations

import heapq
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, TypeAlias, get_args

from sqlalchemy import Engine, Row, Select, and_, bindparam, exists, func, literal_column, select, text

from ptp.engine import atomic
from ptp.errors import UsageError
from ptp.queries import recording
from ptp.queries.arguments import hours_ago, moment, page, unknown, whole
from ptp.queries.recording import NewAnswer, RecordedAnswer
from ptp.queries.tables import EXAMS, QUESTIONS, USER_ANSWERS, USERS, is_eligible, ratio, rows_of

Mode: TypeAlias = Literal["practice", "review", "speed_drill", "weak_areas", "custom"]
MODES: tuple[str, ...] = get_args(Mode)
_LAST = float("inf")


@dataclass(frozen=True, slots=True)
class StudyQuestion:
    """A question as it is shown; `answers`, `tags` and `diagram_data` are JSON text, as stored."""

    id: int
    exam_id: int
    objective_id: int
    text: str
    type: str | None
    answers: str
    explanation: str | None
    reference: str | None
    external_link: str | None
    difficulty: int | None
    tags: str | None
    image_url: str | None
    diagram_data: str | None
    total_attempts: int | None
    correct_attempts: int | None
    avg_time_seconds: int | None


@dataclass(frozen=True, slots=True)
class SessionProgress:
    """How a session stands: `accuracy` and the scores by objective id from 0 to 1, None where nothing was answered.

    `mean_time_seconds` is over the answers that have a time.
    """

    session_id: int
    total_questions: int
    correct_answers: int
    accuracy: float | None
    time_spent_seconds: int
    mean_time_seconds: float | None
    objective_scores: Mapping[int, float]


class StudyQueries:
    """The queries of a study session, on an engine of `ptp.engine.open_engine`."""

    def __init__(self, engine: Engine) -> None:
        """Keep the engine; nothing is read yet."""
        self._engine = engine

    def study_questions(
        self,
        *,
        exam_id: int,
        user_id: int,
        limit: int = 20,
        objectives: Sequence[int] | None = None,
        min_difficulty: int | None = None,
        max_difficulty: int | None = None,
        exclude_answered_hours: float = 24,
        mode: Mode = "practice",
        seed: int | None = None,
        now: int | None = None,
    ) -> tuple[StudyQuestion, ...]:
        """Up to `limit` active, approved questions of an exam, none answered by the user in the last hours.

        practice, review and custom draw uniformly and give them in random order; speed_drill takes the easiest,
        easier first; weak_areas those with the worst success rate, worst first, never answered ones last. Between
        equals chance decides. A `seed` makes the draw repeatable. Where fewer are eligible than asked for, all
        are given. Raises UsageError for an unknown exam, user or mode, and for a bad limit, range or hours.
        """
        _check_filters(mode, objectives, min_difficulty, max_difficulty)
        values = {
            "exam_id": exam_id,
            "user_id": user_id,
            "since": hours_ago("exclude_answered_hours", exclude_answered_hours, now=moment(now)),
            "objectives": None if objectives is None else json.dumps(list(objectives)),
            "min_difficulty": min_difficulty,
            "max_difficulty": max_difficulty,
        }
        given = frozenset(name for name, value in values.items() if value is not None)
        size = page(limit)
        with self._engine.connect() as db:
            found = db.execute(_candidates(mode, given), {k: values[k] for k in given}).one()
            if not (found.exam and found.user):
                raise unknown(*(("user", user_id) if found.exam else ("exam", exam_id)))
            drawn = _draw(found, limit=size, chance=random.Random(seed))
            rows = db.execute(_BY_ID, {"ids": json.dumps(drawn)}).all()
        by_id = {row.id: StudyQuestion(*row) for row in rows}
        return tuple(by_id[key] for key in drawn)

    def record_answer(self, answer: NewAnswer, *, now: int | None = None) -> RecordedAnswer:
        """Record one answer and the statistics of its question, in one transaction.

        Raises UsageError for an unknown user or question, and for a session or test of somebody else.
        """
        return recording.record_answers(self._engine, (answer,), now=moment(now))[0]

    def record_answers(self, answers: Sequence[NewAnswer], *, now: int | None = None) -> tuple[RecordedAnswer, ...]:
        """Record a batch of up to 500 answers in one transaction: all of them, or none when one is refused."""
        return recording.record_answers(self._engine, answers, now=moment(now))

    def session_progress(self, *, session_id: int) -> SessionProgress:
        """Count a session's answers, write the totals to the session, and return them.

        Raises UsageError for an unknown session.
        """
        with atomic(self._engine) as db:
            row = db.execute(_WRITE_PROGRESS, {"session_id": session_id}).one_or_none()
            if row is None:
                raise unknown("study session", session_id)
        return _as_progress(*row)


def _as_progress(session_id: int, *totals: Any) -> SessionProgress:
    *counted, scores = totals
    by_objective = {int(key): value for key, value in json.loads(scores).items()}
    return rows_of(SessionProgress, ((session_id, *counted, by_objective),))[0]


def _check_filters(mode: str, objectives: Sequence[int] | None, low: int | None, high: int | None) -> None:
    if mode not in MODES:
        raise UsageError(f"mode is {mode!r}: it must be one of {', '.join(MODES)}.")
    if objectives is not None and not objectives:
        raise UsageError("objectives is empty: name at least one objective, or leave it out to study all of them.")
    for key in objectives or ():
        whole("objectives", key, low=0, high=2**63 - 1)
    for name, value in (("min_difficulty", low), ("max_difficulty", high)):
        if value is not None:
            whole(name, value, low=1, high=5)
    if low is not None and high is not None and low > high:
        raise UsageError(f"min_difficulty {low} is over max_difficulty {high}.")


@cache
def _candidates(mode: str, given: frozenset[str]) -> Select[Any]:
    """The ids of all eligible questions as one JSON array, beside them what ranks them, and whether the ids are known.

    One row of JSON costs a fifth of as many rows of SQLAlchemy. An aggregate gives a row even for an unknown exam.
    """
    questions = QUESTIONS.c
    recent = select(USER_ANSWERS.c.question_id).where(
        USER_ANSWERS.c.user_id == bindparam("user_id"), USER_ANSWERS.c.answered_at > bindparam("since")
    )
    conditions = [questions.exam_id == bindparam("exam_id"), is_eligible(), questions.id.not_in(recent)]
    if "objectives" in given:
        chosen = func.json_each(bindparam("objectives")).table_valued("value")
        conditions.append(questions.objective_id.in_(select(chosen.c.value)))
    else:
        # True of every row. It makes the planner start from the partial index of what is eligible, which holds all
        # that is needed here; without it, it takes the index on exam_id and reads every row: 10 ms instead of 1.
        conditions.append(questions.objective_id >= literal_column(str(-(2**63))))
    if "min_difficulty" in given:
        conditions.append(questions.difficulty >= bindparam("min_difficulty"))
    if "max_difficulty" in given:
        conditions.append(questions.difficulty <= bindparam("max_difficulty"))
    columns = [
        exists().where(EXAMS.c.id == bindparam("exam_id")).label("exam"),
        exists().where(USERS.c.id == bindparam("user_id")).label("user"),
        func.json_group_array(questions.id).label("ids"),
    ]
    if mode == "speed_drill":
        columns.append(func.json_group_array(questions.difficulty).label("ranks"))
    elif mode == "weak_areas":
        success = ratio(questions.correct_attempts, questions.total_attempts)
        columns.append(func.json_group_array(success).label("ranks"))
    return select(*columns).select_from(QUESTIONS).where(and_(*conditions))


def _draw(found: Row[Any], *, limit: int, chance: random.Random) -> list[int]:
    """The ids drawn, in order. They are sorted first: the same seed draws the same ones whatever the plan was."""
    ids: list[int] = json.loads(found.ids)
    if len(found) == len(("exam", "user", "ids")):
        return chance.sample(sorted(ids), min(limit, len(ids)))
    ranked = sorted(zip(ids, _ranks(found.ranks), strict=True))
    # Only what is better than the last place, and as many of its equals as there are places left.
    edge = max(heapq.nsmallest(limit, (rank for _, rank in ranked)), default=_LAST)
    better = [pair for pair in ranked if pair[1] < edge]
    equal = [pair for pair in ranked if pair[1] == edge]
    drawn = better + chance.sample(equal, min(limit - len(better), len(equal)))
    chance.shuffle(drawn)
    return [key for key, _ in sorted(drawn, key=lambda pair: pair[1])]


def _ranks(written: str) -> list[float]:
    return [_LAST if rank is None else rank for rank in json.loads(written)]


_SHOWN = tuple(QUESTIONS.c[name] for name in StudyQuestion.__dataclass_fields__)
_DRAWN = func.json_each(bindparam("ids")).table_valued("value")
_BY_ID = select(*_SHOWN).where(QUESTIONS.c.id.in_(select(_DRAWN.c.value)))

# printf: SQLite's JSON writes 15 digits of a REAL, which are not enough to get the same number back.
# last_activity follows the answers and never goes back.
_WRITE_PROGRESS = text("""
    UPDATE study_sessions SET
        total_questions = found.total,
        correct_answers = found.correct,
        accuracy = found.correct * 1.0 / found.total,
        time_spent_seconds = found.seconds,
        avg_time_per_question = found.seconds * 1.0 / found.timed,
        objective_scores = found.scores,
        last_activity = coalesce(max(last_activity, found.newest), last_activity, found.newest)
    FROM (
        SELECT coalesce(sum(total), 0) AS total, coalesce(sum(correct), 0) AS correct,
               coalesce(sum(seconds), 0) AS seconds, coalesce(sum(timed), 0) AS timed, max(newest) AS newest,
               json_group_object(objective_id, json(printf('%!.17g', correct * 1.0 / total))) AS scores
        FROM (
            SELECT questions.objective_id, count(*) AS total, sum(is_correct) AS correct,
                   sum(time_spent_seconds) AS seconds, count(time_spent_seconds) AS timed,
                   max(answered_at) AS newest
            FROM user_answers JOIN questions ON questions.id = user_answers.question_id
            WHERE user_answers.study_session_id = :session_id
            GROUP BY questions.objective_id
        )
    ) AS found
    WHERE study_sessions.id = :session_id
    RETURNING id, total_questions, correct_answers, accuracy, time_spent_seconds, avg_time_per_question,
              objective_scores
""")
