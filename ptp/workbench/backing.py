"""`ptp backup`: take, list, check, restore and let go of backups, in a folder where each stands with its record."""

from __future__ import annotations

import fcntl
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from ptp.engine import check_database, connect_file, errors_named
from ptp.engine.files import check_temporary_space
from ptp.engine.headers import companion_bytes
from ptp.errors import CannotFinish, Locked, PtpError, UsageError
from ptp.evidence import Stage
from ptp.migration.backup import check_space, restored_rows, take_backup
from ptp.migration.record import Record, digest_of, read_record, record_of, stamp
from ptp.migration.restore import Restore, is_read_only, restore
from ptp.migration.restore import settle as settle_restore
from ptp.migration.retention import Decided, Kept, decide
from ptp.migration.same import count_rows
from ptp.results import Finding
from ptp.workbench.places import make_folder
from ptp.workbench.progress import Progress, part, quiet

NAME = "backup"
_OURS = re.compile(r".+-\d{8}T\d{6}Z(-\d+)?\.db")
_LOCK, _NOTE = ".ptp-backup.lock", ".ptp-restore.json"
_WITH_SCRATCH = 2.1  # times the database: the backup, and what is restored from it to prove it
_RUN_FILES = ("*.json", "*.jsonl", "results/*.json", "journal/*")


