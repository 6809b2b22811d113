"""The log of AI generation: its sums by purpose and model, and a call entered in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ptp.workload.draws import Drawn
from ptp.workload.oracles.comparing import not_rows, ratio, told, unlike_count, unlike_row, unlike_values
from ptp.workload.oracles.witness import Check, Witness

DAYS = 30
_DAY_S = 86_400
_NAMES = ("purpose", "model", "calls", "cost_dollars", "mean_cost_dollars", "success_rate")


def costs(witness: Witness, *, now: int) -> Check:
    """The check of the costs of the last 30 days (whole ones of UTC, with today) by purpose and model."""
    end = (now // _DAY_S + 1) * _DAY_S
    sql = """
        SELECT purpose, model, cost_cents, success FROM ai_generation_log
        WHERE created_at >= ? AND created_at < ?"""

    def make() -> dict[tuple[str, str], tuple[Any, ...]]:
        kinds: dict[tuple[str, str], list[Any]] = {}
        for purpose, model, cents, success in witness.stream(sql, (end - DAYS * _DAY_S, end)):
            known = kinds.setdefault((purpose, model), [0, 0, 0.0, 0, 0])
            known[0] += 1
            known[1] += cents is not None
            known[2] += cents or 0.0
            known[3] += success is not None
            known[4] += success or 0
        return {kind: (*kind, *_cost(*counted)) for kind, counted in kinds.items()}

    def check(_drawn: Drawn, found: Any) -> str | None:
        due = witness.kept("costs", make)
        if wrong := not_rows(found) or unlike_count(found, len(due)):
            return wrong
        for place, row in enumerate(found, start=1):
            if (row.purpose, row.model) not in due:
                return f"row {place} is of a purpose and model without a call in these days"
            if wrong := unlike_row(row, due[row.purpose, row.model], _NAMES):
                return f"row {place}: {wrong}"
        # By the sums as they were returned: two that are equal may differ in the last bit as they are summed here.
        dearest_first = sorted(found, key=lambda row: (-row.cost_dollars, row.purpose, row.model))
        return None if list(found) == dearest_first else "the rows do not come dearest first"

    return witness.checking_equal("costs", lambda _: None, check)


def _cost(calls: int, priced: int, cents: float, judged: int, succeeded: int) -> tuple[Any, ...]:
    return calls, cents / 100, ratio(cents / 100, priced), ratio(succeeded, judged)


def logging(witness: Witness, *, generation: Callable[[Drawn], Any], now: int) -> Check:
    """The check of entering a call: its id is that of the one entry more, which holds what was given."""
    newest = witness.rows("SELECT coalesce(max(id), 0) FROM ai_generation_log")[0][0]

    def check(drawn: Drawn, found: Any) -> str | None:
        nonlocal newest
        given = generation(drawn)
        entries = witness.records("SELECT * FROM ai_generation_log WHERE id > ? ORDER BY id", (newest,))
        newest = max((entry["id"] for entry in entries), default=newest)
        if len(entries) != 1:
            return f"{len(entries)} entries were written where 1 was due"
        tokens = [n for n in (given.prompt_tokens, given.completion_tokens) if n is not None]
        due = {name: getattr(given, name) for name in given.__dataclass_fields__} | {
            "success": int(given.success),
            "question_ids": json.dumps(list(given.question_ids)) if given.question_ids else None,
            "total_tokens": sum(tokens) if tokens else None,
            "ip_address": None,
            "user_agent": None,
            "created_at": now,
        }
        if wrong := unlike_values(entries[0], due):
            return f"as written, {wrong}"
        return None if found == newest and type(found) is int else f"{told(found)} where id {newest} was due"

    return witness.checking(check)
