"""Both sides of a comparison: the worktree that leaves no trace, the worker, and what is refused in one sentence."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ptp.benchmark.comparison import Work
from ptp.benchmark.comparison_times import Rounds, Times
from ptp.errors import CannotFinish, UsageError
from ptp.evidence import Stage
from ptp.results import worst
from ptp.workbench import against_worker
from ptp.workbench.against import CHANGES, TABLE, Found, compare_refs, stage_of
from ptp.workbench.against_calls import Effort, Recorded, time_in_pairs, why_not
from ptp.workbench.against_sides import Called, Tree, build_heads, workers
from ptp.workbench.worktree import checked_out, find_commit, workspace


def git(repo: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", "-C", str(repo), *identity, *arguments], capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two commits of one file, with something staged and something changed beside; temporary files go beside it."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    tree = tmp_path / "repo"
    tree.mkdir()
    git(tree, "init", "--quiet", "--initial-branch=main")
    for text in ("one", "two"):
        (tree / "file").write_text(text)
        git(tree, "add", "file")
        git(tree, "commit", "--quiet", "-m", text)
    (tree / "staged").write_text("staged")
    git(tree, "add", "staged")
    (tree / "file").write_text("changed")
    return tree


@contextmanager
def untouched(repo: Path) -> Iterator[None]:
    """The working tree, the index and the list of worktrees are the same afterwards, byte by byte."""
    before = (repo / ".git" / "index").read_bytes(), git(repo, "status", "--porcelain"), git(repo, "worktree", "list")
    yield
    assert (
        (repo / ".git" / "index").read_bytes(),
        git(repo, "status", "--porcelain"),
        git(repo, "worktree", "list"),
    ) == before
    assert (repo / "file").read_text() == "changed"


def test_a_commit_is_checked_out_beside_the_repository_and_leaves_no_trace(repo: Path, tmp_path: Path) -> None:
    hook = repo / ".git" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
    hook.chmod(0o755)
    commit = find_commit(repo, "HEAD~1")
    assert commit.subject == "one" and len(commit.short) == 9
    with untouched(repo):
        with workspace(repo) as place, checked_out(repo, commit, place) as tree:
            assert (tree / "file").read_text() == "one" and not (tree / "staged").exists()
    assert not place.exists() and not (tmp_path / "hooked").exists()


def test_so_it_does_where_the_comparison_fails(repo: Path) -> None:
    with untouched(repo), pytest.raises(ValueError, match="in the middle"):
        with workspace(repo) as place, checked_out(repo, find_commit(repo, "main"), place):
            raise ValueError("in the middle")
    assert not place.exists()


def test_what_a_killed_comparison_left_is_removed_by_the_next_and_what_runs_is_let_alone(repo: Path) -> None:
    script = f"""
import time
from pathlib import Path
from ptp.workbench.worktree import checked_out, find_commit, workspace
repo = Path({str(repo)!r})
with workspace(repo) as place, checked_out(repo, find_commit(repo, "HEAD"), place):
    print(place, flush=True)
    time.sleep(60)
