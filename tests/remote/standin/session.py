"""A stream: one connection, and how the statements and batches of the Hrana protocol run on it.

From the public specification (`docs/HRANA_3_SPEC.md` of libSQL's repository). What the server returns besides the
specification, and its clients read, is here too: `rows_read`, `rows_written` and `query_duration_ms` of an executed
statement, as the counters of libSQL have them (the server bills one row read where both are 0, and does not return it).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing

from tests.remote.standin.libsql import Database, Failed, Statement, Value
from tests.remote.standin.rules import Kind, Limits, kind_of, statements
from tests.remote.standin.wire import (
    Json,
    Refused,
    check_condition,
    decoded,
    encoded,
    holds,
    mismatch,
    refused,
    size,
    text_of,
    timed_out,
    unsupported,
)


class Session:
    """A connection with what the protocol keeps beside it; all of it is used by one thread at a time."""

    def __init__(self, db: Database, limits: Limits) -> None:
        self.db, self._limits = db, limits
        self._began: float | None = None
        self._timed_out = False

    def close(self) -> None:
        self._began = None  # whoever asks whether it is overdue must not find so and use what is closed
        self.db.close()

    def overdue(self) -> bool:
        """Whether its transaction has lasted too long; may be asked from any thread."""
        return self._began is not None and time.monotonic() - self._began > self._limits.transaction_seconds

    def end_overdue(self) -> None:
        """Roll back a transaction that has lasted too long."""
        if self.overdue():
            self.roll_back()
            self._timed_out = True

    def roll_back(self) -> None:
        if not self.db.autocommit:
            self.db.run("ROLLBACK")
        self._began = None

    def execute(self, stmt: Json, sqls: Mapping[int, str], version: int) -> Json:
        """One statement; raises Refused, Violation."""
        prepared = self._parsed(stmt, sqls, version)
        result = _Result(self._limits.response_bytes)
        for entry in self._program([(None, prepared)]):
            result.add(entry)
        if result.error:
            raise Refused(result.error["message"], result.error["code"])
        return result.json()

    def batch(self, batch: Json, sqls: Mapping[int, str], version: int) -> Json:
        """A batch; raises Refused, Violation."""
        results: list[_Result | None] = [None] * len(batch["steps"])
        at = -1
        for entry in self.cursor(batch, sqls, version):
            at = entry.get("step", at)
            results[at] = result = results[at] or _Result(self._limits.response_bytes)
            result.add(entry)
        return {
            "step_results": [None if r is None or r.error else r.json() for r in results],
            "step_errors": [r.error if r else None for r in results],
            "replication_index": None,
        }

    def cursor(self, batch: Json, sqls: Mapping[int, str], version: int) -> Iterator[Json]:
        """The entries of a batch, one by one. What is wrong with the batch as a whole is raised before the first."""
        steps = []
        for at, step in enumerate(batch["steps"]):
            check_condition(step.get("condition"), at, version)
            steps.append((step.get("condition"), self._parsed(step["stmt"], sqls, version)))
        if len(steps) > 1:
            self._check_grammar([text_of(step["stmt"], sqls, version) for step in batch["steps"]])
        return self._program(steps)

    def _check_grammar(self, texts: list[str]) -> None:
        """Raise what the server's parser finds before the first step runs; a table that is missing it does not."""
        for sql in texts:
            try:
                self._only(sql).close()
            except Refused as problem:
                if problem.code == "SQL_PARSE_ERROR":
                    raise

    def sequence(self, sql: str) -> None:
        """Statements until the first that fails, which raises Refused."""
        steps = [
            {"stmt": {"sql": one, "want_rows": False}, "condition": {"type": "ok", "step": at - 1} if at else None}
            for at, one in enumerate(statements(sql))
        ]
        for entry in self.cursor({"steps": steps}, {}, 3):
            if entry["type"] == "step_error":
                raise Refused(entry["error"]["message"], entry["error"]["code"])

    def describe(self, sql: str) -> Json:
        """What a statement takes and gives; raises Refused."""
        with closing(self._only(sql)) as statement:
            return {
                "params": [{"name": name} for name in statement.parameters],
                "cols": [{"name": name, "decltype": declared} for name, declared in statement.columns],
                "is_explain": statement.is_explain,
                "is_readonly": statement.read_only,
            }

    def _parsed(self, stmt: Json, sqls: Mapping[int, str], version: int) -> Callable[[], _Run]:
        """What the server does with a statement before anything runs: it only parses it, tables may come later."""
        sql = text_of(stmt, sqls, version)
        self._check_single(sql)
        kind = kind_of(sql)
        if kind.refused:
            raise unsupported(sql)
        named = {each["name"]: decoded(each["value"]) for each in stmt.get("named_args") or ()}
        args = [decoded(each) for each in stmt.get("args") or ()]
        if named and args:
            raise Refused(
                "Specifying both positional and named arguments is not supported", "ARGS_BOTH_POSITIONAL_AND_NAMED"
            )
        wanted = stmt.get("want_rows")
        return lambda: _Run(self._only(sql), kind, args, named, wanted is None or wanted)

    def _check_single(self, sql: str) -> None:
        found = statements(sql)
        if not found:
            raise Refused("SQL string does not contain any statement", "SQL_NO_STATEMENT")
        if len(found) > 1:
            raise Refused("SQL string contains more than one statement", "SQL_MANY_STATEMENTS")

    def _only(self, sql: str) -> Statement:
        statement, _ = self._prepared(sql.encode())
        if statement is None:
            raise Refused("SQL string does not contain any statement", "SQL_NO_STATEMENT")
        return statement

    def _prepared(self, sql: bytes) -> tuple[Statement | None, bytes]:
        try:
            return self.db.prepare(sql)
        except Failed as problem:
            raise refused(problem) from None

    def _program(self, steps: list[tuple[Json | None, Callable[[], _Run]]]) -> Iterator[Json]:
        done: list[bool | None] = []  # succeeded, failed, or skipped
        late = False
        for at, (condition, prepare) in enumerate(steps):
            self.end_overdue()
            late = self._take_timeout() or late
            if not late and condition is not None and not holds(condition, done, self.db.autocommit):
                done.append(None)
                continue
            try:
                if late:
                    raise timed_out()
                yield from self._step(at, prepare)
                done.append(True)
            except Refused as problem:
                done.append(False)
                yield {"type": "step_error", "step": at, "error": problem.error}

    def _step(self, at: int, prepare: Callable[[], _Run]) -> Iterator[Json]:
        begun = time.perf_counter()
        run = prepare()
        with closing(run.statement) as statement:
            run.bind()
            columns = [{"name": name, "decltype": declared} for name, declared in statement.columns]
            yield {"type": "step_begin", "step": at, "cols": columns}
            try:
                for row in statement.rows():
                    if run.want_rows:
                        yield {"type": "row", "row": [encoded(value) for value in row]}
            except Failed as problem:
                raise refused(problem) from None
            except UnicodeDecodeError:
                raise Refused("Text in the database is not UTF-8", "SQLITE_UNKNOWN") from None
            finally:
                self._note()
            yield self._end(run, time.perf_counter() - begun)

    def _end(self, run: _Run, seconds: float) -> Json:
        read, written = run.statement.counters
        return {
            "type": "step_end",
            "affected_row_count": self.db.changes if run.kind.changes else 0,
            "last_insert_rowid": str(self.db.last_insert_rowid) if run.kind.inserts else None,
            "counted": {"rows_read": read, "rows_written": written, "query_duration_ms": round(seconds * 1000, 3)},
        }

    def _take_timeout(self) -> bool:
        timed_out, self._timed_out = self._timed_out, False
        return timed_out

    def _note(self) -> None:
        """Keep the time at which a transaction began."""
        if self.db.autocommit:
            self._began = None
        elif self._began is None:
            self._began = time.monotonic()


