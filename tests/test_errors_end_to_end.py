"""Every way that a user can be stopped: one sentence, the right exit code, nothing half-written."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from ptp import cli
from ptp.errors import DiskFull
from ptp.evidence import read_evidence
from ptp.workbench import migrating
from ptp.workload.demo import write_demo

COMMANDS = (
    "run",
    "migrate",
    "verify",
    "bench",
    "optimize",
    "health",
    "step",
    "rollback",
    "settle",
    "quarantine",
    "demo",
    "report",
)
CALLED = (
    *(name for name in COMMANDS if name != "quarantine"),
    "quarantine list",
    "quarantine export",
    "quarantine retry",
)
Ended = subprocess.CompletedProcess[str]


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "ptp.cli", *map(str, arguments)]


def ptp(*arguments: str | Path, cwd: Path) -> Ended:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TURSO_", "PTP_"))}
    return subprocess.run(
        command(*arguments),
        cwd=cwd,
        env=clean,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Ended]]:
    """Calls the command line in this process, which is much faster where no kernel is to be started."""
    handler = signal.getsignal(signal.SIGTERM)
    for name in [n for n in os.environ if n.startswith(("TURSO_", "PTP_"))]:
        monkeypatch.delenv(name)

    def call(*arguments: str, cwd: Path) -> Ended:
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["ptp", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ended(arguments, ended.value.code, said.out, said.err)

    yield call
    signal.signal(signal.SIGTERM, handler)


def one_sentence(text: str) -> str:
    """The sentence on stderr: one line, ptp's, ended, and no traceback."""
    lines = text.splitlines()
    assert len(lines) == 1, text
    assert lines[0].startswith("ptp: "), text
    assert lines[0].endswith("."), text
    assert "Traceback" not in text
    assert "internal error" not in text
    return lines[0]


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def half_written(folder: Path) -> list[str]:
    return [
        str(p.relative_to(folder))
        for pattern in ("*.partial*", "bench-scratch*", ".progress", "*-journal")
        for p in folder.rglob(pattern)
    ]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder, made = tmp_path_factory.mktemp("demo"), dict[str, Path]()

    def make(size: str) -> Path:
        if size not in made:
            made[size] = write_demo(shape="raw", size=size, seed=9, out=folder / f"{size}.db").path  # type: ignore[arg-type]
        return made[size]

    return make


@pytest.fixture
def desk(demo: Callable[[str], Path], tmp_path: Path) -> Path:
    """A folder with one of everything that a user may name by mistake."""
    shutil.copy(demo("tiny"), tmp_path / "old.db")
    shutil.copy(demo("tiny"), tmp_path / "other.db")
    (tmp_path / "empty.db").touch()
    (tmp_path / "text.db").write_text("Not a database, but longer than a hundred bytes. " * 4, encoding="utf-8")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("mine", encoding="utf-8")
    with closing(sqlite3.connect(tmp_path / "bare.db")) as db:
        db.executescript("CREATE TABLE t (a); DROP TABLE t;")
    with closing(sqlite3.connect(tmp_path / "odd.db")) as db:
        db.executescript("CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT); CREATE TABLE pets (name TEXT);")
    return tmp_path


MISTAKES = {
    "a mistyped option": (("run", "--sorce", "old.db"), ("--sorce", "--source")),
    "an option of no command": (("--bogus",), ("--bogus",)),
    "a mistyped command": (("rnu",), ("rnu", "run")),
    "a value that is none of the choices": (("run", "--profile", "fast"), ("--profile", "quick", "full")),
    "a number that is none": (("demo", "--seed", "abc", "--out", "x.db"), ("--seed", "integer")),
    "an option left out": (("verify", "--source", "old.db"), ("--target",)),
    "a missing file": (("run", "--source", "none.db"), ("no file none.db",)),
    "a folder as the file": (("run", "--source", "folder"), ("folder is a folder",)),
    "a text file": (("run", "--source", "text.db"), ("text.db is not a SQLite database",)),
    "an empty file": (("run", "--source", "empty.db"), ("empty.db is empty",)),
    "a database without tables": (("run", "--source", "bare.db"), ("bare.db", "without any table")),
    "an unknown shape": (("run", "--source", "odd.db"), ("no known shape", "users.provider")),
    "a target that exists": (("migrate", "--source", "old.db", "--target", "other.db"), ("other.db exists",)),
    "a target that is the source": (("migrate", "--source", "old.db", "--target", "old.db"), ("old.db exists",)),
    "a target in no folder": (("migrate", "--source", "old.db", "--target", "no/new.db"), ("no folder no",)),
    "a run's target that exists": (("run", "--source", "old.db", "--target", "other.db"), ("other.db exists",)),
    "a run folder that is not empty": (("run", "--source", "old.db", "--out", "folder"), ("folder is not empty",)),
    "a run folder that is a file": (("run", "--source", "old.db", "--out", "text.db"), ("text.db", "a file stands")),
    "a run folder that cannot be made": (("run", "--source", "old.db", "--out", "/proc/x"), ("/proc/x", "--out")),
    "a backup folder that cannot be made": (
        ("migrate", "--source", "old.db", "--target", "new.db", "--out", "/proc/x"),
        ("/proc/x", "--out"),
    ),
    "a server": (("run", "--source", "libsql://exams.turso.io"), ("libsql://", "names no file")),
    "an environment without a URL": (("run", "--env", "prod"), ("TURSO_DATABASE_URL_PROD",)),
    "a target that ptp did not build": (("verify", "--source", "old.db", "--target", "other.db"), ("other.db",)),
    "a benchmark of a source": (("bench", "--target", "other.db"), ("other.db", "not built by ptp")),
    "a report of no run": (("report", "folder"), ("folder is not a run folder",)),
    "a demo over a file": (("demo", "--size", "tiny", "--out", "old.db"), ("old.db exists",)),
}


