"""JUnit XML, as systems of CI read it: a suite for each stage, a case for each gate.

What is inconclusive is a failure of that type, since `skipped` would hide it; what is invalid is an error; what does
not apply is skipped, with its reason. Notes decide nothing and are left out. A run that wrote no verdict, and a
required gate that nothing answers, are errors in a suite of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from ptp.evidence import Evidence, Run, Stage
from ptp.report.matching import seconds_of
from ptp.report.words import clean, number, plural, quantity
from ptp.results import Finding

MOST_PLACES = 20
"""A gate that names more places than this shows the first of them and says so."""


@dataclass(frozen=True, slots=True)
class _Case:
    """A case: which element stands in it for its outcome ("" for passed), of what type, and what both say."""

    group: str
    name: str
    seconds: float
    outcome: str = ""
    type: str = ""
    message: str = ""
    text: str = ""


def junit_text(found: Evidence | Stage) -> str:
    """The gates of a run, or of one stage alone, as JUnit XML; the same results give the same text. Times in s."""
    stages = (found,) if isinstance(found, Stage) else found.stages
    run = found.run if isinstance(found, Evidence) else None
    suites = [_stage(stage, run=run) for stage in stages]
    if isinstance(found, Evidence) and (cases := _unanswered(found)):
        suites.append(_suite("verdict", cases, seconds=0.0, properties={}, run=run))
    counts = [_attributes(cases, seconds) for cases, seconds, _ in suites]
    total = {key: sum(int(one[key]) for one in counts) for key in ("tests", "failures", "errors", "skipped")}
    seconds = sum(seconds for _, seconds, _ in suites)
    head = _tag("testsuites", {"name": "ptp", **{k: str(v) for k, v in total.items()}, "time": f"{seconds:.3f}"})
    body = "".join(text for _, _, text in suites)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{head}>\n{body}</testsuites>\n'


_Suite = tuple[Sequence[_Case], float, str]


def _stage(stage: Stage, *, run: Run | None) -> _Suite:
    cases = [_case(finding, stage) for finding in stage.findings if finding.severity != "note"]
    return _suite(stage.name, cases, seconds=stage.seconds, properties=_properties(stage, run), run=run)


def _suite(
    name: str, cases: Sequence[_Case], *, seconds: float, properties: Mapping[str, str], run: Run | None
) -> _Suite:
    started = {"timestamp": run.started} if run else {}
    lines = [f" <{_tag('testsuite', {'name': name, **_attributes(cases, seconds), **started})}>"]
    if properties:
        lines.append("  <properties>")
        lines += [f"   <{_tag('property', {'name': key, 'value': value})}/>" for key, value in properties.items()]
        lines.append("  </properties>")
    lines += [line for case in cases for line in _lines(case)]
    lines.append(" </testsuite>")
    return cases, seconds, "".join(f"{line}\n" for line in lines)


def _attributes(cases: Sequence[_Case], seconds: float) -> dict[str, str]:
    outcomes = [case.outcome for case in cases]
    return {
        "tests": str(len(cases)),
        "failures": str(outcomes.count("failure")),
        "errors": str(outcomes.count("error")),
        "skipped": str(outcomes.count("skipped")),
        "time": f"{seconds:.3f}",
    }


def _case(finding: Finding, stage: Stage) -> _Case:
    kinds = {
        "pass": ("", ""),
        "fail": ("failure", "data" if finding.severity == "data" else "fail"),
        "inconclusive": ("failure", "inconclusive"),
        "not applicable": ("skipped", "not applicable"),
    }
    outcome, kind = kinds.get(finding.verdict, ("error", "invalid"))
    said = _said(finding)
    return _Case(
        group=f"ptp.{stage.name}",
        name=finding.id,
        seconds=seconds_of(finding, stage.measurements),
        outcome=outcome,
        type=kind,
        message=finding.evidence or finding.claim if outcome == "skipped" else said,
        text="\n".join((said, *_details(finding))),
    )


def _unanswered(evidence: Evidence) -> list[_Case]:
    cases = []
    if evidence.verdict is None:
        said = f"No verdict was written: nothing counts as passed. {evidence.reason}".strip()
        cases.append(_Case("ptp.verdict", "verdict", 0.0, "error", "no verdict", said, said))
    for name in evidence.missing:
        said = f"The required gate {name} was not answered."
        cases.append(_Case("ptp.verdict", name, 0.0, "error", "missing", said, said))
    return cases


def _said(finding: Finding) -> str:
    """The claim with what was seen, in one line."""
    parts = []
    if finding.value is not None:
        parts.append(quantity(finding.value, unit=finding.unit, beside=finding.limit))
    if finding.limit is not None:
        parts.append(f"limit {quantity(finding.limit, beside=finding.value)}")
    return f"{finding.claim}: {', '.join(parts)}" if parts else finding.claim


def _details(finding: Finding) -> Iterator[str]:
    if finding.low is not None or finding.high is not None:
        low, high = (number(v) if v is not None else "unknown" for v in (finding.low, finding.high))
        yield f"95 % interval: {low} to {high}"
    if finding.n is not None:
        yield f"n: {finding.n:,}"
    if finding.known:
        yield "The source had this already."
    if finding.evidence:
        yield f"Evidence: {finding.evidence}"
    yield from (f"Where: {place}" for place in finding.where[:MOST_PLACES])
    if (more := len(finding.where) - MOST_PLACES) > 0:
        yield f"and {plural(more, 'more place')}"


def _properties(stage: Stage, run: Run | None) -> dict[str, str]:
    """Versions and environment, each name once; where a name has several values, all of them."""
    found: dict[str, str] = {}
    if run:
        found |= {"run": run.id, "profile": run.profile, "env": run.env}
        found |= {f"version.{name}": version for name, version in run.versions.items()}
    seen: dict[str, dict[str, None]] = {}
    for name, value in (pair for m in stage.measurements for pair in m.environment.items()):
        seen.setdefault(f"environment.{name}", {})[value] = None
    return found | {name: "; ".join(values) for name, values in seen.items()}


def _lines(case: _Case) -> Iterable[str]:
    given = {"classname": case.group, "name": case.name, "time": f"{case.seconds:.3f}"}
    yield f"  <{_tag('testcase', given)}>"
    if case.outcome == "skipped":
        yield f"   <{_tag('skipped', {'message': case.message})}/>"
    elif case.outcome:
        said = _tag(case.outcome, {"message": case.message, "type": case.type})
        yield f"   <{said}>{_escaped(case.text)}</{case.outcome}>"
    if not case.outcome:
        yield f"   <system-out>{_escaped(case.text)}</system-out>"
    yield "  </testcase>"


def _tag(name: str, attributes: Mapping[str, str]) -> str:
    return " ".join((name, *(f"{key}={quoteattr(clean(value))}" for key, value in attributes.items())))


def _escaped(text: str) -> str:
    return escape(clean(text, longest=8_000))
