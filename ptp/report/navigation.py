"""The bar at the head of every page: which pages there are, and where something needs a look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ptp.evidence import Evidence
from ptp.report.gates import Gate, State
from ptp.report.topics import ENVIRONMENT, FINDINGS, INDEX, TOPICS, members, stages_of, topic_of


@dataclass(frozen=True, slots=True)
class Link:
    """One page in the bar; `file` is empty where the run has no such page, `bad` counts gates that need a look."""

    title: str
    file: str
    here: bool
    bad: int
    state: State | None


def navigation_of(page: str, evidence: Evidence, gates: Sequence[Gate]) -> tuple[Link, ...]:
    """All pages in the order in which they are read; `page` is the one that is shown."""
    whole = bool(stages_of(evidence))
    links = [_plain("Summary", INDEX, page)]
    for topic in TOPICS:
        bad = [gate for gate in gates if gate.bad and topic_of(gate.stage) is topic]
        there = topic.file if members(topic, evidence) else ""
        links.append(Link(topic.title, there, there == page, len(bad), bad[0].state if bad else None))
    links += [_plain("Environment", ENVIRONMENT if whole else "", page)]
    links += [_plain("Findings", FINDINGS if whole else "", page)]
    return tuple(links)


def _plain(title: str, file: str, page: str) -> Link:
    return Link(title, file, file == page, 0, None)
