"""The commands as a user runs them, on a source of each shape: from the file to the verdict, and back to red."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ptp.resources import folder
from ptp.workbench.gates import required_gates
from ptp.workload.demo import write_demo

SHAPES = ("raw", "drizzle")
PROVED = {"raw": "quick", "drizzle": "none"}
GATE_KEYS = {"id", "claim", "verdict", "value", "unit", "limit", "low", "high", "n", "evidence"}
RUN_KEYS = {"id", "source", "target", "profile", "env", "started", "seconds", "versions"}
PAGES = ("index.html", "migration.html", "verification.html", "queries.html", "environment.html", "findings.html")
"""The pages of a quick run, which has no load."""

LOADS = re.compile(r"""(?:src|href|action|data)\s*=\s*["']?\s*(?:https?:)?//|url\(\s*["']?(?:https?:)?//|@import""")

SECRETS = ("TURSO_AUTH_TOKEN", "TURSO_AUTH_TOKEN_DEV", "JWT_SECRET", "REDIS_URL", "PTP_ALERT_WEBHOOK")
PLANTED = "planted-where-nobody-may-find-it"

Ended = subprocess.CompletedProcess[str]


def ptp(*arguments: str | Path, cwd: Path) -> Ended:
    command = [sys.executable, "-m", "ptp.cli", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def papermill(name: str, cwd: Path, *parameters: str | Path) -> Ended:
    notebook = str(folder("notebooks") / f"{name}.ipynb")
    command = [
        sys.executable,
        "-m",
        "papermill",
        "--no-progress-bar",
        notebook,
        "executed.ipynb",
        *map(str, parameters),
    ]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def edit(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        for sql in statements:
            db.execute(sql)


def ask(path: Path, sql: str) -> Any:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchone()[0]


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = tmp_path_factory.mktemp("sources")
    return {s: write_demo(shape=s, size="tiny", seed=3, out=made / f"{s}.db").path for s in SHAPES}  # type: ignore[arg-type]


@dataclass(frozen=True)
class Ran:
    """One `ptp run --json`: where, its output, its exit code, and the source's bytes before it."""

    folder: Path
    source: Path
    code: int
    stdout: str
    stderr: str
    before: str

    @property
    def verdict(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.folder / "verdict.json").read_text(encoding="utf-8"))
        return document


@pytest.fixture(scope="session")
def runs(sources: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ran]:
    """One run of each shape, side by side: there are two cores."""
    started = {}
    for shape, source in sources.items():
        cwd = tmp_path_factory.mktemp(f"run-{shape}")
        old = cwd / "old.db"
        shutil.copy(source, old)
        command = [sys.executable, "-m", "ptp.cli", "run", "--source", "old.db", "--out", "out", "--json"]
        command += ["--prove", PROVED[shape], "--measure", "times"]
        variables = {**os.environ, **dict.fromkeys(SECRETS, PLANTED)}
        process = subprocess.Popen(
            command, cwd=cwd, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started[shape] = (cwd, old, digest(old), process)
    found = {}
    for shape, (cwd, old, before, process) in started.items():
        stdout, stderr = process.communicate(timeout=200)
        found[shape] = Ran(cwd / "out", old, process.returncode, stdout, stderr, before)
    return found


@pytest.fixture(scope="session", params=SHAPES)
def ran(request: pytest.FixtureRequest, runs: dict[str, Ran]) -> Ran:
    return runs[request.param]


@pytest.fixture(scope="session")
def migrated(sources: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with old.db, and new.db that `ptp migrate` made of it."""
    cwd = tmp_path_factory.mktemp("migrated")
    shutil.copy(sources["raw"], cwd / "old.db")
    ended = ptp("migrate", "--source", "old.db", "--target", "new.db", "--out", "out", cwd=cwd)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.rstrip().endswith("Next: ptp verify --source old.db --target new.db")
    return cwd


@pytest.fixture
def pair(migrated: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of `migrated` of the test's own, to be damaged."""
    for name in ("old.db", "new.db"):
        shutil.copy(migrated / name, tmp_path / name)
    yield tmp_path


def verify(cwd: Path, *options: str) -> Ended:
    return ptp("verify", "--source", "old.db", "--target", "new.db", *options, cwd=cwd)


def test_a_run_takes_a_source_to_a_passed_verdict(ran: Ran) -> None:
    """Whatever is not a time passes; times may stay undecided on a machine that others use, and are then no pass."""
    open_gates = {g["id"]: g["verdict"] for g in ran.verdict["gates"] if g["verdict"] not in ("pass", "not applicable")}
    undecided = {g: v for g, v in open_gates.items() if g.startswith("bench.") and v == "inconclusive"}
    unsound = {g: v for g, v in open_gates.items() if g.startswith("self.")}
    expected = ("invalid", 4) if unsound else ("inconclusive", 3) if undecided else ("pass", 0)
    assert open_gates == undecided | unsound
    assert (ran.verdict["verdict"], ran.code, ran.stderr) == (*expected, "")


def test_no_secret_is_in_what_a_run_prints_or_leaves(ran: Ran) -> None:
    assert PLANTED not in ran.stdout + ran.stderr
    files = [p for p in ran.folder.rglob("*") if p.is_file()]
    assert len(files) > 20
    assert [p for p in files if PLANTED.encode() in p.read_bytes()] == []


def test_what_json_prints_is_the_verdict_file(ran: Ran) -> None:
    assert json.loads(ran.stdout) == ran.verdict


def test_the_verdict_has_the_keys_that_scripts_rely_on(ran: Ran) -> None:
    document = ran.verdict
    assert set(document) - {"missing", "reason"} == {"version", "verdict", "gates", "run"}
    assert document["version"] == 1
    assert set(document["run"]) - {"facts"} == RUN_KEYS
    assert all(set(gate) == GATE_KEYS for gate in document["gates"])
    run = document["run"]
    assert (run["source"], run["target"], run["profile"], run["env"]) == ("old.db", "out/target.db", "quick", "dev")
    assert run["seconds"] > 0


def test_every_required_gate_is_in_the_verdict(ran: Ran) -> None:
    assert set(required_gates("quick")) <= {gate["id"] for gate in ran.verdict["gates"]}
    assert ran.verdict["missing"] == []


def test_the_verifier_is_proved_in_the_run_or_the_verdict_says_that_it_was_not(ran: Ran) -> None:
    rate, alarms = (
        next(g for g in ran.verdict["gates"] if g["id"] == f"prove.{i}") for i in ("kill-rate", "false-alarms")
    )
    page = (ran.folder / "index.html").read_text(encoding="utf-8")
    assert "no full proof on record: ptp verify --prove full makes one" in page
    if PROVED[ran.source.parent.name.split("-")[1].rstrip("0123456789")] == "none":
        assert {g["verdict"] for g in (rate, alarms)} == {"not applicable"}
        assert all(g["evidence"].startswith("switched off by --prove none") for g in (rate, alarms))
        assert "not proved in this run (--prove none)" in page
        return
    assert (rate["verdict"], rate["value"], alarms["verdict"], alarms["value"]) == ("pass", 100, "pass", 0)
    assert rate["n"] >= 100 and alarms["n"] >= 6
    assert f"saw 100 % of {rate['n']} damages tried in this run, 0 false alarms in {alarms['n']}" in page
    checked = (ran.folder / "verification.html").read_text(encoding="utf-8")
    assert "Kill rate by group" in checked and "<caption>Kill rate</caption>" in checked


def test_each_benchmark_gate_has_its_interval_and_samples(ran: Ran) -> None:
    timed = [g for g in ran.verdict["gates"] if g["id"].startswith("bench.")]
    assert len(timed) >= 16
    for gate in timed:
        if gate["verdict"] == "pass":
            assert gate["low"] <= gate["value"] <= gate["high"] <= gate["limit"], gate["id"]
            assert gate["n"] >= 100, gate["id"]


def test_the_source_keeps_its_bytes_and_gets_no_companions(ran: Ran) -> None:
    assert digest(ran.source) == ran.before
    assert {p.name for p in ran.source.parent.iterdir()} == {"old.db", "out", "latest"}


def test_a_run_leaves_a_target_in_one_file_and_nothing_half_written(ran: Ran) -> None:
    assert ask(ran.folder / "target.db", "PRAGMA integrity_check") == "ok"
    assert {p.name for p in ran.folder.iterdir()} == {
        *("verdict.json", "summary.md", "junit.xml", "run.json", "plan.sql", "target.db", *PAGES),
        *("badge.svg", "badge.json"),
        *("backup", "digests", "notebooks", "results"),
    }
    assert {p.name for p in (ran.folder / "backup").iterdir()} == {"source.db", "source.db.json"}
    assert list(ran.folder.rglob("*.partial*")) == []


def pages_in(folder: Path) -> list[Path]:
    return [*sorted(folder.glob("*.html")), *sorted((folder / "notebooks").glob("*.html"))]


def test_every_page_of_the_report_opens_without_a_network(ran: Ran) -> None:
    pages = pages_in(ran.folder)
    assert len(pages) == len(PAGES) + 3
    for page in pages:
        assert LOADS.findall(page.read_text(encoding="utf-8")) == [], page.name


def test_the_index_is_under_150_kb_and_the_whole_report_under_3_mb(ran: Ran) -> None:
    sizes = {page.name: page.stat().st_size for page in pages_in(ran.folder)}
    assert sizes["index.html"] < 150_000
    assert sum(sizes.values()) < 3_000_000


def test_what_the_report_links_to_is_in_the_run_folder(ran: Ran) -> None:
    links = set()
    for page in ran.folder.glob("*.html"):
        links |= set(re.findall(r'<a [^>]*href="([^"#]+)', page.read_text(encoding="utf-8")))
    assert {"notebooks/01_migrate.html", "results/03_benchmark.npz", "findings.html", "plan.sql"} <= links
    assert [link for link in links if not (ran.folder / link).exists()] == []


def test_the_index_answers_what_is_asked_first(ran: Ran) -> None:
    page = (ran.folder / "index.html").read_text(encoding="utf-8")
    assert "<h1>Pass</h1>" in page or "<h1>Inconclusive</h1>" in page
    asked = ("Slowest query against its limit", "Rows in quarantine", "Can it be rolled back?", "What will it cost?")
    assert [question for question in asked if f"<h2>{question}</h2>" not in page] == []
    assert ">None of 2," in page and "Yes: the source is untouched" in page


def test_the_report_made_anew_has_the_same_bytes(runs: dict[str, Ran], tmp_path: Path) -> None:
    shutil.copytree(runs["raw"].folder, tmp_path / "out")
    before = {name: digest(tmp_path / "out" / name) for name in PAGES}

    ended = ptp("report", "out", cwd=tmp_path)

    assert (ended.returncode, ended.stdout) == (0, "Report: out/index.html\n")
    assert {name: digest(tmp_path / "out" / name) for name in PAGES} == before


def test_an_untouched_target_verifies(migrated: Path) -> None:
    ended = verify(migrated)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.rstrip().endswith("Next: ptp bench --target new.db")
    assert {p.name for p in migrated.iterdir()} - {"new.db-wal", "new.db-shm"} == {"old.db", "new.db", "out"}


def change_value(new: Path) -> None:
    edit(new, "UPDATE questions SET text = text || '.' WHERE id = 17")


def delete_row(new: Path) -> None:
    edit(new, "DELETE FROM user_answers WHERE id = 23")


def put_text_into_integers(new: Path) -> None:
    edit(
        new,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET sql = replace(sql, 'STRICT', '') WHERE type = 'table' AND name = 'study_sessions'",
        "PRAGMA writable_schema = RESET",
        "UPDATE study_sessions SET created_at = 'yesterday' WHERE id = 5",
    )


DAMAGE = {
    "a value changed": (change_value, ("questions", "17", "text")),
    "a row deleted": (delete_row, ("user_answers", "23", "")),
    "a text among integers": (put_text_into_integers, ("study_sessions", "5", "created_at")),
}


@pytest.mark.parametrize(("damage", "place"), DAMAGE.values(), ids=DAMAGE)
def test_damage_done_by_hand_is_found_with_table_key_and_column(
    pair: Path, damage: Callable[[Path], None], place: tuple[str, str, str]
) -> None:
    damage(pair / "new.db")

    ended = verify(pair)

    assert (ended.returncode, ended.stderr) == (1, "")
    named = [line for line in ended.stdout.splitlines() if all(re.search(rf"\b{p}\b", line) for p in place if p)]
    assert named, ended.stdout


def test_damage_is_in_the_json_as_well(pair: Path) -> None:
    change_value(pair / "new.db")

    ended = verify(pair, "--json")

    document = json.loads(ended.stdout)
    assert (ended.returncode, document["verdict"]) == (1, "fail")
    failed = {r["id"]: r["where"] for r in document["results"] if r["verdict"] == "fail"}
    assert list(failed) == ["verify.content.questions"]


def test_a_bare_papermill_ends_red_on_a_damaged_target(pair: Path) -> None:
    delete_row(pair / "new.db")

    given = ("-p", "source", "old.db", "-p", "target", "new.db", "-p", "out", "out", "-p", "prove", "none")
    ended = papermill("02_verify", pair, *given)

    assert ended.returncode != 0
    assert "GateFailed" in ended.stderr
    assert "user_answers" in ended.stderr


@pytest.mark.parametrize(("notebook", "name", "value"), [("02_verify", "sorce", "x"), ("03_benchmark", "seed", "abc")])
def test_a_bare_papermill_refuses_a_parameter_that_does_not_fit(
    pair: Path, notebook: str, name: str, value: str
) -> None:
    given = ("-p", "source", "old.db", "-p", "target", "new.db", "-p", "out", "out")

    ended = papermill(notebook, pair, *given, "-p", name, value)

    assert ended.returncode != 0
    assert "UsageError" in ended.stderr
    assert f"'{name}'" in ended.stderr
    assert not (pair / "out").exists()


@pytest.fixture
def dirty(sources: dict[str, Path], tmp_path: Path) -> Path:
    shutil.copy(sources["raw"], tmp_path / "old.db")
    edit(
        tmp_path / "old.db",
        "UPDATE users SET created_at = 'yesterday' WHERE id = (SELECT min(id) FROM users)",
        "UPDATE study_sessions SET created_at = '2024-02-31 10:00:00' WHERE id IN (3, 4)",
    )
    return tmp_path


def test_a_dirty_source_stops_the_run_and_names_what_it_found(dirty: Path) -> None:
    before = digest(dirty / "old.db")

    ended = ptp("run", "--source", "old.db", "--out", "out", cwd=dirty)

    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    for words in ("users.created_at: 1 ", "study_sessions.created_at: 2 ", "--on-dirty quarantine"):
        assert words in ended.stderr
    listed = [
        line.split(":", 1) for line in ended.stdout.splitlines() if line.startswith(("column", "count", "exampl"))
    ]
    assert [value.strip() for name, value in listed if name in ("column", "count")] == ["created_at", "1"] + [
        "created_at",
        "2",
    ]
    assert "key 3: text '2024-02-31 10:00:00'; key 4: text '2024-02-31 10:00:00'" in ended.stdout
    assert not (dirty / "out" / "target.db").exists()
    assert list(dirty.rglob("*.partial*")) == []
    assert json.loads((dirty / "out" / "verdict.json").read_text(encoding="utf-8"))["verdict"] == "fail"
    assert digest(dirty / "old.db") == before


def test_a_dirty_source_migrates_with_quarantine_and_then_verifies(dirty: Path) -> None:
    given = ("--source", "old.db", "--target", "new.db")

    assert ptp("migrate", *given, cwd=dirty).returncode == 1
    assert not (dirty / "new.db").exists()
    ended = ptp("migrate", *given, "--on-dirty", "quarantine", cwd=dirty)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ask(dirty / "new.db", "SELECT count(*) FROM ptp_quarantine") == 3
    checked = verify(dirty)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_dry_run_shows_the_plan_and_writes_nothing(sources: dict[str, Path], tmp_path: Path) -> None:
    ended = ptp("migrate", "--source", sources["raw"], "--target", "new.db", "--dry-run", cwd=tmp_path)

    assert ended.returncode == 0
    assert ended.stdout.startswith("-- plan ")
    assert "INSERT INTO" in ended.stdout
    assert list(tmp_path.iterdir()) == []
