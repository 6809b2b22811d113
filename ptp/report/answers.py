"""What a reviewer asks first, answered from the results: the slowest query, quarantine, the way back, and the cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ptp.evidence import Evidence
from ptp.report.gates import STATES, Gate, State, share_of
from ptp.report.matching import SECONDS, about
from ptp.report.topics import place_of, stages_of
from ptp.report.words import is_number, number, quantity
from ptp.results import Estimate, worst

_GOOD, _BAD, _IDLE = STATES["pass"], STATES["fail"], State("Not known", "–", "idle")
_LOOK = State("Look", "!", "inconclusive")
_ESTIMATED = State("Estimated", "≈", "idle")  # which decides nothing: it is neither good nor bad
_BACKUP, _UNCHANGED, _CONVERSIONS, _LIVE = (
    "migrate.backup",
    "migrate.source-unchanged",
    "migrate.conversions",
    "migrate.live-content",
)
_ROLLBACK = "rollback."
_MONTH, _ONCE = "bill of a month", "cost if it ran there"
_ROWS_OUT, _ROWS_IN = "rows quarantined", "rows in"


@dataclass(frozen=True, slots=True)
class Answer:
    """One question: the answer in a few words, what stands behind it, how it is, and where the page says more."""

    question: str
    short: str
    more: str
    state: State
    href: str = ""


def answers_of(evidence: Evidence, findings: Sequence[Gate]) -> tuple[Answer, ...]:
    """What is asked after the verdict, four things, in the order in which they are asked."""
    named = {gate.finding.id: gate for gate in reversed(findings)}
    return _slowest(evidence, findings), _quarantined(evidence, named), _way_back(findings, named), _cost(evidence)


def _slowest(evidence: Evidence, findings: Sequence[Gate]) -> Answer:
    question = "Slowest query against its limit"
    timed = [(share, name, gate) for name, gate in _timed(evidence, findings) if (share := share_of(gate.finding))]
    if not timed:
        return Answer(question, "Not measured", "This run timed no query.", _IDLE)
    share, name, gate = max(timed, key=lambda one: one[0])
    more = f"{number(share * 100, digits=2)} % of its limit; {gate.state.word.lower()}"
    more += f"; 95 % interval {gate.bounds}" if gate.bounds else ""
    more += f"; n {gate.finding.n:,}" if gate.finding.n is not None else ""
    return Answer(question, f"{name}: {gate.value} of {gate.limit}", more, gate.state, place_of(gate.stage))


def _timed(evidence: Evidence, findings: Sequence[Gate]) -> Iterator[tuple[str, Gate]]:
    """The gates on times, each with the name of what was measured."""
    stages = {stage.name: stage for stage in evidence.stages}
    for gate in findings:
        if gate.note or gate.finding.unit not in SECONDS:
            continue
        measured = (m for m in stages[gate.stage].measurements if m.samples and about(m, [gate.finding]))
        if (one := next(measured, None)) is not None:
            yield one.what, gate


def _quarantined(evidence: Evidence, named: dict[str, Gate]) -> Answer:
    question = "Rows in quarantine"
    counted = [
        (stage, rows)
        for stage in stages_of(evidence)
        for rows in stage.tables.values()
        if rows and _ROWS_OUT in rows[0]
    ]
    if not counted:
        gate = named.get(_CONVERSIONS)
        if gate is None or not gate.bad:
            return Answer(question, "Not known", "This run verified no rows.", _IDLE)
        told = f"Nothing was moved: {gate.finding.claim[:1].lower()}{gate.finding.claim[1:]}, which did not hold."
        return Answer(question, f"Stopped by {gate.value}", told, _BAD, place_of(gate.stage))
    stage, rows = counted[-1]

    def total(column: str) -> int:
        return sum(int(v) for row in rows if is_number(v := row.get(column)))

    kept, seen = total(_ROWS_OUT), total(_ROWS_IN)
    rounded, rejected = total("values rounded"), total("values rejected")
    short = f"{kept:,} of {seen:,}" if kept else f"None of {seen:,}"
    more = f"Values: {rounded:,} rounded, {rejected:,} rejected, each with its original kept."
    if not (rounded or rejected):
        more = "No value was rounded or rejected."
    return Answer(question, short, more, _LOOK if kept or rounded or rejected else _GOOD, place_of(stage.name))


def _way_back(findings: Sequence[Gate], named: dict[str, Gate]) -> Answer:
    question = "Can it be rolled back?"
    undone = [gate for gate in findings if gate.finding.id.startswith(_ROLLBACK)]
    backup = named.get(_BACKUP)
    if undone:
        verdict = worst(gate.finding for gate in undone)
        short = "Yes: it was done" if verdict == "pass" else f"It was tried: {verdict}"
        return Answer(question, short, undone[0].finding.claim, STATES[verdict], place_of(undone[0].stage))
    if backup is None:
        return Answer(question, "Not shown", "This run took no backup.", _IDLE)
    here, proof = place_of(backup.stage), f"backup compared with the source, {backup.value}"
    if backup.state is not _GOOD:
        return Answer(question, "Not proven", backup.finding.claim, backup.state, here)
    if _LIVE in named:
        return Answer(question, "Yes: ptp rollback", f"With what was written since; {proof}.", _GOOD, here)
    unchanged = named.get(_UNCHANGED)
    if unchanged is not None and unchanged.state is _GOOD:
        how = f"Go on with it; what was written to the target since is not in it. And a {proof}."
        return Answer(question, "Yes: the source is untouched", how, _GOOD, here)
    return Answer(question, "Yes, from the backup", f"A {proof}.", _GOOD, here)


def _cost(evidence: Evidence) -> Answer:
    question = "What will it cost?"
    found = [(stage, e) for stage in stages_of(evidence) for e in stage.estimates]
    month = next(((s, e) for s, e in reversed(found) if e.what.startswith(_MONTH)), None)
    if month:
        stage, estimate = month
        told = _inputs(estimate)
        return Answer(question, f"{_dollars(estimate.value)} a month", told, _ESTIMATED, place_of(stage.name))
    once = next(((s, e) for s, e in reversed(found) if e.what == _ONCE), None)
    if once:
        stage, estimate = once
        more = f"Estimated, {_range(estimate)}, for the migration itself; a month was not estimated in this run."
        return Answer(question, f"{_dollars(estimate.value)} once", more, _ESTIMATED, place_of(stage.name))
    return Answer(question, "Not estimated", "This run estimated no cost.", _IDLE)


def _dollars(value: float) -> str:
    return f"${value:,.2f}" if value >= 0.1 or value == 0 else f"${number(value, digits=2)}"


def _range(estimate: Estimate) -> str:
    return f"{_dollars(estimate.low)} – {_dollars(estimate.high)}"


def _inputs(estimate: Estimate) -> str:
    told = {name: value for name, value in estimate.inputs.items() if not name.startswith("rows ")}
    parts = [f"Estimated, {_range(estimate)}", *(f"{name} {quantity(value)}" for name, value in told.items())]
    return ", ".join(parts) + "."
