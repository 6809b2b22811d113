"""How answers are written: the rows, and the statistics of their questions, in two statements however many there are.

The stored mean of a question's times is a whole number, and a mean that is updated from its own rounded value sticks:
at 100 attempts an answer 40 s longer moves it by less than half a second, so it never moves. So the sum of the times
stands beside it, and the mean is rounded from that. A source has no sum: the first recording takes the source's mean
times its attempts, which is off by half a second an attempt at most, and the mean with it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, select, text

from ptp.engine import atomic
from ptp.errors import CannotFinish, Unknown, UsageError
from ptp.queries import repeats
from ptp.queries.arguments import LARGEST_PAGE, check_given_ids, check_ids, unknown, whole
from ptp.queries.tables import QUESTIONS, STUDY_SESSIONS, TEST_ATTEMPTS, USERS, Prepared

LONGEST_ANSWER_SECONDS = 366 * 86_400
"""A year: no answer takes longer, and sums of such times stay within what SQLite adds exactly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAnswer:
    """An answer to be recorded; `confidence_level` is from 1 to 5. It belongs to a session, a test, or neither.

    With a `key`, any text of the sender's, the user's answer is recorded once, however often it is sent.
    """

    user_id: int
    question_id: int
    selected_answer: str
    is_correct: bool
    time_spent_seconds: int
    study_session_id: int | None = None
    test_attempt_id: int | None = None
    confidence_level: int | None = None
    flagged: bool = False
    changed_answer: bool = False
    key: str | None = None


class RecordedAnswer(NamedTuple):
    """An answer as it was recorded: it is the user's `attempt_number`-th to the question, `answered_at` Unix seconds.

    `days_since_last_seen` are whole days since the one before, None for the first. One that is `repeated` was recorded
    by an earlier call with the same key, or earlier in the same batch; nothing was written for it.
    """

    id: int
    user_id: int
    question_id: int
    is_correct: bool
    attempt_number: int
    days_since_last_seen: int | None
    answered_at: int
    repeated: bool = False


def record_answers(engine: Engine, answers: Sequence[NewAnswer], *, now: int) -> tuple[RecordedAnswer, ...]:
    """Write the answers, all given at `now`, and their questions' statistics in one transaction; all or none.

    An answer whose key its user has used before changes nothing: the first recording is given back. Raises Conflict
    where that was another answer, and UsageError for an empty or too large batch, a bad value, an unknown user or
    question, and a session or test that is unknown or another user's.
    """
    if not isinstance(answers, Sequence):
        raise UsageError(f"A batch is a sequence of NewAnswer values, not {type(answers).__name__}.")
    if not 1 <= len(answers) <= LARGEST_PAGE:
        raise UsageError(f"A batch of {len(answers)} answers cannot be recorded: give 1 to {LARGEST_PAGE}.")
    for answer in answers:
        _check_values(answer)
    with atomic(engine) as db:
        known = repeats.recorded_before(db, answers, columns=_RETURNED)
        fresh = repeats.first_of_each(answers, known)
        written = _write(db, fresh, now=now) if fresh else []
    return tuple(_in_order(answers, fresh, written, known))


def _write(db: Connection, answers: Sequence[NewAnswer], *, now: int) -> list[Any]:
    """The rows of the answers as they were written, in the same order."""
    written = _INSERT.rows(db, {"answers": _as_json(answers), "at": now})
    if len(written) < len(answers):
        raise _refusal(db, answers)
    _COUNT.rows(db, {"totals": _totals(answers)})
    return sorted(written)


def _in_order(
    answers: Sequence[NewAnswer],
    fresh: Sequence[NewAnswer],
    written: Sequence[Any],
    known: Mapping[repeats.Key, Any],
) -> Iterator[RecordedAnswer]:
    """What was recorded for each of the answers: by this call, or before."""
    rows = {repeats.key_of(answer): row for answer, row in zip(fresh, written, strict=True)}
    new = iter(zip(fresh, written, strict=True))
    following = next(new, None)
    for answer in answers:
        repeated = following is None or following[0] is not answer
        key = repeats.key_of(answer)
        if following is not None and not repeated:
            row, following = following[1], next(new, None)
        else:
            row = rows[key] if key in rows else known[key]  # type: ignore[index]
        yield RecordedAnswer._make((*row[:3], bool(row[3]), *row[4:], repeated))


def _check_values(answer: NewAnswer) -> None:
    if not isinstance(answer, NewAnswer):
        raise UsageError(f"{type(answer).__name__} is no answer: give NewAnswer values.")
    check_ids(user_id=answer.user_id, question_id=answer.question_id)
    check_given_ids(study_session_id=answer.study_session_id, test_attempt_id=answer.test_attempt_id)
    whole("time_spent_seconds", answer.time_spent_seconds, low=0, high=LONGEST_ANSWER_SECONDS)
    if answer.confidence_level is not None:
        whole("confidence_level", answer.confidence_level, low=1, high=5)
    if not isinstance(answer.selected_answer, str):
        raise UsageError(f"selected_answer is {answer.selected_answer!r}: it must be a text.")
    if _NOT_KEPT.search(answer.selected_answer):
        raise UsageError(f"selected_answer is {answer.selected_answer!r}: it holds a character that cannot be stored.")
    _check_key(answer.key)
    for name in ("is_correct", "flagged", "changed_answer"):
        if not isinstance(getattr(answer, name), bool):
            raise UsageError(f"{name} is {getattr(answer, name)!r}: it must be True or False.")


