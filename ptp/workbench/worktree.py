"""Another commit's files, in a git worktree of their own: the repository's own files and its index stay as they are.

The worktree stands in a temporary folder whose lock the system takes from a process that dies, so that the next run
knows what a killed one left, and removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ptp
from ptp.errors import CannotFinish, UsageError
from ptp.settings import variables_of_a_child

_PREFIX = "ptp-against-"
_LOCK = "lock"
_TREE = "tree"
_OF_A_HOOK = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY")
"""What git tells its hooks of the repository at work: in one of them, these would name its index."""
_HOOKS_OFF = ("-c", "core.hooksPath=/dev/null")


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit: as it was asked for, its full hash, and its first line."""

    ref: str
    hash: str
    subject: str

    @property
    def short(self) -> str:
        """The first characters of the hash."""
        return self.hash[:9]


def source_tree() -> Path:
    """The tree that this ptp runs from; raises UsageError where it was installed without one."""
    tree = Path(ptp.__file__).resolve().parents[1]
    if not (tree / "sql").is_dir():
        raise UsageError(
            "This ptp is installed without its source tree, and --against a commit needs one: run it from a clone of "
            "the repository, as python -m ptp."
        )
    return tree


def find_commit(repo: Path, ref: str) -> Commit:
    """The commit that `ref` names; raises UsageError without git, outside of a repository, and for an unknown ref."""
    inside = _git(repo, "rev-parse", "--is-inside-work-tree")
    if inside.returncode:
        raise UsageError(f"{repo} is in no git repository that can be read: {_why(inside)}.")
    found = _git(repo, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if found.returncode:
        shallow = _git(repo, "rev-parse", "--is-shallow-repository").stdout.strip() == "true"
        more = " The clone is shallow and may lack it: git fetch --unshallow." if shallow else ""
        raise UsageError(
            f"{ref} is neither a run folder nor a commit, branch or tag of the repository of {repo}: git log --oneline "
            f"lists commits.{more}"
        )
    name = found.stdout.strip()
    subject = _git(repo, "log", "-1", "--format=%s", name).stdout.strip()
    return Commit(ref, name, subject)


@contextlib.contextmanager
def workspace(repo: Path) -> Iterator[Path]:
    """A temporary folder for one comparison, gone at the end; what a killed one left is removed first."""
    _clear_left(repo)
    place = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
    try:
        fresh = place / f"{_LOCK}.new"
        with fresh.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            fresh.rename(place / _LOCK)  # so that nobody ever finds it without its holder
            yield place
    finally:
        _remove(repo, place)


@contextlib.contextmanager
def checked_out(repo: Path, commit: Commit, place: Path) -> Iterator[Path]:
    """The files of `commit` as they stand below `place`, which is a `workspace`: where `repo` is in that tree."""
    tree = place / _TREE
    done = _git(repo, *_HOOKS_OFF, "worktree", "add", "--detach", "--quiet", str(tree), commit.hash)
    try:
        if done.returncode:
            raise CannotFinish(f"git could not check out {commit.ref} beside the repository: {_why(done)}.")
        below = _git(repo, "rev-parse", "--show-prefix").stdout.strip()
        yield tree / below
    finally:
        _forget(repo, tree)


def _clear_left(repo: Path) -> None:
    """Remove the folders, and the entries in the repository, of comparisons whose process has died."""
    listed = _git(repo, "worktree", "list", "--porcelain").stdout.splitlines()
    trees = [Path(line.removeprefix("worktree ")) for line in listed if line.startswith("worktree ")]
    ours = [tree.parent for tree in trees if tree.name == _TREE and tree.parent.name.startswith(_PREFIX)]
    beside = Path(tempfile.gettempdir()).resolve().glob(f"{_PREFIX}*")
    for place in dict.fromkeys((*ours, *beside)):
        if _is_left(place):
            _remove(repo, place)


def _is_left(place: Path) -> bool:
    try:
        with (place / _LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return not place.exists()  # a folder without its lock may be just begun
    except OSError:  # held by its process, or another user's
        return False
    return True


def _remove(repo: Path, place: Path) -> None:
    if _TREE in {tree.name for tree in place.glob("*")} or not place.exists():
        _forget(repo, place / _TREE)
    shutil.rmtree(place, ignore_errors=True)


def _forget(repo: Path, tree: Path) -> None:
    _git(repo, "worktree", "remove", "--force", str(tree))


def _git(repo: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    bare = variables_of_a_child(without=_OF_A_HOOK)
    try:
        return subprocess.run(
            ["git", "-C", str(repo), *arguments],
            env={**bare, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError:
        raise UsageError("git is not installed, or not found: --against a commit needs it.") from None


def _why(ended: subprocess.CompletedProcess[str]) -> str:
    lines = ended.stderr.strip().splitlines() or [f"git ended with {ended.returncode}"]
    return lines[-1].removeprefix("fatal: ").rstrip(".")
