"""Both forms of a conversion on one value: the SQL form on a stored value, the Python form on the value as read."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import ClassVar, NamedTuple

import pytest

from ptp.conversions import Conversion, Value
from ptp.conversions.sql import problem_sql, value_sql
from ptp.conversions.witness import judge


class Seen(NamedTuple):
    """Outcome, value and reason."""

    outcome: str
    value: Value
    reason: str = ""


class Forms:
    """A table in which a value can be stored under any declared type, and what both forms make of it there."""

    COLUMNS: ClassVar[dict[str, str]] = {
        "x": "", "time": "TIMESTAMP", "flag": "BOOLEAN", "day": "DATE", "number": "INTEGER", "words": "TEXT",
        "amount": "REAL", "nocase": "TEXT COLLATE NOCASE", "rtrim": "TEXT COLLATE RTRIM"
    }  # fmt: skip

    def __init__(self, db: sqlite3.Connection) -> None:
        """The table is made in `db`, which should be empty."""
        self.db = db
        # Bytes that are not UTF-8 are surrogates in Python, as the verification reads them.
        db.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        db.execute(f"CREATE TABLE v (id INTEGER PRIMARY KEY, {', '.join(f'{n} {t}' for n, t in self.COLUMNS.items())})")

    def store(self, values: Sequence[Value], column: str = "x") -> None:
        """Let the table hold these values, and no others, in one column."""
        self.db.execute("DELETE FROM v")
        for value in values:
            # Bound as bytes, a text may hold any.
            mark = "CAST(? AS TEXT)" if isinstance(value, str) else "?"
            bound = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
            self.db.execute(f"INSERT INTO v ({column}) VALUES ({mark})", (bound,))

    def on_stored(self, conversion: Conversion, column: str = "x") -> list[tuple[Value, Seen, Seen]]:
        """Each stored value as it is read, what SQL makes of it, and what Python does."""
        sql = f"SELECT {column}, {value_sql(conversion, column)}, {problem_sql(conversion, column)} FROM v ORDER BY id"
        return [
            (read, Seen(*_parted(problem, value)), Seen(*judge(conversion, read)))
            for read, value, problem in self.db.execute(sql)
        ]

    def both(self, conversion: Conversion, value: Value, column: str = "x") -> list[Seen]:
        """What SQL and what Python make of one value."""
        self.store([value], column)
        ((_, by_sql, by_python),) = self.on_stored(conversion, column)
        return [by_sql, by_python]


def _parted(problem: str | None, value: Value) -> tuple[str, Value, str]:
    outcome, _, reason = (problem or "exact: ").partition(": ")
    return outcome, value, reason


@pytest.fixture(scope="module")
def forms() -> Iterator[Forms]:
    with closing(sqlite3.connect(":memory:", isolation_level=None, cached_statements=1000)) as db:
        yield Forms(db)


@pytest.fixture(scope="module", params=["UTF-8", "UTF-16le"])
def encoded(request: pytest.FixtureRequest) -> Iterator[Forms]:
    """A table in a database of each encoding."""
    with closing(sqlite3.connect(":memory:", isolation_level=None, cached_statements=1000)) as db:
        db.execute(f"PRAGMA encoding = '{request.param}'")
        yield Forms(db)


@pytest.fixture(scope="session")
def same() -> Callable[[Value, Value], bool]:
    """Whether two values are equal in storage class, value and the sign of zero."""

    def compare(a: Value, b: Value) -> bool:
        if type(a) is not type(b) or a != b:
            return False
        return not isinstance(a, float) or math.copysign(1, a) == math.copysign(1, b)  # type: ignore[arg-type]

    return compare
