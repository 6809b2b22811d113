"""The docs as a reader meets them: fenced blocks, their lines of shell, and what stands between backticks in the text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    (str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))),
    key=lambda name: (name != "README.md", name),
)
_FENCE = re.compile(r"^```([a-z]*)\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, the line of the page on which its text begins, its language, its text."""

    page: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Line:
    """A line of shell and where it stands."""

    place: str
    text: str


def blocks(page: str, text: str | None = None) -> list[Block]:
    """The fenced blocks of a page, in order."""
    whole = (ROOT / page).read_text(encoding="utf-8") if text is None else text
    found = []
    for match in _FENCE.finditer(whole):
        found.append(Block(page, whole.count("\n", 0, match.start(2)) + 1, match[1], match[2]))
    assert whole.count("\n```") + whole.startswith("```") == 2 * len(found), f"{page}: a fence is not closed"
    return found


def shell_lines(block: Block) -> list[Line]:
    """The lines of a block of shell, those that go on after a backslash as one; without comments."""
    found = []
    number = block.line
    for line in re.sub(r"\\\n\s*", "\\\0", block.text).split("\n"):
        told = re.sub(r"(^|\s)#\s.*$", "", line.replace("\\\0", " ")).strip()
        if told:
            found.append(Line(f"{block.page}:{number}", told))
        number += 1 + line.count("\\\0")
    return found


def inline(page: str) -> Iterator[Line]:
    """What stands between backticks in the text of a page, on one line each."""
    whole = (ROOT / page).read_text(encoding="utf-8")
    text = _FENCE.sub(lambda m: "\n" * m[0].count("\n"), whole)
    for match in re.finditer(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)", text, re.S):
        yield Line(f"{page}:{text.count(chr(10), 0, match.start()) + 1}", " ".join(match[2].split()))
