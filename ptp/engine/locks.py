"""Locks of ptp's own: one migrator at a time for a database, told apart from a dead one by the system itself.

The lock stands on a file of its own beside the database: closing a second handle on the database file itself would
drop the locks that SQLite holds on it. The system takes it from a process that dies, however it dies.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ptp.errors import Locked

_TOLD = 1_000  # bytes, at most, that a holder writes of itself


def lock_of(path: Path) -> Path:
    """The file that the lock of a database stands on."""
    return path.with_name(path.name + ".ptp-lock")


@contextmanager
def held(path: Path, *, doing: str) -> Iterator[None]:
    """Hold the lock of a database; raises Locked, naming who holds it and for what, where another process does."""
    lock = lock_of(path)
    descriptor = _taken(lock, path)
    try:
        told = {"doing": doing, "process": os.getpid(), "host": socket.gethostname(), "since": int(time.time())}
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(told).encode())
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def check_free(path: Path) -> None:
    """Raise Locked, naming who holds it and for what, where another process holds the lock of a database."""
    try:
        descriptor = os.open(lock_of(path), os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        told = os.read(descriptor, _TOLD)
        if f'"process": {os.getpid()},'.encode() not in told:
            raise Locked(_held_by(path, told)) from None
    finally:
        os.close(descriptor)


def _taken(lock: Path, path: Path) -> int:
    tries = 5
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            told = os.read(descriptor, _TOLD)
            os.close(descriptor)
            if tries > 0:  # who only asked whether it is free has it for a moment
                tries -= 1
                time.sleep(0.01)
                continue
            raise Locked(_held_by(path, told)) from None
        # Whoever held it before us may have removed the file meanwhile.
        if lock.exists() and os.path.samestat(os.fstat(descriptor), lock.stat()):
            return descriptor
        os.close(descriptor)


def _held_by(path: Path, told: bytes) -> str:
    return f"{path} is in the hands of another ptp ({_holder(told)}): wait for it, or end it."


def _holder(written: bytes) -> str:
    try:
        told = json.loads(written)
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(told["since"]))
        return f"{told['doing']}, process {told['process']} on {told['host']}, since {since}"
    except (ValueError, KeyError, TypeError):
        return "which has only just begun"
