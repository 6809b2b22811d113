"""Following a move: what a connection does where its database is about to move, or has moved.

A connection of `open_engine` looks at the state when a transaction begins. While the database is freezing a reader goes
on, and a writer waits, no longer than the freeze's own deadline. Where it has moved, both get an error that names the
new one. A `Follower` goes there by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from ptp.engine.connect import atomic, open_engine
from ptp.engine.files import database_path
from ptp.engine.moves import open_next, read_move
from ptp.errors import CannotFinish, Moved, UsageError
from ptp.settings import Settings

T = TypeVar("T")
_HOPS = 8


class Follower:
    """An application's way to its database, whichever that is by now.

    It hands its transactions over as functions, one per shape: the one of the shape that is in use is run, and where
    the database moves in its way it is run again, whole, on the new one.
    """

    def __init__(self, url: str | Path, *, shape: str, settings: Settings | None = None) -> None:
        """Follow the database at `url`, whose shape is `shape` as long as it was never moved."""
        self._settings = settings
        self._shape = shape
        self._path = database_path(url).absolute()
        self._engine = open_engine(self._path, settings=settings)

    @property
    def path(self) -> Path:
        """The database that is in use, as far as is known here."""
        return self._path

    @property
    def engine(self) -> Engine:
        """The engine on it, for reading between moves."""
        return self._engine

    def transact(self, functions: Mapping[str, Callable[[Connection], T]]) -> T:
        """Run the function of the shape in use, in one write transaction; its result.

        Raises UsageError where there is no function for the shape, and what the function raises.
        """
        for _ in range(_HOPS):
            try:
                with atomic(self._engine) as db:
                    shape = self._shape_of(db)
                    if shape not in functions:
                        raise UsageError(f"There is no function for the shape {shape}, which {self._path} has.")
                    return functions[shape](db)
            except Moved as moved:
                self._go(Path(moved.to))
        raise CannotFinish(f"{self._path} sends its clients from one database to another: look at both with ptp.")

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()

    def _shape_of(self, db: Connection) -> str:
        raw: Any = db.connection.dbapi_connection
        move = read_move(raw)
        return move.shape if move else self._shape

    def _go(self, path: Path) -> None:
        # Between the commit point and the opening there is a moment, and its migrator may be dead.
        for _ in range(100):
            if open_next(path):
                break
            time.sleep(0.001)
        self._engine.dispose()
        self._path = path
        self._engine = open_engine(path, settings=self._settings)
