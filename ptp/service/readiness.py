"""Whether a database can be served: it can be read, the journal says that it is at head, and it has not moved."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from ptp.engine.moves import read_move
from ptp.errors import Moved, PtpError
from ptp.migration.journal import has_journal, steps_done, why_untrusted
from ptp.migration.steps import load_steps
from ptp.resources import folder

_LOG = logging.getLogger("ptp.service")


def readiness(engine: Engine) -> Callable[[], str | None]:
    """A function that says in a few words why the database cannot be served now; None when it can."""
    steps = load_steps(folder("sql"))

    def why_unready() -> str | None:
        try:
            with engine.connect() as db, db.begin():
                raw: Any = db.connection.dbapi_connection
                move = read_move(raw)
                if move is not None and move.state != "open":
                    return "the database is on the move"
                if not has_journal(raw):
                    return "the database was not built by ptp"
                if why_untrusted(raw, steps) or steps_done(raw) < len(steps):
                    return "the database is not at head"
            return None
        except Moved:
            return "the database has moved"
        except (PtpError, SQLAlchemyError):
            _LOG.exception("the database cannot be read")
            return "the database cannot be read"

    return why_unready
