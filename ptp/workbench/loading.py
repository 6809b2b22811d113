"""The fourth stage: many users at once, on a copy of the target, each operation against its limit; then, what is left.

The load is made by processes of their own (`ptp.benchmark.load`), through the queries in process or the API over HTTP,
to a real server. It is believed only where the generator was not the bottleneck itself, and it passes only where every
acknowledged answer is there afterwards, once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ptp.benchmark.load import Records, Schedule, shares
from ptp.benchmark.load.verdicts import ERRORS, GENERATOR, LITTLE, SUMS, judge, response_gate
from ptp.benchmark.selfcheck import check_stall
from ptp.evidence import Stage
from ptp.results import Finding
from ptp.workbench.load_checks import KEPT, SENT, STATISTICS, UNWRITTEN
from ptp.workbench.load_ground import (
    FOLDER,
    Ground,
    check_loadable,
    end_sessions,
    has_users,
    left_behind,
    loadable,
    prepared,
)
from ptp.workbench.load_phases import Judged, judge_phases
from ptp.workbench.load_phases import findings_of as phase_findings
from ptp.workbench.load_savings import savings_of
from ptp.workbench.load_tables import Rows, samples_of, tables_of
from ptp.workbench.load_wanted import NAME, SECONDS, TITLE, DriverName, Wanted, run_of
from ptp.workbench.parts import Part
from ptp.workbench.progress import Progress, part, quiet
from ptp.workbench.server_process import serving
from ptp.workload.limits import LIMITS_MS
from ptp.workload.scenarios import SCENARIOS, write_share
from ptp.workload.users import ProfileName

__all__ = [
    "FOLDER",
    "Ground",
    "Wanted",
    "check_loadable",
    "end_sessions",
    "has_users",
    "left_behind",
    "load",
    "load_wanted",
    "loadable",
    "prepared",
    "run_of",
    "serving",
]

SCHEDULE = "schedule.npz"


def load(
    target: Path,
    out: Path,
    *,
    profile: ProfileName = "medium",
    driver: DriverName = "http",
    users: int | None = None,
    seconds: float = SECONDS,
    rate: float | None = None,
    seed: int = 1,
    url: str | None = None,
    workers: int = 1,
    progress: Progress = quiet,
) -> Stage:
    """Load a copy of `target` in `out`, which is removed afterwards; the target is only read.

    With `url` the server there is loaded as it is; `target` is then the database that it serves.
    """
    wanted = Wanted(profile, driver, seconds, users, rate, seed, url, workers)
    return load_wanted(target, out, wanted, progress=progress)


def load_wanted(target: Path, out: Path, wanted: Wanted, *, progress: Progress = quiet) -> Stage:
    """The same, as it was asked for."""
    started = time.perf_counter()
    progress(0.0, "copying the target")
    with loadable(target, out, wanted) as database:
        with prepared(database, out, wanted) as ground:
            schedule = wanted.behaviour.schedule(wanted.seconds, seed=wanted.seed, scenarios=ground.cast.scenarios())
            schedule.write(ground.folder / SCHEDULE)
            records = ground.run(schedule, progress=part(progress, 0.1, 0.85))
            read_counters(ground)
        progress(0.87, "checking what the load left behind")
        after = left_behind(target, ground)
    progress(0.95, "counting what the cache saved")
    cache = cache_of(ground, target, wanted)
    judged, findings = judged_by_phase(records, ground)
    results = (check_stall(), *findings, *phase_findings(records, judged), *after, *cache.results)
    tables = with_cache(
        tables_of(
            records,
            findings,
            facts_of(wanted, ground, schedule),
            judged=judged,
            seen=ground.seen[schedule.hash],
        ),
        cache,
    )
    progress(1.0, "loaded")
    return Stage(NAME, TITLE, time.perf_counter() - started, (*results, *samples_of(records)), tables)


def idle(reason: str) -> Stage:
    """The stage of a database that cannot be loaded, with the reason: each gate is there, and does not apply."""
    names = (GENERATOR, SUMS, LITTLE, ERRORS, *map(response_gate, shares(SCENARIOS)))
    found = (_not_applicable(gate, reason) for gate in (*names, KEPT, SENT, STATISTICS, UNWRITTEN))
    return Stage(NAME, TITLE, 0.0, tuple(found))


def read_counters(ground: Ground) -> None:
    """Take the last that the workers of the server have counted, while it runs."""
    if ground.counted:
        ground.counted.read_all(ground.workers)


def cache_of(ground: Ground, target: Path, wanted: Wanted) -> Part:
    """What the cache saved; nothing in process, where there is none."""
    return savings_of(ground.counted, target, seed=wanted.seed) if ground.counted else Part()


def judged_by_phase(records: Records, ground: Ground) -> tuple[tuple[Judged, ...], tuple[Finding, ...]]:
    """Each phase for itself, and the gates on all that is measured.

    An operation for which the database holds nothing has its gate too, which does not apply.
    """
    findings = judge(records, limits=LIMITS_MS, inside=ground.inside)
    sound = next(f for f in findings if f.id == GENERATOR).verdict == "pass"
    judged = judge_phases(records, limits=LIMITS_MS, sound=sound)
    return judged, (*findings, *_absent(records.schedule.operations))


def _absent(operations: Sequence[str]) -> Iterator[Finding]:
    for operation in shares(SCENARIOS):
        if operation not in operations:
            yield _not_applicable(response_gate(operation), "The database holds nothing that it could be asked for.")


def _not_applicable(gate: str, reason: str) -> Finding:
    return Finding(id=gate, claim="It holds under load", verdict="not applicable", evidence=reason)


def with_cache(tables: dict[str, Rows], cache: Part) -> dict[str, Rows]:
    """The tables of a load, and behind them what the cache saved."""
    return tables | {name: [dict(row) for row in rows] for name, rows in cache.tables.items()}


def facts_of(wanted: Wanted, ground: Ground, schedule: Schedule) -> dict[str, Any]:
    """What was asked for, as the first table tells it."""
    behaviour = wanted.behaviour
    return {
        "profile": wanted.profile,
        "driver": wanted.driver,
        "workers": wanted.workers if wanted.driver == "http" and not wanted.url else None,
        "users": behaviour.users,
        "think_s": behaviour.think.mean,
        "rate_declared": behaviour.rate,
        "rate_scheduled": schedule.rate,
        "seconds": wanted.seconds,
        "writes": write_share(ground.cast.scenarios()),
        "seed": wanted.seed,
        "schedule": schedule.hash,
    }
