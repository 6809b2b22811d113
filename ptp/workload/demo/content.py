"""The exams, objectives and questions of a demo source, as numbers; `content_tables` turns them into rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ptp.workload.demo.arrays import Floats, Ints, stream, weighted
from ptp.workload.demo.sizes import DAY, DEMO_START, Size

KINDS = ("multiple_choice", "multi_select", "true_false", "drag_drop", "hotspot")
_KIND_WEIGHTS = (0.84, 0.06, 0.08, 0.01, 0.01)

#: What can be selected in a question of each kind.
CHOICES: tuple[tuple[str, ...], ...] = (
    ("a", "b", "c", "d"),
    ("a,b", "a,c", "a,d", "b,c", "b,d", "c,d"),
    ("a", "b"),
    ("a", "b", "c", "d"),
    ("a", "b", "c", "d"),
)
STATUSES = ("approved", "pending", "rejected", "needs_revision")
_STATUS_WEIGHTS = (0.965, 0.02, 0.01, 0.005)


@dataclass(frozen=True, kw_only=True)
class Exams:
    """Per exam: how a test of it is taken."""

    passing_score: Floats
    question_count: Ints
    limit_minutes: Ints


@dataclass(frozen=True, kw_only=True)
class Objectives:
    """All objectives in order of id, which counts from 1; a `parent_id` of 0 means none."""

    exam: Ints
    position: Ints
    parent_id: Ints
    weight: Floats


@dataclass(frozen=True, kw_only=True)
class Questions:
    """All questions in order of id; the questions of one exam stand together."""

    objective_id: Ints
    kind: Ints
    right: Ints
    difficulty: Ints
    hardness: Floats
    status: Ints
    active: Ints
    created: Ints
    reviewed: Ints


@dataclass(frozen=True, kw_only=True)
class Content:
    """What can be studied."""

    exams: Exams
    objectives: Objectives
    questions: Questions


def make_content(size: Size, *, seed: int) -> Content:
    """Exams, their objectives, and their questions spread over the objectives by weight."""
    rng = stream(seed, "content")
    exams = Exams(
        passing_score=rng.choice([0.65, 0.7, 0.72, 0.75], size=size.exams),
        question_count=rng.choice([45, 50, 55, 60, 65], size=size.exams).astype(np.int64),
        limit_minutes=rng.choice([90, 105, 120, 130], size=size.exams).astype(np.int64),
    )
    objectives = _objectives(rng, size)
    return Content(exams=exams, objectives=objectives, questions=_questions(rng, size, objectives=objectives))


def _objectives(rng: np.random.Generator, size: Size) -> Objectives:
    counts = rng.integers(5, 9, size=size.exams)
    exam = np.repeat(np.arange(size.exams), counts)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    position = np.arange(len(exam)) - first
    # The first four stand on their own; each further one is a part of one of the first two.
    parent_id = np.where(position < 4, 0, first + 1 + position % 2)
    raw = rng.uniform(1.0, 3.0, size=len(exam))
    weight = raw / np.bincount(exam, weights=raw)[exam]
    return Objectives(exam=exam, position=position, parent_id=parent_id, weight=np.round(weight, 3))


def _questions(rng: np.random.Generator, size: Size, *, objectives: Objectives) -> Questions:
    total = size.questions
    objective_id = np.concatenate(
        [
            np.flatnonzero(objectives.exam == exam)[
                weighted(rng, objectives.weight[objectives.exam == exam], size=size.questions_per_exam)
            ]
            + 1
            for exam in range(size.exams)
        ]
    )
    kind = weighted(rng, _KIND_WEIGHTS, size=total)
    options = np.array([len(choices) for choices in CHOICES])[kind]
    difficulty = weighted(rng, (0.1, 0.25, 0.35, 0.2, 0.1), size=total) + 1
    status = weighted(rng, _STATUS_WEIGHTS, size=total)
    created = np.sort(DEMO_START + DAY + rng.integers(0, 20 * DAY, size=total))
    return Questions(
        objective_id=objective_id,
        kind=kind,
        right=rng.integers(0, 2**20, size=total) % options,
        difficulty=difficulty,
        hardness=(difficulty - 3) * 0.5 + rng.normal(0.0, 0.5, total),
        status=status,
        active=(rng.random(total) >= 0.015).astype(np.int64),
        created=created,
        reviewed=np.where(status == 1, 0, created + rng.integers(3_600, 8 * DAY, size=total)),
    )
