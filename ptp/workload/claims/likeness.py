"""Whether both ways had the same outcome: the same rows, or for a draw by chance, two that are both right.

So the old way, in SQL of its own on a shape of its own, is a witness of the new one, and the other way round.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from typing import Any

from ptp.queries import StudyQuestion
from ptp.workload.claims.plain import as_text
from ptp.workload.claims.study import ELIGIBLE, SHOWN

_SHARE = 1e-9
"""By how much sums of REAL may differ that were added in another order."""


def differing(name: str, called: object, plain: object) -> str | None:
    """How two outcomes differ that must be equal, None where they do not; numbers within rounding."""
    first, second = _plain(called), _plain(plain)
    return None if _equal(first, second) else f"{name}: ptp gave {_short(first)}, plain SQL gave {_short(second)}"


def differing_draws(
    head: sqlite3.Connection, raw: sqlite3.Connection, drawn: Sequence[Any], plain: Sequence[Any], **asked: int
) -> str | None:
    """What is wrong with two draws of questions by `exam_id`, `user_id` and `since`, None where nothing is.

    Each must hold as many questions as the other, none twice, and each question must be one that could be drawn
    in the other database, where it looks the same.
    """
    if len(drawn) != len(plain):
        return f"ptp drew {len(drawn)} questions, plain SQL {len(plain)}"
    for name, found, other, is_text in (("ptp", drawn, raw, True), ("plain SQL", plain, head, False)):
        keys = [row[0] for row in found]
        since = as_text(asked["since"]) if is_text else asked["since"]
        known = _eligible(other, keys, (asked["exam_id"], asked["user_id"], since))
        if len(set(keys)) < len(keys):
            return f"{name} drew a question twice"
        wrong = next((row for row in found if not _equal(known.get(row[0]), tuple(row))), None)
        if wrong is not None:
            return f"{name} drew question {wrong[0]}, which the other database would not draw, or not as it is"
    return None


def differing_statistics(head: sqlite3.Connection, raw: sqlite3.Connection, question_id: int) -> str | None:
    """How the counts of a question's answers differ after both recorded one, None where they do not.

    The mean time is left out: the old way updates it from its own rounded value, so that it goes astray.
    """
    sql = "SELECT total_attempts, correct_attempts FROM questions WHERE id = ?"
    first, second = (db.execute(sql, (question_id,)).fetchone() for db in (head, raw))
    return differing(f"the statistics of question {question_id}", first, second)


def _eligible(db: sqlite3.Connection, keys: Sequence[int], asked: tuple[Any, ...]) -> dict[int, tuple[Any, ...]]:
    marks = ", ".join("?" * len(keys))
    sql = f"SELECT {SHOWN} FROM questions WHERE id IN ({marks}) AND {ELIGIBLE.replace('exam_id', '+exam_id', 1)}"
    return {row[_KEY]: row for row in db.execute(sql, (*keys, *asked))}


_KEY = StudyQuestion._fields.index("id")


def _plain(value: Any) -> Any:
    """Named tuples, tuples and lists as lists; anything else as it is."""
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value


def _equal(first: Any, second: Any) -> bool:
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(_equal(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(_equal, first, second))
    if isinstance(first, float) and isinstance(second, float | int):
        return math.isclose(first, second, rel_tol=_SHARE, abs_tol=_SHARE)
    return bool(first == second)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
