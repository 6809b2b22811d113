"""Power loss: what is on the disk afterwards, of what a recording says was written.

A synced file holds what it held then. Of what was written to it since, all may be there, nothing, a beginning, or any
part in any order, down to single sectors. A name that was given, changed or removed is sure when its folder was synced;
of the others a beginning may be there, as on a file system with a journal.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.recording import Event

_SECTOR = 512
FATES = ("nothing", "all", "beginning", "any")


@dataclass
class _Disk:
    """One file: what is sure of it, and what was asked for since."""

    content: bytearray = field(default_factory=bytearray)
    pending: list[Event] = field(default_factory=list)
    is_journal: bool = False

    def sync(self) -> None:
        for event in self.pending:
            self._apply(event)
        self.pending.clear()

    def lose(self, fate: str, rng: random.Random) -> bytes:
        """What is there after a power loss."""
        kept = list(self.pending)
        if fate == "nothing":
            kept = []
        elif fate == "beginning":
            kept = kept[: rng.randint(0, len(kept))]
        elif fate == "any":
            kept = [part for event in kept for part in _sectors(event) if rng.random() < 0.5]
        for event in kept:
            self._apply(event)
        return bytes(self.content)

    def _apply(self, event: Event) -> None:
        if event[0] == "truncate":
            size = event[2]
            del self.content[size:]
            self.content.extend(bytes(size - len(self.content)))
        else:
            _, _, offset, data = event
            self.content.extend(bytes(max(0, offset - len(self.content))))
            self.content[offset : offset + len(data)] = data


def _sectors(event: Event) -> Iterator[Event]:
    if event[0] == "truncate":
        yield event
        return
    kind, path, offset, data = event
    for start in range(0, len(data), _SECTOR):
        yield kind, path, offset + start, data[start : start + _SECTOR]


def lose_power(
    before: dict[str, bytes], events: Sequence[Event], *, fate: str, rng: random.Random
) -> tuple[dict[str, bytes], int]:
    """The files after a power loss at the end of `events`, and how many transactions had been acknowledged."""
    sure = {path: _Disk(bytearray(content)) for path, content in before.items()}
    now, waiting, acknowledged = dict(sure), [], 0

    def names_are_sure() -> None:
        for event, disk in waiting:
            _rename(sure, event, disk)
        waiting.clear()

    for event in events:
        kind, path = event[0], event[1]
        if kind == "ack":
            acknowledged += 1
        elif kind in ("rename", "delete") and path not in now:
            continue  # what Python wrote: reports, and locks
        elif kind in ("create", "rename", "delete"):
            disk = _Disk(is_journal=event[2]) if kind == "create" else now[path]
            _rename(now, event, disk)
            waiting.append((event, disk))
            if kind == "delete" and event[2]:
                names_are_sure()
        elif kind == "sync folder":
            names_are_sure()
        elif kind == "sync":
            if path in now:
                now[path].sync()
                if now[path].is_journal:  # its folder is synced with it, the first time
                    now[path].is_journal = False
                    names_are_sure()
        elif path in now:
            now[path].pending.append(event)
    kept = {"nothing": 0, "all": len(waiting)}.get(fate, rng.randint(0, len(waiting)))
    for event, disk in waiting[:kept]:
        _rename(sure, event, disk)
    return {path: disk.lose(fate, rng) for path, disk in sure.items()}, acknowledged


def _rename(names: dict[str, _Disk], event: Event, disk: _Disk) -> None:
    if event[0] == "create":
        names[event[1]] = disk
    else:
        names.pop(event[1], None)
        if event[0] == "rename":
            names[event[2]] = disk


def put(files: dict[str, bytes], folder: Path) -> None:
    """Leave in a folder what is on the disk, and nothing else."""
    shutil.rmtree(folder)
    folder.mkdir()
    for path, content in files.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(content)


def moments(events: Sequence[Event], count: int, rng: random.Random) -> list[int]:
    """Half of them anywhere, half of them beside what makes something sure or changes a name."""
    marks = [n for n, event in enumerate(events) if event[0] not in ("write", "ack")]
    near = [min(len(events), n + rng.randint(0, 1)) for n in rng.choices(marks, k=count // 2)]
    return near + [rng.randint(0, len(events)) for _ in range(count - len(near))]
