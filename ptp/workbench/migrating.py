"""The first stage: detect, plan, look, back up, build; each with its finding."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from ptp.engine import check_database, check_nothing_left, check_sound, connect_file, errors_named, read_inventory
from ptp.engine.drivers import driver_of
from ptp.engine.moves import read_move
from ptp.errors import CannotFinish, DirtySource, SourceChanged, UsageError
from ptp.evidence import Stage, read_stage, write_stage
from ptp.migration.backup import Backup, check_space, fingerprint, take_backup
from ptp.migration.build import Built, build
from ptp.migration.capture import refuse_names, without_capture
from ptp.migration.detect import detect_shape
from ptp.migration.journal import check_steps, has_journal, steps_done
from ptp.migration.plan import OnDirty, Plan, make_plan
from ptp.migration.preflight import Preflight, inspect_source
from ptp.migration.steps import load_steps
from ptp.resources import folder
from ptp.results import Finding, Measurement, Result
from ptp.schema.shapes import known_shapes
from ptp.settings import load_settings
from ptp.workbench.alone import one_at_a_time
from ptp.workbench.dirt import clean_finding as clean_finding
from ptp.workbench.dirt import dirt_rows
from ptp.workbench.dirt import dirty_sentence as dirty_sentence
from ptp.workbench.forecasting import BACKUP as BACKED_UP
from ptp.workbench.forecasting import PLAN, PREFLIGHT, Outlook, estimates, here, look_ahead, plan_rows
from ptp.workbench.preflighting import KNOWN, baseline, notes
from ptp.workbench.progress import Progress, part, quiet

NAME = "01_migrate"
TITLE = "Migration"
BACKUP = Path("backup", "source.db")  # in the run folder
_SPACE = 3.0  # times the source: its backup, the target, and the sorting of indexes


def plan_of(source: Path, *, on_dirty: OnDirty = "stop") -> Plan:
    """Plan the migration of a source; raises UsageError where it cannot be migrated at all."""
    check_database(source)
    with errors_named(source), connect_file(source, read_only=True) as db:
        whole = read_inventory(db)
        refuse_names(whole)
        inventory = without_capture(whole)
        shape = detect_shape(inventory, known_shapes())
        return make_plan(db, inventory=inventory, shape=shape, steps=load_steps(folder("sql")), on_dirty=on_dirty)


def check_target(target: Path, *, out: Path) -> None:
    """Refuse a target that exists: with the state it is in where ptp built it, by its name where not.

    It comes to stand in the run folder `out`, which need not exist yet, or in one that does.
    """
    check_nothing_left(target)
    if not target.exists():
        if target.parent != out and not target.parent.is_dir():
            raise UsageError(f"There is no folder {target.parent} for the target.")
        if target.parent.is_dir() and not os.access(target.parent, os.W_OK):
            raise UsageError(f"{target} cannot be written: its folder is read-only. Name another target with --target.")
        return
    check_database(target)
    with errors_named(target), connect_file(target, read_only=True) as db:
        if has_journal(db):
            check_steps(db, load_steps(folder("sql")))
            if (move := read_move(db)) and move.state == "moved":
                raise UsageError(
                    f"{target} was rolled back to {move.other}. Remove it first, or name another: "
                    "ptp migrate --target FILE."
                )
            if steps_done(db) < len(load_steps(folder("sql"))):
                raise UsageError(f"{target} has pending steps. To take it to head: ptp step --target {target}.")
            raise UsageError(
                f"{target} is at head already. To check it: ptp verify --source SOURCE --target {target}; "
                "to build it anew, remove it first."
            )
    raise UsageError(f"{target} exists and was not built by ptp: name another target with --target.")


@one_at_a_time
def migrate(
    source: Path,
    target: Path,
    out: Path,
    *,
    run: str,
    on_dirty: OnDirty = "stop",
    shown: str = "",
    driver: str | None = None,
    progress: Progress = quiet,
) -> Stage:
    """Build `target` from `source`, which is only read; plan and backup go to `out`.

    `shown` is the hash of the plan that was shown before, which must be the one that runs; empty for none. `driver` is
    what the target is built through, that of the settings if not given.

    Raises DirtySource before anything is changed when values do not convert exactly and `on_dirty` is stop.
    """
    clock = _Clock()
    through = driver_of(driver or load_settings().driver).name
    plan = plan_of(source, on_dirty=on_dirty)
    _check_shown(plan, shown)
    check_target(target, out=out)
    check_space(target.parent, needed_bytes=int(source.stat().st_size * _SPACE))
    with errors_named(out):
        (out / "plan.sql").write_text(f"-- plan {plan.hash}\n{plan.text}", encoding="utf-8")
    looked = _look(source, target, out, plan, clock, part(progress, 0.02, 0.35))
    clean = clean_finding(looked.seen, on_dirty)
    if clean.verdict == "fail":
        write_stage(out, Stage(NAME, TITLE, clock.seconds, (clean, *looked.notes), looked.tables))
        raise DirtySource(dirty_sentence(source, looked.seen, out))
    (out / BACKUP).parent.mkdir(exist_ok=True)
    backup = take_backup(source, out / BACKUP, record=True, progress=part(progress, 0.35, 0.6))
    clock.lap(BACKED_UP)
    built = build(
        plan,
        source=source,
        target=target,
        run=run,
        now=int(time.time()),
        confirm=lambda: _confirm_unchanged(source, looked.before),
        driver=through,
        progress=part(progress, 0.6, 1),
    )
    ran = plan_finding(plan.hash, statements=len(plan.statements), through=built.driver)
    results: list[Result] = [clean, backup_finding(backup), _unchanged(looked.before), ran, *looked.notes]
    results += [*_timings(built), *estimates(looked.outlook)]
    took = {PLAN: plan_rows(looked.outlook, {**clock.laps, **built.seconds})}
    return Stage(NAME, TITLE, clock.seconds, tuple(results), {**looked.tables, **took})


@dataclass(frozen=True, slots=True)
class _Looked:
    """What was seen of a source before anything was done: its fingerprint, its values, and the conditions."""

    before: str
    seen: Preflight
    outlook: Outlook
    notes: tuple[Finding, ...]
    tables: dict[str, list[dict[str, object]]]


def _look(source: Path, target: Path, out: Path, plan: Plan, clock: _Clock, progress: Progress) -> _Looked:
    outlook = look_ahead(plan, source)
    noted = notes(source, target, backup=out / BACKUP)
    clock.lap("look ahead")
    with errors_named(source):
        check_sound(source)
        before = fingerprint(source)
        seen = inspect_source(source, plan.pairs, progress=progress)
    known, broken = baseline(source)
    clock.lap(PREFLIGHT)
    tables = _tables(plan, seen) | ({KNOWN: broken} if broken else {})
    return _Looked(before, seen, outlook, (*noted, known), tables)


class _Clock:
    """Seconds since its beginning, and those of each part that ended."""

    def __init__(self) -> None:
        self._first = self._last = time.perf_counter()
        self.laps: dict[str, float] = {}

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._first

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self._last = now - self._last, now


def _check_shown(plan: Plan, shown: str) -> None:
    if shown not in ("", plan.hash):
        raise CannotFinish(
            f"The plan is not the one that was shown ({plan.hash[:16]}, not {shown[:16]}): "
            "the source's schema or the steps changed meanwhile. Look at the plan again."
        )


def _tables(plan: Plan, seen: Preflight) -> dict[str, list[dict[str, object]]]:
    looked = {"Source": _source_rows(plan), "Besides the shape": _extra_rows(plan), "Dirt": dirt_rows(seen)}
    return {name: rows for name, rows in looked.items() if rows}


def _confirm_unchanged(source: Path, before: str) -> None:
    if fingerprint(source) != before:
        raise SourceChanged(
            f"{source} was written to while it was migrated: stop what writes to it, and run the command again."
        )


def _unchanged(before: str) -> Finding:
    """The finding of a build that was confirmed: without that, there is no target."""
    return Finding(
        id="migrate.source-unchanged",
        claim="The source was only read: its bytes are what they were",
        verdict="pass",
        severity="data",
        value=0,
        unit="changes",
        limit=0,
        evidence=f"blake2b of the file and its write-ahead log, before and after: {before}",
    )


def backup_finding(backup: Backup) -> Finding:
    """The finding of a backup that was proven: without that, there is none."""
    return Finding(
        id="migrate.backup",
        claim="A backup was taken before the first change, and its content compared with the source",
        verdict="pass",
        severity="data",
        value=backup.rows,
        unit="rows equal",
        n=backup.rows,
        evidence=f"backup/{backup.path.name}, {backup.bytes / 1e6:,.1f} MB, {backup.tables} tables",
    )


def plan_finding(plan_hash: str, *, statements: int, through: str) -> Finding:
    """The finding of a plan that ran as it was shown."""
    return Finding(
        id="migrate.plan",
        claim="What ran is the plan that plan.sql shows",
        verdict="pass",
        value=plan_hash[:16],
        n=statements,
        evidence=f"plan.sql; SHA-256 over its statements stands in the journal; built through {through}",
    )


def _timings(built: Built) -> list[Measurement]:
    return [Measurement(f"build: {kind}", "s", (seconds,), here()) for kind, seconds in built.seconds.items()]


def stopped(out: Path) -> Stage:
    """What a migration found that dirt stopped, as it stands in its run folder; `Dirt` among its tables lists all."""
    return read_stage(out / "results" / f"{NAME}.json")


def _source_rows(plan: Plan) -> list[dict[str, object]]:
    return [{"table": name, "rows": rows} for name, rows in plan.rows.items()]


def _extra_rows(plan: Plan) -> list[dict[str, object]]:
    return [
        {"kind": e.kind, "name": e.name, "carried": "yes" if e.carried else "no", "reason": e.reason}
        for e in plan.extras
    ]
