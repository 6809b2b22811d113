"""An online migration from end to end: the source keeps serving until the moment of the cut over."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ptp.engine import check_database, connect_file, errors_named, locks, moves, read_inventory
from ptp.engine.files import read_only_uri
from ptp.engine.moves import Move
from ptp.errors import DirtySource
from ptp.evidence import Stage, write_stage
from ptp.migration.backup import take_backup
from ptp.migration.build import partial_of, remove_partial, sync
from ptp.migration.capture import without_capture
from ptp.migration.cutover import frozen
from ptp.migration.fence import fence_settings
from ptp.migration.live import NextDatabase, Pace, catch_up
from ptp.migration.online import OnlinePlan, make_online_plan
from ptp.migration.plan import OnDirty, Plan
from ptp.migration.preflight import inspect_source
from ptp.migration.watching import begin_capture, check_schema_version, check_wal, end_capture, relieve
from ptp.results import Finding, Measurement, Result
from ptp.workbench import migrating
from ptp.workbench.alone import held_target
from ptp.workbench.forecasting import PLAN, estimates, here, look_ahead, online_rows
from ptp.workbench.online_checks import LiveCheck
from ptp.workbench.preflighting import KNOWN, baseline, notes
from ptp.workbench.progress import Progress, part, quiet
from ptp.workbench.situation import look, owner

HEAD = "head"


@dataclass(frozen=True, slots=True)
class Moving:
    """One online migration: both databases, the run that it belongs to, its plan and its pace."""

    source: Path
    target: Path
    run: str
    plan: OnlinePlan
    pace: Pace


@dataclass(frozen=True, slots=True)
class Cut:
    """How a cut over went: the seconds in which nobody could write, and how many keys were replayed in them."""

    pause: float
    keys: int


def plan_online(source: Path, target: Path, *, on_dirty: OnDirty = "stop", fence_reads: bool = False) -> OnlinePlan:
    """Plan an online migration of `source` to `target`; raises UsageError where it cannot be migrated at all."""
    plan = migrating.plan_of(source, on_dirty=on_dirty)
    with errors_named(source), connect_file(source, read_only=True) as db:
        inventory = without_capture(read_inventory(db))
    with closing(build_empty(plan)) as scratch:
        head = read_inventory(scratch)
    places = (str(source.absolute()), str(target.absolute()))
    return make_online_plan(plan, source=inventory, target=head, places=places, fence_reads=fence_reads)


def build_empty(plan: Plan) -> sqlite3.Connection:
    """A database in memory, to be closed, with all that a plan builds and no row."""
    scratch = sqlite3.connect(":memory:", isolation_level=None)
    for statement in plan.statements:
        if statement.kind in ("table", "index", "derive"):
            scratch.execute(statement.sql)
    return scratch


def check_movable(
    source: Path, target: Path, *, out: Path, on_dirty: OnDirty = "stop", fence_reads: bool = False
) -> OnlinePlan:
    """The plan of an online migration that nothing known beforehand speaks against; raises UsageError otherwise."""
    check_database(source)
    look(source).refuse_if_begun()
    plan = plan_online(source, target, on_dirty=on_dirty, fence_reads=fence_reads)
    migrating.check_target(target, out=out)
    check_wal(source)
    return plan


def migrate_online(
    source: Path,
    target: Path,
    out: Path,
    *,
    run: str,
    on_dirty: OnDirty = "stop",
    fence_reads: bool = False,
    pace: Pace | None = None,
    progress: Progress = quiet,
) -> Stage:
    """Build `target` beside the living `source`, let it follow, and cut over; plan and backup go to `out`.

    What is raised before the commit point leaves the source as it was, without capture, and no target.
    Raises UsageError where a migration of this source was begun before and is not at its end.
    """
    started = time.perf_counter()
    check_database(source)
    # Before the lock is ours, which would look like another's.
    noted = notes(source, target, backup=out / migrating.BACKUP, online=True)
    with locks.held(source, doing="an online migration"), held_target(target, doing="an online migration"):
        plan = check_movable(source, target, out=out, on_dirty=on_dirty, fence_reads=fence_reads)
        moving = Moving(source, target, run, plan, pace or Pace())
        (out / "plan.sql").write_text(f"-- plan {moving.plan.hash}\n{moving.plan.text}", encoding="utf-8")
        outlook = look_ahead(plan.base, source)
        known, broken = baseline(source)
        results: list[Result] = [*noted, known]
        results += _before(moving, out, part(progress, 0.0, 0.3))
        results += _captured(moving, part(progress, 0.3, 1.0))
    results += estimates(outlook)
    tables = {PLAN: online_rows(outlook, results), **({KNOWN: broken} if broken else {})}
    return Stage(migrating.NAME, migrating.TITLE, time.perf_counter() - started, tuple(results), tables)


def _before(moving: Moving, out: Path, progress: Progress) -> Iterator[Result]:
    """Look at the source, and back it up, while it is written to."""
    seen = inspect_source(moving.source, moving.plan.base.pairs, progress=part(progress, 0.0, 0.4))
    policy = moving.plan.base.on_dirty
    clean = migrating.clean_finding(seen, policy)
    if seen.rejected_rows if policy == "quarantine" else not seen.is_clean:
        write_stage(out, Stage(migrating.NAME, migrating.TITLE, 0.0, (clean,), {}))
        raise DirtySource(migrating.dirty_sentence(moving.source, seen, out))
    yield clean
    (out / migrating.BACKUP).parent.mkdir(exist_ok=True)
    yield migrating.backup_finding(
        take_backup(moving.source, out / migrating.BACKUP, record=True, progress=part(progress, 0.4, 1.0))
    )


def _captured(moving: Moving, progress: Progress) -> Iterator[Result]:
    """From the capture to the cut over; undone as a whole where anything is raised before the commit point."""
    clock = _Clock()
    with _undone(moving):
        version = begin_capture(moving.source, moving.plan, _entry(moving))
        yield clock.lap("capture")
        with connect_file(moving.source) as live, errors_named(moving.target), closing(_next(moving)) as db:
            db.prepare()
            _enter_phase(live, "build")
            until = time.monotonic() + moving.pace.patience

            def between() -> None:
                relieve(live)

            db.copy(moving.pace, between=between, progress=part(progress, 0.0, 0.35))
            yield clock.lap("copy")
            catch_up(db, moving.pace, between=between, until=until, once=True)
            db.finish(part(progress, 0.35, 0.6))
            yield clock.lap("index")
            _enter_phase(live, "catch up")
            catch_up(db, moving.pace, between=between, until=until)
            yield clock.lap("catch up")
            _enter_phase(live, "verify")
            check = LiveCheck(db, moving.plan, moving.source)
            check.whole(between=between, progress=part(progress, 0.6, 0.95))
            check.references()
            yield clock.lap("verify")
            db.arm(_successor(moving), moving.target)
            _enter_phase(live, "cut over")
            until = time.monotonic() + moving.pace.patience
            check.again(between=between, pause=moving.pace.pause, until=until)
            cut = _cut_over(db, live, moving, check, _Terms(version, clock.seconds))
            yield clock.lap("cut over")
            yield check.finding()
    progress(1.0, "moved")
    yield _paused(cut, moving.pace)
    yield migrating.plan_finding(
        moving.plan.hash, statements=moving.plan.size, through=f"sqlite3, SQLite {sqlite3.sqlite_version}"
    )


@contextmanager
def _undone(moving: Moving) -> Iterator[None]:
    """Take the capture out, and the target away, where the migration does not come to its commit point."""
    try:
        yield
    except BaseException:
        if not look(moving.source).has_moved:
            tidy(moving.source, moving.target)
        raise


def tidy(source: Path, target: Path) -> None:
    """Remove what a migration that was not completed left: its target, which nobody could write to, and its capture.

    The capture goes last, and when the rest is gone from the disk: as long as it stands, the next command knows of it.
    """
    remove_partial(target)
    if _is_unopened(target, source):
        for suffix in ("", "-wal", "-shm"):
            target.with_name(target.name + suffix).unlink(missing_ok=True)
    if target.parent.is_dir():
        sync(target.parent)
    end_capture(source)


def _is_unopened(target: Path, source: Path) -> bool:
    """Whether nothing but what this source's migration left stands there: a target not open yet, or a log without it.

    There was neither when it began.
    """
    if not target.exists():
        return True
    with errors_named(target), connect_file(target, read_only=True) as db:
        found = moves.read_move(db)
    return found is not None and found.state == "next" and Path(found.other) == source.absolute()


def _next(moving: Moving) -> NextDatabase:
    remove_partial(moving.target)
    bound: dict[str, str | int] = {"source": read_only_uri(moving.source), "run": moving.run, "now": int(time.time())}
    return NextDatabase(partial_of(moving.target), moving.plan, bound)


def _entry(moving: Moving) -> Move:
    shape = moving.plan.base.shape
    other = str(moving.target.absolute())
    return Move("open", shape, other, "capture", moving.run, moving.plan.hash, owner(), time.time())


def _successor(moving: Moving) -> Move:
    other = str(moving.source.absolute())
    return Move("next", HEAD, other, "cut over", moving.run, moving.plan.hash, owner(), time.time())


def _enter_phase(live: sqlite3.Connection, phase: str) -> None:
    with moves.writing(live):
        moves.change_move(live, expected="open", phase=phase, at=time.time())


@dataclass(frozen=True, slots=True)
class _Terms:
    """What a cut over is bound to, the source's schema version, and the seconds that led up to it."""

    version: int
    seconds: float


