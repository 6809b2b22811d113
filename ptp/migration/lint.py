"""Lint of a plan: what in it destroys, what depends on the data at hand, and what a rollback could not take back.

It looks at schemas and statements alone; how many values are concerned is for the preflight to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ptp.conversions import ColumnMap
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
_RULED = {"time": "a time in whole seconds", "boolean": "0 or 1", "json": "valid JSON", "date": "a date"}
_ROUNDED = {"time": "a fraction of a second", "real": "an integer beyond the precision of REAL"}


@dataclass(frozen=True, slots=True)
class Risk:
    """One thing that a reviewer should know of a plan: its class, where it is, and what it is."""

    kind: Class
    where: str
    what: str


def lint(plan: Plan, steps: Sequence[Step], *, without_place: Sequence[str] = ()) -> tuple[Risk, ...]:
    """All risks of a plan made from `steps`, the worst class first.

    `without_place` names tables and columns that only the target has, for which a rollback finds no place.
    """
    return (*_destructive(plan, steps), *_data_dependent(plan), *_irreversible(plan, steps, without_place))


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
        yield from _together("data-dependent", pair, {c.target: _null_words(pair, c) for c in pair.mapped.columns})
        yield from _together("data-dependent", pair, {c.target: _rule_words(pair, c) for c in pair.mapped.columns})
        known = {(key.columns, key.table) for key in pair.source.foreign_keys}
        names: Mapping[str, str] = {c.target: c.source for c in pair.mapped.columns}
        for key, parent in pair.parents(plan.pairs):
            if (tuple(names[c] for c in key.columns), parent.mapped.source) not in known:
                yield Risk("data-dependent", _place(pair, key.columns), f"must name a row of {parent.mapped.target}")


def _place(pair: Pair, columns: Sequence[str]) -> str:
    return f"{pair.mapped.target} ({', '.join(columns)})"


def _together(kind: Class, pair: Pair, words: Mapping[str, str]) -> Iterator[Risk]:
    """One risk for all columns of a table of which the same is to be said; nothing where nothing is."""
    for what in dict.fromkeys(filter(None, words.values())):
        yield Risk(kind, _place(pair, [column for column, said in words.items() if said == what]), what)


def _null_words(pair: Pair, column: ColumnMap) -> str:
    """What is to be said of a column that takes NULL in the source, and not in the target."""
    takes_none = {c.name for c in pair.target.columns if c.not_null or c.key_position}
    held = {c.name for c in pair.source.columns if c.not_null} | {pair.source.rowid_alias}
    if column.target not in takes_none or column.source in held:
        return ""
    stand_in = column.conversion.stand_in
    return "NOT NULL in the target, not in the source" + ("" if stand_in is None else f"; {stand_in!r} stands in")


def _rule_words(pair: Pair, column: ColumnMap) -> str:
    """What is to be said of a column whose CHECK rule the source's own text does not hold its values to."""
    conversion, text = column.conversion, " ".join(re.sub('["`]', "", pair.source.sql).lower().split())
    if conversion.rule is not None:
        is_held = f"{column.source} {conversion.rule}".lower() in text
        return "" if is_held else f"CHECK in the target, not in the source: {conversion.rule}"
    if conversion.kind not in _RULED or re.search(rf"check \([^)]*\b{re.escape(column.source.lower())}\b", text):
        return ""
    return f"CHECK in the target, not in the source: {_RULED[conversion.kind]}"


def _irreversible(plan: Plan, steps: Sequence[Step], without_place: Sequence[str]) -> Iterator[Risk]:
    for step in steps:
        if not step.down:
            yield Risk("irreversible", f"step {step.name}", "it has no down")
    for pair in plan.pairs.values() if plan.on_dirty == "quarantine" else ():
        rounding = (c for c in pair.mapped.columns if can_round(pair, c))
        words = {c.target: f"rounds {_ROUNDED[c.conversion.kind]}; it is kept in quarantine" for c in rounding}
        yield from _together("irreversible", pair, words)
    if without_place:
        where = ", ".join(without_place)
        yield Risk("irreversible", "a rollback", f"the source has no place for what is written to {where}")


def can_round(pair: Pair, column: ColumnMap) -> bool:
    """Whether a value of this column can come to be rounded: SQLite's affinity keeps some columns from holding one."""
    declared = next(c for c in pair.source.columns if c.name == column.source)
    if column.conversion.kind == "real":
        return declared.affinity != "REAL"
    return column.conversion.kind == "time"
