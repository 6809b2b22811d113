"""`ptp health`: can the database be used as it should be, and what to do where it cannot; it is only read."""

from __future__ import annotations

import shutil
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import Engine, text

from ptp.engine import check_database, connect_file, errors_named, open_engine, read_inventory, without_traces
from ptp.evidence import Stage
from ptp.migration import journal
from ptp.migration.steps import load_steps
from ptp.resources import folder
from ptp.results import Finding, Measurement
from ptp.schema.rules import DERIVED, SEARCH_STEP, SEARCH_TABLE
from ptp.verification.drift import differences
from ptp.verification.rules import check_full_text, check_rules
from ptp.workbench.indexing import expected_head, workload
from ptp.workbench.progress import Progress, part, quiet
from ptp.workload.cases import benchmark_cases

NAME = "health"
TITLE = "Health"
WAL_LIMIT_MB = 64
FREE_PAGES_LIMIT = 0.25
"""Of the file's pages; beyond it the space is worth having back."""
_SOUND = ("health.head", "health.drift", "health.pages")
"""Without these the rest cannot be looked at."""
_CALLS = 15
_SLOWEST = 3


def examine(target: Path, *, progress: Progress = quiet) -> Stage:
    """Look at a database at head from all sides that `ptp health` knows; raises UsageError where there is none."""
    started = time.perf_counter()
    check_database(target)
    with without_traces(target), errors_named(target):
        results = _examined(target, progress)
    return Stage(NAME, TITLE, time.perf_counter() - started, tuple(results))


def _examined(target: Path, progress: Progress) -> list[Finding | Measurement]:
    engine = open_engine(target, read_only=True)
    try:
        results: list[Finding | Measurement] = [_connects(engine)]
        with connect_file(target, read_only=True) as db:
            progress(0.05, "checking pages")
            results.append(_at_head(db))
            if journal.has_journal(db):
                results += [_no_drift(db), _pages(db), _free_pages(db), _disk(target), _log(db, target)]
                results.append(_statistics(engine))
                if all(f.verdict == "pass" for f in results if isinstance(f, Finding) and f.id in _SOUND):
                    progress(0.3, "counting anew what is derived")
                    results += [*check_rules(db, DERIVED), _search(db)]
        found = {f.id: f.verdict for f in results if isinstance(f, Finding)}
        if all(found.get(name) == "pass" for name in _SOUND):
            results += _slowest(engine, part(progress, 0.5, 1.0))
        return results
    finally:
        engine.dispose()


def _finding(name: str, claim: str, problem: str, *, todo: str, evidence: str, **more: object) -> Finding:
    """A pass, or a fail that says what is wrong and what to do."""
    return Finding(
        id=f"health.{name}",
        claim=claim,
        verdict="fail" if problem else "pass",
        where=(f"{problem}: {todo}",) if problem else (),
        evidence=evidence,
        **more,  # type: ignore[arg-type]
    )


def _connects(engine: Engine) -> Finding:
    with engine.connect() as db:
        keys = db.scalar(text("PRAGMA foreign_keys"))
        mode = db.scalar(text("PRAGMA journal_mode"))
    problem = "" if keys == 1 else "foreign keys are off"
    return _finding(
        "connection",
        "A connection can be had, and has foreign keys on",
        problem,
        todo="use a SQLite that was built with them",
        evidence=f"SQLite {sqlite3.sqlite_version}, journal mode {mode}, foreign_keys read back",
    )


def _at_head(db: sqlite3.Connection) -> Finding:
    steps = load_steps(folder("sql"))
    if not journal.has_journal(db):
        problem, todo = "it has no journal of ptp", "name the target of ptp migrate"
    else:
        done = db.execute(f"SELECT count(*) FROM {journal.TABLE} WHERE kind = 'step'").fetchone()[0]
        pending = len(steps) - done
        problem = journal.why_untrusted(db, steps) or (f"{pending} steps are pending" if pending else "")
        edited = journal.why_untrusted(db, steps)
        todo = "restore the files, and put changes into a new step" if edited else "ptp step takes them up"
    return _finding(
        "head",
        "The schema is at head: every step was applied, unedited",
        problem,
        todo=todo,
        evidence=f"the journal against {len(steps)} steps",
    )


def _no_drift(db: sqlite3.Connection) -> Finding:
    """What a database has besides head may have been carried over, so only what is missing or differs counts."""
    found = [d for d in differences(read_inventory(db), expected_head(), own=("ptp_",)) if "is not expected" not in d]
    return Finding(
        id="health.drift",
        claim="Every table, index and trigger of head is there, as it should be",
        verdict="fail" if found else "pass",
        value=len(found),
        unit="differences",
        limit=0,
        where=tuple(f"{d}: {_mend(d)}" for d in found),
        evidence="sqlite_schema text and the xinfo pragmas, against the models",
    )


