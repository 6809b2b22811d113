"""What the model is fed with, as far as it can be measured here: on a copy of the target, by the application's queries.

Round trips are counted, not assumed: each statement that a query sends, and each BEGIN, COMMIT or ROLLBACK around them
that reaches the driver, since each is a round trip where the database is in another place; and what the engine asks on
its own account at the start of a transaction.
"""

from __future__ import annotations

import json
import re
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path
from typing import Any, TypeAlias

from sqlalchemy import Engine, event

from ptp.engine import connect_file, errors_named, open_engine
from ptp.engine.billing import Biller, biller
from ptp.engine.meters import Statement, recorded
from ptp.evidence import read_stage
from ptp.settings import load_settings
from ptp.workbench.progress import Progress, quiet
from ptp.workbench.scale_indexes import Written, writes_of_indexes
from ptp.workload.calls import WRITERS, new_rows
from ptp.workload.cases import Query, workload
from ptp.workload.traffic import Traffic

COUNTED = 10
"""Calls of each query that are counted."""
TIMED = 60
"""Calls of each query that are timed, where no earlier stage has done so."""

FEW = 3
"""Of how many of them the writes are counted anew without each index."""

Calls: TypeAlias = list[tuple[Statement, ...]]

_AROUND = re.compile(r"(BEGIN|COMMIT|ROLLBACK|END)\b(?! TO)|PRAGMA schema_version", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Observed:
    """One query as it was observed: round trips of a call, exact means of its billed rows, and times in ms.

    `around` are the round trips that are no statement of the query's. `logged_bytes` is what a call adds to the
    write-ahead log, `reply_bytes` the length of its outcome as JSON. `times_from` says who measured the times.
    """

    query: str
    statements: int
    around: int
    read: Fraction
    written: Fraction
    read_range: tuple[float, float]
    written_range: tuple[float, float]
    is_exact: bool
    logged_bytes: int
    reply_bytes: int
    service_ms: tuple[float, ...] = ()
    times_from: str = "measured here"

    @property
    def trips(self) -> int:
        """All round trips of a call."""
        return self.statements + self.around


@dataclass(frozen=True, slots=True)
class Observations:
    """All queries by name; why others are absent; the bytes of the database, and of a row of each growing table.

    `billing` says what billed rows come from, `index_writes` which of the writes are those of an index.
    """

    queries: Mapping[str, Observed]
    absent: Mapping[str, str]
    stored_bytes: int
    row_bytes: Mapping[str, float]
    billing: str
    index_writes: Written = field(default_factory=dict)


def observe(path: Path, *, seed: int = 1, progress: Progress = quiet) -> Observations:
    """Observe every query on `path`, a copy that may be thrown away; raises what `ptp.engine.billing.biller` does."""
    with errors_named(path), biller(path) as billed:
        stored, row_bytes = _sizes(path)
        engine = open_engine(path, settings=load_settings())
        try:
            queries = workload(engine, count=max(COUNTED, TIMED), seed=seed)
            engine.dispose()  # connections that are opened from here on are listened to
            with _listening(engine) as sent:
                found, calls = {}, {}
                for place, query in enumerate(queries):
                    progress(0.8 * place / len(queries), f"counting {query.name}")
                    if not query.not_applicable:
                        found[query.name], calls[query.name] = _observed(engine, query, sent, billed, path)
        finally:
            engine.dispose()
        progress(0.8, "counting what each index adds")
        writers = {name: calls[name][:FEW] for name in calls if name in WRITERS}
        with connect_file(path, read_only=True) as db:
            indexes = writes_of_indexes(db, billed, writers)
        absent = {q.name: q.not_applicable for q in queries if q.not_applicable}
        return Observations(found, absent, stored, row_bytes, billed.model, indexes)


@contextmanager
def _listening(engine: Engine) -> Iterator[list[str]]:
    """A list that fills with all that reaches SQLite on connections opened from now on, what it runs inside too."""
    sent: list[str] = []

    def listen(raw: Any, _record: Any) -> None:
        raw.execute("PRAGMA wal_autocheckpoint = 0")  # the log shows what each call writes
        raw.set_trace_callback(sent.append)

    event.listen(engine, "connect", listen)
    try:
        yield sent
    finally:
        event.remove(engine, "connect", listen)


def _observed(engine: Engine, query: Query, sent: list[str], billed: Biller, path: Path) -> tuple[Observed, Calls]:
    """Some calls counted, and after them others timed: those that write do write."""
    calls: Calls = []
    around, logged, reply = [], [], []
    for drawn in islice(cycle(query.draws), COUNTED):
        sent.clear()
        before = _log_bytes(path)
        with recorded(engine) as statements:
            outcome = query.run(drawn)
        calls.append(tuple(statements))
        around.append(sum(bool(_AROUND.match(text.lstrip())) for text in sent))
        logged.append(_log_bytes(path) - before)
        reply.append(len(json.dumps(_plain(outcome), default=str)))
    rows = [billed(call) for call in calls]
    times = tuple(_timed(query, drawn) for drawn in islice(cycle(query.draws), COUNTED, COUNTED + TIMED))
    found = Observed(
        query.name,
        statements=statistics.median_high(len(call) for call in calls),
        around=statistics.median_high(around),
        read=Fraction(sum(b.rows_read for b in rows), len(rows)),
        written=Fraction(sum(b.rows_written for b in rows), len(rows)),
        read_range=_range([b.read_range for b in rows], [b.rows_read for b in rows]),
        written_range=_range([b.written_range for b in rows], [b.rows_written for b in rows]),
        is_exact=all(b.exact for b in rows),
        logged_bytes=round(statistics.fmean(logged)),
        reply_bytes=round(statistics.fmean(reply)),
        service_ms=times,
    )
    return found, calls


def _timed(query: Query, drawn: Any) -> float:
    start = time.perf_counter_ns()
    query.run(drawn)
    return (time.perf_counter_ns() - start) / 1e6


def _range(ranges: list[tuple[float, float]], values: list[int]) -> tuple[float, float]:
    """Where the mean of all calls may be: two standard errors beyond what the billing leaves open."""
    error = 2 * statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    low, high = (statistics.fmean(one[side] for one in ranges) for side in (0, 1))
    return max(0.0, low - error), high + error


def _log_bytes(path: Path) -> int:
    log = path.with_name(f"{path.name}-wal")
    return log.stat().st_size if log.is_file() else 0


def _plain(value: Any) -> Any:
    """An outcome as the API sends it, near enough to know its length: named tuples with their names."""
    if hasattr(value, "_asdict"):
        return {name: _plain(one) for name, one in value._asdict().items()}
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value


def _sizes(path: Path) -> tuple[int, Mapping[str, float]]:
    """The bytes of a database, and of a row of each table that grows, with its indexes."""
    with connect_file(path, read_only=True) as db:
        (stored,) = db.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").fetchone()
        found = {}
        for table in new_rows(Traffic()):
            (taken,) = db.execute(_TAKEN, (table,)).fetchone()
            (rows,) = db.execute(f'SELECT count(*) FROM "{table}"').fetchone()
            found[table] = taken / rows if rows else 0.0
    return int(stored), found


_TAKEN = """
    SELECT coalesce(sum(d.pgsize), 0) FROM sqlite_schema AS s
    JOIN dbstat AS d ON d.name = s.name AND d.aggregate = TRUE
    WHERE s.tbl_name = ?"""


def with_times_of(found: Observations, folder: Path | None) -> Observations:
    """The same with the service times that earlier stages of a run folder measured, where there are some.

    A load over HTTP knows those of whole requests; a benchmark those of queries. Raises UsageError for results that
    cannot be read.
    """
    if folder is None:
        return found
    known = {**_benchmark_times(folder), **_load_times(folder)}
    queries = {
        name: replace(one, service_ms=known[name][0], times_from=known[name][1]) if name in known else one
        for name, one in found.queries.items()
    }
    return replace(found, queries=queries)


OVER_HTTP = "the load over HTTP"


def _load_times(folder: Path) -> dict[str, tuple[tuple[float, ...], str]]:
    file = folder / "results" / "04_load.json"
    if not file.is_file():
        return {}
    stage = read_stage(file)
    if not any(row.get("driver") == "http" for row in stage.tables.get("Load", ())):
        return {}
    return {
        one.what.removesuffix(".service"): (one.samples, OVER_HTTP)
        for one in stage.measurements
        if one.what.endswith(".service") and one.samples
    }


def _benchmark_times(folder: Path) -> dict[str, tuple[tuple[float, ...], str]]:
    file = folder / "results" / "03_benchmark.json"
    if not file.is_file():
        return {}
    return {m.what: (m.samples, "the benchmark") for m in read_stage(file).measurements if m.unit == "ms" and m.samples}


def billed_words(found: Observations) -> str:
    """Whether billed rows were counted or estimated, in a word."""
    return "counted" if all(one.is_exact for one in found.queries.values()) else "estimated"
