"""The run folder: which files it holds, and how they are written and read.

DIR/verdict.json            the verdict and every gate; written last, atomically
DIR/index.html              the report, a pure function of the other files
DIR/run.json                what was run on what
DIR/results/STAGE.json      all results of one stage, raw samples included
DIR/digests/content.json    digests of the content that was verified, by table and range of keys
DIR/notebooks/STAGE.ipynb   the notebook as it was executed, and as .html
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ptp.errors import UsageError
from ptp.results import VERSION, Estimate, Finding, Measurement, Result, Verdict, from_json, to_json, write_json

GATE_FIELDS = ("id", "claim", "verdict", "value", "unit", "limit", "low", "high", "n", "evidence")


@dataclass(frozen=True, slots=True)
class Run:
    """What was run on what: paths as given, `started` in ISO 8601 UTC, `seconds` of wall time, `versions` by name.

    `facts` are further texts for the reader, such as the source's shape, rows and size.
    """

    id: str
    source: str
    target: str
    profile: str
    env: str
    started: str
    seconds: float
    versions: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stage:
    """All that one stage found: its results in order, and `tables` for the reader, each a list of rows by column."""

    name: str
    title: str
    seconds: float
    results: tuple[Result, ...] = ()
    tables: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings among the results."""
        return tuple(r for r in self.results if isinstance(r, Finding))

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """The measurements among the results."""
        return tuple(r for r in self.results if isinstance(r, Measurement))

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The estimates among the results."""
        return tuple(r for r in self.results if isinstance(r, Estimate))


@dataclass(frozen=True, slots=True)
class Evidence:
    """A run folder as read: `verdict` is None where no verdict.json was written, which is never a pass."""

    run: Run
    stages: tuple[Stage, ...]
    verdict: Verdict | None
    reason: str = ""
    missing: tuple[str, ...] = ()


def write_run(folder: Path, run: Run) -> None:
    """Write run.json."""
    write_json(folder / "run.json", {"version": VERSION, **asdict(run)})


def write_stage(folder: Path, stage: Stage) -> None:
    """Write results/STAGE.json."""
    target = folder / "results"
    target.mkdir(exist_ok=True)
    document = {
        "version": VERSION,
        "name": stage.name,
        "title": stage.title,
        "seconds": stage.seconds,
        "results": [to_json(r) for r in stage.results],
        "tables": stage.tables,
    }
    write_json(target / f"{stage.name}.json", document)


def write_verdict(folder: Path, evidence: Evidence) -> None:
    """Write verdict.json, atomically; the last file of a run."""
    gates = [f for stage in evidence.stages for f in stage.findings if f.severity != "note"]
    document = {
        "version": VERSION,
        "verdict": evidence.verdict,
        "reason": evidence.reason,
        "missing": list(evidence.missing),
        "gates": [{name: getattr(gate, name) for name in GATE_FIELDS} for gate in gates],
        "run": asdict(evidence.run),
    }
    write_json(folder / "verdict.json", document)


def read_stage(path: Path) -> Stage:
    """Read results/STAGE.json."""
    document = _read(path)
    return Stage(
        name=document["name"],
        title=document["title"],
        seconds=document["seconds"],
        results=tuple(from_json(r) for r in document["results"]),
        tables=document["tables"],
    )


def read_evidence(folder: Path) -> Evidence:
    """Read a run folder; raises UsageError when it is none."""
    if not (folder / "run.json").is_file():
        raise UsageError(f"{folder} is not a run folder: it has no run.json.")
    body = _read(folder / "run.json")
    body.pop("version")
    stages = tuple(read_stage(p) for p in sorted((folder / "results").glob("*.json")))
    last = folder / "verdict.json"
    verdict = _read(last) if last.is_file() else {}
    return Evidence(
        run=Run(**body),
        stages=stages,
        verdict=verdict.get("verdict"),
        reason=verdict.get("reason", ""),
        missing=tuple(verdict.get("missing", ())),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise UsageError(f"{path} cannot be read: {problem}.") from None
    if document.get("version") != VERSION:
        raise UsageError(f"{path} has version {document.get('version')!r}; this ptp reads version {VERSION}.")
    return document
