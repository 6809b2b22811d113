"""A small database at head, applications on copies of it, and tokens, for the tests of the API."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import jwt

from ptp.engine import open_engine
from ptp.migration.build import build
from ptp.service.app import create_app
from ptp.service.auth import Access, Headers, access_from
from ptp.settings import Settings
from ptp.workbench.migrating import plan_of
from ptp.workbench.progress import quiet
from ptp.workload.demo import write_demo

with warnings.catch_warnings():  # starlette wants the successor of the httpx that is pinned here
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient

SECRET = "a secret of more than sixty-four bytes, so that HS512 would take it too, for tests"
ISSUER, AUDIENCE = "https://login.example.com", "ptp-tests"
HEADERS = {"X-User-Id": "3", "X-Roles": "admin"}


def head_in(place: Path) -> Path:
    """A head of about 3,000 rows, in the write-ahead mode that a build leaves."""
    write_demo(shape="drizzle", size="tiny", seed=7, out=place / "source.db")
    build(plan_of(place / "source.db"), source=place / "source.db", target=place / "head.db", run="t", now=0,
          progress=quiet)  # fmt: skip
    return place / "head.db"


def copy_of(head: Path, place: Path) -> Path:
    shutil.copy(head, place / "own.db")
    return place / "own.db"


@contextmanager
def client_of(path: Path, access: Access | None = None, **more: Any) -> Iterator[TestClient]:
    """The application on a database, in this process; errors come back as responses, as over a network."""
    settings = Settings(**more)
    engine = open_engine(path, settings=settings)
    app = create_app(engine, settings=settings, access=access or Headers())
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client
    engine.dispose()


def tokens(**values: Any) -> Access:
    given = {"jwt_secret": SECRET, "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, **values}
    return access_from(Settings(**given), insecure_dev=False)


def claims(**changes: Any) -> dict[str, Any]:
    """Claims that are accepted, but for the changes; a claim of None is left out."""
    now = int(time.time())
    made = {"sub": "3", "iss": ISSUER, "aud": AUDIENCE, "exp": now + 600, "roles": ["admin"], **changes}
    return {name: value for name, value in made.items() if value is not None}


def token(
    key: Any = SECRET, algorithm: str | None = "HS256", headers: dict[str, Any] | None = None, **changes: Any
) -> str:
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers=headers)


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def rows(path: Path, sql: str, *values: Any) -> list[Any]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql, values).fetchall()


def dump(path: Path) -> list[str]:
    """All that a database holds, as SQL text; the log does not count."""
    with closing(sqlite3.connect(path)) as db:
        return [line for line in db.iterdump() if "question_search" not in line]


def an_answer(question: int = 1, **more: Any) -> dict[str, Any]:
    return {"question_id": question, "selected_answer": "a", "is_correct": True, "time_spent_seconds": 5, **more}


class Server:
    """`ptp serve` in a process of its own."""

    def __init__(self, target: Path, *options: str, environment: Mapping[str, str] | None = None) -> None:
        self._log = target.with_suffix(".log").open("ab")
        # A session of its own, so that a test can end it with all its workers.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ptp", "serve", "--target", str(target), *options],
            stdout=subprocess.PIPE, stderr=self._log, text=True, start_new_session=True,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        found = re.search(r"http://[\d.]+:\d+", self.line)
        assert found, (self.line, target.with_suffix(".log").read_text())
        self.address = found[0]

    def end(self, number: int = signal.SIGKILL) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()
        return code


@contextmanager
def served(target: Path, *options: str, **more: Any) -> Iterator[Server]:
    server = Server(target, *options, **more)
    try:
        yield server
    finally:
        server.end()


def check_graceful_end(server: Server, own: Path, headers: Mapping[str, str]) -> None:
    """What is under way when the signal comes is answered, and nothing new is taken."""
    body = json.dumps({"answers": [an_answer(key="sent slowly")]}).encode()
    wanted = {"host": "x", **headers, "content-type": "application/json", "content-length": len(body),
              "expect": "100-continue"}  # fmt: skip
    head = "".join(f"{name}: {value}\r\n" for name, value in wanted.items())
    with closing(sqlite3.connect(own, isolation_level=None)) as db, socket.create_connection(place(server)) as line:
        line.settimeout(20)
        db.execute("BEGIN IMMEDIATE")
        line.sendall(f"POST /api/study/answers HTTP/1.1\r\n{head}\r\n".encode())
        assert line.recv(1_000).startswith(b"HTTP/1.1 100 ")  # the application waits for the body
        line.sendall(body)
        server.process.send_signal(signal.SIGTERM)
        end = time.monotonic() + 4
        while not refused(server):
            assert time.monotonic() < end and server.process.poll() is None
            time.sleep(0.02)
        db.execute("ROLLBACK")
        assert line.recv(1_000).startswith(b"HTTP/1.1 200 ")
    assert rows(own, "SELECT count(*) FROM user_answers WHERE request_key = 'sent slowly'") == [(1,)]
    assert server.process.wait(20) == 0


def place(server: Server) -> tuple[str, int]:
    host, _, port = server.address.removeprefix("http://").partition(":")
    return host, int(port)


def refused(server: Server) -> bool:
    with socket.socket() as line:
        return line.connect_ex(place(server)) == errno.ECONNREFUSED


Serve = Callable[..., Server]
