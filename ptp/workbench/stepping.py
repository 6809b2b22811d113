"""`ptp step`: a database that ptp built goes steps up or down in place, backed up first and compared afterwards."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal, TypeAlias

from ptp.engine import Inventory, check_database, connect_file, errors_named, locks, read_inventory
from ptp.errors import CannotFinish, PtpError, UsageError
from ptp.evidence import Stage
from ptp.migration import journal
from ptp.migration.backup import Backup, check_space, take_backup
from ptp.migration.in_place import Change, Done, StepPlan, plan_steps, run_change
from ptp.migration.steps import Step, load_steps
from ptp.resources import folder
from ptp.results import Finding, Measurement
from ptp.verification.drift import differences
from ptp.workbench.indexing import expected_head
from ptp.workbench.progress import Progress, part, quiet

NAME = "step"
TITLE = "Steps"
BACKUP = Path("backup", "target.db")  # in the run folder
_SPACE = 2.1  # times the database: the backup, and what is restored from it to prove it

Way: TypeAlias = Literal["up", "down", ""]


def plan_of(target: Path, *, way: Way = "", to: int | None = None) -> StepPlan:
    """Plan the steps of a target, which is only read: all that are pending, one down, or those to a number.

    Raises UsageError where ptp did not build it, or `way` and `to` contradict each other.
    """
    check_database(target)
    steps = load_steps(folder("sql"))
    with errors_named(target), connect_file(target, read_only=True) as db:
        if not journal.has_journal(db):
            raise UsageError(f"{target} was not built by ptp: it has no journal. Name the target of a migration.")
        done = journal.steps_done(db)
        goal = to if to is not None else done - 1 if way == "down" else max(done, len(steps))
        if (way == "up" and goal < done) or (way == "down" and goal > done):
            raise UsageError(f"{target} stands at step {done:04}: the way to {goal:04} is not {way}.")
        return plan_steps(db, steps, to=goal)


def step(
    target: Path,
    out: Path,
    *,
    run: str,
    way: Way = "",
    to: int | None = None,
    shown: str = "",
    progress: Progress = quiet,
) -> Stage:
    """Take a target some steps up or down, each in one transaction; a proven backup and the plan go to `out`.

    `shown` is the hash of the plan that was shown before, which must be the one that runs; empty for none. Where a
    step is refused nothing of it is kept, and those before it stay.
    """
    started = time.perf_counter()
    with locks.held(target, doing="a step"):
        plan = plan_of(target, way=way, to=to)
        _check_shown(plan, shown)
        if not plan.changes:
            return Stage(NAME, TITLE, time.perf_counter() - started, tuple(_compared(target)))
        if (out / BACKUP).exists():
            raise UsageError(f"{out} holds the backup of a run already: name a new folder with --out.")
        check_space(out, needed_bytes=int(target.stat().st_size * _SPACE))
        with errors_named(out):
            (out / "plan.sql").write_text(f"-- plan {plan.hash}\n{plan.text}", encoding="utf-8")
        (out / BACKUP).parent.mkdir(exist_ok=True)
        backup = take_backup(target, out / BACKUP, record=True, progress=part(progress, 0.0, 0.4))
        done = _run(target, plan, run, part(progress, 0.4, 0.9))
        progress(0.9, "comparing with the steps and the models")
        findings = (_proven(backup), *map(_stepped, done), *_compared(target))
        times = (Measurement(f"step: {d.change.step.name}", "s", (d.seconds,)) for d in done)
    return Stage(NAME, TITLE, time.perf_counter() - started, (*findings, *times), {"Steps": list(map(_row, done))})


def _check_shown(plan: StepPlan, shown: str) -> None:
    if shown not in ("", plan.hash):
        raise CannotFinish(
            f"The plan is not the one that was shown ({plan.hash[:16]}, not {shown[:16]}): the database or the steps "
            "changed meanwhile. Look at the plan again."
        )


def _run(target: Path, plan: StepPlan, run: str, progress: Progress) -> list[Done]:
    steps, done, count = load_steps(folder("sql")), list[Done](), len(plan.changes)
    with errors_named(target), connect_file(target) as db:
        db.execute("PRAGMA temp_store = FILE")
        for number, change in enumerate(plan.changes):
            within = part(progress, number / count, (number + 1) / count)
            try:
                found = run_change(
                    db, change, steps, differ=_differences, run=run, now=int(time.time()), progress=within
                )
            except PtpError as problem:
                if not done:
                    raise
                names = ", ".join(d.change.step.name for d in done)
                raise type(problem)(f"{problem} Done before it, and kept: {names}.") from problem
            done.append(found)
    return done


def _differences(live: Inventory, expected: Inventory) -> Iterator[str]:
    return differences(live, expected, own=())


def _proven(backup: Backup) -> Finding:
    return Finding(
        id="step.backup",
        claim="What was restored from the backup taken before is the database, row by row and in storage class",
        verdict="pass",
        severity="data",
        value=backup.rows,
        unit="rows",
        n=backup.rows,
        evidence=str(BACKUP),
    )


def _stepped(done: Done) -> Finding:
    step, way = done.change.step, done.change.direction
    what = f"was left out, as {done.change.left_out}" if done.change.left_out else f"went {way} in one transaction"
    return Finding(
        id=f"step.{step.name}",
        claim=f"Step {step.name} {what}; all that it does not name stayed as it was",
        verdict="pass",
        severity="data",
        value=done.rows_after,
        unit="rows",
        n=done.rows_before,
        evidence="schema text, rows of every table, references, views, triggers; before and after, in the transaction",
    )


def _row(done: Done) -> dict[str, object]:
    return {
        "step": done.change.step.name,
        "way": done.change.direction,
        "statements": done.statements,
        "seconds": round(done.seconds, 3),
        "rows before": done.rows_before,
        "rows after": done.rows_after,
    }


def _compared(target: Path) -> Iterator[Finding]:
    """The journal, and the schema against what its steps build in an empty database; at head against the models too."""
    steps = load_steps(folder("sql"))
    with errors_named(target), connect_file(target, read_only=True) as db:
        why, done, left_out = journal.why_untrusted(db, steps), journal.steps_done(db), journal.steps_left_out(db)
        live = read_inventory(db)
    yield Finding(
        id="step.journal",
        claim=f"The journal names the steps in sql/ up to {steps[done - 1].name}, unedited and in order",
        verdict="fail" if why else "pass",
        severity="data",
        where=(why,) if why else (),
        n=done,
        evidence="SHA-256 chain",
    )
    taken = [s for s in steps[:done] if s.name not in left_out]
    yield _schema("steps", f"its {done} steps build", live, _built(taken))
    if done == len(steps) and not left_out:
        yield _schema("models", "the models say", live, expected_head())


def _built(steps: Sequence[Step]) -> Inventory:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as scratch:
        for sql in (sql for one in steps for sql in one.up):
            scratch.execute(sql)
        return read_inventory(scratch)


def _schema(name: str, whose: str, live: Inventory, expected: Inventory) -> Finding:
    """What a database has besides may have been carried over, so only what is missing or differs counts."""
    found = [d for d in differences(live, expected, own=("ptp_",)) if "is not expected" not in d]
    return Finding(
        id=f"step.{name}",
        claim=f"The schema is the one that {whose}",
        verdict="fail" if found else "pass",
        severity="data",
        value=len(found),
        unit="differences",
        limit=0,
        where=tuple(found),
        evidence="sqlite_schema text and the xinfo pragmas",
    )


def following(target: Path) -> str:
    """What to look at after a target went some steps."""
    pending = plan_of(target).changes
    more = f"ptp step --target {target} --dry-run shows the {len(pending)} steps that are pending"
    return more if pending else f"ptp health --target {target}"


def words_of(changes: Sequence[Change]) -> str:
    """The steps of a plan in one line."""
    return ", ".join(f"{c.step.name} {c.direction}" for c in changes) or "no step: the database is there already"
