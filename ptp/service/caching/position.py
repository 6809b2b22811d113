"""Where a database stands: a number that moves with every commit, whichever process makes it.

In WAL mode that is the count of commits in the header of the WAL index (www.sqlite.org/walformat.html), which all
processes share. It is read through the descriptor that SQLite itself holds: to open the file anew and close it would
drop this process's locks on it. In other modes, and where there is no such descriptor to be found, it is `PRAGMA
data_version`, which tells that something was committed, but not how often.
"""

from __future__ import annotations

import os
import sqlite3
import struct
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from ptp.engine.headers import descriptors

_HEADER_BYTES = 48  # it is there twice: a reader that finds the two alike has not read in the middle of a change
_VERSION = 3_007_000
_START = struct.Struct("=IxxxxIB")  # version, unused, commits, whether it is initialised
_TRIES = 4


class Position:
    """The position of one database, by a connection that is kept open for it; threads may share it."""

    def __init__(self, engine: Engine) -> None:
        """Open the connection; close it with `close`."""
        self._fairy = engine.raw_connection()
        self._fairy.detach()  # it never goes back to the pool
        raw: Any = self._fairy.dbapi_connection
        self._raw: Any = raw
        self._lock = threading.Lock()
        raw.execute("SELECT count(*) FROM sqlite_schema").fetchall()  # maps the index of the log
        self.file = Path(raw.execute("PRAGMA database_list").fetchone()[2])
        self._index = _index_of(self.file) if raw.execute("PRAGMA journal_mode").fetchone()[0] == "wal" else None
        self.schema = "{}.{}".format(
            *(raw.execute(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "schema_version"))
        )

    @property
    def counts(self) -> bool:
        """Whether each commit moves the position by exactly 1."""
        return self._index is not None

    def read(self) -> int | None:
        """The position now; None where it cannot be told at the moment, so that nothing that is kept may be used."""
        if self._index is None:
            return self._data_version()
        for _ in range(_TRIES):
            with suppress(OSError):
                head = os.pread(self._index, 2 * _HEADER_BYTES, 0)
                if len(head) == 2 * _HEADER_BYTES and head[:_HEADER_BYTES] == head[_HEADER_BYTES:]:
                    version, commits, ready = _START.unpack_from(head)
                    if version == _VERSION and ready:
                        return int(commits)
        self._data_version()  # a writer died in the middle: SQLite mends the index when it is read
        return None

    def _data_version(self) -> int | None:
        with self._lock:
            if self._raw is None:
                return None
            try:
                return int(self._raw.execute("PRAGMA data_version").fetchone()[0])
            except sqlite3.Error:
                return None

    def close(self) -> None:
        """Close the connection; from then on the position cannot be told."""
        with self._lock:
            raw, self._raw = self._raw, None
        if raw is not None:
            self._index = self._index and -1  # the number may soon be another file's
            self._fairy.close()
            raw.close()


def _index_of(file: Path) -> int | None:
    """The descriptor by which SQLite has the WAL index of the file open in this process."""
    with suppress(OSError):
        wanted = file.with_name(f"{file.name}-shm").stat()
        for number in descriptors():
            with suppress(OSError):
                found = os.fstat(number)
                if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                    return number
    return None
