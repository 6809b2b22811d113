"""Users, their study sessions and tests, every answer, and the progress that follows from them."""

from __future__ import annotations

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped

from ptp.conversions import Choice, Span
from ptp.schema.columns import NOW, Base, column, index, key, strict


class User(Base):
    """A person with an account."""

    __tablename__ = "users"
    __table_args__ = strict(
        UniqueConstraint("email"),
        index(
            "idx_users_provider",
            "provider",
            "provider_id",
            serves="rule: an identity of a provider is found at sign-in, which is not among ptp's queries",
            where="provider_id IS NOT NULL",
        ),
        index(
            "idx_users_stripe",
            "stripe_customer_id",
            serves="rule: a payment event finds its customer, which is not among ptp's queries",
            where="stripe_customer_id IS NOT NULL",
        ),
    )

    id: Mapped[int] = key()
    email: Mapped[str] = column("text", required=True, personal=True)
    name: Mapped[str] = column("text", required=True, personal=True)
    picture: Mapped[str | None] = column("text", personal=True)
    provider: Mapped[str | None] = column("text", default="google", rule=Choice(("google", "email")))
    provider_id: Mapped[str | None] = column("text", personal=True)
    password_hash: Mapped[str | None] = column("text", personal=True)
    role: Mapped[str | None] = column("text", default="user", rule=Choice(("user", "admin", "moderator")))
    permissions: Mapped[str | None] = column("json", default="[]")
    subscription_status: Mapped[str | None] = column(
        "text", default="free", rule=Choice(("free", "premium", "enterprise"))
    )
    subscription_expires_at: Mapped[int | None] = column("time")
    stripe_customer_id: Mapped[str | None] = column("text", personal=True)
    stripe_subscription_id: Mapped[str | None] = column("text", personal=True)
    bio: Mapped[str | None] = column("text", personal=True)
    timezone: Mapped[str | None] = column("text", default="UTC")
    preferred_language: Mapped[str | None] = column("text", default="en")
    last_login: Mapped[int | None] = column("time")
    login_count: Mapped[int | None] = column("integer", default=0)
    is_active: Mapped[bool | None] = column("boolean", default=True)
    email_verified: Mapped[bool | None] = column("boolean", default=False)
    created_at: Mapped[int | None] = column("time", default=NOW)
    updated_at: Mapped[int | None] = column("time", default=NOW)


class StudySession(Base):
    """One sitting in which a user studies an exam."""

    __tablename__ = "study_sessions"
    __table_args__ = strict(
        index("idx_sessions_exam", "exam_id", serves="foreign key exam_id"),
        index("idx_sessions_activity", "user_id", "last_activity", serves="foreign key user_id; recent activity"),
    )

    id: Mapped[int] = key()
    user_id: Mapped[int] = column("integer", ForeignKey("users.id", ondelete="CASCADE"), required=True)
    exam_id: Mapped[int] = column("integer", ForeignKey("exams.id", ondelete="CASCADE"), required=True)
    mode: Mapped[str | None] = column(
        "text", default="practice", rule=Choice(("practice", "review", "speed_drill", "weak_areas", "custom"))
    )
    objectives: Mapped[str | None] = column("json")
    difficulty_filter: Mapped[str | None] = column("json")
    question_count: Mapped[int | None] = column("integer", default=20)
    total_questions: Mapped[int | None] = column("integer", default=0)
    correct_answers: Mapped[int | None] = column("integer", default=0)
    skipped_questions: Mapped[int | None] = column("integer", default=0)
    flagged_questions: Mapped[int | None] = column("integer", default=0)
    time_spent_seconds: Mapped[int | None] = column("integer", default=0)
    avg_time_per_question: Mapped[float | None] = column("real")
    accuracy: Mapped[float | None] = column("real")
    streak_count: Mapped[int | None] = column("integer", default=0)
    max_streak: Mapped[int | None] = column("integer", default=0)
    objective_scores: Mapped[str | None] = column("json", default="{}")
    status: Mapped[str | None] = column(
        "text", default="active", rule=Choice(("active", "paused", "completed", "abandoned"))
    )
    current_question_id: Mapped[int | None] = column("integer")
    created_at: Mapped[int | None] = column("time", default=NOW)
    last_activity: Mapped[int | None] = column("time", default=NOW)
    completed_at: Mapped[int | None] = column("time")


class TestAttempt(Base):
    """One practice test taken by a user."""

    __tablename__ = "test_attempts"
    __table_args__ = strict(
        index("idx_attempts_user", "user_id", serves="foreign key user_id"),
        index("idx_attempts_exam", "exam_id", serves="foreign key exam_id"),
    )

    id: Mapped[int] = key()
    user_id: Mapped[int] = column("integer", ForeignKey("users.id", ondelete="CASCADE"), required=True)
    exam_id: Mapped[int] = column("integer", ForeignKey("exams.id", ondelete="CASCADE"), required=True)
    question_ids: Mapped[str] = column("json", required=True)
    time_limit_minutes: Mapped[int | None] = column("integer")
    passing_score: Mapped[float | None] = column("real")
    score: Mapped[float | None] = column("real")
    passed: Mapped[bool | None] = column("boolean")
    correct_count: Mapped[int | None] = column("integer")
    incorrect_count: Mapped[int | None] = column("integer")
    skipped_count: Mapped[int | None] = column("integer")
    objective_breakdown: Mapped[str | None] = column("json")
    total_time_seconds: Mapped[int | None] = column("integer")
    time_per_question: Mapped[str | None] = column("json")
    review_enabled: Mapped[bool | None] = column("boolean", default=True)
    certificate_issued: Mapped[bool | None] = column("boolean", default=False)
    status: Mapped[str | None] = column(
        "text", default="in_progress", rule=Choice(("in_progress", "completed", "abandoned", "invalidated"))
    )
    started_at: Mapped[int | None] = column("time", default=NOW)
    completed_at: Mapped[int | None] = column("time")
    expires_at: Mapped[int | None] = column("time")


