"""Exams, their objectives and their questions."""

from __future__ import annotations

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped

from ptp.conversions import Choice, Span
from ptp.schema.columns import NOW, Base, column, index, key, strict

SUCCESS_RATE = "correct_attempts * 1.0 / total_attempts"
"""The success rate of a question as SQL; NULL where nothing was attempted. Indexes know it by these very words."""


class Exam(Base):
    """An IT certification exam."""

    __tablename__ = "exams"
    __table_args__ = strict(UniqueConstraint("vendor_id", "code"))

    id: Mapped[int] = key()
    vendor_id: Mapped[str] = column("text", required=True)
    code: Mapped[str] = column("text", required=True)
    name: Mapped[str] = column("text", required=True)
    description: Mapped[str | None] = column("text")
    passing_score: Mapped[float | None] = column("real", default=0.65, rule=Span(0, 1))
    question_count: Mapped[int | None] = column("integer", default=65)
    time_limit_minutes: Mapped[int | None] = column("integer", default=90)
    version: Mapped[str | None] = column("text")
    expires_at: Mapped[int | None] = column("time")
    difficulty_level: Mapped[int | None] = column("integer", default=3, rule=Span(1, 5))
    prerequisites: Mapped[str | None] = column("json")
    price_cents: Mapped[int | None] = column("integer", default=0)
    is_active: Mapped[bool | None] = column("boolean", default=True)
    is_beta: Mapped[bool | None] = column("boolean", default=False)
    total_attempts: Mapped[int | None] = column("integer", default=0)
    pass_rate: Mapped[float | None] = column("real", default=0)
    avg_score: Mapped[float | None] = column("real", default=0)
    created_at: Mapped[int | None] = column("time", default=NOW)
    updated_at: Mapped[int | None] = column("time", default=NOW)


class Objective(Base):
    """A learning objective of an exam; objectives form a tree."""

    __tablename__ = "objectives"
    __table_args__ = strict(
        index("idx_objectives_exam", "exam_id", serves="foreign key exam_id"),
        index(
            "idx_objectives_parent",
            "parent_id",
            serves="foreign key parent_id",
            where="parent_id IS NOT NULL",
        ),
    )

    id: Mapped[int] = key()
    exam_id: Mapped[int] = column("integer", ForeignKey("exams.id", ondelete="CASCADE"), required=True)
    code: Mapped[str] = column("text", required=True)
    name: Mapped[str] = column("text", required=True)
    description: Mapped[str | None] = column("text")
    weight: Mapped[float | None] = column("real", default=0.25, rule=Span(0, 1))
    question_percentage: Mapped[float | None] = column("real")
    parent_id: Mapped[int | None] = column("integer", ForeignKey("objectives.id", ondelete="CASCADE"))
    sort_order: Mapped[int | None] = column("integer", default=0)
    is_active: Mapped[bool | None] = column("boolean", default=True)
    created_at: Mapped[int | None] = column("time", default=NOW)


class Question(Base):
    """An exam question with its statistics.

    `total_time_seconds` is what `avg_time_seconds` is the rounded mean of, so that a mean can be kept exactly: it is
    NULL, and the mean times the attempts, until ptp has recorded an answer. No source has it.
    """

    __tablename__ = "questions"
    __table_args__ = strict(
        index("idx_questions_exam", "exam_id", serves="foreign key exam_id; search without FTS5"),
        index(
            "idx_questions_hardest",
            "exam_id",
            SUCCESS_RATE,
            serves="question analytics, hardest first",
            where="total_attempts > 10",
        ),
        index("idx_questions_objective", "objective_id", serves="foreign key objective_id"),
        index(
            "idx_questions_reviewer",
            "reviewed_by",
            serves="foreign key reviewed_by",
            where="reviewed_by IS NOT NULL",
        ),
        index(
            "idx_questions_weak",
            "exam_id",
            "objective_id",
            "difficulty",
            SUCCESS_RATE,
            serves="study questions of weak_areas: each cell by success",
            where=f"is_active = 1 AND review_status = 'approved' AND {SUCCESS_RATE} IS NOT NULL",
        ),
    )

    id: Mapped[int] = key()
    exam_id: Mapped[int] = column("integer", ForeignKey("exams.id", ondelete="CASCADE"), required=True)
    objective_id: Mapped[int] = column("integer", ForeignKey("objectives.id", ondelete="CASCADE"), required=True)
    text: Mapped[str] = column("text", required=True)
    type: Mapped[str | None] = column(
        "text",
        default="multiple_choice",
        rule=Choice(("multiple_choice", "multi_select", "true_false", "drag_drop", "hotspot")),
    )
    answers: Mapped[str] = column("json", required=True)
    explanation: Mapped[str | None] = column("text")
    reference: Mapped[str | None] = column("text")
    external_link: Mapped[str | None] = column("text")
    difficulty: Mapped[int | None] = column("integer", default=3, rule=Span(1, 5))
    tags: Mapped[str | None] = column("json", default="[]")
    ai_generated: Mapped[bool | None] = column("boolean", default=False)
    ai_model: Mapped[str | None] = column("text")
    ai_prompt_version: Mapped[str | None] = column("text")
    ai_confidence_score: Mapped[float | None] = column("real")
    review_status: Mapped[str | None] = column(
        "text", default="pending", rule=Choice(("pending", "approved", "rejected", "needs_revision"))
    )
    reviewed_by: Mapped[int | None] = column("integer", ForeignKey("users.id", ondelete="SET NULL"))
    reviewed_at: Mapped[int | None] = column("time")
    total_attempts: Mapped[int | None] = column("integer", default=0)
    correct_attempts: Mapped[int | None] = column("integer", default=0)
    avg_time_seconds: Mapped[int | None] = column("integer", default=0)
    discrimination_index: Mapped[float | None] = column("real")
    image_url: Mapped[str | None] = column("text")
    diagram_data: Mapped[str | None] = column("json")
    is_active: Mapped[bool | None] = column("boolean", default=True)
    is_beta: Mapped[bool | None] = column("boolean", default=False)
    created_at: Mapped[int | None] = column("time", default=NOW)
    updated_at: Mapped[int | None] = column("time", default=NOW)
    total_time_seconds: Mapped[int | None] = column("integer", head_only=True, derived=True)
