"""Notes before a migration: what each says of a real situation, and that none of them ever decides a run."""

import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ptp.engine import moves
from ptp.engine.moves import Move
from ptp.migration import conditions
from ptp.results import Finding, worst
from ptp.workbench import preflighting
from ptp.workbench.forecasting import look_ahead, online_rows
from ptp.workbench.migrating import plan_of
from ptp.workbench.online import migrate_online
from ptp.workload.demo import write_demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo(shape="drizzle", size="tiny", seed=3, out=tmp_path_factory.mktemp("demo") / "demo.db").path


@pytest.fixture
def source(demo: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(demo, tmp_path / "old.db"))


def edit(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for sql in statements:
            db.execute(sql)


def told(source: Path, *, online: bool = False) -> dict[str, Finding]:
    folder = source.parent
    found = preflighting.notes(source, folder / "new.db", backup=folder / "backup" / "source.db", online=online)
    assert {f.severity for f in found} == {"note"}
    assert not [f for f in found if f.verdict in ("fail", "invalid")]
    assert worst([Finding("gate", "holds", "pass"), *found]) == "pass"
    return {f.id.removeprefix("preflight."): f for f in found}


def test_a_quiet_source_is_told_as_such(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "FLAWS", ())
    found = told(source)
    assert {name: f.verdict for name, f in found.items()} == dict.fromkeys(
        ("space", "connections", "migrators", "leftovers", "engine"), "pass"
    )
    assert found["engine"].value == sqlite3.sqlite_version


def test_a_flawed_sqlite_is_told_with_the_versions_that_are_not(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "FLAWS", (conditions.Flaw("it is old", (3,), ((99, 1, 2),)),))
    found = told(source)["engine"]
    assert (found.verdict, found.where) == ("inconclusive", ("it is old: mended in 99.1.2",))


def test_a_full_disk_is_told_before_it_is_met(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1_000, 990, 10))
    found = told(source)["space"]
    assert found.verdict == "inconclusive"
    assert "0 MB free" in found.where[0]


def test_leftovers_are_told(source: Path) -> None:
    (source.parent / "new.db.partial").touch()
    assert told(source)["leftovers"].where == (str(source.parent / "new.db.partial"),)


def test_a_move_that_was_begun_is_told(source: Path) -> None:
    with closing(sqlite3.connect(source, isolation_level=None)) as db:
        db.execute(moves.DDL)
        moves.enter_move(db, Move("open", "drizzle", "/x/new.db", "build", "r1", "0" * 64, "process 1", time.time()))
    found = told(source)["migrators"]
    assert found.verdict == "inconclusive"
    assert "run r1" in found.where[0]
    assert "'build'" in found.where[0]


HOLDER = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('SELECT 1 FROM users'); print('open', flush=True); sys.stdin.read()"


@pytest.fixture
def holder(source: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDER, str(source)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.communicate("")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="this system does not tell")
def test_who_has_the_source_open_matters_offline_and_is_expected_online(
    source: Path, holder: subprocess.Popen[str]
) -> None:
    offline, online = (told(source, online=way)["connections"] for way in (False, True))
    assert (offline.verdict, offline.value, online.verdict, online.value) == ("inconclusive", 1, "pass", 1)
    assert str(holder.pid) in offline.where[0]


def test_online_tells_the_journal_mode(source: Path) -> None:
    assert told(source, online=True)["wal"].verdict == "inconclusive"
    edit(source, "PRAGMA journal_mode = WAL")
    assert told(source, online=True)["wal"].verdict == "pass"


def test_every_check_of_the_source_is_evaluated(source: Path) -> None:
    edit(
        source,
        "CREATE TABLE own (a CHECK (a > 0), b TEXT CONSTRAINT \"b (c)\" CHECK (b <> ''), CHECK ((a < 9) OR b = ')'))",
        "PRAGMA ignore_check_constraints = ON",
    )
    with closing(sqlite3.connect(source, isolation_level=None)) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.executemany("INSERT INTO own VALUES (?, ?)", [(1, "x"), (0, "x"), (-1, "x"), (2, ""), (99, "x"), (99, ")")])
        texts = db.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table'").fetchall()
    checks = preflighting.checks_of(source)
    expected = {name: len(re.findall(r"\bCHECK\b", sql, re.IGNORECASE)) for name, sql in texts}
    assert {name: len(found) for name, found in checks.items()} == {n: c for n, c in expected.items() if c}
    note, rows = preflighting.baseline(source)
    assert [(r["rule"], r["rows"]) for r in rows] == [
        ("CHECK ((a < 9) OR b = ')')", 1),
        ("CHECK (a > 0)", 2),
        ("CHECK (b <> '')", 1),
    ]
    assert (note.value, note.known, note.severity, note.verdict) == (4, True, "note", "pass")


def test_what_was_predicted_of_an_online_run_stands_beside_what_was_measured(source: Path) -> None:
    edit(source, "PRAGMA journal_mode = WAL")
    outlook = look_ahead(plan_of(source), source)
    (source.parent / "out").mkdir()
    stage = migrate_online(source, source.parent / "new.db", source.parent / "out", run="r")
    rows = {r["part"]: r for r in online_rows(outlook, stage.results)}
    assert None not in [r["measured s"] for r in rows.values()]
    known = [name for name, r in rows.items() if r["predicted s"] is not None]
    assert known == ["copy in chunks", "indexes and derived tables", "comparison", "together, where both are known"]
    took = next(m for m in stage.measurements if m.what == "online: copy")
    assert rows["copy in chunks"]["measured s"] == pytest.approx(took.samples[0], abs=1e-5)
