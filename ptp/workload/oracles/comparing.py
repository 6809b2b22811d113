"""What differs between the rows that a call returned and those that were due, in words without anybody's texts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

_RELATIVE = 1e-9


def alike(seen: Any, due: Any) -> bool:
    """Whether two values are equal and of one kind; floats as far as 1e-9 of their size."""
    if isinstance(due, float) and type(seen) is int:
        seen = float(seen)  # as which SQLite may return a whole number of a REAL column
    if type(seen) is not type(due):
        return False
    if isinstance(due, dict):
        return seen.keys() == due.keys() and all(alike(seen[key], value) for key, value in due.items())
    if isinstance(due, float):
        return math.isclose(seen, due, rel_tol=_RELATIVE, abs_tol=0)
    return bool(seen == due)


def unlike_row(seen: Any, due: Sequence[Any], names: Sequence[str]) -> str | None:
    """How a row differs from the due values, whose names are to be those of its fields."""
    if tuple(seen._fields) != tuple(names):
        return f"the fields are {', '.join(seen._fields)} where {', '.join(names)} were due"
    if tuple(seen) == tuple(due) and all(map(_same_type, seen, due)):
        return None
    return unlike_values(dict(zip(names, seen, strict=True)), dict(zip(names, due, strict=True)))


def unlike_rows(seen: Any, due: Sequence[Sequence[Any]], names: Sequence[str]) -> str | None:
    """How rows differ from those due, in their order."""
    if (wrong := not_rows(seen)) or (wrong := unlike_count(seen, len(due))):
        return wrong
    for place, (row, values) in enumerate(zip(seen, due, strict=True), start=1):
        if wrong := unlike_row(row, values, names):
            return f"row {place}: {wrong}"
    return None


def unlike_values(seen: Mapping[str, Any], due: Mapping[str, Any]) -> str | None:
    """The first value that differs, by its name."""
    for name, value in due.items():
        if not alike(seen[name], value):
            return f"{name} is {told(seen[name])} where {told(value)} was due"
    return None


def unlike_count(seen: Sequence[Any], due: int) -> str | None:
    """How many rows there are, where as many were not due."""
    return None if len(seen) == due else f"{len(seen)} rows where {due} were due"


def not_rows(seen: Any) -> str | None:
    """What came in place of a tuple of rows."""
    return None if isinstance(seen, tuple) else f"{type(seen).__name__} where a tuple of rows was due"


def told(value: Any) -> str:
    """A value in a sentence; a text may be anybody's name, so only its length is told."""
    return f"a text of {len(value)} characters" if isinstance(value, str) else repr(value)


def descending(value: float | None) -> tuple[bool, float]:
    """Sorts numbers from the largest down, None after all of them."""
    return value is None, -(value or 0.0)


def ratio(part: float, total: float) -> float | None:
    """part / total; None where the total is 0."""
    return part / total if total else None


def _same_type(seen: Any, due: Any) -> bool:
    return type(seen) is type(due)
