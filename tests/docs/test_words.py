"""Every command that the docs, the help and the files for CI name is one: command, option, value, target of make."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer.main

from ptp.cli import app
from tests.docs.parsing import Wrong, check_line, check_mention, check_option_alone, commands
from tests.docs.reading import PAGES, ROOT, Line, blocks, inline, shell_lines

SHELL = [line for page in PAGES for block in blocks(page) if block.language == "sh" for line in shell_lines(block)]
INLINE = [line for page in PAGES for line in inline(page)]
CALLS = [line for line in INLINE if re.match(r"(\.venv/bin/)?ptp( |$)", line.text)]
ALONE = [line for line in INLINE if re.match(r"--?[a-z]", line.text) and not line.text.startswith("-- ")]
MAKE = [line for line in (*SHELL, *INLINE) if re.match(r"make( |$)", line.text)]
PTP = [line for line in SHELL if re.search(r"(^|/|\s)ptp ", line.text)]


def place(line: Line) -> str:
    return f"{line.place} {line.text[:60]}"


def test_the_pages_hold_what_is_looked_for() -> None:
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/guide.md", "docs/optimization.md"} <= set(PAGES)
    assert len(PTP) >= 40 and len(CALLS) >= 60 and len(ALONE) >= 25 and len(MAKE) >= 5


@pytest.mark.parametrize("line", PTP, ids=place)
def test_each_line_of_shell_parses(line: Line) -> None:
    check_line(line.text)


@pytest.mark.parametrize("line", CALLS, ids=place)
def test_each_call_in_the_text_is_one(line: Line) -> None:
    check_mention(line.text)


@pytest.mark.parametrize("line", ALONE, ids=place)
def test_each_option_in_the_text_is_one(line: Line) -> None:
    check_option_alone(line.text)


@pytest.mark.parametrize("line", MAKE, ids=place)
def test_each_target_of_make_is_one(line: Line) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)) | {".venv/ready"}
    asked = [word for word in shlex.split(line.text)[1:] if "=" not in word]
    assert set(asked) <= targets


@pytest.mark.parametrize("line", [line for line in INLINE if line.text.startswith("pip install ")], ids=place)
def test_each_extra_that_is_named_is_one(line: Line) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extra in re.findall(r"ptp\[([a-z,]+)\]", line.text):
        assert set(extra.split(",")) <= set(project["optional-dependencies"])


@pytest.mark.parametrize("name", commands())
def test_the_example_in_each_help_parses(name: str) -> None:
    example = str(commands()[name].epilog).removeprefix("Example: ")
    assert example.startswith(f"ptp {name}")
    check_line(example)


@pytest.mark.parametrize("name", commands())
def test_what_the_options_say_of_other_commands_and_options_is_so(name: str) -> None:
    """The help of a command and of each of its options: what looks like an option there is one, of some command."""
    command = commands()[name]
    told = [str(command.help or ""), *(str(p.help or "") for p in command.params if hasattr(p, "help"))]
    for text in told:
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text):
            check_option_alone(option)


@pytest.mark.parametrize("name", [name for name in commands() if " " not in name])
def test_each_command_of_the_help_is_in_the_readme_or_the_guide(name: str) -> None:
    text = "".join((ROOT / page).read_text(encoding="utf-8") for page in ("README.md", "docs/guide.md"))
    assert re.search(rf"\bptp {name}\b", text), f"neither the README nor the guide names ptp {name}"


def test_the_help_lists_each_command_with_a_sentence() -> None:
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        assert str(command.help or "").strip().endswith("."), name


@pytest.mark.parametrize(
    "line",
    [
        "ptp migrat --source a.db --target b.db",
        "ptp migrate --sorce a.db --target b.db",
        "ptp backup taken --source a.db",
        "ptp backup take --sources a.db",
        "ptp run --on-dirty quarentine",
        "ptp verify --prove quik",
        "ptp report a b --jsn",
        "JWT_SECRET=x ptp serv --target a.db",
    ],
)
def test_a_changed_word_is_refused(line: str) -> None:
    with pytest.raises(Wrong):
        check_line(line)
    with pytest.raises(Wrong):
        check_mention(line.removeprefix("JWT_SECRET=x "))


@pytest.mark.parametrize("text", ["--dri-run", "--prove fast", "--on-dirty keep"])
def test_a_changed_option_is_refused(text: str) -> None:
    with pytest.raises(Wrong):
        check_option_alone(text)


def test_lines_that_go_on_are_one_and_comments_are_none() -> None:
    (block,) = blocks("x.md", "a\n\n```sh\nptp run \\\n  --json  # so\n# no\nptp demo\n```\n")
    assert shell_lines(block) == [Line("x.md:4", "ptp run  --json"), Line("x.md:7", "ptp demo")]
    assert not Path("x.md").exists()
