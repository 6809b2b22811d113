"""A user's progress and standing, counted from the answers and the stored totals, one user or exam at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ptp.workload.draws import Drawn
from ptp.workload.oracles.comparing import alike, descending, told, unlike_row, unlike_rows
from ptp.workload.oracles.witness import Check, Witness

_WEEK_S = 7 * 86_400
_LEAST_SEEN = 50
_BEST = 20
_SESSIONS = 10
_COUNTS = (
    "total_questions_seen", "unique_questions_seen", "total_correct", "total_incorrect", "total_study_minutes",
    "study_days_count", "longest_streak", "tests_taken", "tests_passed",
)  # fmt: skip
_STORED = (
    "overall_accuracy", "avg_time_per_question", "best_score", "readiness_score", "predicted_exam_score",
    "confidence_interval", "last_study_date", "objective_mastery", "weak_topics", "recommended_objectives",
)  # fmt: skip
_STANDING = (
    "rank", "user_id", "name", "readiness_score", "overall_accuracy", "total_questions_seen", "weekly_activity",
)  # fmt: skip
_SESSION = (
    "session_id", "exam_id", "exam_name", "mode", "status", "total_questions", "correct_answers", "accuracy",
    "last_activity", "completed_at",
)  # fmt: skip


def progress(witness: Witness, *, now: int) -> Check:
    """The check of a user's progress in an exam."""

    def check(drawn: Drawn, found: Any) -> str | None:
        ((code, name, passing_score),) = witness.rows(
            "SELECT code, name, passing_score FROM exams WHERE id = ?", (drawn.exam_id,)
        )
        exam = {"exam_code": code, "exam_name": name, "passing_score": passing_score}
        sql = "SELECT * FROM user_progress WHERE user_id = ? AND exam_id = ?"
        stored = (witness.records(sql, (drawn.user_id, drawn.exam_id)) or [{}])[0]
        due = {
            "user_id": drawn.user_id,
            "exam_id": drawn.exam_id,
            **exam,
            **{name: stored.get(name) or 0 for name in _COUNTS},
            **{name: stored.get(name) for name in _STORED},
            "weekly_activity": _weekly(witness, drawn.user_id, drawn.exam_id, now=now),
            "current_streak": _streak(witness, drawn),
        }
        return unlike_row(found, tuple(due.values()), tuple(due))

    return witness.checking_equal("progress", _user_and_exam, check)


def weekly_activity(witness: Witness, *, now: int) -> Check:
    """The check of how many answers a user gave in an exam in the last 7 x 24 hours."""
    return _a_number(witness, "weekly", lambda d: _weekly(witness, d.user_id, d.exam_id, now=now))


def streak(witness: Witness) -> Check:
    """The check of how many answers a user got right in an exam since the last wrong one."""
    return _a_number(witness, "streak", lambda d: _streak(witness, d))


def rank(witness: Witness) -> Check:
    """The check of a user's rank in an exam, None for who does not stand on the leaderboard."""

    def due(drawn: Drawn) -> int | None:
        ranks = witness.kept(
            ("ranks", drawn.exam_id),
            lambda: {row[0]: place for place, row in enumerate(_standings(witness, drawn.exam_id), start=1)},
        )
        return ranks.get(drawn.user_id)

    return _a_number(witness, "rank", due)


def leaderboard(witness: Witness, *, now: int) -> Check:
    """The check of an exam's 20 best."""

    def due(exam_id: int) -> list[Any]:
        best = _standings(witness, exam_id)[:_BEST]
        return [(place, *row, _weekly(witness, row[0], exam_id, now=now)) for place, row in enumerate(best, start=1)]

    def check(drawn: Drawn, found: Any) -> str | None:
        rows = witness.kept(("leaderboard", drawn.exam_id), lambda: due(drawn.exam_id))
        return unlike_rows(found, rows, _STANDING)

    return witness.checking_equal("leaderboard", lambda d: d.exam_id, check)


def recent_sessions(witness: Witness) -> Check:
    """The check of a user's 10 sessions that were active last."""
    sql = """
        SELECT study_sessions.id, exam_id, exams.name, mode, status, total_questions, correct_answers, accuracy,
               last_activity, completed_at
        FROM study_sessions JOIN exams ON exams.id = exam_id WHERE user_id = ?"""

    def check(drawn: Drawn, found: Any) -> str | None:
        sessions = witness.rows(sql, (drawn.user_id,))
        sessions.sort(key=lambda row: (descending(row[8]), -row[0]))
        return unlike_rows(found, sessions[:_SESSIONS], _SESSION)

    return witness.checking_equal("recent", lambda d: d.user_id, check)


def _user_and_exam(drawn: Drawn) -> tuple[int, int]:
    return drawn.user_id, drawn.exam_id


def _a_number(witness: Witness, name: str, due: Callable[[Drawn], int | None]) -> Check:
    def check(drawn: Drawn, found: Any) -> str | None:
        wanted = due(drawn)
        return None if alike(found, wanted) else f"{told(found)} where {told(wanted)} was due"

    return witness.checking_equal(name, _user_and_exam, check)


def _weekly(witness: Witness, user_id: int, exam_id: int, *, now: int) -> int:
    sql = """
        SELECT count(*) FROM user_answers JOIN questions ON questions.id = question_id
        WHERE user_id = ? AND exam_id = ? AND answered_at > ?"""
    counted: int = witness.rows(sql, (user_id, exam_id, now - _WEEK_S))[0][0]
    return counted


def _streak(witness: Witness, drawn: Drawn) -> int:
    sql = """
        SELECT answered_at, user_answers.id, is_correct
        FROM user_answers JOIN questions ON questions.id = question_id WHERE user_id = ? AND exam_id = ?"""
    answers = witness.rows(sql, _user_and_exam(drawn))
    # An answer without a time comes before all that have one.
    answers.sort(key=lambda row: (row[0] is not None, row[0] or 0, row[1]))
    length = 0
    for _, _, is_correct in reversed(answers):
        if not is_correct:
            break
        length += 1
    return length


def _standings(witness: Witness, exam_id: int) -> list[Any]:
    """The users of an exam who have seen enough, best first."""
    sql = """
        SELECT user_id, name, readiness_score, overall_accuracy, total_questions_seen
        FROM user_progress JOIN users ON users.id = user_id WHERE exam_id = ? AND total_questions_seen > ?"""

    def make() -> list[Any]:
        rows = witness.rows(sql, (exam_id, _LEAST_SEEN))
        return sorted(rows, key=lambda row: (descending(row[2]), descending(row[3]), row[0]))

    return witness.kept(("standings", exam_id), make)
