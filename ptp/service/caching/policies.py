"""Which queries are kept, for how long, and what a reader may see that is no longer so: all of it data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

STUDY_TTL_S = 300.0
SESSION_TTL_S = 300.0
PROGRESS_TTL_S = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How one query is kept: `ttl_s` is the longest life of a value, the others how long after a commit it may be old.

    All in seconds. `window_s`: where a query counts back from the present moment, a kept value's window ends up to so
    much earlier. `unlogged_s`: after a commit by a program that is none of the service's workers.
    """

    ttl_s: float
    reason: str
    own_writes_s: float = 0.0
    same_worker_s: float = 0.0
    other_workers_s: float = 0.0
    unlogged_s: float = 0.0
    window_s: float = 0.0


POLICIES: Mapping[str, Policy] = MappingProxyType(
    {
        "search_questions": Policy(ttl_s=STUDY_TTL_S, reason="questions change seldom, and the same words come often"),
        "session_progress": Policy(ttl_s=SESSION_TTL_S, reason="asked again without a new answer, it writes the same"),
        "user_progress": Policy(
            ttl_s=PROGRESS_TTL_S, window_s=PROGRESS_TTL_S, reason="only the user's own writes change it"
        ),
        "weekly_activity": Policy(
            ttl_s=PROGRESS_TTL_S, window_s=PROGRESS_TTL_S, reason="only the user's own answers change it"
        ),
        "current_streak": Policy(ttl_s=PROGRESS_TTL_S, reason="only the user's own answers change it"),
        "recent_activity": Policy(ttl_s=SESSION_TTL_S, reason="only the user's own sessions change it"),
        "rank": Policy(ttl_s=PROGRESS_TTL_S, reason="totals change once a sitting"),
        "leaderboard": Policy(ttl_s=60.0, window_s=60.0, reason="all users of an exam see the same page"),
        "pending_opportunities": Policy(ttl_s=300.0, reason="a job writes them, a few times an hour"),
        "growth_analytics": Policy(ttl_s=3_600.0, reason="one row a day"),
        "net_followers": Policy(ttl_s=3_600.0, reason="one row a day"),
        "ai_cost_summary": Policy(ttl_s=300.0, reason="written when a model is called, read by administrators"),
        "question_analytics": Policy(ttl_s=300.0, reason="read by administrators; every answer outdates it"),
    }
)
"""By the name of the method. A commit outdates at once what it changes, whoever makes it and whoever asks."""

NOT_KEPT: Mapping[str, str] = MappingProxyType(
    {
        "study_questions": "a random draw: two calls must differ",
        "audit_trail": "a record of what happened is read from where it stands",
        "change_history": "a record of what happened is read from where it stands",
    }
)
"""The queries that only read and are never kept, and why."""
