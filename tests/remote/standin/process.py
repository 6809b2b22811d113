"""The stand-in as tests use it: a server process beside them, that they start, stop, kill and let go wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from tests.remote.standin.faults import Faults
from tests.remote.standin.rules import Limits

ROOT = Path(__file__).parents[3]
_PATIENCE = 30  # seconds


class StandIn:
    """A server for the database in a file, which outlives it; a context manager that starts and stops it.

    `limits` are the fields of `Limits`, such as `transaction_seconds=0.2`. A test is skipped, with the reason, where
    libSQL's library cannot be called.
    """

    def __init__(self, path: Path, *, token: str | None = None, faults: Faults | None = None, **limits: float) -> None:
        self.path, self.token = path, token
        self._faults = faults or Faults()
        self._limits = asdict(Limits(**limits))  # type: ignore[arg-type]
        self._process: subprocess.Popen[str] | None = None
        self.port = 0
        self._control = 0

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def http(self) -> str:
        """The address over HTTP."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        """The address over WebSocket."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process; for looking at it."""
        assert self._process
        return self._process.pid

    def start(self) -> Self:
        """Start it, again on the port that it had; what was counted begins anew."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.remote.standin.server"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        config = {
            "path": str(self.path.absolute()),
            "token": self.token,
            "faults": self._faults.json(),
            "limits": self._limits,
            "port": self.port,
        }
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(config) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self.kill()
            raise RuntimeError("The stand-in did not start; what it wrote stands above.")
        told = json.loads(line)
        if "not_here" in told:
            self.kill()
            import pytest  # the server's own process needs none of it

            pytest.skip(f"The stand-in cannot run here: {told['not_here']}.")
        self.port, self._control = told["port"], told["control"]
        return self

    def stop(self) -> None:
        """End it in order: open transactions are rolled back, and the log is written into the file."""
        if self._process:
            self._process.terminate()
            self._end()

    def kill(self) -> None:
        """End it by SIGKILL, as a crash would."""
        if self._process:
            self._process.kill()
            self._end()

    def set_faults(self, faults: Faults) -> None:
        """Let this go wrong from now on; the numbers of a script begin with the next request."""
        self._faults = faults
        self._asked("/faults", faults.json())

    def counts(self) -> dict[str, Any]:
        """`requests` since it started, and `faults` by kind, those that were carried out."""
        return self._asked("/counts")

    def _asked(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._control}{path}", data=data, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=_PATIENCE) as reply:
            found: dict[str, Any] = json.load(reply)
        return found

    def _end(self) -> None:
        process, self._process = self._process, None
        assert process
        with process:
            process.wait(_PATIENCE)
