"""What the API is asked, and what each call asks the database: one query each. And which tables grow with use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ptp.workload.traffic import Traffic


@dataclass(frozen=True, slots=True)
class ApiCall:
    """A route of the API, and the query that it runs, by the name of its case; one route may stand for several."""

    route: str
    query: str
    writes: bool = False


API_CALLS: tuple[ApiCall, ...] = (
    ApiCall("GET /api/study/questions", "study_questions"),
    ApiCall("GET /api/study/questions", "study_questions_filtered"),
    ApiCall("GET /api/study/questions", "study_questions_speed_drill"),
    ApiCall("GET /api/study/questions", "study_questions_weak_areas"),
    ApiCall("GET /api/search", "search_questions"),
    ApiCall("POST /api/study/answers", "record_answer", writes=True),
    ApiCall("POST /api/study/answers", "record_answers_50", writes=True),
    ApiCall("PATCH /api/study/sessions/{session_id}/progress", "session_progress", writes=True),
    ApiCall("GET /api/progress/{exam_id}", "user_progress"),
    ApiCall("GET /api/leaderboard/{exam_id}", "leaderboard"),
    ApiCall("GET /api/opportunities", "pending_opportunities"),
    ApiCall("GET /api/growth", "growth_analytics"),
    ApiCall("GET /api/ai/costs", "ai_cost_summary"),
)
"""What users and administrators ask; health and metrics, which ask nothing of the database's rows, are left out."""

WRITERS = frozenset(
    (
        *(one.query for one in API_CALLS if one.writes),
        *("update_progress", "record_daily_metrics", "log_generation", "change"),
    )
)
"""The queries that write: no cache and no replica answers them."""


def new_rows(traffic: Traffic) -> Mapping[str, float]:
    """How many rows a month adds to each table that grows with use."""
    rates = traffic.rates
    return MappingProxyType(
        {
            "user_answers": float(traffic.answers),
            "study_sessions": float(traffic.sessions),
            "ai_generation_log": rates["log_generation"].calls,
            "audit_log": rates["change"].calls,
        }
    )
