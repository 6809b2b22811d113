"""The fourth stage: many users at once, on a copy of the target, each operation against its limit; then, what is left.

The load is made by processes of their own (`ptp.benchmark.load`), through the queries in process or the API over HTTP,
to a real server. It is believed only where the generator was not the bottleneck itself, and it passes only where every
acknowledged answer is there afterwards, once.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from ptp.benchmark.load import Planned, Records, Schedule, generate
from ptp.benchmark.load.verdicts import judge
from ptp.benchmark.load.worker import Open
from ptp.benchmark.selfcheck import check_stall
from ptp.engine import connect_file, open_engine
from ptp.errors import UsageError
from ptp.evidence import Run, Stage
from ptp.queries import NewAnswer, StudyQueries
from ptp.results import Finding
from ptp.settings import load_settings
from ptp.workbench import scratch
from ptp.workbench.benchmarking import check_benchmarkable
from ptp.workbench.identity import as_given, versions
from ptp.workbench.load_checks import check_answers, check_written, last_answer
from ptp.workbench.load_tables import samples_of, tables_of
from ptp.workbench.places import make_folder
from ptp.workbench.progress import Progress, part, quiet
from ptp.workbench.server_process import is_ready, serving
from ptp.workload.answer_log import acknowledged
from ptp.workload.clients import InProcess, OverHttp
from ptp.workload.limits import LIMITS_MS
from ptp.workload.scenarios import ANSWER, Cast, cast_of, write_share
from ptp.workload.users import PROFILES, LoadProfile, ProfileName

NAME = "04_load"
TITLE = "Load"
FOLDER = "load"
SCHEDULE = "schedule.npz"

DriverName: TypeAlias = Literal["http", "process"]

SECONDS = 60.0
LONGEST_S, MOST_USERS, MOST_RATE = 86_400.0, 100_000, 100_000.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """The load that is asked for; `users` and `rate` take the place of those of the profile."""

    profile: ProfileName = "medium"
    driver: DriverName = "http"
    seconds: float = SECONDS
    users: int | None = None
    rate: float | None = None
    seed: int = 1
    url: str | None = None
    workers: int = 1

    def check(self) -> None:
        """Raise UsageError for what cannot be made."""
        if not 1 <= self.seconds <= LONGEST_S:
            raise UsageError(f"A load of {self.seconds:g} s cannot be made: give 1 to {LONGEST_S:,.0f} seconds.")
        if self.users is not None and not 1 <= self.users <= MOST_USERS:
            raise UsageError(f"A load of {self.users} users cannot be made: give 1 to {MOST_USERS:,}.")
        if self.rate is not None and not 0 < self.rate <= MOST_RATE:
            raise UsageError(f"A load of {self.rate:g} requests/s cannot be made: give up to {MOST_RATE:,.0f}.")
        if self.url is not None and self.driver != "http":
            raise UsageError("--url is of a server, and goes with --driver http.")
        if self.url is not None and not is_ready(self.url):
            raise UsageError(f"{self.url} does not answer as ready: start it with ptp serve, or leave out --url.")

    @property
    def behaviour(self) -> LoadProfile:
        """The profile with what was asked for instead."""
        found = PROFILES[self.profile]
        found = found if self.users is None else found.of(self.users)
        return found if self.rate is None else found.at(self.rate)


@dataclass(frozen=True, slots=True)
class Ground:
    """What is loaded: the database in use, who the users are, and what has been sent to it, by the answers' keys.

    `last` is the newest answer before; `is_given` says that the server was there before.
    """

    database: Path
    folder: Path
    cast: Cast
    url: str | None
    last: int
    is_given: bool = False
    sent: dict[str, NewAnswer] = field(default_factory=dict)

    @property
    def inside(self) -> bool:
        """Whether the work is done in the processes of the generator."""
        return self.url is None

    def run(self, schedule: Schedule, *, most_in_flight: int | None = None, progress: Progress = quiet) -> Records:
        """Send a schedule, and remember which answers may come to be there."""
        cast = replace(self.cast, key=f"{self.cast.key}-{schedule.hash[:12]}")
        self.sent.update(sent_by(schedule, cast))
        progress(0.0, f"loading with {schedule.rate:,.0f} requests/s")
        return generate(
            schedule,
            self._opener(cast),
            most_in_flight=most_in_flight,
            told=lambda share: progress(share, f"loading with {schedule.rate:,.0f} requests/s"),
        )

    def _opener(self, cast: Cast) -> Open:
        if self.url is None:
            return partial(InProcess, self.database, cast, self.folder)
        return partial(OverHttp, self.url, cast, self.folder)


def load(
    target: Path,
    out: Path,
    *,
    profile: ProfileName = "medium",
    driver: DriverName = "http",
    users: int | None = None,
    seconds: float = SECONDS,
    rate: float | None = None,
    seed: int = 1,
    url: str | None = None,
    workers: int = 1,
    progress: Progress = quiet,
) -> Stage:
    """Load a copy of `target` in `out`, which is removed afterwards; the target is only read.

    With `url` the server there is loaded as it is; `target` is then the database that it serves.
    """
    wanted = Wanted(profile, driver, seconds, users, rate, seed, url, workers)
    return load_wanted(target, out, wanted, progress=progress)


def load_wanted(target: Path, out: Path, wanted: Wanted, *, progress: Progress = quiet) -> Stage:
    """The same, as it was asked for."""
    started = time.perf_counter()
    progress(0.0, "copying the target")
    with loadable(target, out, wanted) as database:
        with prepared(database, out, wanted) as ground:
            schedule = wanted.behaviour.schedule(wanted.seconds, seed=wanted.seed, scenarios=ground.cast.scenarios())
            schedule.write(ground.folder / SCHEDULE)
            records = ground.run(schedule, progress=part(progress, 0.1, 0.9))
        progress(0.92, "checking what the load left behind")
        findings = (
            check_stall(),
            *judge(records, limits=LIMITS_MS, inside=ground.inside),
            *left_behind(target, ground),
        )
    tables = tables_of(records, findings, facts_of(wanted, ground, schedule))
    progress(1.0, "loaded")
    return Stage(NAME, TITLE, time.perf_counter() - started, (*findings, *samples_of(records)), tables)


def check_loadable(target: Path) -> None:
    """Make sure that `target` is a database that ptp built and that takes keys of answers; raises UsageError."""
    check_benchmarkable(target)
    with connect_file(target, read_only=True) as db:
        columns = {row[1] for row in db.execute("PRAGMA table_info(user_answers)")}
    if "request_key" not in columns:
        raise UsageError(
            f"{target} has no column for the keys of answers: bring it up first: ptp step --target {target}."
        )


@contextmanager
def loadable(target: Path, out: Path, wanted: Wanted) -> Iterator[Path]:
    """The database that takes the load: a copy of the target, or the target itself where its server is given."""
    wanted.check()
    check_loadable(target)
    make_folder(out / FOLDER)
    for old in (out / FOLDER).glob("answers-*.jsonl"):
        old.unlink()
    with ExitStack() as stack:
        yield target if wanted.url else stack.enter_context(scratch.copied(target, out))


@contextmanager
def prepared(database: Path, out: Path, wanted: Wanted) -> Iterator[Ground]:
    """Users drawn from the database, and a server on it where there is to be one and none is given."""
    engine = open_engine(database, read_only=True, settings=load_settings())
    try:
        cast = cast_of(engine, users=wanted.behaviour.users, seed=wanted.seed, key=f"load-{secrets.token_hex(4)}")
    finally:
        engine.dispose()
    with connect_file(database, read_only=True) as db:
        last = last_answer(db)
    with ExitStack() as stack:
        url = wanted.url
        if wanted.driver == "http" and url is None:
            url = stack.enter_context(serving(database, workers=wanted.workers)).url
        yield Ground(database, out / FOLDER, cast, url, last, is_given=wanted.url is not None)


def left_behind(target: Path, ground: Ground) -> tuple[Finding, ...]:
    """The findings on what a load left behind; of a server that was given, only on the answers: others use it too."""
    told = acknowledged(ground.folder)
    if not ground.is_given:
        end_sessions(ground)
        return tuple(check_written(target, ground.database, sent=ground.sent, told=told))
    with connect_file(ground.database, read_only=True) as db:
        return check_answers(db, sent=ground.sent, told=told, after=ground.last, ours=ground.cast.key)


def end_sessions(ground: Ground) -> None:
    """Count each session that was answered in once more, as the application does when it ends."""
    sessions = {one.study_session_id for one in ground.sent.values()} - {None}
    engine = open_engine(ground.database, settings=load_settings())
    try:
        study = StudyQueries(engine)
        for session in sessions:
            study.session_progress(session_id=session or 0)
    finally:
        engine.dispose()


def sent_by(schedule: Schedule, cast: Cast) -> dict[str, NewAnswer]:
    """The answers in a schedule, by key."""
    if ANSWER not in schedule.operations:
        return {}
    numbers = np.flatnonzero(schedule.operation == schedule.operations.index(ANSWER)).tolist()
    actors = schedule.actor.tolist()
    return {cast.key_of(n): cast.answer(Planned(n, ANSWER, actors[n])) for n in numbers}


def run_of(target: Path, folder: Path, wanted: Wanted, *, started: datetime, seconds: float) -> Run:
    """What was loaded, as the run folder tells it."""
    return Run(
        id=folder.name,
        source="",
        target=as_given(target),
        profile=wanted.profile,
        env="dev",
        started=started.astimezone(UTC).isoformat(timespec="seconds"),
        seconds=round(seconds, 1),
        versions=versions(),
    )


def facts_of(wanted: Wanted, ground: Ground, schedule: Schedule) -> dict[str, Any]:
    """What was asked for, as the first table tells it."""
    behaviour = wanted.behaviour
    return {
        "profile": wanted.profile,
        "driver": wanted.driver,
        "users": behaviour.users,
        "think_s": behaviour.think.mean,
        "rate_declared": behaviour.rate,
        "rate_scheduled": schedule.rate,
        "seconds": wanted.seconds,
        "writes": write_share(ground.cast.scenarios()),
        "seed": wanted.seed,
        "schedule": schedule.hash,
    }
