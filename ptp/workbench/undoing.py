"""The ways out of an online migration: roll it back in any phase, resume an interrupted one, settle one for good."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ptp.engine import check_database, connect_file, errors_named, locks, moves, quoted, read_inventory
from ptp.engine.files import read_only_uri
from ptp.errors import CannotFinish, GateFailed, UsageError
from ptp.evidence import Stage
from ptp.migration import quarantine
from ptp.migration.capture import LOG, release_sql, without_capture
from ptp.migration.cutover import frozen
from ptp.migration.fence import is_fenced
from ptp.migration.live import Pace
from ptp.migration.online import OnlinePlan
from ptp.migration.plan import OnDirty
from ptp.migration.reverse import Back, backs, marks_sql, write_back
from ptp.migration.watching import end_capture, take_fence_down
from ptp.results import Finding, Result
from ptp.verification.content import Pair
from ptp.verification.kept import Kept
from ptp.verification.keyed import compare_keys
from ptp.verification.parallel import Files
from ptp.verification.rows import fetch_exactly
from ptp.workbench.alone import held_target
from ptp.workbench.online import migrate_online, plan_online, tidy
from ptp.workbench.progress import Progress, quiet
from ptp.workbench.sides import open_sides
from ptp.workbench.situation import Situation, look, owner, thaw
from ptp.workbench.way_back import obstacles, refuse_obstacles

NAME = "rollback"
TITLE = "Rollback"
_BATCH = 2_000
DEADLINE_S = 60.0
"""How long a rollback may keep everyone from writing before anyone may lift its freeze, in seconds."""


@dataclass(frozen=True, slots=True)
class WayBack:
    """What a rollback would do: the situation in words, the keys that were written since, and what has no place."""

    words: str
    keys: int
    without_place: tuple[str, ...]


def look_back(source: Path) -> WayBack:
    """Say what a rollback of `source` would do; change nothing. Raises UsageError where there is nothing to undo."""
    situation = _begun(source)
    locks.check_free(source)
    if situation.is_rolled_back or (situation.here and situation.here.state in ("open", "freezing")):
        return WayBack(situation.words, 0, ())
    with errors_named(situation.target), connect_file(situation.target, read_only=True) as db:
        (keys,) = db.execute(f"SELECT count(*) FROM (SELECT DISTINCT * FROM {LOG})").fetchone()
        if _has_fence(source):
            words = f"{situation.words} Its fence comes down first; what has no place in it is looked for after that."
            return WayBack(words, keys, ())
        return WayBack(situation.words, keys, tuple(obstacles(db, plan_online(source, situation.target))))


def _has_fence(source: Path) -> bool:
    with errors_named(source), connect_file(source, read_only=True) as db:
        return is_fenced(read_inventory(db))


def roll_back(
    source: Path, *, deadline: float = DEADLINE_S, without_target: bool = False, progress: Progress = quiet
) -> Stage:
    """Take an online migration of `source` back, in whatever phase it is.

    Before the cut over that is its capture and its target. After it, what was written to the target since goes back
    into the source, and the target sends its clients there. Where the target is lost, the source can be opened
    `without_target`, as it was at the cut over. Raises UsageError where there is nothing to undo or no way back,
    and CannotFinish, with nothing changed, where the old shape cannot hold what was written.
    """
    started = time.perf_counter()
    _begun(source, without_target=without_target)
    with _held(source, look(source).target, doing="a rollback"):
        situation = _begun(source, without_target=without_target)
        thaw(situation)
        take_fence_down(source)
        situation = _begun(source, without_target=without_target)
        assert situation.here is not None
        if without_target or situation.is_rolled_back:
            end_capture(source)
            results: Sequence[Result] = (_undone(situation),)
        elif situation.here.state == "open":
            tidy(source, situation.target)
            results = (_undone(situation),)
        else:
            results = tuple(_take_back(situation, deadline, progress))
    return Stage(NAME, TITLE, time.perf_counter() - started, tuple(results))


def resume(source: Path, out: Path, *, run: str, pace: Pace | None = None, progress: Progress = quiet) -> Stage:
    """Finish an online migration that was interrupted: from its beginning before the cut over, else where it stood.

    One that a rollback had taken back already stays so, and the rollback is finished.
    """
    check_resumable(source)
    with _held(source, look(source).target, doing="a resumed migration"):
        thaw(check_resumable(source))
        situation = check_resumable(source)
        if situation.has_moved:
            return _opened(situation)
        if situation.is_rolled_back:
            end_capture(source)
            return Stage(NAME, TITLE, 0.0, (_undone(situation),))
        if situation.here and situation.here.state == "next":
            return _kept_on(situation)
        on_dirty, fence_reads = _wishes(situation)
        tidy(source, situation.target)
    return migrate_online(
        source,
        situation.target,
        out,
        run=run,
        on_dirty=on_dirty,
        fence_reads=fence_reads,
        pace=pace,
        progress=progress,
    )


def _wishes(situation: Situation) -> tuple[OnDirty, bool]:
    """What the interrupted migration was told of dirty values and of readers: that of which its plan is the plan."""
    assert situation.here is not None
    policies: tuple[OnDirty, ...] = ("stop", "quarantine")
    for on_dirty in policies:
        for fence_reads in (False, True):
            plan = plan_online(situation.source, situation.target, on_dirty=on_dirty, fence_reads=fence_reads)
            if plan.hash == situation.here.plan:
                return on_dirty, fence_reads
    return "stop", False


@contextmanager
def _held(source: Path, target: Path, *, doing: str) -> Iterator[None]:
    with locks.held(source, doing=doing), held_target(target, doing=doing):
        yield


def target_of(source: Path) -> Path:
    """The database that a source has moved to."""
    return look(source).target


def check_resumable(source: Path) -> Situation:
    """The situation of a source whose migration was begun; raises UsageError where there is nothing to resume."""
    check_database(source)
    situation = look(source)
    if situation.here is None:
        raise UsageError(
            f"No online migration of {source} was begun, or it was undone: there is nothing to resume. To begin one: "
            f"ptp migrate --online --source {source} --target NEW."
        )
    if situation.here.state == "next" and situation.there is None:
        raise UsageError(situation.cut_off)
    return situation


def settle(source: Path) -> Stage:
    """End a migration for good: the target's capture goes, and with it the way back. The source stays closed."""
    check_database(source)
    with locks.held(source, doing="a settlement"):
        situation = look(source)
        if not situation.has_moved or situation.there is None or situation.there.state != "open":
            raise UsageError(f"{situation.words or f'No online migration of {source} was begun.'} Nothing to settle.")
        target = situation.target
        with errors_named(target), connect_file(target) as db, moves.writing(db):
            for sql in release_sql(read_inventory(db)):
                db.execute(sql)
    claim = f"{source.name} was left for {target.name}, whose capture is gone: there is no way back any more"
    return Stage("settle", "Settlement", 0.0, (Finding("settle", claim, "pass"),))


