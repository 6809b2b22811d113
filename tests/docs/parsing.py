"""Command lines held to the real command line: each command, option and value, without running anything."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from typing import Any

import typer.main

from ptp.cli import app

PLACEHOLDER = re.compile(r"<[^>]*>|…|[A-Z][A-Z_.=]*|\d*N+|.*[<…].*")
"""What stands for a value that the reader fills in: FILE, NNNN, <run id>."""


class Wrong(Exception):
    """A line that the program would refuse."""


@cache
def commands() -> dict[str, Any]:
    """Every command by its words: ("backup", "take")."""
    found: dict[str, Any] = {}
    for name, top in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        found[name] = top
        found |= {f"{name} {sub}": below for sub, below in getattr(top, "commands", {}).items()}
    return found


def find(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the words name, and the words after it; the root where they begin with an option."""
    if not words or words[0].startswith("-"):
        return typer.main.get_command(app), words
    for many in (2, 1):
        name = " ".join(words[:many])
        if len(words) >= many and name in commands():
            found, rest = commands()[name], words[many:]
            if hasattr(found, "commands") and rest and not rest[0].startswith("-"):
                raise Wrong(f"{name} has no command {rest[0]}")
            return found, rest
    raise Wrong(f"there is no command {words[0]}")


def words_of(line: str) -> list[str]:
    """The words after `ptp`, without variables set before it, redirections, and what a pipe leads to."""
    words = shlex.split(re.split(r"\s(?:\|\||&&|\||2?>>?|;)\s?", line)[0])
    while words and re.match(r"[A-Z_]+=", words[0]):
        words.pop(0)
    if not words or words.pop(0).rpartition("/")[2] != "ptp":
        raise Wrong(f"it does not call ptp: {line}")
    return words


def check_line(line: str) -> None:
    """Parse a whole line as the program would, without running it; raises Wrong with what the parser says."""
    command, rest = find(words_of(line))
    if rest and set(rest) <= {"--help", "--version", "--install-completion", "--show-completion"}:
        _check_words(command, rest)
        return
    _parse(command, rest)


def check_mention(text: str) -> None:
    """Look at each word of a call that the text only speaks of, and that may lack what it would need to run."""
    for words in _each(shlex.split(re.sub(r"<[^>]*>", "…", text))):
        command, rest = find(words[1:])
        _check_words(command, rest)


def _each(words: list[str]) -> Iterator[list[str]]:
    """The calls meant by words such as `list|export|retry`."""
    for place, word in enumerate(words):
        if re.fullmatch(r"[a-z0-9]+(\|[a-z0-9]+)+", word):
            for one in word.split("|"):
                yield from _each([*words[:place], one, *words[place + 1 :]])
            return
    yield words


def _options(command: Any) -> dict[str, Any]:
    known = {o: p for p in command.params for o in (*p.opts, *p.secondary_opts)}
    for name in ("--help", "-h"):
        known.setdefault(name, None)
    return known


def _check_words(command: Any, words: list[str]) -> None:
    known, taken = _options(command), 0
    places = [p for p in command.params if p.param_type_name == "argument"]
    room = 10_000 if any(p.nargs == -1 for p in places) else sum(p.nargs for p in places)
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            taken += not PLACEHOLDER.fullmatch(word) or bool(places)
            continue
        if word not in known:
            raise Wrong(f"{command.name} has no option {word}")
        option = known[word]
        if option is None or getattr(option, "is_flag", False) or option.count:
            continue
        for _ in range(min(option.nargs, len(rest))):
            check_value(command, word, rest.pop(0))
    if taken > room:
        raise Wrong(f"{command.name} does not take so many arguments: {' '.join(words)}")


def check_value(command: Any, option: str, value: str) -> None:
    """Whether the parser takes a value for an option of the command; raises Wrong."""
    if not PLACEHOLDER.fullmatch(value):
        _parse(command, [option, value], lacks=True)


def _parse(command: Any, words: list[str], *, lacks: bool = False) -> None:
    """Let the program's own parser decide; with `lacks` an argument or option may be missing."""
    try:
        command.make_context(command.name, list(words))
    except typer.Exit:
        return
    except typer.TyperException as problem:
        if not (lacks and type(problem).__name__ == "MissingParameter"):
            raise Wrong(f"ptp {command.name} {' '.join(words)}: {problem.format_message()}") from None


def check_option_alone(text: str) -> None:
    """An option that the text names without a command: some command has it, and takes its value."""
    name, *values = shlex.split(text)
    every = (*commands().values(), typer.main.get_command(app))
    takers = [(command, known[name]) for command in every if name in (known := _options(command))]
    if not takers:
        raise Wrong(f"no command has {name}")
    problems = []
    for command, option in takers:
        try:
            for value in values[:1] if option is not None and not getattr(option, "is_flag", False) else ():
                for one in value.split("|"):
                    check_value(command, name, one)
            return
        except Wrong as problem:
            problems.append(str(problem))
    raise Wrong(problems[0])
