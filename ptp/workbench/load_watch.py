"""What the service tells of itself while it is under load: pool, write-ahead log and cache, about once a second.

Over HTTP the numbers are the server's own, from /metrics; with several workers each connection reaches one of them, so
that every reading names its worker. In process the log is looked at from outside, and each process of the generator
notes its pool in a file.
"""

from __future__ import annotations

import json
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.pool import QueuePool

from ptp.engine.headers import companion_bytes
from ptp.workload.clients import InProcess
from ptp.workload.scenarios import Cast

EVERY_S = 1.0
_MB = 1e6
_NOTES = "pool-*.jsonl"


@dataclass(frozen=True, slots=True)
class Reading:
    """What one process told at a moment of the machine's clock in s; hits and calls are since it began."""

    at: float
    worker: str
    pool_used: int | None = None
    pool_size: int | None = None
    wal_bytes: int | None = None
    hits: int | None = None
    calls: int | None = None


@dataclass(slots=True)
class Seen:
    """The readings around one load, and when its first second began."""

    begun: float = 0.0
    readings: list[Reading] = field(default_factory=list)

    def note(self, share: float, seconds: float) -> None:
        """Take from the progress of a load of so many seconds when it began."""
        if not self.begun and 0 < share < 1:
            self.begun = time.perf_counter() - share * seconds


@contextmanager
def watching(seen: Seen, read: Callable[[], Iterable[Reading]], *, every_s: float = EVERY_S) -> Iterator[None]:
    """Read again and again within the block; where nothing is told there is no reading."""
    ended = threading.Event()

    def follow() -> None:
        due = time.perf_counter()
        while not ended.is_set():
            seen.readings.extend(read())
            due = max(due + every_s, time.perf_counter())  # a service that stood still is not asked for what is past
            ended.wait(due - time.perf_counter())

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def log_of(database: Path) -> Reading:
    """The size of the write-ahead log, looked at from outside."""
    return Reading(time.perf_counter(), "", wal_bytes=companion_bytes(database, "-wal"))


class NotedInProcess(InProcess):
    """The queries in process, with the pool of their engine noted in the folder, about once a second."""

    def __init__(self, database: Path, cast: Cast, folder: Path, place: int) -> None:
        """Open the database and begin to note."""
        super().__init__(database, cast, folder, place)
        self._ended = threading.Event()
        self._noting = threading.Thread(target=self._note, args=(folder / f"pool-{place}.jsonl", place), daemon=True)
        self._noting.start()

    def close(self) -> None:
        """Close the database."""
        self._ended.set()
        self._noting.join()
        super().close()

    def _note(self, path: Path, place: int) -> None:
        pool: Any = self._engine.pool
        if not isinstance(pool, QueuePool):
            return
        size = pool.size() + max(0, getattr(pool, "_max_overflow", 0))
        with path.open("w", encoding="utf-8") as file:
            while not self._ended.wait(EVERY_S):
                reading = Reading(time.perf_counter(), f"process {place}", pool.checkedout(), size)
                file.write(json.dumps(asdict(reading)) + "\n")
                file.flush()


def noted(folder: Path) -> Iterator[Reading]:
    """What the processes of a generator have noted in a folder; a line that was cut off is left out."""
    for path in sorted(folder.glob(_NOTES)):
        with path.open(encoding="utf-8") as file:
            for line in file:
                with suppress(ValueError):
                    yield Reading(**json.loads(line))


def forget_notes(folder: Path) -> None:
    """Remove what an earlier load has noted."""
    for path in folder.glob(_NOTES):
        path.unlink()


def seconds_of(seen: Seen, seconds: int) -> list[dict[str, Any]]:
    """A row for each second of a load: hits of that second's calls in %, connections in use and there, MB of the log.

    Of each process its last reading counts; a process that told nothing new for a second is left out of it, and what
    nobody told is None.
    """
    by_worker: dict[str, list[Reading]] = {}
    for reading in sorted(seen.readings, key=lambda r: r.at):
        by_worker.setdefault(reading.worker, []).append(reading)
    times = {worker: [r.at - seen.begun for r in own] for worker, own in by_worker.items()}
    rows = []
    for second in range(seconds):
        told = [
            (own[start - 1] if start else None, own[end - 1])
            for worker, own in by_worker.items()
            if (start := bisect_right(times[worker], second)) < (end := bisect_right(times[worker], second + 1))
        ]
        rows.append(_row(told))
    return rows


def _row(told: Sequence[tuple[Reading | None, Reading]]) -> dict[str, Any]:
    """One second from each process's reading before it and its last reading in it."""
    last = [now for _, now in told]
    hits = sum(_more(was.hits if was else None, now.hits) for was, now in told)
    calls = sum(_more(was.calls if was else None, now.calls) for was, now in told)
    wal = [r.wal_bytes for r in last if r.wal_bytes is not None]
    return {
        "cache_hit_percent": 100 * hits / calls if calls else None,
        "pool_in_use": _sum(r.pool_used for r in last),
        "pool_size": _sum(r.pool_size for r in last),
        "wal_mb": max(wal) / _MB if wal else None,
    }


def _more(was: int | None, now: int | None) -> int:
    return max((now or 0) - (was or 0), 0)


def _sum(values: Iterable[int | None]) -> int | None:
    known = [v for v in values if v is not None]
    return sum(known) if known else None
