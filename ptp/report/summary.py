"""A summary in Markdown for a pull request: the verdict first, what did not pass, every query, where to look.

GitHub refuses a comment of more than 65,536 characters, so each table has a share of `LONGEST` and says how many rows
did not fit. Texts from data are escaped: they bring no markup, no link, and mention nobody.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ptp.evidence import Evidence, Run, Stage
from ptp.report.gates import STATES, Gate, gates_of, headline
from ptp.report.matching import SECONDS, is_about, is_side, limit_of
from ptp.report.words import clean, duration, is_number, moment, number, plural, quantity
from ptp.results import Finding, Measurement, worst
from ptp.stats import bounds, percentile

LONGEST = 60_000
"""Characters of a summary, at most."""

_SHARE = 15_000  # of one table, so that three of them and what stands around them fit
_CELL = 200
_SHORT = 40
_MOST_PLACES = 3
_BAD = ("fail", "invalid", "inconclusive")
_REGRESSION = "against."
_COUNTERS = {"vm_steps": "VM steps", "billed_rows": "billed rows", "rows_read": "rows read", "rows_written": "written"}
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+!|~$^])")


def markdown_text(found: Evidence | Stage) -> str:
    """The summary of a run, or of one stage alone; the same results give the same text, under `LONGEST` characters."""
    evidence = found if isinstance(found, Evidence) else _alone(found)
    gates = gates_of(evidence)
    parts = [_head(evidence, gates, is_run=found is evidence)]
    parts += _not_passed(gates)
    parts += _queries(evidence.stages)
    parts += _regressions(evidence.stages)
    parts.append(_places(evidence, gates, is_run=found is evidence))
    return "\n\n".join(parts) + "\n"


def escaped(text: str, *, longest: int = _CELL) -> str:
    """A text from data on one line of Markdown, in which nothing acts as markup, link or mention."""
    line = " ".join(clean(text, longest=longest).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = _MARKUP.sub(r"\\\1", line)
    # An entity is text to the parser, and so begins no address; a comment parts a name from the sign before it.
    line = re.sub(r"(?i)(https?|ftp)://", r"\1&#58;//", line)
    line = re.sub(r"(?i)\bwww\.", "www&#46;", line)
    return re.sub(r"@(?=\w)", "@<!-- -->", line)


def _alone(stage: Stage) -> Evidence:
    run = Run(stage.name, "", "", "", "", "", stage.seconds)
    return Evidence(run, (stage,), worst(stage.findings))


def _head(evidence: Evidence, gates: Sequence[Gate], *, is_run: bool) -> str:
    head, run = headline(evidence, tuple(gates)), evidence.run
    lines = [f"## {head.state.sign} {head.state.word}", "", escaped(head.why)]
    if head.missing:
        shown = ", ".join(escaped(name, longest=_SHORT) for name in head.missing[:10])
        lines += ["", f"Required, and not answered ({len(head.missing)}): {shown}."]
    if is_run:
        told = (("Run", run.id), ("Profile", run.profile), ("Environment", run.env), ("Started", moment(run.started)))
        facts = [f"{name}: {escaped(text)}" for name, text in told if text]
        lines += ["", " · ".join([*facts, f"Took {duration(run.seconds)}"])]
    else:
        stage = evidence.stages[0]
        lines += ["", f"{escaped(stage.title)} · took {duration(stage.seconds)}"]
    return "\n".join(lines)


def _not_passed(gates: Sequence[Gate]) -> list[str]:
    bad = [gate for gate in gates if gate.bad]
    if not bad:
        return []
    heads = ("Verdict", "Claim", "Value", "Limit", "Interval, 95 %", "n", "Where")
    return [f"### Gates that did not pass ({len(bad)})\n\n{_table(heads, map(_gate_row, bad), right=(2, 3, 4, 5))}"]


def _gate_row(gate: Gate) -> tuple[str, ...]:
    finding = gate.finding
    where = "; ".join(escaped(place) for place in finding.where[:_MOST_PLACES])
    if (more := len(finding.where) - _MOST_PLACES) > 0:
        where += f"; and {plural(more, 'more place')}"
    return (
        f"{gate.state.sign} {gate.state.word}",
        escaped(finding.claim),
        escaped(gate.value),
        escaped(gate.limit),
        escaped(gate.bounds),
        f"{finding.n:,}" if finding.n is not None else "",
        where or escaped(finding.evidence),
    )


def _queries(stages: Iterable[Stage]) -> list[str]:
    """What was measured in a unit of time, a row each, with the counters of its name; those with a limit first."""
    rows, counted = [], _counters(stages)
    names = [name for name in _COUNTERS if any(row.get(name) is not None for row in counted.values())]
    for stage in stages:
        for one in stage.measurements:
            if one.samples and one.unit in SECONDS and not is_side(one, stage.measurements):
                rows.append(_query_row(one, stage.findings, counted.get(one.what, {}), names))
    if not rows:
        return []
    heads = ("Query", "p50", "p95", "95 % interval of p95", "Limit", "n", *(_COUNTERS[name] for name in names))
    table = _table(heads, rows, right=range(1, len(heads)))
    return [f"### What was measured ({len(rows)})\n\n{table}"]


def _query_row(
    one: Measurement, findings: Sequence[Finding], counted: Mapping[str, Any], names: Sequence[str]
) -> tuple[str, ...]:
    ordered = sorted(one.samples)
    limit, p95, span = limit_of(one, findings), percentile(ordered, q=0.95), bounds(ordered, q=0.95)
    judged = next((f for f in findings if is_about(f, one) and f.value == p95), None)  # may know of dependent samples
    both = (judged.low, judged.high) if judged else (span.low, span.high)
    low, high = (number(v) if v is not None and math.isfinite(v) else "unknown" for v in both)
    over = limit is not None and p95 > limit
    return (
        escaped(one.what),
        quantity(percentile(ordered, q=0.5), unit=one.unit),
        f"**{quantity(p95, unit=one.unit, beside=limit)}**" if over else quantity(p95, unit=one.unit, beside=limit),
        f"{low} – {high}",
        quantity(limit, unit=one.unit),
        f"{len(ordered):,}",
        *(quantity(counted.get(name)) if is_number(counted.get(name)) else "–" for name in names),
    )


def _counters(stages: Iterable[Stage]) -> dict[str, dict[str, Any]]:
    """Counters by the name of what was counted, from every table that has a column of one."""
    found: dict[str, dict[str, Any]] = {}
    for row in (row for stage in stages for rows in stage.tables.values() for row in rows):
        name = row.get("query") or row.get("name")
        if isinstance(name, str) and (known := {k: row[k] for k in _COUNTERS if row.get(k) is not None}):
            found[name] = known | found.get(name, {})
    return found


def _regressions(stages: Iterable[Stage]) -> list[str]:
    """What a comparison with another run or version found; nothing where none was made."""
    found = [f for stage in stages for f in stage.findings if f.id.startswith(_REGRESSION)]
    worse = [f for f in found if f.verdict in _BAD]
    if not found:
        return []
    if not worse:
        return [f"### Regressions\n\nNone: {plural(len(found), 'comparison')} passed."]
    heads = ("Verdict", "What", "Value", "Limit", "Where")
    rows = (
        (
            f"{STATES[f.verdict].sign} {STATES[f.verdict].word}",
            escaped(f"{f.id.removeprefix(_REGRESSION)}: {f.claim}"),
            escaped(quantity(f.value, unit=f.unit, beside=f.limit)),
            escaped(quantity(f.limit, beside=f.value)),
            escaped("; ".join((*f.where[:_MOST_PLACES], f.evidence))),
        )
        for f in worse
    )
    return [f"### Regressions ({len(worse)} of {len(found)})\n\n{_table(heads, rows, right=(2, 3))}"]


def _places(evidence: Evidence, gates: Sequence[Gate], *, is_run: bool) -> str:
    """Which files of the run folder say more."""
    files = ["`index.html`: the report", "`verdict.json`: every gate"] if is_run else []
    files += [
        f"`results/{_file_name(s.name)}.json`: raw results of {escaped(s.title, longest=_SHORT)}"
        for s in evidence.stages[:8]
    ]
    named = dict.fromkeys(gate.file for gate in gates if gate.bad and gate.file)
    files += [f"`{name}`: evidence of a gate that did not pass" for name in list(named)[:10]]
    lines = "\n".join(f"- {text}" for text in files)
    return f"### Where to look\n\nIn the folder of the run:\n\n{lines}"


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.-]", "-", text, flags=re.ASCII)[:80]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int]) -> str:
    """The rows that fit into the share of one table, and how many did not."""
    lines = [f"| {' | '.join(heads)} |"]
    lines.append(f"|{'|'.join(' ---: ' if place in right else ' --- ' for place in range(len(heads)))}|")
    size, left = sum(map(len, lines)), 0
    for line in _lines(rows):
        if left or size + len(line) > _SHARE:
            left += 1
            continue
        lines.append(line)
        size += len(line) + 1
    return "\n".join(lines) + (f"\n\nand {plural(left, 'more row')} in the results." if left else "")


def _lines(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for row in rows:
        yield f"| {' | '.join(row)} |"
