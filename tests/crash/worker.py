"""A process that does the work and dies in it: started once, it forks for every work, so that imports cost nothing.

It reads works as JSON, one a line, and answers each with one line: the process that was started, or how one ended. A
fork runs the real command line, or an application that writes. A command dies by SIGKILL at a given point: before or
after a statement of any connection, or before or after what it does to a file.
"""

from __future__ import annotations

import contextlib
import json
import os
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
from ptp.engine.following import Follower
from ptp.errors import PtpError
from ptp.settings import Settings
from tests.crash.writes import statements

_FILE_CALLS = ("rename", "replace", "unlink", "fsync")
_READS = ("SELECT", "PRAGMA")


class Points:
    """The points of a process at which it may die, told one after the other."""

    def __init__(self, at: int | None, listing: str | None, *, all_of_them: bool, hook: Mapping[str, str]) -> None:
        self._at, self._listing, self._all, self._hook = at, listing, all_of_them, dict(hook)
        self._seen: list[str] = []

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
        """Run a statement between its two points; one that only reads changes nothing, and is none unless asked for."""
        word = sql.split(None, 1)[0].upper()
        if word in _READS and not self._all and not ("=" in sql and word == "PRAGMA"):
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
        if len(self._seen) == self._at:
            os.kill(os.getpid(), signal.SIGKILL)
        self._seen.append(what)
        if self._hook and what.startswith(self._hook["before"]):
            wanted = self._hook.pop("before")
            _stop_here(self._hook, wanted)
            self._hook = {}


def _stop_here(hook: Mapping[str, str], wanted: str) -> None:
    """Say that the point is reached, and wait until the test says to go on."""
    Path(hook["reached"]).write_text(wanted, encoding="utf-8")
    while not Path(hook["go"]).exists():
        time.sleep(0.002)


def command(work: Mapping[str, Any]) -> int:
    """Run the command line with its output in files; its exit code."""
    points = Points(work.get("at"), work.get("listing"), all_of_them=work.get("all", False), hook=work.get("hook", {}))
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
                    code = {"command": command, "application": application}[work["do"]](work)
                except BaseException:
                    traceback.print_exc()
                finally:
                    os._exit(code)
            answer = {"pid": child}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
