"""Drive `make lab` as a person does: open each notebook in a browser, run all its cells, twice, and look.

Usage: .venv/bin/python tools/lab_trial.py [--out DIR] [NOTEBOOK ...]

It works on a copy of the tree in a folder of its own, so that the Lab is a fresh one: no demo, no earlier runs. Needs
Chromium. For each notebook it says what it saw, and leaves pictures: as it opens, while it runs, and at the end. It
fails where a cell failed, printed more than a reader wants to pass, or showed no progress, and where a message stands
in the way, or the file was saved otherwise than it is committed.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "report"))

from browser import Browser, opened  # noqa: E402

TAKEN = ("Makefile", "pyproject.toml", "requirements.txt", "notebooks", "ptp", "sql", "tools")
WIDE, TALL, PART, MOST_TALL = 1440, 1000, 2000, 14_000
LONGEST_S = 600.0
MOST_LINES = 40
"""More lines than this that a cell only printed are a wall of logs."""

STATE = """(() => {
  const panel = [...window.jupyterapp.shell.widgets('main')].at(-1), kernel = panel.sessionContext.session?.kernel;
  const cells = panel.content.model.sharedModel.cells.filter((cell) => cell.cell_type === 'code');
  return {
    kernel: kernel?.status ?? 'none',
    counts: cells.map((cell) => cell.execution_count),
    sources: cells.map((cell) => cell.source.split('\\n')[0]),
    outputs: cells.map((cell) => cell.getOutputs()),
    done: Math.max(0, ...[...panel.node.querySelectorAll('progress')].map((bar) => bar.value)),
  };
})()"""


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: the address that opens it, and the folder that it shows."""

    address: str
    token: str
    folder: Path

    def page(self, name: str) -> str:
        return f"{self.address}/lab/tree/notebooks/{name}.ipynb?token={self.token}&reset"


def copy_of_the_tree(folder: Path) -> Path:
    """The tree without what was installed or generated, and with the packages that are installed."""
    tree = folder / "ptp"
    tree.mkdir()
    for name in TAKEN:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, tree / name)
    (tree / ".venv").symlink_to(ROOT / ".venv")
    return tree


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def lab_in(tree: Path, log: Path) -> Iterator[Lab]:
    """`make lab`, without a browser of its own, until it answers; ended with all that it started."""
    port, token = free_port(), secrets.token_hex(16)
    given = ["--no-browser", f"--port={port}", f"--IdentityProvider.token={token}"]
    given += ["--LabApp.expose_app_in_browser=True", *(["--allow-root"] if os.geteuid() == 0 else [])]
    # The package of the copy, not the one that is installed; and no setting up, which is another trial.
    command = ["make", "--old-file=.venv/ready", "lab", f"LAB_ARGS={' '.join(given)}"]
    with log.open("wb") as told:
        lab = subprocess.Popen(
            command,
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree)},
            stdout=told,
            stderr=told,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until_it_answers(f"{address}/api?token={token}", lab, log)
        yield Lab(address, token, tree)
    finally:
        os.killpg(lab.pid, signal.SIGTERM)
        try:
            lab.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(lab.pid, signal.SIGKILL)
            lab.wait()


