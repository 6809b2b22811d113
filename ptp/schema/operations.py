"""What is kept for cost control and compliance."""

from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped

from ptp.schema.columns import NOW, Base, column, index, key, strict


class AiGeneration(Base):
    """One call of an AI model and what it cost."""

    __tablename__ = "ai_generation_log"
    __table_args__ = strict(
        index(
            "idx_ai_log_created",
            "created_at",
            serves="rule: a trigger counts a day's calls anew when one of them is changed or removed",
        ),
        index("idx_ai_log_user", "user_id", serves="foreign key user_id", where="user_id IS NOT NULL"),
        index("idx_ai_log_exam", "exam_id", serves="foreign key exam_id", where="exam_id IS NOT NULL"),
        index(
            "idx_ai_log_objective",
            "objective_id",
            serves="foreign key objective_id",
            where="objective_id IS NOT NULL",
        ),
    )

    id: Mapped[int] = key()
    purpose: Mapped[str] = column("text", required=True)
    model: Mapped[str] = column("text", required=True)
    prompt_tokens: Mapped[int | None] = column("integer")
    completion_tokens: Mapped[int | None] = column("integer")
    total_tokens: Mapped[int | None] = column("integer")
    cost_cents: Mapped[float | None] = column("real")
    exam_id: Mapped[int | None] = column("integer", ForeignKey("exams.id", ondelete="SET NULL"))
    objective_id: Mapped[int | None] = column("integer", ForeignKey("objectives.id", ondelete="SET NULL"))
    question_ids: Mapped[str | None] = column("json")
    tweet_id: Mapped[str | None] = column("text")
    opportunity_id: Mapped[str | None] = column("text")
    success: Mapped[bool | None] = column("boolean", default=True)
    error_message: Mapped[str | None] = column("text")
    generation_time_ms: Mapped[int | None] = column("integer")
    request_id: Mapped[str | None] = column("text")
    user_id: Mapped[int | None] = column("integer", ForeignKey("users.id", ondelete="SET NULL"))
    ip_address: Mapped[str | None] = column("text", personal=True)
    user_agent: Mapped[str | None] = column("text", personal=True)
    created_at: Mapped[int | None] = column("time", default=NOW)


class AuditEntry(Base):
    """One administrative change, kept for compliance."""

    __tablename__ = "audit_log"
    __table_args__ = strict(
        index("idx_audit_created", "created_at", serves="audit trail, newest first"),
        index("idx_audit_entity", "entity_type", "entity_id", serves="history of one exam, question or user"),
        index("idx_audit_user", "user_id", serves="foreign key user_id", where="user_id IS NOT NULL"),
    )

    id: Mapped[int] = key()
    user_id: Mapped[int | None] = column("integer", ForeignKey("users.id", ondelete="SET NULL"))
    ip_address: Mapped[str | None] = column("text", personal=True)
    user_agent: Mapped[str | None] = column("text", personal=True)
    session_id: Mapped[str | None] = column("text", personal=True)
    action: Mapped[str] = column("text", required=True)
    entity_type: Mapped[str | None] = column("text")
    entity_id: Mapped[str | None] = column("text")
    old_values: Mapped[str | None] = column("json", personal=True)
    new_values: Mapped[str | None] = column("json", personal=True)
    details: Mapped[str | None] = column("json", name="metadata")
    request_id: Mapped[str | None] = column("text")
    method: Mapped[str | None] = column("text")
    path: Mapped[str | None] = column("text")
    success: Mapped[bool | None] = column("boolean", default=True)
    error_code: Mapped[str | None] = column("text")
    error_message: Mapped[str | None] = column("text")
    created_at: Mapped[int | None] = column("time", default=NOW)
