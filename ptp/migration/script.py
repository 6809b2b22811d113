"""The SQL text of a step: where its statements begin and end, and what each does to the schema. Pure text, no database.

SQLite's own rules decide: a trigger ends with `; END;`, strings and names may hold semicolons. What SQLite lets pass is
refused here: a comment that nobody closes, a last statement without its semicolon.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Literal, TypeAlias

_TOKEN = re.compile(
    r"""(?P<blank>\s+|--[^\n]*|/\*.*?\*/)
    |(?P<text>'(?:[^']|'')*')
    |(?P<name>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])
    |(?P<word>[\w$]+)
    |(?P<open>/\*|['"`\[])
    |(?P<sign>.)""",
    re.DOTALL | re.VERBOSE,
)
_OPEN = {"'": "string", '"': "quoted name", "`": "quoted name", "[": "quoted name", "/*": "comment"}
ALLOWED = (
    "CREATE",
    "ALTER",
    "DROP",
    "INSERT",
    "REPLACE",
    "UPDATE",
    "DELETE",
    "WITH",
    "SELECT",
    "ANALYZE",
    "REINDEX",
)
"""How the statements of a step may begin."""
_TRANSACTIONS = ("BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE")
_KINDS = ("TABLE", "INDEX", "TRIGGER", "VIEW")

Kind: TypeAlias = Literal["table", "index", "trigger", "view", "column"]
Verb: TypeAlias = Literal["create", "drop", "rename"]


@dataclass(frozen=True, slots=True)
class Token:
    """A word, a quoted name, a text or a sign, where it begins in the whole text; `plain` is without its quotes."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.start + len(self.text)

    @property
    def plain(self) -> str:
        """A name without its quotes; anything else as it stands."""
        if self.kind != "name":
            return self.text
        return self.text[1:-1].replace(self.text[0] * 2, self.text[0])

    def says(self, *words: str) -> bool:
        """Whether it is one of these keywords."""
        return self.kind == "word" and self.text.upper() in words


class Unfinished(Exception):
    """Something begins at `place` of the text and does not end, or may not stand there."""

    def __init__(self, place: int, what: str) -> None:
        """Say what, as a sentence without its end."""
        super().__init__(what)
        self.place = place


@dataclass(frozen=True, slots=True)
class Effect:
    """What a statement does to the schema: `name` in lower case; of a column, `table` has it; `to` is a new name."""

    verb: Verb
    kind: Kind
    name: str
    table: str = ""
    to: str = ""


def tokens(text: str, start: int = 0, end: int | None = None, *, strict: bool = True) -> Iterator[Token]:
    """All tokens but blanks and comments; raises Unfinished for a string, quoted name or comment without end.

    What a database holds is not `strict`: somebody else wrote it, and SQLite took it.
    """
    for found in _TOKEN.finditer(text, start, len(text) if end is None else end):
        if found.lastgroup == "open" and strict:
            raise Unfinished(found.start(), f"the {_OPEN[found[0]]} that begins here has no end")
        if found.lastgroup != "blank":
            yield Token(found.lastgroup or "", found[0], found.start())


def statements(text: str, start: int, end: int) -> Iterator[str]:
    """The statements of a part of a text, each without its semicolon and the comments around it.

    Raises Unfinished for one that has no end or that no step may hold.
    """
    held: list[Token] = []
    for token in tokens(text, start, end):
        held.append(token)
        if token.text != ";" or (_is_trigger(held) and not _is_whole_trigger(held)):
            continue
        if len(held) > 1:
            _check_allowed(held)
            yield text[held[0].start : held[-2].end]
        held = []
    if held:
        what = (
            "trigger that begins here has no 'END;'" if _is_trigger(held) else "statement that begins here has no ';'"
        )
        raise Unfinished(held[0].start, f"the {what}")


def _is_trigger(held: Sequence[Token]) -> bool:
    words = [t.text.upper() for t in held[:3]]
    return words[:2] == ["CREATE", "TRIGGER"] or (
        words[0] == "CREATE" and words[1:2] != [] and words[2:] == ["TRIGGER"]
    )


def _is_whole_trigger(held: Sequence[Token]) -> bool:
    return len(held) > 2 and held[-2].says("END") and held[-3].text == ";"


def _check_allowed(held: Sequence[Token]) -> None:
    first = held[0]
    word = first.text.upper()
    if first.says(*_TRANSACTIONS):
        raise Unfinished(first.start, f"{word} may not stand in a step, which ptp runs in one transaction")
    if first.says("ATTACH", "DETACH", "VACUUM", "PRAGMA"):
        raise Unfinished(first.start, f"{word} may not stand in a step: files and settings are ptp's to handle")
    if not first.says(*ALLOWED):
        raise Unfinished(first.start, f"a statement of a step does not begin with {first.text!r}")
    if first.says("CREATE") and held[1].says("TEMP", "TEMPORARY"):
        raise Unfinished(first.start, "what is TEMP does not last: a step makes only what stays in the database")
    for token in held:
        if token.kind in ("word", "name") and token.plain.lower().startswith(("ptp_", "sqlite_")):
            raise Unfinished(token.start, f"{token.plain} is not a step's to name: it is ptp's own or SQLite's")


def names_in(sql: str) -> frozenset[str]:
    """Every word and quoted name of a statement, in lower case."""
    return frozenset(t.plain.lower() for t in tokens(sql, strict=False) if t.kind in ("word", "name"))


def same_words(one: str, other: str) -> bool:
    """Whether two statements differ in nothing but white space, comments, quotes of names and the case of words."""
    first, second = (
        [
            (t.kind == "text", t.plain.lower() if t.kind in ("word", "name") else t.text)
            for t in tokens(sql, strict=False)
        ]
        for sql in (one, other)
    )
    return first == second


def _beginning(sql: str) -> list[Token]:
    """As much of a statement as says what it does: ALTER TABLE main.a RENAME COLUMN b TO c has the most."""
    return list(islice(tokens(sql), 12))


def module_of(sql: str) -> str:
    """The module of a CREATE VIRTUAL TABLE, in lower case; empty for any other statement."""
    found = _beginning(sql)
    if len(found) < 2 or not (found[0].says("CREATE") and found[1].says("VIRTUAL")):
        return ""
    return next((after.plain.lower() for at, after in pairwise(found) if at.says("USING")), "")


def fills(sql: str) -> str:
    """The table that an INSERT writes to, in lower case; empty for any other statement."""
    found = _beginning(sql)
    places = [i for i, token in enumerate(found[:4]) if token.says("INTO")]
    return _name_at(found, places[0] + 1)[0] if places and found[0].says("INSERT", "REPLACE") else ""


def event_of(sql: str) -> str:
    """The event of a CREATE TRIGGER: DELETE, INSERT or UPDATE."""
    return next(t.text.upper() for t in tokens(sql, strict=False) if t.says("DELETE", "INSERT", "UPDATE"))


def effects(sql: str) -> tuple[Effect, ...]:
    """What a CREATE, DROP or ALTER does to the schema; nothing for any other statement, or one that SQLite refuses."""
    found = _beginning(sql)
    if found[0].says("ALTER"):
        return _alters(found)
    if not found[0].says("CREATE", "DROP"):
        return ()
    place = next((i for i, token in enumerate(found[:3]) if token.says(*_KINDS)), None)
    if place is None:
        return ()
    after = place + 1
    while found[after : after + 1] and found[after].says("IF", "NOT", "EXISTS"):
        after += 1
    verb: Verb = "create" if found[0].says("CREATE") else "drop"
    return (Effect(verb, found[place].text.lower(), _name_at(found, after)[0]),)  # type: ignore[arg-type]


def _alters(found: Sequence[Token]) -> tuple[Effect, ...]:
    table, place = _name_at(found, 2)
    rest = [t for t in found[place:] if not t.says("COLUMN")]
    if len(rest) < 2:
        return ()
    name = rest[1].plain.lower()
    if rest[0].says("ADD"):
        return (Effect("create", "column", name, table),)
    if rest[0].says("DROP"):
        return (Effect("drop", "column", name, table),)
    to = rest[-1].plain.lower()
    if rest[1].says("TO"):
        return (Effect("rename", "table", table, to=to),)
    return (Effect("rename", "column", name, table, to),)


def _name_at(found: Sequence[Token], place: int) -> tuple[str, int]:
    """The name that begins at a place, without its schema, and the place behind it."""
    if [t.text for t in found[place + 1 : place + 2]] == ["."]:
        place += 2
    return ("".join(t.plain.lower() for t in found[place : place + 1]), place + 1)