"""
    with untouched(repo):
        other = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        assert other.stdout is not None
        left = Path(other.stdout.readline().strip())
        with workspace(repo):
            assert (left / "tree" / "file").read_text() == "two", "its process is alive"
        other.kill()
        other.wait()
        other.stdout.close()
        assert (left / "tree").is_dir() and "prunable" not in git(repo, "worktree", "list")
        with workspace(repo):
            assert not left.exists()
        assert git(repo, "worktree", "list").count("\n") == 1


def test_so_is_an_entry_whose_folder_is_gone_but_no_worktree_of_somebody_else(repo: Path, tmp_path: Path) -> None:
    other = tmp_path / "own"
    git(repo, "worktree", "add", "--quiet", "--detach", str(other))
    shutil.rmtree(other)  # as on a disk that is not mounted just now
    with workspace(repo) as place:
        git(repo, "worktree", "add", "--quiet", "--detach", str(place / "tree"))
        shutil.rmtree(place)
    git(repo, "worktree", "add", "--quiet", "--detach", "--force", str(place / "tree"))
    shutil.rmtree(place)
    assert git(repo, "worktree", "list").count("\n") == 3
    with workspace(repo):
        pass
    assert [line.split()[0] for line in git(repo, "worktree", "list").splitlines()] == [str(repo), str(other)]


def test_a_tree_below_the_top_of_its_repository_is_found_there(repo: Path) -> None:
    (repo / "below").mkdir()
    (repo / "below" / "deep").write_text("x")
    git(repo, "add", "below")
    git(repo, "commit", "--quiet", "-m", "three")
    with workspace(repo) as place, checked_out(repo / "below", find_commit(repo / "below", "HEAD"), place) as tree:
        assert (tree / "deep").read_text() == "x"


@pytest.mark.parametrize("ref", ["no-such-branch", "--help", "HEAD~9", ""])
def test_an_unknown_commit_is_refused_in_one_sentence(repo: Path, ref: str) -> None:
    with untouched(repo), pytest.raises(UsageError, match="is neither a run folder nor a commit"):
        compare_refs(ref, repo=repo)


def test_a_shallow_clone_says_that_it_may_lack_the_commit(repo: Path, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    subprocess.run(["git", "clone", "--quiet", "--depth=1", f"file://{repo}", str(shallow)], check=True)
    with pytest.raises(UsageError, match="git fetch --unshallow"):
        find_commit(shallow, "HEAD~1")


def test_outside_of_a_repository_and_without_git_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UsageError, match="is in no git repository"):
        compare_refs("HEAD", repo=tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="git is not installed"):
        compare_refs("HEAD", repo=tmp_path)


def test_inside_a_hook_the_index_of_the_commit_at_work_is_let_alone(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_INDEX_FILE", str(repo / ".git" / "index"))
    monkeypatch.setenv("GIT_DIR", str(repo / ".git"))
    index = (repo / ".git" / "index").read_bytes()
    with workspace(repo) as place, checked_out(repo, find_commit(repo, "HEAD"), place) as tree:
        assert (tree / "file").read_text() == "two"
    assert (repo / ".git" / "index").read_bytes() == index


def test_a_commit_without_a_package_or_with_one_that_does_not_start_is_refused(repo: Path, tmp_path: Path) -> None:
    source = tmp_path / "old.db"
    source.touch()
    with pytest.raises(UsageError, match="X holds no package ptp that runs"):
        build_heads([Tree("X", repo)], source, tmp_path / "tmp")
    (repo / "ptp").mkdir()
    (repo / "ptp" / "__init__.py").touch()
    (repo / "ptp" / "__main__.py").write_text("import nothing_of_the_kind\n")
    shutil.rmtree(tmp_path / "tmp" / "0", ignore_errors=True)
    with pytest.raises(
        UsageError, match="ptp of X cannot build a database .*: ModuleNotFoundError: .*nothing_of_the_kind"
    ):
        build_heads([Tree("X", repo)], source, tmp_path / "tmp")


PACKAGE = {
    "__init__.py": "",
    "engine/__init__.py": "from sqlalchemy import create_engine\n"
    "def open_engine(path): return create_engine(f'sqlite:///{path}')\n",
    "workload/__init__.py": "",
    "workload/cases.py": """
import time
from dataclasses import dataclass
from typing import Any
@dataclass(frozen=True)
class Drawn:
    number: int
@dataclass(frozen=True)
class Query:
    name: str
    what: str
    run: Any
    draws: Any
    check: Any
    writes: bool = False
    not_applicable: Any = None
def workload(engine, *, count, seed):
    draws = tuple(Drawn(n + seed) for n in range(count))
    def ask(d):
        with engine.connect() as db:
            return [tuple(row) for row in db.exec_driver_sql("SELECT ?, 'x'", (d.number,))]
    def slow(d):
        time.sleep(0.002)
    def broken(d):
        raise KeyError("gone")
    return [
        Query("asks", "asking", ask, draws, lambda d, found: None if found[0][0] == d.number else "another"),
        Query("wrong", "asking wrongly", ask, draws, lambda found: "never right"),
        Query("slow", "sleeping", slow, draws, lambda d, _: None),
        Query("broken", "breaking", broken, draws, lambda d, _: None),
        Query("ends", "ending", lambda d: __import__("os")._exit(3), draws, lambda d, _: None),
    ]
