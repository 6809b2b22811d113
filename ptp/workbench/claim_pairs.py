"""One pair of databases, an old one and a head, on which the operations of the claims are measured both ways."""

from __future__ import annotations

import gc
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from ptp.engine import connect_file, errors_named, open_engine, read_inventory
from ptp.engine.meters import meter
from ptp.migration import quarantine
from ptp.migration.backup import step
from ptp.migration.capture import without_capture
from ptp.migration.detect import detect_shape
from ptp.schema.shapes import known_shapes
from ptp.settings import load_settings
from ptp.workbench.claim_rungs import by_cost, study_costs
from ptp.workbench.claim_tables import Held
from ptp.workbench.progress import Progress, part
from ptp.workload.claims import Both, Budget, Operation, Sides, measure_both, study_operations
from ptp.workload.claims.timing import COUNTED, PILOT
from ptp.workload.floors import plain_connection

Make: TypeAlias = Callable[[Sides, int], tuple[Operation, ...]]
"""Makes the operations of two sides with so many draws each."""

OWN = "your source and target"
_COMPARED = ("users", "exams", "questions", "study_sessions", "user_answers", "user_progress")


def measure_pair(
    old: Path, head: Path, make: Make, *, budget: Budget, seed: int, progress: Progress
) -> tuple[Both, ...]:
    """Measure every operation on two files that may be written to and thrown away.

    `progress` is told when the copies begin, and when each operation does.
    """
    with ExitStack() as stack:
        engine = open_engine(head, settings=load_settings())
        stack.callback(engine.dispose)
        plain = stack.enter_context(plain_connection(engine, old))
        with errors_named(old):
            plain.execute("PRAGMA journal_mode = WAL")
        sides = Sides(engine, stack.enter_context(plain_connection(engine, head)), plain)
        operations = make(sides, COUNTED + PILOT + budget.most_pairs)
        gc.freeze()  # the collection before each operation need not go over all that was there before
        stack.callback(gc.unfreeze)
        progress(0.0, "copying what is counted on")
        count_plain, count_ptp = stack.enter_context(meter(old)), stack.enter_context(meter(head))
        found = []
        for operation in operations:
            progress(0.0, f"timing {operation.name} both ways")
            both = measure_both(
                operation, sides, budget=budget, count_plain=count_plain, count_ptp=count_ptp, seed=seed
            )
            found.append(both)
        return tuple(found)


def measure_own(
    source: Path | None, target: Path, scratch: Path, *, budget: Budget, seed: int, progress: Progress
) -> Held:
    """The user's own source and target, on copies in `scratch`; where they cannot be compared, the reason."""
    if source is None:
        return _not_measured("No source was named.")
    with errors_named(source), connect_file(source, read_only=True) as db:
        shape = detect_shape(without_capture(read_inventory(db)), known_shapes()).name
    if shape != "raw":
        return _not_measured(f"The source has the shape {shape}: the old application's SQL stands on the raw one.")
    old, head = scratch / "own-old.db", scratch / "own-head.db"
    progress(0.0, "copying source and target")
    for original, copy in ((source, old), (target, head)):
        with errors_named(copy), connect_file(original, read_only=True) as db, connect_file(copy) as into:
            into.execute("PRAGMA synchronous = OFF")  # it is thrown away
            step(db, into, original)
    with connect_file(old, read_only=True) as raw, connect_file(head, read_only=True) as built:
        kept, moved_on = _quarantined(built), _differing_rows(raw, built)
        questions, answers = _sizes(built)
    if moved_on and not kept:
        return _not_measured(f"Source and target do not hold the same rows any more: {moved_on}.")

    def make(sides: Sides, count: int) -> tuple[Operation, ...]:
        made = study_operations(sides, count=count, seed=seed)
        return tuple(replace(one, unlike=lambda *_: None) for one in made) if kept else made

    costs = study_costs(questions, old.stat().st_size + head.stat().st_size, budget)
    shown = by_cost(part(progress, 0.15, 1.0), costs)
    found = measure_pair(old, head, make, budget=budget, seed=seed, progress=shown)
    note = f"Outcomes were not compared: {kept:,} values stand in quarantine." if kept else ""
    return Held("", OWN, questions, answers, found, note)


def _not_measured(reason: str) -> Held:
    return Held("", OWN, absent=reason)


def _quarantined(head: sqlite3.Connection) -> int:
    """How many values of the source are not in the target's tables as they were."""
    has_any = head.execute("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?)", (quarantine.TABLE,))
    if not has_any.fetchone()[0]:
        return 0
    return int(head.execute(f"SELECT count(*) FROM {quarantine.TABLE}").fetchone()[0])


def _differing_rows(raw: sqlite3.Connection, head: sqlite3.Connection) -> str:
    """The first table that has other rows in the target, by their number and last id; empty where none has."""
    for table in _COMPARED:
        sql = f"SELECT count(*), max(id) FROM {table}"
        first, second = (db.execute(sql).fetchone() for db in (raw, head))
        if first != second:
            return f"{table} has {first[0]:,} rows in the source and {second[0]:,} in the target"
    return ""


def _sizes(head: sqlite3.Connection) -> tuple[int, int]:
    """The questions of the largest exam, and all answers."""
    largest = "SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM questions GROUP BY exam_id)"
    return tuple(int(head.execute(sql).fetchone()[0]) for sql in (largest, "SELECT count(*) FROM user_answers"))  # type: ignore[return-value]
