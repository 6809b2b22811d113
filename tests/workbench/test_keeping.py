"""`ptp quarantine` from the command line: what it lists and masks, what it refuses, what it ends with."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ptp import cli
from ptp.workbench.keeping import list_quarantine
from ptp.workbench.migrating import migrate
from ptp.workload.demo import write_demo

SECRET = "hidden@example.org"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A target with values and rows in quarantine, personal ones among them."""
    folder = tmp_path_factory.mktemp("keeping")
    source = write_demo(shape="drizzle", size="tiny", seed=5, out=folder / "source.db").path
    with closing(sqlite3.connect(source, isolation_level=None)) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        # A user on whom test attempts hang, and no question.
        db.execute(
            "UPDATE users SET email = CAST(? AS BLOB) WHERE id = (SELECT min(user_id) FROM test_attempts "
            "WHERE user_id NOT IN (SELECT reviewed_by FROM questions WHERE reviewed_by IS NOT NULL))",
            (SECRET,),
        )
        db.execute("UPDATE users SET bio = CAST(? AS BLOB) WHERE id = 4 AND typeof(email) = 'text'", (SECRET,))
        db.execute("UPDATE users SET last_login = 'now' WHERE typeof(email) = 'text'")
        db.execute("UPDATE questions SET tags = CAST(X'5BFF1B5B316D' AS TEXT) WHERE id = 2")
    migrate(source, folder / "target.db", folder, run="first", on_dirty="quarantine")
    return folder / "target.db"


