"""Around each call of a query: its name for the monitor, and its time for the request that it serves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import perf_counter

from ptp.service.monitoring import query_name


@dataclass(slots=True)
class Spent:
    """What one request has spent in queries so far, in seconds."""

    seconds: float = 0.0


_SPENT: ContextVar[Spent | None] = ContextVar("ptp_spent", default=None)


@contextmanager
def spending(spent: Spent) -> Iterator[None]:
    """Let the calls within add to `spent`; threads that are begun within see the same one."""
    token = _SPENT.set(spent)
    try:
        yield
    finally:
        _SPENT.reset(token)


@contextmanager
def calling(name: str) -> Iterator[None]:
    """One call of the query `name`."""
    begun = perf_counter()
    try:
        with query_name(name):
            yield
    finally:
        if (spent := _SPENT.get()) is not None:
            spent.seconds += perf_counter() - begun
