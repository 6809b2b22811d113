"""Administrative changes of questions, exams, users and subscriptions: each in one transaction with its audit entry."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from sqlalchemy import Column, Connection, Engine, Table, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from ptp.engine import atomic
from ptp.errors import UsageError
from ptp.queries.arguments import check_given_ids, finite, require_known, whole
from ptp.queries.tables import AUDIT_LOG, EXAMS, OBJECTIVES, QUESTIONS, USERS, Prepared
from ptp.schema.columns import Flag

Entity: TypeAlias = Literal["question", "exam", "user", "subscription"]
Action: TypeAlias = Literal["create", "update", "delete"]

_TABLES: Mapping[Entity, Table] = {"question": QUESTIONS, "exam": EXAMS, "user": USERS, "subscription": USERS}
_SUBSCRIPTION = frozenset(
    ("subscription_status", "subscription_expires_at", "stripe_customer_id", "stripe_subscription_id")
)
_COUNTED = frozenset(
    ("id", "total_attempts", "correct_attempts", "avg_time_seconds", "total_time_seconds", "updated_at")
)
"""What follows from answers or from the change itself, or identifies: nobody sets it by hand."""
_SECRET = frozenset(("password_hash", "provider_id", "stripe_customer_id", "stripe_subscription_id"))
"""The audit log says that these changed, never from what to what."""
MASK = "***"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who asked for a change, and by which request; `user_id` is None for the platform itself."""

    user_id: int | None = None
    ip_address: str | None = None
    user_agent: str | None = None
    session_id: str | None = None
    request_id: str | None = None
    method: str | None = None
    path: str | None = None


class AuditRecord(NamedTuple):
    """One entry of the audit log; values before and after as JSON text, `created_at` in Unix seconds."""

    id: int
    created_at: int | None
    user_id: int | None
    action: str
    entity_type: str | None
    entity_id: str | None
    old_values: str | None
    new_values: str | None
    success: bool | None
    request_id: str | None


def change(
    engine: Engine,
    *,
    entity: Entity,
    action: Action,
    entity_id: int | None,
    values: Mapping[str, Any],
    actor: Actor,
    now: int,
) -> AuditRecord:
    """Change one thing and enter it in the audit log, both or neither; see AnalyticsQueries.change."""
    _check(entity, action, entity_id, values)
    _check_actor(actor)
    table = _TABLES[entity]
    try:
        with atomic(engine) as db:
            old = {} if entity_id is None else _row(db, entity, entity_id)
            key = _write(db, table, action, entity_id, dict(values), now)
            if entity == "question" and values.keys() & {"exam_id", "objective_id"}:
                _check_objective(db, key)
            shown = old if action == "delete" else {name: old[name] for name in values if name in old}
            entry = {
                **asdict(actor),
                # Who deletes the own account is in no row any more to which the entry could refer.
                "user_id": None if (entity, action, entity_id) == ("user", "delete", actor.user_id) else actor.user_id,
                "action": f"{entity}.{action}",
                "entity_type": entity,
                "entity_id": str(key),
                "old_values": _as_json(shown) if old else None,
                "new_values": _as_json(values) if values else None,
                "success": True,
                "created_at": now,
            }
            (found,) = _ENTER.rows(db, entry)
    except IntegrityError as problem:
        with engine.connect() as db:  # a foreign key does not say which one failed
            require_known(db, user_id=actor.user_id)
        raise UsageError(f"The {entity} cannot be changed so: {str(problem.orig).rstrip('.')}.") from None
    return _record(found)


def trail(engine: Engine, *, since: int, until: int, limit: int) -> tuple[AuditRecord, ...]:
    """The newest entries of a period."""
    with engine.connect() as db:
        return tuple(map(_record, _TRAIL.rows(db, {"since": since, "until": until, "limit": limit})))


def history(engine: Engine, *, entity: Entity, entity_id: int, limit: int) -> tuple[AuditRecord, ...]:
    """The newest entries of one thing, which need not be there any more."""
    _check_entity(entity)
    values = {"entity": entity, "key": str(whole("entity_id", entity_id, low=1, high=2**63 - 1)), "limit": limit}
    with engine.connect() as db:
        return tuple(map(_record, _HISTORY.rows(db, values)))


def _record(row: Sequence[Any]) -> AuditRecord:
    found = AuditRecord._make(row)
    return found._replace(success=None if found.success is None else bool(found.success))


def _check_entity(entity: str) -> None:
    if entity not in get_args(Entity):
        raise UsageError(f"entity is {entity!r}: it must be one of {', '.join(get_args(Entity))}.")


