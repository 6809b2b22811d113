"""The tables `study_sessions`, `test_attempts` and `user_answers`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from ptp.workload.demo.activity import ATTEMPT_STATUSES, MODES, SESSION_STATUSES, Answers, Sittings
from ptp.workload.demo.arrays import Groups, Ints, optional, picked, stream
from ptp.workload.demo.content import CHOICES, Content
from ptp.workload.demo.sizes import Size
from ptp.workload.demo.tables import Table, moments, span
from ptp.workload.demo.totals import AttemptResults, SittingTotals

_SESSION_COLUMNS = (
    "id", "user_id", "exam_id", "mode", "objectives", "difficulty_filter", "question_count", "total_questions",
    "correct_answers", "skipped_questions", "flagged_questions", "time_spent_seconds", "avg_time_per_question",
    "accuracy", "streak_count", "max_streak", "objective_scores", "status", "current_question_id", "created_at",
    "last_activity", "completed_at",
)  # fmt: skip
_ATTEMPT_COLUMNS = (
    "id", "user_id", "exam_id", "question_ids", "time_limit_minutes", "passing_score", "score", "passed",
    "correct_count", "incorrect_count", "skipped_count", "objective_breakdown", "total_time_seconds",
    "time_per_question", "review_enabled", "certificate_issued", "status", "started_at", "completed_at",
    "expires_at",
)  # fmt: skip
_ANSWER_COLUMNS = (
    "id", "user_id", "question_id", "study_session_id", "test_attempt_id", "selected_answer", "is_correct",
    "time_spent_seconds", "confidence_level", "flagged", "changed_answer", "attempt_number",
    "days_since_last_seen", "answered_at",
)  # fmt: skip


def sessions_table(sittings: Sittings, *, totals: SittingTotals) -> Table:
    """The table `study_sessions`."""

    def columns_of(part: slice) -> Sequence[Sequence[Any]]:
        size, correct, status = sittings.size[part], totals.correct[part], sittings.status[part]
        mode, some, finished = sittings.mode[part], sittings.size[part] > 0, sittings.status[part] == 0
        answered = np.maximum(size, 1)
        rows = range(part.start, part.stop)
        studied = [json.dumps([i for i, _ in totals.scores.of(row)]) for row in rows]
        return (
            span(part, first=1),
            (sittings.user[part] + 1).tolist(),
            (sittings.exam[part] + 1).tolist(),
            picked(MODES, mode),
            optional(studied, mode >= 3),
            optional(['{"min": 1, "max": 5}'] * len(size), mode == 4),
            sittings.asked[part].tolist(),
            size.tolist(),
            correct.tolist(),
            np.where(finished, sittings.asked[part] - size, 0).tolist(),
            totals.flagged[part].tolist(),
            totals.seconds[part].tolist(),
            optional(totals.seconds[part] / answered, some),
            optional(correct / answered, some),
            totals.streak[part].tolist(),
            totals.longest_streak[part].tolist(),
            [totals.scores.as_json(row) for row in rows],
            picked(SESSION_STATUSES, status),
            optional(totals.last_question[part], (status >= 2) & some),
            sittings.started[part].tolist(),
            totals.ended[part].tolist(),
            optional(totals.ended[part], finished),
        )

    return Table(name="study_sessions", rows=sittings.sessions, columns=_SESSION_COLUMNS, columns_of=columns_of)


def attempts_table(
    sittings: Sittings,
    *,
    totals: SittingTotals,
    results: AttemptResults,
    answers: Answers,
    content: Content,
    size: Size,
) -> Table:
    """The table `test_attempts`: score, passed and skipped_count are known of completed attempts only."""
    seconds = _seconds_per_attempt(answers, first=sittings.sessions, count=len(results.score))

    def columns_of(part: slice) -> Sequence[Sequence[Any]]:
        here = slice(part.start + sittings.sessions, part.stop + sittings.sessions)
        exam, asked, done = sittings.exam[here], sittings.asked[here], results.completed[part]
        rows, limit = range(here.start, here.stop), content.exams.limit_minutes[exam]
        return (
            span(part, first=1),
            (sittings.user[here] + 1).tolist(),
            (exam + 1).tolist(),
            [json.dumps(_questions_asked(sittings, row, size=size)) for row in rows],
            limit.tolist(),
            content.exams.passing_score[exam].tolist(),
            optional(results.score[part], done),
            optional(results.passed[part].astype(np.int64), done),
            totals.correct[here].tolist(),
            (sittings.size[here] - totals.correct[here]).tolist(),
            optional(asked - sittings.size[here], done),
            [totals.scores.as_json(row) for row in rows],
            totals.seconds[here].tolist(),
            [json.dumps(times.tolist()) for times in seconds[part]],
            [1] * len(asked),
            (done & results.passed[part]).astype(np.int64).tolist(),
            picked(ATTEMPT_STATUSES, sittings.status[here]),
            sittings.started[here].tolist(),
            optional(totals.ended[here], done | (sittings.status[here] == 3)),
            (sittings.started[here] + limit * 60).tolist(),
        )

    return Table(name="test_attempts", rows=len(seconds), columns=_ATTEMPT_COLUMNS, columns_of=columns_of)


def _questions_asked(sittings: Sittings, row: int, *, size: Size) -> list[int]:
    """The ids of all questions of a sitting in their order, answered or not."""
    places = np.arange(sittings.asked[row])
    sitting = np.full(len(places), row)
    ids: list[int] = (sittings.question(sitting, places, per_exam=size.questions_per_exam) + 1).tolist()
    return ids


def _seconds_per_attempt(answers: Answers, *, first: int, count: int) -> list[Ints]:
    """For each test attempt the seconds of its answers, in their order."""
    of_tests = answers.sitting >= first
    sitting, seconds = answers.sitting[of_tests] - first, answers.seconds[of_tests]
    groups = Groups.by(sitting)
    found: list[Ints] = [np.zeros(0, dtype=np.int64)] * count
    parts = np.split(seconds[groups.order], groups.starts[1:])
    for attempt, part in zip(groups.keys.tolist(), parts, strict=True):
        found[attempt] = part
    return found


def answers_table(answers: Answers, *, sittings: Sittings, content: Content, text_times: int, seed: int) -> Table:
    """The table `user_answers`; the times of `text_times` rows are text, as a column default writes them."""
    rng, count = stream(seed, "answer details"), len(answers.at)
    extra = rng.integers(0, 100, size=count, dtype=np.uint8)
    as_text = np.zeros(count, dtype=bool)
    as_text[rng.choice(count, size=text_times, replace=False)] = True
    letters = [choice for choices in CHOICES for choice in choices]
    first_letter = np.cumsum([0, *(len(choices) for choices in CHOICES[:-1])])

    def columns_of(part: slice) -> Sequence[Sequence[Any]]:
        sitting, more, question = answers.sitting[part], extra[part], answers.question[part]
        in_test = sitting >= sittings.sessions
        times: list[Any] = answers.at[part].tolist()
        texts = np.flatnonzero(as_text[part])
        for place, text in zip(texts.tolist(), moments(answers.at[part][texts]), strict=True):
            times[place] = text
        return (
            span(part, first=1),
            (answers.user[part] + 1).tolist(),
            (question + 1).tolist(),
            optional(sitting + 1, ~in_test),
            optional(sitting - sittings.sessions + 1, in_test),
            picked(letters, first_letter[content.questions.kind[question]] + answers.choice[part]),
            answers.correct[part].astype(np.int8).tolist(),
            answers.seconds[part].tolist(),
            optional(1 + more % 5, more < 60),
            answers.flagged[part].astype(np.int8).tolist(),
            (more % 20 == 7).astype(np.int8).tolist(),
            answers.attempt[part].tolist(),
            optional(answers.days_since[part], answers.days_since[part] >= 0),
            times,
        )

    return Table(name="user_answers", rows=count, columns=_ANSWER_COLUMNS, columns_of=columns_of)
