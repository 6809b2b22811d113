"""The network side of the sync engine, with the timeouts that pyturso's own has not.

pyturso leaves HTTP and small files to its caller: an operation is resumed until it is done, and asks for input and
output between. Its own loop (`turso.lib_sync`) waits for a silent server without end, follows redirects with the token,
and takes an answer that was cut off for a whole one; so this is done here, for `create`, `connect` and `pull`. There is
no way here to push.
"""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3
from pydantic import SecretStr

from ptp.engine.replicas.waiting import Patience, RemoteRefused, Unreachable
from ptp.errors import CannotFinish, Locked

_CHUNK = 64 * 1024
_TOLD = 200  # characters of what a server says
_LOCKED = "locked by another process"


@dataclass(slots=True)
class Remote:
    """The primary as a replica reaches it: its base URL, the token, and how long to wait.

    `requests` and `received` count what was asked and the bytes that came, for whoever wants to tell of them.
    """

    url: str
    token: SecretStr | None = None
    patience: Patience = field(default_factory=Patience)
    requests: int = 0
    received: int = 0
    _pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False), repr=False)

    def post(self, path: str, *, method: str = "POST", headers: Mapping[str, str], body: bytes | None) -> Any:
        """The response to a request, its body still to be read; raises Unreachable and RemoteRefused."""
        sent = dict(headers)
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token.get_secret_value()}"
        self.requests += 1
        try:
            response = self._pool.request(
                method,
                f"{self.url}/{path.lstrip('/')}",
                body=body,
                headers=sent,
                redirect=False,
                preload_content=False,
                timeout=urllib3.Timeout(connect=self.patience.connect_s, read=self.patience.silence_s),
            )
        except urllib3.exceptions.HTTPError as problem:
            _forget_frames(problem)
            raise Unreachable(f"{self.url} cannot be reached ({_reason(problem)}): try again later.") from None
        if response.status != 200:
            said = response.read(_TOLD).decode("utf-8", "replace").strip()
            response.close()
            raise self._refused(response.status, said)
        return response

    def chunks(self, response: Any, *, until: float) -> Any:
        """The body in pieces; raises Unreachable where it breaks off, or is not done at `until` (monotonic seconds)."""
        try:
            for chunk in response.stream(_CHUNK, decode_content=False):
                self.received += len(chunk)
                yield chunk
                if time.monotonic() > until:
                    raise Unreachable(f"{self.url} did not finish in {self.patience.attempt_s:g} s: try again later.")
        except urllib3.exceptions.HTTPError as problem:
            _forget_frames(problem)
            raise Unreachable(f"{self.url} broke off its answer ({_reason(problem)}): try again later.") from None
        finally:
            response.close()

    def _refused(self, status: int, said: str) -> CannotFinish:
        told = f"{self.url} answered {status}" + (f" ({said})" if said else "")
        if status == 429 or status >= 500:
            return Unreachable(f"{told}: try again later.")
        if status in (401, 403):
            return RemoteRefused(f"{told}: give a token that is valid for it in TURSO_AUTH_TOKEN.")
        return RemoteRefused(f"{told}: is it the address of a Turso database or sync server?")


def _reason(problem: Exception) -> str:
    """Why, in a few words, without the objects that urllib3 names in its messages."""
    timed_out = isinstance(problem, urllib3.exceptions.TimeoutError)
    if timed_out and not isinstance(problem, urllib3.exceptions.NewConnectionError):
        return "no answer in time"
    text = str(getattr(problem, "reason", None) or problem)
    return re.sub(r"^\[Errno -?\d+\] ", "", text.rsplit(": ", 1)[-1].strip("()'\" ")) or type(problem).__name__


def _forget_frames(problem: BaseException) -> None:
    """Break the circles that urllib3's errors make with its frames, and theirs with ours, which hold the file open."""
    found: BaseException | None = problem
    while found is not None:
        traceback.clear_frames(found.__traceback__)
        found = found.__context__


def run(database: Any, operation: Any, remote: Remote) -> Any:
    """Bring an operation of the sync engine to its end, and give its result.

    Raises Unreachable or RemoteRefused where the remote is why it cannot be, Locked where another process has the file,
    CannotFinish with the engine's words otherwise.
    """
    failed: list[CannotFinish] = []
    try:
        return _run(database, operation, remote, failed)
    finally:
        failed.clear()  # it would keep this frame, and so the file, open until garbage is collected


def _run(database: Any, operation: Any, remote: Remote, failed: list[CannotFinish]) -> Any:
    until = time.monotonic() + remote.patience.attempt_s
    while True:
        try:
            done = operation.resume()
        except Exception as problem:
            if failed:
                raise failed[0] from None
            raise _named(str(problem)) from problem
        if done:
            return operation.take_result()
        if time.monotonic() > until:
            raise Unreachable(f"{remote.url} did not finish in {remote.patience.attempt_s:g} s: try again later.")
        while (item := database.take_io_item()) is not None:
            try:
                _serve(item, operation, remote, until)
            except CannotFinish as problem:
                failed.append(problem)
                item.poison(str(problem))
            except OSError as problem:
                failed.append(CannotFinish(f"{problem.filename}: {problem.strerror}."))
                item.poison(str(problem))
            except Exception as problem:
                raise _named(str(problem)) from problem
            finally:
                database.step_io_callbacks()


def _named(text: str) -> CannotFinish:
    if _LOCKED in text:
        return Locked("another process has it open, and pyturso lets in one at a time: end that one, or read there.")
    return CannotFinish(f"the sync engine says: {text.removeprefix('sync engine operation failed: ')}.")


def _serve(item: Any, operation: Any, remote: Remote, until: float) -> None:
    """Do what one item of the engine asks for: a request, or to read or write a small file whole."""
    asked = item.request()
    if asked.http is not None:
        _request(item, asked.http, operation, remote, until)
    elif asked.full_read is not None:
        path = Path(asked.full_read.path)
        if path.exists():  # an empty answer says that there is none
            item.push_buffer(path.read_bytes())
        item.done()
    elif asked.full_write is not None:
        _write_whole(Path(asked.full_write.path), bytes(asked.full_write.content or b""))
        item.done()
    else:
        item.poison("unknown kind of request")


def _request(item: Any, asked: Any, operation: Any, remote: Remote, until: float) -> None:
    headers = {str(name): str(value) for name, value in asked.headers or ()}
    body = None if asked.body is None else bytes(asked.body)
    response = remote.post(asked.path, method=asked.method, headers=headers, body=body)
    item.status(200)
    for chunk in remote.chunks(response, until=until):
        item.push_buffer(chunk)
        operation.resume()  # so that the engine takes it up, rather than to hold the whole answer
    item.done()


def _write_whole(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
