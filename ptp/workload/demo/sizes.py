"""How much a demo source holds, and when it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Shape = Literal["raw", "drizzle"]
SizeName = Literal["tiny", "quick", "full"]

DAY = 86_400

#: The present of every demo source, 2026-06-30 12:00:00 UTC. It is fixed, so that content depends on the seed only.
DEMO_NOW = 1_782_820_800

#: People and activity lie in the two years before DEMO_NOW; only growth metrics reach further back.
DEMO_START = DEMO_NOW - 730 * DAY


@dataclass(frozen=True, kw_only=True)
class Size:
    """Rows of each kind; what hangs on people or exams (objectives, progress) follows from these."""

    exams: int
    questions_per_exam: int
    users: int
    sessions: int
    attempts: int
    answers: int
    accounts: int
    tweets: int
    opportunities: int
    metric_days: int
    generations: int
    audits: int
    voices: int
    text_times: int

    @property
    def questions(self) -> int:
        """All questions of all exams."""
        return self.exams * self.questions_per_exam


#: `tiny` is for tests: every table filled, in a fraction of a second.
SIZES: dict[str, Size] = {
    "tiny": Size(
        exams=1,
        questions_per_exam=300,
        users=20,
        sessions=100,
        attempts=10,
        answers=2_000,
        accounts=5,
        tweets=40,
        opportunities=40,
        metric_days=30,
        generations=100,
        audits=200,
        voices=2,
        text_times=20,
    ),
    "quick": Size(
        exams=2,
        questions_per_exam=10_000,
        users=500,
        sessions=5_000,
        attempts=500,
        answers=100_000,
        accounts=20,
        tweets=2_000,
        opportunities=2_000,
        metric_days=100,
        generations=5_000,
        audits=10_000,
        voices=3,
        text_times=100,
    ),
    "full": Size(
        exams=10,
        questions_per_exam=10_000,
        users=5_000,
        sessions=50_000,
        attempts=5_000,
        answers=1_000_000,
        accounts=200,
        tweets=20_000,
        opportunities=20_000,
        metric_days=1_000,
        generations=50_000,
        audits=100_000,
        voices=5,
        text_times=1_000,
    ),
}
