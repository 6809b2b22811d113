"""Earlier runs: what a folder tells of machine, data, times and counters, and the history of a folder of runs."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ptp.benchmark.history import History, Past, make_history, series, table
from ptp.engine import connect_file, errors_named, open_engine, quoted, read_inventory
from ptp.engine.files import without_traces
from ptp.errors import UsageError
from ptp.evidence import Evidence, Run, Stage, read_evidence
from ptp.results import Finding
from ptp.schema import Base
from ptp.workbench.parts import Part
from ptp.workload.draws import draw
from ptp.workload.limits import Profile

CONDITIONS = "Conditions"
"""The table of a stage in which it says on what data it measured; a single row."""

COUNTERS = ("statements", "vm_steps", "vm_steps_most", "full_scan_steps", "sorts", "automatic_indexes")
"""The columns of the table of counters that do not vary."""

HISTORY = "History"
TREND = "Trend"

_BILLED = ("billed_read", "billed_written")
_TIMES = {"p50_ms": "p50_ms", "p95_ms": "p95_ms", "p95_low_ms": "low_ms", "p95_high_ms": "high_ms"}
_DRAWS = 100


def conditions(target: Path, *, profile: Profile, seed: int) -> dict[str, str]:
    """What must be equal before the counters of two runs are: profile, seed, rows, and a digest of arguments drawn.

    `target` is only read.
    """
    with errors_named(target), connect_file(target, read_only=True) as db:
        there = read_inventory(db).tables
        tables = [name for name in Base.metadata.tables if name in there]
        rows = sum(db.execute(f"SELECT count(*) FROM {quoted(name)}").fetchone()[0] for name in tables)
    with without_traces(target):
        engine = open_engine(target, read_only=True)
        try:
            drawn = [dataclasses.astuple(one) for one in draw(engine, count=_DRAWS, seed=seed)]
        finally:
            engine.dispose()
    digest = hashlib.sha256(repr(drawn).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return {"profile": profile, "seed": str(seed), "rows": f"{rows:,}", "arguments": digest}


def is_run(folder: str | Path) -> bool:
    """Whether the argument of --against names a run folder, and not a commit."""
    return (Path(folder) / "run.json").is_file()


def machine_of(stages: Sequence[Stage]) -> Mapping[str, str]:
    """The environment of the first measurement that tells of a processor; raises UsageError where none does."""
    found = (m.environment for stage in stages for m in stage.measurements if "cpu" in m.environment)
    machine = next(found, None)
    if machine is None:
        raise UsageError("no measurement in it says on which machine it was taken")
    return machine


def data_of(run: Run | None, stages: Sequence[Stage]) -> Mapping[str, str]:
    """On what data a run measured: as its stage says, else what the run itself tells of its source.

    Raises UsageError where neither says anything.
    """
    rows = [row for stage in stages for row in stage.tables.get(CONDITIONS, ())]
    if rows:
        return {str(name): str(value) for name, value in rows[0].items()}
    if run is None or "rows" not in run.facts:
        raise UsageError("it does not say on what data it was taken")
    return {"profile": run.profile, **{name: run.facts[name] for name in ("rows", "size") if name in run.facts}}


def counters_of(stages: Sequence[Stage]) -> dict[str, dict[str, float]]:
    """The counters of each query that do not vary; billed rows where they were counted and not estimated."""
    found: dict[str, dict[str, float]] = {}
    for row in _rows(stages, "Counters"):
        names = (*COUNTERS, *(_BILLED if row.get("billed") == "counted" else ()))
        values = {name: row[name] for name in names if isinstance(row.get(name), int | float)}
        if values:
            found[str(row["query"])] = values
    return found


def plans_of(stages: Sequence[Stage]) -> dict[str, tuple[str, ...]]:
    """The lines of the plans of each query."""
    found: dict[str, tuple[str, ...]] = {}
    for row in _rows(stages, "Plans"):
        name = str(row["query"])
        found[name] = (*found.get(name, ()), *str(row["plan"]).splitlines())
    return found


def history_of(reports_dir: Path) -> History:
    """The history of the runs in a folder that measured queries; what is no such run is skipped and named."""
    runs: list[Past] = []
    skipped: list[str] = []
    folders = reports_dir.iterdir() if reports_dir.is_dir() else ()
    for folder in sorted(f for f in folders if f.is_dir() and not f.is_symlink()):
        try:
            runs.append(_past(folder))
        except (UsageError, KeyError, TypeError, ValueError, AttributeError) as problem:
            why = (
                str(problem).rstrip(".") if isinstance(problem, UsageError) else "its files are not as ptp writes them"
            )
            skipped.append(f"{folder.name}: {why}")
    found = make_history(runs, times=("p50_ms", "p95_ms"), counters=(*COUNTERS, *_BILLED))
    return History(found.points, (*skipped, *found.skipped))


def history_part(history: History) -> Part:
    """A history as tables, a row a query and a row for each of its runs, with a note that says what was left out."""
    runs = {point.run for points in history.points.values() for point in points}
    note = Finding(
        id="history.runs",
        claim="Runs on the same machine and data as the newest one are one history",
        verdict="pass" if runs else "not applicable",
        severity="note",
        value=len(runs),
        unit="runs",
        n=len(runs) + len(history.skipped),
        where=history.skipped,
        evidence="change points of times are told, not judged: between jobs they scatter"
        if runs
        else "no run is there",
    )
    rows = table(history, values=("p95_ms", "vm_steps"))
    return Part((note,), {HISTORY: rows, TREND: series(history)} if rows else {})


def _past(folder: Path) -> Past:
    if not is_run(folder):
        raise UsageError("it has no run.json")
    evidence: Evidence = read_evidence(folder)
    measured = [stage for stage in evidence.stages if stage.tables.get("Latency")]
    if not measured:
        raise UsageError("it measured no query")
    counters, times = counters_of(evidence.stages), dict(_latencies(measured))
    queries = {name: {**times.get(name, {}), **counters.get(name, {})} for name in dict.fromkeys((*times, *counters))}
    data = data_of(evidence.run, evidence.stages)
    return Past(evidence.run.id, evidence.run.started, machine_of(measured), data, queries)


def _latencies(stages: Sequence[Stage]) -> Iterator[tuple[str, dict[str, float | None]]]:
    for row in _rows(stages, "Latency"):
        if row.get("p95_ms") is not None:
            yield str(row["name"]), {new: row.get(old) for old, new in _TIMES.items()}


def _rows(stages: Sequence[Stage], table_name: str) -> Iterator[Mapping[str, Any]]:
    for stage in stages:
        yield from stage.tables.get(table_name, ())
