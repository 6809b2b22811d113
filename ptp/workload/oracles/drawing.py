"""Draws of questions: each one may be drawn, none was answered lately, as many as there can be, in the mode's order.

Which of the questions that may be drawn come is left to chance, and not looked at here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, Literal, TypeAlias

from ptp.workload.draws import Drawn
from ptp.workload.oracles.comparing import not_rows, told, unlike_row
from ptp.workload.oracles.witness import Check, Witness

Order: TypeAlias = Literal["any", "easiest", "weakest"]

LIMIT = 20
_WINDOW_S = 24 * 3_600
_NAMES = (
    "id", "exam_id", "objective_id", "text", "type", "answers", "explanation", "reference", "external_link",
    "difficulty", "tags", "image_url", "diagram_data", "total_attempts", "correct_attempts", "avg_time_seconds",
)  # fmt: skip
_MAY_BE_DRAWN = "exam_id = ? AND is_active = 1 AND review_status = 'approved'"


@dataclass(frozen=True, slots=True)
class Filter:
    """The condition on a question, as SQL with its values: hashable, so that what follows from it can be kept."""

    where: str
    values: tuple[Any, ...]


def of_exam(drawn: Drawn) -> Filter:
    """All that may be drawn of the exam."""
    return Filter(_MAY_BE_DRAWN, (drawn.exam_id,))


def of_middle(drawn: Drawn) -> Filter:
    """Those of the first two objectives, where there are any, and of the levels 2 to 4."""
    chosen = drawn.objectives[:2]
    among = f" AND objective_id IN ({_marks(chosen)})" if chosen else ""
    return Filter(f"{_MAY_BE_DRAWN}{among} AND difficulty IN (2, 3, 4)", (drawn.exam_id, *chosen))


def drawing(witness: Witness, *, now: int, order: Order = "any", wanted: Callable[[Drawn], Filter] = of_exam) -> Check:
    """The check of a draw of up to 20."""

    def check(drawn: Drawn, found: Any) -> str | None:
        chosen = wanted(drawn)
        lately = _answered_lately(witness, drawn, chosen, since=now - _WINDOW_S)
        if wrong := _not_drawable(witness, found, chosen, lately):
            return wrong
        sizes = witness.kept(("sizes", chosen), lambda: _by_difficulty(witness, chosen))
        due = min(LIMIT, sizes.total() - len(lately))
        if len(found) != due:
            return f"{len(found)} questions where {due} were due"
        if order == "easiest":
            return _not_easiest(found, sizes - Counter(lately.values()))
        return _not_weakest(witness, found, chosen, lately) if order == "weakest" else None

    return witness.checking(check)


def _not_drawable(witness: Witness, found: Any, chosen: Filter, lately: dict[int, int | None]) -> str | None:
    """The first question that is not one to be drawn, or is not as it is stored."""
    if wrong := not_rows(found):
        return wrong
    keys = [question.id for question in found]
    if len(set(keys)) < len(keys):
        return f"{len(keys)} questions, of which only {len(set(keys))} differ"
    sql = f"SELECT {', '.join(_NAMES)} FROM questions WHERE id IN ({_marks(keys)}) AND {chosen.where}"
    stored = {row[0]: row for row in witness.rows(sql, (*keys, *chosen.values))}
    for question in found:
        if question.id not in stored:
            return f"question {question.id} is not active, approved, and of the exam and filters asked for"
        if question.id in lately:
            return f"question {question.id} was answered by the user in the last 24 hours"
        if wrong := unlike_row(question, stored[question.id], _NAMES):
            return f"question {question.id}: {wrong}"
    return None


def _answered_lately(witness: Witness, drawn: Drawn, chosen: Filter, *, since: int) -> dict[int, int | None]:
    """The questions that could be drawn if the user had not answered them lately, with their difficulty."""
    sql = (
        f"SELECT id, difficulty FROM questions WHERE {chosen.where} "
        "AND id IN (SELECT question_id FROM user_answers WHERE user_id = ? AND answered_at > ?)"
    )
    return witness.kept(
        ("lately", drawn.user_id, chosen), lambda: dict(witness.rows(sql, (*chosen.values, drawn.user_id, since)))
    )


def _by_difficulty(witness: Witness, chosen: Filter) -> Counter[int | None]:
    sql = f"SELECT difficulty, count(*) FROM questions WHERE {chosen.where} GROUP BY difficulty"
    return Counter(dict(witness.rows(sql, chosen.values)))


def _not_easiest(found: Sequence[Any], sizes: Counter[int | None]) -> str | None:
    levels = sorted(sizes, key=lambda level: (level is None, level))
    due = chain.from_iterable(repeat(level, sizes[level]) for level in levels)
    for place, (question, level) in enumerate(zip(found, due, strict=False), start=1):
        if question.difficulty != level:
            return f"row {place} has difficulty {told(question.difficulty)} where {told(level)} was due"
    return None


def _not_weakest(witness: Witness, found: Sequence[Any], chosen: Filter, lately: dict[int, int | None]) -> str | None:
    ranked = witness.kept(("ranked", chosen), lambda: _ranked(witness, chosen))
    left_out = set(lately)
    due = [key for key in ranked[: LIMIT + len(left_out)] if key not in left_out][:LIMIT]
    for place, (question, key) in enumerate(zip(found, due, strict=False), start=1):
        if question.id != key:
            return f"row {place} is question {question.id} where {key} was due"
    return None  # what comes after the ranked ones was counted, and is none of them


def _ranked(witness: Witness, chosen: Filter) -> list[int]:
    """The ids of the questions that were ever answered, worst success first, then by id."""
    sql = f"SELECT id, correct_attempts, total_attempts FROM questions WHERE {chosen.where} AND total_attempts <> 0"
    rated = ((correct / total, key) for key, correct, total in witness.rows(sql, chosen.values) if correct is not None)
    return [key for _, key in sorted(rated)]


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))
