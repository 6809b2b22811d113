"""What was run on what, and the files that a run folder holds for a reader."""

from __future__ import annotations

from collections.abc import Collection

from ptp.evidence import Evidence, Run
from ptp.report.sections import links_of
from ptp.report.topics import stages_of
from ptp.report.words import duration, moment

BROAD = 60
"""A fact of more characters stands after the others, and takes the whole width."""

_ELSEWHERE = ("left_out", "verifier")
_RECORDED = (("Verdict and every gate", "verdict.json"),)
_ALWAYS = (("What was run on what", "run.json"),)
_BESIDE = (("Summary for a pull request", "summary.md"), ("Gates for CI", "junit.xml"), ("The plan", "plan.sql"))


def facts_of(run: Run, *, whole: bool = False) -> tuple[tuple[str, str], ...]:
    """What was migrated, short facts first; `whole` adds those that stand elsewhere on the index."""
    told = [(_named(name), text) for name, text in run.facts.items() if whole or name not in _ELSEWHERE]
    facts = [("Source", run.source), ("Target", run.target)]
    facts += [fact for fact in told if len(fact[1]) <= BROAD]
    facts += [("Profile", run.profile), ("Environment", run.env)]
    if whole:
        facts += [("Run", run.id), ("Started", moment(run.started)), ("Took", duration(run.seconds))]
    facts += [fact for fact in told if len(fact[1]) > BROAD]
    return tuple((name, text) for name, text in facts if text)


def files_of(evidence: Evidence, files: Collection[str] | None) -> tuple[tuple[str, str], ...]:
    """The files of the run folder that say more, each with what it holds; only those that are there."""
    found = [*(_RECORDED if evidence.verdict is not None else ()), *_ALWAYS]
    found += [(text, path) for text, path in _BESIDE if files is not None and path in files]
    for stage in stages_of(evidence):
        found += [(f"{stage.title}: {text}", path) for text, path in links_of(stage) if files is None or path in files]
    return tuple(found)


def _named(name: str) -> str:
    text = name.replace("_", " ")
    return text[:1].upper() + text[1:]
