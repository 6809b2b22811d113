"""Content on several processors: large tables in spans of keys, each compared by a process of its own.

A worker is a Python that imports this module alone, reads parts from its standard input and writes tallies to its
standard output. It is not one of `multiprocessing`: those run the main module again, which in a notebook or behind
a console script is not ours to run.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import apsw

from ptp.engine import connect_file, quoted, read_inventory
from ptp.engine.files import BUSY_TIMEOUT_MS, read_only_uri
from ptp.errors import CannotFinish
from ptp.verification.content import Pair, Progress, compare_span
from ptp.verification.digests import RANGE
from ptp.verification.kept import Kept
from ptp.verification.pairing import Pairing, has_whole_keys
from ptp.verification.rows import WHOLE, Span
from ptp.verification.tally import Tally

ROWS_OF_A_PART = 50_000
WORTH_IT = 200_000
"""Rows from which on starting processes costs less than it gains."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of one table: those of a span of keys, or all of them; `rows` is about how many."""

    name: str
    pairing: Pairing
    span: Span
    rows: int


@dataclass(frozen=True, slots=True)
class Files:
    """The two files, the name of the target's quarantine table, and whether digests of the target are wanted."""

    source: Path
    target: Path
    quarantine: str
    is_digested: bool = True


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parts_of(
    name: str, pairing: Pairing, rows: int, *, source: sqlite3.Connection, target: sqlite3.Connection
) -> list[Part]:
    """A table in parts of about ROWS_OF_A_PART rows; in one where its key is not one of whole numbers."""
    count = -(-rows // ROWS_OF_A_PART)
    sides = ((source, pairing.source, pairing.source_key), (target, pairing.target, pairing.key))
    if count < 2 or not all(has_whole_keys(db, table, key) for db, table, key in sides):
        return [Part(name, pairing, WHOLE, rows)]
    ends = [end for db, table, (key,) in sides for end in _ends(db, table, key) if end is not None]
    low, high = min(ends), max(ends)
    # At the ends of ranges, so that each range is digested by one process.
    inner = sorted({(low + (high - low) * place // count) // RANGE * RANGE - 1 for place in range(1, count)})
    starts, stops = [WHOLE.low, *(i + 1 for i in inner)], [*inner, WHOLE.high]
    return [Part(name, pairing, Span(a, b), rows // count) for a, b in zip(starts, stops, strict=True)]


def _ends(db: sqlite3.Connection, table: str, key: str) -> tuple[int | None, int | None]:
    name = quoted(key)
    sql = f"SELECT (SELECT min({name}) FROM {quoted(table)}), (SELECT max({name}) FROM {quoted(table)})"
    low, high = db.execute(sql).fetchone()
    return low, high


def compare_parts(files: Files, parts: Sequence[Part], *, workers: int, progress: Progress) -> Mapping[str, Tally]:
    """The tallies of all tables, by name; `progress` is given the number of source rows looked at so far.

    Raises CannotFinish when a worker ends before its work is done.
    """
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    # The largest parts first, so that none of them is left for the end.
    for number in sorted(range(len(parts)), key=lambda n: -parts[n].rows):
        waiting.put(number)
    found: dict[int, Tally] = {}
    with ThreadPoolExecutor(workers) as threads, contextlib.ExitStack() as processes:
        started = [processes.enter_context(_worker(files)) for _ in range(workers)]
        running = {threads.submit(_drive, process, parts, waiting, found) for process in started}
        while running:
            done, running = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
            progress(sum(tally.rows_in for tally in list(found.values())))
            _raise_first(done)
    return _together(parts, found)


def _raise_first(done: Iterable[Future[None]]) -> None:
    for one in done:
        one.result()


def _together(parts: Sequence[Part], found: Mapping[int, Tally]) -> Mapping[str, Tally]:
    tallies: dict[str, Tally] = {}
    for number, part in enumerate(parts):
        tallies.setdefault(part.name, Tally()).add(found[number])
    return tallies


@contextlib.contextmanager
def _worker(files: Files) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is gone at the end, whatever happens; in a session of its own, so that Ctrl-C is ours alone."""
    command = [sys.executable, "-c", f"from {__name__} import serve; serve()"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        _send(process, files)
        yield process
    finally:
        process.kill()
        process.communicate()


def _drive(
    process: subprocess.Popen[bytes], parts: Sequence[Part], waiting: queue.SimpleQueue[int], found: dict[int, Tally]
) -> None:
    """Give a worker one part after the other, until none is left."""
    with contextlib.suppress(queue.Empty):
        while True:
            number = waiting.get_nowait()
            _send(process, parts[number])
            found[number] = _receive(process)


def _send(process: subprocess.Popen[bytes], value: object) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it has ended: reading its answer tells
        pickle.dump(value, process.stdin)
        process.stdin.flush()


def _receive(process: subprocess.Popen[bytes]) -> Tally:
    assert process.stdout is not None
    try:
        answer = pickle.load(process.stdout)
    except (EOFError, pickle.UnpicklingError):
        raise CannotFinish("A process that compares rows ended before it was done: is there enough memory?") from None
    if isinstance(answer, BaseException):
        raise answer
    assert isinstance(answer, Tally)
    return answer


def serve() -> None:
    """Be a worker: compare the parts that come in, until there are no more; an error is an answer too.

    Ranges are read by the SQLite of apsw, which writes texts twice as fast as that of the system. Both stay open to the
    end: whoever closes a file drops all locks that its process holds on it.
    """
    files: Files = pickle.load(sys.stdin.buffer)
    with connect_file(files.source, read_only=True) as source, connect_file(files.target, read_only=True) as target:
        old, new = _fast(files.source), _fast(files.target)
        for db in (source, target, old, new):
            db.execute("BEGIN")
        dbs = Pair(source, target, old, new, files.is_digested)
        kept = Kept(target, files.quarantine, read_inventory(target).tables)
        with contextlib.suppress(EOFError):
            while True:
                part: Part = pickle.load(sys.stdin.buffer)
                pickle.dump(_answer(dbs, part, kept), sys.stdout.buffer)
                sys.stdout.buffer.flush()


def _fast(path: Path) -> apsw.Connection:
    db = apsw.Connection(read_only_uri(path), flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    db.set_busy_timeout(BUSY_TIMEOUT_MS)
    return db


def _answer(dbs: Pair, part: Part, kept: Kept) -> Tally | Exception:
    try:
        return compare_span(dbs, part.pairing, span=part.span, kept=kept, progress=lambda _: None)
    except Exception as problem:
        return problem
