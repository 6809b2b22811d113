"""Studying: which questions come next, what was answered, and how a session went."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, get_args

from sqlalchemy import Engine, text

from ptp.engine import atomic
from ptp.errors import UsageError
from ptp.queries import recording, searching
from ptp.queries.arguments import check_given_ids, check_ids, hours_ago, moment, page, require_known, unknown, whole
from ptp.queries.drawing import Mode, Wanted, draw
from ptp.queries.recording import NewAnswer, RecordedAnswer
from ptp.queries.searching import Search
from ptp.queries.tables import Prepared, rows_of

MODES: tuple[str, ...] = get_args(Mode)


class StudyQuestion(NamedTuple):
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


class SessionProgress(NamedTuple):
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
        easier first, by chance between equals; weak_areas those with the worst success rate, worst first, then by id,
        and after them never answered ones by chance. A `seed` makes the draw repeatable on the same database. Where
        fewer are eligible than asked for, all are given. The work follows the limit, the number of objectives and
        levels, and how many were left out as answered, not the exam: one statement for the cells, one for the
        questions, and one more each time that four times as many had to be drawn.
        Raises UsageError for an unknown exam, user or mode, and for a bad limit, range or hours.
        """
        check_ids(exam_id=exam_id, user_id=user_id)
        if seed is not None and not isinstance(seed, int):
            raise UsageError(f"seed is {seed!r}: it must be a whole number, or None.")
        chosen = None if objectives is None else _objectives(objectives)
        _check_filters(mode, chosen, min_difficulty, max_difficulty)
        wanted = Wanted(
            exam_id=exam_id,
            user_id=user_id,
            limit=page(limit),
            since=hours_ago("exclude_answered_hours", exclude_answered_hours, now=moment(now)),
            objectives=chosen,
            min_difficulty=min_difficulty,
            max_difficulty=max_difficulty,
        )
        with self._engine.connect() as db:
            rows = draw(db, wanted, mode=mode, columns=_SHOWN, chance=random.Random(seed))
            if rows is None:
                require_known(db, exam_id=exam_id, user_id=user_id)
        return tuple(map(StudyQuestion._make, rows or ()))

    def search_questions(self, words: str, *, exam_id: int | None = None, limit: int = 20) -> Search:
        """Questions whose text, explanation and reference hold all the words between them, the best of the newest.

        Only what may be studied is found, in one exam or in all. Case and accents do not count; a word that ends in
        `*` stands for all that begin so. Of the newest 500 that match, the best by bm25 are given. Where the
        database has no full-text index the questions are read one by one: `Search.by` then says "scan", words are found
        inside of longer ones, accents count, and the newest are given.
        Raises UsageError for words of which none can be looked for, an unknown exam and a bad limit.
        """
        return searching.search(self._engine, words, exam_id=exam_id, limit=page(limit))

    def record_answer(self, answer: NewAnswer, *, now: int | None = None) -> RecordedAnswer:
        """Record one answer and the statistics of its question, in one transaction.

        With a key that its user has used before, it is the answer that was recorded then. Raises UsageError for an
        unknown user or question, and for a session or test of somebody else; Conflict for a key of another answer.
        """
        return recording.record_answers(self._engine, (answer,), now=moment(now))[0]

    def record_answers(self, answers: Sequence[NewAnswer], *, now: int | None = None) -> tuple[RecordedAnswer, ...]:
        """Record a batch of up to 500 answers in one transaction: all of them, or none when one is refused."""
        return recording.record_answers(self._engine, answers, now=moment(now))

    def session_progress(self, *, session_id: int, user_id: int | None = None) -> SessionProgress:
        """Count a session's answers, write the totals to the session, and return them.

        Raises UsageError for an unknown session, and for one of somebody else where a `user_id` is given.
        """
        check_ids(session_id=session_id)
        check_given_ids(user_id=user_id)
        with atomic(self._engine) as db:
            if user_id is None:
                rows = _WRITE_PROGRESS.rows(db, {"session_id": session_id})
            else:
                rows = _WRITE_OWN_PROGRESS.rows(db, {"session_id": session_id, "user_id": user_id})
            if not rows:
                raise unknown("study session", session_id)
        return _as_progress(*rows[0])


def _as_progress(session_id: int, *totals: Any) -> SessionProgress:
    *counted, scores = totals
    by_objective = {int(key): value for key, value in json.loads(scores).items()}
    return rows_of(SessionProgress, ((session_id, *counted, by_objective),))[0]


def _objectives(given: Sequence[int]) -> tuple[int, ...]:
    try:
        return tuple(given)
    except TypeError:
        raise UsageError(f"objectives is {given!r}: it must be a sequence of ids.") from None


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


_SHOWN = ", ".join(f"question.{name}" for name in StudyQuestion._fields)

# printf: SQLite's JSON writes 15 digits of a REAL, which are not enough to get the same number back.
# last_activity follows the answers and never goes back.
_PROGRESS = """
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
    WHERE study_sessions.id = :session_id{whose}
    RETURNING id, total_questions, correct_answers, accuracy + 0.0, time_spent_seconds, avg_time_per_question + 0.0,
              objective_scores -- SQLite 3.40 gives whole numbers of a REAL column as INTEGER, but for the addition"""

_WRITE_PROGRESS = Prepared(text(_PROGRESS.format(whose="")))
_WRITE_OWN_PROGRESS = Prepared(text(_PROGRESS.format(whose=" AND study_sessions.user_id = :user_id")))
