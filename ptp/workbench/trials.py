"""Trials of the verifier: what one is, and what all of them say together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ptp.errors import CannotFinish
from ptp.evidence import Stage
from ptp.results import Finding
from ptp.workload.demo import Shape
from ptp.workload.mutations import GROUPS, Kind

RATE, ALARMS = "prove.kill-rate", "prove.false-alarms"
RATE_CLAIM = "The verifier sees every damage of the catalogue"
ALARMS_CLAIM = "The verifier passes every sound target"
TABLE, GROUP_TABLE = "Kill rate", "Kill rate by group"
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Trial:
    """One damage and what came of it: `killers` are the findings that did not pass, empty for a survivor.

    `absent` is the reason where the kind cannot apply to the shape.
    """

    kind: Kind
    shape: Shape
    where: str = ""
    killers: tuple[str, ...] = ()
    absent: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """A kind to be tried at so many places, on the first of the shapes to which it applies."""

    kind: Kind
    shapes: tuple[Shape, ...]
    places: range
    seed: int


def rate_of(trials: Sequence[Trial]) -> Finding:
    """How much of the damage was seen; raises CannotFinish when nothing was tried."""
    tried = [t for t in trials if not t.absent]
    if not tried:
        raise CannotFinish("No kind of damage applies to the subjects: nothing was proved.")
    survivors = [t for t in tried if not t.killers]
    return Finding(
        id=RATE,
        claim=RATE_CLAIM,
        verdict="fail" if survivors else "pass",
        value=100 * (len(tried) - len(survivors)) / len(tried),
        unit="%",
        limit=100,
        n=len(tried),
        where=tuple(f"{t.kind.id} on {t.shape}: {t.where} ({t.kind.words})" for t in _spread(survivors)[:SHOWN]),
        evidence=f"{len({t.kind.id for t in tried})} kinds of damage at random places of subjects of its own: "
        "the score is of the verifier, not of any file that it is given",
    )


def _spread(survivors: Sequence[Trial]) -> list[Trial]:
    """The survivors with one of each kind first."""
    first = {t.kind.id: t for t in reversed(survivors)}
    return [*reversed(first.values()), *(t for t in survivors if t is not first[t.kind.id])]


def tables_of(kinds: Sequence[Kind], trials: Sequence[Trial]) -> dict[str, list[dict[str, Any]]]:
    """The tables for the reader: by group, and by kind."""
    by_kind = {kind.id: [t for t in trials if t.kind.id == kind.id] for kind in kinds}
    rows = [_row(kind, by_kind[kind.id]) for kind in kinds]
    groups = []
    for group in GROUPS:
        own = [row for row in rows if row["group"] == group]
        tried, killed = sum(r["tried"] for r in own), sum(r["killed"] for r in own)
        if own:
            groups.append({"group": group, "kinds": len(own), "tried": tried, "killed": killed})
    return {GROUP_TABLE: groups, TABLE: rows}


def _row(kind: Kind, trials: Sequence[Trial]) -> dict[str, Any]:
    tried = [t for t in trials if not t.absent]
    killers = Counter(name for t in tried for name in _families(t.killers))
    absent = {f"not on {t.shape}: {t.absent}" for t in trials if t.absent}
    return {
        "kind": kind.id,
        "damage": kind.words,
        "group": kind.group,
        "tried": len(tried),
        "killed": sum(bool(t.killers) for t in tried),
        "killed by": ", ".join(f"{name} {times}" for name, times in killers.most_common()),
        "remarks": "; ".join(sorted(absent)),
    }


def _families(killers: Sequence[str]) -> set[str]:
    """The checks, with the tables' contents as one."""
    short = (name.removeprefix("verify.") for name in killers)
    return {"content" if name.startswith("content.") else name for name in short}


def alarms_of(sound: Sequence[tuple[str, tuple[str, ...]]]) -> Finding:
    """What the verifier said of sound targets, each told by what it is and the gates that did not pass."""
    alarms = [f"{what}: {', '.join(killers)}" for what, killers in sound if killers]
    return Finding(
        id=ALARMS,
        claim=ALARMS_CLAIM,
        verdict="fail" if alarms else "pass",
        value=len(alarms),
        unit="false alarms",
        limit=0,
        n=len(sound),
        where=tuple(alarms[:SHOWN]),
        evidence="migrations that nobody touched, and ones whose triggers and rules were taken off and put back",
    )


def rates_text(stage: Stage) -> str:
    """How much of the damage was seen, a line a group."""
    return "\n".join(
        f"{row['group']:<14} {row['killed']:>5} of {row['tried']:>5} seen, {row['kinds']} kinds of damage"
        for row in stage.tables[GROUP_TABLE]
    )
