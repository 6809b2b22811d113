"""Blocks of the docs run for real, in a folder as a reader has one: ptp in this process, everything else in a shell.

What is cheaper here than for a reader, and nothing else: demo sources are tiny, `ptp run` executes the notebooks' cells
in this process instead of a kernel, without the proof of the verifier, and queries get as few samples as can decide.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ptp.errors import PtpError
from ptp.resources import folder
from ptp.workbench import run as workbench_run
from ptp.workbench.progress import forget_progress
from ptp.workload import cases, floors
from ptp.workload.demo import write_demo
from tests.docs.parsing import words_of
from tests.docs.reading import ROOT, Line

FEW = 60
"""Samples of a query: below 59 no bound of a p95 exists."""
SECONDS = 120

ANSWERS = {"run": (3, 4), "load": (1, 3, 4), "bench": (1, 3, 4), "scale": (1, 3)}
"""Exit codes of commands that time or estimate something: what they find here is no matter of the docs, if they end
without an error."""


_measured: dict[str, bytes] = {}
"""What the first benchmark of a run left: it stands in for those of the others, as the docs promise no times."""


@dataclass(frozen=True)
class Ended:
    """What a line printed, and its exit code."""

    code: int
    out: str
    err: str


@dataclass
class Place:
    """A reader's folder: `.venv` as set up, `demo/raw-quick.db` as `make run` makes it, and whatever lines leave."""

    path: Path
    capture: pytest.CaptureFixture[str]
    seen: dict[str, Ended] = field(default_factory=dict)

    def prepare(self) -> None:
        (self.path / "demo").mkdir()
        (self.path / ".venv").symlink_to(Path(sys.prefix))
        for name in ("notebooks", "Makefile", ".env.example"):
            (self.path / name).symlink_to(ROOT / name)
        write_demo(shape="raw", size="tiny", seed=1, out=self.path / "demo" / "raw-quick.db")

    def run(self, line: Line) -> Ended:
        """Run a line; whatever does not end as the docs promise fails the test, with the place of the line."""
        is_ptp = re.match(r"(\.venv/bin/)?ptp( |$)", line.text)
        ended = call(line.text, self.capture) if is_ptp else shell(line.text, self.path)
        self.seen[line.text] = ended
        words = words_of(line.text) if is_ptp else [""]
        may = ANSWERS.get(words[0], ()) if words and not ended.err else ()
        if ended.code not in (0, *may):
            pytest.fail(f"{line.place}: {line.text}\nexit code {ended.code}\n{ended.out}\n{ended.err}", pytrace=False)
        return ended


def call(text: str, capture: pytest.CaptureFixture[str]) -> Ended:
    """Call ptp's own `main` in this process, as the installed command does."""
    from ptp.cli import main

    words = words_of(text)
    handlers = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    capture.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["ptp", *cheaper(words)])
        try:
            with pytest.raises(SystemExit) as ended:
                main()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
    told = capture.readouterr()
    code = ended.value.code
    return Ended(code if isinstance(code, int) else 0, told.out, told.err)


def shell(text: str, cwd: Path) -> Ended:
    """Run a line that does not call ptp in a shell, without the settings of whoever runs the tests."""
    done = subprocess.run(["bash", "-ec", text], cwd=cwd, capture_output=True, text=True, timeout=SECONDS, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


def cheaper(words: list[str]) -> list[str]:
    """The words of a call with what makes it quick, where the line does not say otherwise."""
    defaults: Mapping[str, Mapping[str, str]] = {"run": {"--prove": "none", "--measure": "times"}}
    given = defaults.get(words[0], {}) if words else {}
    return [*words, *(word for name, value in given.items() if name not in words for word in (name, value))]


def in_this_process(name: str, values: Mapping[str, Any], *, out: Path, progress: object) -> PtpError | None:
    """Execute a notebook's cells as papermill does, parameters after their defaults, without a kernel and a page."""
    (out / "results").mkdir(exist_ok=True)
    kept = _measured if name == "03_benchmark" else {}
    for file, content in kept.items():
        (out / "results" / file).write_bytes(content)
    if kept:
        return None
    document = json.loads((folder("notebooks") / f"{name}.ipynb").read_text(encoding="utf-8"))
    (out / "notebooks").mkdir(exist_ok=True)
    names: dict[str, Any] = {}
    try:
        for cell in (c for c in document["cells"] if c["cell_type"] == "code"):
            exec("".join(cell["source"]), names)
            if "parameters" in cell["metadata"].get("tags", []):
                names |= values
    except PtpError as problem:
        return problem
    finally:
        forget_progress(out)
    if name == "03_benchmark":
        _measured.update({path.name: path.read_bytes() for path in (out / "results").glob(f"{name}.*")})
    return None


def make_cheap(patch: pytest.MonkeyPatch) -> None:
    """Fewer samples and no kernels, for the time of a test module."""
    for numbers in (cases.SAMPLES, cases.MOST):
        patch.setitem(numbers, "quick", FEW)
    for numbers, few in ((cases.WARM_UP, 2), (cases.COLD, 1), (floors.WARM_UP, 2), (floors.PAIRS, 12)):
        patch.setitem(numbers, "quick", few)
    patch.setattr(workbench_run, "execute", in_this_process)


def matches(wanted: str, printed: str) -> bool:
    """Whether a text stands in what was printed; `…` stands for anything on the line, numbers are as they come."""
    parts = [re.escape(part) for part in re.split(r"…", " ".join(wanted.split()))]
    return re.search(".*".join(parts), " ".join(printed.split())) is not None
