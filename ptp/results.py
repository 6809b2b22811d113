"""The three values that everything measured, modelled or checked becomes, and the verdict over them.

`Measurement`, `Estimate` and `Finding` are frozen, carry their units, and go to JSON and back without loss.
Every document carries a version number; a reader refuses a version it does not know.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

from ptp.errors import EXIT_CANNOT_FINISH, EXIT_FAIL, EXIT_INCONCLUSIVE, EXIT_PASS, UsageError

VERSION = 1

Verdict: TypeAlias = Literal["pass", "fail", "inconclusive", "invalid", "not applicable"]
"""What a finding says; a run as a whole says one of the first four."""

Severity: TypeAlias = Literal["data", "gate", "note"]
"""data: rows or values lost or changed; gate: another gate; note: told, but decides nothing."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One thing measured: `samples` are the raw values in `unit`, in the order in which they were taken.

    In a run folder more than a handful of them stand in a columnar file beside the JSON (`ptp.evidence`).
    """

    what: str
    unit: str
    samples: tuple[float, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Estimate:
    """One thing modelled: `value` within `low` to `high` in `unit`, by `model` from `inputs`."""

    what: str
    unit: str
    value: float
    low: float
    high: float
    model: str
    inputs: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """One claim checked: what was seen against the limit, and where.

    `value`, `limit`, `low` and `high` are in `unit`; `low` and `high` bound the value at 95 %, `n` is the
    number of samples or rows looked at. `where` names places, such as "table, key, column". `known` is True
    for a breach that the source already had. `evidence` names a file of the run folder or states the reason.
    """

    id: str
    claim: str
    verdict: Verdict
    severity: Severity = "gate"
    value: float | str | None = None
    unit: str = ""
    limit: float | str | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    where: tuple[str, ...] = ()
    known: bool = False
    evidence: str = ""


Result: TypeAlias = Measurement | Estimate | Finding
_TYPES: dict[str, type[Result]] = {"measurement": Measurement, "estimate": Estimate, "finding": Finding}
_NAMES = {cls: name for name, cls in _TYPES.items()}


def to_json(result: Result) -> dict[str, Any]:
    """The result as a JSON object with its `type` and `version`."""
    return {"type": _NAMES[type(result)], "version": VERSION, **asdict(result)}


def from_json(document: Mapping[str, Any]) -> Result:
    """The result that `to_json` wrote; raises UsageError for an unknown type, version or field."""
    body = dict(document)
    name, version = body.pop("type", None), body.pop("version", None)
    cls = _TYPES.get(str(name))
    if cls is None or version != VERSION:
        raise UsageError(
            f"A result of type {name!r}, version {version!r} cannot be read by this ptp, which reads version {VERSION}."
        )
    unknown = set(body) - {f.name for f in fields(cls)}
    if unknown:
        raise UsageError(f"A {name} has no field {sorted(unknown)[0]!r}.")
    for key in ("samples", "where"):
        if key in body:
            body[key] = tuple(body[key])
    return cls(**body)


def write_json(path: Path, document: object, *, beside: Mapping[Path, bytes] | None = None) -> None:
    """Write `document` to `path` atomically: to a temporary file beside it, synced, then renamed.

    Files that belong to it go `beside` it, in the same way and just before it.
    """
    paths = [*(beside or {}), path]
    partials = [p.with_name(p.name + ".partial") for p in paths]
    try:
        for partial, content in zip(partials, (beside or {}).values(), strict=False):
            with partial.open("wb") as file:
                file.write(content)
                _sync(file)
        with partials[-1].open("w", encoding="utf-8") as text:
            json.dump(document, text, indent=1, ensure_ascii=False, allow_nan=False)
            text.write("\n")
            _sync(text)
        for partial, whole in zip(partials, paths, strict=True):
            partial.replace(whole)
    finally:
        for partial in partials:
            partial.unlink(missing_ok=True)


def _sync(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())


def worst(findings: Iterable[Finding], *, required: Sequence[str] = ()) -> Verdict:
    """The verdict of a run: fail (data), invalid, fail (other), inconclusive, pass, in this order.

    Notes do not count. A required gate that is absent makes the verdict invalid, and so does a run without gates.
    """
    gates = [f for f in findings if f.severity != "note"]
    if any(f.verdict == "fail" and f.severity == "data" for f in gates):
        return "fail"
    verdicts = {f.verdict for f in gates}
    if missing(gates, required=required) or "invalid" in verdicts or not verdicts:
        return "invalid"
    if "fail" in verdicts:
        return "fail"
    return "inconclusive" if "inconclusive" in verdicts else "pass"


def missing(findings: Iterable[Finding], *, required: Sequence[str]) -> tuple[str, ...]:
    """The required gates that no finding answers."""
    present = {f.id for f in findings if f.severity != "note"}
    return tuple(name for name in required if name not in present)


def exit_code(verdict: Verdict) -> int:
    """The exit code of a run with this verdict."""
    codes = {
        "pass": EXIT_PASS,
        "fail": EXIT_FAIL,
        "inconclusive": EXIT_INCONCLUSIVE,
        "invalid": EXIT_CANNOT_FINISH,
    }
    return codes[verdict]
