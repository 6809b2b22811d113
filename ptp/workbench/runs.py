"""The runs in the folder of reports: which there are, which a policy lets go, and how they are let go."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ptp.results import VERSION
from ptp.settings import Settings

LATEST = "latest"
_GOING = ".going-"  # before the name of a run that is being removed, so that half of one is never taken for a run
_NEVER_LONGER = timedelta(days=1)  # a run without a verdict that began longer ago than this is not at work any more


@dataclass(frozen=True, slots=True)
class Known:
    """A run in the folder: where, what it is called, when it began in UTC, its verdict (None without one), its source.

    `seconds` is how long it took.
    """

    path: Path
    id: str
    started: datetime
    verdict: str | None
    source: str
    profile: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Decided:
    """A run and why it stays; one with no reason goes."""

    run: Known
    reason: str


def list_runs(reports: Path) -> list[Known]:
    """The runs that stand in the folder, the newest first; what is no run, or a link, is none of them."""
    folders = sorted(p for p in reports.iterdir() if _is_own(p)) if reports.is_dir() else []
    found = [run for folder in folders if (run := _known(folder)) is not None]
    return sorted(found, key=lambda run: (run.started, run.path.name), reverse=True)


def decide(
    runs: Sequence[Known], *, keep: int, days: int, now: datetime, latest: Path | None, in_use: Collection[Path]
) -> list[Decided]:
    """For each run, newest first, whether it stays. `in_use` are those whose databases somebody uses."""
    passed = next((run.path for run in runs if run.verdict == "pass"), None)
    found = []
    for number, run in enumerate(runs):
        reasons = (
            ("the newest that passed", run.path == passed),
            ("latest points to it", run.path == latest),
            ("it may be at work still", run.verdict is None and now - run.started < _NEVER_LONGER),
            ("a database in it is used", run.path in in_use),
            (f"one of the newest {keep}", number < keep),
            (f"not older than {days} days", now - run.started < timedelta(days=days)),
        )
        found.append(Decided(run, next((reason for reason, holds in reasons if holds), "")))
    return found


def prune(reports: Path, settings: Settings, *, keep: int, days: int, dry_run: bool) -> list[Decided]:
    """Remove the runs that the policy lets go, with the databases in them, and say of each why it stays.

    A run stays in any case that passed as the last one, that `latest` points to, or whose databases are used: one
    that was written to since, is open, or stands in the settings. With `dry_run` nothing is removed.
    """
    runs, now = list_runs(reports), datetime.now(UTC)
    link = reports / LATEST
    latest = reports / link.resolve().name if link.is_symlink() else None
    in_use = {run.path for run in runs if _is_used(run.path, settings)}
    decided = decide(runs, keep=keep, days=days, now=now, latest=latest, in_use=in_use)
    if not dry_run:
        for left in reports.glob(f"{_GOING}*"):  # of a prune that was killed
            shutil.rmtree(left, ignore_errors=True)
        for gone in (d.run.path for d in decided if not d.reason):
            shutil.rmtree(gone.rename(gone.with_name(_GOING + gone.name)))
    return decided


def _is_own(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not path.name.startswith(".")


def _known(folder: Path) -> Known | None:
    """What run.json and verdict.json say; None where the folder is no run of this version."""
    try:
        run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        started = datetime.fromisoformat(run["started"]).astimezone(UTC)
        if run["version"] != VERSION:
            return None
        known = (str(run["id"]), started, _verdict(folder), str(run["source"]), str(run["profile"]))
        return Known(folder, *known, float(run["seconds"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _verdict(folder: Path) -> str | None:
    """The verdict on record; None where there is none that can be read."""
    try:
        return str(json.loads((folder / "verdict.json").read_text(encoding="utf-8"))["verdict"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_used(folder: Path, settings: Settings) -> bool:
    ended = max((f.stat().st_mtime for f in (folder / "run.json", folder / "verdict.json") if f.is_file()), default=0.0)
    return any(_is_database_used(path, ended, settings) for path in _databases(folder))


def _databases(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*.db") if path.is_file())


def _is_database_used(path: Path, ended: float, settings: Settings) -> bool:
    """Written to since its run ended, open with a log beside it, or named by the settings."""
    companions = [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal", ".ptp-lock")]
    named = (settings.source, *(settings.database_url(env) for env in ("dev", "staging", "prod")))
    places = {Path(url.removeprefix("sqlite:///")).resolve() for url in named if url and "://" not in url[10:]}
    return path.stat().st_mtime > ended or any(c.exists() for c in companions) or path.resolve() in places
