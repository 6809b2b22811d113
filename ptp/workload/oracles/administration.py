"""The back office: hard questions, the audit log, and a change that stands in both or in neither."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

from ptp.workload.draws import Drawn
from ptp.workload.oracles.comparing import unlike_row, unlike_rows, unlike_values
from ptp.workload.oracles.witness import Check, Witness

LIMIT = 100
_DAYS_S = 30 * 86_400
_LEAST_ATTEMPTS = 10
_STATISTICS = (
    "question_id", "objective_id", "text", "difficulty", "total_attempts", "correct_attempts", "success_rate",
    "avg_time_seconds", "discrimination_index",
)  # fmt: skip
_ENTRY = (
    "id", "created_at", "user_id", "action", "entity_type", "entity_id", "old_values", "new_values", "success",
    "request_id",
)  # fmt: skip
_COUNTED = ("total_attempts", "correct_attempts", "avg_time_seconds", "total_time_seconds")
"""Of a question, what answers move."""


def hardest(witness: Witness) -> Check:
    """The check of an exam's 100 hardest questions, of those with more than 10 attempts."""
    sql = """
        SELECT id, correct_attempts, total_attempts FROM questions WHERE exam_id = ? AND total_attempts > ?"""
    by_key = """
        SELECT id, objective_id, text, difficulty, total_attempts, correct_attempts, NULL, avg_time_seconds,
               discrimination_index
        FROM questions WHERE id = ?"""

    def make(exam_id: int) -> list[tuple[Any, ...]]:
        rated = [
            (None if correct is None else correct / total, key)
            for key, correct, total in witness.rows(sql, (exam_id, _LEAST_ATTEMPTS))
        ]
        # What has no rate comes first, as SQLite orders NULL.
        rated.sort(key=lambda one: (one[0] is not None, one[0] or 0.0, one[1]))
        shown = [(rate, witness.rows(by_key, (key,))[0]) for rate, key in rated[:LIMIT]]
        return [(*row[:6], rate, *row[7:]) for rate, row in shown]

    def check(drawn: Drawn, found: Any) -> str | None:
        due = witness.kept(("hardest", drawn.exam_id), lambda: make(drawn.exam_id))
        return unlike_rows(found, due, _STATISTICS)

    return witness.checking_equal("hardest", lambda d: d.exam_id, check)


def trail(witness: Witness, *, now: int) -> Check:
    """The check of the 100 newest audit entries of the last 30 x 24 hours."""
    # The plus keeps SQLite from taking the order from an index.
    sql = f"""
        SELECT {", ".join(_ENTRY)} FROM audit_log WHERE created_at > ? AND created_at <= ?
        ORDER BY +created_at DESC, +id DESC LIMIT {LIMIT}"""

    def check(_drawn: Drawn, found: Any) -> str | None:
        due = witness.kept("trail", lambda: _entries(witness, sql, (now - _DAYS_S, now)))
        return unlike_rows(found, due, _ENTRY)

    return witness.checking_equal("trail", lambda _: None, check)


def history(witness: Witness) -> Check:
    """The check of the 100 newest audit entries of one thing."""
    sql = f"""
        SELECT {", ".join(_ENTRY)} FROM audit_log WHERE entity_id = ? AND +entity_type = ?
        ORDER BY +id DESC LIMIT {LIMIT}"""

    def check(drawn: Drawn, found: Any) -> str | None:
        entity, key = drawn.entry or ("", 0)
        return unlike_rows(found, _entries(witness, sql, (str(key), entity)), _ENTRY)

    return witness.checking_equal("history", lambda d: d.entry, check)


def _entries(witness: Witness, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    place = _ENTRY.index("success")
    return [(*row[:place], _flag(row[place]), *row[place + 1 :]) for row in witness.rows(sql, values)]


def _flag(value: int | None) -> int | None:
    return bool(value) if value in (0, 1) else value


def changing(
    witness: Witness,
    *,
    keys: Collection[int],
    values: Callable[[Drawn], Mapping[str, Any]],
    actor: Callable[[Drawn], Any],
    now: int,
) -> Check:
    """The check of setting `values` of a question: they stand in it, nothing else of it moved, and one entry tells it.

    Each call starts from what the one before it left, so none may be left unchecked.
    """
    sql = "SELECT * FROM questions WHERE id IN (SELECT value FROM json_each(?))"
    questions = {row["id"]: row for row in witness.records(sql, (json.dumps(sorted(keys)),))}
    newest = witness.rows("SELECT coalesce(max(id), 0) FROM audit_log")[0][0]

    def check(drawn: Drawn, found: Any) -> str | None:
        nonlocal newest
        key, given, before = drawn.question_id, dict(values(drawn)), questions[drawn.question_id]
        entries = witness.records("SELECT * FROM audit_log WHERE id > ? ORDER BY id", (newest,))
        newest = max((entry["id"] for entry in entries), default=newest)
        (questions[key],) = witness.records("SELECT * FROM questions WHERE id = ?", (key,))
        left = {name: value for name, value in before.items() if name not in _COUNTED}
        if wrong := unlike_values(questions[key], {**left, **given, "updated_at": now}):
            return f"of the question, {wrong}"
        if len(entries) != 1:
            return f"{len(entries)} audit entries were written where 1 was due"
        old = {name: before[name] for name in given}
        entry = _entry(key, actor(drawn), old, given) | {"id": newest, "created_at": now}
        if wrong := unlike_values(_read(entries[0]), entry):
            return f"in the audit log, {wrong}"
        return unlike_row(_read_found(found), [entry[name] for name in _ENTRY], _ENTRY)

    return witness.checking(check)


def _entry(key: int, actor: Any, old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """What the audit log is to hold of a change of a question."""
    who = ("user_id", "ip_address", "user_agent", "session_id", "request_id", "method", "path")
    return {
        **{name: getattr(actor, name) for name in who},
        "action": "question.update",
        "entity_type": "question",
        "entity_id": str(key),
        "old_values": dict(old),
        "new_values": dict(new),
        "metadata": None,
        "success": True,
        "error_code": None,
        "error_message": None,
    }


def _read(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry as stored, with its values read."""
    values = {name: json.loads(entry[name] or "null") for name in ("old_values", "new_values")}
    return {**entry, **values, "success": _flag(entry["success"])}


def _read_found(found: Any) -> Any:
    return found._replace(**{name: json.loads(getattr(found, name) or "null") for name in ("old_values", "new_values")})