def _check(entity: str, action: str, entity_id: int | None, values: Mapping[str, Any]) -> None:
    _check_entity(entity)
    if not isinstance(values, Mapping):
        raise UsageError(f"values is {values!r}: it must map names to values.")
    actions = ("update",) if entity == "subscription" else get_args(Action)
    if action not in actions:
        raise UsageError(f"action is {action!r}: for a {entity} it must be one of {', '.join(actions)}.")
    if (entity_id is None) != (action == "create"):
        raise UsageError(f"To {action} a {entity}, {'leave out' if action == 'create' else 'name'} its entity_id.")
    if bool(values) == (action == "delete"):
        raise UsageError(f"To {action} a {entity}, {'give no' if action == 'delete' else 'name the'} values.")
    allowed = {c.name for c in _TABLES[entity].columns} - _COUNTED  # type: ignore[index]
    allowed = allowed & _SUBSCRIPTION if entity == "subscription" else allowed - _SUBSCRIPTION
    check_given_ids(entity_id=entity_id)
    for name, value in values.items():
        if name not in allowed:
            raise UsageError(f"A {entity} has no value {name!r} that can be set.")
        if value is not None and not isinstance(value, str | int | float):
            raise UsageError(f"{name} is {value!r}: it must be a text, a number, True, False or None.")
        if isinstance(value, float):
            finite(name, value)
        if isinstance(_TABLES[entity].c[name].type, Flag) and value not in (None, 0, 1):  # type: ignore[index]
            raise UsageError(f"{name} is {value!r}: it must be True, False or None.")


def _check_actor(actor: Actor) -> None:
    if not isinstance(actor, Actor):
        raise UsageError(f"{type(actor).__name__} is no actor: give an Actor.")
    check_given_ids(user_id=actor.user_id)
    for name, value in asdict(actor).items():
        if name != "user_id" and not isinstance(value, str | None):
            raise UsageError(f"{name} is {value!r}: it must be a text, or None.")


def _check_objective(db: Connection, key: int) -> None:
    if not _AGREES.value(db, {"key": key}):
        raise UsageError(f"The objective of question {key} is not one of its exam: change both together.")


def _row(db: Connection, entity: Entity, entity_id: int) -> dict[str, Any]:
    table = _TABLES[entity]
    found = _SELECT[table.name].rows(db, {"key": entity_id})
    if not found:
        kind = "user" if entity == "subscription" else entity
        raise UsageError(f"There is no {kind} with id {entity_id!r}.")
    return {c.name: _as_told(c, value) for c, value in zip(table.columns, found[0], strict=True)}


def _as_told(column: Column[Any], value: Any) -> Any:
    """A flag as True or False, as it is given; anything else as it stands."""
    return bool(value) if isinstance(column.type, Flag) and value is not None else value


def _write(
    db: Connection, table: Table, action: Action, entity_id: int | None, values: dict[str, Any], now: int
) -> int:
    times = {"updated_at": now} if action == "update" else {"created_at": now, "updated_at": now}
    given = {} if action == "delete" else {**times, **values}
    (written,) = _writing(action, table, tuple(given)).rows(db, {**given, "key": entity_id})
    return int(written[0])


@cache
def _writing(action: Action, table: Table, names: tuple[str, ...]) -> Prepared:
    """The statement that creates, updates or deletes a row, and gives its id."""
    values: dict[str, Any] = {name: bindparam(name) for name in names}
    if action == "create":
        return Prepared(insert(table).values(values).returning(table.c.id))
    changing = delete(table) if action == "delete" else update(table).values(values)
    return Prepared(changing.where(table.c.id == bindparam("key")).returning(table.c.id))


def _as_json(values: Mapping[str, Any]) -> str:
    kept = {name: MASK if name in _SECRET and value is not None else value for name, value in values.items()}
    return json.dumps(kept, ensure_ascii=False)


_LOG = AUDIT_LOG.c
_SHOWN = tuple(_LOG[name] for name in AuditRecord._fields)
_AGREES = Prepared(
    select(OBJECTIVES.c.exam_id == QUESTIONS.c.exam_id)
    .join_from(QUESTIONS, OBJECTIVES, OBJECTIVES.c.id == QUESTIONS.c.objective_id)
    .where(QUESTIONS.c.id == bindparam("key"))
)
_ENTRY = (*Actor.__dataclass_fields__, "action", "entity_type", "entity_id", "old_values", "new_values", "success",
          "created_at")  # fmt: skip
_ENTER = Prepared(insert(AUDIT_LOG).values({name: bindparam(name) for name in _ENTRY}).returning(*_SHOWN))
_SELECT = {t.name: Prepared(select(t).where(t.c.id == bindparam("key"))) for t in {QUESTIONS, EXAMS, USERS}}
_TRAIL = Prepared(
    select(*_SHOWN)
    .where(_LOG.created_at > bindparam("since"), _LOG.created_at <= bindparam("until"))
    .order_by(_LOG.created_at.desc(), _LOG.id.desc())
    .limit(bindparam("limit"))
)
_HISTORY = Prepared(
    select(*_SHOWN)
    .where(_LOG.entity_type == bindparam("entity"), _LOG.entity_id == bindparam("key"))
    .order_by(_LOG.id.desc())
    .limit(bindparam("limit"))
)
