"""What changed since the last run, as the run itself noted it among its results."""

from __future__ import annotations

from dataclasses import dataclass

from ptp.evidence import Evidence
from ptp.report.gates import STATES, State
from ptp.report.topics import PREVIOUS
from ptp.report.words import cell, plural

TABLE = "Changes"
RUN = "previous.run"
MOST = 6
"""The index shows so many changes, the worst first, and says how many more there are."""

_STATES = {"worse": State("Worse", "▲", "fail"), "better": State("Better", "▼", "pass")}
_OTHER = State("Other", "•", "idle")


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not as it was."""

    what: str
    before: str
    now: str
    state: State


@dataclass(frozen=True, slots=True)
class Changes:
    """The last run, how it ended, and what changed; `words` say it, also where there is nothing to compare with."""

    words: str
    verdict: State | None
    shown: tuple[Change, ...]
    more: int


def changes_of(evidence: Evidence) -> Changes:
    """What the run noted of the last one beside it; an interrupted run has noted nothing."""
    stage = next((s for s in evidence.stages if s.name == PREVIOUS), None)
    told = next((f for f in stage.findings if f.id == RUN), None) if stage else None
    if stage is None or told is None:
        ended = evidence.verdict is not None
        return Changes(_NONE if ended else "Not compared: the run did not end.", None, (), 0)
    rows = [_change(row) for row in stage.tables.get(TABLE, ())]
    rows.sort(key=lambda one: (one.state is not _STATES["worse"], one.state is _OTHER))
    count = f"{plural(told.n or 0, 'gate')} compared with run {cell(told.value)}: "
    words = count + (plural(len(rows), "change") if rows else "nothing changed beyond its interval") + "."
    if told.evidence:
        words += f" {told.evidence}"
    verdict = next((s for name, s in STATES.items() if name in told.where), None)
    return Changes(words, verdict, tuple(rows[:MOST]), max(len(rows) - MOST, 0))


_NONE = "No earlier run of the same kind stood beside this one."


def _change(row: object) -> Change:
    fields = row if isinstance(row, dict) else {}
    what, before, now = (cell(fields.get(name)) for name in ("what", "before", "now"))
    return Change(what, before, now, _STATES.get(str(fields.get("change")), _OTHER))
