"""How a user's totals in an exam grow: begun or added to, in one statement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Engine, bindparam, case, func, literal
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import IntegrityError

from ptp.engine import atomic
from ptp.errors import UsageError
from ptp.queries.arguments import count_of, day_of, require_known
from ptp.queries.tables import USER_PROGRESS, Prepared, ratio, rows_of


@dataclass(frozen=True, slots=True)
class Added:
    """What a sitting adds; `new_questions` are those of `questions_seen` that the user had never seen."""

    questions_seen: int
    correct: int
    new_questions: int
    study_minutes: int


class Totals(NamedTuple):
    """A user's totals in an exam after an update; `overall_accuracy` is None while nothing was seen."""

    user_id: int
    exam_id: int
    total_questions_seen: int
    unique_questions_seen: int
    total_correct: int
    total_incorrect: int
    overall_accuracy: float | None
    total_study_minutes: int
    study_days_count: int
    last_study_date: str


def add_totals(engine: Engine, added: Added, *, user_id: int, exam_id: int, now: int) -> Totals:
    """Add to the user's totals in an exam, or begin them, and return what they are then.

    Raises UsageError for an unknown user or exam, and for counts that cannot be.
    """
    values = _checked(added) | {"user_id": user_id, "exam_id": exam_id, "at": now, "day": day_of(now).isoformat()}
    try:
        with atomic(engine) as db:
            (row,) = _ADD.rows(db, values)
    except IntegrityError:
        # A foreign key does not say which one failed; on this path only it is worth asking.
        with engine.connect() as db:
            require_known(db, user_id=user_id, exam_id=exam_id)
        raise
    return rows_of(Totals, (row,))[0]


def _checked(added: Added) -> dict[str, float | str | None]:
    seen = count_of("questions_seen", added.questions_seen)
    for name, part in (("correct", added.correct), ("new_questions", added.new_questions)):
        if count_of(name, part) > seen:
            raise UsageError(f"{name} is {part}: it cannot be more than the {seen} questions seen.")
    return {
        "total_questions_seen": seen,
        "unique_questions_seen": added.new_questions,
        "total_correct": added.correct,
        "total_incorrect": seen - added.correct,
        "total_study_minutes": count_of("study_minutes", added.study_minutes),
        "accuracy": added.correct / seen if seen else None,
    }


def _add_totals() -> Any:
    """Insert the first totals of a user in an exam, or add to those that stand there; one statement either way."""
    summed = (
        "total_questions_seen",
        "unique_questions_seen",
        "total_correct",
        "total_incorrect",
        "total_study_minutes",
    )
    first: dict[str, Any] = {name: bindparam(name) for name in summed} | {
        "user_id": bindparam("user_id"),
        "exam_id": bindparam("exam_id"),
        "overall_accuracy": bindparam("accuracy"),
        "study_days_count": literal(1),
        "last_study_date": bindparam("day"),
        "created_at": bindparam("at"),
        "updated_at": bindparam("at"),
    }
    statement = insert(USER_PROGRESS).values(first)
    new, old = statement.excluded, USER_PROGRESS.c
    added = {name: func.coalesce(old[name], 0) + new[name] for name in summed}
    last_day = func.coalesce(old.last_study_date, "")
    return statement.on_conflict_do_update(
        index_elements=["user_id", "exam_id"],
        set_={
            **added,
            "overall_accuracy": ratio(added["total_correct"], added["total_questions_seen"]),
            "study_days_count": func.coalesce(old.study_days_count, 0)
            + case((new.last_study_date > last_day, 1), else_=0),
            "last_study_date": func.max(new.last_study_date, last_day),
            "updated_at": new.updated_at,
        },
    ).returning(*(old[name] for name in Totals._fields))


_ADD = Prepared(_add_totals())
