"""The limits of PingToPass: how long a query may take, alone and beside its floor, and which gates a run must have."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

from ptp.benchmark.floors import Bound

Profile: TypeAlias = Literal["quick", "full"]

Measure: TypeAlias = Literal["all", "times"]
"""How much is measured: everything, or the times against their limits alone."""

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
        "search_questions": READ_MS,
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
        "log_generation": READ_MS,
        "question_analytics": READ_MS,
        "audit_trail": READ_MS,
        "change_history": READ_MS,
        "change": READ_MS,
    }
)
"""The p95 limit in ms by the name of the case."""

SELF_CHECKS = ("self.clock", "self.cost", "self.null", "self.same", "self.stall")
"""What the harness must show of itself in every run."""

_BENCHMARK = (*SELF_CHECKS, *(f"bench.{name}" for name in LIMITS_MS))

REQUIRED: Mapping[Profile, tuple[str, ...]] = MappingProxyType({"quick": _BENCHMARK, "full": _BENCHMARK})
"""The gates of the benchmark without which a run is invalid, by profile: the same for both, only `n` differs."""

STUDY_FLOOR = Bound(ratio=4.0)
OTHER_FLOOR = Bound(ratio=2.5, within_us=150.0)
FILTERED = "study_questions_filtered"
FILTERED_TO_PLAIN = "study_questions_filtered_to_plain"
BATCH_TO_SINGLE = "record_answers_50_to_single"

FLOORS: Mapping[str, Bound | None] = MappingProxyType(
    {
        **dict.fromkeys(LIMITS_MS, OTHER_FLOOR),
        "study_questions": STUDY_FLOOR,
        FILTERED: None,  # told beside its floor, judged beside the plain draw
        FILTERED_TO_PLAIN: Bound(ratio=3.0),
        BATCH_TO_SINGLE: Bound(ratio=1 / 3),
    }
)
"""How many times its floor the p50 of a call may take; of the last two, the floor is another call, or 50 of one."""

WORK_LIMITS: Mapping[tuple[str, str], int] = MappingProxyType(
    {("study_questions", "vm_steps"): 1_500, ("record_answer", "statements"): 4}
)
"""How much of a counter of `ptp.engine.meters` each call of a query may take."""
