"""A user's progress in an exam, and how it compares with that of the others."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Engine, bindparam, func, literal_column, select, text, true

from ptp.queries.activity import answers_since, current_streak
from ptp.queries.arguments import WEEK, check_ids, moment, page, require_known
from ptp.queries.tables import EXAMS, STUDY_SESSIONS, USER_PROGRESS, USERS, Prepared, rows_of
from ptp.queries.totals import Added, Totals, add_totals

LEAST_SEEN = 50
"""A user stands on the leaderboard of an exam with more questions seen than this."""


class Progress(NamedTuple):
    """A user's progress in an exam with the exam's data; zeros, and None, where the user has not begun.

    Accuracies and scores are as stored, from 0 to 1; `objective_mastery` and the two after it are JSON text.
    `weekly_activity` are answers in the last 7 x 24 hours; `current_streak` is counted from the answers.
    """

    user_id: int
    exam_id: int
    exam_code: str
    exam_name: str
    passing_score: float | None
    total_questions_seen: int
    unique_questions_seen: int
    total_correct: int
    total_incorrect: int
    total_study_minutes: int
    study_days_count: int
    longest_streak: int
    tests_taken: int
    tests_passed: int
    overall_accuracy: float | None
    avg_time_per_question: float | None
    best_score: float | None
    readiness_score: float | None
    predicted_exam_score: float | None
    confidence_interval: float | None
    last_study_date: str | None
    objective_mastery: str | None
    weak_topics: str | None
    recommended_objectives: str | None
    weekly_activity: int
    current_streak: int


class Standing(NamedTuple):
    """One line of a leaderboard; `weekly_activity` are answers in the exam in the last 7 x 24 hours."""

    rank: int
    user_id: int
    name: str
    readiness_score: float | None
    overall_accuracy: float | None
    total_questions_seen: int
    weekly_activity: int


class RecentSession(NamedTuple):
    """One study session of a user's recent activity; times in Unix seconds."""

    session_id: int
    exam_id: int
    exam_name: str
    mode: str | None
    status: str | None
    total_questions: int | None
    correct_answers: int | None
    accuracy: float | None
    last_activity: int | None
    completed_at: int | None


