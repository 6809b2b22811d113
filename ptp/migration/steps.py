"""Steps: the SQL files of `sql/`, each with an up and a down, in a tiny strict grammar, bound by a chain of hashes.

A step file is named NNNN_name.sql and reads

    step     = { comment | option } up [ down ] ;               down is left out where the step is irreversible
    option   = "-- ptp:requires " module EOL                    left out where SQLite lacks the module; once
             | "-- ptp:irreversible" EOL                        has no down; once
             | "-- ptp:deletes " table EOL                      rows of the table may go; once for each table
             | "-- ptp:changes " name [ "." column ] EOL ;      what a rebuild changes in a table, index, trigger, view
    up       = "-- ptp:up" EOL body ;
    down     = "-- ptp:down" EOL body ;
    body     = statement ";" { statement ";" } ;                comments and blank lines may stand between them
    comment  = "--" any text but a directive, or nearly one EOL | EOL ;
    EOL      = LF | CRLF | end of file ;

A directive (`-- ptp:`) begins its line, stands alone on it, and is read to the letter: a comment that is one character
away from one is a mistake. A statement begins with CREATE, ALTER, DROP, INSERT, REPLACE, UPDATE, DELETE, WITH, SELECT,
ANALYZE or REINDEX: transactions and settings are ptp's. The text is UTF-8 without a byte order mark or control
characters. A virtual table takes the `requires` of its module, and what `deletes` names stands in a statement.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ptp.errors import StepRefused
from ptp.migration.script import Unfinished, module_of, names_in, statements

_NAME = re.compile(r"\d{4}_[a-z0-9_]+")
_DIRECTIVE = "-- ptp:"
_MODULES = ("fts5", "rtree", "geopoly", "dbstat")
_ARGUMENTS = {
    "requires": (" or ".join(_MODULES), re.compile("|".join(_MODULES))),
    "irreversible": ("", re.compile("")),
    "deletes": ("TABLE", re.compile(r"[A-Za-z_][A-Za-z0-9_]*")),
    "changes": ("NAME or TABLE.COLUMN", re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?")),
}
_OPTIONS = tuple(_ARGUMENTS)
_PARTS = ("up", "down")
_REPEATED = ("deletes", "changes")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its name, the statements of its two parts, the SHA-256 of its text, and its options.

    `down` is empty where the step is irreversible. `deletes` names tables of which rows may go, `changes` what a
    rebuild may change: the name of a table, index, trigger or view, or TABLE.COLUMN.
    """

    name: str
    up: tuple[str, ...]
    down: tuple[str, ...]
    checksum: str
    requires: str = ""
    irreversible: bool = False
    deletes: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()

    @property
    def number(self) -> int:
        """Its place in the order, from 1."""
        return int(self.name[:4])


@dataclass(frozen=True, slots=True)
class Link:
    """A step's place in the chain: `chain` hashes the previous link with this step's name and checksum."""

    name: str
    checksum: str
    chain: str


@dataclass(frozen=True, slots=True)
class _Directive:
    """A directive as it stands: its word, its argument, and where its line begins and ends."""

    word: str
    argument: str
    start: int
    end: int


def parse_step(name: str, text: str) -> Step:
    """Parse the text of a step; raises StepRefused naming line and column of the first mistake."""
    if not _NAME.fullmatch(name):
        raise StepRefused(f"{name}.sql: a step is named NNNN_name.sql, in lower case, as in 0003_add_streaks.sql.")
    try:
        return _parsed(name, text.replace("\r\n", "\n"))
    except Unfinished as problem:
        raise _at(name, text.replace("\r\n", "\n"), problem.place, str(problem)) from None


