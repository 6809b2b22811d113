"""How answers are written: the rows, and the statistics of their questions, in four statements however many there are.

The stored mean of a question's times is a whole number, and a mean that is updated from its own rounded value
sticks: at 100 attempts an answer 40 s longer moves it by less than half a second, so it never moves. It is
therefore taken anew from the answers at hand, as long as these account for every counted attempt. Where they do
not (the source counted more than it kept, or a user was deleted with the answers), the stored mean stands for all
attempts before, with the weight of their number; it is then exact for one recording, and may stick over many.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Engine, text

from ptp.engine import atomic
from ptp.errors import UsageError
from ptp.queries.arguments import LARGEST_PAGE, count_of, unknown, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAnswer:
    """An answer to be recorded; `confidence_level` is from 1 to 5. It belongs to a session, a test, or neither."""

    user_id: int
    question_id: int
    selected_answer: str
    is_correct: bool
    time_spent_seconds: int
    study_session_id: int | None = None
    test_attempt_id: int | None = None
    confidence_level: int | None = None
    flagged: bool = False
    changed_answer: bool = False


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """An answer as it was recorded: it is the user's `attempt_number`-th to the question, `answered_at` Unix seconds.

    `days_since_last_seen` are whole days since the one before, None for the first.
    """

    id: int
    user_id: int
    question_id: int
    is_correct: bool
    attempt_number: int
    days_since_last_seen: int | None
    answered_at: int


def record_answers(engine: Engine, answers: Sequence[NewAnswer], *, now: int) -> tuple[RecordedAnswer, ...]:
    """Write the answers, all given at `now`, and their questions' statistics in one transaction; all or none.

    Raises UsageError for an empty or too large batch, a bad value, an unknown user or question, and a session
    or test that is unknown or another user's.
    """
    if not 1 <= len(answers) <= LARGEST_PAGE:
        raise UsageError(f"A batch of {len(answers)} answers cannot be recorded: give 1 to {LARGEST_PAGE}.")
    for answer in answers:
        _check_values(answer)
    rows = [{**asdict(answer), "answered_at": now} for answer in answers]
    with atomic(engine) as db:
        _check_known(db, rows)
        # Before the insert, so that the answers at hand are those that the stored statistics speak of.
        db.execute(_COUNT, _totals(answers))
        db.execute(_INSERT, rows)
        written = db.execute(_WRITTEN, {"rows": len(rows)}).all()
    return tuple(
        RecordedAnswer(row.id, row.user_id, row.question_id, bool(row.is_correct), *row[4:]) for row in written
    )


def _check_values(answer: NewAnswer) -> None:
    count_of("time_spent_seconds", answer.time_spent_seconds)
    if answer.confidence_level is not None:
        whole("confidence_level", answer.confidence_level, low=1, high=5)
    if not isinstance(answer.selected_answer, str):
        raise UsageError(f"selected_answer is {answer.selected_answer!r}: it must be a text.")
    for name in ("is_correct", "flagged", "changed_answer"):
        if not isinstance(getattr(answer, name), bool):
            raise UsageError(f"{name} is {getattr(answer, name)!r}: it must be True or False.")


def _check_known(db: Connection, rows: Sequence[dict[str, Any]]) -> None:
    asked = [[row[name] for name in ("user_id", "question_id", "study_session_id", "test_attempt_id")] for row in rows]
    known = db.execute(_KNOWN, {"answers": json.dumps(asked)}).all()
    for found in known:
        row = rows[found.place]
        if found.user is None:
            raise unknown("user", row["user_id"])
        if found.question is None:
            raise unknown("question", row["question_id"])
        for name, key, owner in (
            ("study session", row["study_session_id"], found.session_owner),
            ("test attempt", row["test_attempt_id"], found.test_owner),
        ):
            if key is not None and owner != row["user_id"]:
                raise UsageError(f"User {row['user_id']} has no {name} with id {key!r}.")


def _totals(answers: Sequence[NewAnswer]) -> list[dict[str, int]]:
    """What the batch adds to each question; one that is answered twice in it is updated once."""
    found: dict[int, dict[str, int]] = {}
    for answer in answers:
        empty = {"question_id": answer.question_id, "attempts": 0, "correct": 0, "seconds": 0}
        total = found.setdefault(answer.question_id, empty)
        total["attempts"] += 1
        total["correct"] += answer.is_correct
        total["seconds"] += answer.time_spent_seconds
    return list(found.values())


_KNOWN = text("""
    SELECT asked.key AS place, users.id AS user, questions.id AS question,
           study_sessions.user_id AS session_owner, test_attempts.user_id AS test_owner
    FROM json_each(:answers) AS asked
    LEFT JOIN users ON users.id = json_extract(asked.value, '$[0]')
    LEFT JOIN questions ON questions.id = json_extract(asked.value, '$[1]')
    LEFT JOIN study_sessions ON study_sessions.id = json_extract(asked.value, '$[2]')
    LEFT JOIN test_attempts ON test_attempts.id = json_extract(asked.value, '$[3]')
""")

# `unseen` attempts are counted, but have no answer at hand.
_COUNT = text("""
    UPDATE questions SET
        total_attempts = coalesce(total_attempts, 0) + :attempts,
        correct_attempts = coalesce(correct_attempts, 0) + :correct,
        avg_time_seconds = CAST(round(
            (CASE WHEN seen.unseen > 0 THEN coalesce(avg_time_seconds, 0) * (seen.timed + seen.unseen)
                  ELSE seen.seconds END + :seconds) * 1.0 / (seen.timed + seen.unseen + :attempts)) AS INTEGER)
    FROM (
        SELECT max(0, coalesce(counted.total_attempts, 0) - count(given.id)) AS unseen,
               count(given.time_spent_seconds) AS timed, coalesce(sum(given.time_spent_seconds), 0) AS seconds
        FROM questions AS counted LEFT JOIN user_answers AS given ON given.question_id = counted.id
        WHERE counted.id = :question_id
    ) AS seen
    WHERE questions.id = :question_id
""")

_INSERT = text("""
    INSERT INTO user_answers (
        user_id, question_id, study_session_id, test_attempt_id, selected_answer, is_correct, time_spent_seconds,
        confidence_level, flagged, changed_answer, attempt_number, days_since_last_seen, answered_at)
    SELECT :user_id, :question_id, :study_session_id, :test_attempt_id, :selected_answer, :is_correct,
           :time_spent_seconds, :confidence_level, :flagged, :changed_answer,
           1 + count(*), max(0, :answered_at - max(answered_at)) / 86400, :answered_at
    FROM user_answers WHERE question_id = :question_id AND user_id = :user_id
""")

# Ids are never used again (AUTOINCREMENT) and this transaction is the only writer: its rows are the last ones.
_WRITTEN = text("""
    SELECT id, user_id, question_id, is_correct, attempt_number, days_since_last_seen, answered_at
    FROM user_answers WHERE id > (SELECT max(id) FROM user_answers) - :rows ORDER BY id
""")
