"""Both sides of a comparison: the tree of each, the database that its code builds, the process that calls it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ptp.errors import CannotFinish, UsageError
from ptp.settings import variables_of_a_child
from ptp.workbench import against_worker

_HEAD = "head.db"
_ONLY_ASKED = {("ptp", name) for name in ("queries", "benchmark", "stats", "report")}
_SHOWN = 300  # characters of what a process said last


@dataclass(frozen=True, slots=True)
class Tree:
    """The files of one side: `name` is how a sentence calls it; `folder` holds the package and sql/."""

    name: str
    folder: Path

    def environment(self) -> Mapping[str, str]:
        """The variables under which Python finds this tree's package, and hashes alike on both sides."""
        known = variables_of_a_child()
        path = os.pathsep.join(filter(None, (str(self.folder), known.get("PYTHONPATH", ""))))
        return {**known, "PYTHONPATH": path, "PYTHONHASHSEED": "0", "PYTHONWARNINGS": "ignore"}


@dataclass(frozen=True, slots=True)
class Called:
    """One query of one side, as its worker describes it; `draws` are digests of its arguments by field."""

    name: str
    what: str
    writes: bool
    not_applicable: str | None
    draws: Mapping[str, str]


def build_heads(trees: Sequence[Tree], source: Path, place: Path) -> list[Path]:
    """Let each tree build its own head of `source`, side by side; raises UsageError where one cannot.

    Trees that differ in nothing that a build runs share one, copied.
    """
    if len({_builder(tree) for tree in trees}) == 1:
        head = _build(trees[-1], source, place / "0")
        copies = [place / str(n) / _HEAD for n in range(1, len(trees))]
        for copy in copies:
            copy.parent.mkdir()
            shutil.copyfile(head, copy)
        return [head, *copies]
    with ThreadPoolExecutor(len(trees)) as threads:
        built = [threads.submit(_build, tree, source, place / str(n)) for n, tree in enumerate(trees)]
        return [one.result() for one in built]


def _builder(tree: Tree) -> str:
    """A digest of the files that a build may run: all, but for those of the packages that only ask and measure."""
    found = hashlib.sha256()
    package, steps = tree.folder / "ptp", tree.folder / "sql"
    files = (*package.rglob("*.py"), *package.rglob("*.json"), *steps.rglob("*.sql"))
    for path in sorted(files, key=lambda path: path.relative_to(tree.folder)):
        below = path.relative_to(tree.folder)
        if below.parts[:2] not in _ONLY_ASKED:
            found.update(f"{below}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return found.hexdigest()


def _build(tree: Tree, source: Path, folder: Path) -> Path:
    if not (tree.folder / "ptp" / "__main__.py").is_file():
        raise UsageError(f"{tree.name} holds no package ptp that runs, so there is nothing to compare with.")
    folder.mkdir()
    head = folder / _HEAD
    options = ["--source", str(source), "--target", str(head), "--on-dirty", "quarantine", "--out", str(folder / "run")]
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "ptp", "migrate", *options],
        cwd=folder,  # where there is no .env
        env=tree.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if not head.is_file():
        raise UsageError(f"ptp of {tree.name} cannot build a database of the source: {_last_line(ended.stderr)}.")
    return head


class Worker:
    """The process of one side, for as long as it is wanted."""

    def __init__(self, tree: Tree, process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
        """The worker of `tree`, whose errors go to `said`."""
        self._tree, self._process, self._said = tree, process, said
        self.queries: tuple[Called, ...] = tuple(Called(**one) for one in self._answer())

    def record(self, name: str, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Make some calls of a query; see `ptp.workbench.against_worker.Side.record`."""
        found: list[dict[str, Any]] = self._ask("record", name, list(numbers))
        return found

    def begin(self, name: str) -> None:
        """Make ready for the calls of a query."""
        self._ask("begin", name)

    def call(self, name: str, number: int) -> int | str:
        """Nanoseconds that a call took, or what was wrong with it."""
        found: int | str = self._ask("call", name, number)
        return found

    def _ask(self, what: str, *values: Any) -> Any:
        assert self._process.stdin is not None
        try:
            pickle.dump((what, values), self._process.stdin)
            self._process.stdin.flush()
        except OSError:
            raise self._ended() from None
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        try:
            worked, answer = pickle.load(self._process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError):
            raise self._ended() from None
        if not worked:
            raise UsageError(f"The queries of {self._tree.name} cannot be called: {' '.join(str(answer).split())}.")
        return answer

    def _ended(self) -> CannotFinish:
        self._said.seek(0)
        said = _last_line(self._said.read().decode(errors="replace"))
        return CannotFinish(f"The process that calls the queries of {self._tree.name} ended: {said}.")


@contextlib.contextmanager
def workers(trees: Sequence[Tree], heads: Sequence[Path], *, draws: int, seed: int) -> Iterator[list[Worker]]:
    """A worker for each side, all on one processor, since two of them are never equally fast; gone at the end."""
    with contextlib.ExitStack() as stack:
        begun = [stack.enter_context(_process(t, h, draws, seed)) for t, h in zip(trees, heads, strict=True)]
        found = [Worker(tree, *one) for tree, one in zip(trees, begun, strict=True)]
        for process, _ in begun:
            _pin(process.pid)
        yield found


@contextlib.contextmanager
def _process(tree: Tree, head: Path, draws: int, seed: int) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    script = [str(against_worker.__file__), str(tree.folder), str(head), str(draws), str(seed)]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-P", *script],
            cwd=head.parent,
            env=tree.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            start_new_session=True,  # so that Ctrl-C is ours alone
        )
        try:
            yield process, said
        finally:
            process.kill()
            process.communicate()


def _pin(process: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(OSError):
            os.sched_setaffinity(process, {max(os.sched_getaffinity(0))})


def _last_line(text: str) -> str:
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    return (lines[-1] if lines else "it said nothing")[:_SHOWN].removeprefix("ptp: ").rstrip(".")
