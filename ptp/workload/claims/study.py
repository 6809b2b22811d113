"""Studying as the old application did it, in plain SQL on the raw shape.

Its SQL is not preserved. What is assumed stands with each function, and follows two rules: it is what an honest
simple programmer writes by hand for the same outcome, and where nothing is known the faster of two such ways is taken.
"""

from __future__ import annotations

import json
from typing import Any

from ptp.queries import NewAnswer, StudyQuestion
from ptp.workload.claims.plain import Plain, as_seconds, as_text, transaction

SHOWN = ", ".join(StudyQuestion._fields)
ELIGIBLE = """exam_id = ? AND is_active = 1 AND review_status = 'approved'
        AND id NOT IN (SELECT question_id FROM user_answers WHERE user_id = ? AND answered_at > ?)"""
"""What may be drawn: of an exam, by a user, who has not answered it since."""

_DAY = 86_400


def study_questions(db: Plain, *, exam_id: int, user_id: int, since: int, limit: int = 20) -> list[tuple[Any, ...]]:
    """Draw questions of an exam at random, without those that the user answered after `since` (Unix seconds).

    Assumed: one statement, sorted by RANDOM(), the recent answers left out by NOT IN.
    """
    sql = f"SELECT {SHOWN} FROM questions WHERE {ELIGIBLE} ORDER BY RANDOM() LIMIT ?"
    return db.execute(sql, (exam_id, user_id, as_text(since), limit)).fetchall()


def record_answer(db: Plain, answer: NewAnswer, *, now: int) -> tuple[Any, ...]:
    """Record an answer and its question's statistics; user, question, right or not, attempt, days since the last.

    Assumed: one transaction of four round trips: what the user answered before, the insert, the question's statistics
    read, and written back as the application has computed them.
    """
    with transaction(db):
        earlier, last = db.execute(
            "SELECT count(*), max(answered_at) FROM user_answers WHERE user_id = ? AND question_id = ?",
            (answer.user_id, answer.question_id),
        ).fetchone()
        days = None if last is None else max(now - as_seconds(last), 0) // _DAY
        given = (
            *(answer.user_id, answer.question_id, answer.study_session_id, answer.test_attempt_id),
            *(answer.selected_answer, answer.is_correct, answer.time_spent_seconds, answer.confidence_level),
            *(answer.flagged, answer.changed_answer, earlier + 1, days, as_text(now)),
        )
        db.execute(_INSERT, given)
        attempts, correct, mean = db.execute(
            "SELECT total_attempts, correct_attempts, avg_time_seconds FROM questions WHERE id = ?",
            (answer.question_id,),
        ).fetchone()
        attempts, correct, mean = attempts or 0, correct or 0, mean or 0
        new_mean = round((mean * attempts + answer.time_spent_seconds) / (attempts + 1))
        db.execute(
            "UPDATE questions SET total_attempts = ?, correct_attempts = ?, avg_time_seconds = ? WHERE id = ?",
            (attempts + 1, correct + answer.is_correct, new_mean, answer.question_id),
        )
    return answer.user_id, answer.question_id, answer.is_correct, earlier + 1, days


def session_progress(db: Plain, *, session_id: int) -> tuple[Any, ...]:
    """Count a session and write the totals to it; in the order of `ptp.queries.SessionProgress`.

    Assumed: answer by answer, the objective of each looked up by a query of its own, added up by the application.
    """
    with transaction(db):
        answers = db.execute(
            "SELECT question_id, is_correct, time_spent_seconds, answered_at FROM user_answers "
            "WHERE study_session_id = ?",
            (session_id,),
        ).fetchall()
        by_objective: dict[int, list[int]] = {}
        for question_id, is_correct, _, _ in answers:
            (objective,) = db.execute("SELECT objective_id FROM questions WHERE id = ?", (question_id,)).fetchone()
            by_objective.setdefault(objective, []).append(is_correct)
        times = [seconds for _, _, seconds, _ in answers if seconds is not None]
        correct = sum(is_correct for _, is_correct, _, _ in answers)
        accuracy = correct / len(answers) if answers else None
        mean = sum(times) / len(times) if times else None
        scores = {objective: sum(right) / len(right) for objective, right in by_objective.items()}
        (last,) = db.execute("SELECT last_activity FROM study_sessions WHERE id = ?", (session_id,)).fetchone()
        newest = max((at for *_, at in answers if at is not None), default=last)
        written = (len(answers), correct, accuracy, sum(times), mean, json.dumps(scores), max(last or "", newest or ""))
        db.execute(_WRITE, (*written[:-1], written[-1] or None, session_id))
    return session_id, len(answers), correct, accuracy, sum(times), mean, scores


_INSERT = """
    INSERT INTO user_answers (
        user_id, question_id, study_session_id, test_attempt_id, selected_answer, is_correct, time_spent_seconds,
        confidence_level, flagged, changed_answer, attempt_number, days_since_last_seen, answered_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""

_WRITE = """
    UPDATE study_sessions SET total_questions = ?, correct_answers = ?, accuracy = ?, time_spent_seconds = ?,
        avg_time_per_question = ?, objective_scores = ?, last_activity = ?
    WHERE id = ?"""
