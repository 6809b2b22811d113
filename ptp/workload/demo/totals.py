"""What the answers add up to: per question, sitting and exam.

Everything that a demo source states about its answers is computed here, from the answers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ptp.workload.demo.activity import Answers, Sittings
from ptp.workload.demo.arrays import Flags, Floats, Groups, Ints, Scores
from ptp.workload.demo.content import Content
from ptp.workload.demo.sizes import Size


@dataclass(frozen=True, kw_only=True)
class QuestionTotals:
    """Per question: answers, correct ones, and the rounded mean of their seconds."""

    attempts: Ints
    correct: Ints
    mean_seconds: Ints


@dataclass(frozen=True, kw_only=True)
class SittingTotals:
    """Per sitting; `ended` is its last answer, or its start when there is none."""

    correct: Ints
    flagged: Ints
    seconds: Ints
    streak: Ints
    longest_streak: Ints
    ended: Ints
    last_question: Ints
    scores: Scores


@dataclass(frozen=True, kw_only=True)
class AttemptResults:
    """Per test attempt: correct answers as a share of the questions asked; they count when `completed`."""

    completed: Flags
    score: Floats
    passed: Flags


@dataclass(frozen=True, kw_only=True)
class ExamTotals:
    """Per exam: tests begun; share passed and mean score of those completed."""

    attempts: Ints
    pass_rate: Floats
    mean_score: Floats


def question_totals(answers: Answers, *, size: Size) -> QuestionTotals:
    """Statistics of every question; zeros where it was never answered."""
    attempts = np.bincount(answers.question, minlength=size.questions)
    correct = np.bincount(answers.question[answers.correct], minlength=size.questions)
    seconds = np.bincount(answers.question, weights=answers.seconds, minlength=size.questions).astype(np.int64)
    # Rounded half up in whole numbers, as ROUND(AVG(...)) does.
    mean = (2 * seconds + attempts) // np.maximum(2 * attempts, 1)
    return QuestionTotals(attempts=attempts, correct=correct, mean_seconds=mean)


def sitting_totals(answers: Answers, *, sittings: Sittings, content: Content) -> SittingTotals:
    """Totals of every session and attempt."""
    groups, count = Groups.by(answers.sitting), len(sittings.size)
    streak, longest = groups.streaks(answers.correct)
    ended = groups.spread(groups.last(answers.at), size=count)
    return SittingTotals(
        correct=groups.spread(groups.total(answers.correct), size=count),
        flagged=groups.spread(groups.total(answers.flagged), size=count),
        seconds=groups.spread(groups.total(answers.seconds), size=count),
        streak=groups.spread(streak, size=count),
        longest_streak=groups.spread(longest, size=count),
        ended=np.where(sittings.size > 0, ended, sittings.started),
        last_question=groups.spread(groups.last(answers.question) + 1, size=count),
        scores=Scores.by(
            answers.sitting,
            content.questions.objective_id[answers.question],
            correct=answers.correct,
            parents=count,
        ),
    )


def attempt_results(totals: SittingTotals, *, sittings: Sittings, content: Content) -> AttemptResults:
    """Results of every test attempt."""
    tests = slice(sittings.sessions, None)
    score = totals.correct[tests] / sittings.asked[tests]
    return AttemptResults(
        completed=sittings.status[tests] == 0,
        score=score,
        passed=score >= content.exams.passing_score[sittings.exam[tests]],
    )


def exam_totals(results: AttemptResults, *, sittings: Sittings, exams: int) -> ExamTotals:
    """Totals of every exam; rates are 0 where no test was completed."""
    exam = sittings.exam[sittings.sessions :]
    completed = np.bincount(exam[results.completed], minlength=exams)
    passed = np.bincount(exam[results.completed & results.passed], minlength=exams)
    summed = np.array([math.fsum(results.score[results.completed & (exam == i)]) for i in range(exams)])
    return ExamTotals(
        attempts=np.bincount(exam, minlength=exams),
        pass_rate=passed / np.maximum(completed, 1),
        mean_score=summed / np.maximum(completed, 1),
    )
