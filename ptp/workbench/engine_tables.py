"""What the reader sees of several engines: a finding, a row and the samples of each on each query; pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ptp.engine.candidates import REFERENCE, EngineName
from ptp.engine.environment import environment
from ptp.results import Finding, Measurement, Verdict
from ptp.stats import Ratio, percentile, ratio_of, sample_bounds
from ptp.workbench.engine_files import Ready
from ptp.workbench.engine_rounds import Recorded, Taken
from ptp.workbench.engine_rows import Likeness
from ptp.workbench.engine_worker import EngineProcess
from ptp.workbench.parts import Part

TABLE, VERSIONS = "Engines", "Engine versions"
_NS_PER_MS = 1e6
_HOW = {Likeness.WRITTEN_OTHERWISE: "the same, written otherwise", Likeness.OTHER_TYPE: "of another type"}

Found: TypeAlias = dict[str, dict[EngineName, Taken]]
"""What each engine did, by query."""


@dataclass(slots=True)
class Side:
    """One engine: its process, its copy, and how it came to be ready."""

    process: EngineProcess
    copy: Path
    master: Path
    ready: Ready

    @property
    def name(self) -> EngineName:
        """The name of the engine."""
        return self.process.name

    def lose(self, reason: str) -> None:
        """Take the engine out: it cannot serve the file, or cannot any more."""
        self.ready = Ready(self.ready.facts, self.ready.left_out, f"{self.name} cannot serve this file: {reason}")


def part_of(sides: Sequence[Side], queries: Sequence[Recorded], found: Found) -> Part:
    """The results and tables of all that was measured; times in ms."""
    seen = environment()
    findings: list[Finding] = []
    measurements: list[Measurement] = []
    rows: list[dict[str, Any]] = []
    for query in queries:
        reference = found.get(query.name, {}).get(REFERENCE, Taken(error=query.error))
        for side in sides:
            mine = found.get(query.name, {}).get(side.name, Taken(error=query.error or side.ready.absent))
            note = _note(side, mine)
            ratio = None if side.name == REFERENCE or mine.is_over else _ratio(mine, reference)
            rows.append(_row(side.name, query.name, mine, ratio, note))
            if side.name != REFERENCE or mine.is_over:
                findings.append(_finding(side.name, query.name, mine, ratio, note))
            if mine.samples and not mine.is_over:
                what = f"engines.{side.name}.{query.name}"
                measurements.append(Measurement(what, "ms", tuple(_ms(mine)), seen))
    return Part((*findings, *measurements), {TABLE: rows, VERSIONS: [_version_row(side) for side in sides]})


def _ms(taken: Taken) -> list[float]:
    return [ns / _NS_PER_MS for ns in taken.samples.values()]


def _ratio(mine: Taken, reference: Taken) -> Ratio | None:
    """Of the rounds in which both took part."""
    both = [number for number in mine.samples if number in reference.samples]
    if not both or min(*(mine.samples[i] for i in both), *(reference.samples[i] for i in both)) <= 0:
        return None
    return ratio_of([mine.samples[i] for i in both], [reference.samples[i] for i in both])


def _note(side: Side, mine: Taken) -> str:
    if mine.wrong:
        return f"wrong: {mine.wrong}"
    if mine.error:
        return mine.error
    told = [f"does less: {one.name} is left out" for one in side.ready.left_out if one.name in mine.tables]
    if mine.difference.likeness is not Likeness.SAME:
        told.append(f"{_HOW[mine.difference.likeness]}: {mine.difference.text}")
    return "; ".join(told)


def _row(engine: EngineName, query: str, mine: Taken, ratio: Ratio | None, note: str) -> dict[str, Any]:
    samples = [] if mine.is_over else _ms(mine)
    ordered = sorted(samples)
    span = sample_bounds(samples, q=0.95)[0] if samples else None
    return {
        "query": query,
        "engine": engine,
        "p50_ms": percentile(ordered, q=0.5) if samples else None,
        "p95_ms": percentile(ordered, q=0.95) if samples else None,
        "p95_low_ms": _finite(span.low) if span else None,
        "p95_high_ms": _finite(span.high) if span else None,
        "ratio": ratio.value if ratio else None,
        "ratio_low": _finite(ratio.low) if ratio else None,
        "ratio_high": _finite(ratio.high) if ratio else None,
        "n": len(samples),
        "note": note,
    }


def _finding(engine: EngineName, query: str, mine: Taken, ratio: Ratio | None, note: str) -> Finding:
    is_unlike = mine.wrong or mine.difference.likeness is Likeness.OTHER_TYPE
    verdict: Verdict = "fail" if is_unlike else "not applicable" if mine.error else "pass"
    return Finding(
        id=f"engines.{engine}.{query}",
        claim=f"{engine} gives the rows of {REFERENCE} in {query}",
        verdict=verdict,
        severity="note",
        value=ratio.value if ratio else None,
        unit="times" if ratio else "",
        low=_finite(ratio.low) if ratio else None,
        high=_finite(ratio.high) if ratio else None,
        n=len(mine.samples),
        evidence=note or f"Rows of every call compared; the value is how many times as long as {REFERENCE} it takes.",
    )


def _version_row(side: Side) -> dict[str, Any]:
    facts = side.ready.facts
    note = [side.ready.absent] if side.ready.absent else []
    note += [f"left out: {one}" for one in side.ready.left_out]
    if facts and facts.refused:
        note.append(f"does not know {', '.join(facts.refused)}")
    return {
        "engine": side.name,
        "driver": facts.driver if facts else None,
        "sqlite": facts.sqlite if facts else None,
        **{name: facts.settings[name] if facts else None for name in ("journal_mode", "synchronous", "foreign_keys")},
        "note": "; ".join(note),
    }


def _finite(value: float) -> float | None:
    # A bound that does not exist is infinite in ptp.stats, and absent here: JSON knows no infinity.
    return value if math.isfinite(value) else None