class ProgressQueries:
    """The queries of the dashboard, on an engine of `ptp.engine.open_engine`."""

    def __init__(self, engine: Engine) -> None:
        """Keep the engine; nothing is read yet."""
        self._engine = engine

    def user_progress(self, *, user_id: int, exam_id: int, now: int | None = None) -> Progress:
        """One user's progress in one exam, with the exam's data, the activity of 7 days and the current streak.

        Raises UsageError for an unknown user or exam.
        """
        check_ids(user_id=user_id, exam_id=exam_id)
        values = {"user_id": user_id, "exam_id": exam_id, "since": moment(now) - WEEK}
        with self._engine.connect() as db:
            found = _PROGRESS.rows(db, values)
            if not found:
                require_known(db, user_id=user_id, exam_id=exam_id)
        return rows_of(Progress, found)[0]

    def update_progress(
        self,
        *,
        user_id: int,
        exam_id: int,
        questions_seen: int,
        correct: int,
        new_questions: int = 0,
        study_minutes: int = 0,
        now: int | None = None,
    ) -> Totals:
        """Add to the user's totals in an exam, or begin them, and return what they are now.

        `new_questions` are those of `questions_seen` that the user had never seen. A first update on a UTC day
        counts as one more day of study. Raises UsageError for an unknown user or exam and for bad counts.
        """
        check_ids(user_id=user_id, exam_id=exam_id)
        added = Added(questions_seen, correct, new_questions, study_minutes)
        return add_totals(self._engine, added, user_id=user_id, exam_id=exam_id, now=moment(now))

    def leaderboard(self, *, exam_id: int, limit: int = 20, now: int | None = None) -> tuple[Standing, ...]:
        """The users of an exam with more than 50 questions seen, by readiness, then accuracy, then id.

        Raises UsageError for an unknown exam and a bad limit.
        """
        check_ids(exam_id=exam_id)
        values = {"exam_id": exam_id, "limit": page(limit), "since": moment(now) - WEEK}
        with self._engine.connect() as db:
            rows = _LEADERBOARD.rows(db, values)
            if not rows:
                require_known(db, exam_id=exam_id)
        return tuple(Standing(rank, *row) for rank, row in enumerate(rows, start=1))

    def rank(self, *, user_id: int, exam_id: int) -> int | None:
        """The user's rank in an exam's leaderboard, from 1; None for one who has not seen enough to stand on it."""
        check_ids(user_id=user_id, exam_id=exam_id)
        with self._engine.connect() as db:
            found: int | None = _RANK.value(db, {"user_id": user_id, "exam_id": exam_id})
            if found is None:
                require_known(db, user_id=user_id, exam_id=exam_id)
        return found

    def weekly_activity(self, *, user_id: int, exam_id: int, now: int | None = None) -> int:
        """How many answers the user gave in the exam in the last 7 x 24 hours."""
        return self._count(_WEEKLY, {"user_id": user_id, "exam_id": exam_id, "since": moment(now) - WEEK})

    def current_streak(self, *, user_id: int, exam_id: int) -> int:
        """How many answers in the exam the user got right since the last wrong one."""
        return self._count(_STREAK, {"user_id": user_id, "exam_id": exam_id})

    def recent_activity(self, *, user_id: int, limit: int = 10) -> tuple[RecentSession, ...]:
        """The user's study sessions in all exams, those active last first."""
        check_ids(user_id=user_id)
        with self._engine.connect() as db:
            rows = _RECENT.rows(db, {"user_id": user_id, "limit": page(limit)})
            if not rows:
                require_known(db, user_id=user_id)
        return rows_of(RecentSession, rows)

    def _count(self, statement: Prepared, values: dict[str, int]) -> int:
        check_ids(**{name: values[name] for name in ("user_id", "exam_id")})
        with self._engine.connect() as db:
            found: int | None = statement.value(db, values)
            if found is None:
                require_known(db, user_id=values["user_id"], exam_id=values["exam_id"])
        return found or 0


_USER: Any = bindparam("user_id")
_EXAM: Any = bindparam("exam_id")
_SINCE: Any = bindparam("since")
# One row when user and exam are known, none otherwise.
_BOTH = EXAMS.join(USERS, true())
_ARE_KNOWN = (EXAMS.c.id == _EXAM, USERS.c.id == _USER)
_WEEKLY = Prepared(select(answers_since(_USER, _EXAM, since=_SINCE)).select_from(_BOTH).where(*_ARE_KNOWN))
_STREAK = Prepared(select(current_streak(_USER, _EXAM)).select_from(_BOTH).where(*_ARE_KNOWN))

_COUNTS = (
    "total_questions_seen", "unique_questions_seen", "total_correct", "total_incorrect", "total_study_minutes",
    "study_days_count", "longest_streak", "tests_taken", "tests_passed",
)  # fmt: skip
_MAY_BE_NONE = (
    "overall_accuracy", "avg_time_per_question", "best_score", "readiness_score", "predicted_exam_score",
    "confidence_interval", "last_study_date", "objective_mastery", "weak_topics", "recommended_objectives",
)  # fmt: skip

_PROGRESS = Prepared(
    select(
        USERS.c.id,
        EXAMS.c.id,
        EXAMS.c.code,
        EXAMS.c.name,
        EXAMS.c.passing_score,
        *(func.coalesce(USER_PROGRESS.c[name], 0) for name in _COUNTS),
        *(USER_PROGRESS.c[name] for name in _MAY_BE_NONE),
        answers_since(_USER, _EXAM, since=_SINCE).label("weekly_activity"),
        current_streak(_USER, _EXAM).label("current_streak"),
    )
    .select_from(
        _BOTH.outerjoin(
            USER_PROGRESS, (USER_PROGRESS.c.user_id == USERS.c.id) & (USER_PROGRESS.c.exam_id == EXAMS.c.id)
        )
    )
    .where(*_ARE_KNOWN)
)

