"""The first stage: detect, plan, look, back up, build; each with its finding."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from ptp.conversions import Value
from ptp.engine import check_database, check_nothing_left, check_sound, connect_file, errors_named, read_inventory
from ptp.errors import CannotFinish, DirtySource, SourceChanged, UsageError
from ptp.evidence import Stage, read_stage, write_stage
from ptp.migration.backup import Backup, check_space, fingerprint, take_backup
from ptp.migration.build import Built, build
from ptp.migration.capture import without_capture
from ptp.migration.detect import detect_shape
from ptp.migration.journal import check_steps, has_journal
from ptp.migration.plan import OnDirty, Plan, make_plan
from ptp.migration.preflight import Gone, Preflight, inspect_source
from ptp.migration.steps import load_steps
from ptp.resources import folder
from ptp.results import Finding, Measurement, Result
from ptp.schema.shapes import known_shapes
from ptp.verification.exact import shown
from ptp.workbench.keeping import WHOLE_ROW
from ptp.workbench.progress import Progress, part, quiet

NAME = "01_migrate"
TITLE = "Migration"
BACKUP = Path("backup", "source.db")  # in the run folder
WITH_PARENT = "(whole row, with its parent)"
_KEY = ""  # stands for the key among the personal columns of a table; no column has this name
_KINDS_TOLD = 5  # in the sentence; the table has them all
_SPACE = 3.0  # times the source: its backup, the target, and the sorting of indexes


def plan_of(source: Path, *, on_dirty: OnDirty = "stop") -> Plan:
    """Plan the migration of a source; raises UsageError where it cannot be migrated at all."""
    check_database(source)
    with errors_named(source), connect_file(source, read_only=True) as db:
        inventory = without_capture(read_inventory(db))
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
            raise UsageError(
                f"{target} is at head already. To check it: ptp verify --source SOURCE --target {target}; "
                "to build it anew, remove it first."
            )
    raise UsageError(f"{target} exists and was not built by ptp: name another target with --target.")


def migrate(
    source: Path,
    target: Path,
    out: Path,
    *,
    run: str,
    on_dirty: OnDirty = "stop",
    shown: str = "",
    progress: Progress = quiet,
) -> Stage:
    """Build `target` from `source`, which is only read; plan and backup go to `out`.

    `shown` is the hash of the plan that was shown before, which must be the one that runs; empty for none.

    Raises DirtySource before anything is changed when values do not convert exactly and `on_dirty` is stop.
    """
    started = time.perf_counter()
    plan = plan_of(source, on_dirty=on_dirty)
    _check_shown(plan, shown)
    check_target(target, out=out)
    check_space(target.parent, needed_bytes=int(source.stat().st_size * _SPACE))
    with errors_named(out):
        (out / "plan.sql").write_text(f"-- plan {plan.hash}\n{plan.text}", encoding="utf-8")
    with errors_named(source):
        check_sound(source)
        before = fingerprint(source)
        seen = inspect_source(source, plan.pairs, progress=part(progress, 0.02, 0.35))
    tables = _tables(plan, seen)
    if on_dirty == "stop" and not seen.is_clean:
        stage = Stage(NAME, TITLE, time.perf_counter() - started, (clean_finding(seen, on_dirty),), tables)
        write_stage(out, stage)
        raise DirtySource(dirty_sentence(source, seen, out))
    (out / BACKUP).parent.mkdir(exist_ok=True)
    backup = take_backup(source, out / BACKUP, record=True, progress=part(progress, 0.35, 0.6))
    built = build(
        plan,
        source=source,
        target=target,
        run=run,
        now=int(time.time()),
        confirm=lambda: _confirm_unchanged(source, before),
        progress=part(progress, 0.6, 1),
    )
    findings = (
        clean_finding(seen, on_dirty),
        backup_finding(backup),
        _unchanged(before),
        plan_finding(plan.hash, statements=len(plan.statements)),
    )
    results: tuple[Result, ...] = (*findings, *_timings(built))
    return Stage(NAME, TITLE, time.perf_counter() - started, results, tables)


def _check_shown(plan: Plan, shown: str) -> None:
    if shown not in ("", plan.hash):
        raise CannotFinish(
            f"The plan is not the one that was shown ({plan.hash[:16]}, not {shown[:16]}): "
            "the source's schema or the steps changed meanwhile. Look at the plan again."
        )


def _tables(plan: Plan, seen: Preflight) -> dict[str, list[dict[str, object]]]:
    looked = {"Source": _source_rows(plan), "Besides the shape": _extra_rows(plan), "Dirt": _dirt_rows(seen)}
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


def clean_finding(seen: Preflight, on_dirty: OnDirty) -> Finding:
    """What the preflight saw, judged by the policy."""
    kept = on_dirty == "quarantine"
    values = sum(d.count for d in seen.dirt)
    return Finding(
        id="migrate.conversions",
        claim="Every source value converts exactly" + (", or is kept in quarantine" if kept else ""),
        verdict="pass" if seen.is_clean or kept else "fail",
        severity="data",
        value=values + seen.rejected_rows,
        unit="values and rows",
        limit=None if kept else 0,
        where=tuple(_kinds(seen)),
        evidence=f"preflight of the whole source, --on-dirty {on_dirty}",
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


def plan_finding(plan_hash: str, *, statements: int) -> Finding:
    """The finding of a plan that ran as it was shown."""
    return Finding(
        id="migrate.plan",
        claim="What ran is the plan that plan.sql shows",
        verdict="pass",
        value=plan_hash[:16],
        n=statements,
        evidence="plan.sql; SHA-256 over its statements stands in the journal",
    )


def _timings(built: Built) -> list[Measurement]:
    return [Measurement(f"build: {kind}", "s", (seconds,)) for kind, seconds in built.seconds.items()]


def stopped(out: Path) -> Stage:
    """What a migration found that dirt stopped, as it stands in its run folder; `Dirt` among its tables lists all."""
    return read_stage(out / "results" / f"{NAME}.json")


def _dirt_rows(seen: Preflight) -> list[dict[str, object]]:
    """Every kind of dirt with its number and examples: single values, then rows that go whole."""
    personal = _personal()
    rows: list[dict[str, object]] = [
        {
            "table": d.table,
            "column": d.column,
            "problem": d.problem,
            "count": d.count,
            "examples": "; ".join(_example(d.table, key, {d.column: value}, personal) for key, value in d.examples),
        }
        for d in seen.dirt
    ]
    return rows + [
        {
            "table": g.table,
            "column": WITH_PARENT if g.with_parent else WHOLE_ROW,
            "problem": g.reason,
            "count": g.count,
            "examples": "; ".join(_example(g.table, key, values, personal, named=True) for key, values in g.examples),
        }
        for g in seen.gone
    ]


def _personal() -> dict[str, frozenset[str]]:
    """The personal columns by source table, those that are the key among them."""
    found: dict[str, frozenset[str]] = {}
    for table in (t for shape in known_shapes() for t in shape.tables):
        personal = {c.source for c in table.columns if c.conversion.personal}
        found[table.source] = (
            found.get(table.source, frozenset()) | personal | ({_KEY} if personal & set(table.source_key) else set())
        )
    return found


def _example(
    table: str, key: str, values: Mapping[str, Value], personal: Mapping[str, frozenset[str]], *, named: bool = False
) -> str:
    hidden = personal.get(table, frozenset())
    told = ", ".join(
        f"{column + ' ' if named else ''}{shown(value, personal=column in hidden)}" for column, value in values.items()
    )
    return f"key {'(personal, masked)' if _KEY in hidden else key}" + (f": {told}" if told else "")


def _kinds(seen: Preflight) -> list[str]:
    """Every kind of dirt in a few words."""
    return [f"{d.table}.{d.column}: {d.count} {d.problem}" for d in seen.dirt] + [_gone_in_words(g) for g in seen.gone]


def _gone_in_words(gone: Gone) -> str:
    return f"{gone.table}: {gone.count} rows {'with their parents, ' if gone.with_parent else ''}{gone.reason}"


def dirty_sentence(source: Path, seen: Preflight, out: Path) -> str:
    """What stops a run over a source that is not clean, and where all of it is told."""
    kinds = _kinds(seen)
    more = f" and {len(kinds) - _KINDS_TOLD} more kinds" if len(kinds) > _KINDS_TOLD else ""
    values, own = sum(d.count for d in seen.dirt), seen.rejected_rows - seen.rows_with_parents
    return (
        f"{source} holds {values:,} values that do not convert exactly ({'; '.join(kinds[:_KINDS_TOLD])}{more}); "
        f"{own:,} rows would go whole, and {seen.rows_with_parents:,} more with their parents. Nothing was changed. "
        f"All kinds, with examples: {out / 'results' / f'{NAME}.json'}. "
        "Mend them, or keep them in quarantine with --on-dirty quarantine."
    )


def _source_rows(plan: Plan) -> list[dict[str, object]]:
    return [{"table": name, "rows": rows} for name, rows in plan.rows.items()]


def _extra_rows(plan: Plan) -> list[dict[str, object]]:
    return [
        {"kind": e.kind, "name": e.name, "carried": "yes" if e.carried else "no", "reason": e.reason}
        for e in plan.extras
    ]
