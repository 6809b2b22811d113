"""What the three protocols of a libSQL server share: statements in batches, values as JSON, one stream a transaction.

A transaction begins with one request: foreign keys on and read back, BEGIN, and the state of the database, which the
caller looks at before it goes on. A stream ends with its transaction, so that none is left idle until the server ends
it, and the next one begins with all settings made anew.
"""

from __future__ import annotations

import base64
import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, TypeAlias

from ptp.engine.bindings import Statement, changes_rows
from ptp.engine.dialects.connection import Answer, Row, Wire
from ptp.engine.problems import StreamLost, Unreached, error_of
from ptp.errors import CannotFinish, UsageError

Json: TypeAlias = dict[str, Any]
_SETUP = ("PRAGMA foreign_keys = ON", "PRAGMA foreign_keys")
_OPENS = frozenset(("BEGIN", "SAVEPOINT"))
_ENDED = ("TRANSACTION_TIMEOUT", "STREAM_EXPIRED")
_MANY = 200
"""Rows of values that one request carries: the reply to it is as long, and the server holds its lock meanwhile."""


class HranaWire(Wire):
    """A wire to a server; a protocol says how a batch gets there, and how it knows of a transaction."""

    def __init__(self, shown: str) -> None:
        """Speak to the server at `shown`, as it is written in messages."""
        self.shown = shown

    @abstractmethod
    def send(self, steps: Sequence[Json], *, keeps: bool) -> Json:
        """The result of a batch; `keeps` is whether the stream goes on after it. Raises Unreached and its like."""

    def begin(self, sql: str, *, state: str) -> Row | None:
        """Begin, and ask for the state, in one request."""
        texts = (*self.setup(), sql, state)
        found = self.send([_step(_stmt(t), after=n - 1) for n, t in enumerate(texts)], keeps=True)
        results = self._results(found, count=len(texts), spared=len(texts) - 1)
        self._check_setup(results)
        rows = results[-1]["rows"] if results[-1] else []
        return decoded(rows[0]) if rows else None

    def run(self, statement: Statement, values: Row) -> Answer:
        """Run one statement, in the transaction or in a stream of its own."""
        setup = () if self.in_transaction else self.setup()
        texts = [_stmt(t) for t in setup] + [_stmt(statement.text, values)]
        keeps = self.in_transaction or statement.word in _OPENS
        found = self.send([_step(s, after=n - 1) for n, s in enumerate(texts)], keeps=keeps)
        results = self._results(found, count=len(texts))
        self._check_setup(results[:-1])
        return _answer(results[-1], counts=changes_rows(statement.text))

    def run_many(self, statement: Statement, rows: Iterable[Row]) -> int:
        """Run one statement for each row of values, many of them in a request."""
        changed, pending = 0, iter(rows)
        while part := list(islice(pending, _MANY)):
            setup = [] if self.in_transaction else [_stmt(t) for t in self.setup()]
            stmts = setup + [_stmt(statement.text, values, wants_rows=False) for values in part]
            found = self.send([_step(s, after=n - 1) for n, s in enumerate(stmts)], keeps=self.in_transaction)
            results = self._results(found, count=len(stmts))
            changed += sum(r["affected_row_count"] or 0 for r in results[len(setup) :])
        return changed

    def in_one_transaction(self, statement: Statement, rows: Sequence[Row]) -> int:
        """Run one statement for each row of values in one request, all or none; the number of rows changed."""
        before = [_stmt(t) for t in (*self.setup(), "BEGIN IMMEDIATE")]
        stmts = before + [_stmt(statement.text, v, wants_rows=False) for v in rows] + [_stmt("COMMIT")]
        steps = [_step(s, after=n - 1) for n, s in enumerate(stmts)]
        undo = {"type": "not", "cond": {"type": "ok", "step": len(stmts) - 1}}
        found = self.send([*steps, {"stmt": _stmt("ROLLBACK"), "condition": undo}], keeps=False)
        if error := next((e for e in found.get("step_errors") or () if e is not None), None):
            raise self.failed(error)
        results = list(found.get("step_results") or ())[len(before) : -2]
        return sum((r or {}).get("affected_row_count") or 0 for r in results)

    def setup(self) -> Sequence[str]:
        """What a new stream is told first."""
        return _SETUP

    def end(self, sql: str) -> None:
        """End the transaction; where no answer tells whether a COMMIT was done, say so."""
        try:
            found = self.send([{"stmt": _stmt(sql)}], keeps=False)
        except Unreached as problem:
            if sql == "COMMIT" and problem.in_doubt:
                raise Unreached(
                    f"{str(problem).rstrip('.')}; whether the transaction was kept is not known: read it back "
                    "before it is run again.",
                    in_doubt=True,
                ) from None
            raise
        self._results(found, count=1)

    def _results(self, found: Json, *, count: int, spared: int | None = None) -> list[Any]:
        """The results of the steps; raises the error of the first that failed, other than the one that may."""
        results, errors = list(found.get("step_results") or ()), list(found.get("step_errors") or ())
        if len(results) != count or len(errors) != count:
            raise CannotFinish(
                f"{self.shown} answered {len(results)} of {count} statements: it speaks another protocol."
            )
        for number, (result, error) in enumerate(zip(results, errors, strict=True)):
            if error is not None and not (number == spared and "no such " in str(error.get("message"))):
                raise self.failed(error)
            if error is None and result is None:
                raise CannotFinish(f"{self.shown} left a statement out without an error.")
        return results

    def _check_setup(self, results: Sequence[Any]) -> None:
        if len(results) > 1 and decoded(results[1]["rows"][0]) != (1,):
            raise CannotFinish(f"{self.shown} keeps foreign keys off; ptp cannot work with it.")

    def failed(self, error: Mapping[str, Any]) -> Exception:
        """The exception for an error of the server about a statement."""
        code, text = error.get("extended_code") or error.get("code"), str(error.get("message") or "unknown error")
        if code == "BLOCKED" or "blocked" in text.casefold()[:30]:
            return CannotFinish(f"{self.shown} is blocked, as where a quota is used up: {text}.")
        if code in _ENDED or "transaction timed out" in text.casefold():
            return StreamLost(
                f"{self.shown} has ended the transaction ({text}): nothing of it was kept. Run it again, whole, in "
                "less than the server's limit."
            )
        return error_of(text.removeprefix("SQLite error: "), code=code)


