"""Cut over: the moment in which a database stops being the one to use, and its successor starts.

The database that is left decides, by its state row: `freezing`, so that nobody writes while the last changes follow,
and then `moved`. Only then is the successor opened, so there are never two that can be written to; a freeze ends at its
deadline by itself, so there is none for long, whoever dies.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ptp.engine import moves
from ptp.engine.moves import read_move, writing
from ptp.errors import CannotFinish, GateFailed

_RAN_OUT = (
    "The freeze ran out before the cut over was done, so the database that was to be left is in use again. Nothing was "
    "lost. Run the command again at a quieter time, or with a longer --deadline."
)


@dataclass(frozen=True, slots=True)
class Frozen:
    """A database that nobody writes to, until the monotonic clock's `until`; only its owner may move it."""

    db: sqlite3.Connection
    owner: str
    started: float
    until: float

    def move(self, *, phase: str = "settle", also: Sequence[str] = ()) -> None:
        """Let it be left for its successor: the commit point, at which the statements of `also` are run, too.

        Raises CannotFinish where the deadline has passed.
        """
        with writing(self.db):
            done = moves.change_move(
                self.db, expected="freezing", held_by=self.owner, state="moved", phase=phase, deadline=None
            )
            for sql in also if done else ():
                self.db.execute(sql)
        if not done:
            raise CannotFinish(_RAN_OUT)


@contextmanager
def frozen(db: sqlite3.Connection, *, owner: str, deadline: float, check: Callable[[], None]) -> Iterator[Frozen]:
    """Freeze an open database for at most `deadline` seconds; what is raised within opens it again.

    `check` is called within the transaction that freezes, and what it raises leaves everything as it was.
    """
    with writing(db):
        check()
        now = time.time()
        if not moves.change_move(db, expected="open", state="freezing", owner=owner, deadline=now + deadline, at=now):
            found = read_move(db)
            raise CannotFinish(
                f"The database is not open ({found.state if found else 'no state'}): nothing was frozen."
            )
    started = time.monotonic()
    try:
        yield Frozen(db, owner, started, started + deadline)
    except BaseException as problem:
        with writing(db):
            thawed = moves.change_move(db, expected="freezing", held_by=owner, state="open", deadline=None)
        # Who looks at a database that was not frozen any more sees what others wrote, and not a fault.
        if isinstance(problem, GateFailed) and not thawed:
            raise CannotFinish(_RAN_OUT) from problem
        raise
