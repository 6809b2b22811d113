"""Bad files at the command line: for every command that opens a database, one sentence, and nothing is changed."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import gettempdir

import pytest

from ptp import cli
from ptp.workbench import migrating
from ptp.workload.demo import write_demo
from tests.bad_files import BAD, PAGE, Bad, beside, damaged_roots, flip, inventory, locked

Ended = subprocess.CompletedProcess[str]

OF_A_SOURCE = {
    "run": ("run", "--source", "x.db", "--out", "out"),
    "migrate": ("migrate", "--source", "x.db", "--target", "fresh.db", "--out", "out"),
    "migrate --dry-run": ("migrate", "--source", "x.db", "--target", "fresh.db", "--dry-run"),
    "verify --source": ("verify", "--source", "x.db", "--target", "new.db"),
}
OF_A_TARGET = {
    "verify --target": ("verify", "--source", "old.db", "--target", "x.db"),
    "bench": ("bench", "--target", "x.db", "--measure", "times", "--out", "out"),
    "optimize": ("optimize", "--target", "x.db"),
    "optimize --dry-run": ("optimize", "--target", "x.db", "--dry-run"),
    "health": ("health", "--target", "x.db"),
    "quarantine list": ("quarantine", "list", "--target", "x.db"),
    "quarantine export": ("quarantine", "export", "--target", "x.db", "--out", "out"),
    "quarantine retry": ("quarantine", "retry", "--target", "x.db"),
    "quarantine retry --dry-run": ("quarantine", "retry", "--target", "x.db", "--dry-run"),
}
ALL = {**OF_A_SOURCE, **OF_A_TARGET}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a source, old.db, and the target that was built from it, new.db."""
    folder = tmp_path_factory.mktemp("pair")
    write_demo(shape="raw", size="tiny", seed=9, out=folder / "old.db")
    out = folder / "out"
    out.mkdir()
    migrating.migrate(folder / "old.db", folder / "new.db", out, run="test", on_dirty="quarantine")
    shutil.rmtree(out)
    return folder


