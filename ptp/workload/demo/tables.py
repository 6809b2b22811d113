"""A table of a demo source: its columns, and its rows made a chunk at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ptp.workload.demo.arrays import Ints

CHUNK = 10_000


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table to be written; `columns_of(part)` gives the values of a slice of its rows, column by column.

    Rows are never held all at once: texts are made when their chunk is written. Times are Unix seconds here;
    the writer turns them into text for a shape that wants text.
    """

    name: str
    rows: int
    columns: tuple[str, ...]
    columns_of: Callable[[slice], Sequence[Sequence[Any]]]

    def chunks(self) -> Iterator[Iterator[tuple[Any, ...]]]:
        """The rows in order, in chunks."""
        for low in range(0, self.rows, CHUNK):
            part = slice(low, min(low + CHUNK, self.rows))
            yield zip(*self.columns_of(part), strict=True)


def span(part: slice, *, first: int = 0) -> range:
    """The row numbers of a slice, counted from `first`."""
    return range(part.start + first, part.stop + first)


def days(times: Ints) -> list[str | None]:
    """The dates 'YYYY-MM-DD' of Unix seconds; None for 0, which stands for never."""
    texts = np.datetime_as_string(times.astype("datetime64[s]"), unit="D").tolist()
    return [text if time else None for text, time in zip(texts, times.tolist(), strict=True)]


def moments(times: Ints) -> list[str]:
    """The texts 'YYYY-MM-DD HH:MM:SS' of Unix seconds, as SQLite's CURRENT_TIMESTAMP writes them."""
    texts = np.datetime_as_string(times.astype("datetime64[s]"), unit="s").tolist()
    return [text.replace("T", " ") for text in texts]