def wait_until_it_answers(address: str, lab: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + LONGEST_S
    while time.monotonic() < until and lab.poll() is None:
        try:
            with urlopen(address, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    sys.exit(f"make lab did not come up:\n{log.read_text(encoding='utf-8')[-3000:]}")


def open_notebook(browser: Browser, lab: Lab, name: str) -> None:
    """Open a notebook and wait for its kernel."""
    browser.size(WIDE, TALL)
    browser.send("Emulation.setFocusEmulationEnabled", enabled=True)
    browser.send("Page.navigate", url=lab.page(name))
    browser.wait_for(
        "((panel) => panel?.context?.isReady && panel.sessionContext.session?.kernel?.status === 'idle'"
        f" && panel.context.path === 'notebooks/{name}.ipynb')"
        "([...(window.jupyterapp?.shell.widgets('main') ?? [])].at(-1))",
        seconds=120,
    )
    browser.ask("window.jupyterapp.shell.activateById([...window.jupyterapp.shell.widgets('main')].at(-1).id)")


def run_all(browser: Browser, picture: Path) -> dict[str, object]:
    """Run > Run All Cells, and wait; a picture of the first progress that moves. How the cells are at the end."""
    before = max([0, *(count or 0 for count in browser.ask(STATE)["counts"])])
    browser.ask("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
    until, seen = time.monotonic() + LONGEST_S, False
    while time.monotonic() < until:
        state: dict[str, object] = browser.ask(STATE)
        if state["done"] and not seen:
            seen = True
            browser.ask("document.querySelector('progress')?.scrollIntoView({block: 'center'})")
            picture.write_bytes(browser.picture())
        ran = all((count or 0) > before for count in state["counts"])  # type: ignore[attr-defined]
        if (ran or errors_of(state)) and state["kernel"] == "idle":
            return {**state, "seen": seen}
        time.sleep(0.15)
    raise AssertionError(f"the cells did not end within {LONGEST_S:g} s")


def errors_of(state: dict[str, object]) -> list[str]:
    outputs: list[list[dict[str, object]]] = state["outputs"]  # type: ignore[assignment]
    return [f"{o['ename']}: {o['evalue']}" for cell in outputs for o in cell if o["output_type"] == "error"]


def walls_of(state: dict[str, object]) -> list[str]:
    """Cells that printed more than a reader wants to pass."""
    outputs: list[list[dict[str, object]]] = state["outputs"]  # type: ignore[assignment]
    printed = ["".join(str(o.get("text", "")) for o in cell if o["output_type"] == "stream") for cell in outputs]
    return [text[:200] for text in printed if text.count("\n") > MOST_LINES]


def whole_picture(browser: Browser, path: Path) -> None:
    """The notebook from top to bottom, in a window as tall as it is; in parts that can be looked at."""
    browser.ask("window.jupyterapp.commands.execute('application:toggle-left-area')")
    tall = TALL
    for _ in range(3):  # cells that were not drawn yet turn out taller than was guessed
        inner = browser.ask("document.querySelector('.jp-WindowedPanel-inner')?.scrollHeight ?? 4000")
        tall = max(tall, min(int(inner) + 260, MOST_TALL))
        browser.size(WIDE, tall)
        browser.ask("document.querySelector('.jp-WindowedPanel-outer')?.scrollTo(0, 0)")
        time.sleep(1.0)
    for number, top in enumerate(range(0, tall, PART), start=1):
        part = {"x": 0, "y": top, "width": WIDE, "height": min(PART, tall - top), "scale": 1}
        found = browser.send("Page.captureScreenshot", format="png", clip=part)
        path.with_stem(f"{path.stem}-{number}").write_bytes(base64.b64decode(found["data"]))
    browser.size(WIDE, TALL)


def try_notebook(lab: Lab, name: str, out: Path) -> dict[str, object]:
    """Run one notebook twice in one kernel, and say what was seen."""
    with opened() as browser:
        open_notebook(browser, lab, name)
        (out / f"{name}-opened.png").write_bytes(browser.picture())
        committed = (lab.folder / "notebooks" / f"{name}.ipynb").read_bytes()
        began = time.monotonic()
        first = run_all(browser, out / f"{name}-running.png")
        seconds = time.monotonic() - began
        whole_picture(browser, out / f"{name}.png")
        again = run_all(browser, out / f"{name}-again.png")
        browser.ask("window.jupyterapp.commands.execute('docmanager:save')")
        kept = (lab.folder / "notebooks" / f"{name}.ipynb").read_bytes() == committed
        popups = browser.ask("[...document.querySelectorAll('.Toastify__toast')].map((e) => e.innerText)")
        (out / f"{name}.json").write_text(json.dumps(first, indent=1), encoding="utf-8")
        return {
            "notebook": name,
            "seconds": round(seconds, 1),
            "cells": len(first["counts"]),  # type: ignore[arg-type]
            "errors": errors_of(first),
            "errors again": errors_of(again),
            "walls": walls_of(first),
            "progress seen": first["seen"],
            "popups": popups,
            "saved as committed": kept,
        }


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("notebooks", nargs="*", metavar="NOTEBOOK")
    parser.add_argument("--out", type=Path, help="folder for the pictures; a temporary one if not given")
    given = parser.parse_args(arguments)
    out = given.out or Path(tempfile.mkdtemp(prefix="ptp-lab-"))
    out.mkdir(parents=True, exist_ok=True)
    names = given.notebooks or sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    bad = 0
    with (
        tempfile.TemporaryDirectory(prefix="ptp-lab-tree-") as folder,
        lab_in(copy_of_the_tree(Path(folder)), out / "lab.log") as lab,
    ):
        for name in names:
            told = try_notebook(lab, name, out)
            wrong = [told[what] for what in ("errors", "errors again", "walls", "popups")]
            bad += any(wrong) or not (told["progress seen"] and told["saved as committed"])
            print(json.dumps(told, ensure_ascii=False), flush=True)
    print(f"{len(names) - bad} of {len(names)} notebooks ran as they should; pictures and log: {out}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
