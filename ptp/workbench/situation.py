"""The situation of a database that a migration was begun on: what stands, in a sentence, and what to do next."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from ptp.engine import connect_file, errors_named, locks, moves
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
    def is_rolled_back(self) -> bool:
        """Whether a rollback came to its commit point, so that only its traces are left in the source."""
        return not self.has_moved and self.there is not None and self.there.state == "moved"

    @property
    def words(self) -> str:
        """What stands, in one sentence; empty where nothing was begun."""
        if self.here is None:
            return ""
        run = f"run {self.here.run}"
        there = self.there.state if self.there else ""
        if self.is_rolled_back:
            return f"{self.target} was rolled back to {self.source} ({run}), which only has to be cleared of it."
        if self.here.state in ("open", "freezing"):
            return (
                f"An online migration of {self.source} to {self.target} ({run}) was interrupted in its phase "
                f"'{self.here.phase}'; {self.source.name} is in use, and nothing was moved."
            )
        if self.here.state == "next":
            now = "is in use" if there else "is no longer there"
            return f"A rollback of {self.target} to {self.source} ({run}) was interrupted; {self.target.name} {now}."
        if there == "next":
            return f"{self.source} has moved to {self.target} ({run}), which only has to be opened."
        if not self.target.is_file():
            return f"{self.source} has moved to {self.target} ({run}), which is no longer there."
        if self.there is None:
            return f"{self.source} has moved to {self.target} ({run}), and the move is settled."
        return f"{self.source} has moved to {self.target} ({run}), and can still be rolled back."

    @property
    def cut_off(self) -> str:
        """The sentence for a source whose target can give nothing back any more."""
        if self.target.is_file():
            return f"{self.words} So there is no way back: {self.target.name} alone has what was written since."
        return (
            f"{self.words} So what was written to it since cannot be taken back. To use {self.source.name} again as it "
            f"was at the cut over, without that: ptp rollback --source {self.source} --without-target."
        )

    def refuse_if_begun(self) -> None:
        """Raise UsageError, with the way on, where a migration was begun and is not undone; Locked while it goes on."""
        if self.here is None:
            return
        locks.check_free(self.source)
        if self.here.state == "moved" and (self.there is None or self.there.state != "next"):
            more = f" To take it back: ptp rollback --source {self.source}." if self.there else ""
            raise UsageError(f"{self.words}{more}")
        if self.is_rolled_back:
            raise UsageError(f"{self.words} To finish it: ptp rollback --source {self.source}.")
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


def thaw(situation: Situation) -> None:
    """Lift the freeze that a migrator left on either side. To be called where the lock of the source is held: so the
    migrator is dead, and its deadline need not be waited for.
    """
    assert situation.here is not None
    for path, move in ((situation.source, situation.here), (situation.target, situation.there)):
        if move is not None and move.state == "freezing":
            with errors_named(path), connect_file(path) as db, moves.writing(db):
                moves.lift_freeze(db, at_once=True)


def refuse_unopened(target: Path) -> None:
    """Raise UsageError where a database is one that a migration builds, and is not open yet."""
    found = _row(target)
    if found is not None and found.state == "next":
        raise UsageError(
            f"{target} is not open yet: a migration of {found.other} is building it, or was interrupted. "
            f"To see how far it is: ptp rollback --dry-run --source {found.other}."
        )


def owner() -> str:
    """Who migrates: process and host."""
    return f"process {os.getpid()} on {socket.gethostname()}"
