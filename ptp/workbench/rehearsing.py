"""The rehearsal: a migration on a copy of its source, verified, with a record to which a later run can be bound.

What it is bound to are the hash of the offline plan and that of the source's schema: an online plan names both
databases in its capture, so that its own hash is another one for each pair of paths.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import ptp
from ptp.engine import Inventory, connect_file, errors_named, read_inventory
from ptp.engine.headers import companion_bytes
from ptp.errors import CannotFinish, DirtySource
from ptp.evidence import Stage, write_stage
from ptp.migration.backup import check_space, take_backup
from ptp.migration.capture import without_capture
from ptp.migration.plan import OnDirty, Plan
from ptp.migration.record import stamp
from ptp.results import VERSION, Finding, Measurement, Result, Verdict, worst, write_json
from ptp.settings import load_settings
from ptp.workbench import migrating, verifying
from ptp.workbench.forecasting import PLAN
from ptp.workbench.progress import Progress, part, quiet
from ptp.workbench.situation import look

NAME = "rehearsal"
TITLE = "Rehearsal"
RECORD = "rehearsal.json"
_FOLDER = "rehearsals"
_DESK = "rehearsal"  # in the run folder, for as long as it takes
_SPACE = 4.1  # times the source: the copy, its backup with the proof, the target, and sorting


@dataclass(frozen=True, slots=True)
class Record:
    """A rehearsal as it ended: of which plan and schema (SHA-256), when (ISO 8601 UTC), and what came of it.

    `seconds` are by part of the plan, with `copy of the source` and `verification` besides; `reason` is empty unless
    a gate failed. `source` is the path as it was given.
    """

    source: str
    plan: str
    schema: str
    shape: str
    on_dirty: str
    at: str
    seconds: Mapping[str, float]
    verdict: Verdict
    reason: str
    rows: int
    ptp: str
    sqlite: str


def schema_hash(source: Path) -> str:
    """SHA-256 over the text of all tables, indexes, views and triggers of a source; a capture does not count."""
    with errors_named(source), connect_file(source, read_only=True) as db:
        inventory = without_capture(read_inventory(db))
    return hashlib.sha256("\0".join(_texts(inventory)).encode("utf-8", "surrogatepass")).hexdigest()


def _texts(inventory: Inventory) -> list[str]:
    texts = [(t.name, t.sql) for t in inventory.tables.values()]
    texts += [(i.name, i.sql) for t in inventory.tables.values() for i in t.indexes if i.sql]
    texts += [(o.name, o.sql) for o in inventory.objects.values()]
    return sorted(f"{name}: {sql}" for name, sql in texts)


def rehearse(source: Path, out: Path, *, run: str, on_dirty: OnDirty = "stop", progress: Progress = quiet) -> Stage:
    """Migrate and verify a full copy of `source` in the run folder `out`, note how it went, and remove the copy.

    The source is only read, and may be written to meanwhile. Raises what migrating and verifying raise, and UsageError
    where an online migration of the source was begun.
    """
    started = time.perf_counter()
    plan = migrating.plan_of(source, on_dirty=on_dirty)
    look(source).refuse_if_begun()
    schema = schema_hash(source)
    size = source.stat().st_size + companion_bytes(source, "-wal")
    check_space(out, needed_bytes=int(size * _SPACE))
    desk = out / _DESK
    with errors_named(out):
        desk.mkdir()
    seconds: dict[str, float] = {}
    try:
        copied, stages = _played(source, desk, plan, run=run, progress=progress)
        seconds = _seconds(copied, *stages)
        results = tuple(r for stage in stages for r in stage.results)
        tables = {name: rows for stage in stages for name, rows in stage.tables.items()}
        verdict, reason = worst([r for r in results if isinstance(r, Finding)]), _reason(results)
    except DirtySource as dirty:
        write_stage(out, migrating.stopped(desk))
        told = str(dirty).replace(str(desk / "source.db"), str(source)).replace(str(desk), str(out))
        _write(_record(source, plan, schema, seconds, "fail", told), out)
        raise DirtySource(told) from dirty
    finally:
        shutil.rmtree(desk, ignore_errors=True)
    record = _record(source, plan, schema, seconds, verdict, reason)
    path = _write(record, out)
    found: tuple[Result, ...] = (_finding(record, path), *results, *_timings(seconds))
    return Stage(NAME, TITLE, time.perf_counter() - started, found, tables)


def _played(source: Path, desk: Path, plan: Plan, *, run: str, progress: Progress) -> tuple[float, tuple[Stage, Stage]]:
    """The seconds that the copy took, and both stages on it."""
    started = time.perf_counter()
    copy, target = desk / "source.db", desk / "target.db"
    take_backup(source, copy, progress=part(progress, 0.0, 0.2))
    copied = time.perf_counter() - started
    if migrating.plan_of(copy, on_dirty=plan.on_dirty).hash != plan.hash:
        raise CannotFinish(f"The schema of {source} was changed while it was copied: run the command again.")
    migrated = migrating.migrate(
        copy, target, desk, run=run, on_dirty=plan.on_dirty, shown=plan.hash, progress=part(progress, 0.2, 0.6)
    )
    return copied, (migrated, verifying.verify(copy, target, progress=part(progress, 0.6, 1.0)))


def _seconds(copied: float, migrated: Stage, verified: Stage) -> dict[str, float]:
    parts = {str(r["part"]): float(r["measured s"]) for r in migrated.tables[PLAN] if r["statements"] is not None}
    besides = {"copy of the source": copied, "migration": migrated.seconds, "verification": verified.seconds}
    return {name: round(value, 4) for name, value in {**besides, **parts}.items()}


def _reason(results: tuple[Result, ...]) -> str:
    bad = [r for r in results if isinstance(r, Finding) and r.severity != "note" and r.verdict not in _HELD]
    return bad[0].claim if bad else ""


_HELD = ("pass", "not applicable")


def _timings(seconds: Mapping[str, float]) -> list[Measurement]:
    return [Measurement(f"rehearsal: {name}", "s", (value,)) for name, value in seconds.items()]


def _record(
    source: Path, plan: Plan, schema: str, seconds: Mapping[str, float], verdict: Verdict, reason: str
) -> Record:
    return Record(
        source=str(source),
        plan=plan.hash,
        schema=schema,
        shape=plan.shape,
        on_dirty=plan.on_dirty,
        at=stamp(),
        seconds=seconds,
        verdict=verdict,
        reason=reason,
        rows=sum(plan.rows.values()),
        ptp=ptp.__version__,
        sqlite=sqlite3.sqlite_version,
    )


def _finding(record: Record, path: Path) -> Finding:
    return Finding(
        id="rehearsal.bound",
        claim="The plan ran on a full copy of the source, and the same plan can now run on the source",
        verdict=record.verdict,
        value=record.plan[:16],
        n=record.rows,
        where=(record.reason,) if record.reason else (),
        evidence=f"{path}: bound to plan {record.plan[:16]} and schema {record.schema[:16]}; the copy was removed",
    )


def place_of(plan: str, schema: str) -> Path:
    """Where the record of a rehearsal stands, by the hashes that it is bound to: in the folder of reports."""
    return load_settings().reports_dir / _FOLDER / f"{plan[:16]}-{schema[:16]}.json"


def _write(record: Record, out: Path) -> Path:
    """Write the record into the run folder, and where later commands look for it; the latter place."""
    document = {"version": VERSION, **asdict(record)}
    place = place_of(record.plan, record.schema)
    place.parent.mkdir(parents=True, exist_ok=True)
    for path in (out / RECORD, place):
        write_json(path, document)
    return place


def read_record(plan: str, schema: str) -> Record | None:
    """The last rehearsal of a plan on a schema; None where there is none, and a broken one is as good as none."""
    try:
        document = json.loads(place_of(plan, schema).read_text(encoding="utf-8"))
        if document.pop("version") != VERSION:
            return None
        record = Record(**{f.name: document[f.name] for f in fields(Record)})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return record if (record.plan, record.schema) == (plan, schema) else None
