"""What each query of the workload ought to have returned or written, worked out from the base tables.

An oracle follows the meanings and formulas that the queries are specified by, in plain SQL and Python. It shares no
code with `ptp.queries`, and reads no table that is derived from others: what these hold is among what it judges.

Every call is checked, after its clock stopped; none is sampled. A query that only reads and whose outcome follows from
its arguments is worked out once for each different argument; while nobody has written, a later outcome is right when
it equals the one that was. A query that writes is checked against what was there before: that is read when the
workload is made, and after each call, so each of its calls has to be checked before the next one is made.

What a check reads between two calls warms the system's cache of the file for the next call, and cools the
processor's. It does so after every call of a query alike, the ones that warm up included, so that no sample has an
advantage over another; most of what an oracle keeps, it reads after the first of these. It reads on a connection
of its own: the cache of the connection that the queries use holds nothing but what they have read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Engine

from ptp.workload.draws import (
    Batches,
    Drawn,
    changed_values,
    changer,
    metrics_of,
    new_answer,
    new_generation,
    sitting,
)
from ptp.workload.oracles import administration, drawing, generations, progress, searching, sessions, totals, twitter
from ptp.workload.oracles.recording import Answers
from ptp.workload.oracles.witness import Check, Witness

__all__ = ["Check", "oracles_of"]


def oracles_of(engine: Engine, draws: Sequence[Drawn], batches: Batches, *, now: int) -> Mapping[str, Check]:
    """The check of each query of the workload on these draws, by the query's name; the present is `now`.

    What the queries are going to change is read at once. The checks work on the file that the engine is on, as long
    as the engine is not disposed of.
    """
    witness = Witness(engine)
    with witness.reading():
        return {
            **_reads(witness, draws, now=now),
            **_writes(witness, draws, batches, now=now),
        }


def _reads(witness: Witness, draws: Sequence[Drawn], *, now: int) -> Mapping[str, Check]:
    return {
        "study_questions": drawing.drawing(witness, now=now),
        "study_questions_filtered": drawing.drawing(witness, now=now, wanted=drawing.of_middle),
        "study_questions_speed_drill": drawing.drawing(witness, now=now, order="easiest"),
        "study_questions_weak_areas": drawing.drawing(witness, now=now, order="weakest"),
        "search_questions": searching.searching(witness, searches=[d.words for d in draws]),
        "user_progress": progress.progress(witness, now=now),
        "leaderboard": progress.leaderboard(witness, now=now),
        "rank": progress.rank(witness),
        "weekly_activity": progress.weekly_activity(witness, now=now),
        "current_streak": progress.streak(witness),
        "recent_activity": progress.recent_sessions(witness),
        "pending_opportunities": twitter.pending(witness),
        "growth_analytics": twitter.growth(witness, now=now),
        "net_followers": twitter.net_followers(witness, now=now),
        "ai_cost_summary": generations.costs(witness, now=now),
        "question_analytics": administration.hardest(witness),
        "audit_trail": administration.trail(witness, now=now),
        "change_history": administration.history(witness),
    }


def _writes(witness: Witness, draws: Sequence[Drawn], batches: Batches, *, now: int) -> Mapping[str, Check]:
    asked = {d.question_id for d in draws}
    answers = Answers(witness, keys=asked | batches.question_ids, now=now)
    pairs = {(d.user_id, d.exam_id) for d in draws}
    return {
        "record_answer": answers.recording_one(new_answer),
        "record_answers_50": answers.recording(batches),
        "session_progress": sessions.counting(witness, keys={d.session_id for d in draws if d.session_id is not None}),
        "update_progress": totals.adding(witness, pairs=pairs, sitting=sitting, now=now),
        "record_daily_metrics": twitter.writing_a_day(witness, metrics=lambda d: metrics_of(d, now=now), now=now),
        "log_generation": generations.logging(witness, generation=new_generation, now=now),
        "change": administration.changing(witness, keys=asked, values=changed_values, actor=changer, now=now),
    }
