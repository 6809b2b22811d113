"""Runs in the folder of reports: which a policy lets go and which never, what changed between two, and their index."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ptp.cli import app
from ptp.evidence import Evidence, Run, Stage, write_run, write_stage, write_verdict
from ptp.report.runs_page import MARK
from ptp.results import Finding, Measurement
from ptp.workbench.run_index import note_run, write_index
from ptp.workbench.runs import list_runs

NOW = datetime.now(UTC)
HERE = {"cpu": "one", "cores": "2", "os": "an os", "python": "3.11", "sqlite": "3.40"}


def make_run(
    reports: Path,
    name: str,
    *,
    days: float = 0.0,
    verdict: str | None = "pass",
    p95: tuple[float, float, float] = (5.0, 4.0, 6.0),
    steps: int = 100,
    rows: int = 10,
    machine: dict[str, str] | None = None,
    data: str = "10",
) -> Path:
    """A run folder as a run leaves it, begun some days ago, with one query, one table and a small target."""
    folder = reports / name
    folder.mkdir(parents=True)
    started = (NOW - timedelta(days=days)).isoformat(timespec="seconds")
    run = Run(name, "old.db", "target.db", "quick", "dev", started, 12.0, {}, {"rows": data})
    value, low, high = p95
    row = {"name": "draw", "n": 60, "p50_ms": 1.0, "p95_ms": value, "p95_low_ms": low, "p95_high_ms": high}
    counters = {"query": "draw", "statements": 1, "vm_steps": steps}
    gate = Finding("bench.draw", "p95 of a draw", "pass" if verdict == "pass" else "fail", "gate", value, "ms", 50.0)
    samples = Measurement("draw", "ms", (1.0, 2.0), machine or HERE)
    stages = (
        Stage("01_migrate", "Migration", 1.0, (), {"Source": [{"table": "things", "rows": rows}]}),
        Stage("03_benchmark", "Benchmark", 1.0, (gate, samples), {"Latency": [row], "Counters": [counters]}),
    )
    with closing(sqlite3.connect(folder / "target.db")) as db:
        db.execute("CREATE TABLE t (a)")
    write_run(folder, run)
    for stage in stages:
        write_stage(folder, stage)
    if verdict:
        (folder / "index.html").write_text("a report", encoding="utf-8")
        write_verdict(folder, Evidence(run, stages, verdict))  # type: ignore[arg-type]
    return folder


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PTP_REPORTS_KEEP", "2")
    monkeypatch.setenv("PTP_REPORTS_DAYS", "0")
    return tmp_path / "reports"


def called(*words: str | Path, code: int = 0) -> str:
    ended = CliRunner().invoke(app, ["report", *map(str, words)])
    assert ended.exit_code == code or ended.exception, ended.output
    if code == 0:
        assert ended.exception is None, repr(ended.exception)
    else:
        assert getattr(ended.exception, "exit_code", None) == code
        return str(ended.exception)
    return ended.output


def left(reports: Path) -> set[str]:
    return {path.name for path in reports.iterdir() if path.name != "index.html"}


def test_old_runs_go_and_the_newest_stay(reports: Path) -> None:
    for name, days in (("a", 9), ("b", 8), ("c", 7), ("d", 6)):
        make_run(reports, name, days=days)
    called("--prune")
    assert left(reports) == {"c", "d"}


def test_a_dry_run_removes_nothing_and_says_the_same(reports: Path) -> None:
    for name, days in (("a", 9), ("b", 8), ("c", 7), ("d", 6)):
        make_run(reports, name, days=days)
    shown = json.loads(called("--prune", "--dry-run", "--json"))
    assert {Path(r["path"]).name for r in shown["runs"] if not r["stays"]} == {"a", "b"}
    assert left(reports) == {"a", "b", "c", "d"} and not (reports / "index.html").exists()
    assert json.loads(called("--prune", "--json"))["runs"] == shown["runs"]
    assert left(reports) == {"c", "d"}


def test_runs_of_the_last_days_stay_however_many(reports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTP_REPORTS_KEEP", "1")
    monkeypatch.setenv("PTP_REPORTS_DAYS", "3")
    for name, days in (("a", 5.0), ("b", 3.1), ("c", 2.9), ("d", 1.0), ("e", 0.1)):
        make_run(reports, name, days=days)
    called("--prune")
    assert left(reports) == {"c", "d", "e"}


def test_what_is_needed_stays_whatever_the_policy_says(reports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last that passed, the one that latest names, one at work, and those whose databases are used."""
    for name in ("new-1", "new-2"):
        make_run(reports, name, days=1, verdict="fail")
    make_run(reports, "passed", days=20)
    make_run(reports, "passed-before", days=21)
    make_run(reports, "linked", days=30, verdict="fail")
    (reports / "latest").symlink_to("linked")
    make_run(reports, "died", days=30, verdict=None)
    written = make_run(reports, "written", days=30, verdict="fail")
    os.utime(written / "target.db", (time.time() + 60,) * 2)
    (make_run(reports, "open", days=30, verdict="fail") / "target.db-wal").touch()
    named = make_run(reports, "named", days=30, verdict="fail")
    monkeypatch.setenv("TURSO_DATABASE_URL_PROD", f"sqlite:///{named / 'target.db'}")

    called("--prune")

    assert left(reports) == {"new-1", "new-2", "passed", "linked", "latest", "written", "open", "named"}


