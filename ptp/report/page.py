"""The report of one run: offline pages, the first with the verdict, made from the run folder's files alone."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from markupsafe import Markup, escape

from ptp.evidence import Evidence, read_evidence
from ptp.report.answers import answers_of
from ptp.report.changes import changes_of
from ptp.report.commands import command_of_run
from ptp.report.facts import facts_of, files_of
from ptp.report.gates import findings_of, headline
from ptp.report.navigation import navigation_of
from ptp.report.sections import environment_of, section
from ptp.report.template import page_from
from ptp.report.topics import (
    ENVIRONMENT,
    FINDINGS,
    INDEX,
    TOPICS,
    Topic,
    absent_of,
    members,
    place_of,
    stages_of,
    topic_of,
)
from ptp.report.trust import trust_of
from ptp.report.words import clean, duration, moment, plural

PAGES = (INDEX, *(topic.file for topic in TOPICS), ENVIRONMENT, FINDINGS)
"""Every page that a report can have; a topic has one where the run holds something of it."""

MOST_GATES = 100
"""The index shows so many gates, the worst first; all stand among the findings."""

PLAN = "plan.sql"
_LONGEST_PLAN = 200_000


def render(
    evidence: Evidence,
    page: str = INDEX,
    *,
    files: Collection[str] | None = None,
    texts: Mapping[str, str] | None = None,
) -> str:
    """One page as HTML; the same evidence gives the same bytes.

    Where `files`, the paths inside the run folder, are given, only these are linked to. `texts` are the texts of those
    files that a page shows, such as plan.sql. Raises KeyError for a page that this run does not have.
    """
    return _Report(evidence, files, texts or {}).page(page)


def pages_of(evidence: Evidence) -> tuple[str, ...]:
    """The pages of the report of this run: the index, and where it has results, one a topic and the rest."""
    if not stages_of(evidence):
        return (INDEX,)
    return (INDEX, *(t.file for t in TOPICS if members(t, evidence)), ENVIRONMENT, FINDINGS)


def write_report(folder: Path, evidence: Evidence | None = None) -> Path:
    """Write the pages into the run folder, each atomically, from its files or, before the last is written, `evidence`.

    The index comes last; its path is the result. Pages of an earlier report that this one lacks are removed. Raises
    UsageError when it is no run folder.
    """
    evidence = evidence or read_evidence(folder)
    there = {f.relative_to(folder).as_posix() for part in ("notebooks", "results") for f in (folder / part).glob("*")}
    there |= {name for name in (PLAN, "summary.md", "junit.xml") if (folder / name).is_file()}
    texts = {PLAN: (folder / PLAN).read_text(encoding="utf-8", errors="replace")} if PLAN in there else {}
    report, wanted = _Report(evidence, there, texts), pages_of(evidence)
    for name in reversed(wanted):
        write_text(folder / name, report.page(name))
    for name in set(PAGES) - set(wanted):
        (folder / name).unlink(missing_ok=True)
    return folder / INDEX


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically: to a temporary file beside it, synced, then renamed."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


class _Report:
    """What the pages share, and each of them."""

    def __init__(self, evidence: Evidence, files: Collection[str] | None, texts: Mapping[str, str]) -> None:
        self._evidence, self._files, self._texts = evidence, files, texts
        self._findings = findings_of(evidence)
        self._gates = tuple(gate for gate in self._findings if not gate.note)
        self._head = headline(evidence, self._gates)

    def page(self, name: str) -> str:
        """The page of this file name."""
        if name == INDEX:
            return self._index()
        if name == FINDINGS:
            return self._filled("findings.html.j2", name, findings=self._findings, stages=self._stages())
        if name == ENVIRONMENT:
            return self._environment()
        return self._topic({topic.file: topic for topic in TOPICS}[name])

    def _index(self) -> str:
        evidence = self._evidence
        has_pages = bool(stages_of(evidence))
        return self._filled(
            "index.html.j2",
            INDEX,
            what="What was migrated" if members(TOPICS[0], evidence) else "What was run",
            facts=facts_of(evidence.run),
            answers=answers_of(evidence, self._findings),
            trust=trust_of(evidence, self._findings),
            changes=changes_of(evidence),
            gates=self._gates,
            most=MOST_GATES,
            listed=FINDINGS if has_pages else "",
            stages=self._stages(),
            absent=absent_of(evidence),
            command=command_of_run(evidence.run),
        )

    def _topic(self, topic: Topic) -> str:
        own = members(topic, self._evidence)
        run = self._evidence.run
        sections = [section(stage, run, findings=self._findings, files=self._files) for stage in own]
        plan = self._texts.get(PLAN, "") if topic is TOPICS[0] else ""
        return self._filled(
            "topic.html.j2",
            topic.file,
            topic=topic,
            sections=sections,
            plan=Markup(escape(clean(plan, longest=_LONGEST_PLAN))),
            plan_file=PLAN,
            findings=FINDINGS,
        )

    def _environment(self) -> str:
        return self._filled(
            "environment.html.j2",
            ENVIRONMENT,
            tables=environment_of(self._evidence),
            facts=facts_of(self._evidence.run, whole=True),
            files=files_of(self._evidence, self._files),
            command=command_of_run(self._evidence.run),
        )

    def _stages(self) -> tuple[tuple[str, str, str, str], ...]:
        """Each stage with its topic's page, how long it took and how many gates it has."""
        count: dict[str, int] = {}
        for gate in self._gates:
            count[gate.stage] = count.get(gate.stage, 0) + 1
        return tuple(
            (s.title, place_of(s.name), duration(s.seconds), plural(count.get(s.name, 0), "gate"))
            for s in stages_of(self._evidence)
        )

    def _filled(self, template: str, page: str, **values: object) -> str:
        run = self._evidence.run
        return page_from(
            template,
            page=page,
            run=run,
            started=moment(run.started),
            took=duration(run.seconds),
            head=self._head,
            nav=navigation_of(page, self._evidence, self._gates),
            recorded=self._evidence.verdict is not None,
            topic_of=topic_of,
            **values,
        )