def _begun(source: Path, *, without_target: bool = False) -> Situation:
    """The situation of a source whose migration can be undone; raises UsageError where it cannot."""
    check_database(source)
    situation = look(source)
    if situation.here is None:
        raise UsageError(f"No online migration of {source} was begun, or it was rolled back: there is nothing to undo.")
    is_cut_off = situation.here.state in ("moved", "next") and situation.there is None
    if without_target and (not is_cut_off or situation.target.is_file()):
        raise UsageError(
            f"{situation.words} So --without-target would leave two databases to write to, or lose what was written "
            "since: it is for a target that is no longer there."
        )
    if is_cut_off and not without_target:
        raise UsageError(situation.cut_off)
    return situation


def _opened(situation: Situation) -> Stage:
    if not moves.open_next(situation.target):
        raise CannotFinish(f"{situation.words} It could not be opened.")
    claim = f"{situation.source.name} has moved to {situation.target.name}, which is open"
    return Stage("01_migrate", "Migration", 0.0, (Finding("migrate.opened", claim, "pass", severity="data"),))


def _kept_on(situation: Situation) -> Stage:
    """A rollback was interrupted before its commit point: the target is in use, and stays so."""
    with errors_named(situation.source), connect_file(situation.source) as db, moves.writing(db):
        moves.change_move(db, expected="next", state="moved", phase="settle", at=time.time())
    claim = f"The interrupted rollback is given up: {situation.target.name} is in use, and can be rolled back still"
    return Stage("01_migrate", "Migration", 0.0, (Finding("migrate.kept-on", claim, "pass", severity="data"),))


