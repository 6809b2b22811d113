"""What a run folder holds for people and for CI, beside the results: index.html, summary.md and junit.xml."""

from __future__ import annotations

from pathlib import Path

from ptp.evidence import Evidence
from ptp.report.junit import junit_text
from ptp.report.page import write_report, write_text
from ptp.report.summary import markdown_text

SUMMARY, JUNIT = "summary.md", "junit.xml"
OUTPUTS = ("index.html", SUMMARY, JUNIT)


def write_outputs(folder: Path, evidence: Evidence) -> None:
    """Write all three, each atomically and a pure function of the evidence."""
    write_report(folder, evidence)
    write_text(folder / SUMMARY, markdown_text(evidence))
    write_text(folder / JUNIT, junit_text(evidence))
