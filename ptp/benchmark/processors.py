"""How busy the processors are: those of the machine, and the one that this process can use at a time."""

from __future__ import annotations

import time
from pathlib import Path

_STAT = Path("/proc/stat")
_IDLE = (3, 4)  # of the columns after "cpu": idle, and waiting for a disk


class Processors:
    """Gives the share of processor time that was used since it was last asked, 0 to 1.

    The greater of two: that of the whole machine, where the system tells it, and that of one processor by this process,
    whose threads share one interpreter.
    """

    def __init__(self) -> None:
        """Begin to count now."""
        self._last = self._read()

    def __call__(self) -> float:
        """The share since the last call."""
        now, last = self._read(), self._last
        self._last = now
        return max(_share(now[0] - last[0], now[1] - last[1]), _share(now[2] - last[2], now[3] - last[3]))

    @staticmethod
    def _read() -> tuple[float, float, float, float]:
        return (time.process_time(), time.perf_counter(), *_machine())


def _machine() -> tuple[float, float]:
    """Time used and time passed of all processors together, in the system's ticks; zeros where it does not tell."""
    try:
        ticks = [float(text) for text in _STAT.read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return 0.0, 0.0
    return sum(ticks) - sum(ticks[place] for place in _IDLE if place < len(ticks)), sum(ticks)


def _share(used: float, passed: float) -> float:
    return min(used / passed, 1.0) if passed > 0 else 0.0