def _parsed(name: str, text: str) -> Step:
    _check_characters(text)
    directives = list(_directives(text))
    options, parts = _ordered(directives, text)
    bodies = {}
    for word, (opening, end) in parts.items():
        bodies[word] = tuple(statements(text, opening.end, end))
        if not bodies[word]:
            raise Unfinished(opening.start, f"the part '{_DIRECTIVE}{word}' holds no statement")
    step = Step(
        name,
        bodies["up"],
        bodies.get("down", ()),
        checksum(text),
        requires="".join(d.argument for d in options if d.word == "requires"),
        irreversible=any(d.word == "irreversible" for d in options),
        deletes=tuple(d.argument for d in options if d.word == "deletes"),
        changes=tuple(d.argument for d in options if d.word == "changes"),
    )
    _check_options(step, options, parts["up"][0].start)
    return step


def _check_characters(text: str) -> None:
    if text.startswith("\ufeff"):
        raise Unfinished(0, "the file begins with a byte order mark: save it as UTF-8 without one")
    if found := _CONTROL.search(text):
        named = {"\0": "a NUL character", "\r": "a carriage return without a line feed"}
        what = named.get(found[0], f"the control character {ord(found[0]):#04x}")
        raise Unfinished(found.start(), f"{what} may not stand in a step")


def _directives(text: str) -> Iterator[_Directive]:
    """The directives in order; raises Unfinished for one that is not written to the letter."""
    place = 0
    for line in text.split("\n"):
        if _DIRECTIVE in line or _is_nearly(line):
            yield _directive(line, place)
        place += len(line) + 1


def _directive(line: str, place: int) -> _Directive:
    known = f"there are {', '.join(map(_shape, (*_OPTIONS, *_PARTS)))}"
    if not line.startswith(_DIRECTIVE):
        column = len(line) - len(line.lstrip())
        what = "a directive begins its line" if _DIRECTIVE in line else f"this is nearly a directive; {known}"
        raise Unfinished(place + column, f"{what}: write '{_DIRECTIVE}' at column 1, with one space")
    word, blank, argument = line.removeprefix(_DIRECTIVE).partition(" ")
    if word not in (*_OPTIONS, *_PARTS):
        raise Unfinished(place, f"unknown directive '{line.rstrip()}'; {known}")
    allowed = _ARGUMENTS[word][1] if word in _ARGUMENTS else re.compile("")
    if not allowed.fullmatch(argument) or bool(blank) != bool(argument):
        raise Unfinished(place, f"'{line}' is not of the form {_shape(word)}, with nothing behind it")
    return _Directive(word, argument, place, place + len(line))


def _shape(word: str) -> str:
    return f"'{_DIRECTIVE}{word} {_ARGUMENTS.get(word, ('',))[0]}".rstrip() + "'"


def _is_nearly(line: str) -> bool:
    """Whether a line begins with what is one character away from a directive, or is one but for blanks and case."""
    bare = line.lstrip()
    if not bare.startswith("-"):
        return False
    if re.match(r"-+\s*ptp\s*:", bare, re.IGNORECASE):
        return True
    wanted = [f"{_DIRECTIVE}{word}" for word in (*_OPTIONS, *_PARTS)]
    return any(_one_apart(bare[: len(w) + more], w) for w in wanted for more in (-1, 0, 1))


def _one_apart(one: str, other: str) -> bool:
    """Whether two texts differ in one character that was added, left out or changed."""
    start = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    ways = ((1, 1), (1, 0), (0, 1))
    return one != other and any(one[start + a :] == other[start + b :] for a, b in ways)


def _ordered(directives: Sequence[_Directive], text: str) -> tuple[list[_Directive], dict[str, tuple[_Directive, int]]]:
    """The options, and each part's opening with the place where it ends; raises Unfinished for a wrong order."""
    options: list[_Directive] = []
    openings: dict[str, _Directive] = {}
    for found in directives:
        if found.word not in _PARTS:
            _check_option(found, options, is_late=bool(openings))
            options.append(found)
        elif found.word in openings:
            raise Unfinished(found.start, f"a second '{_DIRECTIVE}{found.word}'")
        elif found.word == "down" and "up" not in openings:
            raise Unfinished(found.start, f"'{_DIRECTIVE}down' comes before '{_DIRECTIVE}up'")
        else:
            openings[found.word] = found
    _check_head(text[: openings["up"].start] if "up" in openings else text)
    _check_parts(openings, text, ends=any(o.word == "irreversible" for o in options))
    up_end = openings["down"].start if "down" in openings else len(text)
    return options, {word: (o, up_end if word == "up" else len(text)) for word, o in openings.items()}


