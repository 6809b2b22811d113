"""Annotations of a job in CI: the gates that did not pass as workflow commands of GitHub, the worst first.

What stands in a message comes from data, so that it is cleaned and escaped: nothing in it begins another command.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ptp.evidence import Evidence
from ptp.report.gates import NO_VERDICT, Gate, gates_of, headline
from ptp.report.words import clean, plural

MOST = 10
"""GitHub shows no more of a step; where there are more, the last one says how many."""

Level: TypeAlias = Literal["error", "warning"]

_PLACES = 3
_LONGEST = 1_000
_TITLE = 120


@dataclass(frozen=True, slots=True)
class Annotation:
    """One thing that a reader must look at; an error unless it only could not be decided."""

    level: Level
    title: str
    message: str


def annotations_of(evidence: Evidence, *, most: int = MOST) -> tuple[Annotation, ...]:
    """The annotations of a run, the worst first and at most `most`; none where all of it passed."""
    found = [*_of_the_run(evidence), *(_of_a_gate(gate) for gate in gates_of(evidence) if gate.bad)]
    if len(found) <= most:
        return tuple(found)
    rest = found[most - 1 :]
    level: Level = "error" if any(one.level == "error" for one in rest) else "warning"
    more = Annotation(level, f"{plural(len(rest), 'more gate')}", "The report and summary.md name them all.")
    return (*found[: most - 1], more)


def github_text(annotations: tuple[Annotation, ...]) -> str:
    """The annotations as workflow commands of GitHub, one a line; empty where there are none."""
    return "".join(f"::{one.level} title={_property(one.title)}::{_data(one.message)}\n" for one in annotations)


def _of_the_run(evidence: Evidence) -> Iterator[Annotation]:
    """What stopped the run, or makes its verdict one that cannot be trusted, whatever its gates say."""
    head = headline(evidence, gates_of(evidence))
    recorded_otherwise = evidence.verdict == "pass" and head.state.style != "pass"
    if head.state is NO_VERDICT or evidence.reason or recorded_otherwise:
        yield Annotation("error", head.state.word, head.why)
    if evidence.missing:
        named = ", ".join(evidence.missing[:_PLACES]) + (", …" if len(evidence.missing) > _PLACES else "")
        yield Annotation("error", f"{plural(len(evidence.missing), 'required gate')} not answered", named)


def _of_a_gate(gate: Gate) -> Annotation:
    seen = [f"{gate.value}, limit {gate.limit}" if gate.limit else gate.value] if gate.value else []
    if gate.bounds:
        seen.append(f"95 % interval {gate.bounds}")
    lines = ["; ".join(seen), *gate.places[:_PLACES]]
    if (more := len(gate.finding.where) - _PLACES) > 0:
        lines.append(f"and {plural(more, 'more place')}")
    lines.append(gate.finding.evidence)
    message = "\n".join(clean(line, longest=_LONGEST) for line in lines if line)
    level: Level = "warning" if gate.state.style == "inconclusive" else "error"
    return Annotation(level, f"{gate.state.word}: {gate.finding.claim}", message or gate.finding.id)


def _data(text: str) -> str:
    """A message in which neither a percent sign nor the end of a line acts."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """A property, which a colon or a comma would end besides."""
    line = " ".join(clean(text, longest=_TITLE).split())
    return _data(line).replace(":", "%3A").replace(",", "%2C")
