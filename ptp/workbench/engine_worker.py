"""An engine in a process of its own, and the handle by which it is driven.

The process answers over a socket that only both have, so that what a driver prints disturbs nothing; what it prints as
it dies is kept, and told. It measures time itself: what the messages take is in no sample.
"""

from __future__ import annotations

import contextlib
import gc
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from ptp.engine.candidates import EngineName, Facts, Opened, open_candidate, tuned

if TYPE_CHECKING:  # it loads SQLAlchemy, which the process of an engine does without
    from ptp.engine.meters import Parameters

PATIENCE_S = 60.0
"""An engine that does not answer for so long is given up."""

_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Call:
    """The statements of one call of a query, each with its values, to be run in one transaction."""

    writes: bool
    statements: tuple[tuple[str, Parameters], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call took in nanoseconds, and the rows of each of its statements; or the error that ended it."""

    nanoseconds: int = 0
    rows: tuple[tuple[tuple[Any, ...], ...], ...] = ()
    error: str = ""


_Reply: TypeAlias = tuple[bool, Any]


class EngineGone(Exception):
    """The process of an engine died, or did not answer; the message says how."""


class EngineRefused(Exception):
    """The engine raised an error; the message is the error."""


class EngineProcess:
    """An engine, opened and closed on one file after the other; EngineGone from any method when its process ends."""

    def __init__(self, name: EngineName) -> None:
        """Start the process."""
        self.name = name
        ours, theirs = Pipe()
        self._pipe: Connection[Any, Any] = ours
        self._errors: IO[bytes] = TemporaryFile()  # noqa: SIM115 (closed by `end`)
        command = f"from {__name__} import serve; serve({theirs.fileno()})"
        self._process = subprocess.Popen(
            [sys.executable, "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,  # so that Ctrl-C is the parent's alone
        )
        theirs.close()

    def open(self, path: Path, pragmas: Sequence[tuple[str, Any]]) -> Facts:
        """Open a file; raises EngineRefused where the engine will not."""
        facts: Facts = self._ask("open", self.name, path, tuple(pragmas))
        return facts

    def load(self, calls: Sequence[Call]) -> None:
        """Take the calls of a query; `run` names them by their place."""
        self._ask("load", tuple(calls))

    def run(self, place: int) -> Answer:
        """Make a call and time it."""
        answer: Answer = self._ask("run", place)
        return answer

    def unread(self, tables: Sequence[str]) -> dict[str, str]:
        """The tables that cannot be read, each with the error."""
        found: dict[str, str] = self._ask("unread", tuple(tables))
        return found

    def close(self) -> None:
        """Close the file."""
        self._ask("close")

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._pipe.close()
        self._errors.close()

    def _ask(self, *message: Any) -> Any:
        try:
            self._pipe.send(message)
            if not self._pipe.poll(PATIENCE_S):
                self._process.kill()
                raise EngineGone(f"it did not answer within {PATIENCE_S:g} s")
            refused, answer = self._pipe.recv()
        except (EOFError, OSError):
            raise EngineGone(f"its process ended: {self._last_words()}") from None
        if refused:
            raise EngineRefused(answer)
        return answer

    def _last_words(self) -> str:
        """What the process wrote as it died: the line that speaks of a panic and the next, else the last."""
        code = self._process.wait()
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors.read().decode(errors="replace").splitlines() if line.strip()]
        place = next((i for i, line in enumerate(lines) if "panicked" in line), len(lines) - 1)
        return one_line(" ".join(lines[place : place + 2])) or f"exit {code}, without a word"


def one_line(text: str) -> str:
    """An error on one line, not too long."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def serve(descriptor: int) -> None:
    """Be the process of an engine: answer until nobody asks any more."""
    pipe: Connection[Any, Any] = Connection(descriptor)
    served = _Served()
    with contextlib.suppress(EOFError, OSError):
        while True:
            message = pipe.recv()
            try:
                reply: _Reply = (False, getattr(served, message[0])(*message[1:]))
            except Exception as problem:
                reply = (True, named(problem))
            pipe.send(reply)


def named(problem: BaseException) -> str:
    """An error of a driver in one line, with its class."""
    return one_line(f"{type(problem).__name__}: {problem}")


class _Served:
    """What the process does for each message; a panic of a driver is no Exception, and ends it."""

    def __init__(self) -> None:
        self._db: Opened | None = None
        self._calls: tuple[Call, ...] = ()

    def open(self, name: EngineName, path: Path, pragmas: Sequence[tuple[str, Any]]) -> Facts:
        self._db = open_candidate(name, path)
        self._db.run("SELECT count(*) FROM sqlite_schema")  # some engines read the file only when they are asked
        return tuned(name, self._db, pragmas)

    def load(self, calls: tuple[Call, ...]) -> None:
        self._calls = calls
        gc.collect()

    def unread(self, tables: Sequence[str]) -> dict[str, str]:
        found = {}
        for table in tables:
            quoted = '"' + table.replace('"', '""') + '"'
            try:
                self._open.run(f"SELECT 1 FROM {quoted} LIMIT 1")
            except Exception as problem:
                found[table] = named(problem)
        return found

    def run(self, place: int) -> Answer:
        db, call = self._open, self._calls[place]
        begin, found = "BEGIN IMMEDIATE" if call.writes else "BEGIN", []
        try:
            start = time.perf_counter_ns()
            db.run(begin)
            for sql, values in call.statements:
                found.append(db.run(sql, values))
            db.run("COMMIT")
            end = time.perf_counter_ns()
        except Exception as problem:
            with contextlib.suppress(Exception):
                db.run("ROLLBACK")
            return Answer(error=named(problem))
        return Answer(end - start, tuple(tuple(tuple(row) for row in rows) for rows in found))

    def close(self) -> None:
        if self._db:
            self._db.close()
        self._db = None
        gc.collect()  # a driver lets go of its file with the last of its cursors

    @property
    def _open(self) -> Opened:
        assert self._db is not None
        return self._db
