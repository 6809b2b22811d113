"""An online migration from end to end, and the way back: the source keeps serving until the moment of the cut over."""

from __future__ import annotations

import os
import socket
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from ptp.engine import connect_file, errors_named, read_inventory
from ptp.engine.files import read_only_uri
from ptp.engine.moves import Move
from ptp.migration.build import partial_of, remove_partial
from ptp.migration.capture import without_capture
from ptp.migration.cutover import frozen
from ptp.migration.detect import detect_shape
from ptp.migration.live import (
    NextDatabase,
    Pace,
    begin_capture,
    catch_up,
    check_schema_version,
    end_capture,
    relieve,
)
from ptp.migration.online import OnlinePlan, make_online_plan
from ptp.migration.plan import make_plan
from ptp.migration.steps import load_steps
from ptp.resources import folder
from ptp.schema.shapes import known_shapes
from ptp.workbench.progress import Progress, part, quiet

HEAD = "head"


@dataclass(frozen=True, slots=True)
class Cut:
    """How a cut over went: the seconds in which nobody could write, keys replayed in them, and seconds by phase."""

    pause: float
    keys: int
    phases: dict[str, float]


def plan_online(source: Path, target: Path) -> OnlinePlan:
    """Plan an online migration of `source` to `target`."""
    with errors_named(source), connect_file(source, read_only=True) as db:
        inventory = without_capture(read_inventory(db))
        shape = detect_shape(inventory, known_shapes())
        plan = make_plan(db, inventory=inventory, shape=shape, steps=load_steps(folder("sql")), on_dirty="stop")
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as scratch:
        for statement in plan.statements:
            if statement.kind in ("table", "index", "derive"):
                scratch.execute(statement.sql)
        head = read_inventory(scratch)
    places = (str(source.absolute()), str(target.absolute()))
    return make_online_plan(plan, source=inventory, target=head, places=places)


def owner() -> str:
    """Who migrates: host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def migrate_online(source: Path, target: Path, *, run: str, pace: Pace = Pace(), progress: Progress = quiet) -> Cut:
    plan = plan_online(source, target)
    phases: dict[str, float] = {}
    clock = _Clock(phases)
    me = owner()
    move = Move("open", plan.base.shape, str(target.absolute()), "capture", run, plan.hash, me, time.time())
    version = begin_capture(source, plan, move)
    clock.lap("capture")
    partial = partial_of(target)
    until = time.monotonic() + pace.patience
    try:
        with connect_file(source) as live, errors_named(target):
            remove_partial(target)

            def between() -> None:
                relieve(live)

            db = NextDatabase(partial, plan, {"source": read_only_uri(source), "run": run, "now": int(time.time())})
            with closing(db):
                db.prepare()
                db.copy(pace, between=between, progress=part(progress, 0.0, 0.4))
                clock.lap("copy")
                catch_up(db, replace(pace, pause=10.0), between=between, until=until)
                db.finish(part(progress, 0.4, 0.7))
                clock.lap("index")
                catch_up(db, pace, between=between, until=until)
                after = Move("next", HEAD, str(source.absolute()), "cut over", run, plan.hash, me, time.time())
                db.arm(after, target)
                catch_up(db, pace, between=between, until=until)
                clock.lap("catch up")
                pause = _cut_over(db, live, move, pace, version)
                clock.lap("cut over")
        return Cut(pause, db.keys, phases)
    except BaseException:
        raise


def _cut_over(db: NextDatabase, live: sqlite3.Connection, move: Move, pace: Pace, version: int) -> float:
    def check() -> None:
        check_schema_version(live, version)

    with frozen(live, owner=move.owner, deadline=pace.deadline, check=check) as ice:
        db.db.execute("PRAGMA main.synchronous = FULL")
        with db.snapshot():
            db.replay()
            db.complete(seconds=0.0)
        ice.move()
        # A power failure may undo this, and does no harm: whoever comes next opens what its predecessor was left for.
        db.open()
        return time.monotonic() - ice.started


class _Clock:
    def __init__(self, phases: dict[str, float]) -> None:
        self._phases, self._last = phases, time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self._phases[name] = self._phases.get(name, 0.0) + now - self._last
        self._last = now
