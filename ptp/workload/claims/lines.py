"""The claims as data: each line of the table of what was claimed, cell for cell, and where ptp measures it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Claim:
    """One line: the cells as they are written, empty where the table says nothing.

    `query` is the name of the query that does it, empty where one call of one caller cannot show it; then
    `measured_by` says what does.
    """

    operation: str
    limit: str = ""
    before: str = ""
    after: str = ""
    gain: str = ""
    plain: str = ""
    optimised: str = ""
    query: str = ""
    measured_by: str = ""

    @property
    def limit_ms(self) -> float | None:
        """The limit in ms; None where it is of something else."""
        return _milliseconds(self.limit)

    @property
    def before_ms(self) -> float | None:
        """What the old way was claimed to take, in ms."""
        return _milliseconds(self.before)

    @property
    def after_ms(self) -> float | None:
        """What the new way was claimed to take, in ms."""
        return _milliseconds(self.after)

    @property
    def gain_times(self) -> float | None:
        """How many times better it was claimed to become."""
        return float(self.gain.removesuffix("x")) if self.gain else None

    @property
    def seen_when_run(self) -> str:
        """What the code behind the claim did when it was run, in a sentence; empty where that is not known."""
        parts = [f"{what}: {cell}" for what, cell in (("plain", self.plain), ("optimised", self.optimised)) if cell]
        return f"The claimant's own code, when run, {'; '.join(parts)}." if parts else ""


def _milliseconds(cell: str) -> float | None:
    found = _NUMBER.match(cell)
    return float(found[0]) if found and cell.endswith(" ms") else None


_LOAD = "ptp load measures it"
_SCALE = "ptp scale models it"
_NOT_RUN = "does not run: no such column"

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "study questions", "50 ms", "180 ms", "25 ms", "7.2x", "5.9 ms", "23.3 ms (4x slower)",
        query="study_questions",
    ),
    Claim("record answer", "100 ms", "250 ms", "75 ms", "3.3x", "2.5 ms", "2.2 ms", query="record_answer"),
    Claim(
        "session progress", "150 ms", "400 ms", "100 ms", "4.0x", "3.3 ms", "does not run: nested aggregate",
        query="session_progress",
    ),
    Claim("leaderboard", "150 ms", "320 ms", "60 ms", "5.3x", "2.0 ms", "1.2 ms", query="leaderboard"),
    Claim("user progress", "150 ms", plain="1.0 ms", optimised="2.8 ms (max 18)", query="user_progress"),
    Claim(
        "pending opportunities", "150 ms", "280 ms", "80 ms", "3.5x", "11.3 ms", _NOT_RUN,
        query="pending_opportunities",
    ),
    Claim(
        "growth analytics, 400 days", "150 ms", "280 ms", "80 ms", "3.5x", "13.2 ms", "10.3 ms",
        query="growth_analytics",
    ),
    Claim("AI cost summary", "150 ms", plain=_NOT_RUN, query="ai_cost_summary"),
    Claim("question analytics", "150 ms", plain=_NOT_RUN, query="question_analytics"),
    Claim(
        "global p95 response", "200 ms", "600 ms", "150 ms", "4.0x", "not measurable on one machine: model it",
        measured_by=_SCALE,
    ),
    Claim("concurrent users", "1000+", "200", "1000+", "5x", measured_by=_LOAD),
    Claim("requests per second", "", "50", "250+", "5x", measured_by=_LOAD),
    Claim("error rate under load", "< 1 %", "8 %", "< 1 %", "8x", measured_by=_LOAD),
    Claim("database cost", "$50 a month", after="40 % less", measured_by=_SCALE),
)  # fmt: skip
"""Every line, in the order of the table."""

BY_QUERY = {claim.query: claim for claim in CLAIMS if claim.query}
"""The lines that calls of one query can be held to, by its name."""
