"""The table `questions`: its wording, its origin, and the statistics that answers give it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ptp.workload.demo.arrays import Ints, dice, optional, picked, stream
from ptp.workload.demo.content import CHOICES, KINDS, STATUSES, Content, Questions
from ptp.workload.demo.people import STAFF
from ptp.workload.demo.subjects import ASKS, COMPANIES, CONSTRAINTS, SITUATIONS, TOPICS
from ptp.workload.demo.tables import Table, span
from ptp.workload.demo.totals import QuestionTotals

# In the order of the three functions that give their values.
_COLUMNS = (
    "id", "exam_id", "objective_id", "type", "difficulty", "is_active", "is_beta", "created_at", "updated_at",
    "total_attempts", "correct_attempts", "avg_time_seconds", "discrimination_index",
    "text", "answers", "explanation", "reference", "external_link", "tags", "image_url", "diagram_data",
    "ai_generated", "ai_model", "ai_prompt_version", "ai_confidence_score", "review_status", "reviewed_by",
    "reviewed_at",
)  # fmt: skip
_DRAWING = '{"nodes": ["client", "service"], "edges": [[0, 1]]}'


@dataclass(frozen=True, kw_only=True)
class _Material:
    """All that the columns are made from."""

    rows: Questions
    exam_id: Ints
    topic: Ints
    totals: QuestionTotals
    words: Ints
    extra: Ints


def questions_table(content: Content, *, totals: QuestionTotals, seed: int) -> Table:
    """The table `questions`."""
    rows = content.questions
    draws = dice(stream(seed, "questions"), len(rows.kind), 2)
    made = _Material(
        rows=rows,
        exam_id=content.objectives.exam[rows.objective_id - 1] + 1,
        topic=content.objectives.position[rows.objective_id - 1] % len(TOPICS),
        totals=totals,
        words=draws[:, 0],
        extra=draws[:, 1],
    )

    def columns_of(part: slice) -> Sequence[Sequence[Any]]:
        return (*_place_and_statistics(made, part), *_wording(made, part), *_origin(made, part))

    return Table(name="questions", rows=len(rows.kind), columns=_COLUMNS, columns_of=columns_of)


def _place_and_statistics(made: _Material, part: slice) -> Sequence[Sequence[Any]]:
    rows, totals, extra = made.rows, made.totals, made.extra[part]
    attempts = totals.attempts[part]
    return (
        span(part, first=1),
        made.exam_id[part].tolist(),
        rows.objective_id[part].tolist(),
        picked(KINDS, rows.kind[part]),
        rows.difficulty[part].tolist(),
        rows.active[part].tolist(),
        (extra // 256 % 40 == 0).astype(int).tolist(),
        rows.created[part].tolist(),
        np.maximum(rows.created[part], rows.reviewed[part]).tolist(),
        attempts.tolist(),
        totals.correct[part].tolist(),
        totals.mean_seconds[part].tolist(),
        # Stored, never computed: it means something only once enough people have answered.
        optional(np.round(extra // 512 % 700 / 1_000 - 0.1, 3), attempts > 10),
    )


def _wording(made: _Material, part: slice) -> Sequence[Sequence[Any]]:
    extra = made.extra[part]
    kinds, topics, numbers = made.rows.kind[part].tolist(), made.topic[part].tolist(), extra.tolist()
    drawn = zip(made.words[part].tolist(), kinds, made.rows.right[part].tolist(), topics, strict=True)
    texts = [_texts(draw, kind=kind, right=right, topic=topic) for draw, kind, right, topic in drawn]
    placed = list(zip(topics, numbers, strict=True))
    return (
        [text for text, _, _ in texts],
        [answers for _, answers, _ in texts],
        optional([why for _, _, why in texts], extra // 64 % 50 != 0),
        [f"{TOPICS[topic][0]}, study guide chapter {topic + 1}.{1 + n % 9}" for topic, n in placed],
        [None if n % 5 else f"https://docs.example.com/topics/{topic}/{n % 977}" for topic, n in placed],
        [
            json.dumps([TOPICS[topic][0].split()[0].lower(), KINDS[kind]])
            for topic, kind in zip(topics, kinds, strict=True)
        ],
        [None if n // 4 % 20 else f"https://img.example.com/q/{n % 10**6}.png" for n in numbers],
        [_DRAWING if kind >= 3 else None for kind in kinds],
    )


def _origin(made: _Material, part: slice) -> Sequence[Sequence[Any]]:
    rows, extra = made.rows, made.extra[part]
    by_ai, reviewed = extra % 3 == 0, rows.reviewed[part] > 0
    return (
        by_ai.astype(int).tolist(),
        optional(picked(("gpt-4o", "claude-3-5-sonnet", "gpt-4o-mini"), extra // 8), by_ai),
        optional(picked(("v1", "v2", "v2.1"), extra // 32), by_ai),
        optional(np.round(0.6 + extra % 4_000 / 10_000, 4), by_ai),
        picked(STATUSES, rows.status[part]),
        optional(1 + extra // 128 % STAFF, reviewed),
        optional(rows.reviewed[part], reviewed),
    )


def _texts(draw: int, *, kind: int, right: int, topic: int) -> tuple[str, str, str]:
    """A question's text, its answers as JSON, and its explanation; they follow from one large random number."""
    terms = TOPICS[topic][1]
    right_ids = CHOICES[kind][right].split(",")
    company = COMPANIES[draw % len(COMPANIES)]
    situation = SITUATIONS[draw // 16 % len(SITUATIONS)].format(n=2 + draw // 128 % 9_973)
    constraint = CONSTRAINTS[draw // 2**21 % len(CONSTRAINTS)]
    turn = draw // 2**24 % len(terms)
    term, does = terms[turn]
    other, other_does = terms[(turn + 2) % len(terms)]
    proposed = term if "a" in right_ids else other
    ask = ASKS[KINDS[kind]].format(c=constraint, term=proposed)
    text = f"{company} {situation}. It needs a means that {does}. {ask}"
    if kind == 2:
        options = ["Yes", "No"]
    else:
        # The right options name the term (and the one after it); the rest follow in turn.
        wrong = iter(range(2, len(terms)))
        hits = iter(range(2))
        options = [terms[(turn + (next(hits) if i in right_ids else next(wrong))) % len(terms)][0] for i in "abcd"]
        options = [f"Introduce {option} {constraint}" for option in options]
    answers = json.dumps(
        [{"id": i, "text": option, "isCorrect": i in right_ids} for i, option in zip("abcd", options, strict=False)],
        ensure_ascii=False,
    )
    why = f"The answer is {' and '.join(right_ids)}: {term} {does}. By contrast, {other} {other_does}."
    return text, answers, why
