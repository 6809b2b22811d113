"""Change points of a history of runs: where a new level begins."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_Values = NDArray[np.float64]

_SHUFFLES = 999
_ALPHA = 0.01  # of each split, so that a history without changes is left whole in at least 95 of 100


def change_points(values: Sequence[float], *, min_size: int = 5, exact: bool = False) -> tuple[int, ...]:
    """The places, counted from 0, at which a level begins that differs from the one before it.

    Where most values equal the one before, or with `exact`, values are counters: every change is one. Otherwise they
    are times: the history is split where the means before and after differ most, if shuffled histories seldom differ as
    much, and then each side again; no side has fewer than `min_size` values. A single run far outside the others moves
    no level: for this it counts as one at the fence (1.5 interquartile ranges).
    """
    found = np.asarray(values, dtype=float)
    steps = np.diff(found)
    if exact or (len(steps) and float(np.median(np.abs(steps))) == 0):
        return tuple(int(place) + 1 for place in np.flatnonzero(steps))
    least = max(min_size, 1)
    return tuple(_settled(found, _splits(found, 0, least, np.random.default_rng(1)), least))


def _splits(values: _Values, start: int, least: int, chance: np.random.Generator) -> list[int]:
    if len(values) < 2 * least:
        return []
    fenced = _fenced(values)
    apart = _apart(fenced[None, :], least)[0]
    shuffled = _apart(chance.permuted(np.tile(fenced, (_SHUFFLES, 1)), axis=1), least).max(axis=1)
    if (1 + int((shuffled >= apart.max() * (1 - 1e-9)).sum())) / (_SHUFFLES + 1) > _ALPHA:
        return []
    place = int(apart.argmax()) + least
    before, after = values[:place], values[place:]
    return [*_splits(before, start, least, chance), start + place, *_splits(after, start + place, least, chance)]


def _settled(values: _Values, places: Sequence[int], least: int) -> list[int]:
    """Each place again where the two levels beside it differ most, now that the levels beyond them are known.

    Values count as far as from one level to the other, so that a single run far outside does not draw the place to it.
    """
    edges = [0, *places, len(values)]
    for number in range(1, len(edges) - 1):
        start, place, end = edges[number - 1 : number + 2]
        levels = sorted((float(np.median(values[start:place])), float(np.median(values[place:end]))))
        between = np.clip(values[start:end], levels[0], levels[1])
        edges[number] = start + least + int(_all_apart(between[None, :], least)[0].argmax())
    return edges[1:-1]


def _fenced(values: _Values) -> _Values:
    first, third = np.quantile(values, (0.25, 0.75))
    reach = 1.5 * (third - first)
    return np.clip(values, first - reach, third + reach)


def _apart(rows: _Values, least: int) -> _Values:
    """For each row and each place to split it: how far apart the means before and after lie, where that shows most.

    Taken are all that is before and after, and windows of `least` values, twice as many, and so on: a level that
    comes and goes again hardly moves the means of all.
    """
    n = rows.shape[1]
    found = _all_apart(rows, least)
    sums = np.concatenate((np.zeros((len(rows), 1)), np.cumsum(rows, axis=1)), axis=1)
    width = least
    while 2 * width < n:
        middle = np.arange(width, n - width + 1)
        differ = np.abs(sums[:, middle + width] + sums[:, middle - width] - 2 * sums[:, middle]) / math.sqrt(2 * width)
        part = found[:, width - least : n - width + 1 - least]
        np.maximum(part, differ, out=part)
        width *= 2
    return found


def _all_apart(rows: _Values, least: int) -> _Values:
    n = rows.shape[1]
    sizes = np.arange(least, n - least + 1)
    sums = np.cumsum(rows - rows.mean(axis=1, keepdims=True), axis=1)[:, sizes - 1]
    found: _Values = np.abs(sums) * np.sqrt(n / (sizes * (n - sizes)))
    return found
