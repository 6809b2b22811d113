"""Every fenced block of the docs is run, or held to what the program really prints and leaves."""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from ptp.migration import steps
from ptp.workbench.parameters import check_parameters
from tests.docs.parsing import check_line
from tests.docs.reading import PAGES, ROOT, Block, blocks, shell_lines
from tests.docs.reasons import REASONS, Reason
from tests.docs.running import Place, call, make_cheap, matches

BLOCKS = [block for page in PAGES for block in blocks(page)]


@pytest.fixture(scope="module", autouse=True)
def cheap() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        make_cheap(patch)
        yield


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Page]:
    return {page: Page(page, tmp_path_factory.mktemp("reader")) for page in PAGES}


class Page:
    """A page that is read from its first block to its last, in one folder."""

    def __init__(self, name: str, path: Path) -> None:
        self.blocks = blocks(name)
        self.path = path
        self.done = 0
        self.stopped = ""

    def read_until(self, block: Block, capture: pytest.CaptureFixture[str]) -> Place:
        """Run all up to this block that was not run yet; what stopped a block before is told once."""
        if self.stopped:
            pytest.fail(f"{self.stopped} did not run, so this was not tried", pytrace=False)
        place = Place(self.path, capture)
        if not self.done:
            place.prepare()
        while self.done < len(self.blocks) and self.blocks[self.done].line <= block.line:
            one = self.blocks[self.done]
            self.done += 1
            self.stopped = one.place
            run_block(one, place)
            self.stopped = ""
        return place


@pytest.fixture
def read(
    folders: dict[str, Page], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[Block], Place]:
    def reading(block: Block) -> Place:
        page = folders[block.page]
        monkeypatch.chdir(page.path)
        return page.read_until(block, capsys)

    return reading


def run_block(block: Block, place: Place) -> None:
    """Run a block of shell or Python; a block of any other kind is looked at by `QUOTED`."""
    if block.language == "sh":
        for line in shell_lines(block):
            reason = reason_for(line.text)
            if reason is None:
                place.run(line)
            else:
                look(line.text, place)
    elif block.language == "python":
        exec(compile(block.text, block.place, "exec"), {"__name__": "docs"})


def reason_for(text: str) -> Reason | None:
    return next((reason for reason in REASONS if reason.fits(text)), None)


def look(text: str, place: Place) -> None:
    """What can be said of a line that is not run: its program, files and parameters."""
    words = [word for word in shlex.split(text) if not re.match(r"[A-Z_]+=", word)]
    program = Path(words[0]).name
    if program == "ptp":
        check_line(text)
    elif program == "papermill":
        trios = zip(words, words[1:], words[2:], strict=False)
        given = {name: value for flag, name, value in trios if flag == "-p"}
        assert (place.path / words[1]).is_file(), words[1]
        check_parameters(Path(words[1]).stem, given)
    elif program == "pytest":
        assert all((ROOT / word).exists() for word in words[1:] if word.startswith("tests/")), text
    else:
        assert program == "make", text


def without_comments(text: str) -> str:
    return re.sub(r"\s{2,}.*$", "", text, flags=re.M)


def is_run_folder(block: Block, place: Place) -> None:
    """Each path is in the folder of a real run, and nothing that is there is left out."""
    told = re.findall(r"^reports/<run id>/(\S+)", block.text, re.M)
    (folder,) = [p for p in (place.path / "reports").iterdir() if (p / "run.json").is_file() and not p.is_symlink()]
    assert [name for name in told if not (folder / name).exists()] == []
    there = {p.name + "/" * p.is_dir() for p in folder.iterdir()}
    beside = {"junit.xml", "badge.svg", "badge.json", "run.json"} | {p.name for p in folder.glob("*.html")}
    assert there - set(told) - beside == set()
    databases = {p.relative_to(folder).as_posix() for p in folder.rglob("*.db*")}
    assert {name for name in databases if not name.startswith(("target.db", "backup/"))} == set(), "CI leaves these out"
    assert (folder.parent / "index.html").is_file() and folder.name in (folder.parent / "index.html").read_text("utf-8")


