"""Lint of a plan: what in it destroys, what depends on the data at hand, and what a rollback could not take back.

It looks at schemas and statements alone; how many values are concerned is for the preflight to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ptp.conversions import ColumnMap
from ptp.engine import Table
from ptp.migration.pair import Pair
from ptp.migration.plan import Plan
from ptp.migration.quarantine import unenforced_uniques
from ptp.migration.steps import Step

Class: TypeAlias = Literal["destructive", "data-dependent", "irreversible"]
_SHOWN = 60
_DESTROYS = re.compile(
    r"\s*(DROP\s+\w+|DELETE\s+FROM|REPLACE\s+INTO|(INSERT|UPDATE)\s+OR\s+(REPLACE|IGNORE)|ALTER\s+TABLE\s.+?\sDROP\b)",
    re.IGNORECASE | re.DOTALL,
)
_RULED = {
    "time": "a time in seconds",
    "boolean": "0 or 1",
    "json": "valid JSON",
    "date": "a date",
}
_ROUNDED = {"time": "a fraction of a second", "real": "an integer beyond the precision of REAL"}


@dataclass(frozen=True, slots=True)
class Risk:
    """One thing that a reviewer should know of a plan: its class, where it is, and what it is."""

    kind: Class
    where: str
    what: str


def lint(plan: Plan, steps: Sequence[Step], *, homeless: Sequence[str] = ()) -> tuple[Risk, ...]:
    """All risks of a plan made from `steps`, the worst class first.

    `homeless` names tables and columns that only the target has, for which a rollback finds no place.
    """
    return (*_destructive(plan, steps), *_data_dependent(plan), *_irreversible(plan, steps, homeless))


def _destructive(plan: Plan, steps: Sequence[Step]) -> Iterator[Risk]:
    for step in steps:
        for sql in step.up:
            if _DESTROYS.match(sql):
                yield Risk("destructive", f"step {step.name}", _short(sql))
    for extra in plan.extras:
        if not extra.carried:
            yield Risk("destructive", f"{extra.kind} {extra.name}", f"not carried over: {extra.reason}")


def _short(sql: str) -> str:
    line = " ".join(sql.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"


def _data_dependent(plan: Plan) -> Iterator[Risk]:
    for pair in plan.pairs.values():
        for columns in unenforced_uniques(pair):
            yield Risk("data-dependent", _place(pair, columns), "UNIQUE in the target, not in the source")
        not_null = {c.name for c in pair.target.columns if c.not_null or c.key_position}
        held = {c.name for c in pair.source.columns if c.not_null} | {pair.source.rowid_alias}
        for column in pair.mapped.columns:
            if column.target in not_null and column.source not in held:
                yield Risk("data-dependent", _place(pair, (column.target,)), _not_null_words(column))
            if rule := _new_rule(pair, column):
                yield Risk("data-dependent", _place(pair, (column.target,)), f"CHECK in the target alone: {rule}")
        known = {(key.columns, key.table) for key in pair.source.foreign_keys}
        for key, parent in pair.parents(plan.pairs):
            if (_sources(pair, key.columns), parent.mapped.source) not in known:
                yield Risk("data-dependent", _place(pair, key.columns), f"must name a row of {parent.mapped.target}")


def _place(pair: Pair, columns: Sequence[str]) -> str:
    return f"{pair.mapped.target} ({', '.join(columns)})"


def _sources(pair: Pair, columns: Sequence[str]) -> tuple[str, ...]:
    names: Mapping[str, str] = {c.target: c.source for c in pair.mapped.columns}
    return tuple(names[c] for c in columns)


def _not_null_words(column: ColumnMap) -> str:
    stand_in = column.conversion.stand_in
    return "NOT NULL in the target, not in the source" + ("" if stand_in is None else f"; {stand_in!r} stands in")


def _new_rule(pair: Pair, column: ColumnMap) -> str:
    """The rule of the target that the source's own text does not hold its values to; empty where there is none."""
    rule = column.conversion.rule
    if rule is None:
        is_same = column.conversion.kind not in _RULED
        return "" if is_same else _kind_rule(pair.source, column)
    text = " ".join(pair.source.sql.replace('"', "").replace("`", "").lower().split())
    return "" if f"{column.source} {rule}".lower() in text else str(rule)


def _kind_rule(source: Table, column: ColumnMap) -> str:
    kind = column.conversion.kind
    declared = next(c for c in source.columns if c.name == column.source)
    # A source of STRICT tables with a type of its own for it would hold to it; no declared type does otherwise.
    checked = re.search(rf"check\s*\([^)]*\b{re.escape(column.source)}\b", source.sql, re.IGNORECASE)
    return "" if checked or not declared.declared_type else f"{_RULED[kind]} (from {declared.declared_type})"


def _irreversible(plan: Plan, steps: Sequence[Step], homeless: Sequence[str]) -> Iterator[Risk]:
    for step in steps:
        if not step.down:
            yield Risk("irreversible", f"step {step.name}", "it has no down")
    if plan.on_dirty == "quarantine":
        for pair in plan.pairs.values():
            for column in pair.mapped.columns:
                if can_round(pair, column):
                    lost = _ROUNDED[column.conversion.kind]
                    yield Risk("irreversible", _place(pair, (column.target,)), f"rounds {lost}; kept in quarantine")
    for place in homeless:
        yield Risk("irreversible", place, "only the target has it: what is written there has no place to go back to")


def can_round(pair: Pair, column: ColumnMap) -> bool:
    """Whether a value of this column can come to be rounded: SQLite's affinity keeps some columns from holding one."""
    declared = next(c for c in pair.source.columns if c.name == column.source)
    if column.conversion.kind == "real":
        return declared.affinity != "REAL"
    return column.conversion.kind == "time"
