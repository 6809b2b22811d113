"""What changed since the last run: noted among the results of a run at its end, so that its report can tell it."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ptp.errors import UsageError
from ptp.evidence import Evidence, Run, Stage, read_evidence
from ptp.report.changes import RUN, TABLE
from ptp.report.topics import PREVIOUS
from ptp.report.words import is_number, moment, number, quantity
from ptp.results import Finding
from ptp.workbench.histories import counters_of, data_of, machine_of

TITLE = "Since the last run"

_ORDER = ("fail", "invalid", "inconclusive", "pass", "not applicable")
_SCATTER = " Times scatter from run to run on a machine that others use; counters do not."
_BROKEN = (UsageError, OSError, KeyError, TypeError, ValueError, AttributeError)


def previous_stage(folder: Path, evidence: Evidence) -> Stage | None:
    """The run in `folder` beside the last one of the same kind that stands next to it; None where there is none.

    Of the same kind is a run with a verdict, of the same profile and of a source of the same name, that has a stage in
    common. Times and counters are compared where both were taken on one machine and on the same data.
    """
    last = _last(folder, evidence)
    if last is None:
        return None
    old, new = _gates(last), _gates(evidence)
    both = [name for name in new if name in old]
    alike = _alike(last, evidence)
    rows = [*_verdicts(old, new), *_values(old, new, both, times=not alike), *([] if alike else _work(last, evidence))]
    note = Finding(
        id=RUN,
        claim="What changed since the last run of the same kind is told",
        verdict="pass",
        severity="note",
        value=last.run.id,
        n=len(both),
        where=(last.verdict or "",),
        evidence=f"It started {moment(last.run.started)}."
        + (f" Times are not compared: {alike}." if alike else _SCATTER),
    )
    return Stage(PREVIOUS, TITLE, 0.0, (note,), {TABLE: rows} if rows else {})


def _last(folder: Path, evidence: Evidence) -> Evidence | None:
    """The newest of the folders beside this one that holds such a run; what cannot be read is none."""
    names = {stage.name for stage in evidence.stages}
    for _, beside in sorted(_candidates(folder, evidence.run, names), reverse=True):
        with suppress(*_BROKEN):
            found = read_evidence(beside)
            if found.verdict is not None:
                return found
    return None


def _candidates(folder: Path, run: Run, names: Collection[str]) -> Iterator[tuple[str, Path]]:
    """When it started, and where: of each run of the same kind, of which only run.json is read."""
    for beside in _beside(folder):
        with suppress(*_BROKEN):
            there = [(beside / name).is_file() for name in ("run.json", "verdict.json")]
            if all(there) and any((beside / "results" / f"{name}.json").is_file() for name in names):
                told = json.loads((beside / "run.json").read_text(encoding="utf-8"))
                if _same_kind(told, run):
                    yield str(told["started"]), beside


def _beside(folder: Path) -> Iterator[Path]:
    try:
        near = sorted(folder.absolute().parent.iterdir())
    except OSError:
        return
    for one in near:
        if one.name != folder.absolute().name and not one.is_symlink():
            yield one


def _same_kind(old: Mapping[str, Any], new: Run) -> bool:
    same_source = Path(old["source"]).name == Path(new.source).name
    return old["profile"] == new.profile and same_source and old["started"] <= new.started


def _gates(evidence: Evidence) -> dict[str, Finding]:
    return {f.id: f for stage in evidence.stages for f in stage.findings if f.severity != "note"}


def _alike(last: Evidence, now: Evidence) -> str:
    """Why times of the two cannot be compared; empty where they can."""
    try:
        if machine_of(last.stages) != machine_of(now.stages):
            return "another machine"
        if data_of(last.run, last.stages) != data_of(now.run, now.stages):
            return "other data"
    except _BROKEN:
        return "one of them timed nothing"
    return ""


def _verdicts(old: Mapping[str, Finding], new: Mapping[str, Finding]) -> Iterator[dict[str, Any]]:
    for name in dict.fromkeys((*new, *old)):
        before, now = (side[name].verdict if name in side else None for side in (old, new))
        if before != now:
            worse = "other"
            if before and now and "not applicable" not in (before, now):
                worse = "worse" if _ORDER.index(now) < _ORDER.index(before) else "better"
            yield _row(name, before or "not there", now or "not there", worse)


def _values(
    old: Mapping[str, Finding], new: Mapping[str, Finding], names: Sequence[str], *, times: bool
) -> Iterator[dict[str, Any]]:
    """Times whose intervals lie apart: what is longer is worse."""
    for name in names:
        a, b = old[name], new[name]
        if a.verdict != b.verdict or a.unit != b.unit or not (is_number(a.value) and is_number(b.value)):
            continue
        if a.low is None and b.low is None:
            continue  # a count is judged by its verdict
        if times and _apart(a, b):
            told = quantity(a.value, unit=a.unit), quantity(b.value, unit=b.unit)
            yield _row(name, *told, "worse" if b.value > a.value else "better")


def _apart(a: Finding, b: Finding) -> bool:
    ends = [(f.low if f.low is not None else -math.inf, f.high if f.high is not None else math.inf) for f in (a, b)]
    return ends[0][1] < ends[1][0] or ends[1][1] < ends[0][0]


def _work(last: Evidence, now: Evidence) -> Iterator[dict[str, Any]]:
    """Counters that do not vary from run to run, and did."""
    before, after = counters_of(last.stages), counters_of(now.stages)
    for query, counted in after.items():
        for name, value in counted.items():
            was = before.get(query, {}).get(name)
            if was is not None and was != value:
                what = f"{query}, {name.replace('_', ' ')}"
                yield _row(what, number(was), number(value), "worse" if value > was else "better")


def _row(what: str, before: str, now: str, change: str) -> dict[str, Any]:
    return {"what": what, "before": before, "now": now, "change": change}
