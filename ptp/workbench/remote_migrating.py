"""Migration from or to a server: a mirror of the source, the target built and verified as a file, and that one loaded.

All that decides is done on files, by what migrates files; only then does anything go to the server. What is loaded is
opened last, when it was compared, and the source with its mirror once more. Cut off at any point, the source is as it
was, and the same command with --resume finishes it.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from ptp.engine import connect_file, errors_named
from ptp.engine.addresses import parse_address
from ptp.engine.remote_calls import Calls
from ptp.errors import SourceChanged, UsageError
from ptp.evidence import Stage, read_stage, write_stage
from ptp.migration import journal
from ptp.migration.backup import fingerprint
from ptp.migration.plan import OnDirty
from ptp.migration.remote.checks import check_references, check_virtual
from ptp.migration.remote.loading import BESIDES, check_loadable, load, open_loaded
from ptp.migration.remote.mirror import check_equal
from ptp.results import Finding, worst
from ptp.workbench import migrating, remote, verifying
from ptp.workbench.progress import Progress, part, quiet

TARGET = Path(remote.FOLDER, "target.db")  # in the run folder, beside the mirror of the source, named as its host


@dataclass(frozen=True, slots=True)
class Way:
    """What is migrated where: URLs as given, and the files that the work is done on."""

    source: str
    target: str
    old: Path
    new: Path
    out: Path

    @property
    def reads(self) -> bool:
        """Whether the source is on a server."""
        return remote.is_remote(self.source)

    @property
    def loads(self) -> bool:
        """Whether the target is on a server."""
        return remote.is_remote(self.target)


def way_of(source: str, target: str, out: Path) -> Way:
    """The way from a source to a target, of which one at least is on a server."""
    addresses = [parse_address(u) for u in (source, target)]
    own = (Path(remote.FOLDER, remote.name_of(source)), TARGET)
    files = [a.path or out / name for a, name in zip(addresses, own, strict=True)]
    if addresses[0].is_remote and addresses[0].url == addresses[1].url:
        raise UsageError(f"{addresses[0].shown} cannot be migrated into itself: name an empty database with --target.")
    return Way(source, target, files[0], files[1], out)


def check(way: Way, *, resume: bool) -> None:
    """Raise UsageError where the target cannot take it, before anything is read or written."""
    if not way.loads:
        migrating.check_target(way.new, out=way.out)
        return
    if resume and not way.new.is_file() and not way.old.is_file():
        raise UsageError(
            f"{way.out} holds nothing to go on with: name the folder of the run that was cut off by --out."
        )
    if not resume:
        if way.new.exists():
            raise UsageError(f"{way.out} holds a run already: finish it with --resume, or name a new folder by --out.")
        with Calls(way.target) as calls:
            check_loadable(calls)


def fetch(way: Way, *, progress: Progress = quiet) -> Finding | None:
    """Make the mirror of a source on a server; None where the source is a file."""
    if not way.reads:
        return None
    with Calls(way.source) as calls:
        return remote.mirror_finding(calls, remote.mirror_at(calls, way.old, quiet_rounds=1, progress=progress))


def migrate(
    way: Way,
    *,
    run: str,
    on_dirty: OnDirty = "stop",
    driver: str | None = None,
    progress: Progress = quiet,
) -> Stage:
    """Migrate, and leave the target open, where everything holds; otherwise with the finding that did not."""
    started = time.perf_counter()
    (way.out / remote.FOLDER).mkdir(exist_ok=True)
    before = "" if way.reads else fingerprint(way.old)
    results: list[Finding] = []
    told = way.out / "results" / f"{migrating.NAME}.json"
    if way.loads and way.new.is_file() and told.is_file():  # built by an attempt that was cut off
        stage = read_stage(told)
    else:
        if way.loads:
            way.new.unlink(missing_ok=True)  # whoever built it did not come to tell so
        if mirror := fetch(way, progress=part(progress, 0.0, 0.2)):
            results.append(mirror)
        stage = _built(way, run=run, on_dirty=on_dirty, driver=driver, progress=part(progress, 0.2, 0.5))
        stage = replace(stage, results=(*stage.results, *results))
        write_stage(way.out, stage)
    verified = _verified(way, part(progress, 0.5, 0.6))
    found = [verified]
    if verified.verdict == "pass":
        found += _finished(way, run=run, before=before, progress=part(progress, 0.6, 1.0))
    kept = [r for r in stage.results if getattr(r, "id", "") not in {f.id for f in found}]
    return replace(stage, seconds=time.perf_counter() - started, results=(*kept, *found))


def _built(way: Way, *, run: str, on_dirty: OnDirty, driver: str | None, progress: Progress) -> Stage:
    stage = migrating.migrate(way.old, way.new, way.out, run=run, on_dirty=on_dirty, driver=driver, progress=progress)
    if way.reads:
        remote.rename_source(way.out / migrating.BACKUP, parse_address(way.source).shown)
    return stage


def _verified(way: Way, progress: Progress) -> Finding:
    """The target as a file against the source as a file, by all that `ptp verify` looks at."""
    stage = verifying.verify(way.old, way.new, out=way.out, progress=progress)
    write_stage(way.out, stage)
    gates = [f for f in stage.findings if f.severity != "note"]
    failed = tuple(f"{f.id}: {f.claim}" for f in gates if f.verdict not in ("pass", "not applicable"))
    return Finding(
        id="remote.target-verified",
        claim="The target, as a file, is what the source should have become, row by row and column by column",
        verdict=worst(stage.findings),
        severity="data",
        value=len(gates) - len(failed),
        unit="findings",
        n=len(gates),
        where=failed,
        evidence=f"results/{verifying.NAME}.json",
    )


def _finished(way: Way, *, run: str, before: str, progress: Progress) -> list[Finding]:
    """Load and compare the target, compare the source, and let the target be used."""
    with ExitStack() as stack:
        old = stack.enter_context(Calls(way.source)) if way.reads else None
        new = stack.enter_context(Calls(way.target)) if way.loads else None
        found = _loaded(new, way, run, part(progress, 0.0, 0.8)) if new else []
        if all(f.verdict in ("pass", "not applicable") for f in found):
            found.append(_unchanged(old, way, before, part(progress, 0.8, 1.0)))
            if new:
                open_loaded(new)
                found.append(_opened(new))
    return found


def _loaded(calls: Calls, way: Way, run: str, progress: Progress) -> list[Finding]:
    _enter_load(way.new, run)
    loaded = load(calls, way.new, run=run, other=parse_address(way.source).shown, progress=part(progress, 0.0, 0.7))
    told, seen = check_equal(calls, way.new, besides=BESIDES, progress=part(progress, 0.7, 1.0))
    went_on = " of an earlier attempt too" if loaded.resumed else ""
    equal = remote.equal_finding(
        "remote.target-equals", "The target on the server is the one that was built and verified", told, seen, calls
    )
    kept = f"{loaded.rows:,} rows in {loaded.parts:,} transactions{went_on}; {equal.evidence}"
    besides = [
        Finding(
            id="remote.target-besides",
            claim=f"Not taken over, as the server does not let it be: {'; '.join(loaded.not_kept)}",
            verdict="pass",
            severity="note",
            evidence="asked on both sides, and tried",
        )
    ]
    findings = [replace(equal, evidence=kept), *check_references(calls, way.new), *check_virtual(calls, way.new)]
    return [*findings, *besides] if loaded.not_kept else findings


def _enter_load(target: Path, run: str) -> None:
    """Enter the load into the journal that is loaded, once."""
    with errors_named(target), connect_file(target) as db:
        if not db.execute(f"SELECT count(*) FROM {journal.TABLE} WHERE name = 'load'").fetchone()[0]:
            plan = db.execute(f"SELECT checksum FROM {journal.TABLE} WHERE name = 'build'").fetchone()
            bound = {"phase": "load", "plan": plan[0] if plan else None, "run": run, "now": int(time.time())}
            db.execute(journal.PHASE_SQL, {**bound, "seconds": 0.0})


def _unchanged(calls: Calls | None, way: Way, before: str, progress: Progress) -> Finding:
    try:
        if calls:
            return remote.unchanged_finding(calls, way.old, progress=progress)
        if fingerprint(way.old) != before:
            raise SourceChanged(f"{way.old} was written to while it was migrated: run the command again.")
    except SourceChanged:
        if not way.loads:
            way.new.unlink()  # nobody uses it yet
        raise
    return Finding(
        id="remote.source-unchanged",
        claim="The source was not written to until its target was whole",
        verdict="pass",
        severity="data",
        value=0,
        unit="changes",
        limit=0,
        evidence=f"blake2b of the file and its write-ahead log, before and after: {before}",
    )


def _opened(calls: Calls) -> Finding:
    return Finding(
        id="remote.target-open",
        claim="The target on the server was opened when all of it had been compared, and not before",
        verdict="pass",
        evidence=f"its state row and the table of the load are gone; {calls.spent.words}",
    )
