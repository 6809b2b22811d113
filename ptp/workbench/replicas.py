"""`ptp replica`: make, pull, look at, compare with the primary, and make anew a local read-only replica.

How far behind a replica is, is the age of what it shows: seconds since the start of the last pull that came to its end.
Nothing is written to measure it, and no other machine's clock is asked. The primary is asked whether it has anything
new; where it has not, the replica is 0 s behind, whatever its age.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr

from ptp.engine.replicas import (
    Entry,
    Patience,
    Replica,
    Unreachable,
    create_replica,
    freshness_of,
    is_replica,
    open_replica,
    read_notes,
    read_schema,
    rebuild_replica,
)
from ptp.errors import UsageError
from ptp.evidence import Stage
from ptp.results import Finding
from ptp.workbench.progress import Progress, quiet
from ptp.workbench.replica_checks import TRIES, compared, fresh, helpers, pages, reader, undecided

NAME, TITLE = "replica", "Replica"
LIMIT_S = 10.0
"""As far behind as a replica may be, where nothing else is asked for: the limit of the alert rule too."""


@dataclass(frozen=True, slots=True)
class Place:
    """Which replica of what: `remote` is empty for the one that the replica was made of."""

    path: Path
    remote: str = ""
    token: SecretStr | None = None
    patience: Patience | None = None

    def known_remote(self) -> str:
        """The remote, as given or as noted; raises UsageError where neither says one."""
        if self.remote:
            return self.remote
        if (notes := read_notes(self.path)) is None:
            what = "does not say of which remote it is" if is_replica(self.path) else "is not there, or is none"
            raise UsageError(f"The replica {self.path} {what}: give --remote URL, or make it with ptp replica create.")
        return notes.remote


@dataclass(frozen=True, slots=True)
class Line:
    """One pull of many: when (UTC), whether there was anything new, seconds, attempts, and the problem if it failed."""

    at: str
    changed: bool
    seconds: float
    attempts: int
    age_s: float | None
    problem: str = ""


def create(place: Place) -> Stage:
    """Make a new replica of all that the remote has."""
    return _made(lambda: create_replica(place.path, place.known_remote(), token=place.token, patience=place.patience))


def rebuild(place: Place) -> Stage:
    """Make a replica anew; the old one is kept until the new one is there."""
    return _made(lambda: rebuild_replica(place.path, place.known_remote(), token=place.token, patience=place.patience))


def _made(make: Callable[[], Replica]) -> Stage:
    started = time.perf_counter()
    with make() as replica:
        entries = read_schema(reader(replica))
        size = replica.path.stat().st_size + _size(replica.path.with_name(replica.path.name + "-wal"))
        rows = [{"replica": str(replica.path), "remote": replica.notes.remote, "bytes": size, **_counted(entries)}]
    took = time.perf_counter() - started
    finding = Finding(
        id="replica.made",
        claim="All that the remote has was fetched into a local file",
        verdict="pass",
        value=took,
        unit="s",
        evidence="the sync engine's bootstrap came to its end, and the file was opened and read",
    )
    return Stage(NAME, TITLE, took, (finding,), {"Replica": rows})


def pull(place: Place) -> Stage:
    """Pull once."""
    started = time.perf_counter()
    with _opened(place) as replica:
        pulled = replica.pull()
        rows = [{"replica": str(replica.path), "remote": replica.notes.remote, **asdict(pulled)}]
    finding = Finding(
        id="replica.pulled",
        claim="The replica shows all that the primary had when the pull began",
        verdict="pass",
        value=pulled.seconds,
        unit="s",
        evidence="news were applied" if pulled.changed else "the primary had nothing new",
    )
    return Stage(NAME, TITLE, time.perf_counter() - started, (finding,), {"Pulled": rows})


def pull_every(
    place: Place, *, every_s: float, count: int | None = None, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Line]:
    """Pull again and again, `every_s` from start to start, `count` times or without end; an outage ends nothing.

    While the primary cannot be reached each line says so, and how old what the replica shows is.
    """
    with _opened(place) as replica:
        done = 0
        while count is None or done < count:
            started = time.monotonic()
            yield _pulled_line(replica)
            done += 1
            if count is None or done < count:
                sleep(max(every_s - (time.monotonic() - started), 0.0))


def _pulled_line(replica: Replica) -> Line:
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        done = replica.pull()
    except Unreachable as problem:
        return Line(at, False, 0.0, 0, replica.freshness().age_s, str(problem))
    return Line(at, done.changed, done.seconds, done.attempts, replica.freshness().age_s)


def status(place: Place, *, limit_s: float = LIMIT_S) -> Stage:
    """How far behind a replica is, asked of the primary too; nothing is applied.

    What is new is sent by the primary all the same, and counts as traffic of syncs.
    """
    started = time.perf_counter()
    with _opened(place) as replica:
        found = fresh(replica, limit_s)
        rows = [_told(replica)]
    return Stage(NAME, TITLE, time.perf_counter() - started, (found,), {"Replica": rows})


def check(place: Place, *, progress: Progress = quiet) -> Stage:
    """Pull, and compare the replica with its primary: every table's rows by digest, every view, index and trigger.

    Reads the whole primary, by pages, which a hosted one bills as rows read.
    """
    started = time.perf_counter()
    with _opened(place) as replica:
        for attempt in range(1, TRIES + 1):
            replica.pull()
            results, tables = compared(replica, progress)
            still = not replica.has_news()
            if still or attempt == TRIES:
                break
        if not still:
            results = [undecided(f) if f.verdict == "fail" else f for f in results]
        results += [pages(replica), helpers(replica), fresh(replica, LIMIT_S)]
        rows = [_told(replica)]
    return Stage(NAME, TITLE, time.perf_counter() - started, tuple(results), {"Replica": rows, "Tables": tables})


def _opened(place: Place) -> Replica:
    return open_replica(place.path, place.known_remote(), token=place.token, patience=place.patience)


def _told(replica: Replica) -> dict[str, object]:
    known = freshness_of(replica.notes)
    return {
        "replica": str(replica.path),
        "remote": known.remote,
        "made": _utc(replica.notes.made_at),
        "had everything at": _utc(known.current_at),
        "age (s)": "unknown: the clock was set back" if known.age_s is None else round(known.age_s, 3),
    }


def _counted(entries: list[Entry]) -> dict[str, int]:
    kinds = {"tables": "table", "indexes": "index", "views": "view", "triggers": "trigger"}
    return {many: sum(e.kind == kind for e in entries) for many, kind in kinds.items()}


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
