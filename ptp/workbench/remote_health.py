"""`ptp health` of a database on a server: what can be asked of it, and its content looked at in a mirror, made now."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ptp.engine import open_engine
from ptp.engine.remote_calls import Calls
from ptp.engine.routes import route_of
from ptp.evidence import Stage
from ptp.results import Finding, Result
from ptp.settings import load_settings
from ptp.workbench import health
from ptp.workbench.progress import Progress, part, quiet
from ptp.workbench.remote import mirror_finding, mirrored

_OF_A_FILE = {
    "health.pages": "the server's pages cannot be seen from here",
    "health.free-pages": "the server's pages cannot be seen from here",
    "health.disk": "the server's disk cannot be seen from here",
    "health.log": "the server keeps its own log",
}
_OF_THIS_MACHINE = "health.query."


def examine_remote(url: str, *, progress: Progress = quiet) -> Stage:
    """Look at the database that a URL names; it is only read. Raises ptp's errors for what is in the way."""
    started, settings = time.perf_counter(), load_settings()
    token = settings.token_for(url)
    with tempfile.TemporaryDirectory(prefix="ptp-health-") as scratch, Calls(url, token=token) as calls:
        found = mirrored(calls, Path(scratch), name="mirror", progress=part(progress, 0.0, 0.5))
        results: list[Result] = [_connects(url), mirror_finding(calls, found, identity="health.mirrored")]
        results += _of_content(health.examine(found.path, progress=part(progress, 0.5, 1.0)))
    return Stage(health.NAME, health.TITLE, time.perf_counter() - started, tuple(results))


def _of_content(stage: Stage) -> Iterator[Finding]:
    """What a look at the mirror says of the server's content; of its file nothing, and times are those of no server."""
    for finding in stage.findings:
        if reason := _OF_A_FILE.get(finding.id):
            told = {"value": None, "where": (), "evidence": reason}
            yield replace(finding, verdict="not applicable", **told)  # type: ignore[arg-type]
        elif finding.id != "health.connection" and not finding.id.startswith(_OF_THIS_MACHINE):
            yield finding


def _connects(url: str) -> Finding:
    engine = open_engine(url, read_only=True)
    try:
        began = time.perf_counter()
        with engine.connect() as db:  # refuses a server on which foreign keys stay off
            version = db.exec_driver_sql("SELECT sqlite_version()").scalar()
        seconds = time.perf_counter() - began
    finally:
        engine.dispose()
    return Finding(
        id="health.connection",
        claim="A connection can be had, and has foreign keys on",
        verdict="pass",
        evidence=f"SQLite {version}, {route_of(engine).title}, foreign_keys read back, "
        f"{seconds * 1000:.0f} ms for the first answer; ptp bench --target URL measures the queries",
    )