@pytest.fixture
def target(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(built, tmp_path / "target.db"))


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def ptp(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ptp", "quarantine", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return ptp


def count(target: Path, where: str) -> int:
    with closing(sqlite3.connect(target)) as db:
        number: int = db.execute(f"SELECT count(*) FROM ptp_quarantine WHERE {where}").fetchone()[0]
        return number


def test_the_list_counts_by_kind_and_masks_what_is_personal(target: Path, call: Any) -> None:
    code, out, _ = call("list", "--target", target, "--json")
    groups = {(g["table"], g["column"], g["reason"]): g for g in json.loads(out)["groups"]}
    assert code == 0
    assert SECRET not in out
    login = groups["users", "last_login", "rejected: not a time"]
    assert (login["kind"], login["run"]) == ("value", "first")
    assert login["count"] == count(target, "column_name = 'last_login' AND kind = 'value'") > 5
    with closing(sqlite3.connect(target)) as db:
        ids = [n for (n,) in db.execute("SELECT id FROM users ORDER BY id LIMIT 5")]
    assert login["examples"] == [{"key": str(n), "column": "last_login", "original": "text 'now'"} for n in ids]
    assert groups["users", "bio", "rejected: blob"]["examples"] == [
        {"key": "4", "column": "bio", "original": f"blob of {len(SECRET)} (personal, masked)"}
    ]
    whole = groups["users", "(whole row)", "rejected: blob (email)"]
    assert (whole["count"], whole["kind"]) == (1, "row")
    gone = whole["examples"][0]["key"]
    assert whole["examples"] == [
        {"key": gone, "column": "email", "original": f"blob of {len(SECRET)} (personal, masked)"}
    ]
    orphans = groups["test_attempts", "(whole row)", "rejected: no such row in users (user_id)"]
    assert orphans["count"] == count(target, "table_name = 'test_attempts' AND column_name = 'id'")
    assert {e["original"] for e in orphans["examples"]} == {f"integer {gone}"}


def test_the_list_in_words_is_printable_and_names_the_next_step(target: Path, call: Any) -> None:
    code, out, _ = call("list", "--target", target, "--table", "questions")
    assert code == 0
    assert "key 2: text '[\\xff" in out
    assert "users" not in out
    assert "1 single values and 0 whole rows stand in quarantine." in out
    assert out.splitlines()[-1] == f"Next: ptp quarantine export --target {target} --out DIR"


def test_columns_that_no_schema_knows_are_masked(target: Path, call: Any) -> None:
    with closing(sqlite3.connect(target)) as db:
        db.execute("UPDATE ptp_quarantine SET column_name = 'nick' WHERE column_name = 'last_login' AND kind = 'value'")
        db.commit()
    out = call("list", "--target", target, "--json")[1]
    nick = next(g for g in json.loads(out)["groups"] if g["column"] == "nick")
    assert {e["original"] for e in nick["examples"]} == {"text of 3 (personal, masked)"}


def test_an_empty_quarantine_is_no_error(target: Path, tmp_path: Path, call: Any) -> None:
    with closing(sqlite3.connect(target)) as db:
        db.execute("DELETE FROM ptp_quarantine")
        db.commit()
    code, out, _ = call("list", "--target", target)
    assert (code, out.splitlines()[-1]) == (0, f"Next: ptp health --target {target}")
    assert call("export", "--target", target, "--out", tmp_path / "out")[0] == 0
    assert call("export", "--target", target, "--check", tmp_path / "out")[0] == 0
    assert call("retry", "--target", target)[0] == 0


def test_memory_does_not_grow_with_the_entries(target: Path) -> None:
    def peak() -> int:
        tracemalloc.start()
        list_quarantine(target)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    before = peak()
    with closing(sqlite3.connect(target)) as db:
        db.execute(
            "INSERT INTO ptp_quarantine (run, kind, table_name, row_key, column_name, original, reason) "
            "SELECT 'first', 'value', 'users', value, 'last_login', 'now' || hex(zeroblob(500)), "
            "'rejected: not a time' FROM generate_series(1, 20000)"
            if db.execute("SELECT count(*) FROM pragma_module_list WHERE name = 'generate_series'").fetchone()[0]
            else "WITH RECURSIVE n (v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM n WHERE v < 20000) INSERT INTO "
            "ptp_quarantine (run, kind, table_name, row_key, column_name, original, reason) SELECT 'first', 'value', "
            "'users', v, 'last_login', 'now' || hex(zeroblob(500)), 'rejected: not a time' FROM n"
        )
        db.commit()
    assert peak() < before + 200_000


def test_export_and_check_end_with_their_codes(target: Path, tmp_path: Path, call: Any) -> None:
    folder = tmp_path / "out"
    code, out, _ = call("export", "--target", target, "--out", folder, "--json")
    document = json.loads(out)
    assert (code, document["verdict"]) == (0, "pass")
    assert sum(f["entries"] for f in document["tables"]["Files"]) == count(target, "1")
    assert call("export", "--target", target, "--check", folder)[0] == 0
    code, _, error = call("export", "--target", target, "--out", folder)
    assert (code, error) == (2, f"ptp: {folder} is not empty: name a new folder with --out.\n")
    with closing(sqlite3.connect(target)) as db:
        db.execute("UPDATE ptp_quarantine SET original = 'never' WHERE column_name = 'last_login' AND kind = 'value'")
        db.commit()
    code, out, _ = call("export", "--target", target, "--check", folder)
    assert code == 1
    assert "the database holds another original" in out


def test_retry_says_what_it_did_and_what_to_do_next(target: Path, call: Any) -> None:
    code, out, _ = call("retry", "--target", target, "--dry-run")
    assert code == 0
    assert "still rejected:" in out
    assert "came home" not in out
    assert out.splitlines()[-1] == f"Next: ptp quarantine retry --target {target}"
    code, out, _ = call("retry", "--target", target, "--json")
    rows = {(r["table"], r["column"]): r for r in json.loads(out)["tables"]["Outcome"]}
    assert code == 0
    assert rows["users", "bio"] == {
        "table": "users",
        "column": "bio",
        "came home": 0,
        "rounded": 0,
        "still rejected": 1,
        "refused": 0,
        "changed since": 0,
        "row gone": 0,
        "stays for": "1 rejected: blob",
    }
    assert (
        call("retry", "--target", target)[1].splitlines()[-1] == f"Next: ptp verify --source SOURCE --target {target}"
    )


@pytest.mark.parametrize("command", [("list",), ("export", "--out", "out"), ("retry",), ("retry", "--dry-run")])
def test_a_file_without_a_quarantine_is_refused(
    target: Path, tmp_path: Path, call: Any, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as db:
        db.execute("CREATE TABLE t (x)")
    with closing(sqlite3.connect(target)) as db:
        db.execute("DROP TABLE ptp_quarantine")
    for file, sentence in (
        (other, "was not built by ptp: it has no journal"),
        (target, "has no quarantine: its table ptp_quarantine is missing"),
        (tmp_path / "none.db", "There is no file"),
    ):
        code, out, error = call(*command, "--target", file)
        assert (code, out) == (2, "")
        assert sentence in error
        assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("list", "--table", "user"), "There is no table user for the quarantine"),
        (("export", "--table", "user", "--out", "out"), "There is no table user for the quarantine"),
        (("export",), "Give --out DIR to write an export, or --check DIR to compare one"),
        (("export", "--out", "a", "--check", "b"), "Give --out DIR"),
        (("export", "--table", "users", "--check", "b"), "--table goes with --out"),
        (("export", "--check", "nowhere"), "is no finished export"),
        (("retry", "--dry"), "No such option"),
    ],
)
def test_a_wrong_call_is_refused_in_one_sentence(
    target: Path, tmp_path: Path, call: Any, monkeypatch: pytest.MonkeyPatch, arguments: Any, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, error = call(*arguments, "--target", target)
    assert (code, out) == (2, "")
    assert sentence in error


def test_a_target_that_cannot_be_written_is_listed_and_exported_but_not_retried(
    target: Path, tmp_path: Path, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert call("list", "--target", target)[0] == 0
    code, _, error = call("retry", "--target", target)
    assert (code, "cannot be written: it is read-only" in error) == (2, True)


@pytest.mark.parametrize("command", ["list", "export", "retry"])
def test_each_command_has_an_example(call: Any, command: str) -> None:
    code, out, _ = call(command, "--help")
    assert (code, f"Example: ptp quarantine {command} --target" in out) == (0, True)
