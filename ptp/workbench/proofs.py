"""The proof as a part of a verification, and the record of the last full one, which later runs speak of."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias

import ptp
from ptp.evidence import Stage
from ptp.resources import folder
from ptp.results import VERSION, Finding, write_json
from ptp.settings import load_settings
from ptp.workbench import proving, verifying
from ptp.workbench.progress import Progress, part, quiet
from ptp.workbench.proving import FULL, QUICK
from ptp.workbench.trials import ALARMS, ALARMS_CLAIM, RATE, RATE_CLAIM
from ptp.workload.mutations import CATALOGUE

Effort: TypeAlias = Literal["none", "quick", "full"]
LAST_FULL = "prove.last-full"
RECORD = "proof.json"
_PACKAGE = Path(ptp.__file__).parent
_CATALOGUE = ("workload/mutations",)
_VERIFIER = ("conversions", "engine", "schema", "verification")
_VERIFIER_TOO = tuple(f"workbench/{name}.py" for name in ("sides", "content", "structure", "verifying"))


@dataclass(frozen=True, slots=True)
class Record:
    """A full proof that was made: when, of what, and what came of it; `rate` in %, digests are SHA-256 of the code."""

    date: str
    ptp: str
    sqlite: str
    verifier: str
    catalogue: str
    kinds: int
    places: int
    tried: int
    rate: float
    alarms: int
    sound: int


def verify_and_prove(
    pair: tuple[Path, Path] | None, effort: Effort | None, *, out: Path | None = None, progress: Progress = quiet
) -> Stage:
    """Verify a source and its target, prove the verifier, or one after the other.

    Without an effort nothing is said of a proof; a full one leaves a record in the folder for reports. Into the run
    folder `out`, if there is one, go the digests of the content, and there the proof works.
    """
    stages: list[Stage] = []
    if pair:
        end = 0.3 if effort in ("quick", "full") else 1.0
        stages.append(verifying.verify(*pair, out=out, progress=part(progress, 0.0, end)))
    if effort in ("quick", "full"):
        places = FULL if effort == "full" else QUICK
        told = part(progress, 0.3 if pair else 0.0, 1.0)
        stages.append(proving.prove(places=places, out=out, progress=told))
    if effort == "full":
        _write(_record_of(stages[-1]))
    results = [result for stage in stages for result in stage.results]
    if effort:
        results += [*(switched_off() if effort == "none" else ()), last_full()]
    tables = {name: rows for stage in stages for name, rows in stage.tables.items()}
    seconds = sum(s.seconds for s in stages)
    return replace(stages[0], seconds=seconds, results=tuple(results), tables=tables)


def switched_off() -> tuple[Finding, Finding]:
    """What stands in the place of a proof that was not wanted."""
    reason = "switched off by --prove none: how much of the damage the verifier sees was not tried in this run"
    gates = ((RATE, RATE_CLAIM), (ALARMS, ALARMS_CLAIM))
    rate, alarms = (Finding(name, claim, "not applicable", evidence=reason) for name, claim in gates)
    return rate, alarms


def last_full() -> Finding:
    """The last full proof on record, or that there is none of this verifier; told, but it decides nothing."""
    path = load_settings().reports_dir / RECORD
    record = _read(path)
    why = _why_not(record)
    if record is None or why:
        return Finding(
            id=LAST_FULL,
            claim="The last full proof of the verifier",
            verdict="not applicable",
            severity="note",
            value="none",
            evidence=f"{why}: ptp verify --prove full makes one",
        )
    return Finding(
        id=LAST_FULL,
        claim=f"The last full proof of the verifier, {record.date[:10]}",
        verdict="pass" if record.rate == 100 and not record.alarms else "fail",
        severity="note",
        value=record.rate,
        unit="%",
        limit=100,
        n=record.tried,
        evidence=f"{record.kinds} kinds of damage at {record.places} places each, {record.alarms} false alarms over "
        f"{record.sound} sound targets; ptp {record.ptp}, SQLite {record.sqlite}; {path}",
    )


def told_in_short(findings: Iterable[Finding]) -> str:
    """How far the verification of a run is to be trusted, in one line; empty where that run did not come to it."""
    known = {f.id: f for f in findings}
    if not {RATE, ALARMS, LAST_FULL} <= known.keys():
        return ""
    rate, alarms, full = known[RATE], known[ALARMS], known[LAST_FULL]
    now = "not proved in this run (--prove none)"
    if isinstance(rate.value, float):
        now = f"saw {rate.value:.4g} % of {rate.n} damages tried in this run, {alarms.value} false alarms in {alarms.n}"
    then = full.evidence
    if isinstance(full.value, float):
        then = f"{full.claim[4:]}: {full.value:.4g} % of {full.n:,}"
    return f"{now}; {then}"


def _record_of(stage: Stage) -> Record:
    found = {f.id: f for f in stage.findings}
    rate, alarms = found[RATE], found[ALARMS]
    return Record(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        ptp=ptp.__version__,
        sqlite=sqlite3.sqlite_version,
        verifier=_verifier(),
        catalogue=_digest(_CATALOGUE),
        kinds=len(CATALOGUE),
        places=FULL,
        tried=rate.n or 0,
        rate=float(rate.value or 0.0),
        alarms=int(alarms.value or 0),
        sound=alarms.n or 0,
    )


def _why_not(record: Record | None) -> str:
    """Why a record does not speak of the verifier at hand; empty where it does."""
    if record is None:
        return "no full proof on record"
    day = record.date[:10]
    if record.ptp != ptp.__version__:
        return f"the full proof on record, of {day}, is of ptp {record.ptp}"
    if record.catalogue != _digest(_CATALOGUE):
        return f"the full proof on record, of {day}, was made with another catalogue of damage"
    if record.verifier != _verifier():
        return f"the full proof on record, of {day}, is of a verifier that was changed since"
    return ""


def _write(record: Record) -> None:
    reports = load_settings().reports_dir
    reports.mkdir(parents=True, exist_ok=True)
    write_json(reports / RECORD, {"version": VERSION, **asdict(record)})


def _read(path: Path) -> Record | None:
    """The record, if there is one that can be read: a broken one is as good as none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.pop("version") != VERSION:
            return None
        record = Record(**document)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    kinds = {"str": str, "int": int, "float": float}
    fit = (isinstance(getattr(record, f.name), kinds[str(f.type)]) for f in fields(record))
    return record if all(fit) else None


def _verifier() -> str:
    return _digest((*_VERIFIER, *_VERIFIER_TOO), folder("sql"))


def _digest(parts: Iterable[str], *also: Path) -> str:
    """SHA-256 over code: the names and bytes of its files."""
    roots = [*(_PACKAGE / name for name in parts), *also]
    found = hashlib.sha256()
    # Root by root: in which order they stand to each other must not depend on where ptp is installed.
    for path in (p for root in roots for p in ([root] if root.is_file() else sorted(root.rglob("*.*")))):
        if path.suffix in (".py", ".sql"):
            found.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()
