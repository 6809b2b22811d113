"""The build: whole or not at all, in the format of its source."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ptp.errors import DiskFull, UsageError
from ptp.migration.build import build, partial_of
from ptp.migration.plan import Plan, Statement
from ptp.workbench.migrating import plan_of


def run(case: Any, plan: Plan | None = None, **changes: Any) -> None:
    def quiet(share: float, text: str) -> None: ...

    plan = plan or plan_of(case.source)
    build(plan, **{"source": case.source, "target": case.target, "run": "t", "now": 1, "progress": quiet, **changes})


def test_the_target_is_strict_and_in_log_mode_with_no_file_beside_it(case: Any) -> None:
    run(case)
    assert case.files() == {"source.db", "target.db"}
    assert case.target.read_bytes()[18:20] == b"\x02\x02"
    assert case.ask("PRAGMA journal_mode") == [("wal",)]
    strict = dict(case.ask("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'"))
    mapped = [m.mapped.target for m in plan_of(case.source).pairs.values()]
    assert {strict[n] for n in (*mapped, "ptp_journal", "ptp_quarantine")} == {1}
    assert case.ask("SELECT count(*) > 0 FROM sqlite_stat1") == [(1,)]
    assert case.ask("PRAGMA integrity_check") == [("ok",)]
    assert case.ask("PRAGMA foreign_key_check") == []


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
@pytest.mark.parametrize("page_size", [512, 65536])
def test_the_target_takes_over_the_format_of_the_source(small: Any, encoding: str, page_size: int) -> None:
    case = small(
        "raw",
        {"users": [{"id": 1, "email": "ü🎓@x", "name": "Ünï", "created_at": "2025-03-01 10:00:00"}]},
        setup=(
            f"PRAGMA encoding = '{encoding}'",
            f"PRAGMA page_size = {page_size}",
            "PRAGMA application_id = 1234",
            "PRAGMA user_version = 5",
        ),
    )
    case.migrate()
    names = ("encoding", "page_size", "application_id", "user_version")
    assert [case.ask(f"PRAGMA {n}")[0][0] for n in names] == [encoding, page_size, 1234, 5]
    assert case.ask("SELECT email, name, created_at FROM users") == [("ü🎓@x", "Ünï", 1740823200)]
    assert case.failing() == {}


def test_a_target_that_exists_is_refused_and_stays_as_it_is(raw: Any) -> None:
    raw.target.write_text("precious", encoding="utf-8")
    with pytest.raises(UsageError, match="exists already"):
        run(raw)
    assert raw.target.read_text(encoding="utf-8") == "precious"
    with pytest.raises(UsageError):
        raw.migrate()
    assert raw.target.read_text(encoding="utf-8") == "precious"


def test_a_target_that_another_tool_made_is_refused_by_its_name(raw: Any) -> None:
    shutil.copy(raw.source, raw.target)
    with pytest.raises(UsageError, match=r"target\.db exists and was not built by ptp"):
        raw.migrate()


def test_a_second_migration_says_that_the_target_is_at_head(raw: Any) -> None:
    raw.migrate()
    before = raw.target.read_bytes()
    with pytest.raises(UsageError, match="is at head already"):
        raw.migrate()
    assert raw.target.read_bytes() == before


KINDS = ["setting", "table", "quarantine", "copy", "mark", "index", "journal", "finish"]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_of_a_build_that_fails_mid_way(raw: Any, kind: str) -> None:
    plan = plan_of(raw.source, on_dirty="quarantine" if kind == "quarantine" else "stop")
    at = max(i for i, s in enumerate(plan.statements) if s.kind == kind)
    broken = (*plan.statements[:at], Statement("finish", "SELECT * FROM no_such_table"))
    before = raw.source.read_bytes()
    with pytest.raises(sqlite3.OperationalError, match="no_such_table"):
        run(raw, replace(plan, statements=broken))
    assert raw.files() == {"source.db"}
    assert raw.source.read_bytes() == before
    run(raw)
    assert raw.files() == {"source.db", "target.db"}


def test_nothing_is_left_of_a_build_that_is_interrupted(raw: Any) -> None:
    def interrupt(share: float, text: str) -> None:
        if "copy" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(raw, progress=interrupt)
    assert raw.files() == {"source.db"}


def test_progress_goes_from_nothing_to_all_and_never_back(raw: Any) -> None:
    shares: list[float] = []
    run(raw, progress=lambda share, text: shares.append(share))
    assert shares[0] == 0.0
    assert shares[-1] == 1.0
    assert shares == sorted(shares)


KILLED = """
import sys, time
from pathlib import Path
from ptp.migration.build import build
from ptp.workbench.migrating import plan_of
source, target, word = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
def wait(share, text):
    if word in text:
        print("here", flush=True)
        time.sleep(60)
