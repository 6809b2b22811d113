"""Small tools on numpy arrays: random streams, exact shares, totals per group."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def stream(seed: int, name: str) -> np.random.Generator:
    """The random stream `name` of `seed`.

    One stream a subject: drawing more in one subject leaves the content of all others as it was.
    """
    return np.random.Generator(np.random.PCG64([seed, zlib.crc32(name.encode())]))


def dice(rng: np.random.Generator, rows: int, columns: int) -> Ints:
    """A table of large random integers; `dice[row, k] % n` is one choice among `n`."""
    return rng.integers(0, 2**40, size=(rows, columns), dtype=np.int64)


def weighted(rng: np.random.Generator, weights: Sequence[float] | Floats, *, size: int) -> Ints:
    """`size` indexes into `weights`, each drawn in proportion to its weight."""
    edges = np.cumsum(np.asarray(weights, dtype=np.float64))
    found = np.searchsorted(edges, rng.random(size) * edges[-1], side="right")
    drawn: Ints = np.minimum(found, len(edges) - 1).astype(np.int64)
    return drawn


def apportion(weights: Floats, total: int) -> Ints:
    """Whole numbers in proportion to `weights` whose sum is exactly `total` (largest remainders first)."""
    exact = weights * (total / weights.sum())
    shares: Ints = np.floor(exact).astype(np.int64)
    missing = total - int(shares.sum())
    shares[np.argsort(shares - exact, kind="stable")[:missing]] += 1
    return shares


def optional(values: npt.NDArray[Any] | Sequence[Any], present: Flags) -> list[Any]:
    """The values as Python objects, None where not present."""
    plain = values.tolist() if isinstance(values, np.ndarray) else values
    return [value if there else None for value, there in zip(plain, present.tolist(), strict=True)]


def picked(options: Sequence[Any], indexes: Ints) -> list[Any]:
    """`options[index]` of each index, wrapped round at the end of the options."""
    return [options[index] for index in (indexes % len(options)).tolist()]


@dataclass(frozen=True)
class Groups:
    """Rows gathered by key, in ascending order of key, each group in the rows' own order."""

    keys: Ints
    order: Ints
    starts: Ints
    sizes: Ints

    @classmethod
    def by(cls, key: Ints) -> Groups:
        """Gather the rows of equal `key`; `key` must not be empty."""
        order = np.argsort(key, kind="stable")
        gathered = key[order]
        starts = np.flatnonzero(np.concatenate(([True], gathered[1:] != gathered[:-1])))
        sizes = np.diff(np.append(starts, len(key)))
        return cls(keys=gathered[starts], order=order, starts=starts, sizes=sizes)

    def total(self, values: npt.NDArray[Any]) -> Ints:
        """The sum of whole numbers, or the count of true ones, per group."""
        sums: Ints = np.add.reduceat(values[self.order].astype(np.int64), self.starts)
        return sums

    def first(self, values: Ints) -> Ints:
        """The value of each group's first row."""
        found: Ints = values[self.order[self.starts]]
        return found

    def last(self, values: Ints) -> Ints:
        """The value of each group's last row."""
        found: Ints = values[self.order[self.starts + self.sizes - 1]]
        return found

    def streaks(self, good: Flags) -> tuple[Ints, Ints]:
        """Per group: the run of good rows at its end, and the longest run anywhere in it."""
        place = np.arange(len(good))
        before_group = np.repeat(self.starts - 1, self.sizes)
        last_bad = np.maximum.accumulate(np.where(good[self.order], before_group, place))
        run = place - last_bad
        longest: Ints = np.maximum.reduceat(run, self.starts)
        return run[self.starts + self.sizes - 1], longest

    def spread(self, values: npt.NDArray[Any], *, size: int) -> npt.NDArray[Any]:
        """Per-group values in an array of `size` places, one for every possible key, zero where no row is."""
        placed = np.zeros(size, dtype=values.dtype)
        placed[self.keys] = values
        return placed


@dataclass(frozen=True)
class Scores:
    """Accuracy per objective within each parent (a session, an attempt, a user's exam)."""

    edges: Ints
    objective: list[int]
    accuracy: list[float]

    @classmethod
    def by(cls, parent: Ints, objective: Ints, correct: Flags, *, parents: int) -> Scores:
        """Accuracy of each (parent, objective) that has answers; `objective` holds ids."""
        width = int(objective.max()) + 1
        groups = Groups.by(parent * width + objective)
        return cls(
            edges=np.searchsorted(groups.keys // width, np.arange(parents + 1)).astype(np.int64),
            objective=(groups.keys % width).tolist(),
            accuracy=(groups.total(correct) / groups.sizes).tolist(),
        )

    def of(self, parent: int) -> list[tuple[int, float]]:
        """The (objective id, accuracy) pairs of one parent, by objective id."""
        part = slice(int(self.edges[parent]), int(self.edges[parent + 1]))
        return list(zip(self.objective[part], self.accuracy[part], strict=True))

    def as_json(self, parent: int) -> str:
        """The pairs of one parent as a JSON object."""
        return "{" + ", ".join(f'"{objective}": {accuracy!r}' for objective, accuracy in self.of(parent)) + "}"
