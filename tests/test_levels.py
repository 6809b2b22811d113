"""The levels hold: arrows point down only, and levels 0 to 2 know no name of PingToPass."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "ptp"
LOW = (
    "errors",
    "settings",
    "results",
    "evidence",
    "stats",
    "resources",
    "conversions",
    "engine",
    "migration",
    "verification",
    "benchmark",
    "scale",
    "report",
)
"""Levels 0 to 2, as the design has them."""

ALSO_ENGLISH = {"rank", "change"}
"""Names of PingToPass that are ordinary words too: `stats` speaks of the nearest rank of an order statistic,
a comment of a change."""


def names_of_the_application() -> set[str]:
    """Its tables, from the facts and head; its query classes and their public methods, from the code."""
    facts = json.loads((ROOT / "tests/facts/source-schemas.json").read_text(encoding="utf-8"))
    found = {table for tables in facts.values() for table in tables}
    found |= set(re.findall(r"CREATE (?:VIRTUAL )?TABLE (\w+)", (ROOT / "sql/schema.sql").read_text(encoding="utf-8")))
    for path in (PACKAGE / "queries").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name.endswith("Queries"):
                found.add(node.name)
                found |= {f.name for f in node.body if isinstance(f, ast.FunctionDef) and not f.name.startswith("_")}
    return found - ALSO_ENGLISH


NAMES = names_of_the_application()


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


def texts_of(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every identifier and every string literal (docstrings are some) with its line."""
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        for field, value in ast.iter_fields(node):
            if field in ("id", "attr", "name", "arg", "asname", "module", "value", "rest"):
                if isinstance(value, bytes):
                    yield line, value.decode("latin-1")
                elif isinstance(value, str):
                    yield line, value
            elif field in ("names", "kwd_attrs") and isinstance(node, ast.Global | ast.Nonlocal | ast.MatchClass):
                yield from ((line, name) for name in value)


def violations(code: str) -> list[tuple[int, str]]:
    """Names of the application in `code`, each with its line."""
    return sorted({(line, name) for line, text in texts_of(ast.parse(code)) for name in words(text) & NAMES})


def low_files(*suffixes: str) -> list[Path]:
    found = []
    for name in LOW:
        folder = PACKAGE / name
        files = folder.rglob("*") if folder.is_dir() else [folder.with_suffix(".py")]
        found += [f for f in files if f.suffix in suffixes]
    return sorted(found)


def test_the_names_are_the_tables_those_derived_from_them_and_the_queries() -> None:
    assert {"users", "user_answers", "voice_profiles", "study_questions", "leaderboard", "TwitterQueries"} <= NAMES
    assert len([n for n in NAMES if not n.endswith("Queries")]) == 15 + 5 + 20 - 1, "user_progress is both"
    assert len([n for n in NAMES if n.endswith("Queries")]) == 4


@pytest.mark.parametrize(
    "code",
    [
        "x = 'SELECT id FROM user_answers'",
        "users = 1",
        "def leaderboard(): ...",
        "class A:\n    tweets: int = 0",
        "def f(exams): ...",
        "f(questions=1)",
        "a.audit_log",
        '"""Of the table objectives."""',
        "def f():\n    '''Like study_questions.'''",
        "import ptp.queries.growth_metrics",
        "from a import b as tweets",
        "x = f'{y} growth_metrics'",
        "x = b'test_attempts'",
        "def f():\n    global users",
        "match x:\n    case {'a': 1, **users}: ...",
        "match x:\n    case A(users=1): ...",
        "try: ...\nexcept E as users: ...",
        "x = StudyQueries",
    ],
)
def test_the_check_sees_a_planted_name(code: str) -> None:
    assert violations(code)


def test_the_check_takes_whole_words_only_and_no_comments() -> None:
    assert violations("# users\nsuperusers = 'users_by_name' + rank") == []


@pytest.mark.parametrize("path", low_files(".py"), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_name_of_the_application_stands_on_levels_0_to_2(path: Path) -> None:
    assert violations(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", low_files(".j2", ".css"), ids=lambda p: p.name)
def test_no_name_of_the_application_stands_in_a_template(path: Path) -> None:
    assert words(path.read_text(encoding="utf-8")) & (NAMES | {"PingToPass"}) == set()


@pytest.mark.parametrize("path", low_files(".py"), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_levels_0_to_2_do_not_name_pingtopass_itself(path: Path) -> None:
    assert "pingtopass" not in path.read_text(encoding="utf-8").lower()


def test_every_module_stands_on_a_level_that_the_contract_knows() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    modules = {p.stem if p.is_file() else p.name for p in PACKAGE.iterdir() if p.suffix == ".py" or p.is_dir()}
    modules -= {"__init__", "__pycache__", "_files"}
    assert {m for m in modules if not re.search(rf"\bptp\.{m}\b", text.partition("layers = [")[2])} == set()
    assert set(LOW) <= modules


def test_imports_point_down_only() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    ended = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert re.search(r"[1-9]\d* kept, 0 broken", ended.stdout)
