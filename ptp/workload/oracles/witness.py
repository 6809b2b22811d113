"""The connection on which the oracles read: their own, beside that of the queries, and only ever read from."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Engine, event

from ptp.engine.files import named
from ptp.workload.draws import Drawn

Check: TypeAlias = Callable[[Drawn, Any], "str | None"]
"""Says what is wrong with what a call with the arguments drawn returned, None when nothing is."""

T = TypeVar("T")

_UNREADABLE = (AttributeError, TypeError, ValueError, LookupError)


class Witness:
    """Reads the file that an engine is on, each check in one read transaction, on a connection of its own.

    What a check has worked out is kept for the later ones until another connection has written. The connection is
    closed when the engine is disposed of, and opened again by the next check.
    """

    def __init__(self, engine: Engine) -> None:
        """Keep the engine; nothing is read yet."""
        self._engine = engine
        self._opened: Any = None
        self._kept: dict[Any, Any] = {}
        self._version: Any = None
        event.listen(engine, "engine_disposed", lambda _: self._close())

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of a statement."""
        with self._errors_named():
            found: list[Any] = self._run(sql, values).fetchall()
        return found

    def records(self, sql: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """All rows as dicts by the names of the columns."""
        with self._errors_named():
            cursor = self._run(sql, values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def stream(self, sql: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        """The rows of a statement one after the other, for what may be as large as the database."""
        with self._errors_named():
            yield from self._run(sql, values)

    def kept(self, key: Any, make: Callable[[], T]) -> T:
        """What `make` gave under this key since the database was last written to, else what it gives now."""
        if key not in self._kept:
            self._kept[key] = make()
        found: T = self._kept[key]
        return found

    @contextmanager
    def reading(self) -> Iterator[None]:
        """One read transaction; what was kept is dropped where the database has been written to."""
        self.rows("BEGIN")
        try:
            # The version moves with the first read after a commit of another connection, and never else.
            self.rows("SELECT 1 FROM sqlite_schema LIMIT 1")
            version = self.rows("PRAGMA data_version")
            if version != self._version or not version:
                self._kept.clear()
                self._version = version
            yield
        finally:
            self.rows("COMMIT")

    def checking(self, check: Check) -> Check:
        """The check within a read transaction; an outcome of another kind than it reads is wrong, in a sentence."""

        def checked(drawn: Drawn, outcome: Any) -> str | None:
            with self.reading():
                try:
                    return check(drawn, outcome)
                except _UNREADABLE as problem:
                    return f"the outcome cannot be read as what was due ({type(problem).__name__}: {problem})"

        return checked

    def checking_equal(self, name: str, arguments: Callable[[Drawn], Any], check: Check) -> Check:
        """The same of a query whose outcome follows from its arguments and the database alone.

        An outcome that equals one accepted before, for the same arguments and with nothing written since, is right.
        """

        def equal(drawn: Drawn, outcome: Any) -> str | None:
            key = ("accepted", name, arguments(drawn))
            if key in self._kept and self._kept[key] == outcome:
                return None
            wrong = check(drawn, outcome)
            if wrong is None:
                self._kept[key] = outcome
            return wrong

        return self.checking(equal)

    def _run(self, sql: str, values: Sequence[Any]) -> Any:
        if self._opened is None:
            # Out of the pool, so that no query ever gets it, nor finds in its cache what an oracle has read.
            pooled = self._engine.raw_connection()
            self._opened = pooled.driver_connection
            pooled.detach()
        return self._opened.cursor().execute(sql, tuple(values))

    def _close(self) -> None:
        if self._opened is not None:
            self._opened.close()
        self._opened = self._version = None
        self._kept.clear()

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as problem:
            raise named(problem, Path("the database of the benchmark")) from problem
