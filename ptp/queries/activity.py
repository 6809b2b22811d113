"""What a user has done in an exam, as SQL expressions: they stand alone or inside a larger statement.

Both start from the index on (user_id, answered_at), so they read the user's newest answers, not the table.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal_column, or_, select

from ptp.queries.tables import QUESTIONS, USER_ANSWERS, is_false, is_true

_BEFORE_ALL_TIMES: ColumnElement[int] = literal_column("-1")
_BEFORE_ALL_IDS: ColumnElement[int] = literal_column("0")


def answers_since(user: ColumnElement[Any], exam: ColumnElement[Any], *, since: ColumnElement[Any]) -> Any:
    """How many answers the user gave in the exam after `since`, in Unix seconds: a scalar."""
    counted = _of(select(func.count()), user, exam).where(USER_ANSWERS.c.answered_at > since)
    return counted.scalar_subquery()


def current_streak(user: ColumnElement[Any], exam: ColumnElement[Any]) -> Any:
    """The user's correct answers in the exam after the last wrong one, in order of (answered_at, id): a scalar.

    An answer without a time comes before all that have one, as SQLite orders NULL. Those are counted apart, so
    that the others are found by a range of the index.
    """
    answers = USER_ANSWERS.c
    wrong = _of(select(answers.answered_at, answers.id), user, exam).where(is_false(answers.is_correct))
    last = wrong.order_by(answers.answered_at.desc(), answers.id.desc()).limit(1).cte("last_wrong")
    at = func.coalesce(select(last.c.answered_at).scalar_subquery(), _BEFORE_ALL_TIMES)
    after = answers.id > func.coalesce(select(last.c.id).scalar_subquery(), _BEFORE_ALL_IDS)
    correct = _of(select(func.count()), user, exam).where(is_true(answers.is_correct))
    timed = correct.where(answers.answered_at >= at, or_(answers.answered_at > at, after))
    untimed = correct.where(answers.answered_at.is_(None), at == _BEFORE_ALL_TIMES, after)
    return timed.scalar_subquery() + untimed.scalar_subquery()


def _of(statement: Select[Any], user: ColumnElement[Any], exam: ColumnElement[Any]) -> Select[Any]:
    joined = USER_ANSWERS.join(QUESTIONS, QUESTIONS.c.id == USER_ANSWERS.c.question_id)
    return statement.select_from(joined).where(USER_ANSWERS.c.user_id == user, QUESTIONS.c.exam_id == exam)
