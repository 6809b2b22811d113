"""The tables `exams` and `objectives`, with the statistics that test attempts give them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ptp.workload.demo.arrays import optional, picked
from ptp.workload.demo.content import Content
from ptp.workload.demo.sizes import DAY, DEMO_NOW, DEMO_START
from ptp.workload.demo.subjects import EXAMS, TOPICS
from ptp.workload.demo.tables import Table, span
from ptp.workload.demo.totals import ExamTotals

_EXAM_COLUMNS = (
    "id", "vendor_id", "code", "name", "description", "passing_score", "question_count", "time_limit_minutes",
    "version", "expires_at", "difficulty_level", "prerequisites", "price_cents", "is_active", "is_beta",
    "total_attempts", "pass_rate", "avg_score", "created_at", "updated_at",
)  # fmt: skip
_OBJECTIVE_COLUMNS = (
    "id", "exam_id", "code", "name", "description", "weight", "question_percentage", "parent_id", "sort_order",
    "is_active", "created_at",
)  # fmt: skip


def exams_table(content: Content, *, totals: ExamTotals) -> Table:
    """The table `exams`."""
    exams = content.exams

    def columns_of(part: slice) -> Sequence[Sequence[Any]]:
        ids = span(part, first=1)
        known = [EXAMS[(i - 1) % len(EXAMS)] for i in ids]
        return (
            ids,
            [vendor for vendor, _, _ in known],
            [code for _, code, _ in known],
            [name for _, _, name in known],
            [f"Practice questions for {name} ({code}), kept up to date." for _, code, name in known],
            exams.passing_score[part].tolist(),
            exams.question_count[part].tolist(),
            exams.limit_minutes[part].tolist(),
            [f"{1 + i % 3}.{i % 7}" for i in ids],
            [None if i % 3 else DEMO_NOW + i * 60 * DAY for i in ids],
            [2 + i % 3 for i in ids],
            ["[]" if i % 4 else '["Two years of practice"]' for i in ids],
            [0 if i % 2 else 2_900 for i in ids],
            [1 for _ in ids],
            [int(i % 5 == 0) for i in ids],
            totals.attempts[part].tolist(),
            totals.pass_rate[part].tolist(),
            totals.mean_score[part].tolist(),
            [DEMO_START for _ in ids],
            [DEMO_NOW - i * DAY for i in ids],
        )

    return Table(name="exams", rows=len(exams.passing_score), columns=_EXAM_COLUMNS, columns_of=columns_of)


def objectives_table(content: Content) -> Table:
    """The table `objectives`; question_percentage is the share of the exam's questions that it has."""
    rows, per_exam = content.objectives, len(content.questions.kind) // len(content.exams.passing_score)
    held = np.bincount(content.questions.objective_id, minlength=len(rows.exam) + 1)[1:]

    def columns_of(part: slice) -> Sequence[Sequence[Any]]:
        position, names = rows.position[part], picked([name for name, _ in TOPICS], rows.position[part])
        return (
            span(part, first=1),
            (rows.exam[part] + 1).tolist(),
            [f"{1 + place}.0" for place in position.tolist()],
            names,
            [f"Explain, choose and combine the means of {name.lower()}." for name in names],
            rows.weight[part].tolist(),
            (held[part] * 100 / per_exam).tolist(),
            optional(rows.parent_id[part], rows.parent_id[part] > 0),
            (position + 1).tolist(),
            [1] * len(position),
            [DEMO_START] * len(position),
        )

    return Table(name="objectives", rows=len(rows.exam), columns=_OBJECTIVE_COLUMNS, columns_of=columns_of)
