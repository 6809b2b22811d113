"""What the answers add up to per user and exam: the table `user_progress`."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ptp.workload.demo.activity import Answers, Sittings
from ptp.workload.demo.arrays import Floats, Groups, Ints, Scores
from ptp.workload.demo.content import Content
from ptp.workload.demo.sizes import DAY, Size
from ptp.workload.demo.tables import Table, days, span
from ptp.workload.demo.totals import AttemptResults, SittingTotals

_COLUMNS = (
    "id", "user_id", "exam_id", "total_questions_seen", "unique_questions_seen", "total_correct",
    "total_incorrect", "overall_accuracy", "current_streak", "longest_streak", "avg_time_per_question",
    "total_study_minutes", "last_study_date", "study_days_count", "objective_mastery", "readiness_score",
    "predicted_exam_score", "confidence_interval", "weak_topics", "recommended_objectives", "tests_taken",
    "tests_passed", "best_score", "avg_test_score", "last_test_date", "created_at", "updated_at",
)  # fmt: skip
_WEAK = 0.6


@dataclass(frozen=True, kw_only=True)
class TakenTests:
    """Per user and exam: the completed tests; zeros where there is none."""

    taken: Ints
    passed: Ints
    best: Floats
    mean: Floats
    last: Ints


@dataclass(frozen=True, kw_only=True)
class ProgressTotals:
    """Per user and exam with answers, in order of user, then exam."""

    user: Ints
    exam: Ints
    seen: Ints
    unique: Ints
    correct: Ints
    seconds: Ints
    streak: Ints
    longest_streak: Ints
    days: Ints
    first: Ints
    last: Ints
    tests: TakenTests
    scores: Scores


def progress_totals(
    answers: Answers,
    *,
    sittings: Sittings,
    totals: SittingTotals,
    results: AttemptResults,
    content: Content,
    size: Size,
) -> ProgressTotals:
    """Progress of every user in every exam that they gave an answer in."""
    pair = answers.user * size.exams + sittings.exam[answers.sitting]
    groups = Groups.by(pair)
    keys, count = groups.keys, len(groups.keys)
    place = np.searchsorted(keys, pair)
    objective = content.questions.objective_id[answers.question]
    streak, longest = groups.streaks(answers.correct)
    return ProgressTotals(
        user=keys // size.exams,
        exam=keys % size.exams,
        seen=groups.sizes,
        unique=np.bincount(place[answers.attempt == 1], minlength=count),
        correct=groups.total(answers.correct),
        seconds=groups.total(answers.seconds),
        streak=streak,
        longest_streak=longest,
        days=_distinct_days(place, answers.at, count=count),
        first=groups.first(answers.at),
        last=groups.last(answers.at),
        tests=_taken_tests(keys, sittings=sittings, totals=totals, results=results, exams=size.exams),
        scores=Scores.by(place, objective, correct=answers.correct, parents=count),
    )


def _distinct_days(place: Ints, at: Ints, *, count: int) -> Ints:
    width = 2**20  # more days than Unix time has had
    return np.bincount(np.unique(place * width + at // DAY) // width, minlength=count)


def _taken_tests(
    keys: Ints, *, sittings: Sittings, totals: SittingTotals, results: AttemptResults, exams: int
) -> TakenTests:
    tests = np.flatnonzero(results.completed)
    sitting = sittings.sessions + tests
    place = np.searchsorted(keys, sittings.user[sitting] * exams + sittings.exam[sitting])
    taken = np.bincount(place, minlength=len(keys))
    best, last, scores = np.zeros(len(keys)), np.zeros(len(keys), dtype=np.int64), results.score[tests]
    np.maximum.at(best, place, scores)
    np.maximum.at(last, place, totals.ended[sitting])
    # fsum, because a mean must not depend on the order of the tests.
    per_pair: dict[int, list[float]] = {}
    for pair, score in zip(place.tolist(), scores.tolist(), strict=True):
        per_pair.setdefault(pair, []).append(score)
    mean = np.zeros(len(keys))
    for pair, values in per_pair.items():
        mean[pair] = math.fsum(values) / len(values)
    passed = np.bincount(place[results.passed[tests]], minlength=len(keys))
    return TakenTests(taken=taken, passed=passed, best=best, mean=mean, last=last)


def progress_table(totals: ProgressTotals) -> Table:
    """The table `user_progress`; readiness and prediction are plausible scores of 0 to 100, as stored values are."""
    accuracy = totals.correct / totals.seen
    practice = 1.0 - np.exp(-totals.unique / 400.0)

    def columns_of(part: slice) -> Sequence[Sequence[Any]]:
        rows = range(part.start, part.stop)
        ranked = [sorted(totals.scores.of(row), key=lambda pair: pair[1]) for row in rows]
        return (
            span(part, first=1),
            (totals.user[part] + 1).tolist(),
            (totals.exam[part] + 1).tolist(),
            totals.seen[part].tolist(),
            totals.unique[part].tolist(),
            totals.correct[part].tolist(),
            (totals.seen - totals.correct)[part].tolist(),
            accuracy[part].tolist(),
            totals.streak[part].tolist(),
            totals.longest_streak[part].tolist(),
            (totals.seconds / totals.seen)[part].tolist(),
            (totals.seconds // 60)[part].tolist(),
            days(totals.last[part]),
            totals.days[part].tolist(),
            [totals.scores.as_json(row) for row in rows],
            np.round(100.0 * accuracy * (0.4 + 0.6 * practice), 1)[part].tolist(),
            np.round(100.0 * accuracy * (0.7 + 0.3 * practice), 1)[part].tolist(),
            np.round(100.0 / np.sqrt(totals.seen[part]), 2).tolist(),
            [json.dumps([i for i, score in pairs if score < _WEAK]) for pairs in ranked],
            [json.dumps([i for i, _ in pairs[:2]]) for pairs in ranked],
            totals.tests.taken[part].tolist(),
            totals.tests.passed[part].tolist(),
            totals.tests.best[part].tolist(),
            totals.tests.mean[part].tolist(),
            days(totals.tests.last[part]),
            totals.first[part].tolist(),
            totals.last[part].tolist(),
        )

    return Table(name="user_progress", rows=len(totals.user), columns=_COLUMNS, columns_of=columns_of)
