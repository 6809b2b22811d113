"""The run folder: which files it holds, and how they are written and read.

DIR/verdict.json            the verdict and every gate; written last, atomically
DIR/index.html, DIR/*.html  the report, a pure function of the other files
DIR/results/previous.json   what changed since the last run, where one stood beside it
DIR/run.json                what was run on what
DIR/results/STAGE.json      all results of one stage
DIR/results/STAGE.npz       its raw samples, where a measurement has more than a few (`ptp.evidence.FEW`): see below
DIR/digests/content.json    digests of the content that was verified, by table and range of keys
DIR/notebooks/STAGE.ipynb   the notebook as it was executed, and as .html

STAGE.npz holds one numpy array for each such measurement: whole nanoseconds as int64 where its unit is ms and that is
exact, the values as float64 otherwise. In the JSON such a measurement says `samples_file`, `key` and `n` instead of
`samples`, and the document the file's SHA-256, so that the two cannot be mixed up.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ptp.errors import UsageError
from ptp.results import (
    VERSION,
    Estimate,
    Finding,
    Measurement,
    Result,
    Verdict,
    from_json,
    to_json,
    write_json,
)

if TYPE_CHECKING:
    import numpy as np

    Column: TypeAlias = np.ndarray[Any, np.dtype[Any]]

FEW = 16
"""As many samples of a measurement stay in the JSON, where a reader sees them."""

_NS_PER_MS = 1e6
_EXACT = 2**53  # whole numbers up to here are exact in a float64

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
    """Write results/STAGE.json and, where a measurement has more than a few samples, results/STAGE.npz beside it.

    The same stage gives the same bytes. Raises ValueError for a number that is not finite, and leaves what was.
    """
    target = folder / "results"
    target.mkdir(exist_ok=True)
    file = target / f"{stage.name}.npz"
    columns: dict[str, Column] = {}
    results = [_document(r, place, file.name, columns) for place, r in enumerate(stage.results)]
    packed = _packed(columns) if columns else b""
    document = {
        "version": VERSION,
        "name": stage.name,
        "title": stage.title,
        "seconds": stage.seconds,
        **({"samples_sha256": hashlib.sha256(packed).hexdigest()} if packed else {}),
        "results": results,
        "tables": stage.tables,
    }
    write_json(target / f"{stage.name}.json", document, beside={file: packed} if packed else None)
    if not packed:
        file.unlink(missing_ok=True)  # of an earlier stage of this name


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
    """Read results/STAGE.json with its samples; raises UsageError where either file is not as it was written."""
    document = _read(path)
    outside = [r for r in document["results"] if "samples_file" in r]
    columns = _columns(path, document, outside) if outside else {}
    for result in outside:
        del result["samples_file"]
        result["samples"] = _samples(path, columns, key=result.pop("key"), n=result.pop("n"))
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


def _document(result: Result, place: int, file: str, columns: dict[str, Column]) -> dict[str, Any]:
    """A result as JSON; samples that are more than a few go into `columns`."""
    if not isinstance(result, Measurement) or len(result.samples) <= FEW:
        return to_json(result)
    key = f"{place:03d}_" + re.sub(r"[^A-Za-z0-9_.-]", "_", result.what)[:60]
    columns[key] = _column(result)
    body = to_json(Measurement(result.what, result.unit, (), result.environment))
    del body["samples"]
    return {**body, "samples_file": file, "key": key, "n": len(result.samples)}


def _column(measurement: Measurement) -> Column:
    import numpy as np  # here and below: most commands need none, and it takes a tenth of a second to load

    values = np.asarray(measurement.samples, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"a sample of {measurement.what} is not finite: not JSON compliant")
    if measurement.unit == "ms" and (np.abs(values) < _EXACT / _NS_PER_MS).all():
        nanoseconds = np.rint(values * _NS_PER_MS).astype(np.int64)
        if (nanoseconds / _NS_PER_MS).tobytes() == values.tobytes():  # bytes: -0.0 == 0.0
            return nanoseconds
    return values


def _packed(columns: Mapping[str, Column]) -> bytes:
    """An .npz file: as numpy writes it, but with one date for all, so that the same samples give the same bytes."""
    import numpy as np

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for key, column in columns.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, column, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{key}.npy", date_time=(1980, 1, 1, 0, 0, 0)), member.getvalue())
    return packed.getvalue()


def _columns(path: Path, document: Mapping[str, Any], outside: Sequence[Mapping[str, Any]]) -> Mapping[str, Column]:
    """The columns of the one file that the results of `path` name."""
    import numpy as np

    names = {str(r["samples_file"]) for r in outside}
    if names != {f"{path.stem}.npz"}:
        raise UsageError(f"{path} names {', '.join(sorted(names))} for its samples, not {path.stem}.npz beside it.")
    file = path.with_suffix(".npz")
    try:
        packed = file.read_bytes()
    except OSError as problem:
        raise UsageError(
            f"{file}, with the raw samples of {path.name}, cannot be read: {problem.strerror}. Copy the two together."
        ) from None
    if hashlib.sha256(packed).hexdigest() != document.get("samples_sha256"):
        raise UsageError(
            f"{file} is not the file that was written with {path.name}, or was changed since: its samples cannot be "
            "trusted. Copy the two together, or run the stage again."
        )
    with np.load(io.BytesIO(packed), allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def _samples(path: Path, columns: Mapping[str, Column], *, key: str, n: int) -> tuple[float, ...]:
    column = columns.get(key)
    if column is None or len(column) != n:
        seen = "is not there" if column is None else f"has {len(column):,}"
        raise UsageError(f"{path} wants {n:,} samples under the key {key} of {path.stem}.npz, which {seen}.")
    scaled = column / _NS_PER_MS if column.dtype.kind == "i" else column
    return tuple(scaled.tolist())
