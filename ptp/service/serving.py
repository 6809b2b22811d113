"""The server: one process or several on one socket, and one line when it is ready."""

from __future__ import annotations

import ipaddress
import json
import logging
import multiprocessing
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from ptp.engine import database_path, open_engine
from ptp.errors import CannotFinish, UsageError
from ptp.service.app import create_app
from ptp.service.auth import access_from
from ptp.service.middleware.audit import AUDIT
from ptp.service.monitoring.workers import forget
from ptp.service.readiness import readiness
from ptp.service.sharing import hold, shared_folder
from ptp.settings import load_settings

KEPT_S = 75
"""How long a connection may be idle: longer than a user thinks, so that the next request need not open another."""
GRACE_S = 10
"""How long requests that are under way may take to end when the server is told to stop."""

HUNG_S = 30
"""A worker that says nothing for so long is replaced; on a busy machine one takes some seconds to begin."""

BACKLOG = 2_048
_READY_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Factory:
    """Makes the application in each worker, which has read its settings anew."""

    target: Path
    insecure_dev: bool
    workers: Path | None = None

    def __call__(self) -> FastAPI:
        """The application on the target."""
        _log_to_stderr()
        _end_with_parent()
        if self.workers is not None:
            hold(self.workers)  # as long as this process lives
        settings = load_settings()
        access = access_from(settings, insecure_dev=self.insecure_dev)
        engine = open_engine(self.target, settings=settings)
        return create_app(engine, settings=settings, access=access, workers=self.workers)


@dataclass(frozen=True, slots=True)
class Served:
    """What is to be served where."""

    target: str
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    insecure_dev: bool = False

    def check(self) -> Factory:
        """Raise UsageError unless it can be served; nothing is written."""
        if self.insecure_dev and not _is_loopback(self.host):
            raise UsageError(f"--insecure-dev trusts whoever asks, so it serves this machine only, not {self.host}.")
        settings = load_settings()
        access_from(settings, insecure_dev=self.insecure_dev)
        path = database_path(self.target).absolute()
        engine = open_engine(path, read_only=True, settings=settings)
        try:
            reason = readiness(engine)()
        finally:
            engine.dispose()
        if reason:
            raise UsageError(f"{path} cannot be served: {reason}.")
        return Factory(path, self.insecure_dev)


def serve(served: Served, *, tell_ready: Callable[[str], None]) -> None:
    """Serve until a signal ends it; `tell_ready` is told the address once requests are answered."""
    factory = served.check()
    with ExitStack() as stack:
        listening = stack.enter_context(bound(served.host, served.port))
        host, port = listening.getsockname()[:2]
        several = served.workers > 1
        if several:
            factory = replace(factory, workers=stack.enter_context(shared_folder()))
        waiting = threading.Thread(target=_tell_when_ready, args=(host, port, tell_ready), daemon=True)
        waiting.start()
        config = _config(factory, served.workers)
        with suppress(KeyboardInterrupt):  # the signal that it was told to stop with, raised again once it has
            if several:
                _Crew(config, [listening], factory).run()
            else:
                uvicorn.Server(config).run(sockets=[listening])


def _config(factory: Factory, workers: int) -> uvicorn.Config:
    return uvicorn.Config(
        factory,
        factory=True,
        workers=workers,
        backlog=BACKLOG,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=KEPT_S,
        timeout_graceful_shutdown=GRACE_S,
        timeout_worker_healthcheck=HUNG_S,
    )


class _Crew(Multiprocess):
    """The workers of one server."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], factory: Factory) -> None:
        super().__init__(config, sockets)
        self._folder, self._known = factory.workers, set[int]()

    def terminate_all(self) -> None:
        """Let the workers end; connections are refused from then on, where they would wait for nobody otherwise."""
        for listening in self.sockets:
            listening.close()
        super().terminate_all()

    def keep_subprocess_alive(self) -> None:
        """Begin another worker where one died, and take away what that one said of itself."""
        super().keep_subprocess_alive()
        living = {process.pid for process in self.processes if process.pid is not None}
        for gone in self._known - living:
            if self._folder is not None:
                forget(self._folder, gone)
        self._known = living


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens there, on a free port for 0; raises CannotFinish where that cannot be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio turns Nagle's algorithm off for what it accepts: otherwise each response on a
    # connection that is kept open waits 40 ms, for the client's delayed acknowledgement of its headers.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as problem:
        listening.close()
        raise CannotFinish(f"{host}:{port} cannot be listened on: {problem.strerror}. Choose another --port.") from None
    listening.set_inheritable(True)
    return listening


def _tell_when_ready(host: str, port: int, tell: Callable[[str], None]) -> None:
    """Ask until an answer comes: only that shows that requests are answered."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    while True:
        try:
            connection = HTTPConnection(name, port, timeout=30)
            connection.request("GET", "/api/health/live")
            alive = connection.getresponse().status == 200
            connection.close()
        except OSError:
            alive = False
        if alive:
            tell(f"http://{f'[{host}]' if ':' in host else host}:{port}")
            return
        time.sleep(_READY_POLL_S)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _end_with_parent() -> None:
    """Let a worker end when the process that began it is gone, killed or not: it would keep the port otherwise."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        signal.raise_signal(signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


class _JsonLine(logging.Formatter):
    """A line of the service's own log, as JSON like the audit's, with the traceback in it."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        if record.name == AUDIT.name:
            return record.getMessage()
        line = {"at": round(record.created, 3), "level": record.levelname, "message": record.getMessage()}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLine())
    log = logging.getLogger("ptp")
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)