class _Run:
    """A statement that is about to run."""

    def __init__(
        self, statement: Statement, kind: Kind, args: list[Value], named: dict[str, Value], want_rows: bool
    ) -> None:
        self.statement, self.kind, self.want_rows = statement, kind, want_rows
        self._args, self._named = args, named

    def bind(self) -> None:
        names = self.statement.parameters
        given = len(self._args) + len(self._named)
        if given > len(names):
            raise mismatch(f"too many parameters, expected {len(names)} found {given}")
        for place, name in enumerate(names, 1):
            found, value = self._value(place, name)
            if found:
                self.statement.bind(place, value)
            elif not self.statement.is_explain:
                raise mismatch(f"value for parameter {name or place} not found")

    def _value(self, place: int, name: str | None) -> tuple[bool, Value]:
        if name is None or name[0] == "?":
            at = int(name[1:]) if name else place
            return (True, self._args[at - 1]) if at <= len(self._args) else (False, None)
        for key in (name, name[1:]):
            if key in self._named:
                return True, self._named[key]
        return False, None


class _Result:
    """The entries of one step put together."""

    def __init__(self, room: int) -> None:
        self.error: Json | None = None
        self._json: Json = {"cols": [], "rows": []}
        self._room = room

    def add(self, entry: Json) -> None:
        if entry["type"] == "step_begin":
            self._json["cols"] = entry["cols"]
        elif entry["type"] == "row":
            self._json["rows"].append(entry["row"])
            self._room -= size(entry["row"])
            if self._room < 0:
                raise Refused("Response is too large", "RESPONSE_TOO_LARGE")
        elif entry["type"] == "step_error":
            self.error = entry["error"]
        else:
            ended = {key: entry[key] for key in ("affected_row_count", "last_insert_rowid")}
            self._json |= ended | {"replication_index": None} | entry["counted"]

    def json(self) -> Json:
        return self._json
