"""One folder in which databases move and processes die, and what is to be true of it at every moment."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ptp.engine import read_inventory
from ptp.workbench.migrating import migrate
from ptp.workload.demo import Shape, write_demo
from tests.crash.writes import write_all, written

ROOT = Path(__file__).parents[2]
PACE = 0.01  # seconds between two writes of the application
At = int | float | tuple[str | int, ...]
"""Where a command dies: the number of a point; seconds; or how a point's text begins, the how manieth, how many later,
and then perhaps the same again from there.
"""
Rows = dict[str, list[tuple[Any, ...]]]


def small_source(path: Path, shape: Shape) -> Path:
    """A populated source in WAL mode, as small as it can be with a row in every table."""
    write_demo(shape=shape, size="tiny", seed=3, out=path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("DELETE FROM user_answers WHERE id > 100")
        db.execute("DELETE FROM questions WHERE id > 40")
        db.execute("VACUUM")
        db.execute("PRAGMA journal_mode = WAL")
    return path


class Worker:
    """The process that forks, and the processes that it started."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.worker"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def start(self, **work: Any) -> int:
        """Start a work; its process."""
        return int(self._ask(work)["pid"])

    def wait(self, pid: int, *, stopped: bool = False) -> int:
        """How a process ended, or was stopped: its exit code, or the negative signal."""
        return int(self._ask({"do": "wait", "pid": pid, "stopped": stopped})["code"])

    def close(self) -> None:
        """End it; nothing that it started may be running."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def _ask(self, work: dict[str, Any]) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps(work), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())


@dataclass
class Ended:
    """How a command ended, and all that it said."""

    code: int
    text: str


@dataclass
class Place:
    """The folder, with the paths that stay the same in all trials, as databases name each other by them."""

    folder: Path
    worker: Worker
    shape: Shape
    kept: Path = field(init=False)
    runs: int = 0
    twins: dict[int, Rows] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.kept = self.folder.with_name(self.folder.name + "-kept")
        self.kept.mkdir(parents=True)
        self.folder.mkdir()
        small_source(self.kept / "base.db", self.shape)
        self.reset()

    @property
    def source(self) -> Path:
        return self.folder / "old.db"

    @property
    def target(self) -> Path:
        return self.folder / "new.db"

    @property
    def log(self) -> Path:
        return self.folder / "acknowledged"

    def reset(self, state: str = "") -> None:
        """Empty the folder, but for the source as it was at first, or for a state that was kept."""
        shutil.rmtree(self.folder)
        if state:
            shutil.copytree(self.kept / state, self.folder)
        else:
            self.folder.mkdir()
            shutil.copy(self.kept / "base.db", self.source)

    def keep(self, state: str) -> None:
        """Keep the folder as it is, under a name."""
        shutil.copytree(self.folder, self.kept / state)

    def argv(self, command: str) -> list[str]:
        """The command line of a work, each run with a folder of its own; "briefly" is with a freeze that soon is due."""
        self.runs += 1
        command, _, briefly = command.partition(" ")
        deadline = ["--deadline", "0.5" if briefly else "30"]
        # What is tried is what is on the disk; how long the pause took depends on what else the machine does.
        patient = [*deadline, "--pause", "10000"]
        new = ["--target", str(self.target), "--out", str(self.folder / f"run-{self.runs}")]
        return {
            "offline": ["migrate", "--source", str(self.source), *new],
            "online": ["migrate", "--source", str(self.source), *new, "--online", *patient],
            "resume": ["migrate", "--resume", "--source", str(self.source), *new[2:], *patient],
            "rollback": ["rollback", "--source", str(self.source), *deadline],
            "settle": ["settle", "--source", str(self.source)],
        }[command]

    def begin(self, command: str, *, told: str = "told", **more: Any) -> int:
        """Start a command; its process."""
        return self.worker.start(do="command", argv=self.argv(command), told=str(self.folder / told), **more)

    def stopped(self, command: str, *after: Any) -> int:
        """Start a command, and wait until it has stopped at a point; its process, which SIGCONT lets go on."""
        pid = self.begin(command, after=after, signal=signal.SIGSTOP)
        assert self.worker.wait(pid, stopped=True) == -signal.SIGSTOP
        return pid

    def end(self, pid: int, *, told: str = "told") -> Ended:
        """Wait for a command."""
        code = self.worker.wait(pid)
        said = self.folder / told  # which one that was killed at once has not begun
        return Ended(code, said.read_text(encoding="utf-8") if said.exists() else "")

    def run(self, command: str, *, told: str = "told", **more: Any) -> Ended:
        """Run a command to its end."""
        return self.end(self.begin(command, told=told, **more), told=told)

    def kill_at(self, command: str, at: At) -> Ended:
        """Run a command that dies at a point, or from outside after so many seconds; if it is not at its end by then."""
        if not isinstance(at, float):
            return self.run(command, **{"at": at} if isinstance(at, int) else {"after": at})
        pid = self.begin(command)
        time.sleep(at)
        kill(pid)
        return self.end(pid)

    def points(self, command: str, **more: Any) -> list[str]:
        """The points of a command that runs through, in order."""
        listing = self.folder.with_name("points.json")
        ended = self.run(command, listing=str(listing), **more)
        assert ended.code == 0, ended.text
        found: list[str] = json.loads(listing.read_text(encoding="utf-8"))
        return found

    @contextmanager
    def application(self, *, first: int = 0) -> Iterator[None]:
        """An application that writes in a process of its own; it may not fail."""
        stop = self.folder / "stop"
        stop.unlink(missing_ok=True)
        work = {"source": str(self.source), "shape": self.shape, "log": str(self.log), "stop": str(stop)}
        pid = self.worker.start(do="application", first=first, pace=PACE, **work)
        try:
            yield
        finally:
            stop.touch()
            code = self.worker.wait(pid)
        assert code == 0, self.log.read_text(encoding="utf-8")

    def log_bytes(self) -> bytes:
        """What the application logged: a line for each transaction that is committed."""
        return self.log.read_bytes() if self.log.exists() else b""

    def acknowledged(self) -> int:
        """How many transactions the application knows to be committed."""
        return self.log_bytes().count(b"\n")

    def await_writes(self, more: int = 1) -> None:
        """Wait until the application has committed more; whoever died, it may not be kept from it for long."""
        wanted, until = self.acknowledged() + more, time.monotonic() + 20
        while self.acknowledged() < wanted:
            assert time.monotonic() < until, "the application cannot write any more"
            assert b"!" not in self.log_bytes()
            time.sleep(0.001)

    def writable(self) -> list[str]:
        """The databases that take a write of somebody who knows nothing of ptp, at this moment."""
        return [p.name for p in (self.source, self.target) if p.exists() and takes_writes(p)]

    def expected_old(self, count: int) -> Rows:
        """What the source holds after so many transactions: by plain SQL, on a copy that never moved."""
        return contents(self._twin(count))

    def expected_new(self, count: int) -> Rows:
        """What an offline migration makes of the source after so many transactions."""
        if count not in self.twins:
            source, target = self._twin(count), self.kept / "twin-new.db"
            shutil.rmtree(self.kept / "twin-out", ignore_errors=True)
            (self.kept / "twin-out").mkdir()
            target.unlink(missing_ok=True)
            migrate(source, target, self.kept / "twin-out", run="twin")
            self.twins[count] = contents(target)
        return self.twins[count]

    def _twin(self, count: int) -> Path:
        twin = self.kept / "twin.db"
        for suffix in ("", "-wal", "-shm"):
            twin.with_name(twin.name + suffix).unlink(missing_ok=True)
        shutil.copy(self.kept / "base.db", twin)
        write_all(twin, count, self.shape)
        return twin

    def is_whole(self, path: Path, *, unlogged: int = 1) -> int:
        """Check that a database holds all acknowledged writes, and exactly what it should; how many writes it holds.

        A transaction that was committed when its application was told to stop may stand beyond the log.
        """
        count = written(path)
        assert self.acknowledged() <= count <= self.acknowledged() + unlogged
        found = contents(path)
        assert_equal(found, self.expected_new(count) if path == self.target else self.expected_old(count))
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return count

    def leftovers(self) -> set[str]:
        """What stands in the folder besides databases with their companions and what the trial itself puts there."""
        own = {p.name + s for p in (self.source, self.target) for s in ("", "-wal", "-shm")}
        trials = {"told", "told-too", "stop", "acknowledged", "ballast"}
        return {p.name for p in self.folder.iterdir() if not p.name.startswith("run-")} - own - trials


def takes_writes(path: Path) -> bool:
    """Whether a plain client can write to a database."""
    with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, isolation_level=None, timeout=10)) as db:
        db.execute("BEGIN IMMEDIATE")
        try:
            db.execute("UPDATE users SET name = name WHERE id = 1")
        except sqlite3.IntegrityError as refused:
            assert str(refused).startswith("ptp: this database")
            return False
        finally:
            db.execute("ROLLBACK")
    return True


def contents(path: Path) -> Rows:
    """All that a database holds besides what ptp keeps for itself, with every value's storage class."""
    found = {}
    with closing(sqlite3.connect(path)) as db:
        for name, table in read_inventory(db).tables.items():
            if not name.startswith("ptp_") and not table.is_virtual:
                columns = ", ".join(f'"{c}", typeof("{c}")' for c in table.stored_columns)
                found[name] = sorted(db.execute(f'SELECT {columns} FROM "{name}"').fetchall(), key=repr)
        found["sqlite_sequence"] = sorted(db.execute("SELECT * FROM sqlite_sequence WHERE name NOT LIKE 'ptp_%'"))
    return found


def assert_equal(found: Rows, expected: Rows) -> None:
    """Tables alike, row by row; a mark of AUTOINCREMENT may be higher, never lower."""
    assert found.keys() == expected.keys()
    for name in expected.keys() - {"sqlite_sequence"}:
        assert found[name] == expected[name], name
    marks, least = dict(found["sqlite_sequence"]), dict(expected["sqlite_sequence"])
    assert marks.keys() == least.keys()
    assert all(marks[name] >= least[name] for name in least)


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process that may have ended by itself."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
