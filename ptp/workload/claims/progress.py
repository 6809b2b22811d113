"""Progress and its comparison as the old application did it, in plain SQL on the raw shape (see `study`)."""

from __future__ import annotations

from typing import Any

from ptp.workload.claims.plain import Plain, as_text

_COUNTS = (
    "total_questions_seen", "unique_questions_seen", "total_correct", "total_incorrect", "total_study_minutes",
    "study_days_count", "longest_streak", "tests_taken", "tests_passed",
)  # fmt: skip
_SCORES = (
    "overall_accuracy", "avg_time_per_question", "best_score", "readiness_score", "predicted_exam_score",
    "confidence_interval", "last_study_date", "objective_mastery", "weak_topics", "recommended_objectives",
)  # fmt: skip


def leaderboard(db: Plain, *, exam_id: int, since: int, limit: int = 20) -> list[tuple[Any, ...]]:
    """The best of an exam with their activity after `since`; in the order of `ptp.queries.Standing`.

    Assumed: one query for the page, and one for each user on it that counts the week.
    """
    best = db.execute(_BEST, (exam_id, limit)).fetchall()
    return [
        (rank, *row, _answers_since(db, user_id=row[0], exam_id=exam_id, since=since))
        for rank, row in enumerate(best, start=1)
    ]


def user_progress(db: Plain, *, user_id: int, exam_id: int, since: int) -> tuple[Any, ...]:
    """One user's progress in an exam with what the exam is; in the order of `ptp.queries.Progress`.

    Assumed: four round trips: the exam, the stored totals, the week counted, and the newest answers read one by one
    until the first wrong one, which ends the streak.
    """
    exam = db.execute("SELECT id, code, name, passing_score FROM exams WHERE id = ?", (exam_id,)).fetchone()
    stored = db.execute(_STORED, (user_id, exam_id)).fetchone() or (None,) * (len(_COUNTS) + len(_SCORES))
    counts, scores = stored[: len(_COUNTS)], stored[len(_COUNTS) :]
    week = _answers_since(db, user_id=user_id, exam_id=exam_id, since=since)
    streak = 0
    for (is_correct,) in db.execute(_NEWEST, (user_id, exam_id)):
        if not is_correct:
            break
        streak += 1
    return user_id, *exam, *(count or 0 for count in counts), *scores, week, streak


def question_analytics(db: Plain, *, exam_id: int, limit: int = 100) -> list[tuple[Any, ...]]:
    """An exam's questions with more than 10 attempts, hardest first; in the order of `ptp.queries.QuestionStatistics`.

    Assumed: one statement, which computes the rate and sorts by it.
    """
    return db.execute(_HARDEST, (exam_id, limit)).fetchall()


def _answers_since(db: Plain, *, user_id: int, exam_id: int, since: int) -> int:
    found = db.execute(_SINCE, (user_id, exam_id, as_text(since))).fetchone()
    return int(found[0])


_BEST = """
    SELECT up.user_id, u.name, up.readiness_score, up.overall_accuracy, up.total_questions_seen
    FROM user_progress up JOIN users u ON u.id = up.user_id
    WHERE up.exam_id = ? AND up.total_questions_seen > 50
    ORDER BY up.readiness_score DESC, up.overall_accuracy DESC, up.user_id
    LIMIT ?"""

_STORED = f"SELECT {', '.join((*_COUNTS, *_SCORES))} FROM user_progress WHERE user_id = ? AND exam_id = ?"

_SINCE = """
    SELECT count(*) FROM user_answers ua JOIN questions q ON q.id = ua.question_id
    WHERE ua.user_id = ? AND q.exam_id = ? AND ua.answered_at > ?"""

_NEWEST = """
    SELECT ua.is_correct FROM user_answers ua JOIN questions q ON q.id = ua.question_id
    WHERE ua.user_id = ? AND q.exam_id = ?
    ORDER BY ua.answered_at DESC, ua.id DESC"""

_HARDEST = """
    SELECT id, objective_id, text, difficulty, total_attempts, correct_attempts,
           correct_attempts * 1.0 / total_attempts AS success_rate, avg_time_seconds, discrimination_index
    FROM questions
    WHERE exam_id = ? AND total_attempts > 10
    ORDER BY success_rate, id
    LIMIT ?"""
