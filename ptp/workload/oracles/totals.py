"""A user's totals in an exam: what they were, and a sitting more; told by the call as they are written."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from ptp.workload.draws import Drawn
from ptp.workload.oracles.comparing import ratio, unlike_row, unlike_values
from ptp.workload.oracles.witness import Check, Witness

_RETURNED = (
    "user_id", "exam_id", "total_questions_seen", "unique_questions_seen", "total_correct", "total_incorrect",
    "overall_accuracy", "total_study_minutes", "study_days_count", "last_study_date",
)  # fmt: skip
_ROW = "SELECT * FROM user_progress WHERE user_id = ? AND exam_id = ?"


def adding(
    witness: Witness, *, pairs: Collection[tuple[int, int]], sitting: Callable[[Drawn], Mapping[str, int]], now: int
) -> Check:
    """The check of adding a sitting to the totals of one of the `pairs` of user and exam; what they are is kept aside.

    Each call starts from what the one before it left, so none may be left unchecked.
    """
    sql = "SELECT * FROM user_progress WHERE user_id IN (SELECT value FROM json_each(?))"
    rows = witness.records(sql, (json.dumps(sorted({user for user, _ in pairs})),))
    totals = {(row["user_id"], row["exam_id"]): row for row in rows}
    today = datetime.fromtimestamp(now, UTC).date().isoformat()

    def check(drawn: Drawn, found: Any) -> str | None:
        pair = (drawn.user_id, drawn.exam_id)
        due = {
            "user_id": drawn.user_id,
            "exam_id": drawn.exam_id,
            **_added(totals.get(pair, {"created_at": now}), sitting(drawn), today),
            "updated_at": now,
        }
        (totals[pair],) = witness.records(_ROW, pair)
        if wrong := unlike_values(totals[pair], due):
            return f"as written, {wrong}"
        return unlike_row(found, [due[name] for name in _RETURNED], _RETURNED)

    return witness.checking(check)


def _added(before: Mapping[str, Any], sitting: Mapping[str, int], today: str) -> dict[str, Any]:
    """The row with the sitting added; what a sitting does not touch stays."""

    def plus(name: str, more: int) -> int:
        return int(before.get(name) or 0) + more

    seen, correct = sitting["questions_seen"], sitting["correct"]
    last = before.get("last_study_date") or ""
    total, right = plus("total_questions_seen", seen), plus("total_correct", correct)
    return {
        **before,
        "total_questions_seen": total,
        "unique_questions_seen": plus("unique_questions_seen", sitting.get("new_questions", 0)),
        "total_correct": right,
        "total_incorrect": plus("total_incorrect", seen - correct),
        "overall_accuracy": ratio(right, total),
        "total_study_minutes": plus("total_study_minutes", sitting["study_minutes"]),
        "study_days_count": plus("study_days_count", int(today > last)),
        "last_study_date": max(today, last),
    }
