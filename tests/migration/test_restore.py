"""A restore brings back what the backup holds, whatever stands beside the file; who is killed leaves one of both whole."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ptp.errors import CannotFinish, DiskFull, Locked, NotADatabase
from ptp.migration import restore as restores
from ptp.migration.backup import take_backup
from ptp.migration.record import read_record
from ptp.migration.restore import Restore, restore, settle


def quiet(share: float, text: str) -> None: ...


def run(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for sql in statements:
            db.execute(sql)


def ask(path: Path, sql: str) -> Any:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchone()[0]


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return list(db.iterdump())


def fill(rows: int, start: int = 1) -> str:
    return (
        f"INSERT INTO t WITH RECURSIVE c(n) AS (SELECT {start} UNION ALL SELECT n + 1 FROM c LIMIT {rows}) "
        "SELECT n, 'old', hex(randomblob(100)) FROM c"
    )


class Case:
    """A database, a backup of it, and what a restore of it is to be called with."""

    def __init__(self, folder: Path, *, mode: str = "wal", rows: int = 300) -> None:
        self.folder = folder
        self.app, self.backup, self.aside, self.note = (
            folder / name for name in ("app.db", "backup.db", "aside.db", "note.json")
        )
        run(self.app, "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b)", fill(rows), f"PRAGMA journal_mode = {mode}")
        take_backup(self.app, self.backup, progress=quiet, record=True)
        self.content = dump(self.backup)

    @property
    def todo(self) -> Restore:
        mode = read_record(self.backup).journal_mode
        return Restore(self.backup, self.app, self.aside, mode, "2026-01-02T03:04:05Z")

    def restore(self) -> Any:
        return restore(self.todo, self.note, progress=quiet)

    def beside(self) -> list[str]:
        return sorted(n for n in os.listdir(self.folder) if n.startswith("app") and n != "app.db")


MIGRATION = """
import os, signal, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA wal_autocheckpoint = 0")
db.execute("UPDATE t SET a = 'migrated'")
db.execute("CREATE TABLE more (a)")
db.execute("INSERT INTO more VALUES (1)")
os.kill(os.getpid(), signal.SIGKILL)
"""


def migrate_and_die(path: Path) -> None:
    """Change a database in WAL mode without a checkpoint, and die: all of it stands in the log only."""
    ended = subprocess.run([sys.executable, "-c", MIGRATION, path], check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert path.with_name(path.name + "-wal").stat().st_size > 0


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_a_log_that_is_left_does_not_come_back_over_what_was_restored(case: Case) -> None:
    migrate_and_die(case.app)
    case.restore()
    assert dump(case.app) == case.content
    assert case.beside() == []
    assert ask(case.aside, "SELECT count(*) FROM t WHERE a = 'migrated'") == 300, "kept, with what was in the log only"
    assert read_record(case.aside).rows == {"t": 300, "more": 1}


def test_a_log_that_is_left_without_its_database_does_not_come_back(case: Case) -> None:
    migrate_and_die(case.app)
    case.app.unlink()
    case.restore()
    assert dump(case.app) == case.content
    assert case.beside() == []
    assert not case.aside.exists()
    assert ask(case.app, "PRAGMA journal_mode") == "wal"


def test_the_trap_is_real_a_copy_over_the_file_brings_the_log_back(case: Case) -> None:
    run(case.backup, "PRAGMA journal_mode = WAL")
    migrate_and_die(case.app)
    shutil.copyfile(case.backup, case.app)
    assert dump(case.app) != case.content
    assert ask(case.app, "PRAGMA integrity_check") == "ok"


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_restore_gives_the_content_and_the_journal_mode_and_can_be_undone(tmp_path: Path, mode: str) -> None:
    case = Case(tmp_path, mode=mode)
    run(case.app, "DELETE FROM t WHERE id > 10", "CREATE TABLE more (a)")
    changed = dump(case.app)
    assert case.restore() == {"t": 300}
    assert (dump(case.app), ask(case.app, "PRAGMA journal_mode")) == (case.content, mode)
    assert (case.beside(), case.note.exists()) == ([], False)

    back = Restore(case.aside, case.app, tmp_path / "second.db", read_record(case.aside).journal_mode, "")
    restore(back, case.note, progress=quiet)
    assert (dump(case.app), ask(case.app, "PRAGMA journal_mode")) == (changed, mode)
    assert dump(tmp_path / "second.db") == case.content


OPEN = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("SELECT count(*) FROM t").fetchone()
for sql in sys.argv[2:]:
    db.execute(sql)
print("ready", flush=True)
sys.stdin.readline()
"""


@contextmanager
def opened(path: Path, *statements: str) -> Iterator[int]:
    """Another process that has a database open, and does nothing more."""
    command = [sys.executable, "-c", OPEN, str(path), *statements]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