class UserAnswer(Base):
    """One answer of a user to a question.

    `request_key` is what its sender calls it, so that the same answer sent again is known; NULL where none was given.
    No source has it, and it means nothing there: a way back may leave it out.
    """

    __tablename__ = "user_answers"
    __table_args__ = strict(
        index(
            "idx_answers_user_time",
            "user_id",
            "answered_at",
            serves="foreign key user_id; recently answered, weekly activity, streak",
        ),
        index(
            "idx_answers_question",
            "question_id",
            "user_id",
            "answered_at",
            serves="foreign key question_id; whether a user answered a question lately, and how often",
        ),
        index(
            "idx_answers_session",
            "study_session_id",
            serves="foreign key study_session_id; session progress",
            where="study_session_id IS NOT NULL",
        ),
        index(
            "idx_answers_attempt",
            "test_attempt_id",
            serves="foreign key test_attempt_id",
            where="test_attempt_id IS NOT NULL",
        ),
        index(
            "idx_answers_request",
            "user_id",
            "request_key",
            serves="rule: an answer that is sent again with its key is recorded once",
            unique=True,
            where="request_key IS NOT NULL",
        ),
    )

    id: Mapped[int] = key()
    user_id: Mapped[int] = column("integer", ForeignKey("users.id", ondelete="CASCADE"), required=True)
    question_id: Mapped[int] = column("integer", ForeignKey("questions.id", ondelete="CASCADE"), required=True)
    study_session_id: Mapped[int | None] = column("integer", ForeignKey("study_sessions.id", ondelete="CASCADE"))
    test_attempt_id: Mapped[int | None] = column("integer", ForeignKey("test_attempts.id", ondelete="CASCADE"))
    selected_answer: Mapped[str] = column("text", required=True)
    is_correct: Mapped[bool] = column("boolean", required=True)
    time_spent_seconds: Mapped[int | None] = column("integer")
    confidence_level: Mapped[int | None] = column("integer", rule=Span(1, 5))
    flagged: Mapped[bool | None] = column("boolean", default=False)
    changed_answer: Mapped[bool | None] = column("boolean", default=False)
    attempt_number: Mapped[int | None] = column("integer", default=1)
    days_since_last_seen: Mapped[int | None] = column("integer")
    answered_at: Mapped[int | None] = column("time", default=NOW)
    request_key: Mapped[str | None] = column("text", head_only=True, derived=True)


class UserProgress(Base):
    """What a user has reached in an exam."""

    __tablename__ = "user_progress"
    __table_args__ = strict(
        UniqueConstraint("user_id", "exam_id"),
        index(
            "idx_progress_leaderboard",
            "exam_id",
            "readiness_score DESC",
            "overall_accuracy DESC",
            "user_id",
            serves="leaderboard, rank",
            where="total_questions_seen > 50",
        ),
        index("idx_progress_exam", "exam_id", serves="foreign key exam_id"),
    )

    id: Mapped[int] = key()
    user_id: Mapped[int] = column("integer", ForeignKey("users.id", ondelete="CASCADE"), required=True)
    exam_id: Mapped[int] = column("integer", ForeignKey("exams.id", ondelete="CASCADE"), required=True)
    total_questions_seen: Mapped[int | None] = column("integer", default=0)
    unique_questions_seen: Mapped[int | None] = column("integer", default=0)
    total_correct: Mapped[int | None] = column("integer", default=0)
    total_incorrect: Mapped[int | None] = column("integer", default=0)
    overall_accuracy: Mapped[float | None] = column("real", default=0)
    current_streak: Mapped[int | None] = column("integer", default=0)
    longest_streak: Mapped[int | None] = column("integer", default=0)
    avg_time_per_question: Mapped[float | None] = column("real")
    total_study_minutes: Mapped[int | None] = column("integer", default=0)
    last_study_date: Mapped[str | None] = column("date")
    study_days_count: Mapped[int | None] = column("integer", default=0)
    objective_mastery: Mapped[str | None] = column("json", default="{}")
    readiness_score: Mapped[float | None] = column("real", default=0)
    predicted_exam_score: Mapped[float | None] = column("real")
    confidence_interval: Mapped[float | None] = column("real")
    weak_topics: Mapped[str | None] = column("json", default="[]")
    recommended_objectives: Mapped[str | None] = column("json", default="[]")
    tests_taken: Mapped[int | None] = column("integer", default=0)
    tests_passed: Mapped[int | None] = column("integer", default=0)
    best_score: Mapped[float | None] = column("real", default=0)
    avg_test_score: Mapped[float | None] = column("real", default=0)
    last_test_date: Mapped[str | None] = column("date")
    created_at: Mapped[int | None] = column("time", default=NOW)
    updated_at: Mapped[int | None] = column("time", default=NOW)
