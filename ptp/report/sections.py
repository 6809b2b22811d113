"""A stage as a section of its page: how to run it again, its charts, tables, gates and notes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from ptp.evidence import Evidence, Run, Stage
from ptp.report.commands import command_of
from ptp.report.gates import STATES, Gate
from ptp.report.inline import inline
from ptp.report.measured import apart_table, covered, ordered, single_table, spread_column, times_table
from ptp.report.stage_pictures import groups_of, pictures_of
from ptp.report.tables import Table, table
from ptp.report.topics import stages_of
from ptp.report.words import anchor, cell, duration, number, plural, quantity
from ptp.results import Estimate


@dataclass(frozen=True, slots=True)
class Block:
    """A table and the name of its place on the page."""

    table: Table
    anchor: str


@dataclass(frozen=True, slots=True)
class Section:
    """One stage as a section of its page; `lead` are the tables of what it measured for itself, which come first."""

    stage: Stage
    anchor: str
    took: str
    summary: str
    command: str
    links: tuple[tuple[str, str], ...]
    lead: tuple[Block, ...]
    pictures: tuple[Markup, ...]
    blocks: tuple[Block, ...]
    gates: tuple[Gate, ...]
    notes: tuple[Gate, ...]

    @property
    def bad(self) -> tuple[Gate, ...]:
        """The gates that a reader must look at."""
        return tuple(gate for gate in self.gates if gate.bad)


def section(stage: Stage, run: Run, *, findings: Sequence[Gate], files: Collection[str] | None) -> Section:
    """A stage with what was found in it; links only to `files` of the run folder where these are known."""
    own = [gate for gate in findings if gate.stage == stage.name]
    name = anchor(f"stage-{stage.name}")
    lead, rest = _tables(stage)
    blocks = tuple(Block(one, f"{name}-table-{place}") for place, one in enumerate((*lead, *rest)))
    return Section(
        stage=stage,
        anchor=name,
        took=duration(stage.seconds),
        summary=_summary(stage),
        command=command_of(stage, run),
        links=tuple((text, path) for text, path in links_of(stage) if files is None or path in files),
        lead=blocks[: len(lead)],
        pictures=tuple(inline(c, name=f"{name}-{place}") for place, c in enumerate(pictures_of(stage))),
        blocks=blocks[len(lead) :],
        gates=tuple(gate for gate in own if not gate.note),
        notes=tuple(gate for gate in own if gate.note),
    )


def links_of(stage: Stage) -> tuple[tuple[str, str], ...]:
    """The files of a stage, each with its name."""
    return (
        ("Notebook", f"notebooks/{stage.name}.html"),
        ("Notebook to run (.ipynb)", f"notebooks/{stage.name}.ipynb"),
        ("Raw results (JSON)", f"results/{stage.name}.json"),
        ("Raw samples (.npz)", f"results/{stage.name}.npz"),
    )


def environment_of(evidence: Evidence) -> tuple[Table, ...]:
    """The versions of the run, and the machine as each stage's measurements describe it."""
    versions = [{"name": name, "version": version} for name, version in evidence.run.versions.items()]
    places: dict[tuple[str, str], list[str]] = {}
    for stage in stages_of(evidence):
        for pair in dict.fromkeys(pair for m in stage.measurements for pair in m.environment.items()):
            places.setdefault(pair, []).append(stage.title)
    measured = [{"what": k, "value": v, "in": ", ".join(titles)} for (k, v), titles in places.items()]
    return tuple(table(name, rows) for name, rows in (("Versions", versions), ("Measured on", measured)) if rows)


def _tables(stage: Stage) -> tuple[list[Table], list[Table]]:
    """The tables of what was measured for itself, and all others, in the order in which they are read."""
    own, beside = groups_of(stage)
    told = {name: rows for name, rows in stage.tables.items() if rows}
    lead = []
    for unit, members in own.items():
        if all(len(m.samples) == 1 for m in members):
            lead.append(single_table(unit, members))
        elif (found := covered(told, members)) is not None:
            rows = spread_column(told.pop(found), members, stage.findings)
            lead.append(table(found, ordered(_with_counters(rows, stage, found))))
        else:
            lead.append(times_table(unit, members, stage.findings))
    rest = [table(name, rows) for name, rows in told.items()]
    rest += [_estimates(stage.estimates)] if stage.estimates else []
    return lead, [*rest, *(apart_table(unit, members) for unit, members in beside.items())]


_COUNTERS = ("vm_steps", "billed_read", "billed_written")


def _with_counters(rows: Sequence[Mapping[str, Any]], stage: Stage, own: str) -> list[dict[str, Any]]:
    """What a call costs beside what it takes, where another table of the stage counted it by the same name."""
    counted: dict[object, dict[str, Any]] = {}
    for name, others in stage.tables.items():
        for row in others if name != own else ():
            if row.get("query") and (known := {c: row[c] for c in _COUNTERS if c in row}):
                counted.setdefault(row["query"], known)
    if not counted:
        return [dict(row) for row in rows]
    empty = dict.fromkeys(_COUNTERS)
    return [{**row, **empty, **counted.get(row.get("name"), {})} for row in rows]


def _summary(stage: Stage) -> str:
    counted: Counter[str] = Counter(f.verdict for f in stage.findings if f.severity != "note")
    told = [f"{counted[name]} {state.word.lower()}" for name, state in STATES.items() if counted[name]]
    parts = [f"{plural(sum(counted.values()), 'gate')}: {', '.join(told)}"] if told else []
    if stage.measurements:
        samples = sum(len(m.samples) for m in stage.measurements)
        parts.append(f"{plural(len(stage.measurements), 'measurement')} of {plural(samples, 'sample')}")
    return "; ".join(parts)


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
