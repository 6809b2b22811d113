"""The cells of the notebooks in one kernel: what they show of the demo, again when they are run again, and their errors.

Outputs are not committed, so that nbval has nothing to compare with. A cell with the tag `golden` has its text under
golden/ instead; `WRITE_GOLDEN=1` writes those anew, for a reader to look at the difference.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ptp.workload.demo import write_demo
from tests.notebooks.kernel import Kernel, Shown, code_cells, kernel

GOLDEN = Path(__file__).parent / "golden"
NOTEBOOKS = ("01_migrate", "02_verify", "03_benchmark")
"""Those of every run. 04 and 05 take long; nbval runs each once, and tools/lab_trial.py all of them twice."""

CHEAP = """
import gc
from pathlib import Path
import ptp.workbench.places as places
from ptp.workbench import notebook as _notebook
from ptp.workload import cases, floors
places.home = _notebook.home = lambda: Path({home!r})
for _numbers in (cases.SAMPLES, cases.MOST, floors.PAIRS):
    _numbers["quick"] = 30
for _numbers in (cases.WARM_UP, cases.COLD, floors.WARM_UP):
    _numbers["quick"] = 2
gc.freeze()  # or each measurement first looks through all that was imported
"""
GIVEN = {"02_verify": 'prove = "none"', "03_benchmark": 'measure = "times"'}
"""What makes a notebook quick, said in a cell after its parameters."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader's folder with a demo source in it, a tiny one."""
    path = tmp_path_factory.mktemp("home")
    (path / "demo").mkdir()
    write_demo(shape="raw", size="tiny", seed=1, out=path / "demo" / "raw-quick.db")
    return path


@pytest.fixture(scope="module")
def running(home: Path) -> Iterator[Kernel]:
    with kernel(home) as one:
        assert one.run(CHEAP.format(home=str(home))).error is None
        yield one


def run_all(one: Kernel, name: str, *, watched: bool) -> dict[str, Shown]:
    """Run the cells of a notebook in order; with their ids, as JupyterLab does, where somebody is to look on."""
    shown = {}
    for place, (cell, code, _) in enumerate(code_cells(name)):
        shown[cell] = one.run(code, cell=cell if watched else "")
        if place == 0 and name in GIVEN:
            one.run(GIVEN[name])
    return shown


@pytest.fixture(scope="module")
def twice(running: Kernel) -> dict[str, tuple[dict[str, Shown], dict[str, Shown]]]:
    """What the cells of each notebook showed: as papermill runs them, and run again as JupyterLab does."""
    return {name: (run_all(running, name, watched=False), run_all(running, name, watched=True)) for name in NOTEBOOKS}


Twice = dict[str, tuple[dict[str, Shown], dict[str, Shown]]]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_cell_runs_and_runs_again(twice: Twice, name: str) -> None:
    """Times of a machine that is busy may be undecided; nothing else may stop a cell."""
    for again in twice[name]:
        stopped = {cell: shown.error[:2] for cell, shown in again.items() if shown.error}
        assert {cell: told for cell, told in stopped.items() if told[0] != "GateFailed" or name != "03_benchmark"} == {}


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_no_cell_prints_a_log(twice: Twice, name: str) -> None:
    assert {cell: s.printed for again in twice[name] for cell, s in again.items() if s.printed} == {}


@pytest.mark.parametrize(("name", "cell"), [("01_migrate", "01-05"), ("02_verify", "02-03"), ("03_benchmark", "03-03")])
def test_progress_is_a_bar_where_somebody_looks_on_and_nothing_elsewhere(twice: Twice, name: str, cell: str) -> None:
    quiet, watched = (again[cell] for again in twice[name])
    assert not any("<progress" in html for html in quiet.html)
    assert quiet.updates == 0
    assert watched.html[0].startswith("<progress")
    assert watched.updates >= 1
    assert len(watched.html) == len(quiet.html) + 1


def golden_cells() -> list[tuple[str, str]]:
    return [(name, cell) for name in NOTEBOOKS for cell, _, tags in code_cells(name) if "golden" in tags]


def text_of(shown: Shown) -> str:
    return "\n".join(line.rstrip() for text in shown.texts for line in text.splitlines()) + "\n"


@pytest.mark.parametrize(("name", "cell"), golden_cells(), ids=lambda value: value)
def test_a_cell_that_does_not_vary_shows_what_it_showed(twice: Twice, name: str, cell: str) -> None:
    file = GOLDEN / f"{cell}.txt"
    first = text_of(twice[name][0][cell])
    if os.environ.get("WRITE_GOLDEN"):
        file.write_text(first, encoding="utf-8")
    wanted = file.read_text(encoding="utf-8")
    assert first == wanted
    # Run again it shows the same, under the line that the progress became.
    assert text_of(twice[name][1][cell]).endswith(wanted)


def test_golden_texts_and_the_cells_that_have_the_tag_are_the_same() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("*")) == sorted(cell for _, cell in golden_cells())
    assert len(golden_cells()) >= 5


def test_what_is_golden_holds_no_time_no_path_and_no_other_machine() -> None:
    for path in GOLDEN.glob("*.txt"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"/tmp|/home|\d{4}-\d\d-\d\d|\d ?ms\b|\d ?s\b", text), path.name


def test_our_values_are_shown_as_cards_and_others_as_ever(running: Kernel, twice: Twice) -> None:
    (measured,) = running.run("measured").texts
    assert measured.startswith("Benchmark: ")
    one = running.run("measured.measurements[0]")
    assert "<svg" in one.html[0] and len(one.texts[0]) < 300
    assert running.run("verified.findings[0]").html[0].startswith("<div")
    assert running.run("(1, 2)").texts == ["(1, 2)"]


def test_the_examples_give_rows(twice: Twice) -> None:
    """Filtering findings, zooming a distribution, comparing two runs."""
    filtered, zoomed, compared = (
        shown.html[-1]
        for shown in (
            twice["02_verify"][0]["02-f1"],
            twice["03_benchmark"][0]["03-s1"],
            twice["03_benchmark"][1]["03-c1"],
        )
    )
    assert filtered.count("<tr") == 6
    assert "<img" in zoomed and zoomed.count("<tr") == 12
    assert compared.count("<tr") == 9


def test_an_error_of_ours_is_one_sentence_and_any_other_keeps_its_traceback(running: Kernel, twice: Twice) -> None:
    ours = running.run("notebook.distribution(measured, 'nobody')").error
    assert ours is not None and ours[0] == "UsageError" and ours[1].startswith("Benchmark did not measure 'nobody'")
    assert ours[2] == [f"UsageError: {ours[1]}"]
    other = running.run("1 / 0").error
    assert other is not None and len(other[2]) > 1


def test_migrating_again_onto_a_target_of_ones_own_is_refused_and_changes_nothing(
    running: Kernel, home: Path, twice: Twice
) -> None:
    target = home / "own.db"
    (_, code, _), *cells = code_cells("01_migrate")
    running.run(code)
    running.run(f"target, out = {str(target)!r}, {str(home / 'own')!r}")
    first = [running.run(cell) for _, cell, _ in cells]
    assert [shown.error for shown in first] == [None] * len(cells)
    before = target.read_bytes()
    again = running.run("migrated = notebook.migrate(session)").error
    assert again is not None and again[0] == "UsageError" and len(again[2]) == 1
    assert target.read_bytes() == before
