"""The name under which a statement counts: that of the query which it serves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

OTHER = "other"
MOST_NAMES = 64
"""Each name is a series of metrics, for good; of more names than this, the rest count as other."""

CURRENT: ContextVar[str] = ContextVar("ptp_query", default=OTHER)


@contextmanager
def query_name(name: str) -> Iterator[None]:
    """Statements of this thread count under `name` within the block: that of a public method, never of a value."""
    token = CURRENT.set(name)
    try:
        yield
    finally:
        CURRENT.reset(token)


class Bounded:
    """Gives each of the first so many names back, and OTHER for any later one; threads may share it."""

    def __init__(self, most: int = MOST_NAMES) -> None:
        """Begin with none."""
        self._most, self._known = most, {OTHER}
        self._lock = threading.Lock()

    def __call__(self, name: str) -> str:
        """The name to count under."""
        if name in self._known:
            return name
        with self._lock:
            if len(self._known) > self._most:
                return OTHER
            self._known.add(name)
        return name
