"""How far a run is to be trusted: what its instruments have shown of themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ptp.evidence import Evidence
from ptp.report.gates import STATES, Gate, State
from ptp.report.topics import place_of
from ptp.report.words import plural, quantity
from ptp.results import Finding

_IDLE = State("Not known", "–", "idle")
_BACKUP = "migrate.backup"


@dataclass(frozen=True, slots=True)
class Trust:
    """One reason to believe the run, or not to."""

    name: str
    text: str
    state: State
    href: str = ""


_SELF, _KILLS, _ALARMS, _REHEARSED = "self.", "prove.kill-rate", "prove.false-alarms", "rehearsal.bound"


def trust_of(evidence: Evidence, findings: Sequence[Gate]) -> tuple[Trust, ...]:
    """How far to trust it: what the harness, the verifier, the backup and a rehearsal have shown of themselves."""
    named = {gate.finding.id: gate for gate in reversed(findings)}
    return _harness(findings), _verifier(evidence, named), _backup(named), _rehearsal(named)


def _harness(findings: Sequence[Gate]) -> Trust:
    checks = [gate for gate in findings if gate.finding.id.startswith(_SELF)]
    if not checks:
        return Trust("The harness checks itself", "not in this run", _IDLE)
    good = sum(gate.state is STATES["pass"] for gate in checks)
    worst_one = checks[0]
    text = f"{good} of {plural(len(checks), 'check')} passed"
    return Trust("The harness checks itself", text, worst_one.state, place_of(worst_one.stage))


def _verifier(evidence: Evidence, named: dict[str, Gate]) -> Trust:
    name = "The verifier sees damage"
    kills, alarms = named.get(_KILLS), named.get(_ALARMS)
    if kills is None:
        return Trust(name, evidence.run.facts.get("verifier", "not tried in this run"), _IDLE)
    told = evidence.run.facts.get("verifier") or _rate(kills.finding)
    state = alarms.state if alarms is not None and not kills.bad else kills.state
    return Trust(name, told, state, place_of(kills.stage))


def _rate(finding: Finding) -> str:
    return f"saw {quantity(finding.value, unit=finding.unit)} of {finding.n or 0:,} damages"


def _backup(named: dict[str, Gate]) -> Trust:
    found = named.get(_BACKUP)
    if found is None:
        return Trust("The backup is proven", "none in this run", _IDLE)
    return Trust("The backup is proven", f"restored and compared: {found.value}", found.state, place_of(found.stage))


def _rehearsal(named: dict[str, Gate]) -> Trust:
    found = named.get(_REHEARSED)
    if found is None:
        return Trust("It was rehearsed", "not in this run: ptp migrate --rehearse makes one", _IDLE)
    return Trust("It was rehearsed", found.finding.claim, found.state, place_of(found.stage))
