"""A history of runs, query by query in order of time, with the places at which a level changed.

Only runs on the same machine and the same data are one history: the newest run says which, and every other one is
named with what differs. Times of different jobs scatter, so that a change point of times is told and gates nothing;
a counter does not vary, so that each change of it is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ptp.stats import change_points

MACHINE = ("cpu", "cores", "os", "python", "sqlite")
"""What must be equal of an environment before anything that was measured in it is compared."""

Value: TypeAlias = float | None


@dataclass(frozen=True, slots=True)
class Past:
    """One run: when it began, in ISO 8601; on which machine and data, by field; its values by query and name."""

    run: str
    started: str
    machine: Mapping[str, str]
    data: Mapping[str, str]
    queries: Mapping[str, Mapping[str, Value]]


@dataclass(frozen=True, slots=True)
class Point:
    """One query in one run; `changed` names the values of which a new level begins here."""

    run: str
    started: str
    values: Mapping[str, Value]
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class History:
    """The points of each query, oldest first; `skipped` says of every other folder why it is not among them."""

    points: Mapping[str, tuple[Point, ...]] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()


def differences(before: Mapping[str, str], after: Mapping[str, str], *, names: Sequence[str] = ()) -> tuple[str, ...]:
    """What differs, field by field: of `names`, or of all that either side tells; a field that is not told differs."""
    wanted = names or tuple(dict.fromkeys((*before, *after)))
    return tuple(
        f"{name} was {before.get(name, 'not told')} and is {after.get(name, 'not told')}"
        for name in wanted
        if name not in before or name not in after or before[name] != after[name]
    )


def make_history(runs: Sequence[Past], *, times: Sequence[str], counters: Sequence[str]) -> History:
    """The history that ends with the newest run; `times` and `counters` name the values that may change their level."""
    if not runs:
        return History()
    ordered = sorted(runs, key=lambda past: (past.started, past.run))
    newest = ordered[-1]
    skipped, alike = [], []
    for past in ordered:
        apart = differences(past.machine, newest.machine, names=MACHINE) + differences(past.data, newest.data)
        if apart:
            skipped.append(f"{past.run}: {'; '.join(apart)} in {newest.run}")
        else:
            alike.append(past)
    names = dict.fromkeys(name for past in alike for name in past.queries)
    points = {name: _points([p for p in alike if name in p.queries], name, times, counters) for name in names}
    return History(points, tuple(skipped))


def series(history: History) -> list[dict[str, str | float | None]]:
    """A row for each query and run, oldest first, for a plot; `change_point` names what changed, None for nothing."""
    return [
        {
            "query": name,
            "run": point.run,
            "started": point.started,
            **point.values,
            "change_point": ", ".join(point.changed) or None,
        }
        for name, points in history.points.items()
        for point in points
    ]


def table(history: History, *, values: Sequence[str]) -> list[dict[str, str | float | None]]:
    """A row for each query: how many runs, each of `values` in the first and the last, and the last change."""
    rows: list[dict[str, str | float | None]] = []
    for name, points in history.points.items():
        changes = [point for point in points if point.changed]
        row: dict[str, str | float | None] = {"query": name, "runs": len(points)}
        for value in values:
            row[f"first_{value}"] = points[0].values.get(value)
            row[f"last_{value}"] = points[-1].values.get(value)
        row["changes"] = len(changes)
        row["last_change"] = f"{changes[-1].run}: {', '.join(changes[-1].changed)}" if changes else None
        rows.append(row)
    return rows


def _points(runs: Sequence[Past], name: str, times: Sequence[str], counters: Sequence[str]) -> tuple[Point, ...]:
    changed: dict[int, list[str]] = {}
    for value in (*times, *counters):
        # A run may lack a value: places are counted among those that have it.
        there = [
            (place, seen) for place, past in enumerate(runs) if (seen := past.queries[name].get(value)) is not None
        ]
        for place in change_points([seen for _, seen in there], exact=value in counters):
            changed.setdefault(there[place][0], []).append(value)
    return tuple(
        Point(past.run, past.started, past.queries[name], tuple(changed.get(place, ())))
        for place, past in enumerate(runs)
    )
