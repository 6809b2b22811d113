"""Making, opening, making anew and removing a replica; each is whole or known to be none, whatever ends it."""

from __future__ import annotations

import importlib
import time
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from ptp.engine.occupied import check_free_for_sqlite3, hold
from ptp.engine.replicas import files
from ptp.engine.replicas.files import Notes
from ptp.engine.replicas.replica import Replica
from ptp.engine.replicas.transport import Remote, run
from ptp.engine.replicas.waiting import Patience, with_retries
from ptp.errors import CannotFinish, Locked, UsageError

_MAKING = ".making"
_HERE = ("127.0.0.1", "localhost", "[::1]")


def open_replica(
    path: Path, remote: str, *, token: SecretStr | None = None, patience: Patience | None = None
) -> Replica:
    """Open a replica that is there already, without asking the remote: reads work while it is down.

    Raises UsageError for a file that is none, or is another remote's, or was written to; Locked where another process
    has it; CannotFinish where this process has it open by another library.
    """
    reached = _reached(remote, token, patience)
    notes = files.check_replica(path, reached.url)
    held = hold(path, "pyturso", alone=True)
    try:
        replica = Replica(path, reached, _database(path, reached, bootstrap=False), notes, held)
        count = replica.local_changes()
    except BaseException:
        held.release()
        raise
    if count:
        replica.close()
        raise UsageError(
            f"{path} holds {count} changes that another program wrote to it and never pushed, and a pull may "
            "drop them: save what is needed, then ptp replica rebuild."
        )
    return replica


def create_replica(
    path: Path, remote: str, *, token: SecretStr | None = None, patience: Patience | None = None
) -> Replica:
    """Make a new replica from all that the remote has; raises UsageError where a file is in the way.

    Raises Unreachable where the remote is, and then leaves nothing.
    """
    reached = _reached(remote, token, patience)
    if path.exists() or files.is_replica(path):
        raise UsageError(f"{path} is there already: give another file, or ptp replica rebuild where it is a replica.")
    if not path.parent.is_dir():
        raise UsageError(f"There is no folder {path.parent}.")

    _make(path, reached)
    return open_replica(path, remote, token=token, patience=patience)


def rebuild_replica(
    path: Path, remote: str, *, token: SecretStr | None = None, patience: Patience | None = None
) -> Replica:
    """Make a replica anew, whatever state it is in; the old one goes once the new one is there.

    Raises UsageError for a file that is no replica, or is another remote's; Locked where another process has it open.
    """
    reached = _reached(remote, token, patience)
    if path.exists() and not files.is_replica(path):
        raise UsageError(f"{path} is no replica: it is left as it is; give another file.")
    _check_same_remote(path, reached.url)
    _check_replaceable(path)
    _make(path, reached)
    return open_replica(path, remote, token=token, patience=patience)


def remove_replica(path: Path) -> None:
    """Remove a replica with its companions; raises UsageError for a file that is none, Locked where it is in use."""
    if not files.is_replica(path):
        raise UsageError(f"{path} is no replica: it is left as it is.")
    _check_replaceable(path)
    files.remove_files(path)


def _make(path: Path, remote: Remote) -> None:
    """Fetch all of the remote under another name, and put it in the place of whatever replica is at `path`."""
    fresh = files.beside(path, _MAKING)

    def fetch() -> None:
        files.remove_files(fresh)  # of an attempt that was cut off
        began = time.time()
        _database(fresh, remote, bootstrap=True)
        log = files.log_bytes(fresh)
        files.write_notes(fresh, Notes(remote=remote.url, made_at=began, current_at=began, log_bytes=log))

    try:
        with_retries(fetch, remote.patience)
        files.remove_files(path)
        files.rename_files(fresh, path)
    finally:
        files.remove_files(fresh)


def _check_same_remote(path: Path, url: str) -> None:
    try:
        notes = files.read_notes(path)
    except UsageError:  # notes that cannot be read are a reason to rebuild
        return
    if notes is not None and notes.remote != url:
        raise UsageError(f"{path} is a replica of {notes.remote}, not of {url}: give that remote, or another file.")


def _check_replaceable(path: Path) -> None:
    """Raise where a replica cannot go: somebody has it open, or it is another program's, with writes of its own."""
    if not path.exists():
        return
    try:
        check_free_for_sqlite3(path)
    except CannotFinish:
        raise CannotFinish(f"{path} is open in this process: close it there first.") from None
    if files.is_locked(path):
        raise Locked(f"{path} is open in another process: end that one first.")
    if not files.has_notes(path) and _was_written(path):
        raise UsageError(f"{path} is a file that another program writes to and syncs: it is left as it is.")


def _was_written(path: Path) -> bool:
    """Whether a file of the sync engine was ever pushed, or holds changes that were not; False for a damaged one."""
    try:
        remote = Remote("http://127.0.0.1:9", patience=Patience(attempts=1))
        database = _database(path, remote, bootstrap=False)
        stats = run(database, database.stats(), remote).stats
    except CannotFinish:
        return False
    return bool(stats.cdc_operations or stats.last_push_unix_time)


def _reached(remote: str, token: SecretStr | None, patience: Patience | None) -> Remote:
    url = files.remote_url(remote)
    host = url.split("://")[1].split("/")[0]
    if token is not None and url.startswith("http://") and host.rsplit(":", 1)[0] not in _HERE:
        raise UsageError(f"A token would travel to {host} in the clear: use https://, or no token.")
    return Remote(url, token, patience or Patience())


def _database(path: Path, remote: Remote, *, bootstrap: bool) -> Any:
    """The sync engine on a file; with `bootstrap` it fetches all of the remote into a new one."""
    native = _native()
    database = native.py_turso_sync_new(
        native.PyTursoDatabaseConfig(path=str(path)),
        native.PyTursoSyncDatabaseConfig(
            path=str(path), remote_url=remote.url, client_name="ptp-replica", bootstrap_if_empty=bootstrap
        ),
    )
    try:
        run(database, database.create(), remote)
    except Locked as problem:
        raise Locked(f"{path}: {problem}") from None
    return database


def _native() -> Any:
    try:
        return importlib.import_module("turso._turso")
    except ImportError as problem:
        raise UsageError(f"Replicas need the package pyturso ({problem}): pip install 'ptp[turso]'.") from None
