"""Kept values as bytes for Redis: JSON that names the types of its rows, so that nothing is run to read it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ptp.queries import (
    AiCost,
    FoundQuestion,
    GrowthDay,
    GrowthMonth,
    Opportunity,
    Progress,
    QuestionStatistics,
    RecentSession,
    Search,
    SessionProgress,
    Standing,
)

_ROWS: tuple[Any, ...] = (
    AiCost,
    FoundQuestion,
    GrowthDay,
    GrowthMonth,
    Opportunity,
    Progress,
    QuestionStatistics,
    RecentSession,
    Search,
    SessionProgress,
    Standing,
)
_TYPES = {kind.__name__: kind for kind in _ROWS}

TYPES_DIGEST = hashlib.sha256(repr([(k.__name__, k._fields) for k in _ROWS]).encode()).hexdigest()[:8]
"""Changes with the fields of any row, so that two versions of ptp never read each other's values."""


def encode(value: Any) -> bytes:
    """A value of rows, tuples, mappings, texts and numbers as bytes; raises TypeError for any other."""
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def decode(data: bytes) -> Any:
    """The value again, of the same types; raises ValueError for what is not one."""
    try:
        return _whole(json.loads(data.decode("utf-8", "surrogatepass")))
    except (KeyError, TypeError, IndexError) as problem:
        raise ValueError(f"not a kept value: {problem}") from problem


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, tuple):
        kind = type(value).__name__ if type(value) is not tuple else ""
        if kind and kind not in _TYPES:
            raise TypeError(f"{kind} is no row that is kept")
        return [kind, *map(_plain, value)]
    if isinstance(value, dict):
        return {"of": [[_plain(key), _plain(each)] for key, each in value.items()]}
    raise TypeError(f"{type(value).__name__} cannot be kept")


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {_whole(key): _whole(each) for key, each in value["of"]}
    if isinstance(value, list):
        kind, *fields = value
        found = tuple(map(_whole, fields))
        return _TYPES[kind]._make(found) if kind else found
    return value
