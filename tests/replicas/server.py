"""The real sync server of Turso (`tursodb --sync-server`, of npm's package `turso`) as a process of its own.

It is looked for in PTP_TURSODB, then as `tursodb` or `turso` on the PATH, then among the npm packages of tests/remote/js.
`turso` is a script of node that starts the program and waits; a signal to it would leave the server running, so the
program itself is started.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

import pytest

_JS = Path(__file__).parents[1] / "remote" / "js"
_PATIENCE_S = 10.0


def _program(found: Path) -> Path | None:
    """The program itself, of what was found: of node's script, the one that it would start."""
    real = found.resolve()
    if real.suffix != ".js":
        return real if os.access(real, os.X_OK) else None
    packages = next((p for p in real.parents if p.name == "node_modules"), None)
    return next(iter(packages.glob("@tursodatabase/cli-*/tursodb")), None) if packages else None


def _found() -> Path | None:
    places = [os.environ.get("PTP_TURSODB"), shutil.which("tursodb"), shutil.which("turso")]
    places += [str(_JS / "node_modules/.bin/turso")]
    programs = (_program(Path(place)) for place in places if place and Path(place).exists())
    return next((p for p in programs if p), None)


#: Looked for when this is imported: the tests take settings of ptp's out of the environment.
TURSODB = _found()
WHY_NOT = (
    "the sync server is not here: npm install turso@0.6.0 --prefix tests/remote/js, "
    "or say in PTP_TURSODB where the program tursodb is"
)
needs_server = pytest.mark.skipif(TURSODB is None, reason=WHY_NOT)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class SyncServer:
    """A sync server over the database file at `path`; the file and its log outlive the process.

    `stop` ends it with SIGTERM, `kill` with SIGKILL; `start` brings it back on the same port and file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server was not started"
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it listens; raises RuntimeError with what it printed where it ends before."""
        assert self._process is None, "the server runs already"
        assert TURSODB is not None, WHY_NOT
        printed = self.path.with_name(self.path.name + ".server-out")
        with printed.open("wb") as out:
            self._process = subprocess.Popen(
                [TURSODB, "--quiet", "--sync-server", f"127.0.0.1:{self.port}", self.path],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + _PATIENCE_S
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"the sync server did not start: {printed.read_text(errors='replace')}")
            time.sleep(0.01)

    def stop(self) -> None:
        """End it as a service manager would; nothing where it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would; nothing where it does not run."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Let it stand still: it takes connections, and answers none."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def __enter__(self) -> SyncServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            process, self._process = self._process, None
            process.send_signal(number)
            process.wait(timeout=_PATIENCE_S)

    def _listens(self) -> bool:
        with socket.socket() as client:
            client.settimeout(1)
            return client.connect_ex(("127.0.0.1", self.port)) == 0
