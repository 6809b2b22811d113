"""The work of a query before and after, counter by counter, and the plans that changed.

Counters come before times, because they do not vary: the same calls on the same data take the same statements and VM
steps, so that one more is a change of the code and not of the machine.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ptp.results import Finding

_SHOWN_LINES = 8
_WORDS = {
    "vm_steps": "VM steps",
    "full_scan_steps": "steps of full scans",
    "automatic_indexes": "steps that fill automatic indexes",
    "vm_steps_most": "most VM steps",
    "billed_read": "billed rows read",
    "billed_written": "billed rows written",
    "rows_read": "billed rows read",
    "rows_written": "billed rows written",
}


@dataclass(frozen=True, slots=True)
class Work:
    """What a query costs: counters by name, summed over `calls` calls, or of one call; and the lines of its plans."""

    counters: Mapping[str, float]
    calls: int = 1
    plans: tuple[str, ...] = ()

    @property
    def per(self) -> str:
        """What the counters are of, in words."""
        return "a call" if self.calls == 1 else f"in {self.calls} calls"


def risen(before: Work, after: Work) -> tuple[str, ...]:
    """The counters that have become greater; one that only one side knows is not compared."""
    return tuple(name for name, value in after.counters.items() if value > before.counters.get(name, value))


def plan_changes(before: Work, after: Work) -> tuple[str, ...]:
    """The lines of the plans that changed, each different one once: with - as it was, with + as it is."""
    lines = difflib.ndiff(before.plans, after.plans)
    return tuple(dict.fromkeys(f"{line[:2]}{line[2:].strip()}" for line in lines if line[:2] in ("- ", "+ ")))


def compare_work(name: str, before: Work, after: Work, *, than: str) -> tuple[Finding, ...]:
    """The gate on the counters of a query; with it, as notes, what became less and a plan that changed for no more.

    `than` names the other side in a sentence. Both sides made the same calls.
    """
    more, changes = risen(before, after), plan_changes(before, after)
    left = len(changes) - _SHOWN_LINES
    shown = (*changes[:_SHOWN_LINES], *((f"and {left} more lines of plans",) if left > 0 else ()))
    first = more[0] if more else "vm_steps"
    gate = Finding(
        id=f"against.{name}.counters",
        claim=f"{name} takes no more work than {than}",
        verdict="fail" if more else "pass",
        value=after.counters.get(first),
        unit=word(first),
        limit=before.counters.get(first),
        n=after.calls,
        where=(_told(more, before, after), *shown) if more else (),
        evidence=f"the same calls on both sides, {after.per}, counted by SQLite",
    )
    less = tuple(c for c, value in after.counters.items() if value < before.counters.get(c, value))
    notes = []
    if less:
        told = (_told(less, before, after),)
        notes.append(_note(f"{name}.less", f"{name} takes less work than {than}", told))
    if changes and not more:
        notes.append(_note(f"{name}.plan", f"{name} is run another way than {than}", shown))
    return (gate, *notes)


def undecided_work(name: str, reason: str, *, than: str) -> Finding:
    """The gate on counters that cannot be compared."""
    claim = f"{name} takes no more work than {than}"
    return Finding(f"against.{name}.counters", claim, "inconclusive", evidence=reason)


def word(counter: str) -> str:
    """A counter in words."""
    return _WORDS.get(counter, counter.replace("_", " "))


def _told(counters: Sequence[str], before: Work, after: Work) -> str:
    values = (f"{word(c)}: {before.counters[c]:,} before, {after.counters[c]:,} after" for c in counters)
    return f"{'; '.join(values)}, {after.per}"


def _note(name: str, claim: str, where: Sequence[str]) -> Finding:
    return Finding(f"against.{name}", claim, "pass", severity="note", where=tuple(where))
