"""What each query is measured against: the least that plain `sqlite3` takes for the same outcome.

Of a uniform draw of questions that is to fetch as many by primary key; of every other query, its own statements with
the same values, recorded beforehand, and the same rows built of what comes back. Two queries stand beside another call
as well. All are recorded before any is timed, so that neither of a pair finds the pages that the other has just read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from ptp.benchmark.floors import Bound
from ptp.benchmark.pairs import Pair
from ptp.engine import atomic, connect_file
from ptp.engine.meters import Statement, recorded
from ptp.queries import StudyQueries, StudyQuestion
from ptp.queries.arguments import DAY
from ptp.workload.cases import Query, filtered_page, workload
from ptp.workload.draws import Drawn, batches_of, newest
from ptp.workload.limits import BATCH_TO_SINGLE, FILTERED, FILTERED_TO_PLAIN, FLOORS, Profile

PAIRS: dict[Profile, int] = {"quick": 200, "full": 600}
WARM_UP: dict[Profile, int] = {"quick": 20, "full": 60}
RECENT_ANSWERS = 500
"""Of the user whose filtered draw is measured: in the last 24 hours, in the exam drawn from."""

_DRAWS = ("study_questions", FILTERED)  # the other modes are held to their own statements, as every query
_PRAGMAS = ("foreign_keys", "recursive_triggers", "cache_size", "mmap_size", "synchronous")
_READS = ("SELECT", "WITH", "VALUES")


@dataclass(frozen=True, slots=True)
class Prepared:
    """The pairs of one query, and the statements of each call; none where the floor is another call."""

    pairs: tuple[Pair, ...]
    recorded: tuple[tuple[Statement, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Measured:
    """One query to be measured beside its floor; without a `bound` it is told, not judged.

    `prepare` makes the calls once, to record them; where they write, the database has changed then.
    """

    name: str
    what: str
    bound: Bound | None
    prepare: Callable[[], Prepared]
    not_applicable: str | None = None


@contextmanager
def plain_connection(engine: Engine, path: Path) -> Iterator[sqlite3.Connection]:
    """A connection of the driver's own on the file that `engine` is on, with the pragmas of the engine's."""
    with connect_file(path) as plain, engine.connect() as db:
        for name in _PRAGMAS:
            value = db.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            plain.execute(f"PRAGMA {name} = {value}")
        db.close()
        yield plain


def measured(engine: Engine, plain: sqlite3.Connection, *, count: int, seed: int) -> tuple[Measured, ...]:
    """Every query with `count` pairs: those that read first, since the others add to what they read.

    Writes `RECENT_ANSWERS` answers of one user: hand in an engine on a copy that may be thrown away.
    """
    queries = {query.name: query for query in workload(engine, count=count, seed=seed)}
    now = newest(engine)
    queries[FILTERED] = _of_busy_user(engine, queries[FILTERED], now=now)
    ordered = sorted(queries.values(), key=lambda query: query.writes)
    found = [_measured(engine, plain, query, count=count) for query in ordered]
    place = [query.name for query in ordered].index(FILTERED) + 1
    found.insert(place, _filtered_to_plain(queries[FILTERED], queries["study_questions"]))
    found.append(_batch_to_single(engine, queries["record_answer"], now=now))
    return tuple(found)


def _measured(engine: Engine, plain: sqlite3.Connection, query: Query, *, count: int) -> Measured:
    draws = tuple(islice(cycle(query.draws), count))
    pair = _pair_by_key if query.name in _DRAWS else _pair_by_statements

    def prepare() -> Prepared:
        found = [pair(engine, plain, query, d) for d in draws]
        return Prepared(tuple(one for one, _ in found), tuple(statements for _, statements in found))

    return Measured(query.name, query.what, FLOORS[query.name], prepare, query.not_applicable)


def _record(engine: Engine, query: Query, d: Drawn) -> tuple[Any, tuple[Statement, ...]]:
    with recorded(engine) as statements:
        outcome = query.run(d)
    return outcome, tuple(statements)


def _pair_by_key(
    engine: Engine, plain: sqlite3.Connection, query: Query, d: Drawn
) -> tuple[Pair, tuple[Statement, ...]]:
    outcome, statements = _record(engine, query, d)
    keys = tuple(question.id for question in outcome)
    marks = ", ".join("?" * len(keys))
    sql = f"SELECT {', '.join(StudyQuestion._fields)} FROM questions WHERE id IN ({marks})"

    def unlike(drawn: Any, fetched: Any) -> str | None:
        same = sorted(drawn) == sorted(fetched)
        return query.check(d, drawn) or (None if same else "the questions drawn are not those fetched")

    return Pair(lambda: query.run(d), lambda: plain.execute(sql, keys).fetchall(), unlike), statements


def _pair_by_statements(
    engine: Engine, plain: sqlite3.Connection, query: Query, d: Drawn
) -> tuple[Pair, tuple[Statement, ...]]:
    outcome, statements = _record(engine, query, d)

    def unlike(called: Any, built: Any) -> str | None:
        values = _values(called)
        # What is written twice gets another id, or another total; and the oracle of a query that writes expects the
        # work of one call, not of the floor besides.
        same = len(values) == len(built) if query.writes else values == built
        wrong = None if query.writes else query.check(d, called)
        return wrong or (None if same else "the rows built are not those that the call returned")

    floor = _replay(plain, statements, _builder(_values(outcome)))
    return Pair(lambda: query.run(d), floor, unlike), statements


def _replay(
    db: sqlite3.Connection, statements: Sequence[Statement], build: Callable[[Sequence[Any]], Any]
) -> Callable[[], Any]:
    """Run the statements in one transaction, and build of the rows of the last that gave any."""
    writes = any(not s.sql.lstrip().upper().startswith(_READS) for s in statements)
    begin = "BEGIN IMMEDIATE" if writes else "BEGIN"
    executions = [(s.sql, values) for s in statements for values in s.executions]

    def replay() -> Any:
        rows: Sequence[Any] = ()
        try:
            db.execute(begin)
            for sql, values in executions:
                rows = db.execute(sql, values).fetchall() or rows
            db.execute("COMMIT")
        except BaseException:
            db.rollback()
            raise
        return build(rows)

    return replay


def _builder(values: tuple[Any, ...]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """Builds what a call returned: of the rows, or of its own fields where a row is not a value each."""
    if not values:
        return lambda _: ()
    make, width, count = type(values[0])._make, len(values[0]), len(values)

    def build(rows: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(map(make, rows if len(rows) == count and len(rows[0]) == width else values))

    return build


def _values(outcome: Any) -> tuple[Any, ...]:
    """The named tuples that a call returned; none of a number or None."""
    found = getattr(outcome, "questions", outcome)  # a search says besides how it searched
    if not isinstance(found, tuple):
        return ()
    return (found,) if hasattr(found, "_make") else found


def _of_busy_user(engine: Engine, query: Query, *, now: int) -> Query:
    """The same query for a user who has lately answered `RECENT_ANSWERS` times in one exam; writes these."""
    if not query.draws:
        return query
    model = next((d for d in query.draws if len(d.objectives) > 1), query.draws[0])
    with atomic(engine) as db:
        user = db.execute(text("SELECT max(id) FROM users")).scalar_one()
        ids = db.execute(text("SELECT id FROM questions WHERE exam_id = :exam ORDER BY id"), {"exam": model.exam_id})
        asked = ids.scalars().all()
        # Never all of them, or a small exam would have none left to draw.
        spread = islice(cycle(asked[:: max(2, len(asked) // RECENT_ANSWERS)]), RECENT_ANSWERS)
        step = DAY // (RECENT_ANSWERS + 1)
        rows = [{"user": user, "question": key, "at": now - place * step} for place, key in enumerate(spread)]
        db.execute(_ANSWER, rows)
    draws = tuple(
        replace(d, user_id=user, exam_id=model.exam_id, objectives=model.objectives, session_id=None)
        for d in query.draws
    )
    what = f"{query.what}, {RECENT_ANSWERS} recent answers"
    run = filtered_page(StudyQueries(engine), now=now)
    return replace(query, what=what, run=run, draws=draws)


def _filtered_to_plain(filtered: Query, plain: Query) -> Measured:
    def pair(d: Drawn, other: Drawn) -> Pair:
        def wrong(drawn: Any, beside: Any) -> str | None:
            return filtered.check(d, drawn) or plain.check(other, beside)

        return Pair(lambda: filtered.run(d), lambda: plain.run(other), wrong)

    def prepare() -> Prepared:
        return Prepared(tuple(map(pair, filtered.draws, plain.draws)))

    what = f"{filtered.what}, beside {plain.what},"
    return Measured(FILTERED_TO_PLAIN, what, FLOORS[FILTERED_TO_PLAIN], prepare, filtered.not_applicable)


def _batch_to_single(engine: Engine, single: Query, *, now: int) -> Measured:
    queries, batches = StudyQueries(engine), batches_of(engine, single.draws)

    def pair(d: Drawn) -> Pair:
        answers = batches(d)
        return Pair(
            lambda: queries.record_answers(answers, now=now),
            lambda: [queries.record_answer(answer, now=now) for answer in answers],
            lambda a, b: None if len(a) == len(b) == len(answers) else f"{len(a)} and {len(b)} answers recorded",
        )

    def prepare() -> Prepared:
        return Prepared(tuple(map(pair, single.draws)))

    what = "recording a batch of answers, beside recording them one by one,"
    return Measured(BATCH_TO_SINGLE, what, FLOORS[BATCH_TO_SINGLE], prepare, single.not_applicable)


_ANSWER = text("""
    INSERT INTO user_answers (user_id, question_id, selected_answer, is_correct, time_spent_seconds, answered_at)
    VALUES (:user, :question, 'a', 1, 30, :at)
""")
