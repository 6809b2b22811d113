"""`ptp replica` as a user meets it: what it prints, its JSON, its exit codes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from ptp.cli import main
from tests.replicas.conftest import HASTY
from tests.replicas.primary import sql
from tests.replicas.server import SyncServer, needs_server

pytestmark = needs_server


@pytest.fixture(autouse=True)
def in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ptp.engine.replicas.making.Patience", lambda **_: HASTY)


@pytest.fixture
def ptp(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs ptp; gives its exit code, and what it printed."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ptp", *words])
        monkeypatch.setattr("signal.signal", lambda *_: None)
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return run


def test_a_replica_from_its_making_to_its_end(server: SyncServer, ptp: Any, tmp_path: Path) -> None:
    code, out, _ = ptp("replica", "create", "--replica", "near.db", "--remote", server.url)
    assert code == 0
    assert out.endswith("Next: ptp replica pull --replica near.db --every 5\n")

    sql(server, "INSERT INTO item (id) VALUES (300)")
    code, out, _ = ptp("replica", "status", "--replica", "near.db", "--limit", "0")
    assert code == 1
    assert "the primary has news that are not here" in out
    code, out, _ = ptp("replica", "pull", "--replica", "near.db")
    assert code == 0
    assert "changed:          yes" in out
    code, out, _ = ptp("replica", "status", "--replica", "near.db", "--limit", "0")
    assert code == 0
    assert "Replica: pass" in out

    code, out, _ = ptp("replica", "check", "--replica", "near.db", "--json")
    assert code == 0
    told = json.loads(out)
    assert {r["id"]: r["verdict"] for r in told["results"]} == dict.fromkeys(
        ("replica.schema", "replica.content", "replica.pages", "replica.helpers", "replica.fresh"), "pass"
    )
    assert told["tables"]["Tables"] == [{"table": "item", "rows": 4, "primary rows": 4, "equal": True}]

    assert ptp("replica", "rebuild", "--replica", "near.db")[0] == 0
    assert ptp("replica", "remove", "--replica", "near.db")[0] == 0
    assert list(tmp_path.glob("near.db*")) == []


def test_an_outage_ends_no_loop_and_is_told(server: SyncServer, ptp: Any) -> None:
    ptp("replica", "create", "--replica", "near.db", "--remote", server.url)
    loop = ("replica", "pull", "--replica", "near.db", "--every", "0.01", "--count", "2")
    code, out, _ = ptp(*loop)
    assert code == 0
    assert out.count("nothing new in") == 2

    server.kill()
    code, out, _ = ptp(*loop, "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 4
    assert [line["changed"] for line in lines] == [False, False]
    assert all("cannot be reached" in line["problem"] for line in lines)
    assert 0 < lines[0]["age_s"] < lines[1]["age_s"]

    code, out, err = ptp("replica", "status", "--replica", "near.db")
    assert (code, err) == (3, "")
    assert "Reads go on" in out
    code, _, err = ptp("replica", "pull", "--replica", "near.db")
    assert code == 4
    assert err.startswith(f"ptp: {server.url} cannot be reached")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("status", "--replica", "none.db"), "none.db is not there, or is none"),
        (("create", "--replica", "near.db", "--remote", "ws://h"), "is no address that replicas pull from"),
        (("create", "--replica", "no/near.db", "--remote", "http://127.0.0.1:9"), "There is no folder no"),
        (("create", "--replica", "primary.db", "--remote", "http://127.0.0.1:9"), "is there already"),
        (("rebuild", "--replica", "primary.db", "--remote", "http://127.0.0.1:9"), "is no replica"),
        (("remove", "--replica", "primary.db"), "is no replica"),
        (("pull", "--replica", "primary.db", "--remote", "http://127.0.0.1:9"), "is no replica that ptp made"),
        (("pull", "--replica", "near.db", "--count", "1"), "--count goes with --every"),
        (("pull", "--replica", "near.db", "--every", "0"), "--every"),
        (("create", "--replica", "near.db"), "--remote"),
    ],
)
def test_bad_input_is_one_sentence_and_changes_nothing(
    server: SyncServer, ptp: Any, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    before = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    code, out, err = ptp("replica", *words)
    assert code == 2
    assert told in err
    assert err.count("\n") == 1
    assert out == ""
    assert {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize("command", ["create", "pull", "status", "check", "rebuild", "remove"])
def test_help_has_an_example(ptp: Any, command: str) -> None:
    code, out, _ = ptp("replica", command, "--help")
    assert code == 0
    assert f"Example: ptp replica {command} --replica near.db" in out


def test_a_migration_to_a_replica_is_refused_and_nothing_is_written(
    server: SyncServer, ptp: Any, tmp_path: Path
) -> None:
    ptp("replica", "create", "--replica", "near.db", "--remote", server.url)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    code, _, err = ptp("migrate", "--source", "near.db", "--target", f"turso-sync:near.db?remote={server.url}")
    assert code == 2
    assert err.count("\n") == 1
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
