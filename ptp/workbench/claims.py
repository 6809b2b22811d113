"""The claims held to measurement: each operation in plain SQL on the old shape beside ptp's query at head, in pairs.

On the user's own source and target, where the source has the raw shape; and on a ladder of invented sources with heads
that are built from them, so that "so many times faster" has a size, and the growth of either way an exponent. Both
files of a pair are scratch ones with the same pragmas, in WAL mode: what differs is the schema and the queries.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate, pairwise
from pathlib import Path

from ptp.engine import check_database, connect_file, errors_named, read_inventory
from ptp.engine.environment import environment
from ptp.migration.backup import check_space
from ptp.migration.build import build
from ptp.migration.detect import detect_shape
from ptp.migration.plan import Plan, make_plan
from ptp.migration.steps import load_steps
from ptp.resources import folder
from ptp.schema.shapes import known_shapes
from ptp.workbench.claim_pairs import Make, measure_own, measure_pair
from ptp.workbench.claim_rungs import BUDGETS, LADDER, Rung, by_cost, statement_costs, study_costs
from ptp.workbench.claim_tables import (
    CLAIMS_TABLE,
    SCALING_TABLE,
    Held,
    claim_rows,
    findings,
    measurements,
    scaling_rows,
)
from ptp.workbench.parts import Part
from ptp.workbench.progress import Progress, part, quiet
from ptp.workload.claims import (
    Budget,
    Operation,
    Sides,
    outreach_operations,
    study_operations,
    write_outreach_source,
    write_study_source,
)
from ptp.workload.demo import DEMO_NOW
from ptp.workload.limits import Profile

_USUAL_EXAM = 10_000  # questions, for the time left only
_SCRATCH = "claims-scratch"


def measure_claims(
    source: Path | None,
    target: Path,
    out: Path,
    *,
    profile: Profile = "quick",
    seed: int = 1,
    progress: Progress = quiet,
) -> Part:
    """Measure every operation of the claims both ways, on scratch files in `out`; source and target are only read.

    The findings on gains are notes; that the two ways have the same outcomes is a gate. Raises UsageError
    for a file that is not there or no database, and DiskFull before anything is written.
    """
    rungs, budget = LADDER[profile], BUDGETS[profile]
    for path in (source, target):
        if path is not None:
            check_database(path)
    own_bytes = 2 * ((source.stat().st_size if source else 0) + target.stat().st_size)
    check_space(out, needed_bytes=max([own_bytes, *(rung.bytes for rung in rungs)]))
    costs = [_own_cost(source, own_bytes, budget), *(_cost(rung, budget) for rung in rungs)]
    ends = [end / (sum(costs) or 1.0) for end in accumulate(costs, initial=0.0)]
    shown = [part(progress, start, end) for start, end in pairwise(ends)]
    with _scratch(out) as scratch:
        held = [measure_own(source, target, scratch, budget=budget, seed=seed, progress=shown[0])]
    for rung, its in zip(rungs, shown[1:], strict=True):
        with _scratch(out) as scratch:
            held.append(_measure_rung(rung, scratch, budget=budget, seed=seed, progress=its))
    progress(1.0, "measured both ways")
    return told(held)


def _own_cost(source: Path | None, own_bytes: int, budget: Budget) -> float:
    return sum(study_costs(_USUAL_EXAM, 2 * own_bytes, budget)) if source else 0.0


def _cost(rung: Rung, budget: Budget) -> float:
    return rung.writing + rung.building + sum(rung.measuring(budget))


def told(held: list[Held]) -> Part:
    """The part that follows from what was measured."""
    tables = {CLAIMS_TABLE: claim_rows(held), SCALING_TABLE: scaling_rows(held)}
    return Part((*findings(held), *measurements(held, environment())), tables)


def remove_scratch(out: Path) -> None:
    """Remove what the measurement of the claims in `out` works on: also of one that was killed."""
    shutil.rmtree(out / _SCRATCH, ignore_errors=True)


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """An empty folder, gone at the end."""
    remove_scratch(out)
    scratch = out / _SCRATCH
    scratch.mkdir()
    try:
        with errors_named(scratch):
            yield scratch
    finally:
        remove_scratch(out)


def _measure_rung(rung: Rung, scratch: Path, *, budget: Budget, seed: int, progress: Progress) -> Held:
    old, head, whole = scratch / "old.db", scratch / "head.db", _cost(rung, budget)

    def shown(share: float, text: str) -> None:
        progress(share, f"{rung.name}: {text}")

    written, built = rung.writing / whole, (rung.writing + rung.building) / whole
    write_rung(rung, old, seed=seed, progress=part(shown, 0.0, written))
    build_head(old, head, progress=part(shown, written, built))
    measuring = by_cost(part(shown, built, 1.0), rung.measuring(budget))
    found = measure_pair(old, head, _operations(rung, seed), budget=budget, seed=seed, progress=measuring)
    return Held(rung.key, rung.name, rung.questions or None, rung.answers or None, found)


def write_rung(rung: Rung, out: Path, *, seed: int, progress: Progress = quiet) -> None:
    """Write the source of a rung."""
    if rung.questions:
        write_study_source(out, questions=rung.questions, answers=rung.answers, seed=seed, progress=progress)
    else:
        write_outreach_source(out, seed=seed, progress=progress)


def build_head(old: Path, head: Path, *, progress: Progress = quiet) -> None:
    """Build the head of an invented source, offline and without verification.

    The full-text index, which is an optional step and which no operation of the claims touches, is left out: it would
    take half of the time.
    """
    plan = plan_without_options(old)
    shown = by_cost(progress, statement_costs(plan))
    build(plan, source=old, target=head, run="claims", now=DEMO_NOW, progress=shown)


def plan_without_options(source: Path) -> Plan:
    """The plan of a migration without the steps that want a module of SQLite."""
    with errors_named(source), connect_file(source, read_only=True) as db:
        inventory = read_inventory(db)
        steps = [one for one in load_steps(folder("sql")) if not one.requires]
        shape = detect_shape(inventory, known_shapes())
        return make_plan(db, inventory=inventory, shape=shape, steps=steps, on_dirty="stop")


def _operations(rung: Rung, seed: int) -> Make:
    def make(sides: Sides, count: int) -> tuple[Operation, ...]:
        if rung.questions:
            return study_operations(sides, count=count, seed=seed)
        return outreach_operations(sides, now=DEMO_NOW)

    return make
