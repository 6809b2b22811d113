"""What drivers other than sqlite3 say went wrong, as the errors of sqlite3 and of ptp.

A statement's own error becomes one of sqlite3's classes with SQLite's name for it, so that whoever reads it need not
know the driver. What is wrong with the server or the file becomes one of ptp's errors, in one sentence.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from ptp.errors import CannotFinish, DiskFull, Locked, PtpError, UsageError

_NAMES = {
    " constraint failed": "SQLITE_CONSTRAINT",
    "cannot store ": "SQLITE_CONSTRAINT",
    "ptp: ": "SQLITE_CONSTRAINT_TRIGGER",
    "datatype mismatch": "SQLITE_MISMATCH",
    "database is locked": "SQLITE_BUSY",
    "table is locked": "SQLITE_LOCKED",
    "schema is locked": "SQLITE_LOCKED",
    "disk is full": "SQLITE_FULL",
    "file is not a database": "SQLITE_NOTADB",
    "disk image is malformed": "SQLITE_CORRUPT",
    "malformed database schema": "SQLITE_CORRUPT",
    "attempt to write a readonly database": "SQLITE_READONLY",
    "nable to open ": "SQLITE_CANTOPEN",
    "disk I/O error": "SQLITE_IOERR",
}
"""Words of SQLite's own messages, which are all that some drivers pass on, and the error that they stand for."""
_CLASSES: Mapping[str, type[sqlite3.Error]] = {
    "SQLITE_CONSTRAINT": sqlite3.IntegrityError,
    "SQLITE_MISMATCH": sqlite3.IntegrityError,
    "SQLITE_NOTADB": sqlite3.DatabaseError,
    "SQLITE_CORRUPT": sqlite3.DatabaseError,
}


def error_of(text: str, *, code: str | None = None) -> sqlite3.Error:
    """The error of sqlite3 for a message, by the code that came with it or, where none did, by SQLite's own words."""
    name = code if code and code.startswith("SQLITE_") else None
    if name in (None, "SQLITE_ERROR", "SQLITE_UNKNOWN"):
        name = next((name for words, name in _NAMES.items() if words in text), "SQLITE_ERROR")
    kind = "_".join(str(name).split("_")[:2])
    error = _CLASSES.get(kind, sqlite3.OperationalError)(text)
    error.sqlite_errorname = str(name)
    error.sqlite_errorcode = getattr(sqlite3, str(name), getattr(sqlite3, kind, sqlite3.SQLITE_ERROR))
    return error


def named_at(problem: sqlite3.Error, shown: str) -> Exception:
    """The error of ours for what SQLite raised at an address; the problem itself where the statement is to blame."""
    code = getattr(problem, "sqlite_errorname", "") or ""
    if code.startswith("SQLITE_FULL"):
        return DiskFull(f"The disk is full: {shown} could not be written. Free some space and run the command again.")
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return Locked(f"{shown} is locked by another connection. Wait for it, or end it, and run the command again.")
    if code.startswith("SQLITE_READONLY"):
        return UsageError(f"{shown} can only be read here: {problem}.")
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR", "SQLITE_CANTOPEN")):
        return CannotFinish(f"{shown} could not be read or written: {problem}.")
    return problem


class Unreached(CannotFinish):
    """A server gave no answer, or not all of it.

    `in_doubt` is whether what was asked may have been done nonetheless: then it is found out by reading, and never
    simply asked for again.
    """

    def __init__(self, message: str, *, in_doubt: bool = False) -> None:
        """Say it in one sentence."""
        super().__init__(message)
        self.in_doubt = in_doubt


class StreamLost(CannotFinish):
    """The server has ended the transaction, with all that was done in it."""


def refusal(status: int, *, shown: str, text: str = "") -> PtpError:
    """The error for an answer of a server that is not 200; `text` is what it said, without any secret."""
    said = f": {text}" if text else ""
    if status in (401, 403):
        return UsageError(
            f"{shown} refused the token ({status}): put a valid one for this database into TURSO_AUTH_TOKEN, beside "
            "its URL in TURSO_DATABASE_URL."
        )
    if status == 429:
        return Unreached(f"{shown} asks to be left alone for a moment (429){said}.")
    if status >= 500:
        return Unreached(f"{shown} failed ({status}){said}.", in_doubt=status != 503)
    return CannotFinish(f"{shown} refused the request ({status}){said}.")
