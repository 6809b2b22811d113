"""Dry runs, rehearsals and environments as they are typed: what prod wants, what is shown, and that no secret is."""

import json
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ptp import cli
from ptp.engine import split_statements
from ptp.workbench.migrating import plan_of
from ptp.workbench.online import plan_online
from ptp.workload.demo import write_demo

Ptp = Callable[..., tuple[int, str, str]]
SECRET = "s3cr3t-t0k3n"
GIVEN = ("--source", "old.db", "--target", "new.db")
PROD = ("--env", "prod", "--target", "new.db")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_demo(shape="raw", size="tiny", seed=3, out=tmp_path_factory.mktemp("demo") / "demo.db").path
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
    return path


@pytest.fixture
def ptp(
    demo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Ptp]:
    """Calls the command line in this process, in a folder with a source old.db."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    monkeypatch.chdir(tmp_path)
    shutil.copy(demo, "old.db")

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ptp", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, said.out, said.err

    yield call
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def prod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURSO_DATABASE_URL_PROD", "sqlite:///old.db")


def edit(sql: str) -> None:
    with closing(sqlite3.connect("old.db", isolation_level=None)) as db:
        db.execute(sql)


def names() -> set[str]:
    return {p.name for p in Path().iterdir()}


# --- the dry run -----------------------------------------------------------------------------------------------------


def test_a_dry_run_tells_each_statement_with_its_rows_time_and_bill(ptp: Ptp) -> None:
    before = Path("old.db").read_bytes()
    code, out, err = ptp("migrate", *GIVEN, "--dry-run", "--json")
    assert (code, err) == (0, "")
    told, plan = json.loads(out), plan_of(Path("old.db"))
    assert told["hash"] == plan.hash
    assert [(s["kind"], s["sql"], s["rows"]) for s in told["statements"]] == [
        (s.kind, s.sql, s.rows) for s in plan.statements
    ]
    assert all(s["seconds"] is not None for s in told["statements"])
    for name in ("rows_read", "rows_written"):
        assert told["estimated"][name] == sum(s[name] for s in told["statements"]) > 0
    assert told["estimated"]["seconds"] > sum(s["seconds"] for s in told["statements"])
    assert "trial" in told["estimated"]["basis"]
    assert {d["purpose"] for d in told["disk"]} == {"backup, and its proof", "target", "sorting"}
    assert all(d["free"] > d["needed"] > 0 for d in told["disk"])
    assert {r["kind"] for r in told["risks"]} == {"data-dependent", "irreversible"}
    assert [lock["what"] for lock in told["locks"]] == ["source", "target"]
    assert names() == {"old.db"}
    assert Path("old.db").read_bytes() == before


def test_the_bill_is_the_rows_by_the_price(ptp: Ptp) -> None:
    estimated = json.loads(ptp("migrate", *GIVEN, "--dry-run", "--json")[1])["estimated"]
    dollars = {row["tariff"]: row["$"] for row in estimated["dollars"]}
    by_hand = estimated["rows_read"] * 0.8e-9 + estimated["rows_written"] * 0.8e-6
    assert dollars["Scaler"] == pytest.approx(by_hand, abs=5e-5)
    assert dollars["Developer"] is None
    assert "2026-06-12" in estimated["prices"]


def test_a_dry_run_online_tells_the_phases_and_how_long_writers_wait(ptp: Ptp) -> None:
    code, out, err = ptp("migrate", *GIVEN, "--online", "--dry-run", "--json", "--pause", "70", "--deadline", "3")
    assert (code, err) == (0, "")
    told, plan = json.loads(out), plan_online(Path("old.db"), Path("new.db"))
    assert told["hash"] == plan.hash
    assert [(s["phase"], s["sql"]) for s in told["statements"]] == list(plan.statements())
    (answers,) = [s for s in told["statements"] if s["sql"].startswith('INSERT INTO main."user_answers"')][:1]
    with closing(sqlite3.connect("old.db")) as db:
        assert answers["rows"] == db.execute("SELECT count(*) FROM user_answers").fetchone()[0]
    freeze = next(lock for lock in told["locks"] if "freeze" in lock["what"])
    assert "70 ms" in freeze["long"]
    assert "3 s" in freeze["long"]
    assert any("capture" in lock["what"] for lock in told["locks"])
    assert names() == {"old.db"}


def test_a_dry_run_tells_why_the_run_would_be_refused(ptp: Ptp) -> None:
    assert json.loads(ptp("migrate", *GIVEN, "--online", "--dry-run", "--json")[1])["refused"] == []
    edit("PRAGMA journal_mode = DELETE")
    Path("new.db").write_bytes(Path("old.db").read_bytes())
    code, out, _ = ptp("migrate", *GIVEN, "--online", "--dry-run")
    refused = [line for line in out.splitlines() if line.startswith("As things stand, it would be refused: ")]
    assert code == 0
    assert ["new.db exists" in line for line in refused] == [True, False]
    assert "not in WAL mode" in refused[1]


def test_the_tables_of_a_dry_run_are_aligned_and_begin_with_the_hash(ptp: Ptp) -> None:
    code, out, _ = ptp("migrate", *GIVEN, "--dry-run")
    assert code == 0
    lines = out.splitlines()
    plan = plan_of(Path("old.db"))
    assert lines[0] == f"-- plan {plan.hash}, shape raw"
    head = next(line for line in lines if line.startswith("#"))
    place = head.index("statement")
    rows = lines[lines.index(head) + 1 : lines.index("", lines.index(head))]
    assert all(row[place - 2 : place] == "  " and row[place] != " " for row in rows)
    assert sum(line.startswith("irreversible") for line in lines) == 1
    assert any("INSERT INTO main" in row and "user_answers" in row for row in rows)


@pytest.mark.parametrize("way", [(), ("--on-dirty", "quarantine")])
def test_the_sql_of_a_dry_run_is_the_plan(ptp: Ptp, way: tuple[str, ...]) -> None:
    code, out, _ = ptp("migrate", *GIVEN, "--sql", *way)
    plan = plan_of(Path("old.db"), on_dirty="quarantine" if way else "stop")
    assert code == 0
    assert out.startswith(f"-- plan {plan.hash}, shape raw\n")
    assert [s.split("\n", 1)[-1] if s.startswith("--") else s for s in split_statements(_plain(out))] == [
        s.sql for s in plan.statements
    ]
    assert names() == {"old.db"}


def _plain(script: str) -> str:
    return "".join(line for line in script.splitlines(keepends=True) if not line.startswith("-- "))


def test_after_a_run_what_was_predicted_stands_beside_what_was_measured(ptp: Ptp) -> None:
    code, out, _ = ptp("migrate", *GIVEN, "--json")
    rows = json.loads(out)["tables"]["Plan"]
    assert code == 0
    *parts, total = rows
    assert {r["part"] for r in parts} >= {"preflight", "backup", "copy", "index", "derive"}
    assert all(r["predicted s"] is not None and r["measured s"] is not None for r in parts)
    for name in ("predicted s", "measured s"):
        assert total[name] == pytest.approx(sum(r[name] for r in parts), abs=0.001)
    by_part = {r["part"]: r["statements"] for r in parts}
    kinds = [s.kind for s in plan_of(Path("old.db")).statements]
    assert by_part["copy"] == kinds.count("copy")

    basis = json.loads(ptp("migrate", "--source", "old.db", "--target", "b.db", "--dry-run", "--json")[1])
    assert basis["estimated"]["basis"].startswith("the last run here")
    kept = ("--target", "b.db", "--dry-run", "--json", "--on-dirty", "quarantine")
    other = json.loads(ptp("migrate", "--source", "old.db", *kept)[1])["estimated"]["basis"]
    assert other.startswith("a trial"), "a run without quarantine says nothing of one"
    copied = sum(s["seconds"] for s in basis["statements"] if s["kind"] == "copy")
    assert copied == pytest.approx(next(r["measured s"] for r in parts if r["part"] == "copy"), rel=0.01)


def test_predicted_and_measured_seconds_are_printed_too(ptp: Ptp) -> None:
    code, out, _ = ptp("migrate", *GIVEN)
    lines = [line.split() for line in out.splitlines()]
    assert code == 0
    assert lines[0] == ["part", "statements", "rows", "predicted", "s", "measured", "s"]
    assert [words[0] for words in lines[1:4]] == ["preflight", "backup", "setting"]


def test_notes_of_the_preflight_stand_in_the_stage_and_decide_nothing(ptp: Ptp) -> None:
    edit("UPDATE user_answers SET question_id = 999999 WHERE id = 1")
    code, out, _ = ptp("migrate", *GIVEN, "--on-dirty", "quarantine", "--json")
    told = json.loads(out)
    assert (code, told["verdict"]) == (0, "pass")
    notes = {r["id"]: r for r in told["results"] if r["id"].startswith("preflight.")}
    assert set(notes) == {
        f"preflight.{name}" for name in ("space", "connections", "migrators", "leftovers", "engine", "baseline")
    }
    assert {r["severity"] for r in notes.values()} == {"note"}
    assert notes["preflight.baseline"]["value"] == 1
    assert told["tables"]["Broken before"] == [{"table": "user_answers", "rule": "REFERENCES questions", "rows": 1}]


# --- environments ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("prod")
@pytest.mark.parametrize("command", [("migrate", *PROD), ("run", *PROD), ("migrate", *PROD, "--online")])
def test_prod_is_a_dry_run_unless_it_is_confirmed(ptp: Ptp, command: tuple[str, ...]) -> None:
    code, out, err = ptp(*command)
    assert (code, err) == (0, "")
    assert out.startswith("-- plan ")
    assert "ptp migrate --rehearse --source old.db" in out
    assert "--confirm old.db" in out
    assert names() == {"old.db"}


def refused(ptp: Ptp, command: str, *words: str, name: str = "old.db") -> None:
    code, out, err = ptp(command, *PROD, "--confirm", name)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    for word in words:
        assert word in err
    assert not Path("new.db").exists()


@pytest.mark.usefixtures("prod")
@pytest.mark.parametrize("command", ["migrate", "run"])
def test_prod_wants_the_name_of_the_file_and_a_rehearsal(ptp: Ptp, command: str) -> None:
    refused(ptp, command, "--confirm old.db", name="yes")
    refused(ptp, command, "no rehearsal", "ptp migrate --rehearse --source old.db")
    assert names() == {"old.db"}


@pytest.mark.usefixtures("prod")
def test_a_rehearsal_of_another_plan_or_schema_is_not_enough_for_prod(ptp: Ptp) -> None:
    assert ptp("migrate", "--rehearse", "--source", "old.db", "--on-dirty", "quarantine")[0] == 0
    refused(ptp, "migrate", "no rehearsal")
    edit("DROP INDEX idx_users_email")
    assert ptp("migrate", "--rehearse", "--source", "old.db")[0] == 0
    edit("CREATE INDEX idx_users_email ON users (email)")
    refused(ptp, "migrate", "no rehearsal")


@pytest.mark.usefixtures("prod")
@pytest.mark.parametrize("online", [(), ("--online",)], ids=["offline", "online"])
def test_prod_is_migrated_when_it_is_confirmed_and_rehearsed(ptp: Ptp, online: tuple[str, ...]) -> None:
    assert ptp("migrate", "--rehearse", "--source", "old.db")[0] == 0
    code, _, err = ptp("migrate", *PROD, *online, "--confirm", "old.db")
    assert (code, err) == (0, "")
    assert Path("new.db").is_file()


@pytest.mark.usefixtures("prod")
def test_resuming_in_prod_wants_the_name_of_the_file_alone(ptp: Ptp) -> None:
    code, out, err = ptp("migrate", "--env", "prod", "--resume")
    assert (code, out) == (2, "")
    assert "--confirm old.db" in err
    code, _, err = ptp("migrate", "--env", "prod", "--resume", "--confirm", "old.db")
    assert code == 2
    assert "nothing to resume" in err


@pytest.mark.usefixtures("prod")
def test_a_rehearsal_that_failed_is_not_enough_for_prod(ptp: Ptp) -> None:
    edit("UPDATE users SET created_at = 'never' WHERE id = 1")
    assert ptp("migrate", "--rehearse", "--source", "old.db")[0] == 1
    code, _, err = ptp("migrate", *PROD, "--confirm", "old.db")
    assert code == 2
    assert "ended as fail" in err
    assert "users.created_at" in err


@pytest.mark.usefixtures("prod")
@pytest.mark.parametrize("env", [(), ("--env", "staging")])
def test_the_database_of_prod_is_not_taken_for_another(ptp: Ptp, env: tuple[str, ...]) -> None:
    code, out, err = ptp("migrate", *GIVEN, *env)
    assert (code, out) == (2, "")
    assert "is the database of prod" in err
    assert names() == {"old.db"}


def test_another_database_than_that_of_prod_wants_nothing(ptp: Ptp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURSO_DATABASE_URL", "old.db")
    shutil.copy("old.db", "other.db")
    monkeypatch.setenv("TURSO_DATABASE_URL_PROD", "other.db")
    assert ptp("migrate", "--env", "dev", "--target", "new.db")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--target", "new.db"), "--source FILE"),
        (("--env", "dev", "--target", "new.db"), "TURSO_DATABASE_URL_DEV"),
        (("--source", "old.db", "--rehearse", "--dry-run"), "--rehearse goes alone"),
        (("--source", "old.db", "--rehearse", "--resume"), "--rehearse goes alone"),
        (("--source", "none.db", "--rehearse"), "none.db"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(ptp: Ptp, arguments: tuple[str, ...], words: str) -> None:
    code, out, err = ptp("migrate", *arguments)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert words in err
    assert names() == {"old.db"}


def test_no_secret_is_printed_or_written(ptp: Ptp, monkeypatch: pytest.MonkeyPatch) -> None:
    for env in ("", "_DEV", "_STAGING", "_PROD"):
        monkeypatch.setenv(f"TURSO_AUTH_TOKEN{env}", SECRET)
    monkeypatch.setenv("TURSO_DATABASE_URL_PROD", f"sqlite:///old.db?authToken={SECRET}")
    monkeypatch.setenv("TURSO_DATABASE_URL_STAGING", f"libsql://user:{SECRET}@db.example/x?authToken={SECRET}")
    said: list[Any] = [
        ptp("migrate", "--env", "staging", "--target", "new.db"),
        ptp("migrate", *PROD),
        ptp("migrate", *PROD, "--json"),
        ptp("migrate", *PROD, "--sql"),
        ptp("migrate", *PROD, "--confirm", "old.db"),
        ptp("migrate", "--rehearse", "--env", "prod"),
        ptp("migrate", *GIVEN),
        ptp("migrate", *PROD, "--confirm", "old.db"),
        ptp("run", *PROD, "--json"),
    ]
    assert [code for code, _, _ in said] == [2, 0, 0, 0, 2, 0, 2, 0, 0]
    assert SECRET not in str(said)
    files = [p for p in Path().rglob("*") if p.is_file()]
    assert len(files) > 5
    assert not [p for p in files if SECRET.encode() in p.read_bytes()]