def _check_key(key: str | None) -> None:
    if key is None:
        return
    if not isinstance(key, str) or not 1 <= len(key) <= repeats.LONGEST_KEY or _NOT_KEPT.search(key):
        raise UsageError(f"key must be a text of 1 to {repeats.LONGEST_KEY} characters that can be stored.")


def _as_json(answers: Sequence[NewAnswer]) -> str:
    """The rows of the batch; `earlier` counts those before it in the batch by the same user to the same question."""
    seen: Counter[tuple[int, int]] = Counter()
    rows = []
    for answer in answers:
        key = (answer.user_id, answer.question_id)
        rows.append([getattr(answer, name) for name in _FIELDS] + [seen[key]])
        seen[key] += 1
    return json.dumps(rows)


def _totals(answers: Sequence[NewAnswer]) -> str:
    """What the batch adds to each question, as JSON rows of id, attempts, correct ones and seconds."""
    found: dict[int, list[int]] = {}
    for answer in answers:
        total = found.setdefault(answer.question_id, [answer.question_id, 0, 0, 0])
        total[1] += 1
        total[2] += answer.is_correct
        total[3] += answer.time_spent_seconds
    return json.dumps(list(found.values()))


def _refusal(db: Connection, answers: Sequence[NewAnswer]) -> UsageError:
    """Why an answer of the batch was not written: the first id that stands for nothing, or belongs to another user."""
    for answer in answers:
        for name, table, key in (("user", USERS, answer.user_id), ("question", QUESTIONS, answer.question_id)):
            if db.scalar(select(table.c.id).where(table.c.id == key)) is None:
                return unknown(name, key)
        for name, table, owned in (
            ("study session", STUDY_SESSIONS, answer.study_session_id),
            ("test attempt", TEST_ATTEMPTS, answer.test_attempt_id),
        ):
            owner = None if owned is None else db.scalar(select(table.c.user_id).where(table.c.id == owned))
            if owned is not None and owner != answer.user_id:
                return Unknown(f"User {answer.user_id} has no {name} with id {owned!r}.")
    raise CannotFinish("The answers were not all written, and each of them could be: nothing was recorded.")


_NOT_KEPT = re.compile("[\x00\ud800-\udfff]")
"""SQLite's JSON ends a text before U+0000, and writes half a surrogate pair as bytes that cannot be read again."""

_FIELDS = tuple(NewAnswer.__dataclass_fields__)
_COLUMNS = tuple("request_key" if name == "key" else name for name in _FIELDS)
_GIVEN = ", ".join(f"json_extract(value, '$[{place}]') AS {name}" for place, name in enumerate((*_COLUMNS, "earlier")))
_RETURNED = RecordedAnswer._fields[:-1]

# An answer whose user, question, session or test is not right is not written, and then missed. MATERIALIZED, as each
# mention of a value would read its JSON anew.
_INSERT = Prepared(
    text(f"""
    INSERT INTO user_answers ({", ".join(_COLUMNS)}, attempt_number, days_since_last_seen, answered_at)
    WITH given AS MATERIALIZED (SELECT {_GIVEN} FROM json_each(:answers))
    SELECT {", ".join(f"given.{name}" for name in _COLUMNS)},
           1 + given.earlier + (
               SELECT count(*) FROM user_answers WHERE question_id = questions.id AND user_id = users.id),
           iif(given.earlier, 0, max(0, :at - (
               SELECT max(answered_at) FROM user_answers WHERE question_id = questions.id AND user_id = users.id
           )) / 86400),
           :at
    FROM given
    CROSS JOIN users ON users.id = given.user_id
    CROSS JOIN questions ON questions.id = given.question_id
    LEFT JOIN study_sessions ON study_sessions.id = given.study_session_id
    LEFT JOIN test_attempts ON test_attempts.id = given.test_attempt_id
    WHERE (given.study_session_id IS NULL OR study_sessions.user_id = users.id)
        AND (given.test_attempt_id IS NULL OR test_attempts.user_id = users.id)
    RETURNING {", ".join(_RETURNED)}
""")
)

_COUNT = Prepared(
    text("""
    UPDATE questions SET
        total_attempts = coalesce(total_attempts, 0) + added.attempts,
        correct_attempts = coalesce(correct_attempts, 0) + added.correct,
        total_time_seconds = added.total,
        avg_time_seconds = CAST(round(added.total * 1.0 / (coalesce(total_attempts, 0) + added.attempts)) AS INTEGER)
    FROM (
        SELECT asked.id, json_extract(given.value, '$[1]') AS attempts, json_extract(given.value, '$[2]') AS correct,
               json_extract(given.value, '$[3]') + coalesce(
                   asked.total_time_seconds, coalesce(asked.avg_time_seconds, 0) * coalesce(asked.total_attempts, 0)
               ) AS total
        FROM json_each(:totals) AS given
        CROSS JOIN questions AS asked ON asked.id = json_extract(given.value, '$[0]')
    ) AS added
    WHERE questions.id = added.id
""")
)
