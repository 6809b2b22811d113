"""The limits of PingToPass: how long each query may take at its 95th percentile, and which gates a run must have."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

Profile: TypeAlias = Literal["quick", "full"]

STUDY_MS = 50.0
RECORD_MS = 100.0
READ_MS = 150.0
"""Of every query that is neither a draw of questions nor the recording of an answer."""

LIMITS_MS: Mapping[str, float] = MappingProxyType(
    {
        "study_questions": STUDY_MS,
        "study_questions_filtered": STUDY_MS,
        "study_questions_speed_drill": STUDY_MS,
        "study_questions_weak_areas": STUDY_MS,
        "record_answer": RECORD_MS,
        "record_answers_50": RECORD_MS,
        "session_progress": READ_MS,
        "user_progress": READ_MS,
        "update_progress": READ_MS,
        "leaderboard": READ_MS,
        "rank": READ_MS,
        "weekly_activity": READ_MS,
        "current_streak": READ_MS,
        "recent_activity": READ_MS,
        "pending_opportunities": READ_MS,
        "record_daily_metrics": READ_MS,
        "growth_analytics": READ_MS,
        "net_followers": READ_MS,
        "ai_cost_summary": READ_MS,
        "question_analytics": READ_MS,
    }
)
"""The p95 limit in ms by the name of the case."""

_BENCHMARK = ("bench.harness", *(f"bench.{name}" for name in LIMITS_MS))

REQUIRED: Mapping[Profile, tuple[str, ...]] = MappingProxyType({"quick": _BENCHMARK, "full": _BENCHMARK})
"""The gates of the benchmark without which a run is invalid, by profile: the same for both, only `n` differs."""