HOLDERS = {
    "a reader in the log": ("wal", ("BEGIN", "SELECT count(*) FROM t")),
    "a writer in the log": ("wal", ("BEGIN IMMEDIATE", "INSERT INTO t (a) VALUES ('x')")),
    "one who does nothing, with a log": ("wal", ()),
    "a reader": ("delete", ("BEGIN", "SELECT count(*) FROM t")),
    "a writer": ("delete", ("BEGIN IMMEDIATE", "INSERT INTO t (a) VALUES ('x')")),
    "one who does nothing": ("delete", ()),
}


@pytest.mark.parametrize("sees_processes", [True, False], ids=["by process", "by lock"])
@pytest.mark.parametrize(("mode", "held"), HOLDERS.values(), ids=HOLDERS)
def test_a_database_that_others_have_open_is_refused_and_nothing_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, held: tuple[str, ...], sees_processes: bool
) -> None:
    monkeypatch.setenv("PTP_BUSY_TIMEOUT_MS", "40")
    case = Case(tmp_path, mode=mode, rows=20)
    before = {n: case.folder.joinpath(n).stat().st_ino for n in os.listdir(tmp_path)}
    with opened(case.app, *held) as process:
        if not sees_processes:
            if (mode, held) == ("delete", ()):
                pytest.skip("it holds no lock, and a transaction of another process does it no harm")
            monkeypatch.setattr(restores, "processes_with", lambda path: [])
        beside, content = case.beside(), case.app.read_bytes()
        with pytest.raises(Locked, match=f"process {process}" if sees_processes else "open in another program"):
            case.restore()
        assert case.beside() == beside
        assert case.app.read_bytes() == content
        assert {n: case.folder.joinpath(n).stat().st_ino for n in before} == before
        assert not case.aside.exists()
        assert not case.note.exists()
    case.restore()
    assert dump(case.app) == case.content


