"""Answers that are sent again: with the key that its sender gave it, an answer is recorded once, however often sent.

A sender that saw no reply cannot know whether its answer was recorded. It sends the same answer and key again, and gets
what was recorded the first time. The key is kept in the answer's own row, so both are there or neither is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import Connection, text

from ptp.errors import Conflict
from ptp.queries.tables import Prepared

if TYPE_CHECKING:
    from ptp.queries.recording import NewAnswer

LONGEST_KEY = 200
"""In characters."""

Key: TypeAlias = tuple[int, str]
_CONTENT = (
    "question_id", "selected_answer", "is_correct", "time_spent_seconds", "study_session_id", "test_attempt_id",
    "confidence_level", "flagged", "changed_answer",
)  # fmt: skip


def key_of(answer: NewAnswer) -> Key | None:
    """What names the answer: a key is its user's own, so two users may use the same one."""
    return None if answer.key is None else (answer.user_id, answer.key)


def recorded_before(db: Connection, answers: Sequence[NewAnswer], *, columns: Sequence[str]) -> dict[Key, Any]:
    """The `columns` of the rows in which answers stand that have the keys of `answers`; by key.

    Raises Conflict where one of them was not the same answer.
    """
    keyed = {key: answer for answer in reversed(answers) if (key := key_of(answer))}
    if not keyed:
        return {}
    found: dict[Key, Any] = {}
    for user, name, *row in _KNOWN.rows(db, {"keys": json.dumps(list(keyed))}):
        stored = dict(zip(_STORED, row, strict=True))
        _check_same(keyed[user, name], [stored[column] for column in _CONTENT])
        found[user, name] = tuple(stored[column] for column in columns)
    return found


def first_of_each(answers: Sequence[NewAnswer], known: Mapping[Key, Any]) -> list[NewAnswer]:
    """The answers that are to be written: none that is known, and each key once.

    Raises Conflict where two of them share a key and are not the same answer.
    """
    first: dict[Key, NewAnswer] = {}
    fresh = []
    for answer in answers:
        key = key_of(answer)
        if key is not None and key in first:
            _check_same(answer, [getattr(first[key], name) for name in _CONTENT])
        elif key is None or key not in known:
            fresh.append(answer)
        if key is not None:
            first.setdefault(key, answer)
    return fresh


def _check_same(answer: NewAnswer, recorded: Sequence[Any]) -> None:
    if [getattr(answer, name) for name in _CONTENT] != list(recorded):
        raise Conflict(f"The key {answer.key!r} was used for another answer: give each answer a key of its own.")


# What the rows hold that a recorded answer or its comparison may ask for.
_STORED = ("id", "user_id", *_CONTENT, "attempt_number", "days_since_last_seen", "answered_at")
_KNOWN = Prepared(
    text(f"""
    SELECT own.user_id, own.request_key, {", ".join(f"own.{name}" for name in _STORED)}
    FROM json_each(:keys) AS given
    CROSS JOIN user_answers AS own
        ON own.user_id = json_extract(given.value, '$[0]') AND own.request_key = json_extract(given.value, '$[1]')
""")
)
