"""What may be said to a replica: statements that read, told apart by their text before the driver sees them.

`PRAGMA query_only` stands behind this and refuses writes too, but it is no guard by itself: pyturso obeys a
`PRAGMA query_only = 0` even after a semicolon, where it refuses the text as a whole, and `PRAGMA wal_checkpoint` moves
the log under the feet of the sync engine, which ends the process at the next pull.
"""

from __future__ import annotations

import re

from ptp.engine.sql import split_statements
from ptp.errors import UsageError

_READS = frozenset(("SELECT", "VALUES", "EXPLAIN"))
_TRANSACTIONS = frozenset(("BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"))
_WRITES = frozenset(("INSERT", "UPDATE", "DELETE", "REPLACE"))
_TOLD = frozenset(
    {
        "application_id",
        "cache_size",
        "collation_list",
        "compile_options",
        "data_version",
        "database_list",
        "encoding",
        "foreign_keys",
        "freelist_count",
        "function_list",
        "integrity_check",
        "journal_mode",
        "module_list",
        "page_count",
        "page_size",
        "pragma_list",
        "query_only",
        "quick_check",
        "recursive_triggers",
        "schema_version",
        "table_list",
        "user_version",
    }
)
_TOLD_OF = frozenset(
    {
        "foreign_key_list",
        "index_info",
        "index_list",
        "index_xinfo",
        "integrity_check",
        "quick_check",
        "table_info",
        "table_xinfo",
    }
)
_SET = frozenset(("busy_timeout", "cache_size", "foreign_keys", "recursive_triggers"))
"""Settings of one connection, which no file holds."""

_TOKEN = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*.*?(?:\*/|$)|(?P<word>\w+)|(?P<sign>[()])""",
    re.DOTALL,
)
_PRAGMA = re.compile(
    r"PRAGMA\s+(?:\w+\s*\.\s*)?(?P<name>\w+)\s*(?:(?P<sets>=)|\((?P<of>[^()]*)\))?\s*(?P<rest>[^;]*)", re.IGNORECASE
)

_HELPERS = ("turso_cdc", "turso_cdc_version", "turso_sync_last_change_id")


def is_helper(name: str) -> bool:
    """Whether a table is the sync engine's own, and none of the application's."""
    return name.casefold() in _HELPERS or name.startswith(("__turso_internal_", "sqlite_"))


def check_read_only(sql: str) -> None:
    """Raise UsageError, saying why, for a text that is not one statement that reads, or one that begins or ends such.

    A transaction may be begun, but not as a writer. What only sets a connection (a cache's size) may be said.
    """
    if not (why := _why_not(sql)):
        return
    raise UsageError(
        f"{why}: a replica is only read, as what was written to it would be lost at a pull or clash with the primary; "
        "write to the primary."
    )


def _why_not(sql: str) -> str:
    statements = split_statements(sql)
    if len(statements) != 1:
        return "Several statements at once cannot be run here" if statements else ""
    words = _words(statements[0])
    first = words[0] if words else ""
    if first == "PRAGMA":
        return _why_no_pragma(_bare(statements[0]))
    if first == "WITH":
        first = next((w for w in words if w in _READS | _WRITES), "")  # before it stand names alone
    if first == "BEGIN" and words[1:2] and words[1] not in ("DEFERRED", "TRANSACTION"):
        return f"BEGIN {words[1]} would begin as a writer"
    return "" if first in _READS | _TRANSACTIONS else f"{first or 'This text'} is no statement that reads"


def _words(statement: str) -> list[str]:
    """The words outside of brackets, quotes and comments, in capitals: in brackets nothing can write."""
    depth, found = 0, []
    for token in _TOKEN.finditer(statement):
        if sign := token["sign"]:
            depth += 1 if sign == "(" else -1
        elif token["word"] and depth == 0:
            found.append(token["word"].upper())
    return found


def _bare(statement: str) -> str:
    """The statement without its comments."""
    return re.sub(r"--[^\n]*|/\*.*?\*/", " ", statement, flags=re.DOTALL).strip()


def _why_no_pragma(statement: str) -> str:
    found = _PRAGMA.fullmatch(statement)
    name = found["name"].lower() if found else ""
    if found and (found["sets"] or (found["of"] is not None and name in _SET)):
        allowed = name in _SET
    elif found and found["of"] is not None:
        allowed = name in _TOLD_OF and not found["rest"]
    else:
        allowed = bool(found) and name in _TOLD and not (found and found["rest"])
    return "" if allowed else f"PRAGMA {name} is not allowed here".replace("  ", " ")