def _mend(difference: str) -> str:
    if difference.startswith("index"):
        return "ptp optimize creates it anew"
    return "build the database anew with ptp migrate, or restore it"


def _pages(db: sqlite3.Connection) -> Finding:
    try:
        lines = [str(row[0]) for row in db.execute("PRAGMA quick_check(5)") if row[0] != "ok"]
    except sqlite3.DatabaseError as problem:  # so damaged that not even the check can read it
        lines = [str(problem)]
    return _finding(
        "pages",
        "The pages of the file are sound",
        "; ".join(lines),
        todo="restore the last backup, and verify it",
        evidence="PRAGMA quick_check",
        severity="data",
    )


def _free_pages(db: sqlite3.Connection) -> Finding:
    free, pages = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_count"))
    share = free / pages if pages else 0.0
    return _finding(
        "free-pages",
        "Little of the file is empty",
        f"{share:.0%} of the file is empty" if share > FREE_PAGES_LIMIT else "",
        todo="VACUUM gives the space back, at a quiet time",
        evidence="PRAGMA freelist_count of page_count",
        value=share,
        unit="of pages",
        limit=FREE_PAGES_LIMIT,
    )


def _disk(target: Path) -> Finding:
    free, size = shutil.disk_usage(target.parent).free, target.stat().st_size
    return _finding(
        "disk",
        "The disk has room for the database once more, as a backup needs it",
        "" if free > size else f"{free / 1e6:,.0f} MB are free",
        todo=f"make room for {size / 1e6:,.0f} MB",
        evidence=f"the file has {size / 1e6:,.1f} MB",
        value=round(free / 1e6),
        unit="MB free",
    )


def _log(db: sqlite3.Connection, target: Path) -> Finding:
    wal = target.with_name(target.name + "-wal")
    size = wal.stat().st_size / 1e6 if wal.exists() else 0.0
    is_wal = db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    problem = f"the write-ahead log has {size:,.0f} MB" if size > WAL_LIMIT_MB else ""
    todo = "end the reader that holds it back, then PRAGMA wal_checkpoint(TRUNCATE)"
    if not is_wal:
        problem, todo = (
            "there is no write-ahead log, so readers and the writer wait for each other",
            ("PRAGMA journal_mode = WAL"),
        )
    return _finding(
        "log",
        "The database has a write-ahead log, and it is short",
        problem,
        todo=todo,
        evidence="PRAGMA journal_mode, and the size of the file beside it",
        value=round(size, 1),
        unit="MB",
        limit=WAL_LIMIT_MB,
    )


def _statistics(engine: Engine) -> Finding:
    with engine.connect() as db:
        known = bool(db.scalar(text("SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_stat1'")))
    return _finding(
        "statistics",
        "The planner has statistics to choose by",
        "" if known else "ANALYZE was never run",
        todo="run ptp optimize",
        evidence="sqlite_stat1",
    )


def _slowest(engine: Engine, progress: Progress) -> Iterator[Finding | Measurement]:
    """The slowest of the queries that only read, on the database as it is, each beside its limit."""
    reading = {name for name, statements in workload() if all(_only_reads(s.sql) for s in statements)}
    cases = [c for c in benchmark_cases(engine, profile="quick", seed=1) if c.name in reading and not c.not_applicable]
    timed = []
    for number, case in enumerate(cases):
        progress(number / len(cases), f"timing {case.name}")
        timed.append((case, tuple(_times_ms(case.call))))
    slowest = sorted(timed, key=lambda pair: -statistics.median(pair[1]))[:_SLOWEST]
    for case, samples in slowest:
        median = statistics.median(samples)
        yield _finding(
            f"query.{case.name}",
            f"{case.name} is among the slowest, and within its limit",
            "" if median < case.limit_ms else f"its median is {median:,.1f} ms",
            todo="ptp bench measures it, ptp optimize looks for an index",
            evidence=f"median of {len(samples)} calls; ptp bench judges the p95",
            value=median,
            unit="ms",
            limit=case.limit_ms,
            n=len(samples),
        )
        yield Measurement(case.name, "ms", samples)


def _search(db: sqlite3.Connection) -> Finding:
    left_out = journal.steps_left_out(db).get(SEARCH_STEP, "")
    return check_full_text(db, SEARCH_TABLE, name="verify.derived.search", left_out=left_out)


def _only_reads(sql: str) -> bool:
    return sql.lstrip().upper().startswith(("SELECT", "WITH"))


def _times_ms(call: Callable[[], object]) -> Iterator[float]:
    for number in range(_CALLS + 1):
        start = time.perf_counter_ns()
        call()
        if number:  # the first one warms up
            yield (time.perf_counter_ns() - start) / 1e6
