"""Backups of a database on a server: of a proven mirror of it; and a backup brought back into an empty one there."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from ptp.engine.addresses import parse_address
from ptp.engine.remote_calls import Calls
from ptp.errors import UsageError
from ptp.evidence import Stage
from ptp.migration.record import digest_of, read_record
from ptp.migration.remote.checks import check_references, check_virtual
from ptp.migration.remote.loading import BESIDES, check_loadable, load, open_loaded
from ptp.migration.remote.mirror import check_equal
from ptp.results import worst
from ptp.workbench import backing, remote
from ptp.workbench.progress import Progress, part, quiet

MIRRORS = "mirrors"  # in the folder of backups


def take(url: str, folder: Path, *, progress: Progress = quiet) -> Stage:
    """Back up a server's database into a folder, and prove the backup; the mirror stays, for the next one."""
    started = time.perf_counter()
    with Calls(url) as calls:
        found = remote.mirror_at(calls, folder / MIRRORS / remote.file_name(url), progress=part(progress, 0.0, 0.7))
        mirror = remote.mirror_finding(calls, found)
    stage = backing.take(found.path, folder, progress=part(progress, 0.7, 1.0))
    row = stage.tables["Backup"][0]
    remote.rename_source(Path(str(row["backup"])), parse_address(url).shown)
    table = {"Backup": [{**row, "of": parse_address(url).shown}]}
    return replace(stage, seconds=time.perf_counter() - started, results=(mirror, *stage.results), tables=table)


def check_restorable(backup: Path, url: str) -> None:
    """Raise UsageError where a backup is broken, or the server's database is not empty and holds no part of it."""
    if problem := backing.why_broken(backup, read_record(backup)):
        raise UsageError(f"{backup} is not restored: {problem}. Name another one; ptp backup list names them.")
    with Calls(url) as calls:
        check_loadable(calls, resume=True)


def bring_back(backup: Path, url: str, *, progress: Progress = quiet) -> Stage:
    """Load a backup into an empty database on a server, compare all of it, and open it; or go on with that."""
    started = time.perf_counter()
    check_restorable(backup, url)
    record = read_record(backup)
    with Calls(url) as calls:
        done = load(calls, backup, run=digest_of(backup)[:16], other=record.source, progress=part(progress, 0.0, 0.7))
        told, seen = check_equal(calls, backup, besides=BESIDES, progress=part(progress, 0.7, 1.0))
        equal = remote.equal_finding(
            "backup.restored", "The database on the server is what the backup holds", told, seen, calls
        )
        findings = [equal, *check_references(calls, backup), *check_virtual(calls, backup)]
        if worst(findings) == "pass":
            open_loaded(calls)
    row: dict[str, object] = {"database": parse_address(url).shown, "from": str(backup), "rows": seen.rows}
    row |= {"not kept": "; ".join(done.not_kept)} if done.not_kept else {}
    return Stage(backing.NAME, "Restore", time.perf_counter() - started, tuple(findings), {"Restored": [row]})
