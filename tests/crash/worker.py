"""A process that does the work and dies in it: started once, it forks for every work, so that imports cost nothing.

It reads works as JSON, one a line, and answers each with one line: the process that was started, or how one ended. A
fork runs the real command line, or an application that writes. A command gets a signal, by its own hand, at a given
point: before or after a statement of any connection, or before or after what it does to a file. The point is given by
its number, or by how the text of one begins, how often that is to come by, and how many points later.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import sqlite3
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

import ptp.migration.live
import ptp.workbench.run
import ptp.workbench.undoing  # noqa: F401  (what a fork needs is there before it)
from ptp import cli
from ptp.engine import moves
from ptp.engine.following import Follower
from ptp.errors import PtpError
from ptp.settings import Settings
from tests.crash.recording import Recorder
from tests.crash.writes import statements

_FILE_CALLS = ("rename", "replace", "unlink", "fsync")
_READS = ("SELECT", "PRAGMA")
_BETWEEN = 97  # points between two writes of an application in the same process: a replay, which it may not outrun


class Points:
    """The points of a process at which it may die, told one after the other."""

    def __init__(self, work: Mapping[str, Any]) -> None:
        self._at: int | None = work.get("at")
        self._after: list[Any] | None = work.get("after")
        self._signal: int = work.get("signal", signal.SIGKILL)
        self._listing: str | None = work.get("listing")
        self._seen: list[str] = []
        self.between: Callable[[], None] = lambda: None

    def watch(self) -> None:
        """From here on every statement and every change of a file is two points."""
        connect, points = sqlite3.connect, self

        class Counted(sqlite3.Connection):
            def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
                return points.around(sql, lambda: super(Counted, self).execute(sql, *values))

        def counted(name: str, **options: Any) -> sqlite3.Connection:
            # What is tried out in memory leaves no trace.
            return connect(name, **options, **({} if name == ":memory:" else {"factory": Counted}))

        sqlite3.connect = counted  # type: ignore[assignment]
        for name in _FILE_CALLS:
            setattr(os, name, self._counted(name, getattr(os, name)))

    def around(self, sql: str, do: Callable[[], Any]) -> Any:
        """Run a statement between its two points; one that only reads changes nothing, and is none."""
        word = sql.split(None, 1)[0].upper()
        if word in _READS and not ("=" in sql and word == "PRAGMA"):
            return do()
        self._point(f"before {sql}")
        found = do()
        self._point(f"after {sql}")
        return found

    def write(self) -> None:
        """List the points that were come by."""
        if self._listing:
            Path(self._listing).write_text(json.dumps(self._seen), encoding="utf-8")

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*values: Any, **named: Any) -> Any:
            self._point(f"before {name} {values[0]}")
            found = call(*values, **named)
            self._point(f"after {name} {values[0]}")
            return found

        return counted

    def _point(self, what: str) -> None:
        if self._after and what.startswith(self._after[0]):
            beginning, times, more, *then = self._after
            self._after = [beginning, times - 1, more, *then]
            if times == 1:
                self._at, self._after = (None, then) if then else (len(self._seen) + more, None)
        if len(self._seen) == self._at:
            os.kill(os.getpid(), self._signal)
        self._seen.append(what)
        if len(self._seen) % _BETWEEN == 0:
            self.between()


def command(work: Mapping[str, Any], *, between: Callable[[], None] | None = None) -> int:
    """Run the command line with its output in files; its exit code. `between` points something else may be done."""
    points = Points(work)
    points.between = between or points.between
    with (
        Path(work["told"]).open("w", encoding="utf-8") as told,
        contextlib.redirect_stdout(told),
        contextlib.redirect_stderr(told),
    ):
        sys.argv = ["ptp", *work["argv"]]
        points.watch()
        try:
            cli.main()
        except SystemExit as ended:
            return int(ended.code or 0)
        finally:
            told.flush()
            points.write()
    return 0


def recorded(work: Mapping[str, Any]) -> int:
    """Run a command as `command` does, with writes of an application in between, and keep what it asks of the disk."""
    recorder = Recorder(work["folder"])
    recorder.start()
    if work["weakened"]:
        moves.writing.__wrapped__.__kwdefaults__["synchronous"] = "NORMAL"  # type: ignore[attr-defined]
    writes = Writes(Path(work["folder"]), work["shape"], recorder, work["first"]) if "first" in work else None
    code = command(work, between=writes.one if writes else None)
    Path(work["events"]).write_bytes(pickle.dumps(recorder.events))
    return code


class Writes:
    """An application inside of the process that migrates: what it has committed is on the disk, and is recorded so."""

    def __init__(self, folder: Path, shape: str, recorder: Recorder, first: int) -> None:
        self._source, self._target = folder / "old.db", folder / "new.db"
        self._shape, self._recorder, self._number = shape, recorder, first
        self._is_at_it = False

    def one(self) -> None:
        """Write one transaction where it can be written at once; the next time, if not."""
        if self._is_at_it:
            return
        self._is_at_it = True
        try:
            if self._written(self._source, self._shape) or self._written(self._target, "head"):
                self._recorder.events.append(("ack", self._number))
                self._number += 1
        finally:
            self._is_at_it = False

    def _written(self, path: Path, shape: str) -> bool:
        if not path.exists():
            return False
        with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as db:
            try:
                db.execute("PRAGMA synchronous = FULL")
                db.execute("BEGIN IMMEDIATE")
                for sql in statements(self._number, shape):
                    db.execute(sql)
                db.execute("COMMIT")
            except (sqlite3.OperationalError, sqlite3.IntegrityError):
                if db.in_transaction:
                    db.execute("ROLLBACK")
                return False
        return True


def application(work: Mapping[str, Any]) -> int:
    """Write transaction after transaction, wherever the database is, and log each when it is committed."""
    shape, number = work["shape"], work["first"]
    follower = Follower(work["source"], shape=shape, settings=Settings(busy_timeout_ms=20_000))
    with Path(work["log"]).open("ab", buffering=0) as log:
        while not Path(work["stop"]).exists():
            todo = {name: _transaction(number, name) for name in (shape, "head")}
            try:
                follower.transact(todo)
            except PtpError as problem:
                log.write(f"! {problem}\n".encode())
                return 1
            log.write(f"{number}\n".encode())
            os.fsync(log.fileno())
            number += 1
            time.sleep(work["pace"])
    follower.close()
    return 0


def _transaction(number: int, shape: str) -> Callable[[Connection], None]:
    def run(db: Connection) -> None:
        for sql in statements(number, shape):
            db.exec_driver_sql(sql)

    return run


def main() -> None:
    """Serve works until the standard input ends."""
    for line in sys.stdin:
        work = json.loads(line)
        if work["do"] == "wait":
            _, status = os.waitpid(work["pid"], os.WUNTRACED if work.get("stopped") else 0)
            answer = {"code": -os.WSTOPSIG(status) if os.WIFSTOPPED(status) else os.waitstatus_to_exitcode(status)}
        else:
            child = os.fork()
            if not child:
                code = 99
                try:
                    code = {"command": command, "recorded": recorded, "application": application}[work["do"]](work)
                except BaseException:
                    traceback.print_exc()
                finally:
                    os._exit(code)
            answer = {"pid": child}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
