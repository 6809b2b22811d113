"""What stands under the gates: a section for each stage with its charts, tables, estimates and notes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from ptp.evidence import Evidence, Stage
from ptp.report.gates import STATES, Gate, as_gate
from ptp.report.matching import limit_of
from ptp.report.pictures import histogram
from ptp.report.stage_pictures import groups_of, pictures_of
from ptp.report.words import LONGEST, aligned, anchor, cell, clean, duration, is_number, number, plural, quantity
from ptp.results import Estimate, Finding, Measurement
from ptp.stats import percentile

MOST_ROWS = 60
"""A table with more rows than this shows the first of them and says where the others are."""


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a column, and whether it holds numbers, which stand at the right."""

    name: str
    number: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table ready to be shown: one text for each cell; `more` rows are not shown."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    more: int = 0


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart as an image: where it is, as a data URI, and the text that says the same."""

    uri: Markup
    alt: Markup


@dataclass(frozen=True, slots=True)
class Section:
    """One stage as a section of the page."""

    stage: Stage
    anchor: str
    took: str
    summary: str
    links: tuple[tuple[str, str], ...]
    pictures: tuple[Picture, ...]
    tables: tuple[Table, ...]
    notes: tuple[Gate, ...]


def sections_of(evidence: Evidence, *, files: Collection[str] | None) -> tuple[Section, ...]:
    """A section for each stage; links only to `files` of the run folder where these are known."""
    named: Counter[str] = Counter()
    return tuple(_section(stage, files=files, named=named) for stage in evidence.stages)


def environment_of(evidence: Evidence) -> tuple[Table, ...]:
    """The versions of the run, and the machine as each stage's measurements describe it."""
    versions = [{"name": name, "version": version} for name, version in evidence.run.versions.items()]
    places: dict[tuple[str, str], list[str]] = {}
    for stage in evidence.stages:
        for pair in dict.fromkeys(pair for m in stage.measurements for pair in m.environment.items()):
            places.setdefault(pair, []).append(stage.title)
    measured = [{"what": k, "value": v, "in": ", ".join(titles)} for (k, v), titles in places.items()]
    return tuple(table(name, rows) for name, rows in (("Versions", versions), ("Measured on", measured)) if rows)


def table(caption: str, rows: Sequence[Mapping[str, object]]) -> Table:
    """Any rows as a table: the columns in the order of their first appearance, numbers at the right."""
    shown = rows[:MOST_ROWS]
    columns, texts = [], []
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name) for row in shown]
        numbers = [value for value in values if value is None or is_number(value)]
        numeric = len(numbers) == len(values) and any(value is not None for value in numbers)
        columns.append(Column(str(name).replace("_", " "), numeric))
        texts.append(aligned(numbers) if numeric else [_cell(name, value) for value in values])
    cells = tuple(zip(*texts, strict=True))
    return Table(caption=caption, columns=tuple(columns), rows=cells, more=len(rows) - len(shown))


def _section(stage: Stage, *, files: Collection[str] | None, named: Counter[str]) -> Section:
    wanted = (
        ("Notebook", f"notebooks/{stage.name}.html"),
        ("Notebook to run (.ipynb)", f"notebooks/{stage.name}.ipynb"),
        ("Raw results (JSON)", f"results/{stage.name}.json"),
        ("Raw samples (.npz)", f"results/{stage.name}.npz"),
    )
    own, beside = groups_of(stage)
    tables = [_measured(unit, members, stage.findings) for unit, members in own.items()]
    tables += [table(name, rows) for name, rows in stage.tables.items() if rows]
    tables += [_beside(unit, members) for unit, members in beside.items()]
    tables += [_estimates(stage.estimates)] if stage.estimates else []
    return Section(
        stage=stage,
        anchor=anchor(f"stage-{stage.name}"),
        took=duration(stage.seconds),
        summary=_summary(stage),
        links=tuple((text, path) for text, path in wanted if files is None or path in files),
        # A URI is base64 and holds no markup.
        pictures=tuple(Picture(uri=Markup(c.uri), alt=escape(c.alt)) for c in pictures_of(stage)),
        tables=tuple(tables),
        notes=tuple(as_gate(f, stage=stage.name, named=named) for f in stage.findings if f.severity == "note"),
    )


def _summary(stage: Stage) -> str:
    counted: Counter[str] = Counter(f.verdict for f in stage.findings if f.severity != "note")
    told = [f"{counted[name]} {state.word.lower()}" for name, state in STATES.items() if counted[name]]
    parts = [f"{plural(sum(counted.values()), 'gate')}: {', '.join(told)}"] if told else []
    if stage.measurements:
        samples = sum(len(m.samples) for m in stage.measurements)
        parts.append(f"{plural(len(stage.measurements), 'measurement')} of {plural(samples, 'sample')}")
    return "; ".join(parts)


def _measured(unit: str, members: Sequence[Measurement], findings: Sequence[Finding]) -> Table:
    limits = [limit_of(m, findings) for m in members]
    everything = [v for m in members for v in m.samples] + [v for v in limits if v is not None]
    low, high = min(everything), max(everything)
    names = ("p50", "p95", "p99", "most", *(["limit"] if any(v is not None for v in limits) else []), "n")
    rows = []
    for member, limit in list(zip(members, limits, strict=True))[:MOST_ROWS]:
        ordered = sorted(member.samples)
        values = [number(percentile(ordered, q=q)) for q in (0.50, 0.95, 0.99, 1.0)]
        values += [quantity(limit)] if "limit" in names else []
        spread = histogram(ordered, low=low, high=high, limit=limit)
        rows.append((member.what, *values, f"{len(ordered):,}", spread))
    columns = (Column("what"), *(Column(name, True) for name in names), Column("spread, on one scale"))
    return Table(f"Measured, in {unit}" if unit else "Measured", columns, tuple(rows), len(members) - len(rows))


def _beside(unit: str, members: Sequence[Measurement]) -> Table:
    """What was measured apart, or beside something else, in fewer columns: its charts and its own tables say more."""
    rows: list[tuple[str, ...]] = []
    for member in members[:MOST_ROWS]:
        ordered = sorted(member.samples)
        values = [number(percentile(ordered, q=q)) for q in (0.50, 0.95, 1.0)]
        rows.append((member.what, *values, f"{len(ordered):,}"))
    columns = (Column("what"), *(Column(name, True) for name in ("p50", "p95", "most", "n")))
    return Table(f"Measured apart or in pairs, in {unit}", columns, tuple(rows), len(members) - len(rows))


def _estimates(estimates: Sequence[Estimate]) -> Table:
    rows = [
        {
            "what": e.what,
            "estimate": quantity(e.value, unit=e.unit),
            "range": f"{number(e.low)} – {number(e.high)}",
            "model": e.model,
            "inputs": ", ".join(f"{name} {cell(value)}" for name, value in e.inputs.items()),
        }
        for e in estimates
    ]
    return table("Estimated, not measured", rows)


def _cell(column: str, value: object) -> str:
    state = STATES.get(str(value)) if column == "verdict" else None
    if state is not None:
        return Markup('<span class="chip {}"><span aria-hidden="true">{}</span> {}</span>').format(
            state.style, state.sign, state.word
        )
    text = cell(value)
    if "\n" in text.strip():
        return Markup("<pre>{}</pre>").format(clean(text, longest=LONGEST))
    return text