def test_a_run_that_may_be_at_work_stays(reports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTP_REPORTS_KEEP", "1")
    make_run(reports, "new")
    make_run(reports, "at-work", days=0.5, verdict=None)
    make_run(reports, "dead", days=1.5, verdict=None)
    called("--prune")
    assert left(reports) == {"new", "at-work"}


def test_what_is_no_run_is_never_touched(reports: Path, tmp_path: Path) -> None:
    for name, days in (("a", 9), ("b", 8), ("c", 7)):
        make_run(reports, name, days=days)
    (reports / "rehearsals").mkdir()
    (reports / "rehearsals" / "r.json").write_text("{}", encoding="utf-8")
    (reports / "proof.json").write_text("{}", encoding="utf-8")
    (reports / "mine").mkdir()
    (reports / "mine" / "run.json").write_text('{"id": "mine"}', encoding="utf-8")
    elsewhere = make_run(tmp_path / "elsewhere", "x", days=99)
    (reports / "link").symlink_to(elsewhere)

    called("--prune")

    assert left(reports) == {"b", "c", "rehearsals", "proof.json", "mine", "link"}
    assert (elsewhere / "target.db").is_file() and (reports / "rehearsals" / "r.json").is_file()


def test_there_may_be_no_folder_of_reports_at_all(reports: Path) -> None:
    assert "0 of 0 runs" in called("--prune")
    assert not reports.exists()


def test_what_a_killed_prune_left_is_no_run_and_goes_with_the_next(reports: Path) -> None:
    make_run(reports, "a").rename(reports / ".going-a")
    assert list_runs(reports) == []
    make_run(reports, "b")
    called("--prune")
    assert left(reports) == {"b"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Name one run folder"),
        (("a", "--prune"), "Name one run folder"),
        (("--compare", "a", "b", "--prune"), "Name one run folder"),
        (("--prune", "--annotate", "github"), "--annotate wants one run folder"),
        (("a", "--dry-run"), "--dry-run goes with --prune"),
        (("a",), "is not a run folder"),
        (("a", "--annotate", "github"), "is not a run folder"),
        (("--compare", "a", "b"), "is not a run folder"),
    ],
)
def test_what_does_not_go_together_is_told(reports: Path, words: tuple[str, ...], said: str) -> None:
    assert said in called(*words, code=2)
    assert not reports.exists()