def _cut_over(db: NextDatabase, live: sqlite3.Connection, moving: Moving, check: LiveCheck, terms: _Terms) -> Cut:
    def unchanged() -> None:
        check_schema_version(live, terms.version)

    for sql in fence_settings() if moving.plan.fence else ():
        live.execute(sql)
    with frozen(live, owner=owner(), deadline=moving.pace.deadline, check=unchanged) as ice:
        with db.snapshot(durable=True):
            keys = db.replay()
            db.complete(seconds=terms.seconds)
        with check.readers() as (old, new):
            check.last(old, new)
        ice.move(also=moving.plan.fence)
        # A power failure may undo this, and does no harm: whoever comes next opens what its predecessor was left for.
        db.open()
        return Cut(time.monotonic() - ice.started, keys)


def _paused(cut: Cut, pace: Pace) -> Finding:
    return Finding(
        id="migrate.pause",
        claim="Nobody had to wait for the cut over longer than was stated",
        verdict="pass" if cut.pause <= pace.pause else "fail",
        value=round(cut.pause * 1e3, 2),
        unit="ms",
        limit=pace.pause * 1e3,
        n=cut.keys,
        evidence=f"from the freeze of the source to the opening of the target, {cut.keys} keys replayed in it",
    )


class _Clock:
    def __init__(self) -> None:
        self._first = self._last = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._first

    def lap(self, name: str) -> Measurement:
        now = time.perf_counter()
        took, self._last = now - self._last, now
        return Measurement(f"online: {name}", "s", (took,), here())
