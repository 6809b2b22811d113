"""A session counted: what its answers say, told by the call and written to the session; the rest of it is as it was."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from ptp.workload.draws import Drawn
from ptp.workload.oracles.comparing import ratio, unlike_row, unlike_values
from ptp.workload.oracles.witness import Check, Witness

_ANSWERS = """
    SELECT questions.objective_id, is_correct, time_spent_seconds, answered_at
    FROM user_answers JOIN questions ON questions.id = user_answers.question_id
    WHERE study_session_id = ?"""


def counting(witness: Witness, *, keys: Collection[int]) -> Check:
    """The check of counting one of the sessions; what they were is kept aside."""
    sql = "SELECT * FROM study_sessions WHERE id IN (SELECT value FROM json_each(?))"
    before = {row["id"]: row for row in witness.records(sql, (json.dumps(sorted(keys)),))}

    def check(drawn: Drawn, found: Any) -> str | None:
        key = drawn.session_id or 0
        answers = witness.rows(_ANSWERS, (key,))
        due = {"session_id": key, **_counted(answers)}
        if wrong := unlike_row(found, tuple(due.values()), tuple(due)):
            return wrong
        (row,) = witness.records("SELECT * FROM study_sessions WHERE id = ?", (key,))
        wrong = unlike_values(_as_told(row), due | _untouched(before[key], answers))
        return wrong and f"in the session, {wrong}"

    return witness.checking(check)


def _counted(answers: list[Any]) -> dict[str, Any]:
    """What the answers come to."""
    by_objective: dict[int, list[int]] = {}
    for objective, is_correct, _, _ in answers:
        by_objective.setdefault(objective, []).append(is_correct)
    correct = sum(is_correct for _, is_correct, _, _ in answers)
    seconds = [spent for _, _, spent, _ in answers if spent is not None]
    return {
        "total_questions": len(answers),
        "correct_answers": correct,
        "accuracy": ratio(correct, len(answers)),
        "time_spent_seconds": sum(seconds),
        "mean_time_seconds": ratio(sum(seconds), len(seconds)),
        "objective_scores": {key: sum(given) / len(given) for key, given in by_objective.items()},
    }


def _as_told(row: dict[str, Any]) -> dict[str, Any]:
    """The stored session in the terms of what the call returns."""
    scores = {int(key): score for key, score in json.loads(row["objective_scores"]).items()}
    told = {"session_id": row["id"], "mean_time_seconds": row["avg_time_per_question"], "objective_scores": scores}
    return {**row, **told}


def _untouched(before: dict[str, Any], answers: list[Any]) -> dict[str, Any]:
    """What counting leaves as it was; the last activity follows the answers, and never goes back."""
    written = ("total_questions", "correct_answers", "accuracy", "time_spent_seconds", "avg_time_per_question",
               "objective_scores", "last_activity")  # fmt: skip
    times = [at for _, _, _, at in answers if at is not None]
    times += [] if before["last_activity"] is None else [before["last_activity"]]
    kept = {name: value for name, value in before.items() if name not in written}
    return {**kept, "last_activity": max(times, default=None)}
