"""`ptp backup` as it is typed: what it prints, its JSON, its exit codes, and one sentence for what it refuses."""

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ptp import cli

Ptp = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ptp(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Ptp]:
    """Calls the command line in this process, in an empty folder with a small database app.db."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    monkeypatch.chdir(tmp_path)
    write("CREATE TABLE t (a)", "INSERT INTO t VALUES (1), (2)", "PRAGMA journal_mode = WAL")

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ptp", "backup", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, said.out, said.err

    yield call
    for number, handler in handlers.items():
        signal.signal(number, handler)


def write(*statements: str) -> None:
    with closing(sqlite3.connect("app.db", isolation_level=None)) as db:
        for sql in statements:
            db.execute(sql)


def count() -> int:
    with closing(sqlite3.connect("app.db")) as db:
        found: int = db.execute("SELECT count(*) FROM t").fetchone()[0]
        return found


def test_taken_listed_checked_restored_undone_and_let_go(ptp: Ptp) -> None:
    code, out, err = ptp("take", "--source", "app.db", "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    (row,) = document["tables"]["Backup"]
    assert (document["verdict"], row["rows"], row["of"]) == ("pass", 2, "app.db")
    backup = row["backup"]
    assert backup.startswith("backups/app-")

    (listed,) = json.loads(ptp("list", "--json")[1])["backups"]
    assert (listed["path"], listed["rows"], listed["journal_mode"]) == (backup, {"t": 2}, "wal")
    assert "1 backups in backups." in ptp("list")[1]
    assert ptp("check", backup)[0] == 0

    write("DELETE FROM t")
    code, out, _ = ptp("restore", backup, "--target", "app.db", "--dry-run", "--json")
    assert (code, json.loads(out)["tables"]) == (0, [{"table": "t", "rows now": 0, "restored": 2}])
    assert count() == 0
    code, out, _ = ptp("restore", backup, "--target", "app.db")
    assert (code, count()) == (0, 2)
    undo = out.splitlines()[-1].removeprefix("To undo it: ptp backup ").split()
    assert ptp(*undo)[0] == 0
    assert count() == 0

    code, out, _ = ptp("prune", "--keep", "1", "--days", "0", "--dry-run")
    assert (code, out.splitlines()[-2]) == (0, "2 of 3 backups would be removed.")
    found = json.loads(ptp("prune", "--keep", "1", "--days", "0", "--json")[1])
    assert sum(not b["stays"] for b in found["backups"]) == 2
    assert len(list(Path("backups").glob("*.db"))) == len(list(Path("backups").glob("*.json"))) == 1


def test_a_spoilt_backup_fails_its_check(ptp: Ptp) -> None:
    ptp("take", "--source", "app.db")
    (backup,) = Path("backups").glob("*.db")
    backup.write_bytes(backup.read_bytes()[:-1] + b"?")
    code, out, _ = ptp("check")
    assert code == 1
    assert "its bytes are not those that were proven" in out


MISTAKES = {
    "no source": (("take", "--source", "none.db"), "none.db"),
    "no backup": (("restore", "none.db", "--target", "app.db"), "There is no backup none.db: ptp backup list"),
    "nothing to check": (("check",), "There is no backup to check"),
    "a policy that keeps nothing": (("prune", "--keep", "0"), "--keep"),
    "no target": (("restore", "none.db"), "--target"),
}


@pytest.mark.parametrize(("arguments", "named"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_one_sentence(ptp: Ptp, arguments: tuple[str, ...], named: str) -> None:
    code, out, err = ptp(*arguments)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert named in err
    assert sorted(p.name for p in Path.cwd().iterdir()) == ["app.db"]


def test_a_restore_that_was_killed_is_told_by_the_next_command(ptp: Ptp) -> None:
    ptp("take", "--source", "app.db")
    (backup,) = Path("backups").glob("*.db")
    write("DELETE FROM t")
    program = (
        "import os, signal, sys; from ptp import cli; from ptp.migration import restore\n"
        "restore.compare = lambda *given, **more: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"sys.argv = ['ptp', 'backup', 'restore', '{backup}', '--target', 'app.db']; cli.main()"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == -signal.SIGKILL
    code, out, err = ptp("list", "--json")
    assert (code, len(json.loads(out)["backups"]), count()) == (0, 2, 2)
    assert "was cut off" in err
    assert "app.db is the backup, whole; what was there before is in" in err
    assert ptp("list")[2] == ""


@pytest.mark.parametrize("name", ["take", "list", "check", "restore", "prune"])
def test_every_command_has_help_with_an_example(ptp: Ptp, name: str) -> None:
    code, out, err = ptp(name, "--help")
    assert (code, err) == (0, "")
    assert f"Example: ptp backup {name} " in out
    assert "--json" in out
