"""The commands against servers, as they are typed: demo, migrate, verify, backup, step; both shapes, two protocols.

The witness is sqlite3 on the server's own file, and a migration of the same source as a file.
"""

from __future__ import annotations

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
from ptp.migration.build import partial_of
from ptp.results import Finding
from ptp.workbench.migrating import migrate
from tests.migration.moving import contents
from tests.migration.remote.conftest import run_sql
from tests.remote.standin import Faults, StandIn

Ptp = Callable[..., tuple[int, Any, str]]
TOKEN = "planted-token-0123456789"


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def ptp(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Ptp:
    """Calls the command line in this process with --json, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, Any, str]:
        monkeypatch.setattr(sys, "argv", ["ptp", *arguments, "--json"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, json.loads(said.out) if said.out else None, said.err

    return call


def findings(document: Any) -> dict[str, str]:
    return {r["id"]: r["verdict"] for r in document["results"] if r["id"].startswith(("remote.", "step.", "backup."))}


def empty(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE t (a)")
        db.execute("DROP TABLE t")
    return path


def steps_of(path: Path) -> int:
    found: int = run_sql(path, "SELECT count(*) FROM ptp_journal WHERE kind = 'step'")[0][0]
    return found


def test_a_database_moves_from_server_to_server(ptp: Ptp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ptp("demo", "--size", "tiny", "--out", "old.db")[0] == 0
    shutil.copy("old.db", "same.db")
    with (
        StandIn(tmp_path / "old.db", token=TOKEN) as old,
        StandIn(empty(tmp_path / "new.db"), token=TOKEN) as new,
        StandIn(empty(tmp_path / "third.db"), token=TOKEN) as third,
    ):
        monkeypatch.setenv("TURSO_AUTH_TOKEN", TOKEN)
        # Cut off in the middle of the load by a token that ends; the same command goes on.
        new.set_faults(Faults(script={30: "expired_token"}))
        given = ("migrate", "--source", old.http, "--target", new.http, "--out", "run", "--on-dirty", "quarantine")
        code, _, said = ptp(*given)
        assert (code, "refused the token" in said) == (2, True)
        code, _, said = ptp("migrate", "--source", old.http, "--target", new.http, "--out", "other")
        assert (code, "--resume" in said) == (2, True)
        code, _, said = ptp(*given)
        assert (code, "holds a run already" in said) == (2, True)
        code, found, _ = ptp(*given, "--resume")
        assert code == 0
        assert findings(found) == dict.fromkeys(
            [f"remote.source-{what}" for what in ("mirrored", "unchanged")]
            + [f"remote.target-{what}" for what in ("verified", "equals", "references", "search", "besides", "open")],
            "pass",
        )
        _is_what_a_file_becomes(tmp_path, "new.db")

        run_sql(tmp_path / "new.db", "UPDATE user_answers SET selected_answer = 'z' WHERE id = 7")
        code, found, _ = ptp("verify", "--source", old.http, "--target", new.http)
        assert (code, found["verdict"], findings(found)["remote.target-mirrored"]) == (1, "fail", "pass")

        number = steps_of(tmp_path / "new.db")
        assert ptp("step", "--target", new.http, "--down", "--out", "down")[0] == 0
        assert steps_of(tmp_path / "new.db") == number - 1
        code, found, _ = ptp("step", "--target", new.http, "--out", "up")
        assert (code, findings(found)["remote.stepped"]) == (0, "pass")
        assert steps_of(tmp_path / "new.db") == number

        code, found, _ = ptp("backup", "take", "--source", new.http)
        backup = found["tables"]["Backup"][0]["backup"]
        assert (code, json.loads(Path(f"{backup}.json").read_text())["source"]) == (0, new.http)
        assert ptp("backup", "restore", backup, "--target", new.http)[0] == 2  # it is not empty
        assert ptp("backup", "restore", backup, "--target", third.http)[0] == 0
        assert contents(tmp_path / "third.db") == contents(tmp_path / "new.db")
    assert not list(tmp_path.rglob(partial_of(Path("*")).name))
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert not [p for p in files if TOKEN.encode() in p.read_bytes()]


def _is_what_a_file_becomes(place: Path, name: str) -> None:
    (place / "beside").mkdir()
    migrate(place / "same.db", place / "beside.db", place / "beside", run="r", on_dirty="quarantine")
    assert contents(place / name) == contents(place / "beside.db")
    kinds = (
        "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE '%search\\_%' ESCAPE '\\' "
        "AND name NOT LIKE 'sqlite\\_stat%' ESCAPE '\\' ORDER BY 1, 2"
    )
    assert run_sql(place / name, kinds) == run_sql(place / "beside.db", kinds)
    assert run_sql(place / name, "SELECT count(*) FROM question_search WHERE question_search MATCH 'the'")[0][0] > 0


def test_a_file_moves_to_a_server_over_websocket(ptp: Ptp, tmp_path: Path) -> None:
    assert ptp("demo", "--size", "tiny", "--shape", "drizzle", "--out", "same.db")[0] == 0
    with StandIn(empty(tmp_path / "new.db")) as new:
        code, found, _ = ptp("migrate", "--source", "same.db", "--target", new.ws, "--out", "run",
                             "--on-dirty", "quarantine")  # fmt: skip
        assert (code, findings(found)["remote.target-equals"]) == (0, "pass")
    _is_what_a_file_becomes(tmp_path, "new.db")


def test_a_source_that_was_written_to_is_told_and_nothing_is_opened(
    ptp: Ptp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ptp.workbench import remote_migrating

    def verified(*_: Any) -> Finding:
        run_sql(tmp_path / "old.db", "UPDATE users SET name = 'else' WHERE id = 1")
        return Finding("remote.target-verified", "not looked at here", "pass")

    monkeypatch.setattr(remote_migrating, "_verified", verified)
    assert ptp("demo", "--size", "tiny", "--out", "old.db")[0] == 0
    with StandIn(tmp_path / "old.db") as old:
        code, _, said = ptp("migrate", "--source", old.http, "--target", "new.db", "--out", "run",
                            "--on-dirty", "quarantine")  # fmt: skip
    assert (code, "was written to while it was migrated (users, keys" in said) == (4, True)
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--online",), "stop what writes to it"),
        (("--rehearse", "--resume", "--out", "r"), "--rehearse goes alone"),
        (("--resume",), "Give --out DIR with --resume"),
        (("--resume", "--out", "nothing"), "nothing to go on with"),
    ],
)
def test_what_a_server_does_not_bear_is_refused_in_a_sentence(ptp: Ptp, more: tuple[str, ...], sentence: str) -> None:
    code, _, said = ptp("migrate", "--source", "http://127.0.0.1:9", "--target", "http://127.0.0.1:9/x", *more)
    assert (code, sentence in said, said.count("\n")) == (2, True, 1)
