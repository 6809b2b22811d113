"""Backups in a folder: each with its record, checked without its source, let go by a policy, one command at a time."""

import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ptp.errors import DiskFull, Locked, NotADatabase, UsageError
from ptp.migration import backup as backups
from ptp.migration.record import Record, read_record, write_record
from ptp.migration.retention import Kept, decide
from ptp.results import write_json
from ptp.workbench import backing


def run(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for sql in statements:
            db.execute(sql)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    run(tmp_path / "app.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, a)", "INSERT INTO t VALUES (1, 'x'), (2, 'y')")
    run(tmp_path / "app.db", "CREATE TABLE u (a)", "PRAGMA journal_mode = WAL")
    return tmp_path / "app.db"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


def taken(app: Path, folder: Path) -> Path:
    return Path(backing.take(app, folder).tables["Backup"][0]["backup"])


def aged(path: Path, when: datetime, **changes: Any) -> Path:
    """The backup as if it had been taken then."""
    record = read_record(path)
    values = {f: getattr(record, f) for f in Record.__dataclass_fields__}
    write_record(path, Record(**{**values, "taken": when.strftime("%Y-%m-%dT%H:%M:%SZ"), **changes}))
    return path


def names(folder: Path) -> list[str]:
    return sorted(n for n in os.listdir(folder) if not n.startswith(".ptp-backup.lock"))


def test_backups_of_one_second_have_names_of_their_own_and_are_listed(app: Path, folder: Path) -> None:
    found = [taken(app, folder) for _ in range(3)]
    assert len(set(found)) == 3
    assert all(p.name.startswith("app-2") and p.name.count("Z") == 1 for p in found)
    listed = backing.list_backups(folder)
    assert {b.path for b in listed} == set(found)
    assert {b.record.source for b in listed} == {str(app)}
    assert backing.readable(listed)[0]["rows"] == 2
    assert len(names(folder)) == 6


def test_a_file_without_a_record_is_no_backup(app: Path, folder: Path) -> None:
    path = taken(app, folder)
    (folder / "other.db").write_bytes(path.read_bytes())
    assert [b.path for b in backing.list_backups(folder)] == [path]
    with pytest.raises(UsageError, match=r"other\.db has no record other\.db\.json beside it"):
        backing.check([folder / "other.db"])
    with pytest.raises(UsageError, match=r"other\.db has no record"):
        backing.bring_back(folder / "other.db", app, folder)


def spoil(path: Path, place: int) -> None:
    found = bytearray(path.read_bytes())
    found[place] ^= 1
    path.write_bytes(found)


def test_a_check_proves_a_backup_without_its_source_and_sees_what_became_of_it(app: Path, folder: Path) -> None:
    path = taken(app, folder)
    app.unlink()

    def problem() -> str:
        (finding,) = backing.check([path]).findings
        assert (finding.verdict == "fail") == bool(finding.where)
        return "".join(finding.where)

    content, record = path.read_bytes(), read_record(path)
    assert problem() == ""
    spoil(path, len(content) - 1)
    assert "its bytes are not those that were proven" in problem()
    path.write_bytes(content + b"\0")
    assert "bytes, and had" in problem()
    path.write_bytes(content)
    aged(path, datetime.now(UTC), rows={"t": 3, "u": 0})
    assert problem() == "table t had 3 rows, and has 2"
    run(path, "DELETE FROM t")
    aged(path, datetime.now(UTC), rows=record.rows)
    assert problem() != ""
    path.write_bytes(content)
    (folder / f"{path.name}-wal").write_bytes(b"frames")
    assert "opened and written to" in problem()
    (folder / f"{path.name}-wal").unlink()
    assert problem() == ""
    path.unlink()
    assert "there is no file" in problem()
    assert [n for n in names(folder) if "partial" in n or "check" in n] == []


def test_a_backup_whose_bytes_changed_is_not_restored(app: Path, folder: Path) -> None:
    path = taken(app, folder)
    spoil(path, 5_000)
    before = app.read_bytes()
    with pytest.raises(UsageError, match="is not restored: its bytes are not those that were proven"):
        backing.bring_back(path, app, folder)
    assert app.read_bytes() == before


def test_a_restore_keeps_what_it_replaces_as_a_backup_and_tells_how_to_undo(app: Path, folder: Path) -> None:
    path = taken(app, folder)
    run(app, "DELETE FROM t WHERE id = 1", "CREATE TABLE more (a)")
    rows = backing.compared_rows(backing.restoring(path, app, folder))
    assert {r["table"]: (r["rows now"], r["restored"]) for r in rows} == {"t": (1, 2), "u": (0, 0), "more": (0, "-")}
    stage = backing.bring_back(path, app, folder)
    assert [f.verdict for f in stage.findings] == ["pass"]
    (aside,) = {b.path for b in backing.list_backups(folder)} - {path}
    assert read_record(aside).rows == {"t": 1, "u": 0, "more": 0}
    assert backing.undo_of(stage) == f"ptp backup restore {aside} --target {app}"
    assert [f.verdict for f in backing.check([path, aside]).findings] == ["pass", "pass"]


@pytest.mark.parametrize(
    ("target", "sentence"),
    [("backups", "it is a folder"), ("none/app.db", "There is no folder"), ("", "backup itself")],
)
def test_a_target_that_cannot_be_is_refused(app: Path, folder: Path, target: str, sentence: str) -> None:
    path = taken(app, folder)
    with pytest.raises(UsageError, match=sentence):
        backing.bring_back(path, app.parent / target if target else path, folder)
    assert [f.verdict for f in backing.check([path]).findings] == ["pass"]


def test_leftovers_of_one_who_was_killed_are_cleared_by_the_next(app: Path, folder: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from ptp.workbench import backing\n"
        "def told(share, text):\n"
        "    if 'proving' in text: os.kill(os.getpid(), signal.SIGKILL)\n"
        "backing.take(Path(sys.argv[1]), Path(sys.argv[2]), progress=told)"
    )
    ended = subprocess.run([sys.executable, "-c", program, app, folder], check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert [n for n in names(folder) if n.endswith(".partial")]
    assert backing.list_backups(folder) == []
    (folder / "app-20200102T030405Z.db.json").write_text("{}", encoding="utf-8")
    kept = ("mine.partial", "app.db.json", "app-2020.db.partial")
    for name in kept:
        (folder / name).write_text("mine", encoding="utf-8")

    path = taken(app, folder)

    assert names(folder) == sorted((*kept, path.name, f"{path.name}.json"))


def test_two_at_once_do_not_clear_each_other(app: Path, folder: Path) -> None:
    folder.mkdir()
    with (folder / ".ptp-backup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for call in (
            lambda: backing.take(app, folder),
            lambda: backing.prune(folder, folder, keep=1, days=0, dry_run=True),
        ):
            with pytest.raises(Locked, match="Another ptp backup is at work"):
                call()
    assert names(folder) == []


def test_room_is_asked_for_before_anything_is_written(app: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = taken(app, folder)
    before = names(folder), app.read_bytes()
    monkeypatch.setattr(backups.shutil, "disk_usage", lambda folder: SimpleNamespace(free=app.stat().st_size))
    for call in (lambda: backing.take(app, folder), lambda: backing.bring_back(path, app, folder)):
        with pytest.raises(DiskFull, match="MB free, and this needs about"):
            call()
    assert (names(folder), app.read_bytes()) == before


def test_what_is_no_database_is_refused(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "notes.db").write_bytes(b"notes" * 100)
    with pytest.raises(NotADatabase):
        backing.take(tmp_path / "notes.db", folder)
    assert not folder.exists()


NOW = datetime(2026, 5, 10, 12, tzinfo=UTC)


def invented(days_ago: float, source: str = "app.db") -> Kept:
    when = NOW - timedelta(days=days_ago)
    record = Record(source, when.strftime("%Y-%m-%dT%H:%M:%SZ"), 1, "", {}, "wal", 1, "", 0, 0, "", {}, "yes")
    return Kept(Path(f"{source}-{days_ago}"), record)


def stays(*ages: float, keep: int, days: int, **more: Any) -> list[float]:
    found = [invented(age) for age in ages]
    chosen = {"proven": [], "named": [], **more}
    return sorted(
        float(d.backup.path.name.split("-")[1])
        for d in decide(found, keep=keep, days=days, now=NOW, **chosen)
        if d.reason
    )


def test_the_newest_stay_and_the_newest_of_each_day() -> None:
    # Noon of 10 May: 0.1 and 0.2 are of the 10th, 0.6 and 1 of the 9th, 2 of the 8th, 2.6 of the 7th, 40 of long ago.
    ages = (0.2, 0.1, 2.6, 1, 0.6, 40, 2)
    assert stays(*ages, keep=1, days=0) == [0.1]
    assert stays(*ages, keep=3, days=0) == [0.1, 0.2, 0.6]
    assert stays(*ages, keep=1, days=1) == [0.1]
    assert stays(*ages, keep=1, days=3) == [0.1, 0.6, 2]
    assert stays(*ages, keep=2, days=400) == [0.1, 0.2, 0.6, 2, 2.6, 40]
    assert stays(*ages, keep=1, days=0, named=[Path("app.db-40")]) == [0.1, 40]
    assert stays(*ages, keep=1, days=0, proven=[Path("app.db-2"), Path("app.db-40")]) == [0.1, 2]


def test_each_database_has_its_own_newest() -> None:
    found = [invented(1), invented(2), invented(3, "other.db"), invented(4, "other.db")]
    decided = decide(found, keep=1, days=0, now=NOW, proven=[], named=[])
    assert {d.backup.path.name for d in decided if d.reason} == {"app.db-1", "other.db-3"}


def test_pruning_removes_what_it_said_and_never_the_last_that_is_whole(app: Path, folder: Path, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    paths = [aged(taken(app, folder), now - timedelta(days=age)) for age in (0, 1, 2, 3, 4)]
    spoil(paths[0], 5_000)
    paths[1].unlink()
    write_json(folder / f"{paths[1].name}.json.kept", {})
    run_folder = tmp_path / "reports" / "run-1"
    run_folder.mkdir(parents=True)
    write_json(run_folder / "journal.json", {"phases": [{"phase": "cut over", "backup": str(paths[4])}]})

    def prune(**more: Any) -> dict[Path, str]:
        decided = backing.prune(folder, tmp_path / "reports", keep=1, days=0, **more)
        return {d.backup.path: d.reason for d in decided}

    said = prune(dry_run=True)
    assert [p.exists() for p in paths] == [True, False, True, True, True]
    assert said == {
        paths[0]: "one of the newest 1",
        paths[2]: "the newest that is proven",
        paths[3]: "",
        paths[4]: "a run relies on it",
    }
    assert prune(dry_run=False) == said
    assert [p.exists() for p in paths] == [True, False, True, False, True]
    assert not (folder / f"{paths[3].name}.json").exists()
    assert [f.verdict for f in backing.check(paths[2:3]).findings] == ["pass"]


def test_a_folder_that_is_not_there_has_no_backups_and_is_not_made(folder: Path) -> None:
    assert backing.list_backups(folder) == []
    assert backing.prune(folder, folder, keep=1, days=0, dry_run=False) == []
    assert backing.interrupted(folder) == ""
    assert not folder.exists()
