"""The pages of the report: one a topic, and which stages stand on it, by the words that begin their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ptp.evidence import Evidence, Stage
from ptp.report.words import anchor

INDEX, FINDINGS, ENVIRONMENT = "index.html", "findings.html", "environment.html"
PREVIOUS = "previous"
"""The stage in which a run notes what changed since the last one: it stands on the index, not on a page of its own."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A page: its file, its name in the navigation, what it answers, and the names of its stages without numbers."""

    file: str
    title: str
    lead: str
    stages: tuple[str, ...]


TOPICS = (
    Topic(
        "migration.html",
        "Migration",
        "What was done to the data, in which order, how long each part took, and the way back.",
        ("migrate", "rehearsal", "backup", "restore", "rollback", "settle", "step", "quarantine"),
    ),
    Topic(
        "verification.html",
        "Verification",
        "Whether every row and value arrived as declared, and whether the verifier would have seen it if not.",
        ("verify", "verify_since", "prove", "health"),
    ),
    Topic(
        "queries.html",
        "Queries",
        "How long each query takes against its limit, what it reads and writes, and what each index is worth.",
        ("benchmark", "floors", "against", "engines", "optimize"),
    ),
    Topic(
        "load.html",
        "Load",
        "How it holds up while many are at work at once, and that no acknowledged answer is lost.",
        ("load", "capacity"),
    ),
    Topic(
        "scale.html",
        "Scale and cost",
        "What it costs as it grows, and when the layout of databases should change.",
        ("scale", "cost", "replicas"),
    ),
)
_OTHER = TOPICS[1]  # of a stage that nobody told us of, what counts is what it checked


@dataclass(frozen=True, slots=True)
class Absent:
    """A topic of which the run holds nothing, and why."""

    topic: Topic
    why: str


def topic_of(stage: str) -> Topic:
    """The topic of a stage by its name, such as 03_benchmark."""
    name = base_of(stage)
    return next((topic for topic in TOPICS if name in topic.stages), _OTHER)


def place_of(stage: str) -> str:
    """Where a stage stands: its topic's page, and its name there."""
    return f"{topic_of(stage).file}#{anchor(f'stage-{stage}')}"


def base_of(stage: str) -> str:
    """The name of a stage without the number that orders it."""
    return re.sub(r"^\d+_", "", stage)


def stages_of(evidence: Evidence) -> tuple[Stage, ...]:
    """The stages that stand on pages of their own."""
    return tuple(stage for stage in evidence.stages if stage.name != PREVIOUS)


def members(topic: Topic, evidence: Evidence) -> tuple[Stage, ...]:
    """The stages of a topic, in order."""
    return tuple(stage for stage in stages_of(evidence) if topic_of(stage.name) is topic)


def absent_of(evidence: Evidence) -> tuple[Absent, ...]:
    """The topics of which the run holds nothing, each with the reason that the run gives."""
    told = dict(_left_out(evidence.run.facts.get("left_out", "")))
    return tuple(Absent(topic, _why(topic, evidence, told)) for topic in TOPICS if not members(topic, evidence))


def _why(topic: Topic, evidence: Evidence, told: dict[str, str]) -> str:
    for name in topic.stages:
        if name in told:
            return told[name]
    if evidence.verdict is None or evidence.reason:
        return "the run ended before it"
    return "this run did not measure it" if topic.file != TOPICS[0].file else "this run migrated nothing"


def _left_out(text: str) -> Sequence[tuple[str, str]]:
    """What a run left out, from a text such as `04_load: it wants the machine; 05_scale: no prices`."""
    parts = re.split(r"(?:^|; )\d+_(\w+): ", text)
    return list(zip(parts[1::2], parts[2::2], strict=True))
