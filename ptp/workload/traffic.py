"""The traffic that PingToPass declares: how often each query is called in a month, and why so often.

It is what costs and advice about indexes are counted with, and stands here alone: whoever expects other traffic
changes these numbers. None of it was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ptp.engine.prices import Tariff
from ptp.workload.draws import BATCH

TARIFF = "Scaler"
"""The tariff by whose prices rows are told in $: the cheapest one that includes all of this traffic."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How often a query is called in a month, and the reason in words."""

    calls: float
    reason: str


@dataclass(frozen=True, slots=True)
class Traffic:
    """Who uses the platform in a month, and how much: all calls follow from these."""

    users: int = 20_000
    sessions_per_user: int = 12
    questions_per_session: int = 20
    days: int = 30
    staff_visits_per_day: int = 20
    changes_per_day: int = 50
    opportunities_per_day: int = 96

    @property
    def sessions(self) -> int:
        """Study sessions a month."""
        return self.users * self.sessions_per_user

    @property
    def answers(self) -> int:
        """Questions answered a month."""
        return self.sessions * self.questions_per_session

    @property
    def rates(self) -> Mapping[str, Rate]:
        """How often each query is called in a month, by its name."""
        return self._study() | self._progress() | self._staff()

    def _study(self) -> dict[str, Rate]:
        s, a = self.sessions, self.answers
        return {
            "study_questions": Rate(0.6 * s, "six of ten sessions practise an exam as a whole"),
            "study_questions_filtered": Rate(0.2 * s, "two of ten sessions choose objectives and levels"),
            "study_questions_speed_drill": Rate(0.1 * s, "one of ten sessions is a speed drill"),
            "study_questions_weak_areas": Rate(0.1 * s, "one of ten sessions is on weak areas"),
            "search_questions": Rate(0.1 * s, "one of ten sessions begins with a search"),
            "record_answer": Rate(0.8 * a, "eight of ten answers are sent as they are given"),
            "record_answers_50": Rate(0.2 * a / BATCH, "two of ten answers are sent in batches, after a time offline"),
            "session_progress": Rate(s, "once at the end of each session"),
            "log_generation": Rate(0.02 * a, "one of fifty answers asks an AI model for an explanation"),
        }

    def _progress(self) -> dict[str, Rate]:
        s = self.sessions
        return {
            "user_progress": Rate(2 * s, "before and after each session"),
            "update_progress": Rate(s, "once at the end of each session"),
            "leaderboard": Rate(0.5 * s, "after every other session"),
            "rank": Rate(0.5 * s, "with the leaderboard"),
            "weekly_activity": Rate(s, "on the page that a session begins with"),
            "current_streak": Rate(s, "on the page that a session begins with"),
            "recent_activity": Rate(s, "on the page that a session begins with"),
        }

    def _staff(self) -> dict[str, Rate]:
        visits, day = self.days * self.staff_visits_per_day, self.days
        return {
            "pending_opportunities": Rate(day * self.opportunities_per_day, "every 15 minutes"),
            "record_daily_metrics": Rate(day, "once a day"),
            "growth_analytics": Rate(visits, "once a visit of the staff"),
            "net_followers": Rate(visits, "once a visit of the staff"),
            "ai_cost_summary": Rate(visits, "once a visit of the staff"),
            "question_analytics": Rate(5 * visits, "five exams a visit of the staff"),
            "audit_trail": Rate(visits, "once a visit of the staff"),
            "change_history": Rate(day * self.changes_per_day, "once before each change"),
            "change": Rate(day * self.changes_per_day, "questions corrected a day"),
        }


TRAFFIC = Traffic()
"""What is declared: 20,000 users with 12 sessions of 20 questions a month."""


def month_dollars(query: str, tariff: Tariff, *, read: float, written: float, traffic: Traffic = TRAFFIC) -> float:
    """What a month of a query costs in $, of so many billed rows read and written a call; raises ValueError.

    Each row has its price, as if what the tariff includes were used up: so costs of queries can be added up, and
    what is saved is what a row less is worth. ValueError: the tariff has no known price for rows.
    """
    calls = traffic.rates[query].calls
    dollars = tariff.dollars(calls * read, calls * written)
    if dollars is None:
        raise ValueError(f"The tariff {tariff.name} has no known price for a row.")
    return dollars


def month_rows(billed: Mapping[str, tuple[float, float]], *, traffic: Traffic = TRAFFIC) -> tuple[float, float]:
    """The rows read and written in a month, from those of a call of each query."""
    rates = traffic.rates
    read = sum(rates[name].calls * rows for name, (rows, _) in billed.items())
    return read, sum(rates[name].calls * rows for name, (_, rows) in billed.items())