""",
}


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Tree], list[Path]]:
    """Two made-up packages with all that a worker asks of one."""
    trees, heads = [], []
    for name in ("before", "after"):
        folder = tmp_path_factory.mktemp(name)
        for path, text in PACKAGE.items():
            (folder / "ptp" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "ptp" / path).write_text(text)
        trees.append(Tree(name, folder))
        heads.append(folder / "head.db")
    return trees, heads


def test_workers_record_what_is_asked_and_say_what_is_wrong(sides: tuple[list[Tree], list[Path]]) -> None:
    with workers(*sides, draws=10, seed=5) as (before, after):
        assert [q.name for q in before.queries] == ["asks", "wrong", "slow", "broken", "ends"]
        assert before.queries[0].draws == after.queries[0].draws and before.queries[0].draws.keys() == {"number"}
        first, second = before.record("asks", [0, 1])
        assert first["statements"] == [("SELECT ?, 'x'", [(5,)])] and first["wrong"] is None
        assert first["answer"] != second["answer"] and after.record("asks", [0, 1]) == [first, second]
        assert before.record("wrong", [0])[0]["wrong"] == "wrong outcome: never right"
        assert before.record("broken", [0])[0]["wrong"] == "KeyError: 'gone'"
        with pytest.raises(CannotFinish, match="calls the queries of before ended"):
            before.record("ends", [0])


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system pins no process")
def test_both_workers_have_one_processor_and_it_is_the_same(sides: tuple[list[Tree], list[Path]]) -> None:
    with workers(*sides, draws=1, seed=5) as both:
        places = [os.sched_getaffinity(worker._process.pid) for worker in both]
    assert places[0] == places[1] and len(places[0]) == 1


def test_pairs_are_timed_on_both_sides_and_an_error_ends_them(sides: tuple[list[Tree], list[Path]]) -> None:
    with workers(*sides, draws=10, seed=5) as (before, after):
        effort = Effort(counted=1, warmup=3, pairs=50, seconds=10.0, processes=1)
        found = time_in_pairs(before, after, "asks", effort=effort, chance=random.Random(1))
        assert (len(found.before), len(found.after), found.error) == (50, 50, None)
        found = time_in_pairs(before, after, "slow", effort=effort, chance=random.Random(1))
        assert min(*found.before, *found.after) >= 2_000_000, "each call sleeps 2 ms, and its nanoseconds are told"
        short = Effort(counted=1, warmup=3, pairs=5_000, seconds=0.0, processes=1)
        found = time_in_pairs(before, after, "asks", effort=short, chance=random.Random(1))
        assert len(found.after) == 15, "the least, where a pair takes too long for more"
        found = time_in_pairs(before, after, "broken", effort=effort, chance=random.Random(1))
        assert found.after == () and "call 0: KeyError: 'gone'" in str(found.error)


def test_a_package_of_another_place_or_without_a_workload_is_refused(
    sides: tuple[list[Tree], list[Path]], tmp_path: Path
) -> None:
    trees, heads = sides
    (tmp_path / "ptp").mkdir()
    with (
        pytest.raises(UsageError, match="cannot be called: ImportError"),
        workers([Tree("empty", tmp_path)], heads[:1], draws=1, seed=1),
    ):
        pass
    old = tmp_path / "old"
    shutil.copytree(trees[0].folder / "ptp", old / "ptp")
    (old / "ptp" / "workload" / "cases.py").write_text("def benchmark_cases(): ...\n")
    with pytest.raises(UsageError, match="queries of old cannot be called: ImportError: cannot import name 'workload'"):
        with workers([Tree("old", old)], heads[:1], draws=1, seed=1):
            pass


def called(**more: Any) -> Called:
    usual: dict[str, Any] = {
        "name": "q",
        "what": "w",
        "writes": False,
        "not_applicable": None,
        "draws": {"a": "1", "b": "2"},
    }
    return Called(**{**usual, **more})


def test_only_calls_with_the_same_arguments_are_compared() -> None:
    assert why_not(called(), called()) is None
    assert why_not(called(), called(draws={"a": "1", "b": "2", "new": "3"})) is None, "a field that one side added"
    assert "other arguments (b)" in str(why_not(called(), called(draws={"a": "1", "b": "9"})))
    assert "no field in common" in str(why_not(called(), called(draws={})))
    assert why_not(called(not_applicable="empty"), called()) == "empty"


PLAN = ("SEARCH a USING INDEX i (x=?)",)


def recorded(
    answer: str | None = "x", wrong: str | None = None, plans: tuple[str, ...] = PLAN, **work: int
) -> Recorded:
    return Recorded(Work({"vm_steps": 10, **work}, 2, plans), (answer, "y"), wrong)


def told(before: Recorded, after: Recorded, **more: Any) -> Stage:
    times = {"q": [Times((100,) * 50, (100,) * 50)]}
    found = Found({"q": before}, {"q": after}, **more)
    return stage_of(found, Rounds({name: times[name] for name in found.timed}), than="main", seconds=1.0)


def verdicts(stage: Stage) -> dict[str, tuple[str, str]]:
    return {f.id: (f.verdict, f.severity) for f in stage.findings}


def test_both_sides_alike_pass_with_a_row_and_raw_samples() -> None:
    stage = told(recorded(), recorded())
    assert worst(stage.findings) == "pass"
    (row,) = stage.tables[TABLE]
    assert (row["query"], row["vm_steps_before"], row["vm_steps_after"]) == ("q", 10, 10)
    assert (row["ratio"], row["pairs"], row["plan"], row["verdict"]) == (1.0, 50, "same", "pass")
    assert {m.what: set(m.samples) for m in stage.measurements} == {"q.before": {0.0001}, "q.after": {0.0001}}


def test_a_changed_plan_stands_in_a_table_of_its_own() -> None:
    stage = told(recorded(), recorded(plans=("SCAN a",), vm_steps=99))
    assert [row["change"] for row in stage.tables[CHANGES]] == ["- " + PLAN[0], "+ SCAN a"]
    assert stage.tables[TABLE][0]["plan"] == "changed" and stage.tables[TABLE][0]["verdict"] == "fail"


def test_other_rows_are_told_and_an_error_is_a_gate() -> None:
    stage = told(recorded("x"), recorded("another"))
    assert worst(stage.findings) == "pass"
    assert verdicts(stage)["against.q.answers"] == ("fail", "note")
    stage = told(recorded(), recorded(None, "OperationalError: no such table: a"))
    assert worst(stage.findings) == "fail"
    gate = next(f for f in stage.findings if f.id == "against.answers")
    assert gate.where == ("q: OperationalError: no such table: a",) and not gate.known
    assert "against.q.time" not in verdicts(stage), "what fails is not timed"


def test_what_failed_before_is_known_and_what_is_mended_is_told() -> None:
    stage = told(recorded(None, "ValueError: x"), recorded(None, "ValueError: x"))
    assert next(f for f in stage.findings if f.id == "against.answers").known
    stage = told(recorded(None, "ValueError: x"), recorded(vm_steps=99))
    assert verdicts(stage)["against.q.counters"] == ("not applicable", "gate"), "what ended early has no counters"
    assert verdicts(stage)["against.q.mended"] == ("pass", "note") and worst(stage.findings) == "pass"


def test_what_cannot_be_compared_is_never_a_pass() -> None:
    other = told(recorded(), recorded(), apart={"p": "both sides draw other arguments"})
    assert worst(other.findings) == "inconclusive"
    uncounted = told(recorded(), Recorded(None, ("x", "y"), None, "A recorded statement cannot be replayed"))
    assert verdicts(uncounted)["against.q.counters"] == ("inconclusive", "gate")
    absent = told(recorded(), recorded(), absent={"p": "The table is empty."})
    assert verdicts(absent)["against.p.counters"] == ("not applicable", "gate") and worst(absent.findings) == "pass"
    assert worst(stage_of(Found(), Rounds({}), than="main", seconds=1.0).findings) == "invalid"


class Row(NamedTuple):
    id: int
    name: str


@dataclass(frozen=True)
class Page:
    rows: tuple[Row, ...]
    total: float


def test_answers_are_alike_whatever_their_classes_and_fields_are_called() -> None:
    assert against_worker.plain(Page((Row(1, "a"),), 2.5)) == [[[1, "a"]], 2.5]
    assert against_worker.plain({"k": {3, 1}}) == [["k", ["1", "3"]]]
    assert against_worker.plain(None) is None