def is_said_of_dirt(block: Block, place: Place) -> None:
    """The sentence is what a run prints on a source with such values."""
    with closing(sqlite3.connect("demo/raw-quick.db")) as source, closing(sqlite3.connect("demo/old.db")) as dirty:
        source.backup(dirty)
    with closing(sqlite3.connect("demo/old.db", isolation_level=None)) as dirty:
        dirty.execute("UPDATE users SET created_at = '2024-02-31 10:00:00' WHERE id IN (SELECT id FROM users LIMIT 3)")
    ended = call("ptp migrate --source demo/old.db --target demo/never.db", place.capture)
    assert ended.code == 1
    assert matches(block.text, ended.err), ended.err


def is_grammar(block: Block, place: Place) -> None:
    """The grammar is that of the parser's own text."""
    said = str(steps.__doc__)
    assert [" ".join(line.split()) for line in block.text.splitlines()] == [
        " ".join(line.split())
        for line in said.splitlines()
        if re.match(r"\s+(step|option|up|down|body|comment|\|)", line)
    ]


def is_levels(block: Block, place: Place) -> None:
    """Each package stands on the level that import-linter holds it to, and none is left out."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    order = {name.strip().removeprefix("ptp."): at for at, layer in enumerate(layers) for name in layer.split("|")}
    told = [re.findall(r"[a-z]\w+", line[3:71]) for line in block.text.splitlines()]
    assert {name for names in told for name in names} == set(order) - {"__main__"}
    places = [sorted(order[name] for name in names) for names in told]
    assert all(above[-1] < below[0] for above, below in pairwise(places))
    assert [line[0] for line in block.text.splitlines()] == ["5", "4", "3", "2", "1", "0"]


def is_way_of_a_run(block: Block, place: Place) -> None:
    """The stages stand in the order in which a migration tells its progress and a run its notebooks."""
    shown = re.findall(r"detect|preflight|backup|build|verify|benchmark|verdict\.json|index\.html", block.text)
    assert shown == ["detect", "preflight", "backup", "build", "verify", "benchmark", "verdict.json", "index.html"]
    guide = (ROOT / "docs/architecture.md").read_text(encoding="utf-8").partition("## How a migration is made")[2]
    told = [word.lower() for word in re.findall(r"^\d\. \*\*(\w+)\.\*\*", guide, re.M)]
    assert [word for word in told if word != "plan"] == shown[:5]


QUOTED = {
    "reports/<run id>/index.html": is_run_folder,
    "ptp: demo/old.db holds": is_said_of_dirt,
    "step     = {": is_grammar,
    "5  cli": is_levels,
    "source --detect": is_way_of_a_run,
}
"""The blocks that are no commands, by how they begin, and what each is held to."""


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_each_block_holds(block: Block, read: Callable[[Block], Place]) -> None:
    place = read(block)
    if block.language in ("sh", "python"):
        return
    check = [check for start, check in QUOTED.items() if block.text.startswith(start)]
    assert len(check) == 1, f"{block.place}: a block is sh or python, or says in QUOTED what it is held to"
    check[0](block, place)


def test_there_is_no_reason_too_many() -> None:
    lines = [line.text for block in BLOCKS if block.language == "sh" for line in shell_lines(block)]
    assert [reason.pattern for reason in REASONS if not any(reason.fits(line) for line in lines)] == []
    assert [reason.witness for reason in REASONS if not (ROOT / reason.witness).exists()] == []


def test_most_lines_are_run() -> None:
    lines = [line.text for block in BLOCKS if block.language == "sh" for line in shell_lines(block)]
    run = [line for line in lines if reason_for(line) is None]
    assert len(run) >= 45 and len(run) >= 0.6 * len(lines)


@pytest.mark.torture
@pytest.mark.parametrize("page", PAGES)
def test_what_is_slow_runs_too(page: str, read: Callable[[Block], Place]) -> None:
    """By hand: the lines that are only parsed because they take long, after all others of their page."""
    found = blocks(page)
    if not found:
        pytest.skip("no block")
    place = read(found[-1])
    for line in (line for block in found if block.language == "sh" for line in shell_lines(block)):
        reason = reason_for(line.text)
        if reason and reason.is_slow:
            place.run(line)


def test_a_word_that_is_wrong_is_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = Place(tmp_path, capsys)
    before = os.environ.copy()
    for text in (
        "ptp demo --shape raw --size tini --out x.db",
        "ptp demo --shape raw --sise tiny --out x.db",
        "exit 3",
    ):
        (block,) = blocks("x.md", f"```sh\n{text}\n```\n")
        with pytest.raises(pytest.fail.Exception, match="x.md:2"):
            run_block(block, place)
    assert list(tmp_path.iterdir()) == []
    assert os.environ == before