def _stmt(sql: str, values: Row = (), *, wants_rows: bool = True) -> Json:
    return {"sql": sql, "args": [encoded(v) for v in values], "named_args": [], "want_rows": wants_rows}


def _step(stmt: Json, *, after: int) -> Json:
    """A step of a batch, run where the one before it was done."""
    return {"stmt": stmt, "condition": {"type": "ok", "step": after}} if after >= 0 else {"stmt": stmt}


def _answer(result: Json, *, counts: bool) -> Answer:
    columns = tuple(c.get("name") or "" for c in result.get("cols") or ())
    last = result.get("last_insert_rowid")
    return Answer(
        columns or None,
        iter([decoded(row) for row in result.get("rows") or ()]),
        changed=(result.get("affected_row_count") or 0) if counts else -1,
        last_id=None if last is None else int(last),
        rows_read=result.get("rows_read"),
        rows_written=result.get("rows_written"),
    )


def encoded(value: Any) -> Json:
    """A value as the protocol has it; raises UsageError for an infinite number, which JSON has no word for."""
    if value is None or value != value:  # SQLite has no NaN either: it is NULL
        return {"type": "null"}
    if isinstance(value, int):
        return {"type": "integer", "value": str(value)}
    if isinstance(value, float):
        if math.isinf(value):
            raise UsageError("An infinite number cannot be sent to a server: write it as 9e999 in the SQL.")
        return {"type": "float", "value": value}
    if isinstance(value, str):
        return {"type": "text", "value": value}
    return {"type": "blob", "base64": base64.b64encode(value).decode("ascii")}


def decoded(row: Sequence[Json]) -> Row:
    """The values of a row. Raises CannotFinish for an infinite number, which comes as none, and for no value."""
    return tuple(_decoded(value) for value in row)


def _decoded(value: Json) -> Any:
    kind = value.get("type")
    if kind == "text":
        return value["value"]
    if kind == "integer":
        return int(value["value"])
    if kind == "null":
        return None
    if kind == "float":
        if not isinstance(value["value"], int | float) or not math.isfinite(value["value"]):
            raise CannotFinish(
                "The server has an infinite number, which cannot be read through it: ask for CAST(… AS TEXT)."
            )
        return float(value["value"])
    if kind == "blob":
        text = value["base64"]
        return base64.b64decode(text + "=" * (-len(text) % 4))
    raise CannotFinish(f"The server sent a value of the type {kind!r}, which ptp does not know.")