@pytest.mark.parametrize(("arguments", "named"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_one_sentence_and_changes_nothing(
    desk: Path, here: Callable[..., Ended], arguments: tuple[str, ...], named: tuple[str, ...]
) -> None:
    before = files(desk)

    ended = here(*arguments, cwd=desk)

    sentence = one_sentence(ended.stderr)
    assert (ended.returncode, ended.stdout) == (2, "")
    for words in named:
        assert words in sentence
    assert files(desk) == before


@pytest.mark.parametrize("name", ["a mistyped option", "an empty file", "a run folder that cannot be made"])
def test_a_mistake_is_told_by_a_process_of_its_own_too(desk: Path, name: str) -> None:
    arguments, _ = MISTAKES[name]

    ended = ptp(*arguments, cwd=desk)

    one_sentence(ended.stderr)
    assert (ended.returncode, ended.stdout) == (2, "")


def test_a_setting_that_does_not_fit_is_named(
    desk: Path, here: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PTP_CACHE_MB", "much")

    ended = here("run", "--source", "old.db", cwd=desk)

    assert ended.returncode == 2
    assert "PTP_CACHE_MB" in one_sentence(ended.stderr)


@pytest.mark.parametrize("name", CALLED)
def test_every_command_has_help_with_an_example(tmp_path: Path, here: Callable[..., Ended], name: str) -> None:
    ended = here(*name.split(), "--help", cwd=tmp_path)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"Example: ptp {name} " in ended.stdout
    assert "--json" in ended.stdout


def test_help_names_every_command(tmp_path: Path) -> None:
    ended = ptp("--help", cwd=tmp_path)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("Usage: ")
    for name in COMMANDS:
        assert f"\n  {name} " in ended.stdout


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A file system in memory with these options; skips where none can be mounted."""
    folder.mkdir()
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("mounting wants root")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True, capture_output=True)


@pytest.mark.parametrize(
    "arguments", [("run", "--out", "ro/out"), ("migrate", "--target", "ro/new.db", "--out", "out")]
)
def test_a_read_only_folder_is_refused(desk: Path, arguments: tuple[str, ...]) -> None:
    with mounted(desk / "ro", "size=64m,ro") as folder:
        ended = ptp(arguments[0], "--source", "old.db", *arguments[1:], cwd=desk)
        assert list(folder.iterdir()) == []

    assert ended.returncode == 2
    assert "ro" in one_sentence(ended.stderr)


@pytest.mark.parametrize(
    "arguments", [("run", "--out", "small/out"), ("migrate", "--target", "small/new.db", "--out", "out")]
)
def test_a_disk_that_is_too_small_is_seen_before_the_target_is_begun(desk: Path, arguments: tuple[str, ...]) -> None:
    with mounted(desk / "small", "size=1m"):
        ended = ptp(arguments[0], "--source", "old.db", *arguments[1:], cwd=desk)
        assert half_written(desk) == []
        assert not list((desk / "small").rglob("*.db"))

    sentence = one_sentence(ended.stderr)
    assert ended.returncode == 4
    assert "free" in sentence
    assert "small" in sentence


def test_a_disk_without_a_byte_left_is_told_as_such(desk: Path) -> None:
    with mounted(desk / "small", "size=64k"):
        fill(desk / "small")
        ended = ptp("run", "--source", "old.db", "--out", "small/out", cwd=desk)
        assert half_written(desk) == []
        assert not (desk / "small" / "out" / "verdict.json").exists()

    assert ended.returncode == 4
    assert "disk is full" in one_sentence(ended.stderr).lower()


@pytest.mark.parametrize("size", ["400k", "900k"])
def test_a_disk_that_fills_during_the_build_leaves_no_target(
    desk: Path, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    monkeypatch.setattr(migrating, "check_space", lambda folder, needed_bytes: None)
    with mounted(desk / "small", f"size={size}") as small:
        (desk / "out").mkdir()
        fill(small, leaving=400_000)

        with pytest.raises(DiskFull, match="disk is full"):
            migrating.migrate(desk / "old.db", small / "new.db", desk / "out", run="test")

        assert [p.name for p in small.iterdir()] == ["ballast"]


def test_a_disk_that_fills_during_a_run_ends_it_with_nothing_half_written(
    demo: Callable[[str], Path], tmp_path: Path
) -> None:
    source = demo("quick")
    with mounted(tmp_path / "small", f"size={int(source.stat().st_size * 3.5)}") as small:
        out = small / "out"
        with started("run", "--source", source, "--out", out, "--prove", "none", cwd=tmp_path) as process:
            wait_for(process, lambda: (out / "backup").exists())
            fill(small)
            _, stderr = process.communicate(timeout=60)
        assert half_written(small) == []
        # A backup that was proven before the disk was full is whole, and may stay.
        assert {p.name for p in small.rglob("*.db")} <= {"source.db"}
        (small / "ballast").unlink()

    assert process.returncode == 4
    assert "disk is full" in one_sentence(stderr).lower()


def fill(folder: Path, *, leaving: int = 0) -> None:
    """Take all the room that is left in a file system."""
    with (folder / "ballast").open("wb") as file:
        while (room := shutil.disk_usage(folder).free - leaving) > 0:
            with suppress(OSError):  # another was faster
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, room)


@contextmanager
def started(*arguments: str | Path, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """A command in a process group of its own, as a terminal starts it."""
    with subprocess.Popen(
        command(*arguments),
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(process: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
    """Wait until a run has come to a place; fails when it ended before."""
    for _ in range(6_000):
        if reached():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    pytest.fail("the run did not come to that place")


def noted(out: Path, words: str) -> bool:
    try:
        return words in (out / ".progress").read_text(encoding="utf-8")
    except OSError:
        return False


PLACES: dict[str, tuple[str, int, Callable[[Path], bool]]] = {
    "ended by the system as the kernel starts": (
        "tiny",
        signal.SIGTERM,
        lambda out: (out / "notebooks" / "01_migrate.ipynb").exists(),
    ),
    "while the target is built": ("quick", signal.SIGINT, lambda out: (out / "target.db.partial").exists()),
    "while the verifier is proved": ("tiny", signal.SIGINT, lambda out: noted(out, "kinds of damage")),
    "while queries are timed": ("tiny", signal.SIGINT, lambda out: noted(out, "timing")),
}


@pytest.mark.parametrize(("size", "sent", "place"), PLACES.values(), ids=PLACES)
def test_an_interrupted_run_leaves_no_process_and_nothing_half_written(
    demo: Callable[[str], Path],
    tmp_path: Path,
    size: str,
    sent: int,
    place: Callable[[Path], bool],
    request: pytest.FixtureRequest,
) -> None:
    out = tmp_path / "out"
    proved = "quick" if "proved" in request.node.name else "none"
    with started("run", "--source", demo(size), "--out", "out", "--prove", proved, cwd=tmp_path) as process:
        wait_for(process, lambda: place(out))
        kernels = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, sent)
        stdout, stderr = process.communicate(timeout=60)

    assert "interrupted" in one_sentence(stderr)
    assert (process.returncode, stdout) == (130, "")
    assert psutil.wait_procs(kernels, timeout=10)[1] == []
    assert half_written(out) == []
    assert list(out.glob(".ptp-*")) == []
    assert not (out / "verdict.json").exists()
    assert read_evidence(out).verdict is None
    assert "interrupted" in (out / "index.html").read_text(encoding="utf-8")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", ["migrate", "demo"])
def test_an_interrupted_command_leaves_nothing_half_written(
    demo: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    given = {
        "migrate": ("--source", demo("quick"), "--target", "new.db", "--out", "out"),
        "demo": ("--size", "quick", "--out", "new.db"),
    }
    with started(name, *given[name], cwd=tmp_path) as process:
        wait_for(process, lambda: (tmp_path / "new.db.partial").exists())
        os.killpg(process.pid, signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)

    assert "interrupted" in one_sentence(stderr)
    assert (process.returncode, stdout) == (130, "")
    assert half_written(tmp_path) == []
    assert not (tmp_path / "new.db").exists()
