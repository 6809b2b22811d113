"""What a measurement that was killed leaves in its run folder: the next one there removes it, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ptp.errors import Locked
from ptp.workbench import scratch

LEFT = ("bench-scratch.db", "bench-scratch.db-wal", "bench-scratch.db-shm", "claims-scratch/old.db",
        "engines-a1_b2c3d/master.db", "trial-abcdefgh/as-is.db", ".ptp-prove-abcdefgh/x.db")  # fmt: skip
KEPT = ("run.json", "engines-mine/notes.txt", "engines-abcdefgh", "bench-scratch.db.txt", "results/03_benchmark.json",
        "claims-scratch-mine/x", "trial-abcdefghi/x")  # fmt: skip


@contextmanager
def another(code: str, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A process that runs some code, says so, and waits."""
    program = f"{code}\nprint('there', flush=True)\nimport time; time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", program, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "there\n"
        yield process
    finally:
        process.kill()
        process.communicate()


WORKING = """
import sys
from pathlib import Path
from ptp.workbench import scratch
out = Path(sys.argv[1])
holding = scratch.working(out, doing="measuring")
holding.__enter__()
(out / "bench-scratch.db").write_bytes(b"half")
(out / "engines-abc_1234").mkdir()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (*LEFT, *KEPT):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x", encoding="utf-8")
    return tmp_path


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_files_of_known_names_go_and_others_stay(folder: Path) -> None:
    with scratch.working(folder, doing="measuring"):
        assert files(folder) == {*KEPT, "bench-scratch.db.ptp-lock"}
    assert files(folder) == set(KEPT)
    assert {p.name for p in folder.iterdir() if p.is_dir()} == {
        "engines-mine", "results", "claims-scratch-mine", "trial-abcdefghi"
    }  # fmt: skip


def test_one_that_was_killed_is_tidied_up_after_and_one_that_lives_is_left_alone(tmp_path: Path) -> None:
    with another(WORKING, tmp_path) as process:
        before = {p.name for p in tmp_path.iterdir()}
        assert before == {"bench-scratch.db", "bench-scratch.db.ptp-lock", "engines-abc_1234"}
        with pytest.raises(Locked, match=f"measuring, process {process.pid}"), scratch.working(tmp_path, doing="x"):
            raise AssertionError
        assert {p.name for p in tmp_path.iterdir()} == before
        process.kill()
        process.wait()
        assert {p.name for p in tmp_path.iterdir()} == before
        with scratch.working(tmp_path, doing="measuring"):
            assert {p.name for p in tmp_path.iterdir()} == {"bench-scratch.db.ptp-lock"}
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux tells who has a file open")
def test_a_server_that_was_left_on_the_copy_is_named_and_keeps_it(folder: Path) -> None:
    with another("import sys; file = open(sys.argv[1])", folder / "bench-scratch.db") as process:
        told = rf"bench-scratch.db is open in process {process.pid}.*kill {process.pid}"
        with pytest.raises(Locked, match=told), scratch.working(folder, doing="measuring"):
            raise AssertionError
        assert {"bench-scratch.db", *KEPT} == files(folder)
