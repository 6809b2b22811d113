"""`make lab`: what it calls, what it makes ready, and how it saves notebooks."""

from __future__ import annotations

import copy
import importlib.util
import json
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest

from ptp.settings import variables_of_a_child

ROOT = Path(__file__).parents[2]
BOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def loaded(file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(file).stem, ROOT / "tools" / file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_make_lab_makes_ready_first_and_passes_options_on() -> None:
    told = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "--old-file=.venv/ready", "lab", "LAB_ARGS=--no-browser --port=1"],
        cwd=ROOT,
        env=variables_of_a_child(without=("MAKEFLAGS", "MAKELEVEL", "MFLAGS")),  # the tests may be run by make, too
        capture_output=True,
        text=True,
        check=True,
    )
    ready, lab = told.stdout.splitlines()
    assert ready.endswith("python tools/lab_ready.py")
    assert "jupyter lab --config=tools/lab/config.py --no-browser --port=1" in lab
    assert (ROOT / "tools" / "lab" / "config.py").is_file()


def as_the_lab_saves(book: dict[str, Any]) -> dict[str, Any]:
    """A notebook as it is after its cells ran: with outputs, counts, and what the Lab notes for itself."""
    full = copy.deepcopy(book)
    full["metadata"] = {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python", "version": "3.11.7", "file_extension": ".py"},
    }
    for place, cell in enumerate(full["cells"]):
        cell["metadata"] |= {"execution": {"iopub.status.busy": "now"}, "collapsed": True}
        if cell["cell_type"] == "code":
            cell["execution_count"] = place
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["a@example.com\n"]}]
    return full


@pytest.mark.parametrize("book", BOOKS, ids=lambda path: path.stem)
def test_what_is_saved_is_what_is_committed(book: Path) -> None:
    committed = book.read_text(encoding="utf-8")
    full = nbformat.from_dict(as_the_lab_saves(json.loads(committed)))
    loaded("lab/config.py").without_outputs({"type": "notebook", "content": full}, f"notebooks/{book.name}")
    assert nbformat.writes(full).rstrip("\n") == committed.rstrip("\n")


def test_a_notebook_elsewhere_keeps_its_outputs() -> None:
    full = as_the_lab_saves(json.loads(BOOKS[0].read_text(encoding="utf-8")))
    before = copy.deepcopy(full)
    config = loaded("lab/config.py")
    config.without_outputs({"type": "notebook", "content": full}, "mine/01_migrate.ipynb")
    config.without_outputs({"type": "file", "content": "x"}, "notebooks/notes.txt")
    assert full == before


def test_what_was_changed_by_hand_is_saved() -> None:
    full = as_the_lab_saves(json.loads(BOOKS[0].read_text(encoding="utf-8")))
    full["cells"][1]["source"] = 'source: str = "mine.db"'
    loaded("lab/config.py").without_outputs({"type": "notebook", "content": full}, "notebooks/01_migrate.ipynb")
    assert full["cells"][1]["source"] == 'source: str = "mine.db"'


def test_what_is_there_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = loaded("lab_ready.py")
    asked: list[Path] = []
    monkeypatch.setattr(ready, "home", lambda: tmp_path)
    monkeypatch.setattr(ready, "make_ready", lambda reports, progress: asked.append(reports))
    assert ready.main() == 0
    assert asked == [tmp_path / "reports"]
    for name in ("demo/raw-quick.db", "reports/one/results/03_benchmark.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert ready.main() == 0
    assert len(asked) == 1
