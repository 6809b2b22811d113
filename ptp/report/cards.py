"""Results as small pieces of HTML that stand by themselves, for where no style sheet of ours is: a notebook's outputs.

Colours are variables of the report's style, else of JupyterLab, else plain ones, so that a piece fits all three pages.
Each piece comes with a text that says the same, for where HTML is not shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from ptp.evidence import Stage
from ptp.report.gates import STATES, Gate, State, as_gate, rank
from ptp.report.pictures import histogram
from ptp.report.words import clean, duration, number, plural, quantity
from ptp.results import Estimate, Finding, Measurement, worst
from ptp.stats import bounds, percentile

MOST_GATES = 200
"""A table with more gates than this shows the worst of them and says how many more there are."""

FEW_GATES = 12
"""As many stand open; of more, those that held are folded away."""

_LINE = "var(--line, var(--jp-border-color2, #c4cad1))"
_MUTE = "var(--mute, var(--jp-ui-font-color2, #57606a))"
_TONES = {
    "pass": "#17703d",
    "fail": "#b3261e",
    "invalid": "#8236a8",
    "inconclusive": "#855600",
    "idle": "#57606a",
}
_CELL = f"text-align:left;vertical-align:top;padding:4px 10px 4px 0;border-bottom:1px solid {_LINE};white-space:normal"
_SHAPES = {
    "axis": f"stroke:{_LINE};fill:none",
    "range": "fill:var(--bar, #8fb4d8)",
    "bars": "fill:var(--bar, #8fb4d8)",
    "part": "fill:var(--bar, #8fb4d8)",
    "point": "fill:var(--point, #27659f)",
    "limit": "stroke:var(--ink, var(--jp-ui-font-color1, #1a1f25));stroke-width:2;fill:none",
}


@dataclass(frozen=True, slots=True)
class Card:
    """What is shown of a result, as HTML and as text."""

    html: str
    text: str


def chip(state: State) -> Markup:
    """A verdict: its sign and word on its colour, legible on light and dark pages."""
    style = f"background:{_TONES[state.style]};color:#fff;border-radius:99px;padding:1px 9px;white-space:nowrap"
    return Markup(
        '<span style="{};font-size:12px;font-weight:600"><span aria-hidden="true">{}</span> {}</span>'
    ).format(style, state.sign, state.word)


def finding_card(finding: Finding) -> Card:
    """One finding: verdict, claim, value against limit, bounds, and the first places."""
    gate = _gate(finding)
    return Card(_table("Finding", _HEAD, [_row(gate)]), _told(gate))


def findings_card(findings: Iterable[Finding]) -> Card:
    """Findings as a table, worst first, notes last."""
    gates = [_gate(f) for f in sorted(findings, key=rank)]
    bad = gates if len(gates) <= FEW_GATES else [gate for gate in gates if gate.bad]
    held = [gate for gate in gates if gate not in bad]
    more = len(held) - MOST_GATES
    html = _table("Findings", _HEAD, [_row(gate) for gate in bad[:MOST_GATES]]) if bad else Markup("")
    if held:
        html += Markup('<details><summary style="cursor:pointer">{} held</summary>{}</details>').format(
            plural(len(held), "finding"), _table("Held", _HEAD, [_row(gate) for gate in held[:MOST_GATES]])
        )
    more = max(len(bad) - MOST_GATES, 0) + max(len(held) - MOST_GATES, 0)
    html += Markup('<p style="color:{}">and {:,} more, not shown</p>').format(_MUTE, more) if more else Markup("")
    return Card(html, "\n".join(_told(gate) for gate in gates))


def stage_card(stage: Stage) -> Card:
    """A stage: its verdict, what it is made of, and its findings."""
    state = STATES.get(worst(stage.findings), STATES["invalid"])
    gates = sum(f.severity != "note" for f in stage.findings)
    parts = [plural(gates, "gate"), plural(len(stage.findings) - gates, "note")]
    parts += [plural(len(stage.measurements), "measurement"), plural(len(stage.estimates), "estimate")]
    said = ", ".join(text for text in parts if not text.startswith("0 "))
    found = findings_card(stage.findings)
    head = Markup('<p style="margin:0 0 6px">{} <strong>{}</strong> <span style="color:{}">{} in {}</span></p>').format(
        chip(state), clean(stage.title), _MUTE, said, duration(stage.seconds)
    )
    text = f"{stage.title}: {state.word.lower()}, {said}\n{found.text}".rstrip()
    return Card(head + Markup(found.html), text)


def measurement_card(measurement: Measurement, *, limit: float | None = None) -> Card:
    """One measurement: how its samples spread, percentiles, and the 95 % bounds of the p95."""
    ordered = sorted(measurement.samples)
    name, unit = clean(measurement.what, longest=80), clean(measurement.unit, longest=30)
    if not ordered:
        return Card(Markup("<p><strong>{}</strong>: no samples</p>").format(name), f"{name}: no samples")
    p95 = bounds(ordered, q=0.95)
    values = [(f"p{q}", quantity(percentile(ordered, q=q / 100), unit=unit)) for q in (50, 95, 99)]
    values.append(("95 % bounds of p95", f"{number(p95.low)} – {number(p95.high)}"))
    values += [("most", quantity(ordered[-1], unit=unit)), ("samples", f"{len(ordered):,}")]
    picture = Markup(_plain(histogram(ordered, low=ordered[0], high=ordered[-1], limit=limit)))
    head = ("Measurement", "Spread", *(label for label, _ in values))
    html = _table("Measurement", head, [(Markup("<strong>{}</strong>").format(name), picture, *(v for _, v in values))])
    return Card(html, f"{name}: " + ", ".join(f"{label} {value}" for label, value in values))


def estimate_card(estimate: Estimate) -> Card:
    """One estimate: the value with its range, the model, and the inputs folded away."""
    name, unit = clean(estimate.what, longest=80), clean(estimate.unit, longest=30)
    value = quantity(estimate.value, unit=unit)
    span = f"{number(estimate.low)} – {number(estimate.high)}"
    inputs = Markup("").join(
        Markup("<li>{}: {}</li>").format(clean(key), quantity(given)) for key, given in estimate.inputs.items()
    )
    folded = Markup("<details><summary>{}</summary><ul>{}</ul></details>").format(
        plural(len(estimate.inputs), "input"), inputs
    )
    row = (Markup("<strong>{}</strong>").format(name), value, span, clean(estimate.model), folded)
    html = _table("Estimate", ("Estimate", "Value", "Range", "Model", "Inputs"), [row])
    return Card(html, f"{name}: estimated {value}, {span}, by {clean(estimate.model)}")


def rows_card(caption: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> Card:
    """Any rows of texts as a table."""
    shown = [[value if isinstance(value, Markup) else clean(str(value)) for value in row] for row in rows]
    return Card(_table(caption, head, shown), "\n".join("  ".join(str(v) for v in row) for row in shown))


_HEAD = ("Verdict", "Claim", "Value", "Limit", "Interval, 95 %", "n")


def _gate(finding: Finding) -> Gate:
    return as_gate(finding, stage="", named=Counter())


def _row(gate: Gate) -> tuple[object, ...]:
    finding = gate.finding
    tags = [finding.id, *(["data"] if finding.severity == "data" else []), *(["a note"] if gate.note else [])]
    tags += ["already in the source"] if finding.known else []
    if finding.evidence and not gate.file:
        tags.append(finding.evidence)
    under = Markup('<br><small style="color:{}">{}</small>').format(_MUTE, clean(" · ".join(tags)))
    places = Markup("").join(Markup("<li>{}</li>").format(clean(place)) for place in gate.places)
    more = Markup("<li>and {:,} more</li>").format(gate.more) if gate.more else Markup("")
    count = plural(len(gate.places) + gate.more, "place")
    where = Markup("<details{}><summary>{}</summary><ul>{}{}</ul></details>").format(
        Markup(" open") if gate.bad else "", count, places, more
    )
    claim = Markup("{}{}{}").format(clean(finding.claim), under, where if gate.places else "")
    spread = Markup('<span style="white-space:nowrap">{}{}</span>').format(Markup(_plain(gate.picture)), gate.bounds)
    n = "" if finding.n is None else f"{finding.n:,}"
    return (chip(gate.state), claim, clean(gate.value), clean(gate.limit), spread, n)


def _told(gate: Gate) -> str:
    value = "" if gate.finding.value is None else f": {gate.value}"
    limit = "" if gate.finding.limit is None else f" (limit {gate.limit})"
    where = f" at {gate.places[0]}" if gate.bad and gate.places else ""
    return f"{gate.state.word.lower():<14} {clean(gate.finding.claim)}{value}{limit}{where}"


def _table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> Markup:
    names = Markup("").join(Markup('<th scope="col" style="{}">{}</th>').format(_CELL, name) for name in head)
    lines = Markup("").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(Markup('<td style="{}">{}</td>').format(_CELL, value) for value in row)
        )
        for row in rows
    )
    return Markup(
        '<div style="overflow-x:auto"><table aria-label="{}" style="border-collapse:collapse;font-size:13px">'
        "<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>"
    ).format(caption, names, lines)


def _plain(picture: Markup) -> str:
    """A small picture with its style inside, where the report's style sheet is not."""
    text = str(picture).replace(
        '<svg class="tiny"', '<svg class="tiny" style="display:inline-block;vertical-align:middle"'
    )
    for name, style in _SHAPES.items():
        text = text.replace(f'class="{name}"', f'style="{escape(style)}"')
    return text
