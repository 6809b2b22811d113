"""A run over notebooks made for the purpose: how each way to end badly becomes a verdict that is no pass."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pytest

from ptp.errors import CannotFinish, GateFailed, Locked, PtpError, UsageError
from ptp.evidence import Stage, read_stage, write_stage
from ptp.results import Finding
from ptp.workbench import loading, notebook, notebooks, run
from ptp.workbench.gates import required_gates
from ptp.workbench.load_savings import costs_of
from ptp.workbench.migrating import migrate
from ptp.workbench.notebooks import execute
from ptp.workbench.parameters import NOTEBOOKS, check_parameters, left_out_of, notebooks_of
from ptp.workbench.progress import Progress, quiet
from ptp.workbench.run import Outcome, Request, execute_run
from ptp.workload.demo import write_demo
from ptp.workload.limits import Profile

Write = Callable[..., None]


WRITTEN = {"run.json", "index.html", "summary.md", "junit.xml", "badge.svg", "badge.json", "verdict.json"}
"""What a run leaves besides results and notebooks."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo(shape="raw", size="tiny", seed=5, out=tmp_path_factory.mktemp("source") / "old.db").path


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a notebook of a run, a code cell a text; the run then takes it for its own."""
    shelf = tmp_path / "notebooks"
    shelf.mkdir()
    monkeypatch.setattr(notebooks, "folder", lambda name: tmp_path / name)

    def make(name: str, *cells: str) -> None:
        book = nbformat.v4.new_notebook()
        given = "source = target = out = run = on_dirty = plan = prove = profile = ''\nseed = 1"
        book.cells = [nbformat.v4.new_code_cell(text) for text in (given, *cells)]
        book.cells[0].metadata["tags"] = ["parameters"]
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        (shelf / f"{name}.ipynb").write_text(nbformat.writes(book), encoding="utf-8")

    return make


def passing(*names: str) -> Stage:
    return Stage("any", "Any", 0.1, tuple(Finding(name, name, "pass") for name in names))


def run_with(
    source: Path,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    executed: Callable[[str, Path], PtpError | None],
) -> Outcome:
    """A run in which `executed` stands for papermill and the kernel."""

    def stand_in(name: str, values: Mapping[str, Any], *, out: Path, progress: object) -> PtpError | None:
        return executed(name, out)

    monkeypatch.setattr(run, "execute", stand_in)
    return execute_run(Request(source, out, "test"), progress=quiet)


def all_pass(name: str, out: Path) -> None:
    stage = passing(*required_gates("quick"))
    write_stage(out, Stage(name, name, stage.seconds, stage.results if name == "01_migrate" else ()))


def partials(folder: Path) -> list[Path]:
    return list(folder.rglob("*.partial*"))


def recorded(out: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((out / "verdict.json").read_text(encoding="utf-8"))
    return document


@pytest.mark.parametrize(
    ("cells", "code", "told"),
    [
        (("raise ValueError('half-way')", "done = 1"), 4, ("01_migrate", "ValueError", "half-way")),
        (("raise SystemExit(0)", "done = 1"), 4, ("01_migrate",)),
        (("get_ipython().kernel.do_shutdown(False)", "done = 1"), 4, ("01_migrate",)),
        (("import os; os._exit(0)", "done = 1"), 4, ("01_migrate",)),
        (("done = 1",), 4, ("01_migrate",)),
        (("from ptp.errors import Locked\nraise Locked('old.db is locked.')",), 4, ("old.db is locked.",)),
        (("from ptp.errors import UsageError\nraise UsageError('Not this one.')",), 2, ("Not this one.",)),
    ],
    ids=["dies", "exits early", "shuts its kernel down", "kills its kernel", "no results", "ptp error", "usage error"],
)
def test_a_notebook_that_does_not_come_to_its_end_makes_the_run_invalid(
    write: Write, source: Path, tmp_path: Path, cells: tuple[str, ...], code: int, told: tuple[str, ...]
) -> None:
    out = tmp_path / "out"
    write("01_migrate", *cells)

    outcome = execute_run(Request(source, out, "test"), progress=quiet)

    assert outcome.exit_code == code
    assert outcome.evidence.verdict == "invalid"
    assert recorded(out)["verdict"] == "invalid"
    assert recorded(out)["missing"] == list(required_gates("quick"))
    assert outcome.error is not None
    for words in told:
        assert words in recorded(out)["reason"]
    assert (out / "notebooks" / "01_migrate.html").is_file()
    assert not (out / "notebooks" / "02_verify.ipynb").exists()
    assert not partials(out)
    assert not (out / ".progress").exists()


def test_a_notebook_gets_its_parameters_and_leaves_its_executed_copy_and_a_page(write: Write, tmp_path: Path) -> None:
    seen: list[tuple[float, str]] = []
    tell = "import pathlib, time\npathlib.Path(out, '.progress').write_text('[0.5, \"half\"]')\ntime.sleep(0.7)"
    write("03_benchmark", "print('seed', seed, 'of', run)", tell)

    error = execute(
        "03_benchmark",
        {"seed": 7, "run": "abc", "out": str(tmp_path)},
        out=tmp_path,
        progress=lambda fraction, text: seen.append((fraction, text)),
    )

    assert error is None
    assert "seed 7 of abc" in (tmp_path / "notebooks" / "03_benchmark.ipynb").read_text(encoding="utf-8")
    assert "seed 7 of abc" in (tmp_path / "notebooks" / "03_benchmark.html").read_text(encoding="utf-8")
    assert (0.5, "half") in seen
    assert not (tmp_path / ".progress").exists()


@pytest.mark.parametrize("values", [{"sorce": "x"}, {"seed": "abc"}, {"profile": "fast"}])
def test_a_parameter_that_does_not_fit_is_refused_before_a_kernel_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any]
) -> None:
    import papermill

    monkeypatch.setattr(papermill, "execute_notebook", lambda *a, **k: pytest.fail("a kernel was started"))

    with pytest.raises(UsageError, match=next(iter(values))):
        execute("03_benchmark", values, out=tmp_path, progress=quiet)

    assert not (tmp_path / "notebooks").exists()


def test_a_run_whose_stages_all_end_well_passes(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = run_with(source, tmp_path / "out", monkeypatch, all_pass)

    assert (outcome.exit_code, outcome.evidence.verdict, outcome.error) == (0, "pass", None)
    assert recorded(tmp_path / "out")["verdict"] == "pass"


def test_a_notebook_that_dies_after_it_wrote_good_results_is_no_pass(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies_at_the_end(name: str, out: Path) -> PtpError | None:
        all_pass(name, out)
        return CannotFinish("03_benchmark stopped: Kernel died") if name == "03_benchmark" else None

    outcome = run_with(source, tmp_path / "out", monkeypatch, dies_at_the_end)

    assert outcome.exit_code == 4
    assert outcome.evidence.verdict == "invalid"
    assert recorded(tmp_path / "out")["verdict"] == "invalid"
    assert "Kernel died" in recorded(tmp_path / "out")["reason"]


def test_a_second_notebook_without_results_is_no_pass_though_all_gates_are_there(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = run_with(
        source, tmp_path / "out", monkeypatch, lambda name, out: None if name == "02_verify" else all_pass(name, out)
    )

    assert outcome.exit_code == 4
    assert recorded(tmp_path / "out")["verdict"] == "invalid"
    assert "02_verify" in recorded(tmp_path / "out")["reason"]


def test_one_required_gate_less_makes_the_verdict_invalid_and_is_named(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_less(name: str, out: Path) -> None:
        gates = required_gates("quick")[1:] if name == "01_migrate" else ()
        write_stage(out, Stage(name, name, 0.1, passing(*gates).results))

    outcome = run_with(source, tmp_path / "out", monkeypatch, one_less)

    assert outcome.exit_code == 4
    assert recorded(tmp_path / "out")["missing"] == [required_gates("quick")[0]]


def test_a_failed_gate_ends_the_run_with_its_own_code_and_the_later_stages_are_left_out(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []

    def fails(name: str, out: Path) -> PtpError:
        called.append(name)
        write_stage(out, Stage(name, name, 0.1, (Finding("x", "No row was lost", "fail", severity="data"),)))
        return GateFailed("Migration: No row was lost: fail")

    outcome = run_with(source, tmp_path / "out", monkeypatch, fails)

    assert called == ["01_migrate"]
    assert (outcome.exit_code, recorded(tmp_path / "out")["verdict"]) == (1, "fail")


def test_the_verdict_is_written_when_everything_else_stands(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, before, write_verdict = tmp_path / "out", set[str](), run.write_verdict

    def noting(folder: Path, evidence: Any) -> None:
        before.update(p.name for p in folder.iterdir())
        write_verdict(folder, evidence)

    monkeypatch.setattr(run, "write_verdict", noting)
    run_with(source, out, monkeypatch, all_pass)

    assert "index.html" in before
    assert "verdict.json" not in before
    assert {p.name for p in out.iterdir()} - before == {"verdict.json"}


def test_a_verdict_that_cannot_be_written_whole_is_not_there_at_all(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump = json.dump

    def breaks(document: Any, file: Any, **options: Any) -> None:
        if "verdict.json" in file.name:
            file.write('{"version": 1, "verdict": "pass"')
            raise OSError(28, "No space left on device", file.name)
        dump(document, file, **options)

    monkeypatch.setattr(json, "dump", breaks)

    with pytest.raises((OSError, PtpError)):
        run_with(source, tmp_path / "out", monkeypatch, all_pass)

    assert not (tmp_path / "out" / "verdict.json").exists()
    assert not partials(tmp_path)


def test_a_run_folder_that_is_not_empty_is_refused_and_left_as_it_was(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine", encoding="utf-8")

    with pytest.raises(UsageError, match="not empty"):
        execute_run(Request(source, out, "test"), progress=quiet)

    assert [p.name for p in out.iterdir()] == ["notes.txt"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("target", ["missing/new.db", "old.db"])
def test_a_target_that_cannot_be_is_refused_before_anything_is_written(
    source: Path, tmp_path: Path, target: str
) -> None:
    (tmp_path / "old.db").write_bytes(source.read_bytes())

    with pytest.raises(UsageError, match=target.split("/", maxsplit=1)[0]):
        execute_run(Request(source, tmp_path / "out", "test", target=tmp_path / target), progress=quiet)

    assert [p.name for p in tmp_path.iterdir()] == ["old.db"]


def test_latest_points_to_the_run_that_ended_last(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second"):
        run_with(source, tmp_path / name, monkeypatch, all_pass)
        assert (tmp_path / "latest").resolve() == tmp_path / name
    assert {p.name for p in tmp_path.iterdir()} == {"first", "second", "latest"}


def test_something_of_the_users_that_is_called_latest_is_left_alone(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "latest").write_text("mine", encoding="utf-8")

    run_with(source, tmp_path / "out", monkeypatch, all_pass)

    assert (tmp_path / "latest").read_text(encoding="utf-8") == "mine"


def test_an_interrupted_run_leaves_a_report_that_says_so_and_nothing_half_written(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    def interrupted(name: str, out: Path) -> None:
        for left in (
            "target.db.partial",
            "target.db.partial-journal",
            "bench-scratch.db",
            "bench-scratch.db-wal",
            "backup/source.db.partial",
        ):
            (out / left).parent.mkdir(exist_ok=True)
            (out / left).write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_with(source, out, monkeypatch, interrupted)

    assert {p.name for p in out.rglob("*")} == {"run.json", "index.html", "backup"}
    assert "interrupted" in (out / "index.html").read_text(encoding="utf-8")
    assert not (tmp_path / "latest").exists()


def test_a_kernel_that_was_killed_leaves_no_copy_of_the_target_behind(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(name: str, out: Path) -> PtpError:
        for left in (
            "target.db.partial",
            "bench-scratch.db",
            "bench-scratch.db-wal",
            "bench-scratch.db.ptp-lock",
            "trial-abcdefgh/as-is.db",
            "backup/source.db.partial",
        ):
            (out / left).parent.mkdir(exist_ok=True)
            (out / left).write_bytes(b"half")
        return Locked("03_benchmark stopped: Kernel died")

    run_with(source, tmp_path / "out", monkeypatch, killed)

    assert {p.name for p in (tmp_path / "out").rglob("*") if p.is_file()} == WRITTEN


class TestProfiles:
    """Which notebooks a profile has, and what they are given."""

    def executed(
        self, source: Path, out: Path, monkeypatch: pytest.MonkeyPatch, profile: Profile, *, less: str = ""
    ) -> tuple[Outcome, dict[str, Any], list[float]]:
        """A run in which each notebook writes nothing but its gates; what each was given, and the progress seen."""
        given: dict[str, Any] = {}
        seen: list[float] = []

        def stand_in(name: str, values: Mapping[str, Any], *, out: Path, progress: Progress) -> None:
            check_parameters(name, values)
            given[name] = values
            progress(0.0, "begins")
            progress(1.0, "ends")
            gates = [gate for gate in required_gates(profile) if gate != less] if name == "01_migrate" else []
            write_stage(out, Stage(name, name, 0.1, passing(*gates).results))

        monkeypatch.setattr(run, "execute", stand_in)
        request = Request(source, out, "test", profile=profile, load=replace(run.LOAD, seconds=3.0))
        return execute_run(request, progress=lambda share, text: seen.append(share)), given, seen

    def test_a_full_run_loads_what_it_measured(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        outcome, given, seen = self.executed(source, tmp_path / "out", monkeypatch, "full")
        assert list(given)[:4] == ["01_migrate", "02_verify", "03_benchmark", "04_load"]
        wanted = {"users_profile": "heavy", "driver": "http", "seconds": 3.0, "workers": 2}
        assert wanted.items() <= given["04_load"].items()
        assert {v["target"] for v in given.values()} == {str(tmp_path / "out" / "target.db")}
        assert outcome.evidence.verdict == "pass"
        assert seen == sorted(seen) and (seen[0], seen[-1]) == (0.0, 1.0)

    def test_a_quick_run_leaves_the_load_out_and_says_why(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        outcome, given, _ = self.executed(source, tmp_path / "out", monkeypatch, "quick")
        assert "04_load" not in given
        assert "04_load: a load wants the machine to itself" in recorded(tmp_path / "out")["run"]["facts"]["left_out"]
        assert outcome.evidence.verdict == "pass"

    @pytest.mark.parametrize("gate", ["load.generator", "load.record_answer.response", "load.unwritten"])
    def test_a_full_run_without_a_gate_of_its_load_is_invalid(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: str
    ) -> None:
        outcome, _, _ = self.executed(source, tmp_path / "out", monkeypatch, "full", less=gate)
        assert (outcome.exit_code, outcome.evidence.missing) == (4, (gate,))

    def test_a_load_that_cannot_be_made_is_refused_before_anything_is_written(
        self, source: Path, tmp_path: Path
    ) -> None:
        request = Request(source, tmp_path / "out", "test", profile="full", load=replace(run.LOAD, seconds=0.1))
        with pytest.raises(UsageError, match="0.1 s cannot be made"):
            execute_run(request, progress=quiet)
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("profile", ["quick", "full"])
    def test_every_notebook_is_in_a_profile_or_left_out_with_a_reason(self, profile: Profile) -> None:
        there, out = [name for name, _, _ in notebooks_of(profile)], left_out_of(profile)
        assert sorted([*there, *out]) == sorted(NOTEBOOKS) and all(len(reason) > 10 for reason in out.values())


def test_the_load_of_a_run_has_every_gate_and_leaves_the_target_as_it_is(source: Path, tmp_path: Path) -> None:
    """What the cells of the notebook call, on a database without sessions, so that one operation does not apply."""
    migrate(source, tmp_path / "target.db", tmp_path, run="test")
    with closing(sqlite3.connect(tmp_path / "target.db")) as db:
        db.executescript("UPDATE user_answers SET study_session_id = NULL; DELETE FROM study_sessions")
    before = (tmp_path / "target.db").read_bytes()
    values = {
        "source": str(source), "target": str(tmp_path / "target.db"), "out": str(tmp_path), "run": "test",
        "users_profile": "light", "driver": "process", "seconds": 1.0, "seed": 1, "workers": 1,
    }  # fmt: skip
    session = notebook.start("04_load", values)
    stage = notebook.load(session)
    with suppress(CannotFinish, GateFailed):  # on a busy machine the generator may be invalid
        assert notebook.finish(session, stage).startswith("Load: ")
    found = {f.id: f for f in read_stage(tmp_path / "results" / "04_load.json").findings}
    assert {gate for gate in required_gates("full") if gate.startswith("load.")} <= set(found)
    assert found["load.session_progress.response"].verdict == "not applicable"
    assert {f.verdict for f in found.values() if f.severity == "data"} == {"pass"}
    assert (tmp_path / "target.db").read_bytes() == before
    assert {p.name for p in tmp_path.glob("*scratch*")} == set()


def test_what_a_target_holds_nothing_for_is_not_costed(source: Path, tmp_path: Path) -> None:
    """A raw source has no growth to look at; other queries, called before it, write some into the copy."""
    migrate(source, tmp_path / "target.db", tmp_path, run="test")
    costs = costs_of(tmp_path / "target.db", ("growth_analytics", "leaderboard"), seed=1)
    assert set(costs.calls) == {"leaderboard"}
    assert costs.hit_ms > 0 and costs.calls["leaderboard"].ms > 0 and costs.calls["leaderboard"].read > 0


def test_a_database_that_nobody_uses_has_every_gate_and_none_applies() -> None:
    stage = loading.idle("nobody")
    assert {f.id for f in stage.findings} == {gate for gate in required_gates("full") if gate.startswith("load.")}
    assert {(f.verdict, f.evidence) for f in stage.findings} == {("not applicable", "nobody")}


@pytest.mark.torture
def test_a_full_run_from_a_tiny_demo_to_the_verdict(source: Path, tmp_path: Path) -> None:
    request = Request(
        source, tmp_path / "out", "test", profile="full", prove="none", measure="times",
        load=replace(run.LOAD, seconds=3.0),
    )  # fmt: skip
    outcome = execute_run(request, progress=quiet)
    assert outcome.evidence.missing == ()
    assert {"01_migrate", "02_verify", "03_benchmark", "04_load"} <= {stage.name for stage in outcome.evidence.stages}
