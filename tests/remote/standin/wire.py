"""What goes over the wire in the Hrana protocol: values, errors, SQL texts, conditions of a batch.

Names and words of errors are those of libSQL's server. A condition on the error of a step that was skipped is false, as
the specification says.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from tests.remote.standin.libsql import Failed, Value

Json: TypeAlias = dict[str, Any]

_PARSE = ("syntax error", "incomplete input", "unrecognized token")
_CODES = {
    1: "SQLITE_UNKNOWN", 2: "SQLITE_INTERNAL", 3: "SQLITE_PERM", 4: "SQLITE_ABORT", 5: "SQLITE_BUSY",
    6: "SQLITE_LOCKED", 7: "SQLITE_NOMEM", 8: "SQLITE_READONLY", 9: "SQLITE_INTERRUPT", 10: "SQLITE_IOERR",
    11: "SQLITE_CORRUPT", 12: "SQLITE_NOTFOUND", 13: "SQLITE_FULL", 14: "SQLITE_CANTOPEN", 15: "SQLITE_PROTOCOL",
    17: "SQLITE_SCHEMA", 18: "SQLITE_TOOBIG", 19: "SQLITE_CONSTRAINT", 20: "SQLITE_MISMATCH", 21: "SQLITE_MISUSE",
    23: "SQLITE_AUTH", 25: "SQLITE_RANGE", 26: "SQLITE_NOTADB",
}  # fmt: skip


class Refused(Exception):
    """An error that the protocol has a code for: told to the client, and the stream goes on."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.message, self.code = message, code

    @property
    def error(self) -> Json:
        return {"message": self.message, "code": self.code}


class Violation(Exception):
    """The client broke the protocol: its stream or connection is closed."""


def timed_out() -> Refused:
    """What a stream answers once when its transaction was rolled back for its length."""
    return Refused("Transaction timed out", "TRANSACTION_TIMEOUT")


def text_of(holder: Json, sqls: Mapping[int, str], version: int) -> str:
    """The SQL of a request, given or stored before; raises Violation."""
    sql, sql_id = holder.get("sql"), holder.get("sql_id")
    if sql_id is not None and version < 2:
        raise Violation("`sql_id` is only supported in protocol version hrana2 and higher")
    if sql is not None and sql_id is not None:
        raise Violation("Either `sql` or `sql_id` are required, but not both")
    if sql is not None:
        return str(sql)
    if sql_id is None:
        raise Violation("Either `sql` or `sql_id` are required")
    if sql_id not in sqls:
        raise Violation(f"SQL text {sql_id} not found")
    return sqls[sql_id]


def encoded(value: Value) -> Json:
    """A value for the client."""
    if value is None:
        return {"type": "null"}
    if isinstance(value, int):
        return {"type": "integer", "value": str(value)}
    if isinstance(value, float):
        return {"type": "float", "value": value if math.isfinite(value) else None}
    if isinstance(value, str):
        return {"type": "text", "value": value}
    return {"type": "blob", "base64": base64.b64encode(value).decode().rstrip("=")}


def decoded(value: Json) -> Value:
    """A value from the client; raises Violation."""
    try:
        match value["type"]:
            case "null":
                return None
            case "integer":
                number = int(value["value"])
                if not isinstance(value["value"], str) or not -(2**63) <= number < 2**63:
                    raise Violation("invalid value: expected a 64-bit integer in a string")
                return number
            case "float":
                return float(value["value"])
            case "text":
                return str(value["value"])
            case "blob":
                text = value["base64"].rstrip("=")
                return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (KeyError, TypeError, ValueError) as problem:
        raise Violation(f"Cannot deserialize client message from JSON: {problem}") from None
    raise Violation("Value type not recognized")


def size(row: list[Json]) -> int:
    """About how many bytes a row takes in a reply."""
    return sum(24 + len(str(value.get("value", value.get("base64", "")))) for value in row)


def check_condition(condition: Json | None, at: int, version: int) -> None:
    """Raises Violation for a condition that refers to a step which has not run by then."""
    match condition:
        case None:
            return
        case {"type": "ok" | "error", "step": int(step)}:
            if not 0 <= step < at:
                raise Violation("Invalid reference to step in a batch condition")
        case {"type": "not", "cond": inner}:
            check_condition(inner, at, version)
        case {"type": "and" | "or", "conds": inners}:
            for inner in inners:
                check_condition(inner, at, version)
        case {"type": "is_autocommit"}:
            if version < 3:
                raise Violation(
                    "BatchCond of type `is_autocommit` is only supported in protocol version hrana3 and higher"
                )
        case _:
            raise Violation("BatchCond type not recognized")


def holds(condition: Json, done: list[bool | None], autocommit: bool) -> bool:
    match condition["type"]:
        case "ok":
            return done[condition["step"]] is True
        case "error":
            return done[condition["step"]] is False
        case "not":
            return not holds(condition["cond"], done, autocommit)
        case "and":
            return all(holds(each, done, autocommit) for each in condition["conds"])
        case "or":
            return any(holds(each, done, autocommit) for each in condition["conds"])
        case _:
            return autocommit


def refused(problem: Failed) -> Refused:
    if problem.code & 0xFF == 1 and any(each in problem.message for each in _PARSE):
        return Refused(f"SQL string could not be parsed: {problem.message}", "SQL_PARSE_ERROR")
    if problem.code & 0xFF == 1 and problem.offset >= 0:
        return Refused(f"SQLite input error: {problem.message} (at offset {problem.offset})", "SQL_INPUT_ERROR")
    return Refused(f"SQLite error: {problem.message}", _CODES.get(problem.code & 0xFF, "SQLITE_UNKNOWN"))


def unsupported(sql: str) -> Refused:
    return Refused(f"SQL string could not be parsed: unsupported statement: {sql.strip()}", "SQL_PARSE_ERROR")


def mismatch(what: str) -> Refused:
    return Refused(f"Arguments do not match SQL parameters: {what}", "ARGS_INVALID")


def store(sqls: dict[int, str], asked: Json, most: int) -> None:
    """Keep an SQL text; raises Refused, Violation."""
    if asked["sql_id"] in sqls:
        raise Violation(f"SQL text {asked['sql_id']} already exists")
    if len(sqls) >= most:
        raise Refused(f"The server already stores {len(sqls)} SQL texts, it cannot store more", "SQL_STORE_TOO_MANY")
    sqls[asked["sql_id"]] = asked["sql"]


def take(entries: Iterator[Json], most: int) -> list[Json]:
    """The next entries of a cursor, without what it does not tell."""
    found = []
    for entry in entries:
        found.append({key: value for key, value in entry.items() if key != "counted"})
        if len(found) == most:
            break
    return found
