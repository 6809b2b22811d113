"""Long trials at full size, by hand: `make torture`. They print what they measure; only bounds of the brief fail."""

import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import apsw
import psutil
import pytest

from ptp.engine import connect_file
from ptp.migration import quarantine
from ptp.results import Finding
from ptp.verification.parallel import Files
from ptp.workbench.content import compare_content
from ptp.workbench.migrating import migrate
from ptp.workbench.sides import open_sides
from ptp.workload.demo import Shape, write_demo

pytestmark = [pytest.mark.torture, pytest.mark.timeout(1200)]
MAX_MB = 500
MAX_MB_OF_VERIFYING = 300
COPIES = 9
"""How often the million answers of a full source are written again, to make ten million."""


@pytest.mark.parametrize("shape", ["raw", "drizzle"])
def test_a_full_source_passes_within_its_memory(shape: Shape, tmp_path: Path) -> None:
    source = write_demo(shape=shape, size="full", seed=1, out=tmp_path / "source.db").path
    before = source.read_bytes()
    command = [sys.executable, "-m", "ptp.cli", "run", "--source", str(source), "--out", str(tmp_path / "run")]
    process = psutil.Popen(command)
    peak = 0.0
    while process.poll() is None:
        for each in [process, *process.children(recursive=True)]:
            try:
                peak = max(peak, each.memory_info().rss / 1e6)
            except psutil.NoSuchProcess:
                continue
        try:
            process.wait(0.2)
        except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
            continue
    verdict = json.loads((tmp_path / "run" / "verdict.json").read_text())
    print(f"\n{shape}: {verdict['verdict']} in {verdict['run']['seconds']} s, at most {peak:.0f} MB in a process")
    assert process.returncode == 0
    assert peak < MAX_MB
    assert source.read_bytes() == before


# --- content at the speed of C ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A full raw source and the target that was built from it."""
    folder = tmp_path_factory.mktemp("full")
    source = write_demo(shape="raw", size="full", seed=1, out=folder / "source.db").path
    (folder / "out").mkdir()
    migrate(source, folder / "target.db", folder / "out", run="t", on_dirty="stop")
    return source, folder / "target.db"


def compared(source: Path, target: Path, out: Path | None = None) -> tuple[dict[str, Finding], float, float]:
    """The findings over the content alone, the seconds that they took, and the largest worker in megabytes."""
    peaks = [0.0]
    here = psutil.Process()

    def progress(done: float, doing: str) -> None:
        for each in here.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                peaks.append(each.memory_info().rss / 1e6)

    with connect_file(source, read_only=True) as old, connect_file(target, read_only=True) as new:
        sides = open_sides(old, new, Files(source, target, quarantine.TABLE))
        started, before = time.perf_counter(), here.memory_info().rss
        findings, _ = compare_content(sides, out=out, progress=progress)
        seconds, grown = time.perf_counter() - started, here.memory_info().rss - before
    print(f"\nworkers at most {max(peaks):.0f} MB, this process {grown / 1e6:.0f} MB more than before")
    return {f.id: f for f in findings}, seconds, max(peaks)


def diff_seconds(source: Path, target: Path, *options: str) -> float:
    """How long SQLite's own comparison takes, which knows no conversion."""
    tool = Path(apsw.__file__).parent / "sqlite_extra_binaries" / "sqlite3_diff"
    started = time.perf_counter()
    subprocess.run([tool, *options, source, target], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


@pytest.mark.parametrize("is_digested", [False, True])
def test_content_beside_the_comparison_of_sqlite(full: tuple[Path, Path], is_digested: bool, tmp_path: Path) -> None:
    findings, seconds, peak = compared(*full, out=tmp_path if is_digested else None)
    rows = findings["verify.rows"].n or 0
    print(f"content{' and digests' * is_digested}: {rows} rows in {seconds:.2f} s, {rows / seconds:.0f} rows/s")
    for options in ((), ("--summary",)):
        other = diff_seconds(*full, *options)
        print(f"sqlite3_diff {' '.join(options)}: {other:.2f} s, content takes {seconds / other:.2f} times as long")
    assert {f.verdict for f in findings.values()} <= {"pass", "not applicable"}
    assert peak < MAX_MB_OF_VERIFYING


def multiply(path: Path) -> None:
    """Write the answers of a database again, under new keys; without indexes, which would take most of the time."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "foreign_keys = OFF"):
            db.execute(f"PRAGMA {pragma}").fetchall()
        what = "tbl_name = 'user_answers' AND type IN ('index', 'trigger') AND sql IS NOT NULL"
        for kind, name in db.execute(f"SELECT type, name FROM sqlite_schema WHERE {what}").fetchall():
            db.execute(f'DROP {kind} "{name}"')
        columns = ", ".join(row[1] for row in db.execute("PRAGMA table_info(user_answers)").fetchall()[1:])
        db.execute("BEGIN")
        for n in range(1, COPIES + 1):
            db.execute(
                f"INSERT INTO user_answers SELECT id + {n} * 1000000, {columns} FROM user_answers WHERE id <= 1000000"
            )
        db.execute("COMMIT")


def test_ten_million_answers_take_ten_times_as_long_in_as_much_memory(full: tuple[Path, Path], tmp_path: Path) -> None:
    if shutil.disk_usage(tmp_path).free < 8_000_000_000:
        pytest.skip("8 GB of disk are needed")
    _, short, small = compared(*full, out=tmp_path)
    large = tmp_path / "source.db", tmp_path / "target.db"
    for path, copy in zip(full, large, strict=True):
        shutil.copy(path, copy)
        multiply(copy)
    findings, seconds, peak = compared(*large, out=tmp_path)
    found = findings["verify.content.user_answers"]
    print(f"{found.n} answers: {seconds:.1f} s, {seconds / short:.1f} times as long as a tenth, {peak:.0f} MB")
    assert (found.verdict, found.n) == ("pass", 10_000_000)
    assert peak < MAX_MB_OF_VERIFYING
    assert peak < 1.2 * small

    with closing(sqlite3.connect(large[1], isolation_level=None)) as db:
        (letter,) = db.execute("SELECT selected_answer FROM user_answers WHERE id = 7654321").fetchone()
        other = chr(ord(letter[-1]) ^ 1)
        db.execute("UPDATE user_answers SET selected_answer = ? WHERE id = 7654321", (letter[:-1] + other,))
    where = compared(*large)[0]["verify.content.user_answers"].where
    assert where == (
        f"user_answers, key 7654321, column selected_answer: expected text '{letter}', seen text '{letter[:-1] + other}'",
    )
    for path in large:
        path.unlink()
