"""Tables ready to be shown: any rows as texts, numbers in line, intervals as small pictures beside their numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ptp.report.gates import STATES, bounds_text
from ptp.report.pictures import interval
from ptp.report.words import LONGEST, aligned, cell, clean, is_number

MOST_ROWS = 500
"""A table with more rows than this shows the first of them and says where the others are."""

_LOW = re.compile(r"(?:(?P<stem>.+)_)?low(?P<unit>_\w+)?")
_UNITS = {"ms": "ms", "us": "µs", "s": "s", "percent": "%"}


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
class _Span:
    """Which columns are the value, the two bounds, and the limit of an interval."""

    value: str | None
    low: str
    high: str
    limit: str | None


def table(caption: str, rows: Sequence[Mapping[str, object]]) -> Table:
    """Any rows as a table: columns in the order of their first appearance, both bounds of a value in one of them."""
    shown = rows[:MOST_ROWS]
    names = [str(name) for name in dict.fromkeys(name for row in rows for name in row)]
    spans = {span.low: span for span in _spans(names)}
    highs = {span.high for span in spans.values()}
    columns, texts = [], []
    for name in names:
        if name in spans:
            columns.append(Column(f"{heading(spans[name].value or '')} interval".strip()))
            texts.append([_bounds_cell(row, spans[name]) for row in shown])
        elif name not in highs:
            numeric, cells = _column(name, [row.get(name) for row in shown])
            columns.append(Column(heading(name), numeric))
            texts.append(cells)
    return Table(caption, tuple(columns), tuple(zip(*texts, strict=True)), len(rows) - len(shown))


def heading(name: str) -> str:
    """The name of a column as its head: words, and the unit that ends it after a comma."""
    words = name.replace("_", " ").strip()
    stem, _, unit = words.rpartition(" ")
    return f"{stem}, {_UNITS[unit]}" if stem and unit in _UNITS else words


def _column(name: str, values: Sequence[object]) -> tuple[bool, list[str]]:
    numbers = [value for value in values if value is None or is_number(value)]
    numeric = len(numbers) == len(values) and any(value is not None for value in numbers)
    return numeric, aligned(numbers) if numeric else [_cell(name, value) for value in values]


def _cell(column: str, value: object) -> str:
    if isinstance(value, Markup):  # a small picture of this package; data has no such type
        return value
    state = STATES.get(str(value)) if column == "verdict" else None
    if state is not None:
        return Markup('<span class="chip {}"><span aria-hidden="true">{}</span> {}</span>').format(
            state.style, state.sign, state.word
        )
    text = cell(value)
    if "\n" in text.strip():
        return Markup("<pre>{}</pre>").format(clean(text, longest=LONGEST))
    return text


def _spans(names: Sequence[str]) -> list[_Span]:
    """The intervals that the columns name, such as p95_low_ms and p95_high_ms beside p95_ms."""
    found = []
    for place, name in enumerate(names):
        match = _LOW.fullmatch(name)
        high = name[: match.start("unit")] if match and match["unit"] else name
        high = f"{high.removesuffix('low')}high{(match['unit'] or '') if match else ''}"
        if not match or high not in names:
            continue
        unit = match["unit"] or ""
        value = f"{match['stem']}{unit}" if match["stem"] else names[place - 1] if place else ""
        limit = f"limit{unit}"
        found.append(_Span(value if value in names else None, name, high, limit if limit in names else None))
    return found


def _bounds_cell(row: Mapping[str, object], span: _Span) -> str:
    value, low, high, limit = (
        float(v) if name and is_number(v := row.get(name)) else None
        for name in (span.value, span.low, span.high, span.limit)
    )
    text = bounds_text(low, high)
    if not text:
        return "–"
    picture = interval(value=value, low=low, high=high, limit=limit)
    return Markup('<span class="span">{} <span>{}</span></span>').format(picture, text)
