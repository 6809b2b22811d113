"""What a load runs on: a copy of the target, users drawn from it, the server on it, and what was sent there."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from ptp.benchmark.load import Planned, Records, Schedule, generate
from ptp.benchmark.load.worker import Open
from ptp.engine import connect_file, open_engine
from ptp.errors import UsageError
from ptp.queries import NewAnswer, StudyQueries
from ptp.results import Finding
from ptp.settings import load_settings
from ptp.workbench import scratch
from ptp.workbench.benchmarking import check_benchmarkable
from ptp.workbench.load_checks import check_answers, check_written, last_answer
from ptp.workbench.load_scrape import Workers
from ptp.workbench.load_wanted import Wanted
from ptp.workbench.load_watch import NotedInProcess, Reading, Seen, forget_notes, log_of, noted, watching
from ptp.workbench.places import make_folder
from ptp.workbench.progress import Progress, quiet
from ptp.workbench.server_process import serving
from ptp.workload.answer_log import acknowledged
from ptp.workload.clients import OverHttp
from ptp.workload.draws import draw
from ptp.workload.scenarios import ANSWER, Cast, cast_of

FOLDER = "load"
_READ_AT_ONCE = 4  # of so many workers, one after the other, each second


@dataclass(frozen=True, slots=True)
class Ground:
    """What is loaded: the database in use, who the users are, and what has been sent to it, by the answers' keys.

    `last` is the newest answer before; `is_given` says that the server was there before, `workers` how many processes
    it is known to have, and `counted` what they told. `seen` is what was told during each load, by its schedule's hash.
    """

    database: Path
    folder: Path
    cast: Cast
    url: str | None
    last: int
    is_given: bool = False
    workers: int = 1
    sent: dict[str, NewAnswer] = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)
    counted: Workers | None = None

    @property
    def inside(self) -> bool:
        """Whether the work is done in the processes of the generator."""
        return self.url is None

    def run(self, schedule: Schedule, *, most_in_flight: int | None = None, progress: Progress = quiet) -> Records:
        """Send a schedule, watch the service meanwhile, and remember which answers may come to be there."""
        cast = replace(self.cast, key=f"{self.cast.key}-{schedule.hash[:12]}")
        self.sent.update(sent_by(schedule, cast))
        seen = self.seen[schedule.hash] = Seen()
        forget_notes(self.folder)

        def told(share: float) -> None:
            seen.note(share, schedule.seconds)
            progress(share, f"loading with {schedule.rate:,.0f} requests/s")

        told(0.0)
        with watching(seen, self._read):
            records = generate(schedule, self._opener(cast), most_in_flight=most_in_flight, told=told)
        seen.readings.extend(noted(self.folder))
        return records

    def _opener(self, cast: Cast) -> Open:
        if self.url is None:
            return partial(NotedInProcess, self.database, cast, self.folder)
        return partial(OverHttp, self.url, cast, self.folder)

    def _read(self) -> Iterable[Reading]:
        if self.counted is None:
            return [log_of(self.database)]
        return [r for _ in range(min(self.workers, _READ_AT_ONCE)) for r in self.counted.read()]


def check_loadable(target: Path) -> None:
    """Make sure that `target` is a database that ptp built and that takes keys of answers; raises UsageError."""
    check_benchmarkable(target)
    with connect_file(target, read_only=True) as db:
        columns = {row[1] for row in db.execute("PRAGMA table_info(user_answers)")}
    if "request_key" not in columns:
        raise UsageError(
            f"{target} has no column for the keys of answers: bring it up first: ptp step --target {target}."
        )


def has_users(target: Path, *, seed: int) -> bool:
    """Whether a database holds anybody to draw users from; where it does not, there is nothing to be loaded."""
    engine = open_engine(target, read_only=True, settings=load_settings())
    try:
        return bool(draw(engine, count=1, seed=seed))
    finally:
        engine.dispose()


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
        counted = Workers(url, fresh=wanted.url is None) if url else None
        if counted and wanted.url:
            counted.read_all(wanted.workers)
        yield Ground(
            database,
            out / FOLDER,
            cast,
            url,
            last,
            is_given=wanted.url is not None,
            workers=wanted.workers,
            counted=counted,
        )


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