@pytest.fixture
def desk(pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with both of them."""
    monkeypatch.chdir(tmp_path)
    for name in ("old.db", "new.db"):
        shutil.copy(pair / name, name)
    return tmp_path


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Ended]]:
    """Calls the command line in this process."""
    handler = signal.getsignal(signal.SIGTERM)

    def call(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["ptp", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ended(arguments, ended.value.code, said.out, said.err)

    yield call
    signal.signal(signal.SIGTERM, handler)


def one_sentence(ended: Ended) -> str:
    """The sentence on stderr: one line, ptp's, ended, and nothing besides."""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("ptp: ")
    assert line.endswith(".")
    assert "internal error" not in line
    assert "Traceback" not in line
    assert ended.stdout == ""
    return line


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_every_command_tells_a_bad_file_by_its_kind_and_changes_nothing(
    desk: Path, here: Callable[..., Ended], bad: Bad
) -> None:
    shutil.copy("old.db", "x.db")
    bad.make(Path("x.db"))
    before = inventory(desk)

    told = {name: here(*arguments) for name, arguments in ALL.items()}

    assert {name: ended.returncode for name, ended in told.items()} == dict.fromkeys(ALL, 2)
    (sentence,) = {one_sentence(ended) for ended in told.values()}
    assert bad.words in sentence
    assert inventory(desk) == before


def test_every_command_tells_that_another_process_holds_the_file(
    desk: Path, here: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ptp.engine.files.BUSY_TIMEOUT_MS", 10)
    shutil.copy("new.db", "x.db")
    with closing(sqlite3.connect("x.db")) as db:
        db.execute("PRAGMA journal_mode = DELETE")
    before = inventory(desk)
    with locked(Path("x.db")):
        told = {name: here(*arguments) for name, arguments in ALL.items()}

    assert {name: ended.returncode for name, ended in told.items()} == dict.fromkeys(ALL, 4)
    for ended in told.values():
        assert "x.db is locked by another process." in one_sentence(ended)
    assert inventory(desk) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can be another user for a while")
def test_every_command_tells_that_a_file_may_not_be_read(desk: Path, here: Callable[..., Ended]) -> None:
    for arguments in ALL.values():
        here(*arguments)  # what they import, the other user may not read
    shutil.copy("old.db", "x.db")
    Path("x.db").chmod(0o600)
    for folder in (desk, *desk.parents):
        if folder.is_relative_to(gettempdir()) and folder != Path(gettempdir()):
            folder.chmod(0o755)
    before = inventory(desk)
    os.seteuid(65_534)
    try:
        told = {name: here(*arguments) for name, arguments in ALL.items()}
    finally:
        os.seteuid(0)

    assert {name: ended.returncode for name, ended in told.items()} == dict.fromkeys(ALL, 2)
    (sentence,) = {one_sentence(ended) for ended in told.values()}
    assert "x.db cannot be read: permission denied." in sentence
    assert inventory(desk) == before


@pytest.mark.parametrize("name", ALL)
def test_damage_inside_is_told_of_the_file_that_has_it(desk: Path, here: Callable[..., Ended], name: str) -> None:
    shutil.copy("old.db" if name in OF_A_SOURCE else "new.db", "x.db")
    damaged_roots(Path("x.db"))
    before = inventory(desk)

    ended = here(*ALL[name])

    assert ended.returncode in (2, 4)
    assert "ptp: x.db is damaged: " in one_sentence(ended)
    after = inventory(desk)
    assert {path: after[path] for path in before} == before
    assert [path for path in after.keys() - before.keys() if path.startswith(("x.db", "fresh.db"))] == []


def test_a_flip_inside_a_value_which_sqlite_does_not_see_is_found_by_verification(
    desk: Path, here: Callable[..., Ended]
) -> None:
    with closing(sqlite3.connect("new.db")) as db:
        ((key, text),) = db.execute(
            "SELECT id, explanation FROM questions WHERE length(explanation) BETWEEN 20 AND 400 LIMIT 1"
        )
    shutil.copy("new.db", "x.db")
    place = Path("x.db").read_bytes().index(text.encode())
    flip(Path("x.db"), place + 3, bit=0)
    with closing(sqlite3.connect("x.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("SELECT explanation = ? FROM questions WHERE id = ?", (text, key)).fetchone() == (0,)
    for name in ("x.db-wal", "x.db-shm"):
        Path(name).unlink(missing_ok=True)

    ended = here("verify", "--source", "old.db", "--target", "x.db")

    assert (ended.returncode, ended.stderr) == (1, "")
    assert "fail           Every row and value of questions is as declared" in ended.stdout


@contextmanager
def read_only_disk(folder: Path, *files: str) -> Iterator[None]:
    """These files on a file system in memory that is then made read-only; skips where none can be mounted."""
    folder.mkdir()
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root can mount a file system")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        for name in files:
            shutil.copy(name, folder)
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_on_a_read_only_medium_reading_works_and_writing_is_told(desk: Path, here: Callable[..., Ended]) -> None:
    with read_only_disk(desk / "disc", "old.db", "new.db"):
        for arguments in (
            ("migrate", "--source", "disc/old.db", "--target", "fresh.db", "--dry-run"),
            ("migrate", "--source", "disc/old.db", "--target", "fresh.db", "--out", "out"),
            ("optimize", "--target", "disc/new.db", "--dry-run"),
            ("quarantine", "list", "--target", "disc/new.db"),
        ):
            assert (here(*arguments).returncode, arguments) == (0, arguments)
        for arguments in (
            ("optimize", "--target", "disc/new.db"),
            ("quarantine", "retry", "--target", "disc/new.db"),
            ("migrate", "--source", "old.db", "--target", "disc/fresh.db", "--out", "out2"),
        ):
            ended = here(*arguments)
            assert ended.returncode == 2
            assert "cannot be written" in one_sentence(ended)
            assert "read-only" in one_sentence(ended)


def test_a_log_on_a_read_only_medium_cannot_be_read_and_that_is_told(desk: Path, here: Callable[..., Ended]) -> None:
    with closing(sqlite3.connect("new.db", isolation_level=None)) as db:
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("UPDATE users SET name = 'x' WHERE id = 1")
        for suffix in ("", "-wal"):
            shutil.copy(f"new.db{suffix}", f"y.db{suffix}")
    with read_only_disk(desk / "disc", "y.db", "y.db-wal"):
        for name, arguments in ALL.items():
            ended = here(*("disc/y.db" if a == "x.db" else a for a in arguments))
            assert (ended.returncode, name) == (2, name)
            assert "disc/y.db has a write-ahead log with changes, y.db-wal, and stands where" in one_sentence(ended)


LOOKS = ["verify --target", "optimize --dry-run", "quarantine list", "health"]


@pytest.mark.parametrize("name", [*LOOKS, pytest.param("bench", marks=pytest.mark.torture)])
def test_a_sound_target_is_left_without_a_trace(desk: Path, here: Callable[..., Ended], name: str) -> None:
    shutil.copy("new.db", "x.db")
    assert Path("x.db").read_bytes()[18:20] == b"\x02\x02"  # in write-ahead-log mode
    before = inventory(desk)

    assert here(*ALL[name]).returncode in (0, 1, 3)  # a busy machine may leave times undecided

    after = inventory(desk)
    assert {path: data for path, data in after.items() if not path.startswith("out")} == before


def test_the_page_that_tests_count_in_is_the_one_of_the_demo(pair: Path) -> None:
    assert int.from_bytes((pair / "old.db").read_bytes()[16:18], "big") == PAGE
    assert not beside(pair / "old.db", "-wal").exists()
