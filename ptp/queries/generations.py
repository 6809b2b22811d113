"""The log of AI generation: what each call cost, and what a period cost by purpose and model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from sqlalchemy import Engine, bindparam, insert
from sqlalchemy.exc import IntegrityError

from ptp.engine import atomic, fetch
from ptp.errors import UsageError
from ptp.queries.arguments import DAY, check_given_ids, check_ids, count_of, finite, require_known
from ptp.queries.tables import AI_GENERATIONS, Prepared


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGeneration:
    """One call of a model: `cost_cents` in cents, None where it is not known; `question_ids` are those it made."""

    purpose: str
    model: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_cents: float | None = None
    success: bool = True
    error_message: str | None = None
    generation_time_ms: int | None = None
    exam_id: int | None = None
    objective_id: int | None = None
    question_ids: Sequence[int] = ()
    tweet_id: str | None = None
    opportunity_id: str | None = None
    user_id: int | None = None
    request_id: str | None = None


class AiCost(NamedTuple):
    """What the calls of one model for one purpose cost, in dollars; `success_rate` from 0 to 1.

    The mean is over the calls whose cost is known, the rate over those whose success is; None where there are none.
    """

    purpose: str
    model: str
    calls: int
    cost_dollars: float
    mean_cost_dollars: float | None
    success_rate: float | None


def log_generation(engine: Engine, generation: NewGeneration, *, now: int) -> int:
    """Enter a call in the log; its id."""
    values = _checked(generation) | {"created_at": now}
    try:
        with atomic(engine) as db:
            return int(_ENTER.value(db, values))
    except IntegrityError:
        with engine.connect() as db:  # a foreign key does not say which one failed
            require_known(
                db,
                exam_id=generation.exam_id,
                user_id=generation.user_id,
                objective_id=generation.objective_id,
            )
        raise


def cost_summary(engine: Engine, *, until: int, days: int) -> tuple[AiCost, ...]:
    """Cost, count, mean and success by purpose and model of the last `days` UTC days up to that of `until`."""
    last = until // DAY
    with engine.connect() as db:
        rows = fetch(db, _DAYS, (last - days + 1, last))
    by_kind: dict[tuple[str, str], list[Any]] = {}
    for purpose, model, *counts in rows:
        by_kind.setdefault((purpose, model), []).append(counts)
    costs = (_cost(*kind, counted) for kind, counted in by_kind.items())
    return tuple(sorted(costs, key=lambda cost: (-cost.cost_dollars, cost.purpose, cost.model)))


def _cost(purpose: str, model: str, counted: Iterable[Sequence[Any]]) -> AiCost:
    calls, priced, cents, judged, succeeded = zip(*counted, strict=True)
    dollars = sum(cents) / 100
    return AiCost(
        purpose=purpose,
        model=model,
        calls=sum(calls),
        cost_dollars=dollars,
        mean_cost_dollars=dollars / sum(priced) if any(priced) else None,
        success_rate=sum(succeeded) / sum(judged) if any(judged) else None,
    )


def _checked(generation: NewGeneration) -> dict[str, Any]:
    for name in ("purpose", "model"):
        if not isinstance(getattr(generation, name), str) or not getattr(generation, name).strip():
            raise UsageError(f"{name} is {getattr(generation, name)!r}: it must be a text.")
    if not isinstance(generation, NewGeneration):
        raise UsageError(f"{type(generation).__name__} is no call of a model: give a NewGeneration.")
    check_given_ids(exam_id=generation.exam_id, objective_id=generation.objective_id, user_id=generation.user_id)
    if not isinstance(generation.question_ids, list | tuple):
        raise UsageError(f"question_ids is {generation.question_ids!r}: it must be a list of ids.")
    for key in generation.question_ids:
        check_ids(question_ids=key)
    for name in ("error_message", "tweet_id", "opportunity_id", "request_id"):
        if not isinstance(getattr(generation, name), str | None):
            raise UsageError(f"{name} is {getattr(generation, name)!r}: it must be a text, or None.")
    for name in ("prompt_tokens", "completion_tokens", "generation_time_ms"):
        if getattr(generation, name) is not None:
            count_of(name, getattr(generation, name))
    if generation.cost_cents is not None and finite("cost_cents", generation.cost_cents) < 0:
        raise UsageError(f"cost_cents is {generation.cost_cents!r}: it must be a number of cents, 0 or more.")
    if not isinstance(generation.success, bool):
        raise UsageError(f"success is {generation.success!r}: it must be True or False.")
    tokens = [n for n in (generation.prompt_tokens, generation.completion_tokens) if n is not None]
    made = json.dumps(list(generation.question_ids)) if generation.question_ids else None
    return {**asdict(generation), "question_ids": made, "total_tokens": sum(tokens) if tokens else None}


_ENTRY = (*NewGeneration.__dataclass_fields__, "total_tokens", "created_at")
_ENTER = Prepared(
    insert(AI_GENERATIONS).values({name: bindparam(name) for name in _ENTRY}).returning(AI_GENERATIONS.c.id)
)

# In the order of the key. They are summed in Python: the key begins with the day, so that SQLite would have to sort.
_DAYS = """
    SELECT purpose, model, calls, priced, cost_cents, judged, succeeded
    FROM ai_cost_days WHERE day BETWEEN ? AND ? ORDER BY day, purpose, model"""
