"""What the workers of one server tell each other, in a folder that they share: each request reaches one of them.

Their counters and histograms are there too, in files of prometheus_client, which adds them up. How a worker stands at
the moment is no sum of what happened: each writes it down every few seconds, and who is asked reads all of it. A worker
that died has counted what it counted, but stands no longer: its parent takes that file away.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple


class Slow(NamedTuple):
    """A statement that took long: the query it served, seconds, and when, by the machine's clock since its start."""

    query: str
    seconds: float
    at: float


@dataclass(frozen=True, slots=True)
class Standing:
    """How one worker stands: connections in use and how many there can be, slow statements of late, its alerts."""

    used: int
    room: int
    slow: Sequence[Slow] = ()
    alerts: Sequence[Mapping[str, Any]] = ()


class Workers:
    """The folder of the workers of one server, None where there is one that is told of by itself alone."""

    def __init__(self, folder: Path | None = None) -> None:
        """Keep it."""
        self._folder = folder

    def tell(self, standing: Standing) -> None:
        """Write down how this worker stands, whole or not at all."""
        if self._folder is None:
            return
        file = told_by(self._folder, os.getpid())
        new = file.with_suffix(".new")
        with suppress(OSError):  # a full disk must not end a worker: it is told of by what it said last
            new.write_text(json.dumps(asdict(standing)), encoding="utf-8")
            new.replace(file)

    def others(self) -> list[Standing]:
        """How the other workers stood when they last said so."""
        if self._folder is None:
            return []
        own, found = told_by(self._folder, os.getpid()), []
        for file in sorted(self._folder.glob(told_by(Path(), "*").name)):
            if file != own:
                with suppress(OSError, ValueError, KeyError, TypeError):  # it ended just now
                    told = json.loads(file.read_text(encoding="utf-8"))
                    slow = [Slow(*one) for one in told["slow"]]
                    found.append(Standing(told["used"], told["room"], slow, told["alerts"]))
        return found

    def leave(self) -> None:
        """Say no more of this worker."""
        if self._folder is not None:
            forget(self._folder, os.getpid())


def told_by(folder: Path, worker: int | str) -> Path:
    """The file in which a worker, by its process's number, says how it stands."""
    return folder / f"standing-{worker}.json"


def forget(folder: Path, worker: int) -> None:
    """Take away what a worker said that has ended."""
    with suppress(OSError):
        told_by(folder, worker).unlink()
