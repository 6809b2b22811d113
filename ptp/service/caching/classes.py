"""The query classes with a cache before them: what each read depends on, and each write changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Engine, bindparam, select

from ptp.queries import (
    Action,
    Actor,
    AiCost,
    AnalyticsQueries,
    AuditRecord,
    DailyMetrics,
    Entity,
    GrowthDay,
    GrowthMonth,
    NewAnswer,
    NewGeneration,
    Opportunity,
    Progress,
    ProgressQueries,
    QuestionStatistics,
    RecentSession,
    RecordedAnswer,
    Search,
    SessionProgress,
    Standing,
    StudyQueries,
    Totals,
    TwitterQueries,
)
from ptp.queries.arguments import DAY, moment
from ptp.queries.tables import STUDY_SESSIONS, Prepared
from ptp.service.caching.keeping import Keeper
from ptp.service.caching.ledger import Part

ALL = 0
_OWNER = Prepared(select(STUDY_SESSIONS.c.user_id).where(STUDY_SESSIONS.c.id == bindparam("session_id")))


class CachedStudy(StudyQueries):
    """StudyQueries; a draw of questions is never kept."""

    def __init__(self, engine: Engine, keeper: Keeper) -> None:
        """Keep both."""
        super().__init__(engine)
        self._keeper = keeper

    def search_questions(self, words: str, *, exam_id: int | None = None, limit: int = 20) -> Search:
        """As StudyQueries.search_questions."""
        find = super().search_questions
        return self._keeper.ask(
            "search_questions",
            (words, exam_id, limit),
            lambda: find(words, exam_id=exam_id, limit=limit),
            parts=(("questions", ALL),),
        )

    def record_answer(self, answer: NewAnswer, *, now: int | None = None) -> RecordedAnswer:
        """As StudyQueries.record_answer."""
        with self._keeper.writing(*_changed_by((answer,))):
            return super().record_answer(answer, now=now)

    def record_answers(self, answers: Sequence[NewAnswer], *, now: int | None = None) -> tuple[RecordedAnswer, ...]:
        """As StudyQueries.record_answers."""
        with self._keeper.writing(*_changed_by(answers)):
            return super().record_answers(answers, now=now)

    def session_progress(self, *, session_id: int, user_id: int | None = None) -> SessionProgress:
        """As StudyQueries.session_progress; what is in the session already is not written again."""
        count = super().session_progress

        def write() -> SessionProgress:
            with self._keeper.writing(("sessions of", self._owner(session_id) if user_id is None else user_id)):
                return count(session_id=session_id, user_id=user_id)

        found = self._keeper.ask("session_progress", (session_id, user_id), write, parts=(("session", session_id),))
        return found._replace(objective_scores=dict(found.objective_scores))  # the caller's own

    def _owner(self, session_id: int) -> int:
        if not isinstance(session_id, int) or abs(session_id) >= 2**63:
            return ALL  # it will be refused
        with self._engine.connect() as db:
            return int(_OWNER.value(db, {"session_id": session_id}) or ALL)


class CachedProgress(ProgressQueries):
    """ProgressQueries."""

    def __init__(self, engine: Engine, keeper: Keeper) -> None:
        """Keep both."""
        super().__init__(engine)
        self._keeper = keeper

    def user_progress(self, *, user_id: int, exam_id: int, now: int | None = None) -> Progress:
        """As ProgressQueries.user_progress."""
        find = super().user_progress
        return self._keeper.ask(
            "user_progress",
            (user_id, exam_id, now),
            lambda: find(user_id=user_id, exam_id=exam_id, now=now),
            parts=(("answers of", user_id), ("progress of", user_id)),
        )

    def update_progress(
        self,
        *,
        user_id: int,
        exam_id: int,
        questions_seen: int,
        correct: int,
        new_questions: int = 0,
        study_minutes: int = 0,
        now: int | None = None,
    ) -> Totals:
        """As ProgressQueries.update_progress."""
        with self._keeper.writing(("progress of", user_id), ("standing in", exam_id)):
            return super().update_progress(
                user_id=user_id,
                exam_id=exam_id,
                questions_seen=questions_seen,
                correct=correct,
                new_questions=new_questions,
                study_minutes=study_minutes,
                now=now,
            )

    def leaderboard(self, *, exam_id: int, limit: int = 20, now: int | None = None) -> tuple[Standing, ...]:
        """As ProgressQueries.leaderboard."""
        find = super().leaderboard

        def parts(found: tuple[Standing, ...]) -> tuple[Part, ...]:
            # The answers of those on the page only: those of others do not show on it.
            return (("standing in", exam_id), *(("answers of", standing.user_id) for standing in found))

        return self._keeper.ask(
            "leaderboard",
            (exam_id, limit, now),
            lambda: find(exam_id=exam_id, limit=limit, now=now),
            parts=parts,
        )

    def rank(self, *, user_id: int, exam_id: int) -> int | None:
        """As ProgressQueries.rank."""
        find = super().rank
        return self._keeper.ask(
            "rank",
            (user_id, exam_id),
            lambda: find(user_id=user_id, exam_id=exam_id),
            parts=(("standing in", exam_id),),
        )

    def weekly_activity(self, *, user_id: int, exam_id: int, now: int | None = None) -> int:
        """As ProgressQueries.weekly_activity."""
        find = super().weekly_activity
        return self._keeper.ask(
            "weekly_activity",
            (user_id, exam_id, now),
            lambda: find(user_id=user_id, exam_id=exam_id, now=now),
            parts=(("answers of", user_id),),
        )

    def current_streak(self, *, user_id: int, exam_id: int) -> int:
        """As ProgressQueries.current_streak."""
        find = super().current_streak
        return self._keeper.ask(
            "current_streak",
            (user_id, exam_id),
            lambda: find(user_id=user_id, exam_id=exam_id),
            parts=(("answers of", user_id),),
        )

    def recent_activity(self, *, user_id: int, limit: int = 10) -> tuple[RecentSession, ...]:
        """As ProgressQueries.recent_activity."""
        find = super().recent_activity
        return self._keeper.ask(
            "recent_activity",
            (user_id, limit),
            lambda: find(user_id=user_id, limit=limit),
            parts=(("sessions of", user_id),),
        )


class CachedTwitter(TwitterQueries):
    """TwitterQueries."""

    def __init__(self, engine: Engine, keeper: Keeper) -> None:
        """Keep both."""
        super().__init__(engine)
        self._keeper = keeper

    def pending_opportunities(self, *, limit: int = 20) -> tuple[Opportunity, ...]:
        """As TwitterQueries.pending_opportunities."""
        find = super().pending_opportunities
        parts = (("opportunities", ALL),)
        return self._keeper.ask("pending_opportunities", (limit,), lambda: find(limit=limit), parts=parts)

    def record_daily_metrics(self, metrics: DailyMetrics, *, now: int | None = None) -> None:
        """As TwitterQueries.record_daily_metrics."""
        with self._keeper.writing(("growth", ALL)):
            super().record_daily_metrics(metrics, now=now)

    def growth_analytics(self, *, days: int = 30, now: int | None = None) -> tuple[GrowthDay, ...]:
        """As TwitterQueries.growth_analytics; it goes by the day, not by the moment."""
        find, at = super().growth_analytics, moment(now)
        return self._keeper.ask(
            "growth_analytics", (days, at // DAY), lambda: find(days=days, now=at), parts=(("growth", ALL),)
        )

    def net_followers(self, *, months: int = 12, now: int | None = None) -> tuple[GrowthMonth, ...]:
        """As TwitterQueries.net_followers; it goes by the day, not by the moment."""
        find, at = super().net_followers, moment(now)
        return self._keeper.ask(
            "net_followers", (months, at // DAY), lambda: find(months=months, now=at), parts=(("growth", ALL),)
        )


class CachedAnalytics(AnalyticsQueries):
    """AnalyticsQueries; the audit log is never kept."""

    def __init__(self, engine: Engine, keeper: Keeper) -> None:
        """Keep both."""
        super().__init__(engine)
        self._keeper = keeper

    def log_generation(self, generation: NewGeneration, *, now: int | None = None) -> int:
        """As AnalyticsQueries.log_generation."""
        with self._keeper.writing(("generations", ALL)):
            return super().log_generation(generation, now=now)

    def ai_cost_summary(self, *, days: int = 30, now: int | None = None) -> tuple[AiCost, ...]:
        """As AnalyticsQueries.ai_cost_summary; it goes by the day, not by the moment."""
        find, at = super().ai_cost_summary, moment(now)
        return self._keeper.ask(
            "ai_cost_summary", (days, at // DAY), lambda: find(days=days, now=at), parts=(("generations", ALL),)
        )

    def change(
        self,
        *,
        entity: Entity,
        action: Action,
        entity_id: int | None = None,
        values: Mapping[str, Any] | None = None,
        actor: Actor,
        now: int | None = None,
    ) -> AuditRecord:
        """As AnalyticsQueries.change. It is rare, and reaches far: what refers to a row goes with it."""
        with self._keeper.writing_anything():
            return super().change(
                entity=entity, action=action, entity_id=entity_id, values=values, actor=actor, now=now
            )

    def question_analytics(self, *, exam_id: int, limit: int = 100) -> tuple[QuestionStatistics, ...]:
        """As AnalyticsQueries.question_analytics."""
        find = super().question_analytics
        return self._keeper.ask(
            "question_analytics",
            (exam_id, limit),
            lambda: find(exam_id=exam_id, limit=limit),
            parts=(("statistics", ALL),),
        )


def _changed_by(answers: Sequence[NewAnswer]) -> list[Part]:
    """What a batch changes; one that is no batch of answers is refused, and changes nothing."""
    given = [a for a in answers if isinstance(a, NewAnswer)] if isinstance(answers, Sequence) else []
    users = {("answers of", answer.user_id) for answer in given}
    sessions = {("session", a.study_session_id) for a in given if a.study_session_id is not None}
    return [*users, *sessions, ("statistics", ALL)]
