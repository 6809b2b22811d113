"""Steps: the SQL files of `sql/`, each with an up and a down, in a tiny strict grammar, bound by a chain of hashes.

A step file is named NNNN_name.sql and reads

    -- ptp:up
    CREATE TABLE ...;
    -- ptp:down
    DROP TABLE ...;

Before `-- ptp:up` only comments, blank lines and options may stand. There is one option: `-- ptp:requires fts5` leaves
the step out where SQLite lacks that module. Both parts must hold at least one statement.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ptp.engine import split_statements
from ptp.errors import StepRefused

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+")
_DIRECTIVE = "-- ptp:"
_REQUIRES = re.compile(r"-- ptp:requires ([a-z0-9_]+)")


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its name, the statements of its two parts, the SHA-256 of its text, and a module that it requires."""

    name: str
    up: tuple[str, ...]
    down: tuple[str, ...]
    checksum: str
    requires: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A step's place in the chain: `chain` hashes the previous link with this step's name and checksum."""

    name: str
    checksum: str
    chain: str


def parse_step(name: str, text: str) -> Step:
    """Parse the text of a step; raises StepRefused naming line and column of the first mistake."""
    if not _NAME.fullmatch(name):
        raise StepRefused(f"{name}.sql: a step is named NNNN_name.sql, in lower case, as in 0003_add_streaks.sql.")
    parts: dict[str, list[str]] = {}
    current: list[str] | None = None
    requires = ""
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        stripped = line.strip()
        if option := _REQUIRES.fullmatch(stripped):
            if requires or current is not None:
                raise _mistake(name, number, line, "'-- ptp:requires' stands once, and before '-- ptp:up'")
            requires = option[1]
        elif stripped.startswith(_DIRECTIVE):
            current = _open_part(parts, name, line, number)
        elif current is not None:
            current.append(line)
        elif stripped and not stripped.startswith("--"):
            raise _mistake(name, number, line, "SQL stands before '-- ptp:up'")
    for word in ("up", "down"):
        if word not in parts:
            raise StepRefused(f"{name}.sql: there is no '-- ptp:{word}'; a step needs both an up and a down.")
    up, down = ("".join(parts[word]) for word in ("up", "down"))
    for word, body in (("up", up), ("down", down)):
        if not split_statements(body):
            raise StepRefused(f"{name}.sql: the part '-- ptp:{word}' holds no statement.")
    return Step(name, tuple(split_statements(up)), tuple(split_statements(down)), checksum(text), requires)


def _open_part(parts: dict[str, list[str]], name: str, line: str, number: int) -> list[str]:
    word = line.strip().removeprefix(_DIRECTIVE)
    if word not in ("up", "down"):
        raise _mistake(
            name,
            number,
            line,
            f"unknown directive '-- ptp:{word}'; there are '-- ptp:up', '-- ptp:down', '-- ptp:requires MODULE'",
        )
    if word in parts:
        raise _mistake(name, number, line, f"a second '-- ptp:{word}'")
    if word == "down" and "up" not in parts:
        raise _mistake(name, number, line, "'-- ptp:down' comes before '-- ptp:up'")
    return parts.setdefault(word, [])


def _mistake(name: str, number: int, line: str, what: str) -> StepRefused:
    column = len(line) - len(line.lstrip()) + 1
    return StepRefused(f"{name}.sql, line {number}, column {column}: {what}.")


def checksum(text: str) -> str:
    """SHA-256 of a step's text, with line ends as LF so that a checkout on Windows is the same step."""
    return hashlib.sha256(text.replace("\r\n", "\n").encode()).hexdigest()


def load_steps(folder: Path) -> tuple[Step, ...]:
    """All steps of a folder in order; raises StepRefused for a gap, a number used twice, or a mistake in one."""
    files = sorted(p for p in folder.glob("*.sql") if p.name[:1].isdigit())
    steps = tuple(parse_step(p.stem, p.read_text(encoding="utf-8")) for p in files)
    for position, step in enumerate(steps, start=1):
        if int(step.name[:4]) != position:
            raise StepRefused(
                f"{step.name}.sql stands where step {position:04} is due: numbers run from 0001 without gap or repeat."
            )
    if not steps:
        raise StepRefused(f"There is no step in {folder}.")
    return steps


def links(steps: Sequence[Step]) -> tuple[Link, ...]:
    """The chain over the steps: whoever edits, drops or reorders one changes every link after it."""
    found: list[Link] = []
    previous = ""
    for step in steps:
        previous = hashlib.sha256(f"{previous}\n{step.name}\n{step.checksum}".encode()).hexdigest()
        found.append(Link(step.name, step.checksum, previous))
    return tuple(found)