def compared(before: Path, after: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(called("--compare", before, after, "--json"))
    return document


def test_a_comparison_names_verdicts_gates_rows_counters_and_times(reports: Path) -> None:
    old = make_run(reports, "old", days=1)
    new = make_run(reports, "new", verdict="fail", p95=(9.0, 8.0, 10.0), steps=140, rows=12)
    found = compared(old, new)
    assert (found["before"]["verdict"], found["after"]["verdict"]) == ("pass", "fail")
    assert found["gates"] == [{"gate": "bench.draw", "before": "pass", "after": "fail"}]
    assert found["rows"] == [{"table": "things", "before": 10, "after": 12}]
    assert found["counters"] == [{"query": "draw", "counter": "vm_steps", "before": 100, "after": 140}]
    (time_row,) = found["times"]
    assert time_row["change"] == "longer"
    assert [time_row[k] for k in ("before_low", "before_high", "after_low", "after_high")] == [4.0, 6.0, 8.0, 10.0]
    assert found["not_compared"] == {"counters": "", "times": ""}
    text = called("--compare", old, new)
    assert "bench.draw" in text and "vm_steps" in text and "longer" in text and "4 changed." in text


def test_times_whose_intervals_meet_are_no_change(reports: Path) -> None:
    old = make_run(reports, "old", days=1, p95=(5.0, 4.0, 6.0))
    new = make_run(reports, "new", p95=(6.5, 6.0, 7.0))
    assert [row["change"] for row in compared(old, new)["times"]] == ["within both intervals"]
    assert "Nothing changed that can be compared." in called("--compare", old, new)
    assert [row["change"] for row in compared(make_run(reports, "x", p95=(9, 8, 10)), new)["times"]] == ["shorter"]


def test_times_of_another_machine_are_not_compared_and_it_says_why(reports: Path) -> None:
    old = make_run(reports, "old", days=1)
    new = make_run(reports, "new", p95=(90.0, 80.0, 100.0), steps=140, machine={**HERE, "cpu": "another"})
    found = compared(old, new)
    assert found["times"] == []
    assert found["not_compared"]["times"] == "machine: cpu was one and is another"
    assert found["counters"], "counters do not know the machine"
    assert "Times are not compared: machine: cpu was one and is another." in called("--compare", old, new)


def test_neither_times_nor_counters_of_other_data_are_compared(reports: Path) -> None:
    old = make_run(reports, "old", days=1)
    found = compared(old, make_run(reports, "new", steps=140, data="11"))
    assert (found["times"], found["counters"]) == ([], [])
    assert found["not_compared"] == {"counters": "data: rows was 10 and is 11", "times": "data: rows was 10 and is 11"}


class Links(HTMLParser):
    """The links and row headings of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.labels: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "a" and "href" in given:
            self.links.append(str(given["href"]))
        if tag == "svg":
            self.labels.append(str(given["aria-label"]))


def test_the_index_lists_the_runs_newest_first_and_the_course_of_each_query(reports: Path) -> None:
    for name, days, value in (("a", 3, 5.0), ("b", 2, 6.0), ("c", 1, 7.5)):
        make_run(reports, name, days=days, p95=(value, value - 1, value + 1))
    make_run(reports, "dead", days=0, verdict=None)
    page = write_index(reports)
    assert page == reports / "index.html"
    text = page.read_text(encoding="utf-8")
    found = Links(text)
    assert [link for link in found.links if not link.startswith("#")] == [
        "c/index.html",
        "b/index.html",
        "a/index.html",
    ]
    assert all((reports / link).is_file() for link in found.links if not link.startswith("#"))
    assert "No verdict" in text and "dead" in text
    (label,) = found.labels
    label = label.replace("\N{NO-BREAK SPACE}", " ")
    assert "p95 of draw over 4 runs" in label and "first 5" in label
    assert re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", text) == []
    assert write_index(reports) == page and page.read_text(encoding="utf-8") == text, "the same runs, the same bytes"


def test_a_page_that_is_not_ptps_stays(reports: Path) -> None:
    make_run(reports, "a")
    (reports / "index.html").write_text("<p>mine</p>", encoding="utf-8")
    assert write_index(reports) is None
    note_run(reports / "a")
    assert (reports / "index.html").read_text(encoding="utf-8") == "<p>mine</p>"


def test_a_run_elsewhere_gets_no_index_beside_it(reports: Path, tmp_path: Path) -> None:
    other, own = make_run(tmp_path / "other", "a"), make_run(reports, "a")
    note_run(other)
    assert not (tmp_path / "other" / "index.html").exists() and not (reports / "index.html").exists()
    note_run(own)
    assert MARK in (reports / "index.html").read_text(encoding="utf-8")


def test_names_from_data_are_no_markup_in_the_index(reports: Path) -> None:
    folder = make_run(reports, "a")
    document = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    document |= {"id": "<script>x</script>", "source": "<b>&\"'"}
    (folder / "run.json").write_text(json.dumps(document), encoding="utf-8")
    page = write_index(reports)
    assert page is not None
    text = page.read_text(encoding="utf-8")
    assert "<script>x" not in text and "<b>" not in text and "&lt;script&gt;x" in text


def test_annotations_are_printed_alone(reports: Path) -> None:
    told = called(make_run(reports, "a", verdict="fail"), "--annotate", "github")
    assert told.splitlines()[0].startswith("::error title=Fail%3A p95 of a draw::")
    assert all(line.startswith("::") for line in told.splitlines())
    assert "Nothing to look at" in called(make_run(reports, "b"), "--annotate", "github")
    document = json.loads(called(reports / "a", "--annotate", "github", "--json"))
    assert [one["level"] for one in document["annotations"]] == ["error"]