# The least is a literal: SQLite matches a partial index only to literals.
_STANDS = (USER_PROGRESS.c.exam_id == _EXAM, USER_PROGRESS.c.total_questions_seen > literal_column(str(LEAST_SEEN)))
_BEST_FIRST = (
    USER_PROGRESS.c.readiness_score.desc(),
    USER_PROGRESS.c.overall_accuracy.desc(),
    USER_PROGRESS.c.user_id,
)
# The page is cut before the weekly activity is counted, so that it is counted for the page only.
_BEST = select(USER_PROGRESS).where(*_STANDS).order_by(*_BEST_FIRST).limit(bindparam("limit")).subquery("best")
_LEADERBOARD = Prepared(
    select(
        _BEST.c.user_id,
        USERS.c.name,
        _BEST.c.readiness_score,
        _BEST.c.overall_accuracy,
        _BEST.c.total_questions_seen,
        answers_since(_BEST.c.user_id, _EXAM, since=_SINCE).label("weekly_activity"),
    )
    .join_from(_BEST, USERS, USERS.c.id == _BEST.c.user_id)
    .order_by(_BEST.c.readiness_score.desc(), _BEST.c.overall_accuracy.desc(), _BEST.c.user_id)
)

# Who is better: by the nodes of the tree (sql/0004_totals.sql), those in a better stretch of readiness; by the index,
# those of the same stretch with more readiness, with as much and more accuracy, with as much of both and a lower id.
_RANK = Prepared(
    text("""
    WITH own AS (
        SELECT exam_id, user_id, readiness_score, overall_accuracy,
               min(262143, CAST(max(coalesce(readiness_score, 0), 0) * 2048 AS INTEGER)) AS leaf
        FROM user_progress
        WHERE user_id = :user_id AND exam_id = :exam_id AND total_questions_seen > 50
    )
    SELECT 1 + (
        SELECT coalesce(sum(better.users), 0)
        FROM json_each('[0,3,6,9,12,15]') AS levels CROSS JOIN leaderboard_nodes AS better
            ON better.exam_id = own.exam_id
            AND better.node > (262144 + own.leaf) >> levels.value
            AND better.node <= (262144 + own.leaf) >> levels.value | 7
    ) + (
        SELECT count(*) FROM user_progress AS better
        WHERE better.exam_id = own.exam_id AND better.total_questions_seen > 50
            AND better.readiness_score >= coalesce(own.readiness_score, -9e999)
            AND better.readiness_score IS NOT own.readiness_score
            AND (own.leaf = 262143 OR better.readiness_score < (own.leaf + 1) / 2048.0)
    ) + (
        SELECT count(*) FROM user_progress AS better
        WHERE better.exam_id = own.exam_id AND better.total_questions_seen > 50
            AND better.readiness_score IS own.readiness_score
            AND better.overall_accuracy >= coalesce(own.overall_accuracy, -9e999)
            AND better.overall_accuracy IS NOT own.overall_accuracy
    ) + (
        SELECT count(*) FROM user_progress AS better
        WHERE better.exam_id = own.exam_id AND better.total_questions_seen > 50
            AND better.readiness_score IS own.readiness_score
            AND better.overall_accuracy IS own.overall_accuracy
            AND better.user_id < own.user_id
    )
    FROM own
""")
)

_RECENT = Prepared(
    select(
        STUDY_SESSIONS.c.id,
        STUDY_SESSIONS.c.exam_id,
        EXAMS.c.name,
        *(STUDY_SESSIONS.c[n] for n in RecentSession._fields[3:]),
    )
    .join_from(STUDY_SESSIONS, EXAMS, EXAMS.c.id == STUDY_SESSIONS.c.exam_id)
    .where(STUDY_SESSIONS.c.user_id == _USER)
    .order_by(STUDY_SESSIONS.c.last_activity.desc(), STUDY_SESSIONS.c.id.desc())
    .limit(bindparam("limit"))
)