def _check_option(found: _Directive, before: Sequence[_Directive], *, is_late: bool) -> None:
    if is_late:
        raise Unfinished(found.start, f"{_shape(found.word)} is an option, and stands before '{_DIRECTIVE}up'")
    for other in before:
        if other.word == found.word and (found.word not in _REPEATED or other.argument == found.argument):
            raise Unfinished(found.start, f"{_shape(found.word)} stands once")


def _check_parts(openings: dict[str, _Directive], text: str, *, ends: bool) -> None:
    if "up" not in openings:
        raise Unfinished(len(text), f"there is no '{_DIRECTIVE}up'")
    if ends and "down" in openings:
        raise Unfinished(openings["down"].start, "a step that is irreversible has no down")
    if not ends and "down" not in openings:
        what = "a step needs both an up and a down, or says that it is irreversible"
        raise Unfinished(len(text), f"there is no '{_DIRECTIVE}down'; {what}")


def _check_head(head: str) -> None:
    """Before up there are comments alone, one a line."""
    place = 0
    for line in head.split("\n"):
        if line.strip() and not line.lstrip().startswith("--"):
            what = "SQL stands before '-- ptp:up', where only options and comments with '--' may"
            raise Unfinished(place + len(line) - len(line.lstrip()), what)
        place += len(line) + 1


def _check_options(step: Step, options: Sequence[_Directive], up: int) -> None:
    """What an option says must fit the statements: a name with a slip of the pen fits none."""
    for module in {found for sql in step.up if (found := module_of(sql))} - {step.requires}:
        raise Unfinished(up, f"up creates a virtual table of {module}, which takes '{_DIRECTIVE}requires {module}'")
    for option in (o for o in options if o.word == "deletes"):
        if not any(option.argument.lower() in names_in(sql) for sql in (*step.up, *step.down)):
            raise Unfinished(option.start, f"no statement names the table {option.argument}")


def _at(name: str, text: str, place: int, what: str) -> StepRefused:
    line, column = text.count("\n", 0, place) + 1, place - (text.rfind("\n", 0, place) + 1) + 1
    return StepRefused(f"{name}.sql, line {line}, column {column}: {what}.")


def checksum(text: str) -> str:
    """SHA-256 of a step's text, with line ends as LF so that a checkout on Windows is the same step."""
    return hashlib.sha256(text.replace("\r\n", "\n").encode()).hexdigest()


def load_steps(folder: Path) -> tuple[Step, ...]:
    """All steps of a folder in order; raises StepRefused for a gap, a number used twice, or a mistake in one."""
    files = sorted(p for p in folder.glob("*.sql") if p.name[:1].isdigit())
    steps = tuple(parse_step(p.stem, _read(p)) for p in files)
    for position, step in enumerate(steps, start=1):
        if step.number != position:
            raise StepRefused(
                f"{step.name}.sql stands where step {position:04} is due: numbers run from 0001 without gap or repeat."
            )
    if not steps:
        raise StepRefused(f"There is no step in {folder}.")
    return steps


def _read(path: Path) -> str:
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as problem:
        before = raw[: problem.start].decode("utf-8").replace("\r\n", "\n")
        raise _at(path.stem, before, len(before), f"the byte {raw[problem.start]:#04x} is not UTF-8") from None


def links(steps: Sequence[Step]) -> tuple[Link, ...]:
    """The chain over the steps: whoever edits, drops or reorders one changes every link after it."""
    found: list[Link] = []
    previous = ""
    for step in steps:
        previous = hashlib.sha256(f"{previous}\n{step.name}\n{step.checksum}".encode()).hexdigest()
        found.append(Link(step.name, step.checksum, previous))
    return tuple(found)
