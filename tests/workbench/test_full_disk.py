"""A disk that fills up under the workbench: told as such, never as a slow query, with nothing cut off left behind."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import closing, nullcontext
from pathlib import Path
from types import SimpleNamespace

import papermill
import pytest

from ptp.errors import DiskFull, UsageError
from ptp.migration import backup
from ptp.workbench import run
from ptp.workbench.benchmarking import benchmark
from ptp.workbench.migrating import migrate
from ptp.workbench.notebooks import execute
from ptp.workbench.progress import quiet
from ptp.workbench.run import Request, execute_run
from ptp.workload.demo import write_demo


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_demo(shape="raw", size="tiny", seed=5, out=tmp_path / "old.db").path


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_benchmark_wants_room_for_what_its_cases_write(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, target = tmp_path / "out", tmp_path / "new.db"
    out.mkdir()
    migrate(source, target, out, run="test")
    before = sorted(p.name for p in out.iterdir())
    room = target.stat().st_size + 1_000_000
    monkeypatch.setattr(backup.shutil, "disk_usage", lambda folder: SimpleNamespace(free=room))

    with pytest.raises(DiskFull, match="MB free"):
        benchmark(target, out)

    assert sorted(p.name for p in out.iterdir()) == before


def test_a_source_is_not_benchmarked(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="was not built by ptp"):
        benchmark(source, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["old.db"]


def test_a_notebook_that_was_cut_off_as_it_was_written_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(given: str, executed: str, **_: object) -> None:
        Path(executed).write_text('{"cells": [{"cell_ty', encoding="utf-8")
        full()

    monkeypatch.setattr(papermill, "execute_notebook", cut_off)
    with pytest.raises(OSError, match="No space left"):
        execute("02_verify", {}, out=tmp_path, progress=quiet)
    assert list((tmp_path / "notebooks").iterdir()) == []


@pytest.mark.parametrize("also", ["write_report", "write_verdict", "execute"])
def test_a_run_whose_disk_fills_says_so_and_has_no_verdict(
    also: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "execute", full if also == "execute" else lambda *_, **__: UsageError("stopped"))
    monkeypatch.setattr(run, also, full)
    if also == "write_report":
        monkeypatch.setattr(run, "write_outputs", full)

    with pytest.raises(DiskFull, match="The disk is full"):
        execute_run(Request(source, tmp_path / "out", "test"), progress=quiet)

    left = {p.name for p in (tmp_path / "out").iterdir()}
    assert left == ({"run.json"} if also == "write_report" else {"run.json", "index.html"})
    if also != "write_report":
        page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
        assert "interrupted" in page


@pytest.mark.parametrize("ended", [KeyboardInterrupt(), None], ids=["interrupted", "killed"])
def test_a_reader_that_was_ended_leaves_no_log_beside_the_target(
    ended: BaseException | None, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die_while_reading(name: str, *_: object, out: Path, **__: object) -> UsageError:
        target = out / "target.db"
        with closing(sqlite3.connect(tmp_path / "t.db", isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("CREATE TABLE t (a)")
            for suffix in ("", "-wal", "-shm"):
                target.with_name(target.name + suffix).write_bytes((tmp_path / f"t.db{suffix}").read_bytes())
        if ended:
            raise ended
        return UsageError("stopped")

    monkeypatch.setattr(run, "execute", die_while_reading)
    with pytest.raises(type(ended)) if ended else nullcontext():
        execute_run(Request(source, tmp_path / "out", "test"), progress=quiet)

    assert [p.name for p in (tmp_path / "out").glob("target*")] == ["target.db"]
    with closing(sqlite3.connect(tmp_path / "out" / "target.db")) as db:
        assert db.execute("SELECT count(*) FROM t").fetchone() == (0,)
