"""`ptp serve` as a process of its own, on a port of its own, for as long as it is wanted."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import urllib3

from ptp.errors import EXIT_USAGE, CannotFinish, UsageError

START_S, END_S = 60.0, 10.0
READY = "/api/health/ready"

_ADDRESS = re.compile(r"https?://[\w.\[\]:-]+")
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs: its address, and the process that was started."""

    url: str
    process: subprocess.Popen[bytes]

    def signal(self, number: int) -> None:
        """Send a signal to the server and all of its workers."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def serving(database: Path, *, workers: int = 1, port: int = 0) -> Iterator[Server]:
    """A server on `database`, open to whoever asks on this machine; stopped at the end, however it comes.

    Raises CannotFinish with its last words where it does not start, UsageError where it refuses to.
    """
    server = start_server(database, workers=workers, port=port)
    try:
        yield server
    finally:
        stop_server(server)


def start_server(database: Path, *, workers: int = 1, port: int = 0) -> Server:
    """Start a server and wait until it is ready; `port` 0 is any that is free."""
    command = [sys.executable, "-m", "ptp", "serve", "--insecure-dev", "--target", str(database)]
    command += ["--port", str(port), "--workers", str(workers)]
    with TemporaryFile() as said, TemporaryFile() as errors:
        # A group of its own: signals reach its workers too, and Ctrl-C is ours alone.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=errors, start_new_session=True
        )
        try:
            server = Server(_address(process, said, errors), process)
            _wait_until_ready(server, errors)
        except BaseException:
            Server("", process).kill()
            raise
    return server


def stop_server(server: Server) -> None:
    """Let a server finish what it has begun, and end it where it does not."""
    server.signal(signal.SIGCONT)
    server.signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        server.process.wait(END_S)
    server.kill()


def check_servable() -> None:
    """Raise UsageError where what a server needs is not installed."""
    for name in ("fastapi", "uvicorn", "prometheus_client", "dogpile", "redis"):
        if find_spec(name) is None:
            raise UsageError(
                f"A load over HTTP needs {name}: pip install 'ptp[serve]', or load the queries with --driver process."
            )


def is_ready(url: str) -> bool:
    """Whether a server at an address says that it is ready."""
    try:
        return urllib3.request("GET", url + READY, retries=False, timeout=2.0).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def _address(process: subprocess.Popen[bytes], said: IO[bytes], errors: IO[bytes]) -> str:
    """The address in the line that the server prints."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if found := _ADDRESS.search(_text(said)):
            return found[0].rstrip("/.")
        if process.poll() is not None:
            break
        time.sleep(_POLL_S)
    kind = UsageError if process.poll() == EXIT_USAGE else CannotFinish
    raise kind(f"The server did not start: {_last_words(errors)}")


def _wait_until_ready(server: Server, errors: IO[bytes]) -> None:
    end = time.monotonic() + START_S
    while not is_ready(server.url):
        if server.process.poll() is not None or time.monotonic() > end:
            raise CannotFinish(f"The server at {server.url} did not become ready: {_last_words(errors)}")
        time.sleep(_POLL_S)


def _text(said: IO[bytes]) -> str:
    return os.pread(said.fileno(), 100_000, 0).decode(errors="replace")


def _last_words(said: IO[bytes]) -> str:
    lines = [line.strip() for line in _text(said).splitlines() if line.strip()]
    return (lines[-1] if lines else "it said nothing").removeprefix("ptp: ").rstrip(".") + "."
