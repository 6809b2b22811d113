"""Answers recorded: the rows as they were given, and the statistics of their questions, moved by just these.

The counts of a question may only follow from what they were when the workload began and the answers recorded since.
As each call is checked before the next one, each has moved them by its own answers and no more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any

from ptp.workload.draws import Drawn
from ptp.workload.oracles.comparing import not_rows, unlike_count, unlike_row, unlike_values
from ptp.workload.oracles.witness import Check, Witness

_DAY_S = 86_400
_RETURNED = (
    "id", "user_id", "question_id", "is_correct", "attempt_number", "days_since_last_seen", "answered_at",
    "repeated",
)  # fmt: skip
_GIVEN = (
    "user_id", "question_id", "study_session_id", "test_attempt_id", "selected_answer", "is_correct",
    "time_spent_seconds", "confidence_level", "flagged", "changed_answer",
)  # fmt: skip


class Answers:
    """What the oracles of recording know of the database from before: the statistics, and the newest answer."""

    def __init__(self, witness: Witness, *, keys: Collection[int], now: int) -> None:
        """Keep the statistics of the questions aside that are going to be answered."""
        self._witness, self._now = witness, now
        before = witness.rows(_BEFORE, (json.dumps(sorted(keys)),))
        self._before = {key: (attempts or 0, correct or 0, seconds or 0) for key, attempts, correct, seconds in before}
        self._first = self._newest = witness.rows("SELECT coalesce(max(id), 0) FROM user_answers")[0][0]

    def recording(self, given: Callable[[Drawn], Sequence[Any]]) -> Check:
        """The check of a batch that was `given`."""

        def check(drawn: Drawn, found: Any) -> str | None:
            return not_rows(found) or self._check(given(drawn), found)

        return self._witness.checking(check)

    def recording_one(self, given: Callable[[Drawn], Any]) -> Check:
        """The check of a single answer."""
        return self._witness.checking(lambda drawn, found: self._check([given(drawn)], [found]))

    def _check(self, given: Sequence[Any], found: Sequence[Any]) -> str | None:
        written = self._witness.records(_WRITTEN, (self._newest,))
        self._newest = max((row["id"] for row in written), default=self._newest)
        if len(written) != len(given):
            return f"{len(written)} answers were written where {len(given)} were due"
        if wrong := unlike_count(found, len(given)):
            return wrong
        for place, (answer, row, seen) in enumerate(zip(given, written, found, strict=True), start=1):
            if wrong := self._unlike(answer, row, seen):
                return f"answer {place}: {wrong}"
        return self._miscounted({answer.question_id for answer in given})

    def _unlike(self, answer: Any, row: dict[str, Any], seen: Any) -> str | None:
        given = {name: getattr(answer, name) for name in _GIVEN}
        stored = {name: int(value) if isinstance(value, bool) else value for name, value in given.items()}
        since = None if row["seen_last"] is None else max(0, self._now - row["seen_last"]) // _DAY_S
        due = {"attempt_number": 1 + row["earlier"], "days_since_last_seen": since, "answered_at": self._now}
        returned = {**given, **due, "id": row["id"], "repeated": False}
        if wrong := unlike_values(row, {**stored, **due, "request_key": None}):  # the workload gives none
            return f"as written, {wrong}"
        return unlike_row(seen, [returned[name] for name in _RETURNED], _RETURNED)

    def _miscounted(self, keys: set[int]) -> str | None:
        found = self._witness.records(_STATISTICS.format(marks=", ".join("?" * len(keys))), (self._first, *keys))
        for row in found:
            attempts, correct, seconds = self._before[row["id"]]
            due = {"total_attempts": attempts + row["answers"], "correct_attempts": correct + row["right_ones"]}
            if wrong := unlike_values(row, due):
                return f"of question {row['id']}, {wrong}"
            mean = (seconds + row["seconds"]) / due["total_attempts"]
            if row["avg_time_seconds"] is None or abs(row["avg_time_seconds"] - mean) > 1:
                return f"avg_time_seconds of question {row['id']} is {row['avg_time_seconds']}: its mean is {mean:.2f}"
        return None if len(found) == len(keys) else f"{len(found)} questions were answered where {len(keys)} were due"


_WRITTEN = f"""
    SELECT id, {", ".join(_GIVEN)}, attempt_number, days_since_last_seen, answered_at, request_key,
           (SELECT count(*) FROM user_answers AS earlier
            WHERE earlier.question_id = own.question_id AND earlier.user_id = own.user_id AND earlier.id < own.id
           ) AS earlier,
           (SELECT max(answered_at) FROM user_answers AS earlier
            WHERE earlier.question_id = own.question_id AND earlier.user_id = own.user_id AND earlier.id < own.id
           ) AS seen_last
    FROM user_answers AS own WHERE id > ? ORDER BY id"""

_BEFORE = """
    SELECT id, total_attempts, correct_attempts,
           coalesce(total_time_seconds, avg_time_seconds * total_attempts)
    FROM questions WHERE id IN (SELECT value FROM json_each(?))"""

# The plus keeps SQLite from reading all answers recorded since for the few of these questions.
_STATISTICS = """
    SELECT questions.id, total_attempts, correct_attempts, avg_time_seconds,
           count(*) AS answers, sum(is_correct) AS right_ones, sum(time_spent_seconds) AS seconds
    FROM user_answers CROSS JOIN questions ON questions.id = user_answers.question_id
    WHERE +user_answers.id > ? AND user_answers.question_id IN ({marks})
    GROUP BY questions.id"""
