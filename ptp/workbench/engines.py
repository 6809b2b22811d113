"""The same workload by several engines, side by side: who is faster, who is wrong, who cannot run what.

The statements of each query are recorded once, as ptp's own engine issues them, and replayed by each engine on its own
copy, in a process of its own, in one transaction a call. Queries that write begin on a fresh copy each, and what they
left in the tables is compared afterwards, since an engine may skip a trigger without a word.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ptp.engine import connect_file, errors_named, open_engine
from ptp.engine.candidates import REFERENCE, EngineName, engine_named
from ptp.errors import CannotFinish
from ptp.migration.backup import check_space, step
from ptp.settings import load_settings
from ptp.workbench.benchmarking import check_benchmarkable
from ptp.workbench.engine_files import (
    Pragmas,
    Ready,
    first_refused,
    fresh,
    make_ready,
    table_difference,
    written_tables,
)
from ptp.workbench.engine_rounds import EFFORTS, Effort, Recorded, Taken, record, take_rounds
from ptp.workbench.engine_tables import Found, Side, part_of
from ptp.workbench.engine_worker import EngineGone, EngineProcess, EngineRefused
from ptp.workbench.parts import Part
from ptp.workbench.progress import Progress, part, quiet
from ptp.workload.cases import workload
from ptp.workload.limits import Profile

_PRAGMAS = ("foreign_keys", "recursive_triggers", "cache_size", "mmap_size", "synchronous")
_GROWTH = 64_000_000  # bytes that the queries which write add to a copy and its log
_RECORDING = 0.2  # the share of the whole time that recording takes


def compare_engines(
    target: Path,
    out: Path,
    *,
    engines: Sequence[str],
    profile: Profile = "quick",
    seed: int = 1,
    progress: Progress = quiet,
) -> Part:
    """The workload by each of `engines` and by sqlite3, the reference, on copies of `target` in `out`; times in ms.

    The findings are notes; one fails where an engine gives other rows, or leaves other rows behind.
    Raises UsageError for an engine that is not there, and CannotFinish where sqlite3 itself cannot be measured.
    """
    names = [REFERENCE, *dict.fromkeys(n for e in engines if (n := engine_named(e)) != REFERENCE)]
    check_benchmarkable(target)
    check_space(out, needed_bytes=(len(names) * 2 + 2) * (target.stat().st_size + _GROWTH))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="engines-", dir=out)))
        master = folder / "master.db"
        with errors_named(master), connect_file(target, read_only=True) as db, connect_file(master) as copy:
            step(db, copy, target)
            copy.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pragmas, queries = _recorded(
            master, folder / "recorded.db", effort=EFFORTS[profile], seed=seed, progress=part(progress, 0, _RECORDING)
        )
        sides = [_side(name, master, folder, pragmas, stack) for name in names]
        rest = part(progress, _RECORDING, 1)
        found = _measured(sides, queries, pragmas, effort=EFFORTS[profile], chance=random.Random(seed), progress=rest)
    return part_of(sides, queries, found)


def _recorded(
    master: Path, copy: Path, *, effort: Effort, seed: int, progress: Progress
) -> tuple[list[tuple[str, Any]], list[Recorded]]:
    """The pragmas of ptp's own engine, and the calls of every query: those that read first."""
    fresh(master, copy)
    count = effort.rounds + effort.warmup
    engine = open_engine(copy, settings=load_settings())
    try:
        with engine.connect() as db:
            pragmas = [(name, db.exec_driver_sql(f"PRAGMA {name}").scalar_one()) for name in _PRAGMAS]
        queries = sorted(workload(engine, count=count, seed=seed), key=lambda query: query.writes)
        found = []
        for place, query in enumerate(queries):
            progress(place / len(queries), f"recording {query.name}")
            found.append(record(engine, query, count=count))
    finally:
        engine.dispose()
    return pragmas, found


def _side(name: EngineName, master: Path, folder: Path, pragmas: Pragmas, stack: ExitStack) -> Side:
    side = Side(EngineProcess(name), folder / f"{name}.db", master, Ready(None))
    stack.callback(lambda: side.process.end())
    try:
        side.ready = make_ready(side.process, master, side.copy, pragmas)
        if side.ready.left_out and not side.ready.absent:  # what it works on from now on is the file without these
            side.process.close()
            side.master = folder / f"{name}-master.db"
            with connect_file(side.copy) as db:
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            fresh(side.copy, side.master)
            side.process.open(side.copy, pragmas)
    except (EngineGone, EngineRefused) as problem:
        stopper = first_refused(name, side.copy)
        side.lose(f"{problem}{f', for {stopper}' if stopper else ''}")
    if name == REFERENCE and side.ready.absent:
        raise CannotFinish(f"The engines cannot be compared: {side.ready.absent}.")
    return side


def _measured(
    sides: Sequence[Side],
    queries: Sequence[Recorded],
    pragmas: Pragmas,
    *,
    effort: Effort,
    chance: random.Random,
    progress: Progress,
) -> Found:
    found: Found = {}
    is_written = False
    for place, query in enumerate(queries):
        serving = [side for side in sides if not side.ready.absent]
        progress(place / len(queries), f"{query.name} by {len(serving)} engines")
        if query.error:
            continue
        if query.writes and is_written:
            serving = [side for side in serving if _renewed(side, pragmas)]
        taken = take_rounds([side.process for side in serving], query, effort=effort, chance=chance)
        found[query.name] = taken
        if query.writes:
            is_written = True
            _compare_tables(serving, query, taken)
        for side in serving:
            if taken[side.name].gone:
                side.process.end()
                side.process = EngineProcess(side.name)
                _renewed(side, pragmas)
    return found


def _renewed(side: Side, pragmas: Pragmas) -> bool:
    """A fresh copy, opened; an engine that does not take it this time takes no more part."""
    try:
        side.process.close()
        fresh(side.master, side.copy)
        side.process.open(side.copy, pragmas)
    except (EngineGone, EngineRefused) as problem:
        side.lose(str(problem))
    if side.name == REFERENCE and side.ready.absent:
        raise CannotFinish(f"The engines cannot be compared: {side.ready.absent}.")
    return not side.ready.absent


def _compare_tables(serving: Sequence[Side], query: Recorded, taken: Mapping[EngineName, Taken]) -> None:
    """Close all, and hold what each left in the tables against what the reference left."""
    for side in serving:
        mine = taken[side.name]
        try:
            side.process.close()
        except (EngineGone, EngineRefused) as problem:
            mine.error, mine.gone = mine.error or str(problem), True
    reference = next(side for side in serving if side.name == REFERENCE)
    tables = written_tables(reference.copy, query.statements)
    for side in serving:
        mine = taken[side.name]
        mine.tables = tables
        if side is reference or mine.is_over:
            continue
        gone = {one.name for one in side.ready.left_out}
        try:
            mine.note(table_difference(reference.copy, side.copy, tables - gone))
        except (sqlite3.DatabaseError, CannotFinish) as problem:
            mine.wrong = f"sqlite3 cannot read what it left: {problem}"