build(plan_of(source), source=source, target=target, run="t", now=1, progress=wait)
"""


@pytest.mark.parametrize("word", ["copy", "index"])
def test_after_a_kill_mid_way_the_source_is_whole_and_a_second_build_works(raw: Any, word: str) -> None:
    before = raw.source.read_bytes()
    command = [sys.executable, "-c", KILLED, str(raw.source), str(raw.target), word]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert raw.source.read_bytes() == before
    assert not raw.target.exists()
    assert partial_of(raw.target).exists()
    run(raw)
    assert raw.files() == {"source.db", "target.db"}
    assert raw.failing() == {}


def test_what_an_unfinished_build_left_is_removed_first(raw: Any) -> None:
    partial = partial_of(raw.target)
    shutil.copy(raw.source, partial)
    for suffix in ("-journal", "-wal"):
        partial.with_name(partial.name + suffix).write_bytes(b"left behind")
    run(raw)
    assert raw.files() == {"source.db", "target.db"}
    assert raw.failing() == {}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    mounted: list[Path] = []

    def mount(kilobytes: int) -> Path:
        place = tmp_path / "disk"
        place.mkdir()
        if os.geteuid() != 0 or not shutil.which("mount"):
            pytest.skip("only root can mount a file system")
        options = f"size={kilobytes}k"
        if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=False).returncode:
            pytest.skip("mounting is not allowed here")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "-l", place], check=True)


def test_a_disk_that_fills_up_is_named_and_nothing_is_left_on_it(raw: Any, disk: Callable[[int], Path]) -> None:
    place = disk(300)
    with pytest.raises(DiskFull, match="The disk is full") as caught:
        run(raw, target=place / "target.db")
    assert caught.value.exit_code == 4
    assert list(place.iterdir()) == []


def test_a_disk_without_room_is_named_before_anything_is_written(raw: Any, disk: Callable[[int], Path]) -> None:
    place = disk(300)
    raw.target = place / "target.db"
    with pytest.raises(DiskFull, match="MB free, and this needs about"):
        raw.migrate()
    assert list(place.iterdir()) == []
    assert list(raw.out.iterdir()) == []


def test_a_full_output_folder_is_named(raw: Any, disk: Callable[[int], Path]) -> None:
    raw.out = disk(64)
    with pytest.raises(DiskFull):
        raw.migrate()
    assert not raw.target.exists()
    assert not list(raw.out.rglob("*.db"))


def test_a_folder_that_does_not_exist_is_one_sentence(raw: Any) -> None:
    with pytest.raises(UsageError, match="cannot be opened"):
        run(raw, target=raw.target.parent / "none" / "target.db")


def test_the_build_reads_one_snapshot_of_a_source_that_is_written_to(raw: Any) -> None:
    raw.edit("PRAGMA journal_mode = WAL")
    with closing(sqlite3.connect(raw.source, isolation_level=None)) as writer:

        def write(share: float, text: str) -> None:
            if "copy" in text or "index" in text:
                stamp = time.monotonic_ns()
                writer.execute("INSERT INTO users (email, name) VALUES (?, 'late')", (f"{stamp}@x",))
                writer.execute("INSERT INTO user_progress (user_id, exam_id) SELECT max(id), 1 FROM users")

        run(raw, progress=write)
    assert raw.ask("PRAGMA foreign_key_check") == []
    late = "SELECT count(*) FROM users WHERE name = 'late'"
    assert (
        raw.ask(late)[0][0]
        == raw.ask("SELECT count(*) FROM user_progress AS p JOIN users AS u ON u.id = p.user_id AND u.name = 'late'")[
            0
        ][0]
    )
    assert raw.ask(late)[0][0] < raw.ask_source(late)[0][0]
