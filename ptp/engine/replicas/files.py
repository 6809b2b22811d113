"""The files of a replica, and what ptp notes of it beside them.

    FILE                the database, and FILE-wal its log
    FILE-info           the sync engine's own notes: which remote, which revision
    FILE-changes        what the last pull brought; FILE-wal-revert what it could take back
    FILE-ptp-replica    ours: of which remote it is, and when it was last seen to be up to date

Ours is written last when a replica is made and goes first when it is removed, so that a file with it is whole; the
engine's notes come first and go last, so that what was cut off is known for a replica.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ptp.errors import UsageError

_FILES = ("-info", "-changes", "-wal", "-wal-revert", "-shm", "")
_NOTES = "-ptp-replica"
_VERSION = 1
_ALSO_HTTP = {"libsql": "https", "turso": "https", "https": "https", "http": "http"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """What ptp knows of a replica: its remote, and Unix times of when it was made and when it last had everything.

    `current_at` is when the last pull that came to its end was begun: what the primary had by then, the replica shows.
    `log_bytes` is what FILE-wal had then: pulled pages stand in it alone, and without it an old replica looks fresh.
    """

    remote: str
    made_at: float
    current_at: float
    log_bytes: int = 0


def remote_url(text: str) -> str:
    """The base URL of a remote, `http(s)://host[:port]`, of what a user wrote; raises UsageError.

    Plain http goes to this machine only, where a token is given (`replica` checks that).
    """
    parts = urlsplit(text)
    scheme = _ALSO_HTTP.get(parts.scheme)
    try:
        port = parts.port
    except ValueError:
        port, scheme = None, None
    if scheme is None or not parts.hostname:
        raise UsageError(
            f"'{_shown(text)}' is no address that replicas pull from: write libsql://host, https://host or "
            "http://127.0.0.1:port."
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError(
            f"The address of {parts.hostname} holds more than a host and a port: a token goes into TURSO_AUTH_TOKEN."
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{scheme}://{host}{f':{port}' if port else ''}{parts.path.rstrip('/')}"


def _shown(text: str) -> str:
    """An address without what may be secret in it."""
    return text.split("?")[0].split("#")[0].rsplit("@", 1)[-1][:100]


def beside(path: Path, suffix: str) -> Path:
    """The file of a replica with this suffix."""
    return path.with_name(path.name + suffix)


def read_notes(path: Path) -> Notes | None:
    """What ptp noted of the replica at `path`, None where it noted nothing; raises UsageError for damage."""
    try:
        document = json.loads(beside(path, _NOTES).read_text(encoding="utf-8"))
        if document.pop("version") != _VERSION:
            raise ValueError("another version")
        return Notes(**document)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as problem:
        raise UsageError(
            f"{beside(path, _NOTES)} cannot be read ({problem}): make the replica anew with ptp replica rebuild."
        ) from None


def write_notes(path: Path, notes: Notes) -> None:
    """Note it, atomically; a power cut may lose the newest note, never the file."""
    target = beside(path, _NOTES)
    partial = target.with_name(target.name + ".partial")
    try:
        partial.write_text(json.dumps({"version": _VERSION, **asdict(notes)}) + "\n", encoding="utf-8")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def is_replica(path: Path) -> bool:
    """Whether the file is a replica, of ptp's making or another's."""
    return has_notes(path) or beside(path, "-info").exists()


def has_notes(path: Path) -> bool:
    """Whether ptp made the replica at `path`, and made it whole."""
    return beside(path, _NOTES).exists()


def check_no_replica(path: Path, *, doing: str) -> None:
    """Raise UsageError, with the reason, where `path` is a replica and somebody is to write to it or open it otherwise.

    `doing` completes 'cannot be ...', such as 'migrated'.
    """
    if is_replica(path):
        notes = read_notes(path)
        raise UsageError(
            f"{path} cannot be {doing}: it is a local replica{f' of {notes.remote}' if notes else ''}, which is only "
            "pulled and read; do that to the primary, and pull."
        )


def check_replica(path: Path, remote: str) -> Notes:
    """The notes of a replica that may be opened with `remote`; raises UsageError where it may not.

    The sync engine opens the replica of one remote with another without a word, and replaces or mixes its content.
    """
    notes = read_notes(path)
    if not path.is_file() or notes is None:
        what = "is no replica that ptp made" if path.exists() else "does not exist"
        how = "rebuild" if is_replica(path) else "create"
        raise UsageError(f"{path} {what}: ptp replica {how} --replica {path} --remote {remote} makes one.")
    if notes.remote != remote:
        raise UsageError(f"{path} is a replica of {notes.remote}, not of {remote}: give that remote, or another file.")
    if not beside(path, "-info").is_file():
        raise UsageError(f"{path} has lost its file {beside(path, '-info').name}: ptp replica rebuild makes it anew.")
    if (named := _remote_of_the_engine(path)) not in ("", remote):
        raise UsageError(f"{path} was last pulled from {named} by another program: ptp replica rebuild makes it anew.")
    if log_bytes(path) < notes.log_bytes:
        raise UsageError(f"{path} has lost its log, or part of it, and pulled rows with it: ptp replica rebuild.")
    return notes


def log_bytes(path: Path) -> int:
    """The size of a replica's log, 0 where it has none."""
    log = beside(path, "-wal")
    return log.stat().st_size if log.exists() else 0


def _remote_of_the_engine(path: Path) -> str:
    """The remote in the sync engine's own notes, empty where it says none."""
    try:
        info = json.loads(beside(path, "-info").read_text(encoding="utf-8"))
        named = str(info["saved_configuration"]["remote_url"] or "")
        return remote_url(named) if named else ""
    except (OSError, ValueError, KeyError, TypeError, UsageError):
        return ""


def remove_files(path: Path) -> None:
    """Remove a replica with all that belongs to it; nothing where there is none."""
    for suffix in (_NOTES, *reversed(_FILES)):
        beside(path, suffix).unlink(missing_ok=True)


def is_locked(path: Path) -> bool:
    """Whether another process holds a lock on a file that this one has not open."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        if problem.errno in (errno.EAGAIN, errno.EACCES):
            return True
        raise
    finally:
        os.close(descriptor)
    return False


def rename_files(source: Path, target: Path) -> None:
    """Give a replica that is closed another name."""
    for suffix in (*_FILES, _NOTES):
        if beside(source, suffix).exists():
            beside(source, suffix).replace(beside(target, suffix))
