"""The situation of a database that a migration was begun on: what stands, in a sentence, and what to do next."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from ptp.engine import connect_file, errors_named, moves
from ptp.engine.moves import Move
from ptp.errors import UsageError


@dataclass(frozen=True, slots=True)
class Situation:
    """A source, its state row, and the state row of the target that this names; None where there is no row."""

    source: Path
    here: Move | None
    there: Move | None

    @property
    def target(self) -> Path:
        """The target that the source's row names."""
        assert self.here is not None
        return Path(self.here.other)

    @property
    def has_moved(self) -> bool:
        """Whether the commit point of the migration lies behind."""
        return self.here is not None and self.here.state == "moved"

    @property
    def words(self) -> str:
        """What stands, in one sentence; empty where nothing was begun."""
        if self.here is None:
            return ""
        run = f"run {self.here.run}"
        there = self.there.state if self.there else "gone"
        if self.here.state in ("open", "freezing"):
            return (
                f"An online migration of {self.source} to {self.target} ({run}) was interrupted in its phase "
                f"'{self.here.phase}'; {self.source.name} is in use, and nothing was moved."
            )
        if self.here.state == "next" and there == "moved":
            return f"{self.target} was rolled back to {self.source} ({run}), which only has to be opened."
        if self.here.state == "next":
            return (
                f"A rollback of {self.target} to {self.source} ({run}) was interrupted; {self.target.name} is in use."
            )
        if there == "next":
            return f"{self.source} has moved to {self.target} ({run}), which only has to be opened."
        if not self.target.is_file():
            return f"{self.source} has moved to {self.target} ({run}), which is no longer there."
        if self.there is None:
            return f"{self.source} has moved to {self.target} ({run}), and the move is settled."
        return f"{self.source} has moved to {self.target} ({run}), and can still be rolled back."

    def refuse_if_begun(self) -> None:
        """Raise UsageError, with the way on, where a migration was begun and is not undone."""
        if self.here is None:
            return
        if self.here.state == "moved" and (self.there is None or self.there.state != "next"):
            more = f" To take it back: ptp rollback --source {self.source}."
            raise UsageError(f"{self.words}{more}")
        raise UsageError(
            f"{self.words} To finish it: ptp migrate --resume --source {self.source}. "
            f"To undo it: ptp rollback --source {self.source}."
        )


def look(source: Path) -> Situation:
    """Look at a source, and at the target that it names."""
    here = _row(source)
    return Situation(source, here, _row(Path(here.other)) if here else None)


def _row(path: Path) -> Move | None:
    if not path.is_file():
        return None
    with errors_named(path), connect_file(path, read_only=True) as db:
        return moves.read_move(db)


def owner() -> str:
    """Who migrates: process and host."""
    return f"process {os.getpid()} on {socket.gethostname()}"
