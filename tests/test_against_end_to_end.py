"""A branch beside the commit that it began at, as in a pull request: a real repository, both sides run here."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ptp.evidence import Stage
from ptp.resources import home
from ptp.results import exit_code, worst
from ptp.workbench.against import CHANGES, TABLE, compare_refs
from ptp.workbench.against_calls import EFFORT, Effort
from ptp.workload.demo import write_demo

INDEX = "idx_answers_user_time"


def git(repo: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(repo), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def commit(repo: Path, message: str) -> None:
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message", message)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "old.db"
    write_demo(shape="drizzle", size="tiny", seed=1, out=path)
    return path


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package as it is, committed once."""
    monkeypatch.setitem(EFFORT, "quick", Effort(counted=8, warmup=3, pairs=120, seconds=0.5, processes=1))  # type: ignore[arg-type]
    tree = tmp_path / "clone"
    for name in ("ptp", "sql"):
        shutil.copytree(home() / name, tree / name, ignore=shutil.ignore_patterns("*.pyc.*"))
    (tree / ".gitignore").write_text("__pycache__/\n")
    git(tree, "init", "--quiet")
    commit(tree, "as it was")
    return tree


def without_index(repo: Path) -> None:
    """Take an index out of the steps and of the models, as a branch would that thinks that nobody needs it."""
    steps = repo / "sql" / "0002_indexes.sql"
    steps.write_text("".join(line for line in steps.read_text().splitlines(keepends=True) if INDEX not in line))
    models = repo / "ptp" / "schema" / "study.py"
    text, times = re.subn(
        rf'        index\(\n            "{INDEX}",.*?\n        \),\n', "", models.read_text(), flags=re.S
    )
    assert times == 1 and INDEX not in steps.read_text()
    models.write_text(text)


def compared(repo: Path, source: Path) -> Stage:
    before = git(repo, "status", "--porcelain"), git(repo, "rev-parse", "HEAD")
    index = (repo / ".git" / "index").read_bytes()
    stage = compare_refs("HEAD~1", repo=repo, source=source)
    assert (git(repo, "status", "--porcelain"), git(repo, "rev-parse", "HEAD")) == before
    assert (repo / ".git" / "index").read_bytes() == index
    assert git(repo, "worktree", "list").count("\n") == 1, "the worktree is gone"
    return stage


def test_rule_14_an_index_dropped_on_a_branch_fails_on_counters_in_one_run(repo: Path, source: Path) -> None:
    without_index(repo)
    commit(repo, "nobody needs it")

    stage = compared(repo, source)

    assert exit_code(worst(stage.findings)) == 1
    failed = {f.id: f for f in stage.findings if f.verdict == "fail" and f.id.endswith(".counters")}
    found = failed["against.weekly_activity.counters"]
    assert found.severity == "gate"
    assert re.fullmatch(r"VM steps: [\d,]+ before, [\d,]+ after.*, in 8 calls", found.where[0])
    assert isinstance(found.value, int) and isinstance(found.limit, int) and found.value > found.limit
    assert any(line.startswith("- ") and INDEX in line for line in found.where), found.where
    assert any(line.startswith("+ ") and INDEX not in line for line in found.where), found.where
    assert "against.study_questions.counters" not in failed, "which never read it"
    changed = {row["query"] for row in stage.tables[CHANGES]}
    assert {"weekly_activity", "current_streak"} <= changed and "study_questions" not in changed


def test_a_commit_that_changes_nothing_passes(repo: Path, source: Path) -> None:
    (repo / "README.md").write_text("Told better.\n")
    commit(repo, "words")

    stage = compared(repo, source)

    assert worst(stage.findings) == "pass", [f for f in stage.findings if f.verdict not in ("pass", "not applicable")]
    assert CHANGES not in stage.tables
    rows = {row["query"]: row for row in stage.tables[TABLE]}
    assert len(rows) == 25
    assert all(row["vm_steps_before"] == row["vm_steps_after"] > 0 for row in rows.values())
    assert all(row["pairs"] >= 15 for row in rows.values())
    assert {m.what for m in stage.measurements} >= {"rank.before", "rank.after"}
