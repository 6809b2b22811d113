"""The first minutes of a new user: `ptp`, `ptp init`, `ptp doctor`, in a folder of their own."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ptp.settings import load_settings
from ptp.workload.demo import write_demo

COMMAND = [sys.executable, "-m", "ptp.cli"]
TOKEN = "a-token-that-nobody-may-see"


def ptp(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PTP_", "TURSO_"))}
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        env={**clean, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo(shape="raw", size="tiny", seed=1, out=tmp_path_factory.mktemp("demo") / "old.db").path


@pytest.fixture
def place(tmp_path: Path, demo: Path) -> Path:
    shutil.copy(demo, tmp_path / "old.db")
    return tmp_path


def typed(cwd: Path, *answers: str) -> str:
    """What `ptp init` prints in a terminal in which somebody types these answers."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*COMMAND, "init"], cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown, left = "", list(answers)
    while select.select([ours], [], [], 60)[0]:
        try:
            part = os.read(ours, 4096).decode()
        except OSError:  # the other end is closed
            break
        shown += part
        if left and shown.endswith(": "):
            os.write(ours, f"{left.pop(0)}\n".encode())
    os.close(ours)
    assert process.wait(timeout=60) == 0, shown
    return shown


def test_alone_it_says_where_things_stand_and_what_is_next(place: Path) -> None:
    nothing = ptp(cwd=place)
    assert (nothing.returncode, nothing.stderr) == (0, "")
    assert "none yet" in nothing.stdout and "Next: ptp init" in nothing.stdout

    found = ptp("--json", cwd=place, PTP_SOURCE="old.db")
    state = json.loads(found.stdout)
    assert (state["database"], state["shape"], state["last"]) == ("old.db", "raw", None)
    assert state["following"] == "ptp run --source old.db"


def test_what_is_in_the_way_of_a_database_is_told(place: Path) -> None:
    missing = ptp("--json", cwd=place, PTP_SOURCE="elsewhere.db")
    assert "elsewhere.db" in json.loads(missing.stdout)["obstacle"]
    with closing(sqlite3.connect(place / "strange.db")) as db:
        db.execute("CREATE TABLE things (id INTEGER)")
    strange = json.loads(ptp("--json", cwd=place, PTP_SOURCE="strange.db").stdout)
    assert strange["shape"] == "unknown" and "no table users" in strange["obstacle"]
    refused = ptp("run", cwd=place, PTP_SOURCE="strange.db")
    assert refused.returncode == 2
    assert "no table users" in refused.stderr and "sql/shapes/" in refused.stderr
    assert not (place / "reports").exists()


def test_a_run_is_remembered_with_its_verdict(place: Path) -> None:
    run = place / "reports" / "20261124-000000-abcd"
    run.mkdir(parents=True)
    facts = {"source": "old.db", "target": "x.db", "started": "2026-11-24T00:00:00+00:00"}
    (run / "verdict.json").write_text(json.dumps({"verdict": "fail", "run": facts}), encoding="utf-8")
    (place / "reports" / "20261124-000001-dead").mkdir()
    (place / "reports" / "20261124-000001-dead" / "verdict.json").write_text("{", encoding="utf-8")
    state = ptp(cwd=place).stdout
    assert "failed (fail), begun 2026-11-24 00:00: reports/20261124-000000-abcd/index.html" in state
    assert "old.db" in state


def test_init_writes_both_files_once(place: Path) -> None:
    (place / ".git").mkdir()
    made = ptp("init", "--source", "old.db", "--reports", 'runs "of" mine', cwd=place)
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout.splitlines()[0] == "old.db: shape raw"
    assert (place / ".env").stat().st_mode & 0o777 == 0o600
    assert (place / ".gitignore").read_text(encoding="utf-8") == ".env\n"
    before = (place / "ptp.toml").read_bytes()

    again = ptp("init", "--source", "other.db", cwd=place)

    assert again.returncode == 2 and "is there already" in again.stderr
    assert (place / "ptp.toml").read_bytes() == before


def test_init_asks_for_what_it_is_not_told_and_never_shows_a_token(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = typed(place, "libsql://db.example.com", TOKEN, "", "kept")
    assert TOKEN not in shown and "Next: ptp backup --source libsql://db.example.com" in shown
    assert TOKEN not in (place / "ptp.toml").read_text(encoding="utf-8")
    monkeypatch.chdir(place)
    for name in [n for n in os.environ if n.startswith(("PTP_", "TURSO_"))]:
        monkeypatch.delenv(name)
    settings = load_settings()
    assert (settings.turso_database_url, str(settings.reports_dir), str(settings.backups_dir)) == (
        "libsql://db.example.com",
        "reports",
        "kept",
    )
    assert settings.turso_auth_token is not None and settings.turso_auth_token.get_secret_value() == TOKEN


def test_init_does_not_wait_for_an_answer_where_nobody_can_give_one(place: Path) -> None:
    refused = ptp("init", cwd=place)
    assert refused.returncode == 2 and "nobody to ask" in refused.stderr
    assert not (place / ".env").exists()


def test_doctor_looks_at_the_machine_and_says_what_to_do(place: Path) -> None:
    well = ptp("doctor", cwd=place)
    assert (well.returncode, well.stderr) == (0, "")
    (place / "ptp.toml").write_text("sauce = 1\n", encoding="utf-8")
    (place / ".env").write_text("", encoding="utf-8")
    (place / ".env").chmod(0o644)
    ill = ptp("doctor", "--json", cwd=place)
    found = {f["id"]: f for f in json.loads(ill.stdout)["results"]}
    assert ill.returncode == 1
    assert found["doctor.settings"]["verdict"] == "fail" and "'sauce'" in found["doctor.settings"]["where"][0]
    assert found["doctor.secrets"]["where"][0].endswith(f"chmod 600 {place}/.env")
    assert found["doctor.sqlite"]["evidence"] == f"SQLite {sqlite3.sqlite_version}"


def test_json_of_a_command_stands_after_it(place: Path) -> None:
    refused = ptp("--json", "doctor", cwd=place)
    assert refused.returncode == 2 and "after the command" in refused.stderr
