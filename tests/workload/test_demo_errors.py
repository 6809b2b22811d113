"""`write_demo` leaves one whole file or none, and says in one sentence why."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ptp.errors import CannotFinish, DiskFull, UsageError
from ptp.workload.demo import command, write_demo


def test_progress_rises_from_0_to_1(tmp_path: Path) -> None:
    seen: list[tuple[float, str]] = []
    write_demo(shape="drizzle", size="tiny", seed=1, out=tmp_path / "a.db", progress=lambda *now: seen.append(now))
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert all(text for _, text in seen)


def test_refuses_to_overwrite(tmp_path: Path) -> None:
    out = tmp_path / "mine.db"
    out.write_bytes(b"precious")
    with pytest.raises(UsageError, match=r"mine\.db exists: ask for it to be overwritten, or choose another"):
        write_demo(shape="raw", size="tiny", seed=1, out=out)
    assert out.read_bytes() == b"precious"


def test_refuses_to_stand_beside_a_log_of_another_database(tmp_path: Path) -> None:
    (tmp_path / "mine.db-wal").write_bytes(b"left behind")
    with pytest.raises(UsageError, match=r"mine\.db-wal exists"):
        write_demo(shape="raw", size="tiny", seed=1, out=tmp_path / "mine.db")


def test_overwrites_when_asked(tmp_path: Path) -> None:
    out = tmp_path / "mine.db"
    for path in (out, tmp_path / "mine.db-wal", tmp_path / "mine.db.partial"):
        path.write_bytes(b"old")
    summary = write_demo(shape="raw", size="tiny", seed=1, out=out, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.db"]
    assert summary.path == out


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"shape": "head"}, "no shape 'head': choose raw or drizzle"),
        ({"size": "huge"}, "no demo size 'huge': choose tiny, quick, full"),
        ({"seed": -1}, "seed is -1: choose a whole number from 0 up"),
        ({"out": Path("no/such/folder/a.db")}, "no/such/folder does not exist: create it"),
        ({"out": Path("/")}, "is a folder"),
    ],
)
def test_bad_requests(tmp_path: Path, wrong: dict[str, Any], sentence: str) -> None:
    request = {"shape": "raw", "size": "tiny", "seed": 1, "out": tmp_path / "a.db", **wrong}
    with pytest.raises(UsageError, match=sentence):
        write_demo(**request)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that refuses even root")
def test_read_only_folder() -> None:
    with pytest.raises(UsageError, match="/proc cannot be written to"):
        write_demo(shape="raw", size="tiny", seed=1, out=Path("/proc/demo.db"))


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect

    def small(*args: Any, **options: Any) -> sqlite3.Connection:
        opened = connect(*args, **options)
        opened.execute("PRAGMA max_page_count = 40")
        return opened

    monkeypatch.setattr(sqlite3, "connect", small)
    with pytest.raises(DiskFull, match="free some space"):
        write_demo(shape="raw", size="tiny", seed=1, out=tmp_path / "a.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "error"),
    [(errno.ENOSPC, DiskFull), (errno.EROFS, UsageError), (errno.EIO, CannotFinish)],
)
def test_what_the_disk_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, "as the system puts it")

    monkeypatch.setattr(command, "fill", fail)
    with pytest.raises(error):
        write_demo(shape="raw", size="tiny", seed=1, out=tmp_path / "a.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("after", [0.0, 0.4, 0.9])
def test_interrupted(tmp_path: Path, after: float) -> None:
    out = tmp_path / "mine.db"
    out.write_bytes(b"precious")

    def stop(fraction: float, _: str) -> None:
        if fraction >= after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_demo(shape="raw", size="tiny", seed=1, out=out, overwrite=True, progress=stop)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("mine.db", b"precious")]
