"""The verdict in words, why, and every finding as a row, worst first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from markupsafe import Markup

from ptp.evidence import Evidence
from ptp.report.pictures import interval
from ptp.report.words import anchor, as_file, is_number, number, plural, quantity
from ptp.results import Finding, worst

MOST_PLACES = 12
"""A gate that names more places than this shows the first of them and says so."""


@dataclass(frozen=True, slots=True)
class State:
    """How one verdict is told: its word, a sign beside it for who sees no colour, and its class in the style."""

    word: str
    sign: str
    style: str


STATES = {
    "fail": State("Fail", "✕", "fail"),
    "invalid": State("Invalid", "!", "invalid"),
    "inconclusive": State("Inconclusive", "?", "inconclusive"),
    "pass": State("Pass", "✓", "pass"),
    "not applicable": State("Not applicable", "–", "idle"),
}
NO_VERDICT = State("No verdict: the run was interrupted or died", "∅", "none")


@dataclass(frozen=True, slots=True)
class Gate:
    """One finding as a row: texts for its cells, where it stands on the page, and what it refers to."""

    finding: Finding
    stage: str
    state: State
    anchor: str
    value: str
    limit: str
    bounds: str
    picture: Markup
    places: tuple[str, ...]
    more: int
    file: str | None

    @property
    def bad(self) -> bool:
        """Whether a reader must look at it."""
        return self.state.style in ("fail", "invalid", "inconclusive")

    @property
    def note(self) -> bool:
        """Whether it is told only, and decides nothing."""
        return self.finding.severity == "note"

    @property
    def over(self) -> bool:
        """Whether the value is a number over its limit."""
        return (share_of(self.finding) or 0.0) > 1


@dataclass(frozen=True, slots=True)
class Headline:
    """The verdict as the page's first line and the sentence under it."""

    state: State
    why: str
    tally: tuple[tuple[State, int], ...]
    worst: Gate | None
    missing: tuple[str, ...]


def findings_of(evidence: Evidence) -> tuple[Gate, ...]:
    """Every finding of the run, worst first, notes after the gates; among equals in the order in which they came."""
    named: Counter[str] = Counter()
    found = [as_gate(f, stage=stage.name, named=named) for stage in evidence.stages for f in stage.findings]
    return tuple(sorted(found, key=lambda gate: rank(gate.finding)))


def gates_of(evidence: Evidence) -> tuple[Gate, ...]:
    """Every gate of the run, worst first; among equals in the order in which they were found."""
    return tuple(gate for gate in findings_of(evidence) if not gate.note)


def as_gate(finding: Finding, *, stage: str, named: Counter[str]) -> Gate:
    """A finding as a row; `named` counts the anchors of the page, so that each stays its own."""
    name = anchor(f"{'note' if finding.severity == 'note' else 'gate'}-{finding.id}")
    named[name] += 1
    low, high, value, limit = (
        float(v) if is_number(v) else None for v in (finding.low, finding.high, finding.value, finding.limit)
    )
    return Gate(
        finding=finding,
        stage=stage,
        state=STATES.get(finding.verdict, STATES["invalid"]),
        anchor=name if named[name] == 1 else f"{name}-{named[name]}",
        value=quantity(finding.value, unit=finding.unit if is_number(finding.value) else "", beside=finding.limit),
        limit=quantity(finding.limit, unit=_limit_unit(finding), beside=finding.value),
        bounds=bounds_text(finding.low, finding.high),
        picture=interval(value=value, low=low, high=high, limit=limit),
        places=finding.where[:MOST_PLACES],
        more=max(len(finding.where) - MOST_PLACES, 0),
        file=as_file(finding.evidence),
    )


def headline(evidence: Evidence, gates: tuple[Gate, ...]) -> Headline:
    """What the page says first. A recorded pass that the results do not bear out is shown as invalid."""
    state = STATES.get(evidence.verdict or "", NO_VERDICT)
    seen = worst([gate.finding for gate in gates], required=evidence.missing)
    counted = Counter(gate.state.word for gate in gates)
    why = evidence.reason or _why(state, gates)
    if state is NO_VERDICT:
        why = f"{evidence.reason} No verdict was written: nothing below counts as passed.".strip()
    elif evidence.verdict == "pass" and seen != "pass":
        state = STATES["invalid"]
        why = f"The recorded verdict is pass, but the results beside it say {seen}: they do not belong together."
    return Headline(
        state=state,
        why=why,
        tally=tuple((s, counted[s.word]) for s in STATES.values() if counted[s.word]),
        worst=gates[0] if gates and gates[0].bad else None,
        missing=evidence.missing,
    )


def _why(state: State, gates: tuple[Gate, ...]) -> str:
    alike = sum(gate.state is state for gate in gates)
    if state.style == "pass":
        idle = sum(gate.state.style == "idle" for gate in gates)
        rest = f"; {idle} do not apply to this run" if idle > 1 else "; 1 does not apply to this run" if idle else ""
        return f"Every gate that applies passed: {alike} of {len(gates)}{rest}."
    if state.style == "fail":
        return f"{alike} of {plural(len(gates), 'gate')} failed."
    if state.style == "inconclusive":
        return f"No gate failed, but what was measured does not decide {alike} of {plural(len(gates), 'gate')}."
    return "A check of the harness itself failed or a required gate is absent: the results cannot be relied on."


def share_of(finding: Finding) -> float | None:
    """How much of its limit the value takes; None where not both are numbers, or the limit is none over zero."""
    value, limit = finding.value, finding.limit
    return value / limit if is_number(value) and is_number(limit) and limit > 0 else None


def bounds_text(low: float | None, high: float | None) -> str:
    """Both bounds as a person reads them; one that is open, or does not exist, in words."""
    if low is None and high is None:
        return ""
    if low is None or high is None:
        return f"over {number(low)}" if low is not None else f"under {number(high or 0.0)}"
    return f"{number(low)} – {number(high)}"


def _limit_unit(finding: Finding) -> str:
    """The unit beside the limit; none where it is a long one that stands beside the value already."""
    if not is_number(finding.limit) or (is_number(finding.value) and len(finding.unit) > 3):
        return ""
    return finding.unit


def rank(finding: Finding) -> tuple[bool, int, bool]:
    """Sorts findings: worst first, a breach of data before others, what the source had already after what is new."""
    order = ["fail", "invalid", "fail elsewhere", "inconclusive", "pass", "not applicable"]
    verdict: str = finding.verdict
    if verdict == "fail" and finding.severity != "data":
        verdict = "fail elsewhere"
    return finding.severity == "note", order.index(verdict) if verdict in order else 1, finding.known
