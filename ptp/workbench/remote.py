"""Databases on servers, as the commands take them: which URL is one, its mirror in a folder, what is told of both."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from ptp.engine.addresses import parse_address
from ptp.engine.remote_calls import Calls
from ptp.errors import SourceChanged, UsageError
from ptp.migration.record import read_record, write_record
from ptp.migration.remote.comparing import Seen
from ptp.migration.remote.mirror import Pulled, check_equal, pull
from ptp.results import Finding, Verdict
from ptp.settings import Environment, load_settings
from ptp.workbench.places import make_folder
from ptp.workbench.progress import Progress, quiet

FOLDER = "remote"
"""Where mirrors stand in a run folder."""


def is_remote(url: str | Path | None) -> bool:
    """Whether a source or target is a database on a server. Raises UsageError for a URL that is none."""
    return url is not None and parse_address(url).is_remote


def check_environment(url: str, env: Environment | None) -> None:
    """Raise UsageError where a server's database is that of prod, and is about to be treated as if it were not."""
    production = load_settings().turso_database_url_prod
    if env != "prod" and production and is_remote(production):
        known, given = (parse_address(u) for u in (production, url))
        if known.url.partition("://")[2] == given.url.partition("://")[2]:
            raise UsageError(f"{given.shown} is the database of prod (TURSO_DATABASE_URL_PROD): say --env prod.")


def name_of(url: str) -> str:
    """The name of a server's database: its host, by which a change of it is confirmed."""
    return Path(parse_address(url).shown).name


def mirror_at(calls: Calls, into: Path, *, quiet_rounds: int = 2, progress: Progress = quiet) -> Pulled:
    """The mirror of a server's database, from what is there of it already."""
    make_folder(into.parent)
    return pull(calls, into, quiet_rounds=quiet_rounds, progress=progress)


def mirrored(calls: Calls, folder: Path, *, name: str, progress: Progress = quiet) -> Pulled:
    """The same in a folder, by a name without its ending."""
    return mirror_at(calls, folder / f"{name}.db", progress=progress)


def mirror_finding(calls: Calls, found: Pulled, *, identity: str = "remote.source-mirrored") -> Finding:
    """The finding of a mirror that was proven: without that, there is none."""
    went_on = ", going on from what was there" if found.resumed else ""
    return Finding(
        id=identity,
        claim=f"{found.path.name} is the database on the server, row by row and in storage class",
        verdict="pass",
        severity="data",
        value=found.seen.rows,
        unit="rows equal",
        n=found.seen.rows,
        evidence=f"{found.seen.ranges} ranges of keys compared by digests that each side computes, in {found.rounds} "
        f"rounds; {found.fetched:,} rows fetched{went_on}; {calls.spent.words}",
    )


def equal_finding(identity: str, claim: str, told: list[str], seen: Seen, calls: Calls) -> Finding:
    """The finding of a comparison of a file with a server's database."""
    verdict: Verdict = "fail" if told else "pass"
    return Finding(
        id=identity,
        claim=claim,
        verdict=verdict,
        severity="data",
        value=len(told),
        unit="differences",
        limit=0,
        n=seen.rows,
        where=tuple(told),
        evidence=f"schema text, and {seen.ranges} ranges of keys by digests that each side computes; "
        f"{calls.spent.words}",
    )


def unchanged_finding(calls: Calls, mirror: Path, *, progress: Progress = quiet) -> Finding:
    """That a source on a server is still its mirror. Raises SourceChanged where it is not."""
    told, seen = check_equal(calls, mirror, progress=progress)
    if told:
        raise SourceChanged(
            f"{calls.shown} was written to while it was migrated ({told[0]}): stop what writes to it, and run the "
            "command again."
        )
    claim = "The source on the server was only read, and is at the end what its mirror is"
    return equal_finding("remote.source-unchanged", claim, [], seen, calls)


def rename_source(backup: Path, shown: str) -> None:
    """Let the record of a backup say of which database it is, where it was taken of that one's mirror."""
    write_record(backup, replace(read_record(backup), source=shown))


def refuse(url: str | Path | None, *, what: str, instead: str) -> None:
    """Raise UsageError where a command is given a server's database, and takes files only."""
    if url is not None and is_remote(url):
        raise UsageError(f"{what} takes a file, and {parse_address(url).shown} is on a server: {instead}.")


def file_name(url: str) -> str:
    """A name for the mirror of a server's database, the same every time: its host and path, in letters and digits."""
    return re.sub(r"[^A-Za-z0-9]+", "-", parse_address(url).url.partition("://")[2]).strip("-") + ".db"


def mirrors_folder() -> Path:
    """Where mirrors stay from one command to the next, which then fetches only what differs."""
    return load_settings().reports_dir / "mirrors"
