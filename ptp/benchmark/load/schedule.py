"""What a load will send, made before it begins: when each request is due, which operation it is, and by whom.

A schedule is seeded, can be written to a file and read back, and has a hash: the same hash is the same load.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ptp.benchmark.load.phases import Phase, length, spans
from ptp.errors import UsageError

Column: TypeAlias = NDArray[np.int64]

_VERSION = 1
_NS_PER_S = 1e9
_COLUMNS = ("due", "operation", "actor")


@dataclass(frozen=True, eq=False)
class Schedule:
    """Requests in the order in which they are due, a column each: `due` in ns from the start.

    `operation` is a place in `operations`, `actor` one of `actors` that come again and again.
    """

    operations: tuple[str, ...]
    phases: tuple[Phase, ...]
    actors: int
    seed: int
    due: Column
    operation: Column
    actor: Column

    def __len__(self) -> int:
        """How many requests there are."""
        return len(self.due)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of all of it, in hex."""
        state = hashlib.sha256(json.dumps(self._header(), sort_keys=True).encode())
        for name in _COLUMNS:
            state.update(getattr(self, name).astype("<i8").tobytes())
        return state.hexdigest()

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return length(self.phases)

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Which requests belong to a phase that is measured, not to the warm-up."""
        found = np.zeros(len(self), dtype=bool)
        for phase, begin, end in spans(self.phases):
            if phase.measured:
                found |= (self.due >= begin * _NS_PER_S) & (self.due < end * _NS_PER_S)
        return found

    @property
    def rate(self) -> float:
        """Requests a second over the phases that are measured."""
        seconds = sum(phase.seconds for phase in self.phases if phase.measured)
        return float(self.measured.sum()) / seconds if seconds else 0.0

    def counts(self) -> dict[str, int]:
        """How many requests there are of each operation."""
        found = np.bincount(self.operation, minlength=len(self.operations))
        return dict(zip(self.operations, found.tolist(), strict=True))

    def write(self, path: Path) -> None:
        """Write it to a file; the same schedule gives the same bytes."""
        packed = io.BytesIO()
        header = np.frombuffer(json.dumps({**self._header(), "hash": self.hash}, sort_keys=True).encode(), np.uint8)
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, column in (("header", header), *((name, getattr(self, name)) for name in _COLUMNS)):
                member = io.BytesIO()
                np.lib.format.write_array(member, column, allow_pickle=False)
                archive.writestr(zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0)), member.getvalue())
        path.write_bytes(packed.getvalue())

    def _header(self) -> Mapping[str, Any]:
        return {
            "version": _VERSION,
            "operations": list(self.operations),
            "phases": [asdict(phase) for phase in self.phases],
            "actors": self.actors,
            "seed": self.seed,
        }


def read_schedule(path: Path) -> Schedule:
    """The schedule that was written to a file; raises UsageError where it is none, or is not as it was written."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            header = json.loads(archive["header"].tobytes())
            columns = {name: archive[name].astype(np.int64) for name in _COLUMNS}
        if header["version"] != _VERSION:
            raise UsageError(f"{path} is a schedule of version {header['version']}; this ptp reads version {_VERSION}.")
        found = Schedule(
            operations=tuple(header["operations"]),
            phases=tuple(Phase(**phase) for phase in header["phases"]),
            actors=header["actors"],
            seed=header["seed"],
            **columns,
        )
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        raise UsageError(f"{path} is not a schedule as ptp writes it.") from None
    if found.hash != header["hash"]:
        raise UsageError(f"{path} is not the schedule that was written: its hash does not fit.")
    return found


def in_order(
    rows: Sequence[tuple[int, int, int]], *, operations: Sequence[str], phases: Sequence[Phase], actors: int, seed: int
) -> Schedule:
    """A schedule of rows of (due, operation, actor), brought into the order in which they are due."""
    columns = np.array(sorted(rows), dtype=np.int64).reshape(-1, len(_COLUMNS))
    return Schedule(
        tuple(operations), tuple(phases), actors, seed, *(np.ascontiguousarray(columns[:, place]) for place in range(3))
    )