@contextmanager
def at_work(folder: Path) -> Iterator[None]:
    """The folder for one command alone, cleared of what a command that was killed has left.

    Raises Locked while another is at work there.
    """
    make_folder(folder)
    with (folder / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system lets go of it when its owner dies
        except BlockingIOError:
            raise Locked(
                f"Another ptp backup is at work in {folder}. Wait for it, and run the command again."
            ) from None
        _clear(folder)
        yield


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        found = _OURS.match(path.name)
        rest = path.name[found.end() :] if found else ""
        whole = folder / found.group() if found else path
        if ".partial" in rest or (rest == ".json" and not whole.exists()):
            path.unlink(missing_ok=True)


def interrupted(folder: Path) -> str:
    """What became of a restore that was cut off, in one sentence; empty where there was none."""
    if not (folder / _NOTE).is_file():
        return ""
    with at_work(folder):
        return settle_restore(folder / _NOTE) if (folder / _NOTE).is_file() else ""


def take(source: Path, folder: Path, *, progress: Progress = quiet) -> Stage:
    """Back up a database into a folder and prove the backup; raises what `take_backup` does."""
    started = time.perf_counter()
    check_database(source)
    with at_work(folder):
        check_space(folder, needed_bytes=int(_size(source) * _WITH_SCRATCH))
        path = _free_name(folder, source)
        found = take_backup(source, path, progress=progress, record=True)
    record = read_record(path)
    finding = Finding(
        id="backup.proven",
        claim="What was restored from the backup is the source, row by row and in storage class",
        verdict="pass",
        severity="data",
        value=found.rows,
        unit="rows equal",
        n=found.rows,
        evidence=f"{path.name}, {found.tables} tables, blake2b {record.blake2b[:16]}",
    )
    seconds = time.perf_counter() - started
    return Stage(NAME, "Backup", seconds, (finding,), {"Backup": [{**_row(Kept(path, record)), **_seconds(record)}]})


def list_backups(folder: Path) -> list[Kept]:
    """The backups of a folder with their records, newest first; what has no record that can be read is no backup."""
    found = []
    for path in sorted(folder.glob("*.db")) if folder.is_dir() else ():
        with suppress(UsageError):
            found.append(Kept(path, read_record(path)))
    return sorted(found, key=lambda b: (b.taken, b.path.name), reverse=True)


def readable(backups: Sequence[Kept]) -> list[dict[str, object]]:
    """Backups as rows to read."""
    return [_row(b) for b in backups]


def _row(backup: Kept) -> dict[str, object]:
    r = backup.record
    return {
        "backup": str(backup.path),
        "of": r.source,
        "taken": r.taken,
        "MB": round(r.bytes / 1e6, 3),
        "rows": sum(r.rows.values()),
        "proven": f"{r.proven} by ptp {r.ptp}" if r.proven else "no: damage keeps its rows from being read",
    }


def _seconds(record: Record) -> dict[str, float]:
    return {f"{name}, s": value for name, value in record.seconds.items()}


def check(backups: Sequence[Path], *, progress: Progress = quiet) -> Stage:
    """Prove backups anew without their source: bytes, what is restored from them, and the rows of each table."""
    started = time.perf_counter()
    for path in backups:
        read_record(path)
    results = [
        _checked(path, part(progress, number / len(backups), (number + 1) / len(backups)))
        for number, path in enumerate(backups)
    ]
    if not results:
        raise UsageError("There is no backup to check: take one with ptp backup take --source FILE.")
    return Stage(NAME, "Backups checked", time.perf_counter() - started, tuple(results))


def _checked(path: Path, progress: Progress) -> Finding:
    record = read_record(path)
    problem = why_broken(path, record)
    if not problem:
        check_temporary_space(record.bytes)
        try:
            with TemporaryDirectory(prefix="ptp-check-") as scratch:
                rows = restored_rows(path, Path(scratch, "restored.db"), progress=progress)
            problem = _rows_differ(record.rows, rows) if record.proven else "damage kept its rows from being read"
        except Locked:
            raise
        except PtpError as unproven:
            problem = str(unproven)
    return Finding(
        id=f"backup.{path.stem}",
        claim=f"{path.name} is whole, and comes back with the rows that it was taken with",
        verdict="fail" if problem else "pass",
        severity="data",
        value=sum(record.rows.values()),
        unit="rows",
        n=sum(record.rows.values()),
        where=(problem,) if problem else (),
        evidence=f"blake2b of its bytes, a restore into a scratch file compared row by row, taken {record.taken}",
    )


def why_broken(path: Path, record: Record) -> str:
    """Why a backup's bytes are not those that were proven; empty where they are."""
    if not path.is_file():
        return f"there is no file {path}"
    for suffix in ("-wal", "-journal"):
        if companion_bytes(path, suffix):
            return f"{path.name}{suffix} stands beside it: the backup was opened and written to"
    if path.stat().st_size != record.bytes:
        return f"it has {path.stat().st_size:,} bytes, and had {record.bytes:,} when it was proven"
    return "" if digest_of(path) == record.blake2b else "its bytes are not those that were proven (blake2b)"


def _rows_differ(then: Mapping[str, int], now: Mapping[str, int]) -> str:
    for table in dict.fromkeys((*then, *now)):
        if then.get(table) != now.get(table):
            return f"table {table} had {then.get(table, 'no')} rows, and has {now.get(table, 'none')}"
    return ""


def restoring(backup: Path, target: Path, folder: Path) -> Restore:
    """A restore as it would be done; raises UsageError where it cannot be."""
    record = read_record(backup)
    if problem := why_broken(backup, record):
        raise UsageError(f"{backup} is not restored: {problem}. Name another one; ptp backup list names them.")
    if not target.parent.is_dir():
        raise UsageError(f"There is no folder {target.parent} for the restored database.")
    if target.exists() and (target.is_dir() or target.samefile(backup)):
        raise UsageError(
            f"{target} cannot be restored: it is {'a folder' if target.is_dir() else 'the backup itself'}."
        )
    if is_read_only(target):
        raise UsageError(f"{target} cannot be restored: it, or its folder, is read-only.")
    return Restore(backup, target, _free_name(folder, target), record.journal_mode, stamp())


def compared_rows(todo: Restore) -> list[dict[str, object]]:
    """Each table's rows as they are in the target, and as they would be restored."""
    then, now = read_record(todo.backup).rows, dict[str, int]()
    if todo.target.is_file() and todo.target.stat().st_size:
        with suppress(CannotFinish), errors_named(todo.target), connect_file(todo.target, read_only=True) as db:
            now = count_rows(db)  # none where it is damaged
    return [
        {"table": t, "rows now": now.get(t, "-"), "restored": then.get(t, "-")} for t in dict.fromkeys((*now, *then))
    ]


def bring_back(backup: Path, target: Path, folder: Path, *, progress: Progress = quiet) -> Stage:
    """Restore a backup into a database that nobody has open, and keep what it replaces as a backup in the folder."""
    started = time.perf_counter()
    read_record(backup)
    with at_work(folder):
        todo = restoring(backup, target, folder)
        size = _size(target) if target.exists() else 0
        check_space(folder, needed_bytes=int(size * _WITH_SCRATCH))
        check_space(target.parent, needed_bytes=size + backup.stat().st_size)
        rows = restore(todo, folder / _NOTE, progress=progress)
    finding = Finding(
        id="backup.restored",
        claim="The database is what the backup holds, row by row and in storage class",
        verdict="pass",
        severity="data",
        value=sum(rows.values()),
        unit="rows equal",
        n=sum(rows.values()),
        evidence=f"compared with {backup.name} after the restore, before anybody else could open it",
    )
    told = {"database": str(target), "from": str(backup)}
    if todo.aside.exists():
        told["kept aside"] = str(todo.aside)
    return Stage(NAME, "Restore", time.perf_counter() - started, (finding,), {"Restored": [told]})


def undo_of(restored: Stage) -> str:
    """The command that takes a restore back; empty where it replaced nothing."""
    told = restored.tables["Restored"][0]
    aside = told.get("kept aside")
    return f"ptp backup restore {aside} --target {told['database']}" if aside else ""


def prune(
    folder: Path, reports: Path, *, keep: int, days: int, dry_run: bool, progress: Progress = quiet
) -> list[Decided]:
    """Remove the backups that the policy lets go, and say of each why it stays.

    First the newest one of each database is looked for that is whole, byte for byte: that one stays in any case.

    With `dry_run` nothing is removed.
    """
    if not folder.is_dir():
        return []
    with at_work(folder):
        backups = list_backups(folder)
        progress(0.1, "looking at the newest backups")
        named = _named_by_runs([b.path for b in backups], reports)
        decided = decide(
            backups, keep=keep, days=days, now=datetime.now(UTC), proven=_newest_whole(backups), named=named
        )
        for gone in (d.backup.path for d in decided if not d.reason and not dry_run):
            gone.unlink()
            record_of(gone).unlink(missing_ok=True)
    return decided


def _newest_whole(backups: Sequence[Kept]) -> set[Path]:
    """Of each database the newest backup that was proven and whose bytes are still those."""
    found: dict[str, Path] = {}
    for backup in backups:
        of = backup.record.source
        if of not in found and backup.record.proven and not why_broken(backup.path, backup.record):
            found[of] = backup.path
    return set(found.values())


def _named_by_runs(backups: Sequence[Path], reports: Path) -> Collection[Path]:
    """The backups whose names stand in a run folder: in its journal, or in what it found."""
    missing = {path.name: path for path in backups}
    found = []
    for file in (f for pattern in _RUN_FILES for f in reports.glob(f"*/{pattern}") if f.is_file()):
        with file.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                found += [missing.pop(name) for name in list(missing) if name in line]
    return found


def _size(database: Path) -> int:
    return database.stat().st_size + companion_bytes(database, "-wal")


def _free_name(folder: Path, source: Path) -> Path:
    """NAME-<UTC>.db; a second one within the second has -2 behind it."""
    name = f"{source.stem}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    for number in range(1, 1_000):
        path = folder / f"{name}{f'-{number}' if number > 1 else ''}.db"
        if not path.exists():
            return path
    raise UsageError(f"{folder} has a thousand backups of this second.")
