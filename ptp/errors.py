"""Every error that ptp raises on purpose: one clear sentence for the user and the exit code it ends with.

    PtpError
    ├── UsageError            2   bad input: unknown option or parameter, missing file, unmet precondition
    │   ├── Unknown               an id stands for nothing, or for what is another user's
    │   ├── Conflict              it does not go with what was given before under the same name
    │   ├── NotADatabase          the file is not a SQLite database, or an empty one
    │   ├── UnknownShape          its tables fit no shape; carries the list of differences
    │   ├── Moved                 the database has moved, or is not open yet; names the one to use
    │   └── StepRefused           a step in sql/ was edited, is missing, is out of order or does not parse
    ├── GateFailed            1   a gate failed
    │   └── DirtySource           values that no conversion accepts exactly, under --on-dirty stop
    ├── Inconclusive          3   the evidence does not decide
    └── CannotFinish          4   could not finish, or what was found cannot be trusted
        ├── DiskFull              no space left while writing
        ├── Locked                another process holds the database
        └── SourceChanged         the source was written to during the run

An interrupted run (Ctrl-C) exits with 130.
"""

from __future__ import annotations

EXIT_PASS = 0
EXIT_FAIL = 1
EXIT_USAGE = 2
EXIT_INCONCLUSIVE = 3
EXIT_CANNOT_FINISH = 4
EXIT_INTERRUPTED = 130


class PtpError(Exception):
    """Base of the tree; `str(error)` is the sentence that the user reads."""

    exit_code = EXIT_CANNOT_FINISH


class UsageError(PtpError):
    """Bad input or an unmet precondition; nothing was changed."""

    exit_code = EXIT_USAGE


class Unknown(UsageError):
    """An id stands for nothing, or for what is another user's."""


class Conflict(UsageError):
    """What is given does not go with what was given before under the same name."""


class NotADatabase(UsageError):
    """The file is not a SQLite database, or holds no tables."""


class UnknownShape(UsageError):
    """The database fits no known shape; the message lists what differs from the nearest one."""


class StepRefused(UsageError):
    """A migration step cannot be trusted or read."""


class Moved(UsageError):
    """The database is not the one to use: another one follows it, or comes before it; `to` is its path."""

    def __init__(self, message: str, *, to: str = "") -> None:
        """Say it in one sentence, and where to go."""
        super().__init__(message)
        self.to = to


class GateFailed(PtpError):
    """A gate failed; the message names it."""

    exit_code = EXIT_FAIL


class DirtySource(GateFailed):
    """The source holds values that the conversions do not take exactly."""


class Inconclusive(PtpError):
    """The evidence gathered does not decide a gate."""

    exit_code = EXIT_INCONCLUSIVE


class CannotFinish(PtpError):
    """The run could not finish, or its result cannot be trusted."""

    exit_code = EXIT_CANNOT_FINISH


class DiskFull(CannotFinish):
    """No space was left on a device."""


class Locked(CannotFinish):
    """Another process holds a lock that ptp needs."""


class SourceChanged(CannotFinish):
    """The source was written to while it was being read."""


def error_named(name: str, message: str) -> PtpError | None:
    """The ptp error of class `name` with `message`, or None when no such class exists.

    Errors cross from a notebook's kernel as a class name and a text; this brings them back.
    """
    for cls in _tree(PtpError):
        if cls.__name__ == name:
            return cls(message)
    return None


def _tree(cls: type[PtpError]) -> list[type[PtpError]]:
    return [cls, *(found for child in cls.__subclasses__() for found in _tree(child))]
