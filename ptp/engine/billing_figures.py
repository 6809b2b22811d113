"""The figures that were measured on libSQL 0.2.3, and the billing of the same statements here beside them.

Two tables are built as they were there: `q` of 10,000 rows with 50 values of `exam`, and `a` of 20,000 rows. A
statement runs on them, or on what statements before it made of them, in one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ptp.engine.billing import Billed, Biller, biller
from ptp.engine.meters import Statement
from ptp.engine.sql import split_statements

_TABLES = """
    CREATE TABLE q (id INTEGER PRIMARY KEY, exam INTEGER, topic INTEGER, body TEXT);
    CREATE TABLE a (id INTEGER PRIMARY KEY, u INTEGER, q INTEGER, ok INTEGER);
    WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
        INSERT INTO q SELECT i, i % 50, i % 97, printf('%0100d', i) FROM n;
    WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
        INSERT INTO a SELECT i, i % 100, i % 10000, i % 2 FROM n
"""
_OF_EXAM = "SELECT * FROM q WHERE exam = 3"
_JOIN = "SELECT * FROM a JOIN q ON q.id = a.q WHERE u = 3"
_UPDATE = "UPDATE a SET ok = 1 - ok WHERE u = 3"
_INSERT = "INSERT INTO a (u, q, ok) VALUES (1, 1, 1)"
_INDEX_Q, _INDEX_A = "CREATE INDEX q_exam ON q (exam, topic)", "CREATE INDEX a_user ON a (u, q, ok)"
_ONE_MORE = ("INSERT INTO a (u, q, ok) VALUES (0, 1, 1)",)
_THREE_MORE = ("INSERT INTO a (u, q, ok) VALUES (0, 1, 1), (0, 1, 1), (3, 1, 1)",)
_INDEXED = (*_THREE_MORE, _INDEX_Q, _INDEX_A)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line: what libSQL counted for a statement, after those of `before`."""

    what: str
    sql: str
    read: int
    written: int = 0
    before: tuple[str, ...] = ()


FIGURES: tuple[Figure, ...] = (
    Figure("select 1, as the server bills it", "SELECT 1", 1),
    Figure("by primary key", "SELECT * FROM q WHERE id = 5", 1),
    Figure("id in (1..5)", "SELECT * FROM q WHERE id IN (1, 2, 3, 4, 5)", 10),
    Figure("exam = 3 limit 20, no index", f"{_OF_EXAM} LIMIT 20", 953),
    Figure("exam = 3 limit 20, index", f"{_OF_EXAM} LIMIT 20", 20, before=_INDEXED),
    Figure("exam = 3 order by topic limit 20, no index", f"{_OF_EXAM} ORDER BY topic LIMIT 20", 10_200),
    Figure("order by topic limit 20", "SELECT * FROM q ORDER BY topic LIMIT 20", 20_000),
    Figure("limit 20 offset 5000", "SELECT * FROM q LIMIT 20 OFFSET 5000", 5_020),
    Figure("count(*), no index", "SELECT count(*) FROM q", 278),
    Figure("count(*), index", "SELECT count(*) FROM q", 28, before=_INDEXED),
    Figure("max(topic), no index", "SELECT max(topic) FROM q", 10_000),
    Figure("join where u = 3, no index", _JOIN, 20_200),
    Figure("join where u = 3, index", _JOIN, 403, before=_INDEXED),
    Figure("group by exam over the join", "SELECT exam, count(*) FROM a JOIN q ON q.id = a.q GROUP BY exam", 59_998),
    Figure("insert, no index", _INSERT, 0, 1),
    Figure("insert, 1 index", _INSERT, 0, 2, _INDEXED),
    Figure("update 200 rows, no index", _UPDATE, 20_001, 200, _ONE_MORE),
    Figure("update 201 rows, index on the changed column", _UPDATE, 604, 402, _INDEXED),
    Figure("create index on 10,000 rows", _INDEX_Q, 20_053, 10_001),
    Figure("create index on 20,003 rows", _INDEX_A, 40_133, 20_004, _THREE_MORE),
)
"""The published lines. That an insert is billed although it is rolled back shows in each: all are rolled back."""

_LOOP = "how many rows leave a loop half-way does not show in SQLite's counters"
_SPLITS = "a look back for each page that the index splits does not show in SQLite's counters"
MODEL_ERRORS: Mapping[str, tuple[float, str]] = {
    "id in (1..5)": (0.10, "the end of the list is taken for a row"),
    "exam = 3 limit 20, index": (0.05, "the last step, which finds that there are enough, is taken for a row"),
    "exam = 3 order by topic limit 20, no index": (0.002, _LOOP),
    "order by topic limit 20": (-0.25, _LOOP),
    "count(*), no index": (0.004, "the root page of a table is not billed"),
    "join where u = 3, no index": (0.01, _LOOP),
    "group by exam over the join": (-0.09, _LOOP),
    "update 201 rows, index on the changed column": (0.002, "the last row of the range is taken for one more"),
    "create index on 10,000 rows": (-0.003, _SPLITS),
    "create index on 20,003 rows": (-0.004, _SPLITS),
}
"""By how much the model of `billing_model` errs at most in rows read, by line, and why; in all other lines by nothing.

libSQL's own counters err in none.
"""


@dataclass(frozen=True, slots=True)
class Compared:
    """A line with what is billed here, by libSQL's own counters (None where they are not at hand) and by the model."""

    figure: Figure
    counted: Billed | None
    estimated: Billed

    @property
    def told(self) -> Billed:
        """What a biller says: counted where it can be."""
        return self.counted or self.estimated

    @property
    def error(self) -> float:
        """The share by which what a biller says of rows read differs from the published figure."""
        return (self.told.rows_read - self.figure.read) / max(self.figure.read, 1)


@contextmanager
def figures_biller() -> Iterator[Biller]:
    """A biller on the two tables."""
    with TemporaryDirectory(prefix="ptp-figures-") as folder:
        path = Path(folder, "figures.db")
        with closing(sqlite3.connect(path)) as db:
            for sql in split_statements(_TABLES):
                db.execute(sql)
        with biller(path) as billed:
            yield billed


def compare_figures() -> tuple[Compared, ...]:
    """All lines; it takes about a second."""
    with figures_biller() as billed:
        found = []
        for figure in FIGURES:
            statements = [Statement(sql) for sql in (*figure.before, figure.sql)]
            told, estimated = billed.each(statements)[-1], billed.estimated(statements)[-1]
            found.append(Compared(figure, told if told.exact else None, estimated))
        return tuple(found)
