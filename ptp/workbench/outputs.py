"""What a run folder holds for people and for CI, beside the results: the pages, summary.md, junit.xml, a badge."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ptp.evidence import Evidence, write_stage
from ptp.report.badge import badge_json, badge_svg
from ptp.report.junit import junit_text
from ptp.report.page import PAGES, write_report, write_text
from ptp.report.summary import markdown_text
from ptp.workbench.previous import previous_stage

SUMMARY, JUNIT = "summary.md", "junit.xml"
BADGES = "badge.svg", "badge.json"
OUTPUTS = (*PAGES, SUMMARY, JUNIT, *BADGES)


def write_outputs(folder: Path, evidence: Evidence) -> None:
    """Note what changed since the last run beside this one, then write all, each atomically.

    The note goes into results/previous.json, from which the report is the same whenever it is made anew.
    """
    told = with_previous(folder, evidence)
    write_text(folder / SUMMARY, markdown_text(evidence))
    write_text(folder / JUNIT, junit_text(evidence))
    for name, text in zip(BADGES, (badge_svg(evidence), badge_json(evidence)), strict=True):
        write_text(folder / name, text)
    write_report(folder, told)


def with_previous(folder: Path, evidence: Evidence) -> Evidence:
    """The evidence and, as a stage of notes, what changed since the last run; as it was where there is none."""
    stage = previous_stage(folder, evidence) if evidence.stages else None
    if stage is None:
        return evidence
    write_stage(folder, stage)
    return replace(evidence, stages=tuple(sorted((*evidence.stages, stage), key=lambda one: one.name)))