def _undone(situation: Situation) -> Finding:
    return Finding(
        id="rollback.undone",
        claim=f"{situation.source.name} is in use and holds nothing of the migration any more",
        verdict="pass",
        severity="data",
        evidence=situation.words,
    )


def _take_back(situation: Situation, deadline: float, progress: Progress) -> Iterator[Result]:
    plan = plan_online(situation.source, situation.target)
    moves.open_next(situation.target)
    with errors_named(situation.target), connect_file(situation.target) as live:
        refuse_obstacles(live, plan, situation)
        with frozen(
            live, owner=owner(), deadline=deadline, check=lambda: refuse_obstacles(live, plan, situation)
        ) as ice:
            keys = _write_back(situation, plan, progress)
            ice.move(phase="rollback")
            end_capture(situation.source)
            pause = time.monotonic() - ice.started
    progress(1.0, "rolled back")
    yield Finding(
        id="rollback.written-back",
        claim=f"What was written to {situation.target.name} since the cut over is in {situation.source.name}",
        verdict="pass",
        severity="data",
        value=keys,
        unit="keys",
        n=keys,
        evidence="replay of the target's log, column by column; every row concerned was compared on both sides; "
        f"nobody could write for {pause:.2f} s",
    )


def _write_back(situation: Situation, plan: OnlinePlan, progress: Progress) -> int:
    """One transaction in the source: its triggers off, what was written since in, its triggers back, and the state.

    Then every row concerned is compared on both sides; raises GateFailed, before the commit point, where one differs.
    """
    with errors_named(situation.source), connect_file(situation.source) as db:
        source = without_capture(read_inventory(db))
        found: list[Back] = backs(plan.base.pairs, plan.base.extras, source)
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute("PRAGMA temp_store = FILE")
        db.execute("ATTACH ? AS target", (read_only_uri(situation.target),))
        progress(0.1, "writing back")
        with moves.writing(db):
            triggers = [o for o in read_inventory(db).objects.values() if o.kind == "trigger"]
            for trigger in triggers:
                db.execute(f"DROP TRIGGER main.{quoted(trigger.name)}")
            keys = write_back(db, found)
            for sql in marks_sql(plan.base.pairs, plan.base.extras, source):
                db.execute(sql)
            for trigger in triggers:
                db.execute(trigger.sql)
            moves.change_move(db, expected="moved", state="next", phase="rollback", at=time.time())
        progress(0.6, "comparing")
        _compare(db, situation, found)
        return keys


def _compare(db: sqlite3.Connection, situation: Situation, found: Sequence[Back]) -> None:
    files = Files(situation.source, situation.target, quarantine.TABLE)
    with (
        connect_file(situation.source, read_only=True) as old,
        connect_file(situation.target, read_only=True) as new,
    ):
        sides = open_sides(old, new, files)
        kept = Kept(new, quarantine.TABLE, sides.target.tables)
        for back in found:
            (count,) = db.execute(f"SELECT count(*) FROM {back.keys}").fetchone()
            for start in range(1, count + 1, _BATCH):
                batch = fetch_exactly(db, back.named, (start, start + _BATCH - 1))
                pair = Pair(old, new, old, new)
                tally = compare_keys(pair, sides.pairings[back.target], keys=batch, kept=kept)
                if tally.differences:
                    raise GateFailed(
                        f"After writing back, {situation.source.name} is not what {situation.target.name} says "
                        f"({tally.places[0]}). Nothing was rolled back; {situation.target.name} is in use."
                    )
