"""Rehearsals: the whole plan on a copy that is gone afterwards, and a record that holds for that plan and schema alone."""

import json
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ptp.engine import moves
from ptp.engine.moves import Move
from ptp.errors import CannotFinish, DirtySource, DiskFull, UsageError
from ptp.migration import backup
from ptp.results import worst
from ptp.workbench import rehearsing
from ptp.workbench.migrating import plan_of
from ptp.workbench.rehearsing import Record, place_of, read_record, rehearse, schema_hash
from ptp.workload.demo import write_demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo(shape="raw", size="tiny", seed=3, out=tmp_path_factory.mktemp("demo") / "demo.db").path


@pytest.fixture
def source(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PTP_REPORTS_DIR", str(tmp_path / "reports"))
    (tmp_path / "out").mkdir()
    return Path(shutil.copy(demo, tmp_path / "old.db"))


@pytest.fixture(scope="module")
def once(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a rehearsal was made, to be copied."""
    place = tmp_path_factory.mktemp("once")
    (place / "out").mkdir()
    shutil.copy(demo, place / "old.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PTP_REPORTS_DIR", str(place / "reports"))
        rehearse(place / "old.db", place / "out", run="r")
    return place


@pytest.fixture
def rehearsed(once: Path, source: Path) -> Path:
    """A source that was rehearsed."""
    shutil.copytree(once / "reports", source.parent / "reports")
    return source


def edit(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for sql in statements:
            db.execute(sql)


def found(source: Path, **policy: Any) -> Record | None:
    return read_record(plan_of(source, **policy).hash, schema_hash(source))


def test_a_rehearsal_migrates_and_verifies_a_copy_and_leaves_only_its_record(source: Path, tmp_path: Path) -> None:
    before = source.read_bytes()
    stage = rehearse(source, tmp_path / "out", run="r")
    ids = {f.id for f in stage.findings}
    assert worst(stage.findings) == "pass"
    assert {"rehearsal.bound", "migrate.plan", "migrate.backup", "verify.rows", "verify.values"} <= ids
    assert source.read_bytes() == before
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["rehearsal.json"]

    record = found(source)
    assert record is not None
    document = json.loads((tmp_path / "out" / "rehearsal.json").read_text(encoding="utf-8"))
    assert document == json.loads(place_of(record.plan, record.schema).read_text(encoding="utf-8"))
    with closing(sqlite3.connect(source)) as db:
        tables = [n for (n,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'") if "sqlite_" not in n]
        rows = sum(db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables)
    assert (record.verdict, record.rows, record.on_dirty, record.shape) == ("pass", rows, "stop", "raw")
    assert (record.source, record.sqlite) == (str(source), sqlite3.sqlite_version)
    assert {"copy", "index", "copy of the source", "verification"} <= record.seconds.keys()
    assert min(record.seconds.values()) >= 0


def test_a_record_holds_for_one_plan_and_one_schema(rehearsed: Path) -> None:
    source = rehearsed
    assert found(source) is not None
    edit(source, "INSERT INTO exams (vendor_id, code, name) VALUES ('v', 'c', 'n')")
    assert found(source) is not None, "other rows are no other plan"
    assert found(source, on_dirty="quarantine") is None
    edit(source, "ANALYZE")
    assert found(source) is not None, "what SQLite keeps for itself is no other schema"
    edit(source, f"DROP INDEX {_index(source)}")
    assert found(source) is None, "an index is of the schema, though the plan does not know it"


def _index(path: Path) -> str:
    with closing(sqlite3.connect(path)) as db:
        return str(db.execute("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL").fetchone()[0])


def test_a_capture_in_the_source_is_no_other_schema(source: Path) -> None:
    before = schema_hash(source)
    edit(
        source,
        moves.DDL,
        "CREATE TABLE ptp_log (id INTEGER PRIMARY KEY)",
        "CREATE TRIGGER ptp_capture_insert_users AFTER INSERT ON users BEGIN SELECT 1; END",
    )
    assert schema_hash(source) == before
    edit(source, "CREATE TRIGGER other AFTER INSERT ON users BEGIN SELECT 1; END")
    assert schema_hash(source) != before


def test_a_source_on_the_move_is_not_rehearsed(source: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(source, isolation_level=None)) as db:
        db.execute(moves.DDL)
        moves.enter_move(db, Move("open", "raw", "/x/new.db", "build", "r1", "0" * 64, "process 1", time.time()))
    with pytest.raises(UsageError, match="run r1"):
        rehearse(source, tmp_path / "out", run="r")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_source_that_is_written_to_can_be_rehearsed(source: Path, tmp_path: Path) -> None:
    edit(source, "PRAGMA journal_mode = WAL")
    with closing(sqlite3.connect(source, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE users SET name = 'x'")
        stage = rehearse(source, tmp_path / "out", run="r")
        writer.execute("COMMIT")
    assert worst(stage.findings) == "pass"


def test_dirt_fails_a_rehearsal_as_it_would_the_run_and_overrules_an_older_one(rehearsed: Path, tmp_path: Path) -> None:
    source = rehearsed
    assert found(source) is not None
    edit(source, "UPDATE users SET created_at = 'never' WHERE id = 1")
    (tmp_path / "again").mkdir()
    with pytest.raises(DirtySource) as told:
        rehearse(source, tmp_path / "again", run="r")
    assert str(told.value).startswith(f"{source} holds 1 values")
    assert str(tmp_path / "again" / "results" / "01_migrate.json") in str(told.value)
    assert (tmp_path / "again" / "results" / "01_migrate.json").is_file()
    assert not (tmp_path / "again" / "rehearsal").exists()
    record = found(source)
    assert record is not None
    assert record.verdict == "fail"
    assert "users.created_at" in record.reason


def test_quarantine_rehearses_what_stop_does_not(source: Path, tmp_path: Path) -> None:
    edit(source, "UPDATE users SET created_at = 'never' WHERE id = 1")
    assert worst(rehearse(source, tmp_path / "out", run="r", on_dirty="quarantine").findings) == "pass"
    record = found(source, on_dirty="quarantine")
    assert record is not None
    assert record.verdict == "pass"


def test_a_target_that_differs_fails_the_rehearsal(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate = rehearsing.migrating.migrate

    def and_damage(copy: Path, target: Path, *rest: Any, **options: Any) -> Any:
        stage = migrate(copy, target, *rest, **options)
        edit(target, "UPDATE users SET name = name || '!' WHERE id = 1")
        return stage

    monkeypatch.setattr(rehearsing.migrating, "migrate", and_damage)
    stage = rehearse(source, tmp_path / "out", run="r")
    assert worst(stage.findings) == "fail"
    record = found(source)
    assert record is not None
    assert record.verdict == "fail"
    assert record.reason


@pytest.mark.parametrize("problem", [KeyboardInterrupt, DiskFull])
def test_a_rehearsal_that_is_cut_off_leaves_no_copy_and_no_record(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: type[BaseException]
) -> None:
    def cut_off(*_: Any, **__: Any) -> None:
        raise problem

    monkeypatch.setattr(rehearsing.verifying, "verify", cut_off)
    with pytest.raises(problem):
        rehearse(source, tmp_path / "out", run="r")
    assert list((tmp_path / "out").iterdir()) == []
    assert found(source) is None


def test_a_schema_that_changes_while_it_is_copied_is_told(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = backup.take_backup

    def change_first(path: Path, *rest: Any, **options: Any) -> Any:
        edit(path, "CREATE TABLE more (a)")
        return take(path, *rest, **options)

    monkeypatch.setattr(rehearsing, "take_backup", change_first)
    with pytest.raises(CannotFinish, match="was changed while it was copied"):
        rehearse(source, tmp_path / "out", run="r")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"version": 2}', '{"version": 1, "plan": "x"}'],
    ids=["empty", "cut", "list", "new", "part"],
)
def test_a_broken_record_is_as_good_as_none(source: Path, tmp_path: Path, text: str) -> None:
    place = place_of(plan_of(source).hash, schema_hash(source))
    place.parent.mkdir(parents=True)
    place.write_text(text, encoding="utf-8")
    assert found(source) is None


def test_the_record_of_another_plan_under_this_name_does_not_count(rehearsed: Path) -> None:
    source = rehearsed
    place = place_of(plan_of(source).hash, schema_hash(source))
    document = json.loads(place.read_text(encoding="utf-8"))
    place.write_text(json.dumps({**document, "plan": document["plan"][:16] + "0" * 48}), encoding="utf-8")
    assert found(source) is None
