"""The bytes of a database file that say what it is: its header, and the header of its write-ahead log.

They are read without SQLite, so that a file can be told that SQLite refuses, and before SQLite applies a log to it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

MAGIC = b"SQLite format 3\x00"
HEADER_BYTES = 100
_LOG_MAGIC = (0x377F0682, 0x377F0683)  # checksums in little-endian or big-endian words
_LOG_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_WAL_VERSION = 2


@dataclass(frozen=True, slots=True)
class Header:
    """The first 100 bytes of a database file, as numbers; none of them has been checked.

    `pages` is 0 where the header does not say how many there are: only a writer that knows of the field keeps it.
    """

    page_size: int
    write_version: int
    read_version: int
    reserved: int
    fractions: tuple[int, int, int]
    change_counter: int
    pages: int
    schema_format: int
    encoding: int
    expansion: bytes

    @property
    def is_wal(self) -> bool:
        """Whether the database is in write-ahead-log mode."""
        return (self.write_version, self.read_version) == (_WAL_VERSION, _WAL_VERSION)


@dataclass(frozen=True, slots=True)
class Log:
    """What a write-ahead log says of the database that it belongs to.

    `change_counter` is the highest of the first pages in it, None where it holds none or nothing was committed.
    """

    page_size: int
    change_counter: int | None


def companion(path: Path, suffix: str) -> Path:
    """The file that SQLite keeps beside a database (`-wal`, `-shm`, `-journal`): beside the file, not a link to it."""
    real = path.resolve() if path.is_symlink() else path
    return real.with_name(real.name + suffix)


def companion_bytes(path: Path, suffix: str) -> int:
    """The size of that file; 0 where there is none, or only its name can be seen."""
    try:
        return companion(path, suffix).stat().st_size
    except OSError:
        return 0


def first_bytes(path: Path, count: int) -> bytes:
    """The first `count` bytes of a file, or all that it has.

    To close a file drops every POSIX lock that this process holds on it, those of its SQLite connections too. So where
    this process has the file open, it is read through the descriptor that is there, and nothing is opened or closed.
    Raises OSError.
    """
    wanted = path.stat()
    for descriptor in descriptors():
        with suppress(OSError):  # closed meanwhile, or open for writing only
            if os.path.samestat(os.fstat(descriptor), wanted):
                found = os.pread(descriptor, count, 0)
                if os.path.samestat(os.fstat(descriptor), wanted):
                    return found
    with path.open("rb") as file:
        return file.read(count)


def descriptors() -> Iterator[int]:
    """The file descriptors that this process has open."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        with suppress(OSError):
            yield from sorted(int(entry.name) for entry in Path(folder).iterdir())
            return


def read_header(path: Path) -> Header:
    """The header of a database file; raises ValueError for a file that is too short to have one, and OSError."""
    return parse_header(first_bytes(path, HEADER_BYTES))


def parse_header(head: bytes) -> Header:
    """The header from the bytes that a file begins with; raises ValueError where they are too few."""
    if len(head) < HEADER_BYTES:
        raise ValueError(f"a header has {HEADER_BYTES} bytes, not {len(head)}")
    size, counter, pages, valid_for = (_number(head, *at) for at in ((16, 18), (24, 28), (28, 32), (92, 96)))
    return Header(
        page_size=65_536 if size == 1 else size,
        write_version=head[18],
        read_version=head[19],
        reserved=head[20],
        fractions=(head[21], head[22], head[23]),
        change_counter=counter,
        pages=pages if valid_for == counter else 0,
        schema_format=_number(head, 44, 48),
        encoding=_number(head, 56, 60),
        expansion=head[72:92],
    )


def read_log(path: Path) -> Log | None:
    """What the write-ahead log of the database `path` says; None where it is absent, or SQLite would take no notice.

    Its frames are passed over one by one, in flat memory. SQLite holds no locks on this file.
    """
    try:
        with companion(path, "-wal").open("rb", buffering=0) as file:  # a buffer would show what it was
            head = file.read(_LOG_HEADER_BYTES)
            if len(head) < _LOG_HEADER_BYTES or _number(head, 0, 4) not in _LOG_MAGIC:
                return None
            page_size = _number(head, 8, 12)
            found = Log(page_size, _highest_counter(file, page_size, salt=head[16:24]))
            file.seek(0)
            # Another begins the log anew while it is read: then nothing can be said of it, and it is in use.
            return found if file.read(_LOG_HEADER_BYTES) == head else None
    except OSError:
        return None


def _highest_counter(file: FileIO, page_size: int, *, salt: bytes) -> int | None:
    """The highest change counter among first pages of the frames that belong to the log's present turn."""
    counters, committed = [0], False
    at = _LOG_HEADER_BYTES
    while True:
        file.seek(at)
        frame = file.read(_FRAME_HEADER_BYTES + 28)
        if len(frame) < _FRAME_HEADER_BYTES + 28 or frame[8:16] != salt:
            break
        if _number(frame, 0, 4) == 1:
            counters.append(_number(frame, _FRAME_HEADER_BYTES + 24, _FRAME_HEADER_BYTES + 28))
        committed = committed or _number(frame, 4, 8) > 0
        at += _FRAME_HEADER_BYTES + page_size
    return max(counters) if committed and len(counters) > 1 else None


def _number(data: bytes, start: int, end: int) -> int:
    return int.from_bytes(data[start:end], "big")
