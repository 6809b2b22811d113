"""What a real server forbids, and its limits: declared here and nowhere else.

From libSQL's server, which parses each statement before it runs it: statements that are not in its list are refused as
SQL_PARSE_ERROR, among them VACUUM, ANALYZE, REINDEX, ATTACH and whatever is temporary; of the pragmas, most may be read
and few be set. Two rules are those of Turso Cloud's documents and stricter than the source: `user_version` is read-only,
and a transaction ends after its time even where nobody waits for its lock. Where a rule differs between versions the
stricter one stands here, so that what works here works there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds, sizes in bytes; the defaults are those of the servers."""

    transaction_seconds: float = 5.0
    idle_seconds: float = 10.0
    stored_sql: int = 50
    response_bytes: int = 10_000_000
    token_seconds: float | None = None
    """How long after the start of the server its token is good; None for ever."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


READ_PRAGMAS = _names(
    "table_list index_list table_info table_xinfo index_info index_xinfo pragma_list compile_options database_list "
    "function_list module_list encoding foreign_key_list foreign_key_check collation_list data_version freelist_count "
    "integrity_check legacy_file_format page_count quick_check stats defer_foreign_keys foreign_keys"
)
"""These may have a value."""

BARE_PRAGMAS = _names(
    "schema_version user_version analysis_limit application_id auto_vacuum automatic_index busy_timeout cache_size "
    "cache_spill cell_size_check checkpoint_fullfsync fullfsync hard_heap_limit journal_mode journal_size_limit "
    "legacy_alter_table locking_mode max_page_count mmap_size page_size query_only read_uncommitted recursive_triggers "
    "reverse_unordered_selects secure_delete soft_heap_limit synchronous temp_store threads trusted_schema "
    "wal_autocheckpoint"
)
"""These may be read, never set. All others are refused."""

FORBIDDEN = _names("VACUUM ANALYZE REINDEX ATTACH DETACH")
"""Of the statements of SQLite, those that are no part of the server's list."""

RESERVED = _names("_LITESTREAM_SEQ _LITESTREAM_LOCK LIBSQL_WASM_FUNC_TABLE")
"""Tables of the server itself: they may be created and read, not written, altered or dropped."""

_SHORT = 4000  # characters of SQL whose analysis is kept
_CHANGES = frozenset({"INSERT", "REPLACE", "UPDATE", "DELETE"})
_TOKEN = re.compile(
    r"""--[^\n]*|/\*.*?(?:\*/|\Z)|\s+|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[A-Za-z_]\w*|.""", re.S
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What the server needs to know of a statement before it runs it."""

    verb: str = ""
    refused: bool = False

    @property
    def changes(self) -> bool:
        """Whether it is an INSERT, UPDATE or DELETE: only then is a count of changed rows told."""
        return self.verb in _CHANGES

    @property
    def inserts(self) -> bool:
        """Whether it is an INSERT: only then is the row id told."""
        return self.verb in {"INSERT", "REPLACE"}


def statements(sql: str) -> tuple[str, ...]:
    """The statements of an SQL text, without looking up what they name; the body of a trigger is not cut."""
    return (_statements if len(sql) < _SHORT else _statements.__wrapped__)(sql)


def kind_of(sql: str) -> Kind:
    """The kind of one statement."""
    return (_kind_of if len(sql) < _SHORT else _kind_of.__wrapped__)(sql)


@lru_cache(maxsize=512)
def _statements(sql: str) -> tuple[str, ...]:
    found: list[str] = []
    text, words = "", []
    for match in _TOKEN.finditer(sql):
        token = match.group()
        text += token
        if not token.isspace() and token[:2] not in {"--", "/*"}:
            words.append(token.upper())
        if token == ";" and not (_is_trigger(words) and words[-3:] != [";", "END", ";"]):
            found += [text] if words != [";"] else []
            text, words = "", []
    return (*found, text) if words else tuple(found)


def _is_trigger(words: list[str]) -> bool:
    words = words[1:] if words[:1] == ["EXPLAIN"] else words
    return words[:1] == ["CREATE"] and "TRIGGER" in words[1:3]


@lru_cache(maxsize=512)
def _kind_of(sql: str) -> Kind:
    words = _words(sql)
    if words[:3] == ["EXPLAIN", "QUERY", "PLAN"]:
        return Kind("EXPLAIN")
    explained = words[:1] == ["EXPLAIN"]
    if explained:
        words = words[1:]
    verb = words[0] if words else ""
    if verb == "WITH":
        verb = _main_verb(words)
    refused = verb in FORBIDDEN or _temporary(words) or _reserved(verb, words)
    refused = refused or (verb == "PRAGMA" and _pragma_refused(words))
    return Kind("EXPLAIN" if explained and not refused else verb, refused)


def _words(sql: str) -> list[str]:
    """Its tokens without spaces and comments, words in capitals."""
    tokens = (match.group() for match in _TOKEN.finditer(sql))
    return [token.upper() for token in tokens if not token.isspace() and token[:2] not in {"--", "/*"} and token != ";"]


def _main_verb(words: list[str]) -> str:
    depth = 0
    for word in words:
        depth += (word == "(") - (word == ")")
        if not depth and word in _CHANGES | {"SELECT", "VALUES"}:
            return word
    return "WITH"


def _temporary(words: list[str]) -> bool:
    return words[:1] == ["CREATE"] and (
        "TEMP" in words[1:2] or "TEMPORARY" in words[1:2] or words[2:4] == ["TEMP", "."]
    )


def _reserved(verb: str, words: list[str]) -> bool:
    """Whether it would write to a table of the server."""
    before = {
        "INSERT": "INTO",
        "REPLACE": "INTO",
        "DELETE": "FROM",
        "UPDATE": "UPDATE",
        "DROP": "TABLE",
        "ALTER": "TABLE",
    }
    if verb not in before or before[verb] not in words:
        return False
    after = words[words.index(before[verb]) + 1 :][:4]
    return any(word.strip('"`[]') in RESERVED for word in after[: 3 if after[:1] in (["IF"], ["OR"]) else 1])


def _pragma_refused(words: list[str]) -> bool:
    rest = words[3:] if words[2:3] == ["."] else words[1:]
    name, value = (rest[0].lower() if rest else ""), rest[1:]
    return not (name in READ_PRAGMAS or (name in BARE_PRAGMAS and not value))
