"""Rows of a file as statements for a server: batches by bytes and time, and values that the protocol cannot say."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ptp.engine import quoted
from ptp.engine.remote_calls import Asked, Row
from ptp.migration.remote.schema import Moved

_VALUES = 900  # of a statement: older servers take 999
_MOST_ROWS = 5_000


class Odd(bytes):
    """A text that is not valid in its encoding, as its bytes."""


def decode(raw: bytes) -> str | Odd:
    """The text for bytes of a file in UTF-8, if it is one."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return Odd(raw)


@dataclass(slots=True)
class BatchSize:
    """How many rows go into one transaction: as many as take `seconds`, learned from each, and `size` bytes at most."""

    rows: int = 500
    seconds: float = 1.0
    size: int = 600_000

    def learn(self, seconds: float) -> None:
        """Take in how long the last batch took; never grow by more than twice."""
        share = min(2.0, self.seconds / max(seconds, 1e-6))
        self.rows = max(1, min(_MOST_ROWS, int(self.rows * share)))

    def halve(self) -> None:
        """Take half as many from now on."""
        self.rows = max(1, self.rows // 2)


def batches(rows: Iterable[Row], size: BatchSize) -> Iterator[list[Row]]:
    """The rows in order, as many at a time as the size says then."""
    batch, bytes_of_it = list[Row](), 0
    for row in rows:
        batch.append(row)
        bytes_of_it += sum(len(v) if isinstance(v, str | bytes) else 8 for v in row)
        if len(batch) >= size.rows or bytes_of_it >= size.size:
            yield batch
            batch, bytes_of_it = [], 0
    if batch:
        yield batch


def inserts(table: Moved, rows: Sequence[Row]) -> list[Asked]:
    """The statements that insert rows, many to a statement."""
    columns = table.moved_columns
    many = max(1, _VALUES // len(columns))
    head = f"INSERT INTO {quoted(table.name)} ({', '.join(map(quoted, columns))}) VALUES "
    return [_insert(head, rows[at : at + many]) for at in range(0, len(rows), many)]


def _insert(head: str, rows: Sequence[Row]) -> Asked:
    text = ", ".join(f"({', '.join(map(_place, row))})" for row in rows)
    values = [bytes(v) if isinstance(v, Odd) else v for row in rows for v in row if not _is_infinite(v)]
    return Asked(head + text, values)


def _place(value: Any) -> str:
    if isinstance(value, Odd):
        return "CAST(? AS TEXT)"
    if _is_infinite(value):
        return "9e999" if value > 0 else "-9e999"
    return "?"


def _is_infinite(value: Any) -> bool:
    return isinstance(value, float) and math.isinf(value)
