"""What is installed, shown and promised: pins agree, links resolve, and every command in the docs is one."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from packaging.requirements import Requirement

from ptp.cli import app

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DOCS = [ROOT / n for n in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted((ROOT / "docs").glob("*.md"))
TEXTS = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in DOCS}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned() -> dict[str, str]:
    """The pins of pyproject.toml, those of the build and of development with them."""
    lines = [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]]
    lines += [line for extra in PROJECT["project"]["optional-dependencies"].values() for line in extra]
    found = {}
    for line in lines:
        name, version = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.]+)", line).groups()  # type: ignore[union-attr]
        assert found.setdefault(normal(name), version) == version, name
    return found


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    return {normal(line.partition("==")[0]): line.partition("==")[2] for line in wanted}


def test_every_line_of_the_requirements_is_one_pin_each_package_once() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [line for line in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line)] == []
    assert len(locked()) == len(pins)


def test_the_pins_of_the_project_are_those_of_the_requirements() -> None:
    assert {name: locked().get(name) for name in pinned()} == pinned()


def test_the_requirements_are_what_the_project_pulls_in_and_nothing_else() -> None:
    """Followed through the metadata of what is installed here."""
    todo = [Requirement(name) for name in pinned()]
    seen: set[tuple[str, str]] = set()
    while todo:
        wanted = todo.pop()
        extras = wanted.extras or {""}
        if (key := (normal(wanted.name), ",".join(sorted(extras)))) in seen:
            continue
        seen.add(key)
        for line in importlib.metadata.requires(wanted.name) or []:
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                todo.append(needed)
                assert needed.specifier.contains(locked()[normal(needed.name)], prereleases=True), line
    assert {name for name, _ in seen} == set(locked())


def test_what_is_installed_here_is_what_is_pinned() -> None:
    assert {name: importlib.metadata.version(name) for name in locked()} == locked()


def test_what_the_package_imports_the_project_names() -> None:
    owners = importlib.metadata.packages_distributions()
    found = set()
    for path in (ROOT / "ptp").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(str(node.module).split(".")[0])
    outside = found - sys.stdlib_module_names - {"ptp"}
    assert "sqlalchemy" in outside
    assert {name for name in outside if not {normal(o) for o in owners[name]} & set(pinned())} == set()


def test_every_dependency_has_its_reason_in_the_decisions() -> None:
    table = TEXTS["docs/decisions.md"].partition("## Dependencies")[2].partition("\n## ")[0]
    told = set(re.findall(r"[a-z][a-z0-9-]+", " ".join(re.findall(r"^\| ([^|]+) \|", table, re.M))))
    direct = {normal(line.partition("==")[0]) for line in PROJECT["project"]["dependencies"]}
    assert direct - told == set()


def test_conda_gives_the_same_as_make() -> None:
    found = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert found["name"] == PROJECT["project"]["name"]
    floor = PROJECT["project"]["requires-python"]
    assert re.fullmatch(r">=3\.\d+", floor)
    assert f"python{floor}" in found["dependencies"]
    assert {"pip", "make"} <= {d for d in found["dependencies"] if isinstance(d, str)}
    (by_pip,) = (d["pip"] for d in found["dependencies"] if isinstance(d, dict))
    assert by_pip == ["-r requirements.txt", "-e ."]


def test_the_floor_of_python_is_told_the_same_everywhere() -> None:
    version = PROJECT["project"]["requires-python"].removeprefix(">=")
    make = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"Python {version} or newer" in TEXTS["README.md"]
    assert f"Python {version} or newer" in make
    assert f"({version.replace('.', ', ')})" in make
    assert PROJECT["tool"]["ruff"]["target-version"] == f"py{version.replace('.', '')}"


def project_files() -> list[Path]:
    """What git tracks, and what it would if everything here were added."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    told = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=False)
    if told.returncode:
        pytest.skip("not a git work tree")
    return [path for name in told.stdout.split("\0") if name and (path := ROOT / name).is_file()]


# Each with a letter in brackets, so that this file does not hold what it looks for.
REGISTRY = re.compile(
    r"p[y]pi\.(org|python)|python[h]osted\.|anacond[a]\.(org|com)|conda[.]io|registry[.][a-z]+js|np[m]js\."
    r"|artifactor[y]|j[f]rog|nexu[s]-repo|devp[i]|index[-_]?u[r]l|trusted[-_]?h[o]st|find[-_]?l[i]nks|/s[i]mple/",
    re.IGNORECASE,
)


@pytest.mark.parametrize(
    "parts",
    [("--extra-index", "-url x"), ("https://PY", "PI.org/"), ("PIP_INDEX", "_URL=x"), ("files.python", "hosted.org")],
)
def test_the_check_of_registries_sees_one(parts: tuple[str, str]) -> None:
    assert REGISTRY.search("".join(parts))


def test_no_file_names_a_package_registry() -> None:
    found = []
    for path in project_files():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        found += [(path.name, match.group()) for match in REGISTRY.finditer(text)]
    assert found == []


def test_what_installs_names_no_host_at_all() -> None:
    for name in ("requirements.txt", "pyproject.toml", "environment.yml", "Makefile", ".ci/run"):
        assert "://" not in (ROOT / name).read_text(encoding="utf-8"), name


def test_generated_files_are_not_tracked() -> None:
    told = {str(path.relative_to(ROOT)) for path in project_files()}
    assert [
        n for n in told if n.startswith(("reports/", "demo/", ".venv/")) or n.endswith((".db", ".pyc", ".env"))
    ] == []


def targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))


def test_continuous_integration_runs_the_two_commands_of_the_readme() -> None:
    script = ROOT / ".ci" / "run"
    lines = [line.strip() for line in script.read_text(encoding="utf-8").splitlines()]
    assert [line for line in lines if line.startswith("make")] == ["make test", "make run"]
    assert "set -euo pipefail" in lines
    assert script.stat().st_mode & 0o111
    first = TEXTS["README.md"].partition("## ")[0]
    assert "make run" in first and "make test" in first


def test_make_test_checks_style_types_levels_tests_and_notebooks() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = re.search(r"^test:.*\n((?:[\t#].*\n)+)", text, re.M)
    assert recipe is not None
    steps = [line.removeprefix("\t") for line in recipe[1].splitlines() if line.startswith("\t")]
    assert [step.replace("$(BIN)/", "") for step in steps] == [
        "ruff format --check .",
        "ruff check .",
        "mypy",
        "lint-imports",
        "pytest -n auto --dist loadfile --no-loadscope-reorder",
        "PYTHONWARNINGS=error pytest --nbval-lax notebooks",
    ]


@pytest.mark.parametrize("name", TEXTS)
def test_every_make_target_in_the_docs_exists(name: str) -> None:
    named = set(re.findall(r"`make ([a-z]+)`|^make ([a-z]+)", TEXTS[name], re.M))
    assert {a or b for a, b in named} <= targets()


def anchors(text: str) -> set[str]:
    """The anchors of the headings of a page, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("name", TEXTS)
def test_every_relative_link_resolves(name: str) -> None:
    tracked = set(project_files())
    for link in re.findall(r"\]\(([^)\s]+)\)", TEXTS[name]):
        if "://" in link:
            continue
        place, _, anchor = link.partition("#")
        path = ((ROOT / name).parent / place).resolve() if place else ROOT / name
        assert path in tracked, link
        assert not anchor or anchor in anchors(path.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("name", TEXTS)
def test_every_path_of_the_source_tree_that_is_named_exists(name: str) -> None:
    named = re.findall(r"`((?:ptp|sql|tests|tools|notebooks|docs)/[\w./-]*|\.[a-z]+[\w./]*)`", TEXTS[name])
    generated = {".venv", ".env", ".ipynb", ".html"}
    missing = [
        p for p in named if p not in generated and not (ROOT / p).exists() and not (ROOT / f"{p}.ipynb").exists()
    ]
    assert missing == []


def command_lines(text: str) -> Iterator[str]:
    """Lines of code blocks that call ptp."""
    for block in re.findall(r"^```[a-z]*\n(.*?)^```", text, re.M | re.S):
        for line in block.replace("\\\n", " ").splitlines():
            if re.match(r"(\.venv/bin/)?ptp ", line):
                yield line.partition("#")[0].strip()


def mentions(text: str) -> list[str]:
    """Calls of ptp between backticks in running text."""
    return [m for m in re.findall(r"`(ptp [^`]+)`", text) if re.match(r"ptp [a-z]", m)]


def parse(line: str) -> None:
    """Parse a whole command line as the program would, without running it; raises what the parser raises."""
    group = typer.main.get_command(app)
    _, name, *rest = shlex.split(line)
    group.commands[name].make_context(name, rest)  # type: ignore[attr-defined]


LINES = [(name, line) for name, text in TEXTS.items() for line in command_lines(text)]
EXAMPLES = [(name, str(c.epilog)) for name, c in typer.main.get_command(app).commands.items()]  # type: ignore[attr-defined]


def test_there_are_command_lines_in_the_readme_and_the_guide() -> None:
    assert {name for name, _ in LINES} >= {"README.md", "docs/guide.md"}
    assert len(LINES) >= 9


@pytest.mark.parametrize(
    "line",
    [
        "ptp run --sorce a.db",
        "ptp nothing",
        "ptp demo --shape oval --out a.db",
        "ptp bench --target a.db --seed x",
        "ptp verify --source a --target b extra",
    ],
)
def test_the_parser_refuses_a_wrong_line(line: str) -> None:
    with pytest.raises(Exception, match=r"sorce|nothing|target|oval|integer|extra"):
        parse(line)


@pytest.mark.parametrize(("name", "line"), LINES)
def test_every_command_line_in_the_docs_parses(name: str, line: str) -> None:
    parse(line)


@pytest.mark.parametrize(("command", "epilog"), EXAMPLES)
def test_the_example_in_the_help_of_each_command_parses(command: str, epilog: str) -> None:
    example = epilog.removeprefix("Example: ")
    assert example.startswith(f"ptp {command}")
    parse(example)


@pytest.mark.parametrize("name", TEXTS)
def test_every_command_and_option_mentioned_in_the_docs_exists(name: str) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    every = [c for top in commands.values() for c in (top, *getattr(top, "commands", {}).values())]
    options = {o for c in every for p in c.params for o in p.opts}
    for mention in mentions(TEXTS[name]):
        _, command, *rest = shlex.split(mention)
        assert command in commands, mention
        asked = commands[command]
        if rest and rest[0] in getattr(asked, "commands", {}):
            asked = asked.commands[rest[0]]
        own = {o for p in asked.params for o in p.opts}
        assert {word for word in rest if word.startswith("-")} <= own, mention
    alone = set(re.findall(r"`(--[a-z-]+)[^`]*`", TEXTS[name]))
    assert alone <= options | {"--help"}
