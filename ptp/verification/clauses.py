"""Clauses: the parts of a CREATE statement, so that what differs between two can be named by column and rule.

It reads what SQLite has accepted and keeps in `sqlite_schema`, so it need not tell right SQL from wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

_TOKEN = re.compile(
    r"""[xX]'[^']*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/"""
    r"""|0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|\w+|[^\s\w]""",
    re.DOTALL,
)
_OF_COLUMN = ("constraint", "primary", "not", "null", "unique", "check", "default", "collate", "references")
_OF_COLUMN_TOO = ("generated", "as")
_OF_TABLE = ("constraint", "primary", "unique", "check", "foreign")
_KINDS = {"primary": "PRIMARY KEY", "not": "NOT NULL", "foreign": "FOREIGN KEY", "generated": "AS"}


@dataclass(frozen=True, slots=True)
class Word:
    """One word of SQL text: `plain` is what it is compared by, `keyword` is empty where it is quoted."""

    plain: str
    keyword: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Clause:
    """A rule of a column or a table: its kind, the name of its constraint if it has one, and its words as written."""

    kind: str
    name: str
    words: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class ColumnText:
    """A column as it is declared: its type as written, upper and lower case included, and its rules."""

    type: str
    clauses: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class TableText:
    """The columns of a table by name in lower case, its rules, and its options, such as STRICT."""

    columns: Mapping[str, ColumnText]
    rules: tuple[Clause, ...]
    options: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class IndexText:
    """The keys of an index, and its WHERE if it has one."""

    keys: tuple[Clause, ...]
    where: tuple[Clause, ...]


def words_of(sql: str) -> list[Word]:
    """The words of SQL text: white space, comments, quotes around names and the case of words do not count."""
    found = (m for m in _TOKEN.finditer(sql) if not m[0].startswith(("--", "/*")))
    return [Word(*_plain(m[0]), *m.span()) for m in found]


def _plain(token: str) -> tuple[str, str]:
    if token[0] in '"`[':
        inner = token[1:-1].replace(token[0] * 2, token[0]).lower()
        return (inner if re.fullmatch(r"[a-z_]\w*", inner) else f'"{inner}"'), ""
    if token[0] == "'":
        return token, ""
    return token.lower(), token.lower()


@lru_cache(maxsize=256)
def table_text(sql: str) -> TableText | None:
    """The parts of a CREATE TABLE; None where it has none, as that of a virtual table."""
    words = words_of(sql)
    if [w.keyword for w in words[:2]] != ["create", "table"]:
        return None
    body, rest = _body(words)
    columns: dict[str, ColumnText] = {}
    rules: list[Clause] = []
    for part in _split(body):
        if part[0].keyword in _OF_TABLE:
            rules.append(_clause(part, sql))
        else:
            columns[part[0].plain] = _column(part[1:], sql)
    options = tuple(_clause(part, sql) for part in _split(rest))
    return TableText(columns, tuple(rules), options)


@lru_cache(maxsize=512)
def index_text(sql: str) -> IndexText:
    """The parts of a CREATE INDEX."""
    body, rest = _body(words_of(sql))
    where = (_clause(rest, sql),) if rest else ()
    return IndexText(tuple(_clause(part, sql) for part in _split(body)), where)


def _body(words: Sequence[Word]) -> tuple[Sequence[Word], Sequence[Word]]:
    """What stands in the first parentheses, and what comes after them."""
    first = next((i for i, w in enumerate(words) if w.plain == "("), len(words))
    last = next((i for i, depth in _depths(words) if i > first and depth == 0), len(words))
    return words[first + 1 : last], words[last + 1 :]


def _depths(words: Sequence[Word]) -> Iterator[tuple[int, int]]:
    """Each word's place, and how many parentheses are open after it."""
    depth = 0
    for i, word in enumerate(words):
        depth += {"(": 1, ")": -1}.get(word.plain, 0)
        yield i, depth


def _split(words: Sequence[Word]) -> list[Sequence[Word]]:
    """The words between commas, those in parentheses left whole."""
    commas = [i for i, depth in _depths(words) if depth == 0 and words[i].plain == ","]
    starts, ends = [0, *(i + 1 for i in commas)], [*commas, len(words)]
    return [words[a:b] for a, b in zip(starts, ends, strict=True) if a < b]


def _column(words: Sequence[Word], sql: str) -> ColumnText:
    starts = [i for i, depth in _depths(words) if depth == 0 and _begins(words, i)]
    # A constraint's name goes with the rule that follows it.
    starts = [i for i in starts if not any(words[j].keyword == "constraint" and j < i <= j + 2 for j in starts)]
    cuts = [*starts, len(words)]
    return ColumnText(_text(words[: cuts[0]], sql), tuple(_clause(words[a:b], sql) for a, b in pairwise(cuts)))


def _begins(words: Sequence[Word], i: int) -> bool:
    """Whether a new rule of a column begins at word `i`, which might also continue the one before."""
    word, before = words[i].keyword, words[i - 1].keyword if i else ""
    after = words[i + 1].keyword if i + 1 < len(words) else ""
    if word not in (*_OF_COLUMN, *_OF_COLUMN_TOO) or before in ("default", "collate"):
        return False
    continues = {
        "null": before in ("not", "set"),  # NOT NULL, ON DELETE SET NULL
        "default": before == "set",
        "not": after == "deferrable",
        "as": before == "always",
    }
    return not continues.get(word, False)


def _clause(words: Sequence[Word], sql: str) -> Clause:
    named = words[0].keyword == "constraint" and len(words) > 2
    first = words[2 if named else 0].keyword
    plain = tuple(w.plain for w in words)
    return Clause(_KINDS.get(first, first.upper()), words[1].plain if named else "", plain, _text(words, sql))


def _text(words: Sequence[Word], sql: str) -> str:
    return re.sub(r"\s+", " ", sql[words[0].start : words[-1].end]) if words else ""