def test_nobody_comes_in_while_it_is_restored(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    run(case.app, "DELETE FROM t")
    original, tried = restores.step, []

    def try_to_write(*given: Any) -> None:
        for _ in range(2):
            command = [sys.executable, "-c", "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0)"
                       ".execute('INSERT INTO t VALUES (1, 2, 3)')", str(case.app)]  # fmt: skip
            ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            tried.append("database is locked" in ended.stderr)
            if len(tried) == 1:
                original(*given)

    monkeypatch.setattr(restores, "step", try_to_write)
    case.restore()
    assert tried == [True, True], "before and after the change"
    assert dump(case.app) == case.content


KILLED = """
import os, resource, signal, sys
from pathlib import Path
from ptp.migration import restore as restores
from ptp.migration.record import read_record
backup, app, aside, note, where = *map(Path, sys.argv[1:5]), sys.argv[5]
def die(*given, **more):
    os.kill(os.getpid(), signal.SIGKILL)
if where == "step":
    original = restores.step
    def cut_off(*given):
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # the system kills who writes beyond the limit
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
        original(*given)
    restores.step = cut_off
elif where:
    setattr(restores, where, die)
todo = restores.Restore(backup, app, aside, read_record(backup).journal_mode, "now")
restores.restore(todo, note, progress=lambda share, text: None)
"""


def killed(case: Case, where: str) -> int:
    command = [sys.executable, "-c", KILLED, *map(str, (case.backup, case.app, case.aside, case.note)), where]
    return subprocess.run(command, check=False, timeout=60, cwd=case.folder).returncode


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_who_is_killed_in_the_middle_of_the_change_leaves_what_was_there(tmp_path: Path, mode: str) -> None:
    case = Case(tmp_path, mode=mode, rows=18_000)
    run(case.app, "DELETE FROM t WHERE id > 2000", "UPDATE t SET a = 'changed'", "VACUUM")
    changed = dump(case.app)

    assert killed(case, "step") == -signal.SIGXFSZ
    assert (case.folder / "app.db-journal").stat().st_size > 10_000
    assert case.app.stat().st_size > 1_500_000, "it was half done"

    told = settle(case.note)
    assert "app.db is as it was before, whole" in told
    assert (dump(case.app), ask(case.app, "PRAGMA journal_mode")) == (changed, mode)
    assert (case.beside(), case.note.exists()) == ([], False)
    case.aside.unlink()
    case.restore()
    assert dump(case.app) == case.content


@pytest.mark.parametrize(
    ("where", "is_new", "mode"),
    [("_leave_log", False, "wal"), ("keep", False, "wal"), ("same_bytes", True, "delete"), ("compare", True, "wal")],
)
def test_who_is_killed_before_or_after_the_change_leaves_one_of_both(
    tmp_path: Path, where: str, is_new: bool, mode: str
) -> None:
    case = Case(tmp_path, mode=mode, rows=50)
    run(case.app, "UPDATE t SET a = 'changed'")
    changed = dump(case.app)
    assert killed(case, where) == -signal.SIGKILL
    assert dump(case.app) == (case.content if is_new else changed)
    assert ("is the backup, whole" if is_new else "is as it was before, whole") in settle(case.note)
    assert dump(case.app) == (case.content if is_new else changed)
    assert (ask(case.app, "PRAGMA journal_mode"), case.note.exists(), case.beside()) == (mode, False, [])


def test_a_database_that_was_written_to_after_a_restore_was_cut_off_is_told_as_such(tmp_path: Path) -> None:
    case = Case(tmp_path, rows=50)
    run(case.app, "UPDATE t SET a = 'changed'")
    killed(case, "compare")
    run(case.app, "DELETE FROM t WHERE id = 1")
    assert "was written to since" in settle(case.note)
    assert not case.note.exists()


def test_what_was_restored_is_looked_at(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    run(case.app, "DELETE FROM t")
    original = restores.step

    def spoil(back: sqlite3.Connection, into: sqlite3.Connection, named: Path) -> None:
        original(back, into, named)
        into.execute("UPDATE t SET a = 'spoilt' WHERE id = 7")

    monkeypatch.setattr(restores, "step", spoil)
    with pytest.raises(CannotFinish, match=r"app\.db is not what .*backup\.db holds: its bytes differ.*aside\.db"):
        case.restore()
    monkeypatch.setattr(restores, "same_bytes", lambda raw, copy: "")
    case.aside.unlink()
    with pytest.raises(CannotFinish, match="table t has 300 rows, the copy 300, of which 299 are equal"):
        case.restore()


@pytest.mark.parametrize(
    "settings",
    [
        ("PRAGMA encoding = 'UTF-16le'",),
        ("PRAGMA page_size = 1024",),
        ("PRAGMA page_size = 65536", "PRAGMA encoding = 'UTF-16be'", "PRAGMA auto_vacuum = 1"),
    ],
)
@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_database_of_another_kind_is_replaced_by_what_was_backed_up(
    tmp_path: Path, settings: tuple[str, ...], mode: str
) -> None:
    app, backup = tmp_path / "app.db", tmp_path / "backup.db"
    run(app, *settings, "CREATE TABLE t (a)", "INSERT INTO t VALUES ('é')", "PRAGMA application_id = 77")
    run(app, "PRAGMA user_version = 9", "CREATE VIRTUAL TABLE w USING fts5(text)", "INSERT INTO w VALUES ('a needle')")
    run(app, f"PRAGMA journal_mode = {mode}")
    take_backup(app, backup, progress=quiet, record=True)
    names = ("encoding", "page_size", "auto_vacuum", "application_id", "user_version", "journal_mode")
    before = [ask(app, f"PRAGMA {name}") for name in names], dump(app)
    app.unlink()
    run(app, "CREATE TABLE other (a)", "PRAGMA journal_mode = WAL")

    restore(Restore(backup, app, tmp_path / "aside.db", mode, ""), tmp_path / "note", progress=quiet)

    assert ([ask(app, f"PRAGMA {name}") for name in names], dump(app)) == before
    assert ask(app, "SELECT count(*) FROM w WHERE w MATCH 'needle'") == 1
    assert dump(tmp_path / "aside.db") == ["BEGIN TRANSACTION;", "CREATE TABLE other (a);", "COMMIT;"]


def test_a_damaged_database_is_kept_byte_for_byte_and_restored(tmp_path: Path) -> None:
    case = Case(tmp_path, mode="delete")
    found = bytearray(case.app.read_bytes())
    found[4096 + 100 : 3 * 4096] = b"\xff" * (2 * 4096 - 100)
    case.app.write_bytes(found)
    case.restore()
    assert dump(case.app) == case.content
    assert case.aside.read_bytes()[4096:] == bytes(found)[4096:]
    assert read_record(case.aside).proven == ""


def test_what_is_no_database_is_refused_and_an_empty_file_is_filled(case: Case) -> None:
    case.app.write_bytes(b"notes, and not a database at all")
    with pytest.raises(NotADatabase, match="is not a SQLite database, or is encrypted. To restore in its place, move"):
        case.restore()
    assert case.app.read_bytes() == b"notes, and not a database at all"
    case.app.write_bytes(b"")
    case.restore()
    assert dump(case.app) == case.content


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("mounting wants root")
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", small], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        (tmp_path / "more").mkdir()
        case = Case(tmp_path / "more", rows=3_000)
        case.app = small / "app.db"
        run(case.app, "CREATE TABLE t (a)", "INSERT INTO t VALUES ('old')", "PRAGMA journal_mode = WAL")
        before = dump(case.app)
        with pytest.raises(DiskFull, match="disk is full"):
            case.restore()
        assert (dump(case.app), ask(case.app, "PRAGMA journal_mode")) == (before, "wal")
        assert os.listdir(small) == ["app.db"]
        assert "as it was before, whole" in settle(case.note)
    finally:
        subprocess.run(["umount", "-l", small], check=True)
